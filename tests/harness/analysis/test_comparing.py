"""Tables of comparisons: what is decided, what is left out and said, and runs that cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gi_bench.harness.analysis.comparing import compare_runs, run_notes
from gi_bench.harness.analysis.comparison_text import comparison_lines
from gi_bench.harness.cli import _main
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.permutation import draws_needed
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.store import Run
from tests.run_folders import phrases, questions, square, write_run


def test_runs_are_compared_with_the_first(tmp_path: Path) -> None:
    good = write_run(tmp_path / "good", variant="good")
    bad = write_run(tmp_path / "bad", variant="bad", answer=lambda q: "red" if q.index < 8 else q.answer)
    found, missing = compare_runs([good, bad, bad], names=["rougeL", "bleu", "exact_match"], resamples=300)
    assert len(found) == 6
    exact = next(one for one in found if one.metric.name == "exact_match")
    assert exact.found.difference == pytest.approx(-8 / 12)
    assert exact.adjusted >= exact.found.p
    assert exact.run == "bad (bad)"
    assert missing == {}
    assert any("exact match" in line for line in comparison_lines(found, missing))
    facts, missing = compare_runs([good, bad], names=["fact_accuracy", "answer_false_positive_rate", "bertscore"])
    assert [one.metric.name for one in facts] == ["fact_accuracy"]
    assert any("answer_false_positive_rate" in name for name in missing), "most answers of one run say nothing"
    assert "bertscore of good" in missing


def test_runs_that_cannot_be_compared(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a")
    other = write_run(tmp_path / "b", fingerprint="e" * 64)
    with pytest.raises(GiBenchError, match="different suites"):
        compare_runs([first, other])
    with pytest.raises(GiBenchError, match="two run folders"):
        compare_runs([first])
    with pytest.raises(GiBenchError, match="unknown metric"):
        compare_runs([first, first], names=["blue"])


def _answers(folder: Path, name: str, wrong: int, count: int = 60, **options: Any) -> Path:
    return write_run(
        folder / name,
        variant=name,
        rows=questions(count),
        shown=phrases(count // 2),
        answer=lambda q: "red" if q.index < wrong else q.answer,
        **options,
    )


def _metric(name: str, compute: Callable[[Run], Statistics | str], **info: Any) -> Metric:
    return Metric(MetricInfo(name, f"{name} title", "Made.", "nowhere", **info), compute)


def _made(sums: Any, images: Sequence[str] | None = None, **options: Any) -> Statistics:
    rows = np.asarray(sums, dtype=np.float64)
    return Statistics(rows, tuple(images or [f"img{i}" for i in range(len(rows))]), {}, **options)


def _by_variant(**made: Any) -> Callable[[Run], Any]:
    def compute(run: Run) -> Any:
        found = made[run.variant]
        if isinstance(found, Exception):
            raise found
        return found

    return compute


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    return [_answers(tmp_path, "good", 0), _answers(tmp_path, "bad", 50)]


def test_a_large_difference_is_decided_in_the_widest_table(pair: list[Path]) -> None:
    found, _ = compare_runs(pair, everything=True)
    assert len(found) > 30
    bleu = next(one for one in found if one.metric.name == "bleu")
    assert bleu.adjusted < 0.05
    assert bleu.verdict == "worse"
    assert not [line for line in comparison_lines(found, {}) if "too wide" in line]


def test_the_table_holds_headline_metrics_unless_all_are_asked_for(pair: list[Path]) -> None:
    headline, missing = compare_runs(pair, resamples=100)
    everything, _ = compare_runs(pair, everything=True, resamples=100)
    assert all(one.metric.headline for one in headline)
    assert len(everything) > len(headline) + len(missing)
    assert {one.metric.name for one in headline} < {one.metric.name for one in everything}


def test_too_few_permutations_for_the_table_are_said(pair: list[Path]) -> None:
    found, missing = compare_runs(pair, everything=True, resamples=300)
    lines = " ".join(" ".join(comparison_lines(found, missing)).split())
    assert "the table is too wide for its permutations" in lines
    assert f"--resamples {draws_needed(len(found))}" in lines
    enough, _ = compare_runs(pair, names=["bleu"], resamples=300)
    assert "too wide" not in " ".join(comparison_lines(enough, {}))


def test_too_few_images_for_any_verdict_are_said(tmp_path: Path) -> None:
    pair = [_answers(tmp_path, "good", 0, count=8), _answers(tmp_path, "bad", 8, count=8)]
    found, _ = compare_runs(pair, names=["bleu"])
    assert found[0].found.p == found[0].found.smallest == 2 / 2**4
    assert "so few images that differ" in " ".join(" ".join(comparison_lines(found, {})).split())


def test_what_has_no_value_is_not_compared_and_not_counted(pair: list[Path]) -> None:
    rows = np.stack([np.arange(6.0), np.ones(6)], axis=1)
    nothing, endless = np.zeros((6, 2)), np.where([True, False], np.inf, rows)
    metrics = {
        "fine": _metric("fine", _by_variant(good=_made(rows), bad=_made(rows[::-1] / 2))),
        "none": _metric("none", _by_variant(good=_made(rows), bad=_made(nothing))),
        "base": _metric("base", _by_variant(good=_made(nothing), bad=_made(rows))),
        "endless": _metric("endless", _by_variant(good=_made(rows), bad=_made(endless))),
        "empty": _metric("empty", _by_variant(good=_made(rows), bad=_made(np.zeros((0, 2))))),
    }
    found, missing = compare_runs(pair, metrics=metrics)
    assert [one.metric.name for one in found] == ["fine"]
    assert found[0].adjusted == found[0].found.p, "what is not computed costs nothing"
    assert missing["none of bad"] == "the run has no value (n 6)"
    assert missing["base of bad"] == "the baseline has no value (n 6)"
    assert missing["endless of bad"] == "the run has an infinite value (n 6)"
    assert missing["empty of bad"] == "the run has no value (n 0)"
    lines = comparison_lines(found, missing)
    assert "not computed for bad: none: the run has no value (n 6)" in lines


def test_columns_that_do_not_mean_the_same_are_not_swapped(pair: list[Path]) -> None:
    rows = np.random.default_rng(0).random((6, 4)) + 0.1

    def macro(total: np.ndarray) -> np.ndarray:
        return np.asarray((total[..., :2] / total[..., 2:]).mean(axis=-1))

    def point(chosen: Any) -> float:
        return 0.5

    names = (("sum", "a"), ("sum", "b"), ("n", "a"), ("n", "b"))
    turned = (names[1], names[0], names[3], names[2])
    metrics = {
        "count": _metric("count", _by_variant(good=_made(rows), bad=_made(rows[:, :2]))),
        "levels": _metric("levels", _by_variant(good=_made(rows, columns=(0.1,)), bad=_made(rows, columns=(0.2,)))),
        "half": _metric("half", _by_variant(good=_made(rows, columns=names), bad=_made(rows))),
        "wide": _metric("wide", _by_variant(good=_made(rows, columns=(1,)), bad=_made(rows[:, :3], columns=(1,)))),
        "own": _metric("own", _by_variant(good=_made(rows, point=point), bad=_made(rows, point=point))),
        "other": _metric(
            "other", _by_variant(good=_made(rows, value=macro), bad=_made(rows, value=lambda total: 2 * macro(total)))
        ),
        "turned": _metric(
            "turned",
            _by_variant(
                good=_made(rows, columns=names, value=macro),
                bad=_made(rows[:, [1, 0, 3, 2]], columns=turned, value=lambda total: macro(total)),
            ),
        ),
    }
    found, missing = compare_runs(pair, metrics=metrics, resamples=100)
    assert [one.metric.name for one in found] == ["turned"], "columns in another order are put in order"
    assert found[0].found.difference == pytest.approx(0.0)
    assert found[0].found.p == 1.0
    assert set(missing) == {f"{name} of bad" for name in metrics if name != "turned"}
    assert "2 and 4 columns" in missing["count of bad"]
    for name in ("levels", "half"):
        assert "do not mean the same" in missing[f"{name} of bad"]
    assert "settings differ" in missing["other of bad"]


def test_a_metric_that_fails_costs_no_other(pair: list[Path]) -> None:
    rows = np.ones((4, 2))

    def bad_value(total: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("by nought")

    metrics = {
        "raises": _metric("raises", _by_variant(good=KeyError("what"), bad=_made(rows))),
        "other": _metric("other", _by_variant(good=_made(rows), bad=MemoryError("much"))),
        "value": _metric("value", _by_variant(good=_made(rows, value=bad_value), bad=_made(rows, value=bad_value))),
        "shape": _metric("shape", _by_variant(good=_made(rows), bad=_made(rows, images=("a", "b")))),
        "nothing": _metric("nothing", _by_variant(good=None, bad=None)),
        "fine": _metric("fine", _by_variant(good=_made(rows), bad=_made(rows))),
    }
    found, missing = compare_runs(pair, metrics=metrics)
    assert [one.metric.name for one in found] == ["fine"]
    assert missing["raises of good"] == "the metric failed: KeyError: 'what'"
    assert missing["other of bad"] == "the metric failed: MemoryError: much"
    assert missing["value of bad"] == "the metric failed: ZeroDivisionError: by nought"
    assert "shape of bad" in missing
    assert "nothing of good" in missing


def test_the_difference_shown_is_that_of_the_scores(pair: list[Path]) -> None:
    """Sums over levels are only close to a ranking's value."""
    rows = np.stack([np.arange(6.0), np.ones(6)], axis=1)
    metrics = {
        "close": _metric(
            "close",
            _by_variant(
                good=_made(rows, columns=(0.5,), point=lambda chosen: 2.5),
                bad=_made(rows - [[0.1, 0]], columns=(0.5,), point=lambda chosen: 2.375),
            ),
        )
    }
    (one,), _ = compare_runs(pair, metrics=metrics)
    assert one.found.difference == -0.125
    assert one.values == (2.375, 2.5)


