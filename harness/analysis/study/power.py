"""Power: the smallest effect that a study of this size finds, by the test that its verdicts rest on.

The test adds a variance over seeds, which few seeds tell badly, to one over images. Its power is computed for that very
test: both estimates are spread as their chi-squared distributions have it, each pair gives a standard error, its
degrees of freedom and with them the critical difference, and a true effect is found as often as its estimate, which is
normal, exceeds that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from gi_bench.harness.statistics import MOST_FREEDOM, Floats, SeedEffect, holm

# How likely the smallest effect is found.
FOUND = 0.8
# Estimates of each variance that stand for its distribution, at equally likely quantiles: two seeds more or less
# change a variance a lot, ten images little.
_LEVELS = (128, 32)
ALPHA = 0.05


def smallest_effect(
    seed_variance: float,
    image_variance: float,
    *,
    seeds: int,
    images: int,
    p: float = ALPHA,
    margin: float = 0.0,
    found: float = FOUND,
) -> float:
    """The true effect that a study shows with a given probability.

    It is shown where its p-value is below ``p`` and its estimate reaches the margin.

    Args:
        seed_variance: of the mean, over seeds (the variance between trainings, divided by their number); not looked at
            for one seed.
        image_variance: of the mean, over images.
        seeds, images: how many; with one image there is no variance over images.
        p: two-sided p-value below which an effect is shown, in (0, 1).
        margin: what an estimate has to reach besides, at least 0.
        found: probability, in (0, 1).

    Raises:
        ValueError: a variance or the margin is negative, or a probability is not within 0 and 1.

    >>> round(smallest_effect(0.0, 0.01**2, seeds=1, images=10_000), 4)  # 1.966 + 0.842 standard errors
    0.0281
    """
    if min(seed_variance, image_variance, margin) < 0 or not (0 < p < 1 and 0 < found < 1):
        raise ValueError("variances and margin are at least 0, probabilities within 0 and 1")
    from scipy.special import ndtr

    parts = [(seed_variance, seeds - 1, _LEVELS[0]), (image_variance, images - 1, _LEVELS[1])]
    parts = [part for part in parts if part[0] > 0 and part[1] > 0]
    if not parts:
        return margin
    spread = float(np.sqrt(sum(variance for variance, _, _ in parts)))
    least = np.maximum(_critical(parts, p), margin)
    low, high = 0.0, float(least.max()) + 10 * spread
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if ndtr((middle - least) / spread).mean() < found else (low, middle)
    # Releases of SciPy differ in the last digits.
    return float(f"{high:.6g}")


def _critical(parts: Sequence[tuple[float, int, int]], p: float) -> Floats:
    """(n,) estimates from which on an effect is shown, one an equally likely pair of estimates of the variances.

    Args:
        parts: (variance, degrees of freedom, levels).
        p: two-sided p-value.
    """
    from scipy.special import stdtrit

    estimates = [variance * _ratios(freedom, levels) for variance, freedom, levels in parts]
    if len(estimates) > 1:
        first, second = np.meshgrid(*estimates, indexing="ij")
        estimates = [first.ravel(), second.ravel()]
    total = np.sum(estimates, axis=0)
    freedom = total**2 / np.sum([e**2 / part[1] for e, part in zip(estimates, parts, strict=True)], axis=0)
    return np.asarray(-stdtrit(np.clip(freedom, 1.0, MOST_FREEDOM), p / 2) * np.sqrt(total))


@lru_cache(maxsize=64)
def _ratios(freedom: int, levels: int) -> Floats:
    """Estimate over true variance, at equally likely quantiles of its distribution."""
    from scipy.special import chdtri

    return np.asarray(chdtri(freedom, (np.arange(levels) + 0.5) / levels) / freedom)


def variances(effect: SeedEffect) -> tuple[float, float]:
    """Variances of a mean over seeds and over images, as its test has them, set right for what power asks of them.

    A standard error of few degrees of freedom is too small on average (by .886 for 2, Gurland and Tripathi 1971), and
    so would be the effect that is said to be found.

    Raises:
        ValueError: the effect has no standard error.
    """
    if effect.error is None or effect.freedom is None:
        raise ValueError("an effect without a standard error")
    from scipy.special import gammaln

    count, freedom = len(effect.by_seed), min(max(effect.freedom, 1.0), MOST_FREEDOM)
    bias = (2 / freedom) * float(np.exp(2 * (gammaln((freedom + 1) / 2) - gammaln(freedom / 2))))
    seeds = float(np.var(effect.by_seed, ddof=1)) / count if count > 1 else 0.0
    return seeds / bias, max(0.0, effect.error**2 - seeds) / bias


def thresholds(p_values: Sequence[float], alpha: float = ALPHA) -> list[float]:
    """The p-value below which each test is shown after Holm's correction, the others being as they are.

    >>> [round(one, 4) for one in thresholds([0.001, 0.2, 0.9])]
    [0.0167, 0.025, 0.025]
    >>> [round(one, 4) for one in thresholds([0.3, 0.2, 0.9])]
    [0.0167, 0.0167, 0.0167]
    """
    count = len(p_values)
    found = []
    for i in range(count):
        steps = [alpha / (count - shown) for shown in range(count)]
        # Just below the step, as a test at the step itself is not shown.
        shown = [s for s in steps if holm([*p_values[:i], s * (1 - 1e-9), *p_values[i + 1 :]])[i] < alpha]
        found.append(max(shown, default=alpha / count))
    return found


__all__ = ["ALPHA", "FOUND", "smallest_effect", "thresholds", "variances"]
