"""Rows as columns for the page's script: one entry a distinct text, list or outline, and numbers that point to them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gi_bench.harness.schema import REPLY_STATES, Phrase, Question, Region
from gi_bench.harness.store import Run
from gi_bench.reports.browser.outlines import drawing_size, outline_path
from gi_bench.reports.browser.rows import Row, Said
from gi_bench.reports.pages import visible

NONE = -1
# A run that has no word on a row.
NOT_COVERED = "x"
_REPLY_LETTERS = dict(zip(REPLY_STATES, "sdrun", strict=True))
Entry = TypeVar("Entry", bound=Hashable)


@dataclass
class _Distinct(Generic[Entry]):
    """Distinct entries in the order in which they came."""

    places: dict[Entry, int] = field(default_factory=dict)

    def place(self, entry: Entry | None) -> int:
        """Number of an entry; -1 for None."""
        return NONE if entry is None else self.places.setdefault(entry, len(self.places))

    @property
    def entries(self) -> list[Entry]:
        return list(self.places)


def cut(text: str, longest: int) -> str:
    """A text with what is hidden in it made visible, and no longer than some characters.

    >>> cut("abcdef", 4)
    'abcd… (cut here: 6 characters in all)'
    """
    if len(text) <= longest:
        return visible(text)
    return f"{visible(text[:longest])}… (cut here: {len(text):,} characters in all)"


class _Packer:
    def __init__(self, runs: Sequence[Run], sizes: Mapping[str, tuple[int, int]], longest: int) -> None:
        self._runs, self._longest = runs, longest
        self._texts: _Distinct[str] = _Distinct()
        self._cut: dict[str, int] = {}
        self._lists: _Distinct[tuple[int, ...]] = _Distinct()
        self._paths: _Distinct[str] = _Distinct()
        self._images: _Distinct[str] = _Distinct()
        self._sizes = sizes
        self._drawn: dict[str, tuple[int, int]] = {}
        self.cut_count = 0

    def text(self, text: str | None) -> int:
        if text is None:
            return NONE
        if text not in self._cut:
            self.cut_count += len(text) > self._longest
            self._cut[text] = self._texts.place(cut(text, self._longest))
        return self._cut[text]

    def group(self, texts: Sequence[str]) -> int:
        return self._lists.place(tuple(self.text(text) for text in texts)) if texts else NONE

    def path(self, regions: Sequence[Region] | None, img_id: str) -> int:
        """An outline; -1 where the task was not run, an empty path where nothing is shown."""
        if regions is None:
            return NONE
        width, height = self._size(img_id, regions)
        return self._paths.place(outline_path(tuple(regions), width, height))

    def _size(self, img_id: str, regions: Sequence[Region]) -> tuple[int, int]:
        if img_id not in self._drawn:
            known = self._sizes.get(img_id)
            if known is None and regions:
                known = regions[0].width, regions[0].height
            if known is None:
                return drawing_size(1, 1)
            self._drawn[img_id] = drawing_size(*known)
        return self._drawn[img_id]

    def rows(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Columns of what is asked and referred to; texts and lists are places in their tables."""
        columns: dict[str, list[Any]] = {
            name: []
            for name in (
                *("index", "image", "text", "reference", "explanation", "classes", "complexity", "finding", "region"),
                *("asked", "wanted", "read", "options", "also", "apart"),
            )
        }
        flags: dict[str, list[str]] = {"kind": [], "absent": []}
        for one in rows:
            row = one.row
            asked = row if isinstance(row, Question) else None
            flags["kind"].append("q" if asked is not None else "p")
            flags["absent"].append("1" if row.is_negative else "0")
            values = {
                "index": row.index,
                "image": self._images.place(row.img_id),
                "text": self.text(row.phrase if isinstance(row, Phrase) else row.question),
                "reference": self.text(asked.answer if asked else None),
                "explanation": self.text(asked.explanation if asked else None),
                "classes": self.group(row.question_class if isinstance(row, Question) else (row.label,)),
                "complexity": asked.complexity if asked else 0,
                "finding": self.text(asked.finding if asked else None),
                "region": self.path(one.region, row.img_id),
                "asked": self.group(one.asked),
                "wanted": self.group(one.wanted),
                "read": self.group(one.reference_read),
                "options": self.group(asked.options if asked else ()),
                "also": self.group(asked.also_accepted if asked else ()),
                "apart": self.text(one.apart) if one.apart else NONE,
            }
            for name, value in values.items():
                columns[name].append(value)
        return {**columns, **{name: "".join(letters) for name, letters in flags.items()}}

    def said(self, rows: Sequence[Row], number: int) -> dict[str, Any]:
        """What one run said of all rows."""
        columns: dict[str, list[int]] = {
            name: []
            for name in ("answer", "explanation", "phrase", "region", "read", "confidence", "iou", "says", "wrote")
        }
        flags: dict[str, list[str]] = {"state": [], "reply": [], "explained": [], "alarm": []}
        for one in rows:
            said = one.said[number]
            found = said if said is not None else Said()
            flags["state"].append(NOT_COVERED if said is None else found.state)
            flags["reply"].append(_REPLY_LETTERS[found.reply] if found.reply else ".")
            flags["explained"].append(_REPLY_LETTERS[found.explanation_reply] if found.explanation_reply else ".")
            flags["alarm"].append(str(found.alarms[0] + 2 * found.alarms[1]))
            values = {
                "answer": self.text(found.answer),
                "explanation": self.text(found.explanation),
                "phrase": self.text(found.phrase),
                "region": self.path(found.regions, one.row.img_id),
                "read": self.group(found.read),
                "confidence": _thousandths(found.confidence),
                "iou": _thousandths(found.iou),
                "says": _says(one.said, number),
                "wrote": self.text(found.wrote),
            }
            for name, value in values.items():
                columns[name].append(value)
        return {**columns, **{name: "".join(letters) for name, letters in flags.items()}}

    def images(self) -> dict[str, Any]:
        """Columns of the images: id, size of the drawing, and whether a run was trained on it."""
        ids = self._images.entries
        sizes = [self._drawn.get(img_id) or drawing_size(*self._sizes.get(img_id, (1, 1))) for img_id in ids]
        seen = [None if run.seen_images is None else run.seen_images for run in self._runs]
        return {
            "id": [self.text(img_id) for img_id in ids],
            "width": [width for width, _ in sizes],
            "height": [height for _, height in sizes],
            "seen": ["".join("." if one is None else "1" if img_id in one else "0" for one in seen) for img_id in ids],
        }

    def tables(self) -> dict[str, Any]:
        return {"texts": self._texts.entries, "lists": self._lists.entries, "paths": self._paths.entries}

    @property
    def img_ids(self) -> list[str]:
        return self._images.entries