def test_runs_with_other_numbers_of_levels_end_in_no_traceback(tmp_path: Path, capsys: Any) -> None:
    few = _answers(tmp_path, "few", 30, confidence=None)
    many = _answers(tmp_path, "many", 20)
    for path, levels in ((few, 3), (many, 40)):
        table = pq.read_table(path / "predictions" / "part-00000.parquet")
        column = pa.array([(i % levels + 0.5) / levels for i in range(len(table))], pa.float32())
        place = table.schema.names.index("confidence")
        pq.write_table(table.set_column(place, "confidence", column), path / "predictions" / "part-00000.parquet")
    assert _main(["compare", "--all", "--json", "--resamples", "100", str(few), str(many)]) == 0
    content = json.loads(capsys.readouterr().out)
    said = {one["metric"]["name"] for one in content["comparisons"]} | {
        name.partition(" of ")[0] for name in (*content["not_computed"], *content["left_out"])
    }
    assert {"confidence_auroc", "confidence_auprc", "confidence_aurc", "confidence_adaptive_ece"} <= said


def test_phrases_and_references_have_to_agree(tmp_path: Path) -> None:
    first = _answers(tmp_path, "first", 0, count=12)

    def other(name: str, **options: Any) -> Path:
        return write_run(tmp_path / name, variant=name, **options)

    shown = phrases()
    moved = [replace(shown[0], region=square("polyp", 9, 8, 16)), *shown[1:]]
    named = [replace(shown[0], phrase="a red polyp"), *shown[1:]]
    for name, given in (("moved", moved), ("named", named)):
        field = "region" if name == "moved" else "phrase"
        with pytest.raises(RunError, match=f"references of the runs differ: {field} of phrase 0"):
            compare_runs([first, other(name, shown=given)])
    with pytest.raises(RunError, match="10 phrases and 12"):
        compare_runs([first, other("short", shown=shown[:10])])
    rows = questions()
    answered = [rows[0], replace(rows[1], answer="two instruments"), *rows[2:]]
    with pytest.raises(RunError, match="references of the runs differ: answer of question 1"):
        compare_runs([first, other("answered", rows=answered)])
    with pytest.raises(RunError, match="different rows"):
        compare_runs([first, other("fewer", rows=rows[:8])])


