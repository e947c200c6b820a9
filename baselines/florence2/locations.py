"""Masks to location tokens and back.

Florence-2 writes a region as one polygon per component: ``<loc_x><loc_y>...`` with 1,000 bins a side and
``<sep>`` between components. A bin stands for its centre. Model output is read leniently: whatever is not a
pair of locations is skipped and counted, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 1000
SEPARATOR = "<sep>"
_LOCATION = re.compile(r"<loc_(\d{1,3})>")
_PIECE = re.compile(r"<loc_\d{1,3}>|<sep>")

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Parsed:
    """Polygons read from model output: (k, 2) bins each, k >= 3, and what had to be repaired."""

    polygons: tuple[npt.NDArray[np.int64], ...]
    warnings: tuple[str, ...]


def mask_to_polygons(mask: Mask, *, epsilon: float = 0.008, corners: int | None = None) -> list[Points]:
    """Outer outlines of a mask's components as polygons in pixels, from left to right.

    Args:
        mask: booleans of shape (height, width).
        epsilon: tolerance of the outline as a share of its perimeter (0.008 in the paper's code).
        corners: resample every outline to this many corners at equal steps instead.

    Returns:
        One array (k, 2) of pixel centres a component, starting at its topmost corner, clockwise.
    """
    import cv2

    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found: list[Points] = []
    for contour in contours:
        outline = contour[:, 0, :].astype(np.float64)
        if len(outline) < 3:
            continue
        if corners is None:
            tolerance = epsilon * cv2.arcLength(contour, True)
            outline = cv2.approxPolyDP(contour, tolerance, True)[:, 0, :].astype(np.float64)
        else:
            outline = _resample(outline, corners)
        if len(outline) >= 3:
            found.append(_clockwise_from_top(outline) + 0.5)
    return sorted(found, key=lambda points: (float(points[:, 0].mean()), float(points[:, 1].mean())))


def _resample(outline: Points, corners: int) -> Points:
    closed = np.vstack([outline, outline[:1]])
    top = int(np.lexsort((outline[:, 0], outline[:, 1]))[0])
    closed = np.vstack([outline[top:], outline[: top + 1]])
    steps = np.sqrt((np.diff(closed, axis=0) ** 2).sum(axis=1))
    at = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0, at[-1], corners, endpoint=False)
    return np.stack([np.interp(wanted, at, closed[:, i]) for i in range(2)], axis=1)


def _clockwise_from_top(outline: Points) -> Points:
    x, y = outline[:, 0], outline[:, 1]
    area = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
    if area < 0:  # y points downwards: a positive sum runs clockwise on the screen
        outline = outline[::-1]
    top = int(np.lexsort((outline[:, 0], outline[:, 1]))[0])
    return np.roll(outline, -top, axis=0)


def quantise(points: Points, width: int, height: int, *, steps: int = BINS) -> npt.NDArray[np.int64]:
    """Pixel positions to bins in [0, 999].

    Args:
        points: (k, 2) positions in pixels.
        width, height: size of the image.
        steps: coarser grid whose cells' middle bins are used; ``BINS`` for Florence-2's own resolution.
    """
    scale = np.array([steps / width, steps / height])
    cells = np.clip(np.floor(points * scale), 0, steps - 1).astype(np.int64)
    per_cell = BINS // steps
    return np.asarray(cells * per_cell + per_cell // 2, dtype=np.int64)


def dequantise(bins: npt.NDArray[np.int64], width: int, height: int) -> Points:
    """Bins to the pixel positions of their centres."""
    return np.asarray((bins + 0.5) * np.array([width / BINS, height / BINS]))


def to_tokens(polygons: Sequence[npt.NDArray[np.int64]]) -> str:
    """Polygons in bins as text; the empty string for no polygon."""
    return SEPARATOR.join("".join(f"<loc_{x}><loc_{y}>" for x, y in polygon) for polygon in polygons)


def encode_mask(mask: Mask, *, corners: int | None = None, steps: int = BINS) -> str:
    """A mask as location tokens; the empty string for an empty mask."""
    height, width = mask.shape
    polygons = mask_to_polygons(mask, corners=corners)
    return to_tokens([quantise(points, width, height, steps=steps) for points in polygons])


def parse_tokens(text: str) -> Parsed:
    """Read location tokens from model output.

    Text between tokens is skipped (``text-in-polygon``), an odd location dropped (``odd-location-count``) and
    a polygon of fewer than three corners left out (``short-polygon``).
    """
    warnings = set()
    if _PIECE.sub("", text).strip() and _LOCATION.search(text):
        warnings.add("text-in-polygon")
    polygons = []
    for piece in text.split(SEPARATOR):
        values = [int(value) for value in _LOCATION.findall(piece)]
        if len(values) % 2:
            warnings.add("odd-location-count")
            values.pop()
        if len(values) >= 6:
            polygons.append(np.array(values, dtype=np.int64).reshape(-1, 2))
        elif values:
            warnings.add("short-polygon")
    return Parsed(tuple(polygons), tuple(sorted(warnings)))


def decode_mask(text: str, width: int, height: int) -> tuple[Mask, tuple[str, ...]]:
    """Location tokens as a mask of shape (height, width), with the warnings of :func:`parse_tokens`."""
    import cv2

    parsed = parse_tokens(text)
    canvas = np.zeros((height, width), dtype=np.uint8)
    for polygon in parsed.polygons:
        corners = np.floor(dequantise(polygon, width, height)).astype(np.int32)
        cv2.fillPoly(canvas, [corners], 1)
    return canvas.astype(bool), parsed.warnings
