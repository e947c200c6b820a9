"""Morphology of masks against OpenCV."""

from __future__ import annotations

import numpy as np
import pytest

from gi_bench.baselines.data.masks import morphology
from gi_bench.baselines.data.masks.refining import Mask
from tests.baselines.data.mask_cases import disk


def _shapes() -> dict[str, Mask]:
    """Masks with what morphology can trip over: nothing, everything, edges, holes, noise."""
    random = np.random.default_rng(4)
    ring = disk(61, 30, 30, 22) & ~disk(61, 30, 30, 11)
    cut_off = disk(61, 0, 58, 20)
    return {
        "empty": np.zeros((61, 61), dtype=bool), "full": np.ones((61, 61), dtype=bool),
        "one pixel": np.arange(61 * 61).reshape(61, 61) == 0, "ring": ring, "edge": cut_off,
        "noise": random.random((61, 61)) < 0.5, "nearly full": random.random((61, 61)) < 0.999,
        "line": np.eye(61, dtype=bool), "not square": ring[:40, :],
    }  # fmt: skip


@pytest.mark.parametrize("radius", [1, 2, 5, 9, 30])
@pytest.mark.parametrize("name", list(_shapes()))
def test_discs_erode_and_dilate(name: str, radius: int) -> None:
    """Against OpenCV with the same disc: the picture's edge neither takes nor gives."""
    import cv2

    mask = _shapes()[name]
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = (y**2 + x**2 <= radius**2).astype(np.uint8)
    plain = mask.astype(np.uint8)
    assert np.array_equal(morphology.eroded(mask, radius), cv2.erode(plain, disc) > 0)
    assert np.array_equal(morphology.dilated(mask, radius), cv2.dilate(plain, disc) > 0)
    assert np.array_equal(morphology.opened(mask, radius), cv2.morphologyEx(plain, cv2.MORPH_OPEN, disc) > 0)
    assert np.array_equal(morphology.closed(mask, radius), cv2.morphologyEx(plain, cv2.MORPH_CLOSE, disc) > 0)


@pytest.mark.parametrize("name", list(_shapes()))
def test_parts_are_counted_and_dropped_with_eight_neighbours(name: str) -> None:
    import cv2

    mask = _shapes()[name]
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    assert morphology.part_count(mask) == count - 1
    for smallest in (0, 1, 2, 5, 400):
        large = [i for i in range(1, count) if statistics[i, cv2.CC_STAT_AREA] >= smallest]
        assert np.array_equal(morphology.without_small_parts(mask, smallest), np.isin(parts, large))
