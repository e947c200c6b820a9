"""Visual explanations of somebody else's rows (subtask 2) as regions: masks out of pictures or run lengths, and boxes.

A mask is white (or any one value) on black, of its image's aspect ratio. Boxes are ``[x1, y1, x2, y2]`` in pixels of
the image. Where a row has masks, its boxes are taken for the boxes around them. Heat maps are no regions: they are
counted and said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from gi_bench.harness.errors import DataError
from gi_bench.harness.json_text import parse_json
from gi_bench.harness.regions import fits
from gi_bench.harness.run_lengths import compressed
from gi_bench.harness.schema import Question, Region
from gi_bench.harness.suites.masks import read_mask

if TYPE_CHECKING:
    from gi_bench.harness.suites.base import Suite

_MASKS = frozenset({"segmentation_mask", "segmentation", "mask"})
_BOXES = frozenset({"bounding_box", "bounding_boxes", "bbox", "box", "boxes"})
_SKIP = "or give --no-visuals to leave visual explanations unread"


class Visuals:
    """Reads what rows show.

    Args:
        folder: what paths of pictures are relative to: the folder of the file.
        suite: gives the sizes of images.

    Attributes:
        passed_over: entries that are no regions, by kind.
    """

    def __init__(self, folder: Path, suite: Suite) -> None:
        self._folder, self._suite = folder, suite
        self._sizes: dict[str, tuple[int, int]] = {}
        for phrase in suite.phrases:
            if phrase.region is not None:
                self._sizes.setdefault(phrase.img_id, (phrase.region.width, phrase.region.height))
        self.passed_over: Counter[str] = Counter()

    def regions(self, row: Mapping[str, Any], question: Question, where: str) -> tuple[Region, ...] | None:
        """The regions of one row; None if it has no mask and no box, empty if it says that there is nothing.

        Raises:
            DataError: an entry cannot be read, a picture is missing or lies outside the folder, or a mask or box does
                not fit its image.
        """
        entries = self._entries(row.get("visual_explanation"), where)
        if entries is None:
            return None
        masks, boxes = [], []
        label = question.finding or "shown"
        for number, entry in enumerate(entries):
            place = f"{where}, visual {number}"
            kind, data = self._entry(entry, place)
            if kind in _MASKS:
                masks.append(self._mask(data, label, question.img_id, place))
            elif kind in _BOXES:
                boxes += self._boxes(data, label, question.img_id, place)
            else:
                self.passed_over[kind[:40]] += 1
        found = tuple(masks or boxes)
        return found if found or not entries else None

    def _entries(self, value: object, where: str) -> list[Any] | None:
        if isinstance(value, str) and value.strip()[:1] in ("[", "{"):  # a field of a table
            value = parse_json(value, where, error=DataError)
        if value is None or value == "":
            return None
        if isinstance(value, dict):
            return [value]
        if not isinstance(value, list):
            raise DataError(
                "visual_explanation is no list", where=where, do=f"give objects with type and data, {_SKIP}"
            )
        return value

    def _entry(self, entry: object, where: str) -> tuple[str, Any]:
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str) or "data" not in entry:
            raise DataError("not an object with type and data", where=where, do=f"mend the entry, {_SKIP}")
        return entry["type"].strip().lower().replace(" ", "_").replace("-", "_"), entry["data"]

    def _size(self, img_id: str, where: str) -> tuple[int, int]:
        if img_id not in self._sizes:
            if not self._suite.has_images:
                raise DataError(
                    f"the size of the image {img_id} is not known", where=where, do=f"give images/ in --data, {_SKIP}"
                )
            self._sizes[img_id] = self._suite.load_image(img_id).size
        return self._sizes[img_id]

    def _mask(self, data: object, label: str, img_id: str, where: str) -> Region:
        if isinstance(data, Mapping):
            region = _from_code(data, label, where)
        elif isinstance(data, str) and data.strip():
            region = Region.from_mask(label, read_mask(self._picture(data, where)))
        else:
            raise DataError("a mask that is neither a path nor a run-length code", where=where, do=f"mend it, {_SKIP}")
        if img_id not in self._sizes and not self._suite.has_images:
            return region  # scored on nothing: no reference region, no image
        size = self._size(img_id, where)
        if not fits((region.width, region.height), size):
            raise DataError(
                f"the mask has {region.width} x {region.height} pixels, its image {size[0]} x {size[1]}",
                where=where,
                do=f"make masks of the image's size, {_SKIP}",
            )
        return region

    def _picture(self, data: str, where: str) -> Path:
        relative = PurePosixPath(data.strip().replace("\\", "/"))
        path = self._folder / relative
        outside = relative.is_absolute() or ".." in relative.parts or "\0" in data or ":" in data
        if outside or not path.resolve().is_relative_to(self._folder.resolve()):
            raise DataError(
                f"a path outside the file's folder: {data[:60]!r}", where=where, do="paths are relative to the file"
            )
        if not path.is_file():
            raise DataError(f"no picture {data[:60]!r}", where=where, do=f"put it beside the file, {_SKIP}")
        return path

    def _boxes(self, data: object, label: str, img_id: str, where: str) -> list[Region]:
        rows = data if isinstance(data, list) and data and all(isinstance(one, list) for one in data) else [data]
        if data == []:
            return []
        return [self._box(box, label, img_id, where) for box in rows]

    def _box(self, box: object, label: str, img_id: str, where: str) -> Region:
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
            raise DataError("a box that is not four numbers", where=where, do=f"give [[x1, y1, x2, y2]], {_SKIP}")
        width, height = self._size(img_id, where)
        x1, y1, x2, y2 = (float(value) for value in box)
        told = f"the box {[x1, y1, x2, y2]}"
        if max(x1, y1, x2, y2) <= 1:
            raise DataError(
                f"{told} is not in pixels of the {width} x {height} image", where=where, do=f"give pixels, {_SKIP}"
            )
        if x2 <= x1 or y2 <= y1 or min(x1, y1) < -1 or x2 > width + 1 or y2 > height + 1:
            raise DataError(
                f"{told} does not lie on the {width} x {height} image", where=where, do=f"give x1, y1, x2, y2, {_SKIP}"
            )
        return Region.from_box(label, (x1, y1, x2, y2), height, width)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _from_code(data: Mapping[str, Any], label: str, where: str) -> Region:
    """A region of COCO's ``{"size": [height, width], "counts": ...}``, compressed or not."""
    size, counts = data.get("size"), data.get("counts")
    try:
        if not isinstance(size, list) or len(size) != 2:
            raise ValueError("a run-length code without size [height, width]")
        if isinstance(counts, list):
            counts = compressed(counts, size[0], size[1])
        if not isinstance(counts, str):
            raise ValueError("a run-length code without counts")
        region = Region(label, size[0], size[1], counts)
        region.check()
        return region
    except (ValueError, TypeError) as error:  # the latter for a size that is a list
        raise DataError(str(error), where=where, do=f"mend the code, {_SKIP}") from error


__all__ = ["Visuals"]
