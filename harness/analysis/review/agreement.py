"""How far raters agree beyond chance: weighted kappa of each pair, Krippendorff's alpha of all.

Values are those of scikit-learn and of the ``krippendorff`` package. Their intervals draw whole images, for which the
same values are written once more as functions of sums over images; tests hold the two ways against each other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from gi_bench.harness.analysis.review.key import CRITERIA, HIGHEST, LOWEST
from gi_bench.harness.analysis.review.ratings import Floats, Ratings
from gi_bench.harness.intervals import bootstrap_interval
from gi_bench.harness.statistics import Bootstrap, encode, sums_by_image

_LEVELS = HIGHEST - LOWEST + 1


@dataclass(frozen=True)
class Agreement:
    """How far raters agree on one criterion.

    Attributes:
        criterion: what was rated.
        measure: ``weighted kappa`` (quadratic weights, of a pair) or ``Krippendorff's alpha`` (ordinal, of all).
        raters: who.
        value: at most 1, 0 by chance; None where there is none.
        low, high: 95 % interval over images; None where there is none.
        n: items that at least two of them rated.
        images: images among them.
        reason: why there is no value; empty where there is one.
    """

    criterion: str
    measure: str
    raters: tuple[str, ...]
    value: float | None
    low: float | None
    high: float | None
    n: int
    images: int
    reason: str = ""


def agreements(ratings: Ratings, images: Sequence[str], bootstrap: Bootstrap) -> Iterator[Agreement]:
    """Agreement on every criterion: of each pair of raters, and of all of them; nothing of a single rater.

    Args:
        ratings: the ratings.
        images: (items,) image id of each item: the cluster that is drawn.
        bootstrap: draws them.
    """
    if len(ratings.raters) < 2:
        return
    for column, criterion in enumerate(CRITERIA):
        values = ratings.values[:, :, column]
        for first, second in combinations(range(len(ratings.raters)), 2):
            names = ratings.raters[first], ratings.raters[second]
            yield _kappa(criterion, names, values[[first, second]], images, bootstrap)
        yield _alpha(criterion, ratings.raters, values, images, bootstrap)


def kappa_value(tables: Floats) -> Floats:
    """Quadratically weighted kappa (Cohen 1968) of tables (..., 25) of two raters' ratings; NaN without any spread."""
    table = tables.reshape(*tables.shape[:-1], _LEVELS, _LEVELS)
    levels = np.arange(_LEVELS)
    weights = (levels[:, None] - levels[None, :]) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = table.sum(axis=-1)[..., :, None] * table.sum(axis=-2)[..., None, :]
        expected = expected / table.sum(axis=(-1, -2))[..., None, None]
        return np.asarray(1 - (table * weights).sum(axis=(-1, -2)) / (expected * weights).sum(axis=(-1, -2)))


def alpha_value(coincidences: Floats) -> Floats:
    """Krippendorff's alpha for ordinal data of coincidence matrices (..., 25); NaN without any spread."""
    table = coincidences.reshape(*coincidences.shape[:-1], _LEVELS, _LEVELS)
    counts = table.sum(axis=-1)
    below = np.cumsum(counts, axis=-1)
    # Ratings between two levels, each end counted by half (Krippendorff 2011, ordinal metric).
    middle = below - counts / 2
    distance = (middle[..., :, None] - middle[..., None, :]) ** 2
    total = counts.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = (table * distance).sum(axis=(-1, -2)) / total
        chance = (counts[..., :, None] * counts[..., None, :] * distance).sum(axis=(-1, -2)) / (total * (total - 1))
        return np.asarray(1 - seen / chance)


def pair_tables(values: Floats) -> Floats:
    """(items, 25) 1 where the pair of ratings of an item falls, of (2, items) ratings without a gap."""
    first, second = (values - LOWEST).astype(np.int64)
    found = np.zeros((values.shape[1], _LEVELS * _LEVELS))
    found[np.arange(len(found)), first * _LEVELS + second] = 1.0
    return found


