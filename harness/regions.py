"""Geometry of masks: union, resizing, overlap, boxes and boundaries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gi_bench.harness.schema import Region

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def united(regions: Sequence[Region], height: int, width: int) -> Mask:
    """Union of regions as a mask of shape (height, width), resized by nearest neighbour where sizes differ."""
    total = np.zeros((height, width), dtype=bool)
    for region in regions:
        mask = region.mask()
        if mask.shape != (height, width):
            mask = resize_nearest(mask, height, width)
        total |= mask
    return total


def resize_nearest(mask: Mask, height: int, width: int) -> Mask:
    """Resize by nearest neighbour with OpenCV's ``INTER_NEAREST``, as the paper's evaluation code does."""
    import cv2

    return np.asarray(cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) != 0)


def overlap(predicted: Mask, reference: Mask) -> tuple[int, int, int]:
    """Pixels in both, in the prediction and in the reference.

    >>> overlap(np.array([[True, True]]), np.array([[False, True]]))
    (1, 2, 1)
    """
    return int((predicted & reference).sum()), int(predicted.sum()), int(reference.sum())


def iou(both: int, predicted: int, reference: int) -> float:
    """Intersection over union in [0, 1]; 0 if both are empty.

    >>> iou(2, 4, 4), iou(0, 0, 0)
    (0.3333333333333333, 0.0)
    """
    union = predicted + reference - both
    return both / union if union else 0.0


def dice(both: int, predicted: int, reference: int) -> float:
    """Dice coefficient in [0, 1]; 0 if both are empty.

    >>> dice(2, 4, 4), dice(0, 0, 0)
    (0.5, 0.0)
    """
    return 2 * both / (predicted + reference) if predicted + reference else 0.0


def box_iou(predicted: Mask, reference: Mask) -> float:
    """IoU of the smallest boxes around two masks; 0 if either is empty.

    >>> box_iou(np.eye(4, dtype=bool), np.ones((4, 4), dtype=bool))
    1.0
    >>> box_iou(np.zeros((4, 4), dtype=bool), np.zeros((4, 4), dtype=bool))
    0.0
    """
    if not predicted.any() or not reference.any():
        return 0.0
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = _box(predicted), _box(reference)
    both = max(0, min(ax2, bx2) - max(ax1, bx1)) * max(0, min(ay2, by2) - max(ay1, by1))
    total = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - both
    return both / total


def _box(mask: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def boundary_f(predicted: Mask, reference: Mask) -> float:
    """F-score of boundaries in [0, 1], as DAVIS's published evaluation computes it.

    A boundary pixel counts as found if the other mask has one within 0.8 % of the image's diagonal, rounded up to whole
    pixels. A mask without a boundary (empty, or as large as the image) against one with a boundary gives 0, two masks
    without a boundary give 1.

    Args:
        predicted, reference: masks of one shape (height, width).

    Source: Perazzi et al. 2016; davis2017-evaluation, ``f_measure`` with its defaults.
    """
    ours, theirs = _boundary(predicted), _boundary(reference)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    radius = np.ceil(0.008 * np.hypot(*reference.shape))
    # What is asked is how far boundary pixels are from each other: beyond their common box nothing matters.
    x1, y1, x2, y2 = _box(ours | theirs)
    ours, theirs = ours[y1:y2, x1:x2], theirs[y1:y2, x1:x2]
    precision = float((_distance(theirs)[ours] <= radius).mean())
    recall = float((_distance(ours)[theirs] <= radius).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: Mask) -> Mask:
    """Pixels that differ from the one to the right, below, or right below; the image's edge itself is no boundary."""
    found = np.zeros_like(mask)
    found[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    found[:-1] |= mask[:-1] != mask[1:]
    found[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return found


def _distance(boundary: Mask) -> Floats:
    """Distance of each pixel to the nearest boundary pixel, whole where the exact one is.

    Square roots of whole numbers in float32 are off by less than 1e-3 and lie further apart than that up to 500.
    """
    import cv2

    found = cv2.distanceTransform((~boundary).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance: Floats = np.round(found.astype(np.float64), 3)
    return distance
