"""Intervals, paired comparisons and corrections, over images and on sufficient statistics.

The questions of one image are not independent: whole images are resampled or permuted, never rows. Every metric is a
function of sums over rows (:mod:`gi_bench.harness.metrics.base`), so that a resample costs one row of a matrix product,
for corpus BLEU as for a mean.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.permutation import permutation_test, product

Floats = npt.NDArray[np.float64]
Value = Callable[[Any], Any]

LEVEL = 0.95
# Weights of a chunk of resamples stay near 32 MB whatever the number of images.
_CHUNK_ELEMENTS = 4_000_000
# Weights that are kept for the next metric on as many images: at most 256 MB.
_KEPT_ELEMENTS = 256_000_000
# Columns from which on a table is called wide.
_WIDE = 32
# Sums over resamples that are kept for metrics with the same statistics: at most 128 MB.
_KEPT_PRODUCTS = 16_000_000


def encode(labels: Sequence[str]) -> tuple[npt.NDArray[np.int64], int]:
    """Labels as numbers in order of first appearance, and how many there are.

    >>> codes, count = encode(["b", "a", "b"])
    >>> codes.tolist(), count
    ([0, 1, 0], 2)
    """
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int64)
    return codes, len(numbers)


def sums_by_image(sums: Floats, codes: npt.NDArray[np.int64], images: int) -> Floats:
    """(images, k) sums of the rows (n, k) of each image; ``codes`` (n,) gives a row's image.

    >>> sums_by_image(np.array([[1.0], [2.0], [4.0]]), np.array([0, 1, 0]), 3).tolist()
    [[5.0], [2.0], [0.0]]
    """
    if sums.shape[1] >= _WIDE and len(sums) and bool((sums == np.rint(sums)).all()):
        # Whole numbers have the same sum in any order: rows are added up as they lie in memory, not column by column.
        order = np.argsort(codes, kind="stable")
        present, starts = np.unique(codes[order], return_index=True)
        found = np.zeros((images, sums.shape[1]))
        found[present] = np.add.reduceat(sums[order], starts, axis=0)
        return found
    columns = [np.bincount(codes, weights=column, minlength=images) for column in sums.T]
    return np.stack(columns, axis=1) if columns else np.zeros((images, 0))


def levels(values: Floats, most: int = 256) -> tuple[npt.NDArray[np.int64], int]:
    """Values grouped into at most ``most`` levels of about equal size, in rising order, and how many there are.

    Distinct values are kept apart where there are no more than ``most``; equal values always share a level.

    >>> codes, count = levels(np.array([0.9, 0.2, 0.9]))
    >>> codes.tolist(), count
    ([1, 0, 1], 2)
    """
    distinct, codes = np.unique(values, return_inverse=True)
    if len(distinct) <= most:
        return codes.astype(np.int64), len(distinct)
    middle = np.cumsum(np.bincount(codes)) - np.bincount(codes) / 2
    grouped = np.minimum((middle * most / len(values)).astype(np.int64), most - 1)
    _, dense = np.unique(grouped, return_inverse=True)
    return dense[codes].astype(np.int64), int(dense.max()) + 1


class Bootstrap:
    """Draws images with replacement; equal numbers of images get equal draws, so that runs are paired."""

    def __init__(self, resamples: int, seed: int) -> None:
        self.resamples, self.seed = resamples, seed
        self._kept: dict[int, list[npt.NDArray[np.uint8]]] = {}
        self._room = _KEPT_ELEMENTS
        self._products: OrderedDict[bytes, Floats] = OrderedDict()
        self._products_room = _KEPT_PRODUCTS

    def weights(self, images: int) -> Iterator[Floats]:
        """How often each image is drawn: arrays (some resamples, images) that add up to all resamples."""
        for chunk in self._counts(images):
            yield chunk.astype(np.float64)

    def _counts(self, images: int) -> Iterator[npt.NDArray[Any]]:
        """:meth:`weights` as whole numbers."""
        if images in self._kept:
            yield from self._kept[images]
            return
        keep: list[npt.NDArray[np.uint8]] = []
        for chunk in self._draw(images):
            if self.resamples * images <= self._room:
                keep.append(chunk.astype(np.uint8))
            yield chunk
        if keep and int(max(chunk.max() for chunk in keep)) < 255:
            self._kept[images] = keep
            self._room -= self.resamples * images

    def sums(self, by_image: Floats) -> Floats:
        """(resamples, k) sums over each resample of (images, k); read-only, as several metrics share them."""
        digest = hashlib.blake2b(np.ascontiguousarray(by_image).data, digest_size=16)
        digest.update(repr(by_image.shape).encode())
        key = digest.digest()
        if key in self._products:
            self._products.move_to_end(key)
            return self._products[key]
        parts = [product(chunk, by_image) for chunk in self._counts(len(by_image))]
        found = np.concatenate(parts) if parts else np.zeros((0, by_image.shape[1]))
        found.flags.writeable = False
        if found.size <= _KEPT_PRODUCTS // 4:
            self._products[key] = found
            self._products_room -= found.size
            while self._products_room < 0:
                self._products_room += self._products.popitem(last=False)[1].size
        return found

    def _draw(self, images: int) -> Iterator[npt.NDArray[np.int64]]:
        random = np.random.default_rng([self.seed, images])
        chunk = max(1, _CHUNK_ELEMENTS // max(1, images))
        left = self.resamples
        while left > 0:
            rows = min(chunk, left)
            draws = random.integers(0, images, size=(rows, images))
            offsets = np.arange(rows)[:, None] * images
            yield np.bincount((draws + offsets).ravel(), minlength=rows * images).reshape(rows, images)
            left -= rows


@lru_cache(maxsize=2)
def shared_bootstrap(resamples: int, seed: int) -> Bootstrap:
    """The same draws for all runs and metrics of a process: they are made once."""
    return Bootstrap(resamples, seed)


def _percentiles(values: Floats) -> tuple[float, float] | None:
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def wilson(hits: float, n: float) -> tuple[float, float] | None:
    """95 % interval of a share of ``n`` independent rows (Wilson 1927); None for n = 0.

    Rows of one image are not independent: see :func:`gi_bench.harness.intervals.rate_interval`.

    >>> [round(bound, 3) for bound in wilson(0, 10)]
    [0.0, 0.278]
    >>> wilson(0, 0) is None
    True
    """
    if n <= 0:
        return None
    z = 1.959963984540054
    middle = (hits + z * z / 2) / (n + z * z)
    half = z * float(np.sqrt(hits * (n - hits) / n + z * z / 4)) / (n + z * z)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Difference:
    """What a paired comparison found.

    Attributes:
        difference: value of the first run minus value of the second.
        low, high: 95 % percentile bootstrap interval of the difference; None with fewer than two images, or where more
            than one resample in twenty has no value.
        p: two-sided p-value of the permutation test that swaps the runs image by image.
        images: number of images.
        smallest: the smallest p-value that the test could have given.
        swaps: permutations looked at.
        exact: whether they are all there are.
        valueless_swaps: permutations without a value, which count as extreme.
        valueless_draws: resamples without a value, which the interval leaves out.
    """

    difference: float
    low: float | None
    high: float | None
    p: float
    images: int
    smallest: float = 0.0
    swaps: int = 0
    exact: bool = False
    valueless_swaps: int = 0
    valueless_draws: int = 0


# Share of resamples that may lack a value; with more, those that have one are no sample of what could have been.
_MOST_VALUELESS = 0.05


def paired(
    first: Floats,
    second: Floats,
    value: Value,
    *,
    second_value: Value | None = None,
    resamples: int = 2000,
    permutations: int | None = None,
    seed: int = 0,
) -> Difference:
    """Compare two runs on the same images.

    Args:
        first, second: (images, k) sums of sufficient statistics per image, rows aligned.
        value: (..., k) -> (...).
        second_value: of the second run, where it is another function of the same columns; None for ``value``.
        resamples: bootstrap resamples.
        permutations: to draw at most, where the images are too many for all of them; None for as many as resamples.
        seed: seed of both.

    Raises:
        ValueError: the shapes differ, or the difference has no value.
    """
    if first.shape != second.shape:
        raise ValueError(f"runs on different images: {first.shape} and {second.shape}")
    theirs = second_value or value
    observed = float(value(first.sum(axis=0)) - theirs(second.sum(axis=0)))
    tested = permutation_test(first, second, value, most=permutations or resamples, seed=seed)
    interval, valueless = None, 0
    if len(first) > 1:
        bootstrap = shared_bootstrap(resamples, seed)
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = np.asarray(value(bootstrap.sums(first)) - theirs(bootstrap.sums(second)))
        valueless = int((~np.isfinite(drawn)).sum())
        if valueless <= _MOST_VALUELESS * len(drawn):
            interval = _percentiles(drawn)
    low, high = interval if interval else (None, None)
    return Difference(
        observed,
        low,
        high,
        tested.p,
        len(first),
        tested.smallest,
        tested.swaps,
        tested.exact,
        tested.valueless,
        valueless,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm 1979), in the order given, each at most 1.

    What has no p-value (NaN) was not tested: it keeps none and costs the others nothing.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    >>> holm([0.01, float("nan"), 0.9])
    [0.02, nan, 0.9]
    """
    tested = [i for i in np.argsort(p_values, kind="stable").tolist() if not np.isnan(p_values[i])]
    adjusted, largest = [float("nan")] * len(p_values), 0.0
    for rank, i in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


