"""Counting on blocks of token numbers: shared n-grams, common subsequences. Exact, for many pairs at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.metrics.tokens import Block, Ints

Counts = npt.NDArray[np.int64]
# Texts longer than this are ranked one by one: a square of their length does not fit in memory.
_WIDE = 4096


def shared_ngrams(block: Block, orders: int) -> Iterator[Counts]:
    """Clipped n-gram matches of every pair, for n = 1 to ``orders``.

    The k-th occurrence of an n-gram in the prediction matches if the reference has at least k of them.

    Yields:
        (m,) counts: the sum over n-grams of the smaller of both frequencies.
    """
    ours, theirs = block.ours, block.theirs
    if not _fit(_base(ours, theirs), len(ours), orders):
        ours, theirs = _numbered_by_pair(ours, theirs)
    base = _base(ours, theirs)
    if not _fit(base, len(ours), orders):
        yield from _shared_one_by_one(block, orders)
        return
    both = zip(
        _grams(ours, block.ours_length, base, orders), _grams(theirs, block.theirs_length, base, orders), strict=True
    )
    for order, (predicted, wanted) in enumerate(both, start=1):
        yield _in_both(predicted, wanted, base**order, len(ours))


def _base(ours: Ints, theirs: Ints) -> int:
    return 1 + int(max(ours.max(initial=0), theirs.max(initial=0)))


def _fit(base: int, pairs: int, orders: int) -> bool:
    """Whether a pair's number, an n-gram of tokens below ``base`` and a side go into 63 bits."""
    return bool(2 * pairs * base**orders < 2**63)


def _numbered_by_pair(ours: Ints, theirs: Ints) -> tuple[Ints, Ints]:
    """Tokens with numbers of their pair, which stay below the number of its places."""
    tokens = np.concatenate([ours, theirs], axis=1)
    order = np.argsort(tokens, axis=1, kind="stable")
    ranked = np.take_along_axis(tokens, order, axis=1)
    ranks = np.zeros_like(tokens)
    np.put_along_axis(ranks, order[:, 1:], np.cumsum(ranked[:, 1:] != ranked[:, :-1], axis=1, dtype=tokens.dtype), 1)
    return ranks[:, : ours.shape[1]], ranks[:, ours.shape[1] :]


def _grams(words: Ints, lengths: Counts, base: int, orders: int) -> Iterator[Counts]:
    """For every order the n-grams of all rows as numbers, the row's number in front."""
    columns = np.arange(words.shape[1])
    inside = columns < lengths[:, None]
    flat, left = words[inside].astype(np.int64), (lengths[:, None] - columns)[inside]
    places, grams = np.arange(len(flat)), np.repeat(np.arange(len(words)), lengths)
    for order in range(orders):
        if order:
            longer = left > order
            places, grams, left = places[longer], grams[longer], left[longer]
        grams = grams * base + flat[places + order]
        yield grams


def _in_both(ours: Counts, theirs: Counts, per_pair: int, pairs: int) -> Counts:
    """(pairs,) sums over n-grams of the smaller of both frequencies."""
    sides = np.sort(np.concatenate([2 * ours, 2 * theirs + 1]))
    grams = sides >> 1
    starts = np.flatnonzero(np.append(True, grams[1:] != grams[:-1])[: len(grams)])
    if not len(starts):
        return np.zeros(pairs, dtype=np.int64)
    wanted = np.add.reduceat(sides & 1, starts)
    predicted = np.diff(starts, append=len(sides)) - wanted
    shared = np.minimum(predicted, wanted)
    return np.bincount(grams[starts] // per_pair, weights=shared, minlength=pairs).astype(np.int64)


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
