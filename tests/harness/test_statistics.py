"""Intervals and p-values on simulated data, and against values worked out by hand or in the literature."""

from __future__ import annotations

import numpy as np
import pytest

from gi_bench.harness.metrics.base import ratio
from gi_bench.harness.statistics import Bootstrap, encode, holm, paired, sums_by_image, wilson
from tests.harness.simulated_runs import two_runs


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


def test_p_values_are_uniform_where_nothing_differs() -> None:
    random = np.random.default_rng(2)
    found = [paired(*two_runs(random, 0.0), ratio, resamples=200, seed=i) for i in range(200)]
    p = np.array([one.p for one in found])
    assert (p < 0.05).mean() < 0.10
    assert 0.35 < p.mean() < 0.65
    covered = [one.low is not None and one.high is not None and one.low <= 0 <= one.high for one in found]
    assert 0.88 <= np.mean(covered) <= 0.99


def test_a_real_difference_is_found_and_the_interval_holds_it() -> None:
    random = np.random.default_rng(3)
    one = paired(*two_runs(random, 0.2, images=200), ratio, resamples=1000)
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