@dataclass(frozen=True)
class SeedEffect:
    """A mean over seeds, with an interval for other seeds and other images.

    Attributes:
        mean: mean over seeds.
        low, high: 95 % interval; None where neither seeds nor images say anything of the spread.
        p: two-sided p-value of a mean of 0; 1 without an interval.
        by_seed: value of each seed.
        images: number of images.
        error: standard error of the mean; None where there is none, or where it was not stored.
        freedom: degrees of freedom of the error.
    """

    mean: float
    low: float | None
    high: float | None
    p: float
    by_seed: tuple[float, ...]
    images: int
    error: float | None = None
    freedom: float | None = None

    def bounds(self, level: float) -> tuple[float, float] | None:
        """Interval of another level, e.g. 0.9875 for one of four that hold together; None without an error."""
        if self.error is None or self.freedom is None:
            return None
        half = student_quantile(1 - level, self.freedom) * self.error if self.error else 0.0
        return self.mean - half, self.mean + half


def over_seeds(
    effects: Sequence[Callable[[Floats], Floats]],
    images: int,
    *,
    resamples: int = 1000,
    seed: int = 0,
    least_variance: float = 0.0,
) -> SeedEffect:
    """Mean of an effect over trainings with several seeds that were scored on the same images.

    Seeds and images are crossed, so that their variances add up: that of the mean over seeds (from its spread over
    seeds) and that over images (bootstrap, whole images drawn at once for all seeds). What seed and image have in
    common counts in both, which makes the interval wider, never narrower. Quantiles are those of Student's t with
    Satterthwaite's degrees of freedom (1946).

    Args:
        effects: one a seed: weights (..., images), how often each image is drawn, to values (...).
        images: number of images.
        resamples: bootstrap resamples.
        seed: of the bootstrap.
        least_variance: over images, used where the bootstrap sees none: of rates at 0 or 1.

    Raises:
        ValueError: no seed is given.
    """
    if not effects:
        raise ValueError("no seed")
    ones = np.ones((1, images))
    by_seed = np.array([float(effect(ones)[0]) for effect in effects])
    mean, count = float(by_seed.mean()), len(by_seed)
    parts = []
    if count > 1:
        parts.append((float(by_seed.var(ddof=1)) / count, count - 1))
    if images > 1 and resamples > 1:
        weights = shared_bootstrap(resamples, seed).weights(images)
        drawn = np.concatenate([np.mean([effect(w) for effect in effects], axis=0) for w in weights])
        known = np.isfinite(drawn)
        # The resamples that have a value are no sample of what could have been where many have none.
        if 1 - known.mean() > _MOST_VALUELESS:
            return SeedEffect(mean, None, None, 1.0, tuple(by_seed.tolist()), images)
        drawn = drawn[known]
        if len(drawn) > 1:
            spread = float(drawn.var(ddof=1))
            parts.append((spread if spread > _ROUNDING**2 else least_variance, images - 1))
    if not parts or not np.isfinite(mean):
        return SeedEffect(mean, None, None, 1.0, tuple(by_seed.tolist()), images)
    variance = sum(part for part, _ in parts)
    values = tuple(by_seed.tolist())
    if variance < _ROUNDING**2:
        p = float(abs(mean) < _ROUNDING)
        return SeedEffect(mean, mean, mean, p, values, images, 0.0, float(MOST_FREEDOM))
    freedom = variance**2 / sum(part**2 / f for part, f in parts)
    error = float(np.sqrt(variance))
    half = student_quantile(1 - LEVEL, freedom) * error
    return SeedEffect(
        mean, mean - half, mean + half, student_tail(mean / error, freedom), values, images, error, freedom
    )