def test_a_run_without_phrases_is_compared_on_answers(tmp_path: Path) -> None:
    whole = _answers(tmp_path, "whole", 0)
    answers = write_run(tmp_path / "answers", variant="answers", rows=questions(60), shown=[])
    recipe = json.loads((answers / "manifest.json").read_text(encoding="utf-8"))
    recipe["recipe"]["tasks"] = ["answer"]
    (answers / "manifest.json").write_text(json.dumps(recipe), encoding="utf-8")
    found, missing = compare_runs([whole, answers], names=["bleu", "region_iou"])
    assert [one.metric.name for one in found] == ["bleu"]
    assert "region_iou of answers" in missing
    assert run_notes([whole, answers]) == [
        "the runs have different tasks: whole: answer, ground, explain; answers: answer"
    ]


def test_edited_predictions_are_refused(tmp_path: Path) -> None:
    first, second = _answers(tmp_path, "first", 0), _answers(tmp_path, "second", 0)
    path = second / "predictions" / "part-00000.parquet"
    table = pq.read_table(path)
    ids = table.column("img_id").to_pylist()
    edited = table.set_column(table.schema.names.index("img_id"), "img_id", pa.array(["img7", *ids[1:]], pa.string()))
    pq.write_table(edited, path)
    with pytest.raises(RunError, match="fits no row: question 0 of image img7"):
        compare_runs([first, second])


