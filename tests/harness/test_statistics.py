"""Intervals and tests on simulated data, and against values worked out by hand or in the literature."""

from __future__ import annotations

import itertools
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
from gi_bench.harness.metrics.base import Metric, Statistics, ratio
from gi_bench.harness.permutation import draws_needed, permutation_test
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import Bootstrap, encode, holm, paired, sums_by_image, wilson
from gi_bench.harness.store import Run
from tests.run_folders import phrases, questions, square, write_run


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_wilson_against_published_values() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29 (Wilson without continuity correction)."""
    for hits, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
                               (1, 29, 0.0061, 0.1718)):  # fmt: skip
        assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 0) is None
    assert wilson(20, 20) == pytest.approx((1 - 0.1611, 1), abs=5e-5)


def test_sums_by_image() -> None:
    codes, count = encode(["b", "a", "b"])
    assert (codes.tolist(), count) == ([0, 1, 0], 2)
    assert sums_by_image(np.array([[1.0, 1], [2, 1], [3, 1]]), codes, 3).tolist() == [[4, 2], [2, 1], [0, 0]]


def test_kept_draws_are_the_draws() -> None:
    bootstrap = Bootstrap(30, 1)
    first = np.concatenate(list(bootstrap.weights(17)))
    assert np.array_equal(np.concatenate(list(bootstrap.weights(17))), first)
    assert np.array_equal(np.concatenate(list(Bootstrap(30, 1).weights(17))), first)


def _two_runs(
    random: np.random.Generator, gain: float, images: int = 40, rows: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Per-image sums of two runs whose accuracies differ by ``gain``; rows of an image share their difficulty."""
    difficulty = random.beta(2, 2, size=images)
    first = random.binomial(rows, np.clip(difficulty + gain, 0, 1)).astype(float)
    second = random.binomial(rows, difficulty).astype(float)
    weight = np.full(images, float(rows))
    return np.stack([first, weight], axis=1), np.stack([second, weight], axis=1)


def test_p_values_are_uniform_where_nothing_differs() -> None:
    random = np.random.default_rng(2)
    found = [paired(*_two_runs(random, 0.0), ratio, resamples=200, seed=i) for i in range(200)]
    p = np.array([one.p for one in found])
    assert (p < 0.05).mean() < 0.10
    assert 0.35 < p.mean() < 0.65
    covered = [one.low is not None and one.high is not None and one.low <= 0 <= one.high for one in found]
    assert 0.88 <= np.mean(covered) <= 0.99


def test_a_real_difference_is_found_and_the_interval_holds_it() -> None:
    random = np.random.default_rng(3)
    one = paired(*_two_runs(random, 0.2, images=200), ratio, resamples=1000)
    assert one.p < 0.01
    assert one.low is not None
    assert one.high is not None
    assert 0 < one.low < one.difference < one.high
    assert one.images == 200


def test_the_permutation_p_value_of_three_images_by_hand() -> None:
    """Differences 1, 1, 1: of the 8 swaps two (none, all) are as extreme, so p is 1/4."""
    weight = np.ones(3)
    first, second = np.stack([np.ones(3), weight], axis=1), np.stack([np.zeros(3), weight], axis=1)
    assert paired(first, second, ratio, resamples=100).p == 0.25


def test_equal_runs_do_not_differ() -> None:
    sums = np.random.default_rng(0).random((10, 2))
    one = paired(sums, sums, ratio)
    assert (one.difference, one.p) == (0.0, 1.0)
    with pytest.raises(ValueError, match="different images"):
        paired(sums, sums[:5], ratio)


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


# Permutation tests