# Differences of sums in another order.
_ROUNDING = 1e-12
# Beyond this the distribution is the normal one to three digits. Stored intervals of many images rest on it.
MOST_FREEDOM = 400.0


def student_tail(t: float, freedom: float) -> float:
    """Two-sided p-value of Student's t.

    Args:
        t: statistic.
        freedom: degrees of freedom, at least 1; more than 400 count as 400, which makes p a little larger.

    >>> round(student_tail(2.0, 10.0), 6)
    0.073388
    """
    # What scipy.stats.t.sf calls; importing scipy.stats takes longer than scoring a small run.
    from scipy.special import stdtr

    return float(2 * stdtr(_counted(freedom), -abs(t)))


def student_quantile(p: float, freedom: float) -> float:
    """The t whose two-sided p-value is ``p`` in (0, 1], for degrees of freedom as in :func:`student_tail`.

    >>> round(student_quantile(0.05, 10.0), 6)
    2.228139
    """
    from scipy.special import gammaln, stdtr, stdtrit

    freedom = _counted(freedom)
    t = -float(stdtrit(freedom, p / 2))
    logarithm = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - (freedom + 1) / 2 * np.log1p(t * t / freedom)
    density = float(np.exp(logarithm)) / float(np.sqrt(freedom * np.pi))
    # Releases of SciPy differ by up to 4e-9 in stdtrit, not in stdtr: a Newton step makes them equal to 1e-14.
    return t + (float(stdtr(freedom, -t)) - p / 2) / density


def _counted(freedom: float) -> float:
    return min(max(freedom, 1.0), MOST_FREEDOM)