def coincidences(values: Floats) -> Floats:
    """(items, 25) pairs of different raters' ratings, each item weighted by its raters; of (raters, items)."""
    counts = np.stack([(values == level).sum(axis=0) for level in range(LOWEST, HIGHEST + 1)], axis=1).astype(float)
    raters = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs -= np.einsum("iv,vw->ivw", counts, np.eye(_LEVELS))
    return np.asarray((pairs / np.maximum(raters - 1, 1)[:, None, None]).reshape(len(counts), -1))


def _kappa(
    criterion: str, names: tuple[str, str], values: Floats, images: Sequence[str], bootstrap: Bootstrap
) -> Agreement:
    both = np.isfinite(values).all(axis=0)
    chosen = [images[int(i)] for i in np.flatnonzero(both)]
    measure = "weighted kappa"
    if not chosen:
        return Agreement(criterion, measure, names, None, None, None, 0, 0, "no item was rated by both")
    from sklearn.metrics import cohen_kappa_score

    first, second = values[:, both].astype(np.int64)
    with warnings.catch_warnings():  # of a division by zero, where all ratings are equal
        warnings.simplefilter("ignore")
        value = float(cohen_kappa_score(first, second, labels=list(range(LOWEST, HIGHEST + 1)), weights="quadratic"))
    bounds = _bounds(pair_tables(values[:, both]), chosen, kappa_value, bootstrap)
    return _told(criterion, measure, names, value, bounds, chosen)


def _alpha(
    criterion: str, names: tuple[str, ...], values: Floats, images: Sequence[str], bootstrap: Bootstrap
) -> Agreement:
    paired = np.isfinite(values).sum(axis=0) >= 2
    chosen = [images[int(i)] for i in np.flatnonzero(paired)]
    measure = "Krippendorff's alpha"
    if not chosen:
        return Agreement(criterion, measure, names, None, None, None, 0, 0, "no item was rated by two")
    try:
        import krippendorff
    except ImportError:
        reason = "needs the package krippendorff: pip install 'gi-bench[review]'"
        return Agreement(criterion, measure, names, None, None, None, len(chosen), len(set(chosen)), reason)
    kept = values[:, paired]
    value = np.nan
    if len(np.unique(kept[np.isfinite(kept)])) > 1:
        value = float(
            krippendorff.alpha(
                reliability_data=kept,
                level_of_measurement="ordinal",
                value_domain=list(range(LOWEST, HIGHEST + 1)),
            )
        )
    return _told(criterion, measure, names, value, _bounds(coincidences(kept), chosen, alpha_value, bootstrap), chosen)


def _bounds(
    sums: Floats, images: Sequence[str], value: Callable[[Floats], Floats], bootstrap: Bootstrap
) -> tuple[float, float] | None:
    codes, count = encode(images)
    return steady_interval(sums_by_image(sums, codes, count), value, bootstrap)


def steady_interval(
    by_image: Floats, value: Callable[[Floats], Floats], bootstrap: Bootstrap
) -> tuple[float, float] | None:
    """Bootstrap interval over images; None where more than one draw in twenty has no value."""
    if len(by_image) < 2 or bootstrap.resamples < 1:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.asarray(value(bootstrap.sums(by_image)))
    if np.isfinite(drawn).mean() < 0.95:
        return None
    return bootstrap_interval(by_image, value, bootstrap)


def _told(
    criterion: str,
    measure: str,
    names: tuple[str, ...],
    value: float,
    bounds: tuple[float, float] | None,
    images: Sequence[str],
) -> Agreement:
    count, different = len(images), len(set(images))
    if not np.isfinite(value):
        return Agreement(criterion, measure, names, None, None, None, count, different, "all ratings are equal")
    low, high = bounds or (None, None)
    return Agreement(criterion, measure, names, value, low, high, count, different)


__all__ = ["Agreement", "agreements", "alpha_value", "coincidences", "kappa_value", "pair_tables", "steady_interval"]
