"""The 95 % interval of one score: of a rate, and of any other function of sums over images.

**Rates** (hits of rows, rows in images). The bounds are the rates at which as few (as many) hits would be rare. How
rare depends on how much alike the rows of an image are, the intra-class correlation rho. The rows tell it badly where
hits are few and not at all where there is none, so that it is not estimated but averaged over: with weights from the
beta-binomial likelihood, whose logarithm is linear in three counts (images with more than k hits, misses, rows). Given
rho, the tail is that of a binomial variable whose n is the number of rows divided by the design effect.

**Other scores**: bias-corrected and accelerated bootstrap (Efron 1987) over images, its quantiles moved outwards as far
as Student's t lies outside the normal distribution (Hesterberg 2015, "expanded percentiles"), since a bootstrap of few
images is too narrow.
"""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from gi_bench.harness.statistics import LEVEL, Bootstrap, Floats, Value, student_quantile

# Raised when intervals are made in another way: stored scores say by which one theirs were made.
INTERVAL_VERSION = 2
METHOD = (
    "95 % over images. Rates: tail inversion with the correlation of an image's rows averaged over its likelihood "
    "(beta-binomial). Others: expanded bias-corrected and accelerated bootstrap, {resamples} resamples, seed {seed}"
)

Bounds = tuple[float, float]

# Correlations that are averaged over, with even weight along the line.
_RHO: Floats = np.array([0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.55, 0.7, 0.85, 0.95])
_PRIOR: Floats = np.gradient(_RHO)
_TAIL = (1 - LEVEL) / 2
# With no hit at all the interval has one open side, but part of the error comes from samples with hits.
_TAIL_WITHOUT_HITS = 0.04
# How much the weights of rho follow the rate that is tried (1), or are those of all rates together (0). At 0 the
# interval is too short where rows are much alike, at 1 too wide where they are not.
_FOLLOW = 0.3
# A continuity correction of half a row, of which a quarter of a hit is taken back: exact tails would be too long.
_CONTINUITY = 0.25


def rate_interval(by_image: Floats) -> Bounds | None:
    """95 % interval of a rate whose rows come in images.

    Hits scattered over images say that rows are little alike, which alone would make the upper bound fall as hits are
    added. So it is never below that of the same images without a hit, nor with the hits of those images alone that
    are hit in every row; the lower bound likewise.

    Args:
        by_image: (images, 2) hits and rows of each image: whole numbers, hits at most rows. Images without rows do
            not count.

    Returns:
        Bounds in [0, 1] around the share of hits; None with fewer than two images that have rows.

    >>> [round(bound, 2) for bound in rate_interval(np.array([[0.0, 5.0]] * 20))]
    [0.0, 0.1]
    >>> [round(bound, 2) for bound in rate_interval(np.array([[1.0, 2.0]] * 30))]
    [0.37, 0.63]
    >>> rate_interval(np.array([[1.0, 5.0]])) is None
    True
    """
    by_image = by_image[by_image[:, 1] > 0]
    if len(by_image) < 2:
        return None
    hits = np.rint(by_image[:, 0]).astype(np.int64)
    rows = np.rint(by_image[:, 1]).astype(np.int64)
    sizes = np.bincount(rows)
    present = np.flatnonzero(sizes)
    without = _upper_without(tuple(present.tolist()), tuple(sizes[present].tolist()))
    if not hits.any():
        return 0.0, without
    if (hits == rows).all():
        return 1 - without, 1.0
    tails = _Tails(hits, rows)
    upper = max(without, tails.upper(_TAIL), _of_full_images(hits, rows))
    lower = max(without, 1 - tails.lower(_TAIL), _of_full_images(rows - hits, rows))
    return 1 - lower, upper


