"""Geometry of masks: union, resizing, overlap, boxes and boundaries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gi_bench.harness.schema import Region

Mask = npt.NDArray[np.bool_]


def united(regions: Sequence[Region], height: int, width: int) -> Mask:
    """Union of regions as a mask of shape (height, width), resized by nearest neighbour where sizes differ."""
    total = np.zeros((height, width), dtype=bool)
    for region in regions:
        mask = region.mask()
        if mask.shape != (height, width):
            mask = resize_nearest(mask, height, width)
        total |= mask
    return total


def outline(mask: Mask, thickness: int) -> Mask:
    """Pixels of a mask within ``thickness`` pixels of its border (the picture's edge is a border, too)."""
    inner = mask.copy()
    # Equals skimage.morphology.erosion by a diamond, 13 times faster on masks of 530 x 450 pixels and more.
    for _ in range(thickness):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inner)


def fits(size: tuple[int, int], image: tuple[int, int]) -> bool:
    """Whether a mask of one size can lie on an image of another: their aspect ratios are equal within 1 %.

    Masks that were stored smaller are so; any other would be stretched over the wrong place.

    Args:
        size, image: (width, height) in pixels.

    >>> fits((80, 60), (40, 30)), fits((60, 80), (40, 30))
    (True, False)
    """
    difference = abs(size[0] * image[1] - size[1] * image[0])
    return min(size) >= 1 and min(image) >= 1 and 100 * difference <= size[1] * image[0]


def resize_nearest(mask: Mask, height: int, width: int) -> Mask:
    """Resize by nearest neighbour with OpenCV's ``INTER_NEAREST``, as the paper's evaluation code does.

    ``skimage.transform.resize`` rounds to other pixels.
    """
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
    # Equals the box of skimage.measure.regionprops, 14 times faster on masks of 530 x 450 pixels and more.
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
    ours, theirs = np.argwhere(_boundary(predicted)), np.argwhere(_boundary(reference))
    if not len(ours) or not len(theirs):
        return float(len(ours) == len(theirs))
    radius = float(np.ceil(0.008 * np.hypot(*reference.shape)))
    precision, recall = _share_near(ours, theirs, radius), _share_near(theirs, ours, radius)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: Mask) -> Mask:
    """Pixels that differ from the one to the right, below, or right below; the image's edge itself is no boundary."""
    # Not skimage.segmentation.find_boundaries: none of its modes is this rule, and "inner" takes 28 times as long.
    found = np.zeros_like(mask)
    found[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    found[:-1] |= mask[:-1] != mask[1:]
    found[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return found


def _share_near(points: npt.NDArray[np.int64], others: npt.NDArray[np.int64], radius: float) -> float:
    """Share of points (n, 2) that have one of the others (m, 2) within a whole radius."""
    from scipy.spatial import KDTree

    # Distances on a grid of whole numbers are exact where they equal the radius; the bound itself is exclusive.
    nearest, _ = KDTree(others).query(points, distance_upper_bound=radius + 0.5)
    return float((nearest <= radius).mean())