def test_unfinished_and_repeated_runs_are_said(tmp_path: Path) -> None:
    whole, partial = _answers(tmp_path, "whole", 0), _answers(tmp_path, "partial", 0, manifest={"complete": False})
    path = partial / "predictions" / "part-00000.parquet"
    pq.write_table(pq.read_table(path).slice(0, 50), path)
    assert run_notes([whole, partial]) == ["partial is not finished: 70 of 120 predictions are missing"]
    assert run_notes([whole, whole]) == ["whole is given more than once: a run does not differ from itself"]
    assert run_notes([whole]) == []
    found, _ = compare_runs([whole, whole], names=["bleu"])
    assert (found[0].found.difference, found[0].found.p, found[0].verdict) == (0.0, 1.0, "undecided")


def test_runs_of_one_variant_keep_their_names_apart(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / place / "run", variant="same") for place in ("a", "b")]
    found, _ = compare_runs([*paths, write_run(tmp_path / "third", variant="same")], names=["bleu"])
    assert [one.run for one in found] == [f"same ({paths[1]})", "same (third)"]
    assert found[0].baseline == f"same ({paths[0]})"


def test_rows_of_both_runs_are_shown(pair: list[Path]) -> None:
    rows = np.ones((6, 2))
    metrics = {"made": _metric("made", _by_variant(good=_made(rows), bad=_made(rows[:4])))}
    found, _ = compare_runs(pair, metrics=metrics)
    assert (found[0].n, found[0].baseline_n) == (4, 6)
    assert "rows (images): 4 and 6 (6)" in comparison_lines(found, {})


def test_the_table_fits_a_terminal_and_json_is_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "a_variant_with_quite_a_long_name_that_somebody_chose"
    first = write_run(tmp_path / "first", variant=long, rows=questions(40), shown=phrases(20))
    second = write_run(tmp_path / "second", variant=long, rows=questions(40), answer=lambda q: "", shown=phrases(20))
    assert _main(["compare", "--all", "--resamples", "100", str(first), str(second)]) == 0
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 80
    assert _main(["compare", "--all", "--resamples", "100", "--json", str(first), str(second)]) == 0
    text = capsys.readouterr().out
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert set(content) == {"baseline", "comparisons", "family", "left_out", "not_computed", "notes"}
    assert content["comparisons"]
    assert _main(["compare", "--all", "--metric", "bleu", str(first), str(second)]) == 2