def _of_full_images(hits: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> float:
    """Upper bound of the hits of images that are hit in every row; 0 where they are under a quarter of all hits."""
    alone = np.where(hits == rows, hits, 0)
    rest = int(hits.sum() - alone.sum())
    if not 0 < rest <= 3 * alone.sum():
        return 0.0
    return _Tails(alone, rows).upper(_TAIL)


@functools.lru_cache(maxsize=4096)
def _upper_without(sizes: tuple[int, ...], images: tuple[int, ...]) -> float:
    """Upper bound without a hit, of so many images of each size."""
    rows = np.repeat(np.array(sizes), np.array(images))
    return _Tails(np.zeros_like(rows), rows).upper(_TAIL_WITHOUT_HITS)


class _Tails:
    """How likely as few, or as many, hits are at any rate, averaged over correlations.

    Args:
        hits, rows: (images,) of each image; rows are positive, and some row is no hit.
    """

    def __init__(self, hits: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> None:
        self._k, (self._hits, self._misses, all_rows) = _counts(hits, rows)
        self._of_rows = np.log((1 - _RHO[:, None]) + self._k * _RHO[:, None]) @ all_rows
        self._total, self._found = float(rows.sum()), float(hits.sum())
        # Kish's design effect (1965) of rows that correlate by rho.
        self._effective = self._total / (1 + _RHO * (float((rows**2).sum()) / self._total - 1))
        share = (self._found + 0.5) / (self._total + 1)
        spread = 1 / math.sqrt(self._total * share * (1 - share))
        # Close to the observed rate rates lie a fraction of its error apart, far from it units of log odds.
        steps = np.geomspace(0.2 * spread, max(12.0, 4 * spread), 32)
        self._grid = math.log(share / (1 - share)) + np.concatenate([-steps[::-1], [0.0], steps])
        rate = _logistic(self._grid)
        self._on_grid = self._likelihood(rate)
        # Jeffreys' prior of a rate, in log odds.
        prior = np.sqrt(rate * (1 - rate)) * np.gradient(self._grid)
        overall = prior @ np.exp(self._on_grid - self._on_grid.max())
        self._overall = np.log(np.maximum(overall / overall.sum(), 1e-300))

    def _likelihood(self, rate: Floats) -> Floats:
        """(rates, rho) logarithm of the beta-binomial likelihood, up to a constant."""
        p, rho, k = rate[:, None, None], _RHO[:, None], self._k
        hit, miss = np.log(p * (1 - rho) + k * rho), np.log((1 - p) * (1 - rho) + k * rho)
        return np.asarray(hit @ self._hits + miss @ self._misses - self._of_rows)

    def _tail(self, rate: Floats, likelihood: Floats, *, many: bool) -> Floats:
        """Logarithm of the probability of at most (``many``: at least) as many hits at each rate."""
        follow = likelihood - likelihood.max(axis=1, keepdims=True)
        weights = np.exp((1 - _FOLLOW) * self._overall + _FOLLOW * follow) * _PRIOR
        weights /= weights.sum(axis=1, keepdims=True)
        if self._found == 0:  # the likelihood itself is that probability; the approximation is for sums
            tail = np.exp(likelihood)
        else:
            found, p = (self._total - self._found, 1 - rate) if many else (self._found, rate)
            scaled = found / self._total * self._effective
            scaled -= _CONTINUITY + (0.5 - _CONTINUITY) * (1 - self._effective / self._total)
            tail = binomial_tail(np.maximum(scaled, -0.499), self._effective, p[:, None])
        return np.asarray(np.log(np.maximum((weights * tail).sum(axis=1), 1e-300)))

    def upper(self, tail: float) -> float:
        """The largest rate at which as few hits have at least this probability."""
        return self._bound(math.log(tail), many=False)

    def lower(self, tail: float) -> float:
        """The smallest rate at which as many hits have at least this probability."""
        return self._bound(math.log(tail), many=True)

    def _bound(self, wanted: float, *, many: bool) -> float:
        grid, likelihood, outwards = self._grid, self._on_grid, -1 if many else 1
        for _ in range(2):
            values = self._tail(_logistic(grid), likelihood, many=many)
            inside = np.flatnonzero(values >= wanted)
            if not len(inside):  # not even the observed rate, by rounding
                return float(self._found / self._total)
            edge = int(inside[0] if many else inside[-1])
            beyond = edge + outwards
            if not 0 <= beyond < len(grid):
                return 0.0 if many else 1.0
            ends, tails = (grid[edge], grid[beyond]), (values[edge], values[beyond])
            grid = np.linspace(min(ends), max(ends), 8)
            likelihood = self._likelihood(_logistic(grid))
        part = (tails[0] - wanted) / max(tails[0] - tails[1], 1e-12)
        return float(_logistic(np.array(ends[0] + part * (ends[1] - ends[0]))))


def _counts(hits: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> tuple[Floats, list[Floats]]:
    """k = 0, 1, ... and how many images have more than k hits, misses and rows.

    Beyond 32 rows neighbouring k are taken together: their terms hardly differ.
    """
    most = int(rows.max())
    tallies = []
    for values in (hits, rows - hits, rows):
        at_most = np.cumsum(np.bincount(values, minlength=most + 1))[:most]
        tallies.append((len(values) - at_most).astype(np.float64))
    if most <= 32:
        return np.arange(most, dtype=np.float64), tallies
    starts = np.unique(np.concatenate([np.arange(32), np.geomspace(32, most, 40).astype(np.int64)[:-1]]))
    ends = np.append(starts[1:], most)
    return (starts + ends - 1) / 2, [np.add.reduceat(tally, starts) for tally in tallies]


def _logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def binomial_tail(most: Floats, n: Floats, p: Floats) -> Floats:
    """P(X <= most) of a binomial variable, also for n and ``most`` that are no whole numbers.

    Peizer and Pratt's approximation (1968), good to .005 from n = 5 on, to .01 below. It is part of how intervals are
    defined, as is :func:`normal_cdf`: ``scipy.special.betainc``, exact and as fast, would move bounds by up to .0015.

    Args:
        most: above -0.5, at most n - 0.5.
        n: trials.
        p: in (0, 1).
    """
    q = 1 - p
    most = np.minimum(most, n - 0.501)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = most + 2 / 3 - (n + 1 / 3) * p + 0.02 * (q / (most + 1) - p / (n - most) + (q - 0.5) / (n + 1))
        curve = 1 + q * _curve((most + 0.5) / (n * p)) + p * _curve((n - most - 0.5) / (n * q))
        return normal_cdf(distance * np.sqrt(np.maximum(curve, 0) / ((n + 1 / 6) * p * q)))


def _curve(x: Floats) -> Floats:
    near = np.abs(x - 1) < 1e-4
    safe = np.where(near | (x <= 0), 2.0, x)
    found = (1 - safe**2 + 2 * safe * np.log(safe)) / (1 - safe) ** 2
    return np.where(x <= 0, 1.0, np.where(near, (1 - x) / 3, found))


def normal_cdf(z: Floats) -> Floats:
    """Distribution function of the normal distribution to 1e-7 (Abramowitz and Stegun 7.1.26)."""
    x = np.abs(z) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * x)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    upper = series * np.exp(-x * x) / 2
    return np.asarray(np.where(z < 0, upper, 1 - upper))


def bootstrap_interval(by_image: Floats, value: Value, bootstrap: Bootstrap) -> Bounds | None:
    """Expanded BCa interval of any function of sums over images.

    Args:
        by_image: (images, k) sums of the sufficient statistics of each image.
        value: (..., k) -> (...).
        bootstrap: draws images.

    Returns:
        Bounds, or None with fewer than two images or where no resample has a value.
    """
    images = len(by_image)
    if images < 2 or bootstrap.resamples < 1:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.asarray(value(bootstrap.sums(by_image)))
        total = by_image.sum(axis=0)
        observed = float(value(total))
        left_out = np.asarray(value(total - by_image))
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return None
    normal = NormalDist()
    rounding = 1e-12 * max(1.0, abs(observed))
    below = float((drawn < observed - rounding).mean() + (np.abs(drawn - observed) <= rounding).mean() / 2)
    # More bias than half the resamples' spread is a statistic at its edge, which no shift of quantiles mends.
    bias = normal.inv_cdf(min(max(below, 0.3), 0.7)) if math.isfinite(observed) else 0.0
    acceleration = _acceleration(left_out)
    reach = student_quantile(1 - LEVEL, images - 1) * math.sqrt(images / (images - 1))
    chances = [normal.cdf(bias + (bias + z) / max(1 - acceleration * (bias + z), 0.2)) for z in (-reach, reach)]
    low, high = np.quantile(drawn, chances)
    if math.isfinite(observed):
        low, high = min(low, observed), max(high, observed)
    return float(low), float(high)


def _acceleration(left_out: Floats) -> float:
    """Skewness of a statistic over images, from its values without each of them."""
    left_out = left_out[np.isfinite(left_out)]
    gaps = left_out.mean() - left_out if len(left_out) else left_out
    spread = float((gaps**2).sum())
    # Rounding would give a constant a skewness.
    return float((gaps**3).sum()) / (6 * spread**1.5) if spread > 1e-20 else 0.0


def beside_unseen(interval: Bounds, by_image: Floats, observed: float, low: float, high: float) -> Bounds:
    """The interval where no resample differs: rows of another kind may exist that were not drawn.

    As many of them as the same rows without a hit allow may be worth anything in the metric's range.

    Args:
        interval: bounds found without them.
        by_image: (images,) rows of each image.
        observed: the score.
        low, high: range of the metric.
    """
    if len(by_image) < 2 or not low <= observed <= high:
        return interval
    bounds = rate_interval(np.stack([np.zeros(len(by_image)), by_image], axis=1))
    if bounds is None:
        return interval
    share = bounds[1]
    return (
        min(interval[0], observed - (observed - low) * share),
        max(interval[1], observed + (high - observed) * share),
    )
