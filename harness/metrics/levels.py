"""Confidences as levels: the columns over which measures of ranking keep their sums.

One run's columns have to mean what another's do, so that two runs can be swapped image by image. The levels therefore
do not depend on the run: a fixed grid, a hundredth wide in the middle and ever finer towards 0 and 1, where the
confidences of networks crowd. Only where a run's confidences crowd within a few levels does it get levels of its own;
it can then be compared with nobody, which its columns say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.statistics import levels

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_TAIL = np.logspace(-8, -2, 79)
GRID: tuple[float, ...] = tuple(np.concatenate([_TAIL, np.arange(2, 99) / 100, 1 - _TAIL[::-1]]).tolist())
# Share of right-wrong pairs that the grid may tie though their confidences differ: a measure of ranking is then off by
# half of it at most.
_MOST_TIED = 0.05


def grid_levels(
    confidence: Floats, right: npt.NDArray[Any], wrong: npt.NDArray[Any]
) -> tuple[Codes, tuple[float, ...]]:
    """Level of each confidence, from 0 up, and the edges of all levels, one fewer than there are.

    A confidence on an edge belongs to the level above it. Edges are :data:`GRID`, or the run's own where the grid would
    tie too many pairs.

    Args:
        confidence: (n,) in [0, 1].
        right, wrong: (n,) 0 or 1, which rows are told apart by their confidence.
    """
    codes = np.searchsorted(np.array(GRID), confidence, side="right").astype(np.int64)
    _, distinct = np.unique(confidence, return_inverse=True)
    if _tied(codes, right, wrong) - _tied(distinct, right, wrong) <= _MOST_TIED:
        return codes, GRID
    codes, _ = levels(confidence)
    return codes, own_edges(confidence, codes)


def own_edges(confidence: Floats, codes: Codes) -> tuple[float, ...]:
    """The least confidence of every level but the first: edges that tell whether two runs' levels mean the same."""
    least = np.full(int(codes.max()) + 1, np.inf)
    np.minimum.at(least, codes, confidence)
    return tuple(least[1:].tolist())


def _tied(codes: npt.NDArray[Any], right: npt.NDArray[Any], wrong: npt.NDArray[Any]) -> float:
    """Share of the pairs of a right and a wrong row whose codes are equal; 0 without pairs."""
    a, b = np.bincount(codes, weights=right), np.bincount(codes, weights=wrong)
    pairs = float(a.sum() * b.sum())
    return float((a * b).sum()) / pairs if pairs else 0.0


__all__ = ["GRID", "grid_levels", "own_edges"]
