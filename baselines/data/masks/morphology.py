"""Erosion and dilation of masks by discs, and what follows from them, through scikit-image.

Beyond the picture's edge nothing is known: it neither erodes a mask nor adds to it.
"""

from __future__ import annotations

import numpy as np

from gi_bench.harness.regions import Mask

# In the provenance of masks. Until version 2 an ellipse of OpenCV's took the disc's place: a few pixels of an edge.
MORPHOLOGY = "discs, version 2"


def eroded(mask: Mask, radius: int) -> Mask:
    """Pixels whose whole disc lies in the mask: all pixels at most ``radius`` away.

    >>> eroded(np.array([[1, 1, 1, 0]], dtype=bool), 1).astype(int).tolist()
    [[1, 1, 0, 0]]
    """
    from skimage.morphology import isotropic_erosion

    # Without a pixel outside there is no distance to one, and scikit-image makes some up.
    return mask.copy() if mask.all() else np.asarray(isotropic_erosion(mask, radius), dtype=bool)


def dilated(mask: Mask, radius: int) -> Mask:
    """Pixels at most ``radius`` away from the mask.

    >>> dilated(np.array([[1, 0, 0, 0]], dtype=bool), 2).astype(int).tolist()
    [[1, 1, 1, 0]]
    """
    from skimage.morphology import isotropic_dilation

    # Without a pixel inside there is no distance to one, and scikit-image makes some up.
    return np.asarray(isotropic_dilation(mask, radius), dtype=bool) if mask.any() else mask.copy()


def opened(mask: Mask, radius: int) -> Mask:
    """The mask without what a disc of this radius does not fit into."""
    return dilated(eroded(mask, radius), radius)


def closed(mask: Mask, radius: int) -> Mask:
    """The mask with what a disc of this radius does not fit into from outside."""
    return eroded(dilated(mask, radius), radius)


def without_small_parts(mask: Mask, smallest: int) -> Mask:
    """The connected parts (8 neighbours) that have at least ``smallest`` pixels.

    >>> without_small_parts(np.array([[1, 0, 0, 1], [0, 1, 0, 0]], dtype=bool), 2).astype(int).tolist()
    [[1, 0, 0, 0], [0, 1, 0, 0]]
    """
    from skimage.measure import label

    parts = label(mask, connectivity=2)
    large = np.bincount(parts.ravel()) >= smallest
    large[0] = False
    return np.asarray(large[parts])


def part_count(mask: Mask) -> int:
    """Number of connected parts (8 neighbours).

    >>> part_count(np.array([[1, 0, 0, 1], [0, 1, 0, 0]], dtype=bool))
    2
    """
    from skimage.measure import label

    return int(label(mask, connectivity=2, return_num=True)[1])
