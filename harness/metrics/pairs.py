"""Pairs of a right and a wrong answer: AUROC within strata, and the base rate that a confidence has to beat.

AUROC counts pairs of rows, and is no function of sums over rows as such. Its first order is: with each row goes what it
adds to the pairs counted, less its even share of all of them, since a pair has two rows and would count twice. These
sums give the value exactly, and its interval as DeLong et al. 1988 have it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from gi_bench.harness.metrics.base import Sums

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
FOLDS = 5


def pair_sums(score: Floats, right: Floats, strata: Codes) -> Sums:
    """(n, 2) pairs in the right order (ties half) and pairs, as sums over rows.

    Args:
        score: (n,) the higher, the more likely right.
        right: (n,) 0 or 1.
        strata: (n,) codes from 0; only rows of one stratum make a pair.

    >>> pair_sums(np.array([0.9, 0.1, 0.5]), np.array([1.0, 0.0, 0.0]), np.zeros(3, int)).sum(axis=0).round(9).tolist()
    [2.0, 2.0]
    """
    order = np.lexsort((score, strata))
    sorted_score, sorted_strata = score[order], strata[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(sorted_score) != 0) | (np.diff(sorted_strata) != 0)
    cell = np.empty(len(order), dtype=np.int64)
    cell[order] = np.cumsum(new) - 1
    cells, count = int(new.sum()), int(strata.max(initial=-1)) + 1
    rights, wrongs = np.bincount(cell, right, cells), np.bincount(cell, 1 - right, cells)
    total_right, total_wrong = np.bincount(strata, right, count), np.bincount(strata, 1 - right, count)
    # Cells are sorted by stratum: what lies in the strata before is taken off.
    right_before = (np.cumsum(total_right) - total_right)[strata]
    wrong_before = (np.cumsum(total_wrong) - total_wrong)[strata]
    below = (np.cumsum(wrongs) - wrongs / 2)[cell] - wrong_before
    above = total_right[strata] - ((np.cumsum(rights) - rights / 2)[cell] - right_before)
    ordered = np.where(right > 0, below, above)
    pairs = np.where(right > 0, total_wrong[strata], total_right[strata])
    share = np.bincount(strata, right * below, count) / np.maximum(np.bincount(strata, minlength=count), 1)
    all_pairs = total_right * total_wrong / np.maximum(np.bincount(strata, minlength=count), 1)
    return np.stack([ordered - share[strata], pairs - all_pairs[strata]], axis=1)


def pair_value(total: Sums) -> Sums:
    """AUROC in [0, 1] from sums (..., 2) of :func:`pair_sums`; NaN without pairs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = total[..., 0] / np.where(total[..., 1] > 1e-9, total[..., 1], np.nan)
    return np.asarray(np.clip(found, 0.0, 1.0))


def folds(images: Sequence[str]) -> Codes:
    """(n,) fold of each row's image: images in the order of their ids' hashes are dealt into at most five."""
    ordered = sorted(set(images), key=lambda img_id: sha256(img_id.encode("utf-8", "surrogatepass")).digest())
    dealt = {img_id: place % FOLDS for place, img_id in enumerate(ordered)}
    return np.array([dealt[img_id] for img_id in images], dtype=np.int64)


def base_rates(right: Floats, classes: Sequence[Hashable], said: Sequence[Hashable], fold: Codes) -> Floats:
    """(n,) share of right answers among those of other folds that say the same to the same classes.

    One more row, with the share of the classes, stands in each; and in that of the classes one with the share of all.

    Args:
        right: (n,) 0 or 1.
        classes: (n) question classes of each row.
        said: (n) what each answer says.
        fold: (n,) from :func:`folds`.
    """
    overall = _others(right, [None] * len(right), fold, np.full(len(right), 0.5))
    by_class = _others(right, classes, fold, overall)
    return _others(right, list(zip(classes, said, strict=True)), fold, by_class)


def _others(right: Floats, keys: Sequence[Hashable], fold: Codes, prior: Floats) -> Floats:
    """Share right among the rows of other folds with the same key, one row of ``prior`` added."""
    numbers: dict[Hashable, int] = {}
    codes = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    cell = codes * FOLDS + fold
    size = len(numbers) * FOLDS
    hits = np.bincount(codes, right)[codes] - np.bincount(cell, right, size)[cell]
    rows = np.bincount(codes)[codes] - np.bincount(cell, minlength=size)[cell]
    return np.asarray((hits + prior) / (rows + 1))


__all__ = ["FOLDS", "base_rates", "folds", "pair_sums", "pair_value"]
