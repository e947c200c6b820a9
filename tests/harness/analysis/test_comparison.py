"""What compare says: values, families, bounds, equivalence by a margin, and what it left out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.harness.analysis.comparing import Comparison, compare_runs, run_notes
from gi_bench.harness.analysis.comparison_table import compare_in_table
from gi_bench.harness.analysis.comparison_text import comparison_lines
from gi_bench.harness.analysis.equivalence import equivalence_p, images_needed, least_p, margin_of, read_margins
from gi_bench.harness.analysis.families import FIRST, TWINS, family
from gi_bench.harness.errors import GiBenchError, UnknownNameError
from gi_bench.harness.metrics.base import ratio
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.store import open_run
from gi_bench.harness.terminal_table import cell_width
from tests.command_line import CommandLine
from tests.run_folders import phrases, questions, square, write_run


def _run(folder: Path, wrong: int, count: int = 80) -> Path:
    return write_run(
        folder,
        variant=folder.name,
        rows=questions(count),
        shown=phrases(count // 2),
        answer=lambda q: "red" if q.index < wrong else q.answer,
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    top = tmp_path_factory.mktemp("pair")
    return _run(top / "base", 0), _run(top / "worse", 60)


def _one(text: str) -> str:
    return " ".join(text.split())


def test_both_values_and_their_difference_are_shown(gi_bench: CommandLine, pair: tuple[Path, Path]) -> None:
    text = gi_bench("compare", *pair).stdout
    content = json.loads(gi_bench("compare", *pair, "--json").stdout)
    (bleu,) = [one for one in content["comparisons"] if one["metric"]["name"] == "bleu"]
    run, base = bleu["values"]
    (line,) = [line.split() for line in text.splitlines() if line.startswith("BLEU ")]
    assert line[1:4] == [f"{run:.3f}"[1:], f"{base:.3f}", f"{run - base:+.3f}".replace("0.", ".")]
    assert line[-1] == bleu["verdict"] == "worse"
    assert content["baseline"] == "base"
    assert _one(text).startswith("difference to base (base)")


def test_the_family_is_small_and_says_nothing_twice(gi_bench: CommandLine, pair: tuple[Path, Path]) -> None:
    content = json.loads(gi_bench("compare", *pair, "--json").stdout)
    names = content["family"]["metrics"]
    assert set(names) <= set(FIRST)
    assert 4 <= len(names) <= 8
    assert content["family"]["comparisons"] == len(names)
    assert {"rougeL", "confidence_ece"} <= set(content["left_out"])
    everything = json.loads(gi_bench("compare", *pair, "--all", "--resamples", 100, "--json").stdout)
    whole = everything["family"]["metrics"]
    assert len(whole) > len(names)
    for name, twin in TWINS.items():
        assert not {name, twin} <= set(whole)
        assert name in everything["left_out"]
    assert "answer_wording_auroc" in everything["left_out"]
    text = _one(gi_bench("compare", *pair).stdout)
    assert f"Holm corrects over {len(names)} comparisons: BLEU, facts right, IoU" in text
    assert "not in the family: answer_false_negative_rate, confidence_ece, rougeL" in text


def test_twins_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    """Specificity is 1 minus the rate of false alarms, in both runs and on the same rows."""
    metrics = registered("gi_bench.metrics")
    assert set(TWINS) | set(TWINS.values()) <= set(metrics)
    runs = [
        write_run(
            tmp_path / name,
            variant=name,
            rows=questions(80),
            answer=lambda q, wrong=wrong: "one instrument is visible" if q.index < wrong else q.answer,
            ground=lambda p, wrong=wrong: (square("polyp", 2, 2, 8),) if p.index < wrong else (),
        )
        for name, wrong in (("few", 2), ("many", 9))
    ]
    found, _ = compare_runs(runs, names=list({*TWINS, *TWINS.values()}), resamples=100)
    by_name = {one.metric.name: one for one in found}
    for name in ("answer_specificity", "region_specificity"):
        one, twin = by_name[name], by_name[TWINS[name]]
        assert one.n == twin.n
        assert one.found.difference == pytest.approx(-twin.found.difference)
        assert one.found.p == twin.found.p


def test_twins_that_are_asked_for_are_compared_and_said(gi_bench: CommandLine, pair: tuple[Path, Path]) -> None:
    done = gi_bench("compare", *pair, "--metric", "region_iou", "--metric", "region_dice", "--resamples", 200)
    assert "region_dice says what region_iou says" in _one(done.stdout)


def test_a_metric_of_a_plugin_is_in_the_family() -> None:
    from gi_bench.harness.metrics.base import Metric

    mine = Metric(MetricInfo("mine", "mine", "d", "s"), lambda run: "no")
    quiet = Metric(MetricInfo("quiet", "quiet", "d", "s", headline=False), lambda run: "no")
    names, left = family({**registered("gi_bench.metrics"), "mine": mine, "quiet": quiet}, everything=False)
    assert "mine" in names
    assert "quiet" not in names
    assert "quiet" not in left


def test_a_p_value_at_the_floor_is_a_bound(gi_bench: CommandLine, pair: tuple[Path, Path]) -> None:
    arguments = ("compare", *pair, "--metric", "exact_match", "--resamples", 1500)
    (one,) = json.loads(gi_bench(*arguments, "--json").stdout)["comparisons"]
    assert one["p_is_bound"] is True
    assert one["found"]["p"] == one["found"]["smallest"] == 1 / 1501
    (line,) = [line for line in gi_bench(*arguments).stdout.splitlines() if line.startswith("exact match")]
    assert line.split()[-3:] == ["<=.0007", "<=.0007", "worse"], "rounded up, or the bound would not hold"


def test_an_exact_p_value_is_no_bound(tmp_path: Path) -> None:
    few = [_run(tmp_path / "a", 0, 8), _run(tmp_path / "b", 8, 8)]
    (one,), _ = compare_runs(few, names=["exact_match"])
    assert one.found.exact
    assert not one.at_floor
    assert "<=" not in "\n".join(comparison_lines([one], {}))


# Equivalence


def _sums(values: Any) -> np.ndarray:
    rows = np.asarray(values, dtype=float)
    return np.stack([rows, np.ones(len(rows))], axis=1)


def test_two_one_sided_tests_by_hand() -> None:
    """Fifty images that differ by .1 each: every resample is .1, inside .2 and outside .05."""
    first, second = _sums(np.full(50, 0.6)), _sums(np.full(50, 0.5))
    inside = equivalence_p(first, second, ratio, 0.2, span=1.0, resamples=999, seed=0)
    assert inside == pytest.approx(max(1 / 1000, 0.8**50))
    assert equivalence_p(first, second, ratio, 0.05, span=1.0, resamples=999, seed=0) == 1.0
    assert equivalence_p(second, first, ratio, 0.05, span=1.0, resamples=999, seed=0) == 1.0
    assert equivalence_p(first[:1], second[:1], ratio, 0.2, span=1.0, resamples=999, seed=0) is None


def test_few_equal_images_show_no_equivalence() -> None:
    """Five images on which two runs agree say little of the next one."""
    same = _sums(np.ones(5))
    p = equivalence_p(same, same, ratio, 0.05, span=1.0, resamples=999, seed=0)
    assert p == pytest.approx(0.95**5) == least_p(0.05, 1.0, 5)
    enough = images_needed(0.05, 1.0, 1, 0.05)
    assert least_p(0.05, 1.0, enough) <= 0.05 < least_p(0.05, 1.0, enough - 1)


def test_resamples_without_a_value_rule_nothing_out() -> None:
    first = _sums(np.full(30, 0.5))
    assert equivalence_p(first, first, lambda s: ratio(s) * np.nan, 0.5, span=1.0, resamples=99, seed=0) == 1.0


def test_runs_that_differ_by_the_margin_are_seldom_called_equivalent() -> None:
    random, claimed = np.random.default_rng(7), 0
    for _ in range(300):
        base = random.uniform(0.2, 0.8, 60)
        noise = random.normal(0.1, 0.2, 60)
        p = equivalence_p(_sums(base + noise), _sums(base), ratio, 0.1, span=1.0, resamples=400, seed=0)
        claimed += p is not None and p < 0.05
    assert claimed <= 0.08 * 300


def test_a_verdict_of_equivalence(gi_bench: CommandLine, tmp_path: Path) -> None:
    """One answer of 240 differs: no difference is found, and none of .1 is left possible."""
    runs = [_run(tmp_path / "first", 0, 240), _run(tmp_path / "nearly", 1, 240)]
    plain = _one(gi_bench("compare", *runs, "--metric", "exact_match").stdout)
    assert "no verdict of equivalence without a margin" in plain
    done = gi_bench("compare", *runs, "--metric", "exact_match", "--margin", "0.1")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("exact match")]
    assert line.split()[-1] == "equivalent"
    assert max(map(len, done.stdout.splitlines())) <= 80
    told = _one(done.stdout)
    assert "equivalent: two one-sided tests, p < 0.05 after Holm, that the difference is below 0.1" in told
    (one,) = json.loads(gi_bench("compare", *runs, "--metric", "exact_match", "--margin", "0.1", "--json").stdout)[
        "comparisons"
    ]
    assert (one["verdict"], one["equivalent"], one["margin"]) == ("undecided", True, 0.1)
    assert one["equivalence"] < 0.05
    narrow = _one(gi_bench("compare", *runs, "--metric", "exact_match", "--margin", "0.001").stdout)
    assert "too few images for equivalence" in narrow
    assert f"{images_needed(0.001, 1.0, 1, 0.05):,} would be needed" in narrow


def test_a_difference_that_is_real_may_still_be_small(pair: tuple[Path, Path]) -> None:
    (one,), _ = compare_runs(pair, names=["exact_match"], margin=0.99)
    assert (one.verdict, one.equivalent) == ("worse", True)
    text = _one("\n".join(comparison_lines([one], {})))
    assert "exact match of worse: worse beyond chance, but by less than the margin" in text


def test_a_margin_for_all_is_stretched_to_other_ranges() -> None:
    def info(**more: Any) -> MetricInfo:
        return MetricInfo("a", "A", "d", "s", **more)

    assert margin_of(info(), 0.02) == 0.02
    assert margin_of(info(high=100.0), 0.02) == pytest.approx(2.0)
    assert margin_of(info(low=-1.0), 0.02) == 0.02
    assert margin_of(info(ranked=False, high=1000.0), 0.02) is None
    assert margin_of(info(), None) is None
    assert margin_of(info(), {"a": 0.3, "": 0.1}) == 0.3
    assert margin_of(info(), {"b": 0.3, "": 0.1}) == 0.1
    assert margin_of(info(), {"b": 0.3}) is None
    assert read_margins(["0.02", "bleu=0.01"], ["bleu"]) == {"": 0.02, "bleu": 0.01}


@pytest.mark.parametrize(
    "margins",
    [["0"], ["-0.1"], ["1"], ["nan"], ["inf"], ["two"], [""], ["bleu="], ["bleu=0"], ["bleu=inf"], ["=0.1"],
     ["bleu=1"], ["bleu=5"], ["0.1", "region_iou=1e300"], ["blue=0.1"], ["0.1", "0.2"],
     ["bleu=0.1", "bleu=0.1"], ["1e400"]],
    ids="|".join,
)  # fmt: skip
def test_what_is_no_margin_is_one_line(gi_bench: CommandLine, pair: tuple[Path, Path], margins: list[str]) -> None:
    done = gi_bench("compare", *pair, *(word for margin in margins for word in ("--margin", margin)))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_margin_that_would_do_nothing_is_refused(gi_bench: CommandLine, pair: tuple[Path, Path]) -> None:
    done = gi_bench("compare", *pair, "--margin", "rougeL=0.1")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert "not compared (rougeL); add --metric rougeL" in line
    with pytest.raises(UnknownNameError, match="did you mean bleu"):
        compare_runs(pair, margin={"bluu": 0.1})


@pytest.mark.parametrize("margin", [0.0, -1.0, 1.0, float("nan"), {"bleu": 0.0}])
def test_what_is_no_margin_in_python_either(pair: tuple[Path, Path], margin: Any) -> None:
    with pytest.raises(GiBenchError, match="not a margin"):
        compare_runs(pair, names=["exact_match"], margin=margin)


# What it left out, and what it refuses


def test_the_same_run_twice_is_one_line(gi_bench: CommandLine, pair: tuple[Path, Path], tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(pair[0])
    for again in (pair[0], link):
        done = gi_bench("compare", pair[0], again)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.strip().splitlines()
        assert "the same run is given twice" in line


def test_a_copy_is_said(pair: tuple[Path, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pair[0], copy)
    assert any("holds the same predictions" in note for note in run_notes([pair[0], copy]))
    assert not run_notes(pair)


def test_other_limits_are_one_line(gi_bench: CommandLine, pair: tuple[Path, Path], tmp_path: Path) -> None:
    part = write_run(tmp_path / "part", rows=questions(20), shown=phrases(10), manifest={"recipe": {"limit": 20}})
    done = gi_bench("compare", pair[0], part)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert "20 questions and 80 (--limit 20 and none)" in line
    assert "same --limit" in line


def test_what_one_run_lacks_is_told_with_the_run(tmp_path: Path, gi_bench: CommandLine) -> None:
    whole = write_run(tmp_path / "whole", variant="whole", explain=lambda q: f"A smooth shiny bump: {q.answer}")
    silent = write_run(tmp_path / "silent", variant="silent", explain=lambda q: None, confidence=None)
    text = _one(gi_bench("compare", whole, silent).stdout)
    assert "not computed for silent: explanation_fact_score" in text
    content = json.loads(gi_bench("compare", whole, silent, "--json").stdout)
    assert "explanation_fact_score of silent" in content["not_computed"]
    assert "explanation_fact_score" not in content["family"]["metrics"], "what was not tested costs nothing"


def test_python_and_command_line_have_one_table(pair: tuple[Path, Path], gi_bench: CommandLine) -> None:
    table = compare_in_table([open_run(path) for path in pair], margin=0.05)
    assert str(table) + "\n" == gi_bench("compare", *pair, "--margin", "0.05").stdout
    frame = table.to_frame().set_index("metric")
    assert (frame.margin == 0.05).all()
    assert str(frame.equivalent.dtype) == "boolean"
    assert compare_in_table([open_run(path) for path in pair]).to_frame().equivalent.isna().all()


def _row(**changes: Any) -> Comparison:
    from gi_bench.harness.statistics import Difference

    given: dict[str, Any] = {
        "metric": MetricInfo("m", "metric", "d", "s"), "run": "run", "baseline": "base", "n": 10, "adjusted": 0.5,
        "found": Difference(0.1, 0.0, 0.2, 0.4, 9), "baseline_n": 10, "values": (0.6, 0.5), **changes,
    }  # fmt: skip
    return Comparison(**given)


_WIDE: dict[str, Callable[[], Comparison]] = {
    "hundreds": lambda: _row(values=(100.0, 0.0), metric=MetricInfo("chrf", "chrF", "d", "s", high=100.0)),
    "a long name": lambda: _row(metric=MetricInfo("m", "a very long title of a metric that goes on and on", "d", "s")),
    "one": lambda: _row(values=(1.0, 0.0), adjusted=1.0),
    "tiny p": lambda: _row(adjusted=0.00004),
}


@pytest.mark.parametrize("what", _WIDE)
def test_a_row_fits_80_columns(what: str) -> None:
    lines = comparison_lines([_WIDE[what](), _row()], {})
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("margin", ["bleu=1e-9", "bleu=1e-17", "bleu=1e-320"])
def test_a_margin_next_to_nothing_is_decided_by_no_number_of_images(
    gi_bench: CommandLine, pair: tuple[Path, Path], margin: str
) -> None:
    done = gi_bench("compare", *pair, "--metric", "bleu", "--margin", margin)
    assert (done.returncode, done.stderr) == (0, "")
    assert "more than a billion would be needed" in _one(done.stdout)


def test_runs_that_are_equal_are_not_told_to_take_more_images(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    equal, _ = compare_runs([pair[0], _run(tmp_path / "copy", 0)], names=["bleu", "exact_match"])
    told = _one("\n".join(comparison_lines(equal, {})))
    assert "2 of 2 comparisons are of runs that do not differ on any image (BLEU, exact match)" in told
    assert "rest on so few images" not in told


def test_names_of_wide_letters_fit_80_places(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    named = write_run(
        tmp_path / "wide", variant="内視鏡 " * 25 + "\u202e\x1b[2J", rows=questions(80), shown=phrases(40)
    )
    table = compare_in_table([open_run(pair[0]), open_run(named)], {"bleu": registered("gi_bench.metrics")["bleu"]})
    notes = [line for line in str(table).splitlines() if line != table.comparisons[0].run]
    assert max(map(cell_width, notes)) <= 80
    assert "holds the same predictions as base" in _one(str(table))
