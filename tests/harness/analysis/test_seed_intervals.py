"""Student's t, and intervals over seeds: against SciPy, by hand, and over simulated trainings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gi_bench.harness.analysis.study import Contrast, decide
from gi_bench.harness.statistics import over_seeds, student_quantile, student_tail
from tests.benchmarks import studies as simulation
from tests.harness.analysis.study_cases import GREATER


def _quadrature(t: float, freedom: float) -> float:
    """Two-sided p-value by Gauss-Legendre quadrature of cos(u) ** (freedom - 1): how stored intervals were made."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    edge = float(np.arctan(t / np.sqrt(freedom)))

    def integral(low: float) -> float:
        middle, half = (low + np.pi / 2) / 2, (np.pi / 2 - low) / 2
        return float(half * (weights * np.cos(middle + half * nodes) ** (freedom - 1)).sum())

    return integral(edge) / integral(0.0)


def test_students_t_equals_its_integral() -> None:
    """Fractions below 5 degrees of freedom are beyond the quadrature, not beyond SciPy."""
    for freedom in (1.0, 2.0, 3.0, 5.0, 7.37, 10.5, 39.0, 79.0, 100.0, 199.0, 299.0, 361.8, 400.0):
        for t in (0.0, 0.1, 0.7, 1.0, 1.96, 3.0, 4.3):
            assert student_tail(t, freedom) == pytest.approx(_quadrature(t, freedom), rel=1e-12), (t, freedom)
            assert student_tail(-t, freedom) == student_tail(t, freedom)
        for p in (0.9, 0.5, 0.1, 0.05, 0.0125, 0.01, 0.001):
            assert _quadrature(student_quantile(p, freedom), freedom) == pytest.approx(p, rel=1e-12), (p, freedom)


def test_students_t_against_scipy() -> None:
    from scipy.stats import t as reference

    for freedom in (1.0, 1.3, 2.0, 2.7, 5.0, 10.5, 39.0, 100.0, 299.0, 400.0):
        for t in (0.0, 1e-6, 0.1, 0.7, 1.0, 1.96, 3.0, 4.3, 10.0, 63.7):
            assert student_tail(t, freedom) == pytest.approx(2 * reference.sf(t, freedom), rel=1e-12), (t, freedom)
        for p in (1.0, 0.9, 0.5, 0.1, 0.05, 0.01, 0.001, 1e-6):
            # Of SciPy's own releases some are off by 4e-9.
            assert student_quantile(p, freedom) == pytest.approx(reference.isf(p / 2, freedom), rel=1e-8, abs=1e-15)


def test_many_degrees_of_freedom_count_as_400() -> None:
    from scipy.stats import t as reference

    for freedom in (401.0, 1e4, 1e9, float("inf")):
        assert student_tail(2.0, freedom) == student_tail(2.0, 400.0)
        assert student_tail(2.0, freedom) == pytest.approx(2 * reference.sf(2.0, freedom), rel=0.02)
        assert student_tail(2.0, freedom) >= 2 * reference.sf(2.0, freedom)
    assert student_tail(2.0, 0.2) == student_tail(2.0, 1.0)