def _says(said: Sequence[Said | None], number: int) -> int:
    """The first run that says the same as this one; -1 where it says nothing."""
    own = said[number]
    if own is None or own.says is None:
        return NONE
    return next(i for i, other in enumerate(said) if other is not None and other.says == own.says)


def _thousandths(value: float | None) -> int:
    return NONE if value is None or value < 0 else min(round(1000 * value), 10**6)


@dataclass(frozen=True)
class Packed:
    """Rows as the page's script takes them.

    Attributes:
        data: what becomes JSON; :data:`NONE` stands for what is not there.
        img_ids: images, in the order in which the data name them.
        cut_count: texts that were cut.
    """

    data: dict[str, Any]
    img_ids: list[str]
    cut_count: int


def pack(rows: Sequence[Row], runs: Sequence[Run], sizes: Mapping[str, tuple[int, int]], longest: int) -> Packed:
    """Pack rows.

    Args:
        rows: all rows to show, in their order.
        runs: the runs, in the order of what each row says.
        sizes: (width, height) in pixels of the images whose size is known, by image id.
        longest: characters after which a text is cut.

    Raises:
        ValueError: the run-length code of a region does not describe its mask.
    """
    packer = _Packer(runs, sizes, longest)
    columns = packer.rows(rows)
    said = [packer.said(rows, number) for number in range(len(runs))]
    images = packer.images()
    data = {"rows": columns, "said": said, "images": images, **packer.tables()}
    return Packed(data, packer.img_ids, packer.cut_count)


__all__ = ["Packed", "cut", "pack"]
