"""Boxes ``[[x1, y1, x2, y2], ...]``: their form, their units, and whether they lie in their image.

The organisers do not say whether boxes are in pixels or in shares of the image; one file has to keep to one of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.check.records import is_finite, is_number

Unit = Literal["pixels", "shares", "either"]


@dataclass
class Units:
    """Units of a file's boxes.

    Attributes:
        lines: the lines with boxes of each unit; every one of the rarer unit is reported.
        size: width and height of the image of the row at hand; None where it is not known.
    """

    lines: dict[Unit, list[int]] = field(default_factory=lambda: {"pixels": [], "shares": [], "either": []})
    size: tuple[int, int] | None = None

    def of_row(self, size: tuple[int, int] | None) -> Units:
        """The same, for a row whose image has that size."""
        self.size = size
        return self

    def report(self, file: str, found: Findings) -> None:
        """Report the boxes whose unit is the rarer one of two."""
        pixels, shares = self.lines["pixels"], self.lines["shares"]
        if not pixels or not shares:
            return
        rare, name, common = (shares, "shares", pixels) if len(shares) <= len(pixels) else (pixels, "pixels", shares)
        for line in rare:
            found.add("box-units", f"{name} of the image" if name == "shares" else name, file, line)
        found.add("box-units", "while most boxes are in the other unit", file, common[0])


def check_boxes(boxes: Sequence[Any], units: Units, file: str, line: int, found: Findings) -> None:
    """Report boxes of another form, without area or outside; note the units of the others."""
    if not boxes:
        found.add("box-form", "no box at all; leave the entry out", file, line)
    for box in boxes:
        if not isinstance(box, list) or len(box) != 4 or not all(is_number(one) for one in box):
            found.add("box-form", f"{_told(box)}, and has to be four numbers", file, line)
            continue
        if not all(is_finite(one) for one in box):
            found.add("box-form", f"{_told(box)} is not finite", file, line)
            continue
        x1, y1, x2, y2 = box
        if x2 <= x1 or y2 <= y1:
            found.add("box-empty", f"{_told(box)}: x2 and y2 have to be larger than x1 and y1", file, line)
            continue
        unit = unit_of(box)
        units.lines[unit].append(line)
        width, height = (1, 1) if unit == "shares" else (units.size or (math.inf, math.inf))
        if min(x1, y1) < 0 or x2 > width or y2 > height:
            where = f"the image of {width} x {height}" if unit != "shares" and units.size else "the image"
            found.add("box-outside", f"{_told(box)} leaves {where}", file, line)


def unit_of(box: Sequence[float]) -> Unit:
    """Unit of a box, as far as its numbers tell.

    >>> unit_of([0.1, 0.2, 0.5, 0.5]), unit_of([10, 20, 30, 40]), unit_of([0, 0, 1, 1])
    ('shares', 'pixels', 'either')
    """
    largest = max(abs(one) for one in box)
    if largest <= 1 and all(one == int(one) for one in box):
        return "either"
    # Slightly over 1 and not whole: a share that leaves the image, not a pixel.
    return "shares" if largest <= 2 and any(one != int(one) for one in box) else "pixels"


def _told(box: Any) -> str:
    if isinstance(box, list) and len(box) <= 6:
        return "[" + ", ".join(shown(one) for one in box) + "]"
    return shown(box)


__all__ = ["Units", "check_boxes", "unit_of"]
