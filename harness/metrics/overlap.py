"""Counting on blocks of token numbers: shared n-grams, common subsequences. Exact, for many pairs at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.metrics.tokens import Block, Ints

Counts = npt.NDArray[np.int64]
# Texts longer than this are counted one by one: a square of their length does not fit in memory.
_WIDE = 4096


def shared_ngrams(block: Block, orders: int) -> Iterator[Counts]:
    """Clipped n-gram matches of every pair, for n = 1 to ``orders``.

    The k-th occurrence of an n-gram in the prediction matches if the reference has at least k of them.

    Yields:
        (m,) counts: the sum over n-grams of the smaller of both frequencies.
    """
    if block.ours.shape[1] > _WIDE:
        yield from _shared_one_by_one(block, orders)
        return
    one = block.ours[:, :, None] == block.theirs[:, None, :]
    one_own = block.ours[:, :, None] == block.ours[:, None, :]
    one_own &= np.tri(one_own.shape[1], dtype=bool)
    both, own = one, one_own
    for order in range(1, orders + 1):
        if order > 1:
            if both.shape[1] < 2 or both.shape[2] < 2:
                yield np.zeros(len(block.ours), dtype=np.int64)
                both, own = both[:, :0], own[:, :0, :0]
                continue
            shift = order - 1
            both = both[:, :-1, :-1] & one[:, shift:, shift:]
            own = own[:, :-1, :-1] & one_own[:, shift:, shift:]
        available = _count(both)
        yield np.count_nonzero((available >= _count(own)) & (available > 0), axis=1)


def _count(marks: npt.NDArray[np.bool_]) -> npt.NDArray[np.integer[Any]]:
    """Number of marks along the last axis, in the smallest type that holds it."""
    small = np.uint8 if marks.shape[-1] < 256 else np.uint16
    return np.asarray(np.add.reduce(marks.view(np.uint8), axis=-1, dtype=small))


def _shared_one_by_one(block: Block, orders: int) -> Iterator[Counts]:
    for order in range(1, orders + 1):
        found = []
        for ours, theirs, a, b in zip(block.ours, block.theirs, block.ours_length, block.theirs_length, strict=True):
            counts = _ngrams(ours[:a].tolist(), order) & _ngrams(theirs[:b].tolist(), order)
            found.append(sum(counts.values()))
        yield np.array(found, dtype=np.int64)


def _ngrams(tokens: list[int], order: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))


def rank_from_right(words: Ints, is_open: npt.NDArray[np.bool_]) -> Counts:
    """(m, a) for (m, a) words: how many equal open words stand at or behind each place."""
    if words.shape[1] <= _WIDE:
        same = words[:, :, None] == words[:, None, :]
        same &= np.tri(words.shape[1], dtype=bool).T & is_open[:, None, :]
        return _count(same).astype(np.int64)
    found = np.zeros(words.shape, dtype=np.int64)
    for row in range(len(words)):
        seen: Counter[int] = Counter()
        for i in range(words.shape[1] - 1, -1, -1):
            word = int(words[row, i])
            seen[word] += bool(is_open[row, i])
            found[row, i] = seen[word]
    return found


def longest_common_subsequence(block: Block) -> Counts:
    """(m,) lengths of the longest common subsequences."""
    row = np.zeros((len(block.theirs), block.theirs.shape[1] + 1), dtype=np.int32)
    for i in range(block.ours.shape[1]):
        longer = np.where(block.theirs == block.ours[:, i : i + 1], row[:, :-1] + 1, 0)
        row[:, 1:] = np.maximum.accumulate(np.maximum(row[:, 1:], longer), axis=1)
    return row[:, -1].astype(np.int64)
