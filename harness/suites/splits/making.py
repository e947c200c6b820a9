"""Image-disjoint splits: an image is on one side only, whatever asks about it.

The official split of Kvasir-VQA-x1 is by row, so most of its test images are training images too, and splits made
for one task at a time leak across tasks. Here the images are gathered over all tasks first and then divided once,
by source group and, inside a group, by iterative stratification of what is asked of them.

``gathering`` reads what sets ask of their images, ``split`` is what is made here and its file, ``shares`` counts what
came of it; what goes into a split and what is asked of one can be imported from here, too.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gi_bench.harness.errors import DataError, GiBenchError
from gi_bench.harness.suites.splits.gathering import (
    AskedRow,
    ImageUse,
    gather,
    group_of,
    read_sources,
    rows_of_file,
    rows_of_suite,
)
from gi_bench.harness.suites.splits.shares import shares
from gi_bench.harness.suites.splits.split import SIDES, Side, Source, Split


def check_share(fraction: float) -> None:
    """Refuse a share of test images that is none.

    Raises:
        GiBenchError: it is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise GiBenchError(f"test share {fraction:g}", do="it lies between 0 and 1, e.g. 0.2")


def make_split(
    uses: Iterable[ImageUse],
    *,
    fraction: float = 0.2,
    seed: int = 42,
    sources: Iterable[Source] = (),
    together: Iterable[tuple[str, str]] = (),
) -> Split:
    """Divide images into train and test.

    The result depends on the uses, the fraction and the seed only: not on the order of the input.

    Args:
        uses: what is asked of each image; an image that comes twice counts once, with all that is asked of it.
        fraction: wanted share of test images, between 0 and 1. Every source group gets it to within one image.
        seed: decides among images that are alike.
        sources: where the uses came from, to be written into the split.
        together: pairs of images that have to be on one side, as near-duplicates have; what is linked through others
            is, too. A source group's sides may then miss their sizes by as much as such images are.

    Raises:
        GiBenchError: the fraction is not between 0 and 1.
        DataError: so few images that a side stays empty.
    """
    check_share(fraction)
    images = gather(AskedRow(use.img_id, use.tasks, use.classes) for use in uses)
    groups: dict[str, list[ImageUse]] = defaultdict(list)
    for use in sorted(images, key=lambda use: _lot(seed, use.img_id)):
        groups[group_of(use.img_id)].append(use)
    sizes = _apportion({name: len(members) for name, members in groups.items()}, fraction)
    bound = {img_id: members for members in linked(together) for img_id in members}
    sides: dict[str, Side] = {}
    carried: dict[str, float] = defaultdict(float)
    for name in sorted(groups):
        _divide(groups[name], sizes[name], fraction, carried, _Placed(sides, bound))
    if len(set(sides.values())) < 2:
        raise DataError(
            f"{len(images)} images are too few for a test share of {fraction:g}", do="give more sets, or another share"
        )
    return Split(sides, seed, fraction, tuple(sorted(sources)))


def linked(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Images that pairs link, directly or through others; each group sorted, and the groups by their first image.

    >>> linked([("c", "b"), ("x", "y"), ("a", "b")])
    [('a', 'b', 'c'), ('x', 'y')]
    """
    above: dict[str, str] = {}

    def root(img_id: str) -> str:
        while (parent := above.setdefault(img_id, img_id)) != img_id:
            above[img_id] = above[parent]
            img_id = parent
        return img_id

    for pair in pairs:
        first, second = sorted(map(root, pair))
        above[second] = first
    groups: dict[str, list[str]] = defaultdict(list)
    for img_id in sorted(above):
        groups[root(img_id)].append(img_id)
    return sorted(tuple(members) for members in groups.values() if len(members) > 1)


@dataclass(frozen=True)
class _Placed:
    """Sides so far, and the images that have to be on the side of another."""

    sides: dict[str, Side]
    bound: Mapping[str, tuple[str, ...]]

    def with_it(self, img_id: str) -> tuple[str, ...]:
        """The image and what goes with it."""
        return self.bound.get(img_id, (img_id,))


def _lot(seed: int, img_id: str) -> bytes:
    return hashlib.sha256(f"{seed}\t{img_id}".encode()).digest()


def _apportion(counts: Mapping[str, int], fraction: float) -> dict[str, int]:
    """Test images per group: each within one of its exact share, together the rounded share of all."""
    sizes = {name: math.floor(count * fraction) for name, count in counts.items()}
    left = math.floor(sum(counts.values()) * fraction + 0.5) - sum(sizes.values())
    by_remainder = sorted(counts, key=lambda name: (sizes[name] - counts[name] * fraction, name))
    for name in by_remainder[: max(left, 0)]:
        sizes[name] += 1
    return sizes


def _divide(
    images: Sequence[ImageUse], test_size: int, fraction: float, carried: dict[str, float], placed: _Placed
) -> None:
    """Iterative stratification of one group: the rarest label first, each image where its label is wanted most.

    ``carried`` holds, by label, the test images that earlier groups still owe; so rounding does not add up.
    """
    sides = placed.sides
    room: dict[Side, int] = {"train": len(images) - test_size, "test": test_size}
    labels = {use.img_id: sorted(use.classes | {f"task {task}" for task in use.tasks}) for use in images}
    waiting: dict[str, list[str]] = defaultdict(list)
    for use in images:
        for label in labels[use.img_id]:
            waiting[label].append(use.img_id)
    want: dict[Side, dict[str, float]] = {"train": {}, "test": {}}
    for label, members in waiting.items():
        want["test"][label] = len(members) * fraction + carried[label]
        want["train"][label] = len(members) - want["test"][label]

    def count(img_id: str, side: Side) -> None:
        room[side] -= 1
        for label in labels[img_id]:
            want[side][label] -= 1

    def place(img_id: str, side: Side) -> None:
        for one in placed.with_it(img_id):
            sides[one] = side
            if one in labels:  # else it is of a later group, which counts it when its turn comes
                count(one, side)

    for use in images:
        if use.img_id in sides:  # an earlier group brought it along
            count(use.img_id, sides[use.img_id])
    while waiting:
        rarest = min(waiting, key=lambda label: (len(waiting[label]), label))
        for img_id in waiting.pop(rarest):
            if img_id in sides:
                continue
            size = len(placed.with_it(img_id))
            # Full sides take no more: the size of the group's sides is exact, that of a label as near as it gets.
            needs = {s: (room[s] >= size, want[s][rarest], room[s], s == "train") for s in SIDES}
            place(img_id, max(SIDES, key=lambda s: needs[s]))
        waiting = {label: left for label, ids in waiting.items() if (left := [i for i in ids if i not in sides])}
    for use in images:
        if use.img_id not in sides:  # nothing is known of it
            place(use.img_id, "test" if room["test"] >= len(placed.with_it(use.img_id)) else "train")
    for label, owed in want["test"].items():
        carried[label] = owed


__all__ = [
    "AskedRow",
    "ImageUse",
    "Source",
    "Split",
    "check_share",
    "gather",
    "linked",
    "make_split",
    "read_sources",
    "rows_of_file",
    "rows_of_suite",
    "shares",
]
