"""Scores of known runs, intervals on simulated data, regions and negatives against plain arithmetic."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gi_bench.harness import regions, store
from gi_bench.harness.analysis.scoring import metric_scores, score_run
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.schema import MetricInfo, Region
from gi_bench.harness.statistics import Bootstrap
from tests.run_folders import SIZE, phrases, questions, square, write_run


def test_a_perfect_run(tmp_path: Path) -> None:
    scores = score_run(write_run(tmp_path / "run"))
    for metric in ("bleu", "rouge1", "rouge2", "rougeL", "exact_match", "region_iou", "region_dice", "region_box_iou"):
        found = scores.find(metric)
        assert found is not None
        assert found.value == pytest.approx(1.0), metric
    for metric in ("answer_false_positive_rate", "answer_false_negative_rate", "region_false_positive_rate"):
        assert scores.find(metric).value == 0.0  # type: ignore[union-attr]
    assert "bertscore" in scores.not_computed
    assert scores.notes == ("made for tests",)
    assert store.open_run(tmp_path / "run").scores == scores


def test_false_alarms_are_counted_by_finding_and_label(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run",
        answer=lambda q: "one instrument visible in the image" if q.is_negative and q.index < 6 else q.answer,
        ground=lambda p: (square(p.label, 1, 1, 4),) if p.is_negative and p.index < 4 else (),
    )
    scores = score_run(run)
    found = scores.find("answer_false_positive_rate")
    assert found is not None
    assert (found.value, found.n, found.image_count) == (pytest.approx(3 / 6), 6, 6)
    assert scores.find("answer_false_positive_rate", "finding", "instrument").n == 6  # type: ignore[union-attr]
    assert scores.find("answer_false_negative_rate").value == 0.0  # type: ignore[union-attr]
    region = scores.find("region_false_positive_rate", "label", "instrument")
    assert region is not None
    assert region.value == pytest.approx(2 / 6)
    assert scores.find("region_iou").value == 0.0  # type: ignore[union-attr]
    assert scores.find("region_iou").n == 6, "negatives never enter the IoU"  # type: ignore[union-attr]


def test_missing_predictions_and_masks_are_counted(tmp_path: Path) -> None:
    shown = [replace(p, region=None) if p.index == 0 else p for p in phrases()]
    run = write_run(tmp_path / "run", shown=shown, answer=lambda q: None if q.index == 1 else q.answer)
    scores = score_run(run)
    assert scores.counts["rougeL: missing prediction"] == 1
    assert scores.counts["region_iou: no reference mask"] == 1
    assert scores.find("region_iou").n == 5  # type: ignore[union-attr]
    assert scores.find("exact_match").value == pytest.approx(11 / 12)  # type: ignore[union-attr]


def test_hidden_references_are_not_computed(tmp_path: Path) -> None:
    rows = [replace(q, answer=None, explanation=None) for q in questions()]
    scores = score_run(
        write_run(tmp_path / "run", rows=rows, answer=lambda q: f"one {q.finding}", explain=lambda q: "x")
    )
    assert scores.not_computed["bleu"] == "the suite has no reference answers"
    assert scores.find("answer_false_positive_rate") is not None, "atomic facts are still there"


def test_a_failing_metric_costs_no_other(tmp_path: Path) -> None:
    def fail(run: store.Run) -> Statistics:
        raise ZeroDivisionError("oops")

    broken = Metric(MetricInfo("broken", "broken", "always fails", "test"), fail)
    from gi_bench.harness.metrics.text import METRICS

    scores = score_run(write_run(tmp_path / "run"), metrics={"broken": broken, "bleu": METRICS[0]})
    assert scores.not_computed == {"broken": "ZeroDivisionError: oops"}
    assert scores.find("bleu") is not None


def test_scores_repeat_byte_for_byte(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", answer=lambda q: "one polyp visible" if q.index % 3 else "nothing")
    digests = set()
    for _ in range(2):
        score_run(run)
        digests.add(hashlib.sha256((run / "scores.json").read_bytes()).hexdigest())
    assert len(digests) == 1


def _mean_interval(values: np.ndarray, images: list[str], resamples: int = 400) -> tuple[float, float]:
    sums = np.stack([values, np.ones_like(values)], axis=1)
    score = next(iter(metric_scores("m", Statistics(sums, tuple(images), {}), Bootstrap(resamples, 1))))
    assert score.interval_low is not None
    assert score.interval_high is not None
    return score.interval_low, score.interval_high


def test_intervals_cover_the_truth_on_simulated_clusters() -> None:
    """Images differ in difficulty: 95 % intervals over images hold the true mean in about 95 of 100 trials."""
    random = np.random.default_rng(5)
    hits = 0
    trials = 150
    for _ in range(trials):
        difficulty = np.repeat(random.beta(2, 2, size=60), 8)
        values = (random.random(480) < difficulty).astype(float)
        low, high = _mean_interval(values, [f"i{k // 8}" for k in range(480)])
        hits += low <= 0.5 <= high
    assert 0.88 <= hits / trials <= 0.99


def test_the_clustered_interval_is_wider_where_rows_of_an_image_agree() -> None:
    random = np.random.default_rng(6)
    values = np.repeat(random.random(50), 20)
    clustered = _mean_interval(values, [f"i{k // 20}" for k in range(1000)])
    naive = _mean_interval(values, [f"i{k}" for k in range(1000)])
    assert clustered[1] - clustered[0] > 3 * (naive[1] - naive[0])


def test_no_interval_from_a_single_image() -> None:
    statistics = Statistics(np.ones((5, 2)), ("a",) * 5, {})
    (score,) = metric_scores("m", statistics, Bootstrap(100, 0))
    assert (score.value, score.interval_low, score.n, score.image_count) == (1.0, None, 5, 1)


def test_chunks_of_resamples_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    import gi_bench.harness.statistics as module

    whole = np.concatenate(list(Bootstrap(50, 3).weights(40)))
    assert (whole.sum(axis=1) == 40).all()
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 7 * 40)
    assert np.array_equal(np.concatenate(list(Bootstrap(50, 3).weights(40))), whole)


def test_overlap_by_hand() -> None:
    a, b = np.zeros((10, 10), dtype=bool), np.zeros((10, 10), dtype=bool)
    a[:4, :4], b[2:6, 2:6] = True, True
    counts = regions.overlap(a, b)
    assert counts == (4, 16, 16)
    assert regions.iou(*counts) == pytest.approx(4 / 28)
    assert regions.dice(*counts) == pytest.approx(8 / 32)
    assert regions.box_iou(a, b) == pytest.approx(4 / 28)
    assert regions.iou(0, 0, 0) == regions.dice(0, 0, 0) == 0.0


def test_another_size_is_resized_to_the_reference() -> None:
    big = np.zeros((2 * SIZE, 2 * SIZE), dtype=bool)
    big[16:48, 16:48] = True
    united = regions.united([Region.from_mask("polyp", big)], SIZE, SIZE)
    assert np.array_equal(united, square("polyp", 8, 8, 16).mask())


def test_resizing_keeps_the_values_and_the_place() -> None:
    mask = np.zeros((30, 50), dtype=bool)
    mask[10:20, 25:] = True
    back = regions.resize_nearest(regions.resize_nearest(mask, 90, 150), 30, 50)
    assert np.array_equal(back, mask)


def test_region_codes_survive(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        mask = random.random((37, 53)) < 0.3
        region = Region.from_mask("x", mask)
        assert np.array_equal(region.mask(), mask)
        assert region.area == mask.sum()