def _brute_force(first: np.ndarray, second: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> float:
    """Share of all swaps with a difference at least as large, one by one."""
    observed = abs(value(first.sum(axis=0)) - value(second.sum(axis=0)))
    extreme = 0
    for pattern in itertools.product((False, True), repeat=len(first)):
        swap = np.array(pattern)[:, None]
        ours, theirs = np.where(swap, second, first), np.where(swap, first, second)
        extreme += abs(value(ours.sum(axis=0)) - value(theirs.sum(axis=0))) >= observed - 1e-12
    return float(extreme) / 2 ** len(first)


def _corpus(total: np.ndarray) -> np.ndarray:
    """A function that is no mean, like BLEU's."""
    return np.sqrt(total[..., 0] / total[..., 1]) * np.exp(np.minimum(0, 1 - total[..., 2] / total[..., 1]))


@pytest.mark.parametrize("images", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("value", [ratio, _corpus])
def test_few_images_are_enumerated(images: int, value: Callable[[np.ndarray], np.ndarray]) -> None:
    random = np.random.default_rng(images)
    for _ in range(5):
        first, second = random.random((images, 3)) + 0.2, random.random((images, 3)) + 0.2
        found = permutation_test(first, second, value, most=50)
        assert found.exact
        assert found.p == pytest.approx(_brute_force(first, second, value))
        assert found.smallest == 2 / 2**images
        assert found.swaps == 2**images


def test_images_that_do_not_differ_do_not_count() -> None:
    random = np.random.default_rng(1)
    first = random.random((300, 3)) + 0.2
    second = first.copy()
    second[:4] += [0.3, 0.0, 0.0]
    found = permutation_test(first, second, _corpus, most=2000)
    assert (found.p, found.smallest, found.exact) == (2 / 2**4, 2 / 2**4, True)
    assert permutation_test(first, first, _corpus, most=2000).p == 1.0


def test_drawn_p_values_agree_with_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    for gain in (0.0, 0.1, 0.25):
        first, second = _two_runs(random, gain, images=14)
        exact = permutation_test(first, second, ratio, most=1)
        with monkeypatch.context() as patched:
            patched.setattr("gi_bench.harness.permutation.EXACT_IMAGES", 0)
            drawn = permutation_test(first, second, ratio, most=200_000)
        assert not drawn.exact
        assert drawn.p == pytest.approx(exact.p, rel=0.35, abs=1e-5)


def test_p_values_of_few_images_are_valid_and_nearly_uniform() -> None:
    """Under the null an exact test's P(p <= a) is at most a; with real values it is a, at the values p can have."""
    random = np.random.default_rng(6)
    found = []
    for _ in range(800):
        pair = random.random((2, 8, 1))
        weight = np.ones((8, 1))
        first, second = (np.concatenate([one, weight], axis=1) for one in pair)
        found.append(permutation_test(first, second, ratio, most=10).p)
    p = np.array(found)
    for level in (2 / 256, 0.05, 0.1, 0.25, 0.5, 0.75):
        reached = np.floor(level * 128) / 128
        assert (p <= level + 1e-9).mean() == pytest.approx(reached, abs=3.5 * (reached * (1 - reached) / 800) ** 0.5)


def test_early_stopping_keeps_p_values_uniform() -> None:
    random = np.random.default_rng(7)
    p = np.array([permutation_test(*_real(random, 40), ratio, most=4000, seed=i).p for i in range(300)])
    for level in (0.05, 0.2, 0.5, 0.8):
        assert (p <= level).mean() == pytest.approx(level, abs=3.5 * (level * (1 - level) / 300) ** 0.5)


def _real(random: np.random.Generator, images: int, gain: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    weight = np.ones((images, 1))
    return tuple(np.concatenate([random.random((images, 1)) + g, weight], axis=1) for g in (gain, 0.0))  # type: ignore[return-value]


def test_drawing_stops_where_nothing_is_to_be_found() -> None:
    random = np.random.default_rng(8)
    none = permutation_test(*_real(random, 60), ratio, most=500_000)
    assert none.swaps < 20_000
    assert none.p == pytest.approx(100 / none.swaps)
    sure = permutation_test(*_real(random, 60, 0.8), ratio, most=50_000)
    assert (sure.swaps, sure.p) == (50_000, sure.smallest)


@pytest.mark.parametrize("comparisons", [1, 10, 40, 128, 500])
def test_every_table_can_be_decided(comparisons: int) -> None:
    """The smallest p-value stays significant after Holm over a table of any size."""
    random = np.random.default_rng(9)
    found = permutation_test(*_real(random, 24, 1.5), ratio, most=draws_needed(comparisons))
    adjusted = holm([found.p, *[1.0] * (comparisons - 1)])
    assert adjusted[0] < 0.01


def test_swaps_without_a_value_are_counted_and_never_help() -> None:
    """One run has rows on one image only: swapping that image leaves it none."""
    lonely = np.array([[4.0, 4.0], [0, 0], [0, 0]]), np.array([[0.0, 0.0], [0, 4], [0, 4]])
    found = permutation_test(*lonely, ratio, most=10)
    assert found.valueless == 2
    assert found.p == 4 / 8, "as it was, all swapped, and the two swaps that leave a run without a row"
    with pytest.raises(ValueError, match="without a value"):
        permutation_test(np.zeros((3, 2)), lonely[1], ratio, most=10)


def test_draws_without_a_value_are_counted() -> None:
    weight = np.zeros(12)
    weight[0] = 1.0
    rare = np.stack([weight, weight], axis=1)
    found = paired(rare, np.ones((12, 2)), ratio, resamples=400)
    assert 0.25 < found.valueless_draws / 400 < 0.45, "(11 / 12) ** 12 of the resamples leave the image out"
    assert (found.low, found.high) == (None, None)


def test_what_was_not_tested_costs_nothing_in_holm() -> None:
    adjusted = holm([0.01, float("nan"), 0.02])
    assert adjusted[0] == pytest.approx(0.02)
    assert np.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.02)


# Tables of comparisons


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
