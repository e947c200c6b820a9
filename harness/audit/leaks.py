"""What an audit finds: images that sets share and frames that are nearly the same, over all pairs of sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from gi_bench.harness.audit.images import (
    ImageSet,
    NearDuplicate,
    Overlap,
    disjoint_split,
    image_loader,
    near_duplicates,
    overlap,
    perceptual_hashes,
    read_set,
    union,
)
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.suites.splits.split import Split


@dataclass(frozen=True)
class SetNames:
    """The sets to audit, as the user names them: ``sets``, or both of ``train`` and ``test``.

    Attributes:
        sets: suites, files or sides of splits, of which all pairs are looked at.
        train, test: the like, joined to one training and one test set.
        data: folder with the suites' files.
        train_data: folder with the files of the training suites, where it is not ``data``.
    """

    sets: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    data: Path | None = None
    train_data: Path | None = None

    def pairs(self) -> list[tuple[ImageSet, ImageSet]]:
        """The pairs to look at: all of ``sets``, or the joined training sets against the joined test sets.

        Raises:
            GiBenchError: no pair can be made of what is given, or a set cannot be read.
        """
        if bool(self.train) != bool(self.test) or (self.sets and self.train) or (not self.train and len(self.sets) < 2):
            raise GiBenchError("nothing to compare", do="give two sets or more, or --train SET and --test SET")
        if self.train_data is not None and not self.train:
            raise GiBenchError("--train-data is the folder of --train suites", do="give --train SET and --test SET")
        if self.train:
            train = union("train", [read_set(name, self.train_data or self.data) for name in self.train])
            return [(train, union("test", [read_set(name, self.data) for name in self.test]))]
        return list(combinations(_told_apart([read_set(name, self.data) for name in self.sets], self.sets), 2))


def _told_apart(sets: Sequence[ImageSet], given: Sequence[str]) -> list[ImageSet]:
    """The sets, those of one name called as the user gave them, and numbered where that is one name too."""
    names = [one.name for one in sets]
    names = [path if names.count(name) > 1 else name for name, path in zip(names, given, strict=True)]
    found = []
    for position, (one, name) in enumerate(zip(sets, names, strict=True)):
        number = f" ({names[: position + 1].count(name)})" if names.count(name) > 1 else ""
        found.append(replace(one, name=name + number))
    return found


@dataclass(frozen=True)
class Leaks:
    """What some pairs of sets share.

    Attributes:
        pairs: the sets that were looked at.
        overlaps: the images that each pair shares by their id.
        near_duplicates: frames of the two sides of a pair that are nearly the same; None if pixels were not compared.
        distance: bits of 64 in which the hashes of near-duplicates may differ.
    """

    pairs: tuple[tuple[ImageSet, ImageSet], ...]
    overlaps: tuple[Overlap, ...]
    near_duplicates: tuple[NearDuplicate, ...] | None
    distance: int

    @property
    def count(self) -> int:
        """Shared images and near-duplicates."""
        return sum(result.shared_images for result in self.overlaps) + len(self.near_duplicates or ())

    def disjoint_split(self) -> Split:
        """The first pair as training and test side, without the test images that leak.

        Raises:
            DataError: every test image leaks.
        """
        return disjoint_split(*self.pairs[0], self.near_duplicates or ())

    def plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        near = None if self.near_duplicates is None else [asdict(pair) for pair in self.near_duplicates]
        return {
            "overlaps": [asdict(result) for result in self.overlaps],
            "near_duplicates": near,
            "distance": self.distance,
        }


def find_leaks(named: SetNames, *, images: Path | None, near: bool | None, distance: int) -> Leaks:
    """Compare sets by image ids and, where there are pictures, by pixels.

    Args:
        named: the sets.
        images: folder with the pictures of all sets; None for those of the suites.
        near: whether pixels are compared; None if there are any.
        distance: bits of 64 in which the hashes of near-duplicates may differ.

    Raises:
        GiBenchError: a set cannot be read, or pixels are asked for and a set has none.
    """
    pairs = named.pairs()
    overlaps = tuple(overlap(*pair) for pair in pairs)
    loader = None if near is False else image_loader([one for pair in pairs for one in pair], images)
    if loader is None:
        if near:
            raise GiBenchError("near-duplicates need images", do="give --images DIR, or suites with images")
        return Leaks(tuple(pairs), overlaps, None, distance)
    hashes = perceptual_hashes(sorted({img_id for pair in pairs for one in pair for img_id in one.rows}), loader)
    found: list[NearDuplicate] = []
    for first, second in pairs:
        found += near_duplicates(
            {img_id: hashes[img_id] for img_id in first.rows},
            {img_id: hashes[img_id] for img_id in second.rows},
            distance=distance,
        )
    return Leaks(tuple(pairs), overlaps, tuple(found), distance)


def leak_lines(leaks: Leaks) -> list[str]:
    """What leaks, as a table for the terminal; at most 20 near-duplicates are named."""
    results = leaks.overlaps
    width = max(len(name) for result in results for name in (result.first, result.second))
    lines = [f"{'set':<{width}}  {'set':<{width}}  shared images       rows on them"]
    for result in results:
        share = f"{result.shared_images} of {result.first_images} / {result.second_images}"
        rows = f"{result.first_rows} / {result.second_rows}"
        mark = "  across tasks" if result.across_tasks and result.shared_images else ""
        lines.append(f"{result.first:<{width}}  {result.second:<{width}}  {share:<18}  {rows}{mark}")
        if result.examples:
            lines.append(f"  e.g. {', '.join(result.examples)}")
    duplicates = leaks.near_duplicates
    if duplicates is None:
        return [*lines, "near-duplicates: not looked for (no images)"]
    lines.append(f"near-duplicates within {leaks.distance} bits: {len(duplicates)}")
    return lines + [f"  {pair.first}  {pair.second}  {pair.distance} bits" for pair in duplicates[:20]]
