"""Permutation tests: enumerated, drawn, stopped early, and swaps without a value."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from gi_bench.harness.metrics.base import ratio
from gi_bench.harness.permutation import draws_needed, permutation_test, product
from gi_bench.harness.statistics import holm
from tests.harness.simulated_runs import two_runs


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
        first, second = two_runs(random, gain, images=14)
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


@pytest.mark.parametrize("scale", [1.0, 1 / 3])
def test_a_product_does_not_depend_on_the_number_of_threads(scale: float) -> None:
    """On another number of cores sums would be added up in another order, and intervals end in other digits."""
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(0)
    counts, values = rng.integers(0, 5, size=(1000, 1500)), rng.integers(0, 9, size=(1500, 12)) * scale
    made = []
    for threads in (1, 2, 4):
        with threadpool_limits(threads, user_api="blas"):
            made.append(product(counts, values))
    assert made[0].tobytes() == made[1].tobytes() == made[2].tobytes()
    assert np.allclose(made[0], counts @ values)
