"""Confidence metrics against scikit-learn-style definitions written out, and explanations against known texts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.metrics import calibration as c
from harness.metrics import explanations as e
from harness.schema import AtomicPair
from harness.scoring import score_run
from tests.run_folders import questions, write_run


def _judged(confidence: np.ndarray, right: np.ndarray) -> c.Judged:
    n = len(confidence)
    return c.Judged(confidence, right.astype(float), tuple(f"i{k // 3}" for k in range(n)), (("polyp_count",),) * n, {})


def _sample(seed: int, n: int = 700, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    confidence = np.round(random.random(n), digits)
    return confidence, (random.random(n) < confidence**1.5).astype(float)


def _slow_auroc(confidence: np.ndarray, right: np.ndarray) -> float:
    a, b = confidence[right == 1], confidence[right == 0]
    return float(((a[:, None] > b).sum() + 0.5 * (a[:, None] == b).sum()) / (len(a) * len(b)))


def _slow_auprc(confidence: np.ndarray, right: np.ndarray) -> float:
    total, last = 0.0, 0.0
    for threshold in sorted(set(confidence), reverse=True):
        kept = confidence >= threshold
        recall = right[kept].sum() / right.sum()
        total += (recall - last) * right[kept].mean()
        last = recall
    return total


@pytest.mark.parametrize("digits", [1, 2, 6])
def test_ranking_metrics_equal_their_definitions(digits: int) -> None:
    confidence, right = _sample(1, digits=digits)
    everything = np.arange(len(confidence))
    for value, slow in ((c.auroc_value, _slow_auroc), (c.auprc_value, _slow_auprc)):
        found = c._ranked(_judged(confidence, right), value)
        assert not isinstance(found, str)
        assert found.point is not None
        assert found.point(everything) == pytest.approx(slow(confidence, right), abs=1e-12)
        assert float(value(found.sums.sum(axis=0))) == pytest.approx(slow(confidence, right), abs=5e-3)
    coverage, risk = c.risk_coverage(confidence, right)
    assert coverage[-1] == 1.0
    assert risk[-1] == pytest.approx(1 - right.mean())
    aurc = c._ranked(_judged(confidence, right), c.aurc_value)
    assert not isinstance(aurc, str)
    assert aurc.point is not None
    weights = np.diff(coverage, prepend=0.0)
    assert aurc.point(everything) == pytest.approx(float((weights * risk).sum()), abs=1e-12)


def test_calibration_errors_equal_their_definitions() -> None:
    confidence, right = _sample(2, digits=6)
    edges = np.linspace(0, 1, 16)
    expected = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    found = c._binned(_judged(confidence, right), c.equal_width(confidence), c.BINS)
    assert float(c.calibration_error(found.sums.sum(axis=0))) == pytest.approx(expected, abs=1e-12)
    codes, count = c.levels(confidence, 15)
    assert count == 15
    assert np.ptp(np.bincount(codes)) <= 2, "bins of equal numbers of rows"
    assert c.equal_width(np.array([0.0, 1 / 15, 0.0667, 1.0])).tolist() == [0, 0, 1, 14]


def test_a_calibrated_model_has_no_error_and_an_overconfident_one_has() -> None:
    random = np.random.default_rng(3)
    confidence = random.random(20_000)
    right = (random.random(20_000) < confidence).astype(float)
    good = c._binned(_judged(confidence, right), c.equal_width(confidence), c.BINS)
    assert float(c.calibration_error(good.sums.sum(axis=0))) < 0.02
    bold = c._binned(_judged(np.sqrt(confidence), right), c.equal_width(np.sqrt(confidence)), c.BINS)
    assert float(c.calibration_error(bold.sums.sum(axis=0))) == pytest.approx(2 / 3 - 1 / 2, abs=0.02)


def test_correlation_equals_numpy_and_is_nan_for_constants() -> None:
    random = np.random.default_rng(4)
    x, y = random.random(200), random.random(200)
    rows = np.stack([x, y, x * x, y * y, x * y, np.ones(200)], axis=1)
    assert float(c.correlation_value(rows.sum(axis=0))) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
    y[:] = 0.1
    rows = np.stack([x, y, x * x, y * y, x * y, np.ones(200)], axis=1)
    assert np.isnan(c.correlation_value(rows.sum(axis=0)))


def test_constant_confidence_is_called_uninformative(tmp_path: Path) -> None:
    scores = score_run(write_run(tmp_path / "run"))
    assert scores.not_computed["confidence_auroc"] == "uninformative: every answer has the confidence 0.75"
    assert scores.find("confidence_brier").value == pytest.approx(0.25**2)  # type: ignore[union-attr]
    assert scores.find("confidence_ece").value == pytest.approx(0.25)  # type: ignore[union-attr]
    none = score_run(write_run(tmp_path / "none", confidence=None))
    assert none.not_computed["confidence_ece"] == "the run gives no confidence for answers"


def test_a_negation_flip_is_wrong_even_where_overlap_is_high(tmp_path: Path) -> None:
    scores = score_run(
        write_run(
            tmp_path / "run", answer=lambda q: "one instruments visible in the image" if q.index == 1 else q.answer
        )
    )
    assert scores.find("rougeL").value > 0.95  # type: ignore[union-attr,operator]
    assert scores.find("fact_accuracy").value == pytest.approx(11 / 12)  # type: ignore[union-attr]
    assert scores.find("fact_accuracy", "question_class", "instrument_count").value == pytest.approx(  # type: ignore[union-attr]
        5 / 6
    )


def test_explanations_by_rule() -> None:
    row = questions(2)[1]  # no instruments
    assert e.contradiction("A tube is visible, one instrument.", "no instruments", row) is True
    assert e.contradiction("No instrument can be seen.", "no instruments", row) is False
    assert e.contradiction("Pink mucosa.", "no instruments", row) is None
    assert e.novelty("one polyp", "How many polyps are there?", "one polyp") == 0.0
    assert e.novelty("A pink dome", "How many polyps?", "one") == 1.0
    assert e.novelty("", "How many?", "one") == 0.0
    assert e.echo("How many polyps are there? One.", "How many polyps are there?") == 1.0
    assert e.echo("A red bump.", "How many polyps are there?") == 0.0
    assert e.attributes("A small round red bump in the upper left") == {"location", "colour", "size", "shape"}
    assert e.attributes("A polyp is seen.") == frozenset()
    location = replace(row, question_class=("abnormality_location",), original=(AtomicPair("q", "center; upper-left"),))
    assert e.fact_quality("The lesion lies in the upper left.", location) == pytest.approx(0.5)
    assert e.fact_quality("The lesion is red.", location) is None


def test_explanation_scores_of_a_run(tmp_path: Path) -> None:
    scores = score_run(
        write_run(tmp_path / "run", explain=lambda q: "A small red bump; one polyp." * (q.index % 2 == 0))
    )
    assert scores.find("explanation_attributes").n == 6, "an empty text is none"  # type: ignore[union-attr]
    assert scores.find("explanation_length").value == pytest.approx(6.0)  # type: ignore[union-attr]
    assert scores.find("explanation_contradiction").value == 0.0  # type: ignore[union-attr]
    assert scores.find("explanation_false_positive_rate") is None, "no explanation where the finding is absent"
    assert "0 of 6 explanations" in scores.not_computed["explanation_false_positive_rate"]
