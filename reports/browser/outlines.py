"""Regions as outlines to draw over a picture, and how much they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.regions import united
from gi_bench.harness.schema import Region

Pixels = npt.NDArray[np.uint8]
# Longest side of a drawing in its own units; paths hold whole numbers of them.
LONGEST_SIDE = 512
_MOST_OUTLINES = 24
_LEAST_MARK = 6


def drawing_size(width: int, height: int) -> tuple[int, int]:
    """Size of the drawing over a picture of the given size, with its aspect ratio.

    >>> drawing_size(1024, 768), drawing_size(48, 48)
    ((512, 384), (512, 512))
    """
    longest = max(width, height, 1)
    return max(1, round(width * LONGEST_SIDE / longest)), max(1, round(height * LONGEST_SIDE / longest))


@lru_cache(maxsize=1 << 15)
def outline_path(regions: tuple[Region, ...], width: int, height: int) -> str:
    """Outline of the union of regions as the data of an SVG path: ``M``, ``L``, ``Z`` and whole numbers.

    Args:
        regions: of one image, at whatever size.
        width, height: of the drawing.

    Returns:
        The path; empty if the regions hold no pixel. Corners are left out where the line moves by less than 0.7
        pixels of the mask; of more than 24 pieces the largest are drawn.

    Raises:
        ValueError: a run-length code does not describe its mask.

    >>> outline_path((Region.from_box("", (2, 2, 6, 6), 8, 8),), 64, 64)
    'M16 16L16 47 47 47 47 16Z'
    """
    shown = [region for region in regions if region.area]
    if not shown:
        return ""
    points = "".join(_cross(region, width, height) for region in shown if region.given_point is not None)
    others = [region for region in shown if region.given_point is None]
    if not others:
        return points
    pixel = max(max(width / region.width, height / region.height) for region in others)
    found = _contours(_union(others, height, width), max(1.0, 0.7 * pixel))
    # A region of some pixels of a large image may have none in the drawing.
    return points + (found or "".join(_frame(region, width, height) for region in others))


def _union(regions: Sequence[Region], height: int, width: int) -> Pixels:
    """As :func:`gi_bench.harness.regions.united`, in half of the time: of thousands of masks, none is turned around."""
    import cv2
    from pycocotools import mask as coco

    total = np.zeros((width, height), dtype=np.uint8)
    for region in regions:
        region.check()  # pycocotools checks nothing itself
        code = {"size": [region.height, region.width], "counts": region.counts.encode("ascii")}
        # Run lengths go down the columns: what is decoded is the transposed mask, row by row.
        columns = coco.decode(code).T
        total |= cv2.resize(columns, (height, width), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    return np.ascontiguousarray(total.T)


def _contours(mask: Pixels, tolerance: float) -> str:
    import cv2

    lines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    largest = sorted(lines, key=cv2.contourArea, reverse=True)[:_MOST_OUTLINES]
    pieces = []
    for line in largest:
        corners = cv2.approxPolyDP(line, tolerance, True)[:, 0].tolist()
        if len(corners) < 3:
            x, y, wide, high = cv2.boundingRect(line)
            corners = _corners(x, y, x + max(wide, 2), y + max(high, 2))
        pieces.append(_closed(corners))
    return "".join(pieces)


def _closed(corners: Sequence[Sequence[int]]) -> str:
    first, *others = (f"{x} {y}" for x, y in corners)
    return f"M{first}L{' '.join(others)}Z"


def _corners(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    return [[left, top], [left, bottom], [right, bottom], [right, top]]


def _frame(region: Region, width: int, height: int) -> str:
    """A mark around a region that is too small to be drawn."""
    box = region.box()
    assert box is not None
    across, down = width / region.width, height / region.height
    x, y = round((box[0] + box[2]) / 2 * across), round((box[1] + box[3]) / 2 * down)
    return _closed(_corners(x - _LEAST_MARK, y - _LEAST_MARK, x + _LEAST_MARK, y + _LEAST_MARK))


def _cross(region: Region, width: int, height: int) -> str:
    """A cross where a point was given."""
    assert region.given_point is not None
    x = round(region.given_point[0] * width / region.width)
    y = round(region.given_point[1] * height / region.height)
    return f"M{x - 9} {y}L{x + 9} {y}M{x} {y - 9}L{x} {y + 9}"


def overlaps(groups: Sequence[Sequence[Region]]) -> list[list[float]]:
    """Intersection over union in [0, 1] of every pair of groups of regions, each taken as its union.

    Args:
        groups: regions of one image. They are compared at the size of the first region that there is; others are
            resized by nearest neighbour. Two groups without a pixel have 0.

    Returns:
        A list a group, with a value for each group.
    """
    first = next((region for group in groups for region in group), None)
    if first is None:
        return [[0.0] * len(groups) for _ in groups]
    from pycocotools import mask as coco

    codes = [_merged(group, first.height, first.width) for group in groups]
    empty = [int(area) == 0 for area in coco.area(codes)]
    # Every code counts as no crowd: a crowd's overlap would be over the prediction alone.
    found = coco.iou(codes, codes, [0] * len(codes))
    return [[0.0 if empty[i] or empty[j] else float(found[i][j]) for j in range(len(codes))] for i in range(len(codes))]


def _merged(regions: Sequence[Region], height: int, width: int) -> dict[str, Any]:
    from pycocotools import mask as coco

    if not regions:
        regions = [_empty(height, width)]
    elif any((region.height, region.width) != (height, width) for region in regions):
        regions = [Region.from_mask("", united(regions, height, width))]
    for region in regions:
        region.check()  # pycocotools checks nothing itself
    codes = [{"size": [height, width], "counts": region.counts.encode("ascii")} for region in regions]
    return dict(codes[0] if len(codes) == 1 else coco.merge(codes))


@lru_cache(maxsize=64)
def _empty(height: int, width: int) -> Region:
    return Region.from_mask("", np.zeros((height, width), dtype=bool))


__all__ = ["LONGEST_SIDE", "drawing_size", "outline_path", "overlaps"]
