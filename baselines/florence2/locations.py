"""Masks to location tokens and back.

Florence-2 writes a region as one polygon per component: ``<loc_x><loc_y>...`` with 1,000 bins a side and ``<sep>``
between components. A bin stands for its centre. A hole is cut into its component's polygon by a bridge of no width,
which any reader of the format fills correctly. Model output is read leniently: whatever is not a pair of locations
is skipped and counted, never an error. What a reply without a region is, :func:`reply_state` says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Sized
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gi_bench.baselines.florence2.prompts import NOTHING_THERE
from gi_bench.harness.reading.replies import refuses
from gi_bench.harness.schema import ReplyState

BINS = 1000
SEPARATOR = "<sep>"
# The paper's tolerance of an outline, and where refining it stops: half a pixel of an outline of 2,000.
EPSILON = 0.008
_FINEST = 0.00025
# A tolerance of a quarter of the perimeter leaves three corners of anything.
_COARSEST = 0.25
# Round trips of at least this intersection over union are asked for; the paper's tolerance alone gives .93 to .99.
FIDELITY = 0.98
_LOCATION = re.compile(r"<loc_(\d{1,9})>")
_PIECE = re.compile(r"<loc_\d{1,9}>|<sep>")

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Parsed:
    """Polygons read from model output: (k, 2) bins each, k >= 3, and what had to be repaired."""

    polygons: tuple[npt.NDArray[np.int64], ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class TargetStyle:
    """How regions are written as targets.

    Attributes:
        corners: corners of every polygon; None keeps the outline within 0.8 % of its perimeter.
        steps: cells of the coordinate grid a side, at most 1,000.
        room: tokens at most, as the decoder has so many places; the smallest components go where there are more.
    """

    corners: int | None = None
    steps: int = BINS
    room: int | None = None

    def write(self, mask: Mask) -> str:
        """A mask (height, width) as location tokens, see :func:`encode_mask`."""
        return encode_mask(mask, corners=self.corners, steps=self.steps, room=self.room)


# A start and an end token take two of the decoder's 256 places.
TINY_STYLE = TargetStyle(corners=8, steps=50, room=254)


def mask_to_polygons(mask: Mask, *, epsilon: float = EPSILON, corners: int | None = None) -> list[Points]:
    """Outlines of a mask's components as polygons in pixels, from left to right.

    Args:
        mask: booleans of shape (height, width).
        epsilon: tolerance of the outline as a share of its perimeter (0.008 in the paper's code).
        corners: resample every outer outline to this many corners at equal steps instead; holes are filled then.

    Returns:
        One array (k, 2) of pixel centres a component, k >= 3, starting at its topmost corner, clockwise; holes follow
        over a bridge.
    """
    import cv2

    mode = cv2.RETR_CCOMP if corners is None else cv2.RETR_EXTERNAL
    contours, hierarchy = cv2.findContours(mask.astype(np.uint8), mode, cv2.CHAIN_APPROX_NONE)
    found: list[Points] = []
    for number, contour in enumerate(contours):
        if hierarchy[0][number][3] >= 0:  # a hole; its component takes it along
            continue
        if corners is not None:
            outline = contour[:, 0, :].astype(np.float64)
            if len(outline) < 3:
                continue
            ring = _clockwise_from_top(_resample(outline, corners))
        else:
            ring = _clockwise_from_top(_simplified(contour, epsilon))
            hole = hierarchy[0][number][2]
            while hole >= 0:
                ring = _with_hole(ring, _simplified(contours[hole], epsilon))
                hole = hierarchy[0][hole][0]
        found.append(ring + 0.5)
    return sorted(found, key=lambda points: (float(points[:, 0].mean()), float(points[:, 1].mean())))


def _simplified(contour: npt.NDArray[np.int32], epsilon: float) -> Points:
    """An outline with fewer corners, at least three (a pixel and a line repeat theirs)."""
    import cv2

    tolerance = epsilon * cv2.arcLength(contour, True)
    outline = cv2.approxPolyDP(contour, tolerance, True)[:, 0, :].astype(np.float64)
    if len(outline) < 3:
        outline = np.vstack([outline, np.repeat(outline[-1:], 3 - len(outline), axis=0)])
    return np.asarray(outline)


def _with_hole(ring: Points, hole: Points) -> Points:
    """One ring that runs around the component, over the shortest bridge, around the hole and back."""
    distances = ((ring[:, None, :] - hole[None, :, :]) ** 2).sum(axis=-1)
    at, entry = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.vstack([hole[entry:], hole[: entry + 1]])
    return np.vstack([ring[: at + 1], around, ring[at:]])


def _resample(outline: Points, corners: int) -> Points:
    closed = np.vstack([outline, outline[:1]])
    top = int(np.lexsort((outline[:, 0], outline[:, 1]))[0])
    closed = np.vstack([outline[top:], outline[: top + 1]])
    steps = np.sqrt((np.diff(closed, axis=0) ** 2).sum(axis=1))
    at = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0, at[-1], corners, endpoint=False)
    return np.stack([np.interp(wanted, at, closed[:, i]) for i in range(2)], axis=1)


def _doubled_area(outline: Points) -> float:
    """Twice the area within corners (k, 2); negative where they run against the clock on the screen."""
    x, y = outline[:, 0], outline[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _clockwise_from_top(outline: Points) -> Points:
    if _doubled_area(outline) < 0:  # y points downwards: a positive sum runs clockwise on the screen
        outline = outline[::-1]
    top = int(np.lexsort((outline[:, 0], outline[:, 1]))[0])
    return np.roll(outline, -top, axis=0)


def quantise(points: Points, width: int, height: int, *, steps: int = BINS) -> npt.NDArray[np.int64]:
    """Pixel positions to bins in [0, 999].

    Args:
        points: (k, 2) positions in pixels.
        width, height: size of the image.
        steps: coarser grid whose cells' middle bins are used; ``BINS`` for Florence-2's own resolution.

    >>> quantise(np.array([[0.0, 0.0], [256.0, 128.0]]), 256, 256).tolist()
    [[0, 0], [999, 500]]
    >>> quantise(np.array([[10.0, 10.0]]), 100, 100, steps=40).tolist()  # the middle of cell 4
    [[112, 112]]
    """
    scale = np.array([steps / width, steps / height])
    cells = np.clip(np.floor(points * scale), 0, steps - 1).astype(np.int64)
    per_cell = BINS // steps
    return np.asarray(cells * per_cell + per_cell // 2, dtype=np.int64)


def dequantise(bins: npt.NDArray[np.int64], width: int, height: int) -> Points:
    """Bins to the pixel positions of their centres.

    >>> dequantise(np.array([[0, 999]]), 100, 100).tolist()
    [[0.05, 99.95]]
    """
    return np.asarray((bins + 0.5) * np.array([width / BINS, height / BINS]))


def to_tokens(polygons: Sequence[npt.NDArray[np.int64]]) -> str:
    """Polygons in bins as text; the empty string for no polygon.

    >>> to_tokens([np.array([[1, 2], [3, 4], [5, 6]])])
    '<loc_1><loc_2><loc_3><loc_4><loc_5><loc_6>'
    >>> to_tokens([])
    ''
    """
    return SEPARATOR.join("".join(f"<loc_{x}><loc_{y}>" for x, y in polygon) for polygon in polygons)


def token_count(polygons: Sequence[Sized]) -> int:
    """Tokens of polygons as text: two a corner, and a separator between two polygons."""
    return sum(2 * len(polygon) for polygon in polygons) + max(len(polygons) - 1, 0)


def largest(polygons: Sequence[Points], room: int) -> list[Points]:
    """The largest polygons that fit into so many tokens together, in their order; the largest one in any case.

    Args:
        polygons: (k, 2) corners of each.
        room: tokens.
    """
    by_area = sorted(range(len(polygons)), key=lambda number: -abs(_doubled_area(polygons[number])))
    # A separator stands before all polygons but one.
    lengths = np.cumsum([2 * len(polygons[number]) + 1 for number in by_area]) - 1
    count = max(1, int(np.searchsorted(lengths, room, side="right")))
    return [polygons[number] for number in sorted(by_area[:count])]


def _writable(mask: Mask, room: int) -> tuple[Mask, float]:
    """The mask and the tolerance of outlines with which its largest component fits into so many tokens.

    Where the paper's tolerance does not do, holes are filled, then the tolerance is doubled until it does.
    """
    import cv2

    def fits(mask: Mask, epsilon: float) -> bool:
        return token_count(largest(mask_to_polygons(mask, epsilon=epsilon), room)) <= room

    epsilon = EPSILON
    _, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parents = hierarchy[0][:, 3]
    holes = int(np.bincount(parents[parents >= 0], minlength=1).max())
    # A hole takes five corners with its bridge: where that is too much already, bridges need not be looked for.
    if holes * 2 * 5 <= room and fits(mask, epsilon):
        return mask, epsilon
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    whole = cv2.drawContours(np.zeros(mask.shape, np.uint8), contours, -1, 1, cv2.FILLED).astype(bool)
    while epsilon < _COARSEST and not fits(whole, epsilon):
        epsilon *= 2
    return whole, epsilon


def encode_mask(
    mask: Mask,
    *,
    corners: int | None = None,
    steps: int = BINS,
    fidelity: float = FIDELITY,
    room: int | None = None,
) -> str:
    """A mask as location tokens; the empty string for an empty mask.

    Args:
        mask: booleans of shape (height, width).
        corners: see :func:`mask_to_polygons`.
        steps: see :func:`quantise`.
        fidelity: the paper's tolerance is halved until the tokens give back the mask with this intersection over
            union, or until finer outlines do not help; 0 takes the paper's tolerance as it is.
        room: tokens at most. Of a mask with more components than fit the smallest are left out; where one does not fit
            by itself, holes are filled and outlines made coarser.

    >>> encode_mask(np.zeros((4, 4), dtype=bool))
    ''
    """
    height, width = mask.shape
    if not mask.any():
        return ""
    outlined, epsilon = (mask, EPSILON) if room is None or corners is not None else _writable(mask, room)
    best, best_iou = "", -1.0
    while True:
        polygons = mask_to_polygons(outlined, epsilon=epsilon, corners=corners)
        if room is not None:
            polygons = largest(polygons, room)
            if best and token_count(polygons) > room:
                return best
        text = to_tokens([quantise(points, width, height, steps=steps) for points in polygons])
        if corners is not None or fidelity <= 0:
            return text
        decoded = decode_mask(text, width, height)[0]
        iou = float((decoded & mask).sum()) / float((decoded | mask).sum())
        if iou > best_iou:
            best, best_iou = text, iou
        epsilon /= 2
        if best_iou >= fidelity or epsilon < _FINEST:
            return best


def parse_tokens(text: str) -> Parsed:
    """Read location tokens from model output.

    Text between tokens is skipped (``text-in-polygon``), a location beyond the last bin moved to it
    (``location-out-of-range``), an odd location dropped (``odd-location-count``), two corners read as a box
    (``box-instead-of-polygon``) and a single corner left out (``short-polygon``).

    >>> parse_tokens("<loc_1><loc_2><loc_3>").warnings
    ('odd-location-count', 'short-polygon')
    """
    warnings = set()
    if _PIECE.sub("", text).strip() and _LOCATION.search(text):
        warnings.add("text-in-polygon")
    polygons = []
    for piece in text.split(SEPARATOR):
        values = [int(value) for value in _LOCATION.findall(piece)]
        if any(value >= BINS for value in values):
            warnings.add("location-out-of-range")
            values = [min(value, BINS - 1) for value in values]
        if len(values) % 2:
            warnings.add("odd-location-count")
            values.pop()
        if len(values) == 4:
            warnings.add("box-instead-of-polygon")
            x0, y0, x1, y1 = values
            values = [x0, y0, x1, y0, x1, y1, x0, y1]
        if len(values) >= 6:
            polygons.append(np.array(values, dtype=np.int64).reshape(-1, 2))
        elif values:
            warnings.add("short-polygon")
    return Parsed(tuple(polygons), tuple(sorted(warnings)))


def reply_state(text: str, *, shown: bool) -> ReplyState:
    """What a reply to a phrase is.

    Only the word that training puts where nothing fits (``none``) denies. Words about the image ("no polyp to measure")
    are an answer to another question, not a region, and a reply of control tokens alone says nothing.

    Args:
        text: the reply.
        shown: whether a region was read from it.

    >>> [reply_state(text, shown=False) for text in ("none", "", "I cannot tell", "<loc_1>")]
    ['denied', 'not given', 'refused', 'unreadable']
    """
    if shown:
        return "stated"
    words = re.sub(r"[^\w]+", " ", re.sub(r"<[^<>\s]*>", "", text)).strip().lower()
    if _LOCATION.search(text):
        return "unreadable"
    if words == NOTHING_THERE:
        return "denied"
    if not words:
        return "unreadable" if re.sub(r"<[^<>\s]*>", "", text).strip() else "not given"
    return "refused" if refuses(text) else "unreadable"


def decode_mask(text: str, width: int, height: int) -> tuple[Mask, tuple[str, ...]]:
    """Location tokens as a mask of shape (height, width), with the warnings of :func:`parse_tokens`."""
    import cv2

    parsed = parse_tokens(text)
    canvas = np.zeros((height, width), dtype=np.uint8)
    for polygon in parsed.polygons:
        corners = np.floor(dequantise(polygon, width, height)).astype(np.int32)
        cv2.fillPoly(canvas, [corners], 1)
    return canvas.astype(bool), parsed.warnings