def _means(rows: np.ndarray) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Per seed (a row of images) the weighted mean."""
    return [lambda weights, row=row: weights @ row / weights.sum(axis=-1) for row in rows]


def _draw(random: np.random.Generator, seed_sd: float, image_sd: float, rest_sd: float, truth: float) -> np.ndarray:
    """(3 seeds, 40 images) of one crossed design."""
    by_seed = random.normal(0, seed_sd, size=(3, 1))
    return truth + by_seed + random.normal(0, image_sd, size=(1, 40)) + random.normal(0, rest_sd, size=(3, 40))


@pytest.mark.parametrize(
    ("seed_sd", "image_sd", "rest_sd"), [(0.03, 0.15, 0.05), (0.05, 0.05, 0.02), (0.005, 0.2, 0.1)]
)
def test_intervals_over_seeds_cover_the_truth(seed_sd: float, image_sd: float, rest_sd: float) -> None:
    random = np.random.default_rng(11)
    trials, truth = 400, 0.1
    covered = false_alarms = 0
    for trial in range(trials):
        rows = _draw(random, seed_sd, image_sd, rest_sd, truth)
        found = over_seeds(_means(rows), 40, resamples=200, seed=trial)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
        null = over_seeds(_means(rows - truth), 40, resamples=200, seed=trial)
        false_alarms += null.p < 0.05
    assert 0.93 <= covered / trials <= 0.995
    assert false_alarms == trials - covered, "the p-value of 0 and the interval tell the same"


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("seed_sd", [0.0, 0.02, 0.1])
def test_intervals_cover_in_the_published_simulation(seeds: int, seed_sd: float) -> None:
    """docs/studies.md has the figures of many more trials."""
    assert 0.89 <= simulation.coverage(simulation.Design(seeds, 20, seed_sd), 150, resamples=100) <= 1.0


def test_verdicts_are_seldom_wrong_with_four_contrasts() -> None:
    design = simulation.Design(3, 40, 0.0)
    for expect, truth, wrong in simulation.WRONG:
        assert simulation.wrong_verdicts(design, expect, truth, wrong, 60, resamples=60) <= 0.1, (expect, wrong)


def test_one_seed_alone_covers_too_little() -> None:
    """Why several seeds are trained: an interval over images alone misses what another seed would give."""
    random = np.random.default_rng(12)
    found = [
        over_seeds(_means(_draw(random, 0.05, 0.05, 0.02, 0.1)[:1]), 40, resamples=200, seed=i) for i in range(200)
    ]
    covered = [one.low is not None and one.high is not None and one.low <= 0.1 <= one.high for one in found]
    assert np.mean(covered) < 0.6


def test_an_effect_over_seeds_by_hand() -> None:
    found = over_seeds(_means(np.array([[0.2] * 8, [0.4] * 8, [0.6] * 8])), 8, resamples=50)
    error = 0.2 / 3**0.5
    assert found.by_seed == pytest.approx((0.2, 0.4, 0.6))
    assert found.mean == pytest.approx(0.4)
    # All images agree, so that two degrees of freedom of the seeds remain: t = 4.303.
    assert (found.low, found.high) == pytest.approx((0.4 - 4.3027 * error, 0.4 + 4.3027 * error), abs=1e-4)
    # Two-sided p of t with two degrees of freedom: 1 - t / sqrt(2 + t**2).
    t = 0.4 / error
    assert found.p == pytest.approx(1 - t / (2 + t * t) ** 0.5)


def test_effects_without_spread_or_value() -> None:
    nothing = over_seeds(_means(np.zeros((3, 5))), 5, resamples=20)
    assert (nothing.mean, nothing.low, nothing.high, nothing.p) == (0.0, 0.0, 0.0, 1.0)
    alone = over_seeds(_means(np.array([[0.3]])), 1)
    assert (alone.mean, alone.low, alone.high, alone.p) == (0.3, None, None, 1.0)
    valueless = over_seeds(_means(np.array([[np.nan] * 4, [0.1] * 4])), 4, resamples=20)
    assert (valueless.low, valueless.high, valueless.p) == (None, None, 1.0)
    assert np.isnan(valueless.mean)
    with pytest.raises(ValueError, match="no seed"):
        over_seeds([], 3)


def test_rounding_is_no_difference() -> None:
    """0.1 + 0.2 - 0.3 is 6e-17 in every image: without spread this must not pass for a sure difference."""
    found = over_seeds(_means(np.full((3, 10), 0.1 + 0.2 - 0.3)), 10, resamples=50)
    assert decide(GREATER, (0.3, 0.3), found, found.p)[0] != "supported"


def test_no_false_alarm_among_few_images_is_no_proof_of_none() -> None:
    """Rates at 0 have no spread over images; the interval is at least as wide as Wilson's."""
    from gi_bench.harness.analysis.study.columns import least_variance
    from gi_bench.harness.statistics import wilson

    none = np.stack([np.zeros(6), np.ones(6)], axis=1)
    least = least_variance([none, none])
    found = over_seeds(_means(np.zeros((3, 6))), 6, resamples=50, least_variance=least)
    bound = wilson(0, 6)
    assert bound is not None
    assert found.high is not None
    assert found.high > bound[1] / 2
    more = Contrast("rate", "a", "b", "no more", 0.02)
    assert decide(more, (0.0, 0.0), found, found.p)[0] == "undecided"
    many = np.stack([np.zeros(2000), np.ones(2000)], axis=1)
    sure = over_seeds(_means(np.zeros((3, 2000))), 2000, resamples=50, least_variance=least_variance([many, many]))
    assert decide(more, (0.0, 0.0), sure, sure.p)[0] == "supported"


def test_no_more_is_no_less_the_other_way() -> None:
    rising = over_seeds(_means(np.full((3, 50), 0.1) + np.linspace(-0.001, 0.001, 50)), 50, resamples=100)
    assert decide(Contrast("rate", "a", "b", "no more", 0.02), (0.2, 0.1), rising, rising.p)[0] == "not supported"
    assert decide(Contrast("rate", "a", "b", "no less", 0.02), (0.2, 0.1), rising, rising.p)[0] == "supported"
