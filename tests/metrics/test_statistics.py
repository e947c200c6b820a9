"""Intervals and tests on simulated data, and against values worked out by hand or in the literature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.comparing import compare_runs, comparison_lines
from harness.errors import GiBenchError
from harness.metrics.base import ratio
from harness.statistics import Bootstrap, encode, holm, paired, sums_by_image, wilson
from tests.run_folders import write_run


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
    """Differences 1, 1, 1: of the 8 swaps two (none, all) are as extreme, so p goes to 1/4."""
    weight = np.ones(3)
    first, second = np.stack([np.ones(3), weight], axis=1), np.stack([np.zeros(3), weight], axis=1)
    assert paired(first, second, ratio, resamples=20_000).p == pytest.approx(0.25, abs=0.02)


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
    false_alarms, missing = compare_runs([good, bad], names=["answer_false_positive_rate", "bertscore"])
    assert len(false_alarms) == 1
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
