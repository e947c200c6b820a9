"""A split: which image is on which side, and the file that says so."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from gi_bench.harness.checking import checked, parse_json, read_text
from gi_bench.harness.errors import DataError

Side = Literal["train", "test"]
SIDES: tuple[Side, ...] = ("train", "test")
FORMAT = "gi-bench split 1"


@dataclass(frozen=True, order=True)
class Source:
    """A set that a split was made from: its name (no path) and the SHA-256 of its content."""

    fingerprint: str
    name: str


@dataclass(frozen=True)
class Split:
    """Which image is on which side.

    Attributes:
        sides: ``train`` or ``test`` by image id.
        seed, fraction: how it was made; ``fraction`` is the wanted share of test images.
        sources: the sets that the images came from.
    """

    sides: Mapping[str, Side]
    seed: int
    fraction: float
    sources: tuple[Source, ...] = field(default=())

    def images(self, side: Side) -> tuple[str, ...]:
        """Ids of one side, sorted."""
        return tuple(sorted(img_id for img_id, where in self.sides.items() if where == side))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over seed, fraction, the sources' fingerprints and every image's side; names do not count."""
        digest = hashlib.sha256(f"{FORMAT}\nseed\t{self.seed}\nfraction\t{self.fraction!r}\n".encode())
        for source in sorted(self.sources):
            digest.update(f"source\t{source.fingerprint}\n".encode())
        for img_id in sorted(self.sides):
            digest.update(f"{img_id}\t{self.sides[img_id]}\n".encode())
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write the split as JSON, atomically.

        Raises:
            RunError: the file cannot be written.
        """
        from gi_bench.harness.files import write_json

        content = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "seed": self.seed,
            "fraction": self.fraction,
            "sources": [{"name": s.name, "fingerprint": s.fingerprint} for s in sorted(self.sources)],
            "sides": {side: list(self.images(side)) for side in SIDES},
        }
        write_json(path, content)

    @staticmethod
    def read(path: Path) -> Split:
        """Read a split and check it.

        Raises:
            DataError: missing, of another format, an unknown side, an image twice, an unsafe id, or the
                fingerprint does not fit.
        """
        return split_from_json(read_json(path), path)


def read_json(path: Path) -> Any:
    """Read JSON; a name that occurs twice in one object is refused, since one of the two would be lost.

    Raises:
        DataError: missing, not JSON, or with a name twice.
    """
    do = "give a file of gi-bench split or a list of image ids"
    return parse_json(read_text(path, do, DataError), path, do, DataError)


@dataclass(frozen=True)
class _FileSource:
    """An entry of ``sources``."""

    fingerprint: str
    name: str


@dataclass(frozen=True)
class _File:
    """The keys of a split's file; ids are checked one by one."""

    format: str
    fingerprint: str
    seed: int
    fraction: float
    sources: tuple[_FileSource, ...]
    sides: Mapping[str, tuple[Any, ...]]


def split_from_json(content: Any, where: object) -> Split:
    """Check a split's parsed JSON; see :meth:`Split.read`."""
    from gi_bench.harness.suites.image_ids import check_image_id

    again = "make it again with gi-bench split"
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"not a split of the format {FORMAT!r}", where=where, do=again)
    found = checked(content, _File, where, do=again, error=DataError)
    sources = tuple(Source(one.fingerprint, one.name) for one in found.sources)
    listed = found.sides
    sides: dict[str, Side] = {}
    for name in listed:
        if name not in SIDES:
            raise DataError(f"unknown side {name[:60]!r}", where=where, do=f"sides are {' and '.join(SIDES)}")
    for side in SIDES:
        for img_id in listed.get(side, ()):
            known = check_image_id(img_id, where)
            if known in sides:
                raise DataError(f"image {known} is there twice", where=where, do=again)
            sides[known] = side
    split = Split(sides, found.seed, found.fraction, sources)
    if found.fingerprint != split.fingerprint:
        raise DataError("the split was changed: its fingerprint does not fit", where=where, do=again)
    return split


__all__ = ["FORMAT", "SIDES", "Side", "Source", "Split", "read_json", "split_from_json"]
