"""The permutation test of two paired runs: whether their difference could come from swapping them image by image.

If two runs are equally good, each image might as well have been answered by the other one. Few images are enumerated,
more are drawn until the p-value is known well enough: the test stops early where nothing is to be found, and goes as
far as its table of comparisons needs where there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

Floats = npt.NDArray[np.float64]
Value = Callable[[Any], Any]
# (some, images) of 0 and 1: whether an image is swapped.
Swaps = npt.NDArray[Any]

# Up to so many images that differ, all 2 ** n swaps are looked at: half of them, since the others mirror these.
EXACT_IMAGES = 16
# Extreme swaps after which drawing stops: a p-value from h of them has a relative error of about 1 / sqrt(h).
_ENOUGH = 100
# Least number of draws where the table asks for fewer.
_LEAST = 2_000
# The smallest p-value times the number of comparisons is 1 / 400, far enough below .05 that chance does not decide.
_PER_COMPARISON = 400
# Numbers of a chunk of swaps, or of their sums: 32 MB.
_CHUNK_ELEMENTS = 4_000_000
_EXACT_IN_FLOAT32 = 2.0**24


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """The libraries that multiply NumPy's matrices."""
    return ThreadpoolController()


def product(counts: npt.NDArray[Any], values: Floats) -> Floats:
    """Matrix product of whole numbers, at least 0, with any numbers.

    Sums of whole numbers below 2 ** 24 are exact in float32, in any order: of those the product is the same to the last
    digit, and takes half the time. All others are made on one thread: two would add up in another order, and wait for
    each other longer than they multiply.

    Args:
        counts: (n, m) whole numbers.
        values: (m, k).
    """
    largest = float(counts.max(initial=0)) * float(np.abs(values).sum(axis=0).max(initial=0.0))
    with _libraries().limit(limits=1, user_api="blas"):
        if largest < _EXACT_IN_FLOAT32 and bool((values == np.rint(values)).all()):
            return (counts.astype(np.float32) @ values.astype(np.float32)).astype(np.float64)
        return np.asarray(counts.astype(np.float64) @ values)


def draws_needed(comparisons: int) -> int:
    """Permutations with which each of so many comparisons can be decided after Holm's correction."""
    return max(_LEAST, _PER_COMPARISON * comparisons)


@dataclass(frozen=True)
class Permuted:
    """What a permutation test found.

    Attributes:
        p: two-sided p-value: the share of swaps, the observed one included, with a difference at least as large.
        smallest: the smallest p-value that this test could have given.
        swaps: number of swaps looked at.
        exact: whether they are all there are.
        valueless: swaps without a value (0/0), which count as extreme, so that they never make a difference surer.
    """

    p: float
    smallest: float
    swaps: int
    exact: bool
    valueless: int = 0


def permutation_test(first: Floats, second: Floats, value: Value, *, most: int, seed: int = 0) -> Permuted:
    """Test whether two runs on the same images differ.

    Images on which the sums are equal cannot tell and are left out. With 16 images or fewer left the test is exact;
    else swaps are drawn until 100 are as extreme as what was observed or ``most`` were drawn (Besag and Clifford 1991:
    the p-value is valid whenever drawing stops; with all drawn it is (extreme + 1) / (most + 1), Phipson and Smyth
    2010).

    Args:
        first, second: (images, k) sums of sufficient statistics per image; rows and columns mean the same in both.
        value: (..., k) -> (...), of either run.
        most: swaps to draw at most.
        seed: of the draws.

    Raises:
        ValueError: the observed difference is not a number.
    """
    observed = float(value(first.sum(axis=0)) - value(second.sum(axis=0)))
    if not np.isfinite(observed):
        raise ValueError("a difference without a value cannot be tested")
    scale = np.maximum(1.0, np.maximum(np.abs(first), np.abs(second)))
    differ = np.flatnonzero((np.abs(first - second) > 1e-12 * scale).any(axis=1))
    if not len(differ):
        return Permuted(1.0, 1.0, 1, True)
    gap, totals = (first - second)[differ], (first.sum(axis=0), second.sum(axis=0))
    # Ties count as extreme; sums in another order differ in the last digits.
    edge = abs(observed) * (1 - 1e-9) - 1e-12

    def extreme(swapped: Swaps) -> tuple[npt.NDArray[np.bool_], int]:
        moved = product(swapped, gap)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.abs(value(totals[0] - moved) - value(totals[1] + moved))
        known = np.isfinite(found)
        return ~known | (found >= edge), int((~known).sum())

    width = max(len(differ), *first.shape)
    if len(differ) <= EXACT_IMAGES:
        return _exact(len(differ), extreme, max(1, _CHUNK_ELEMENTS // width))
    return _drawn(len(differ), extreme, max(1, _CHUNK_ELEMENTS // width), most, seed)


_Extreme = Callable[[Swaps], "tuple[npt.NDArray[np.bool_], int]"]


def _exact(images: int, extreme: _Extreme, rows: int) -> Permuted:
    """All swaps that leave the last image alone; swapping every image too gives the same difference negated."""
    count, found, valueless = 2 ** (images - 1), 0, 0
    for start in range(0, count, rows):
        numbers = np.arange(start, min(start + rows, count))
        swapped = (numbers[:, None] >> np.arange(images)) & 1
        hits, without = extreme(swapped)
        found, valueless = found + int(hits.sum()), valueless + without
    return Permuted(found / count, 1 / count, 2 * count, True, 2 * valueless)


def _drawn(images: int, extreme: _Extreme, rows: int, most: int, seed: int) -> Permuted:
    smallest = 1 / (most + 1)
    found = valueless = drawn = 0
    for swapped in _swaps(images, most, rows, seed):
        hits, without = extreme(swapped)
        places = np.flatnonzero(hits)
        if found + len(places) >= _ENOUGH:
            last = int(places[_ENOUGH - found - 1]) + 1
            return Permuted(_ENOUGH / (drawn + last), smallest, drawn + last, False, valueless + without)
        found, valueless, drawn = found + len(places), valueless + without, drawn + len(swapped)
    return Permuted((found + 1) / (drawn + 1), smallest, drawn, False, valueless)


def _swaps(images: int, count: int, rows: int, seed: int) -> Iterator[Swaps]:
    """``count`` random swaps, in arrays (some, images) of 0 and 1."""
    random = np.random.default_rng([seed, images, 1])
    rows = min(rows, _LEAST)
    while count > 0:
        size = min(rows, count)
        bits = random.integers(0, 256, size=(size, -(-images // 8)), dtype=np.uint8)
        yield np.unpackbits(bits, axis=1, count=images)
        count -= size
