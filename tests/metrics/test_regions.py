"""Region metrics by hand, by brute force, and on runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.metrics import regions
from harness.schema import Region
from harness.scoring import score_run
from tests.run_folders import SIZE, phrases, square, write_run


def _disk(size: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def _slow_boundary_f(a: np.ndarray, b: np.ndarray) -> float:
    """By distances between all boundary pixels."""
    radius = max(1, int(np.ceil(0.008 * np.hypot(*b.shape))))

    def edge(mask: np.ndarray) -> np.ndarray:
        found = []
        for y, x in zip(*np.nonzero(mask), strict=True):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [0 <= i < mask.shape[0] and 0 <= j < mask.shape[1] and mask[i, j] for i, j in around]
            if not all(inside):
                found.append((y, x))
        return np.array(found)

    ours, theirs = edge(a), edge(b)
    distance = np.sqrt(((ours[:, None] - theirs[None]) ** 2).sum(axis=2))
    precision, recall = (distance.min(axis=1) <= radius).mean(), (distance.min(axis=0) <= radius).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def test_boundary_f_equals_brute_force() -> None:
    base = _disk(90, 45, 45, 20)
    assert regions.boundary_f(base, base) == 1.0
    for x, y, radius in ((46, 45, 20), (50, 47, 20), (45, 45, 25), (0, 0, 30), (80, 80, 9)):
        other = _disk(90, x, y, radius)
        assert regions.boundary_f(other, base) == pytest.approx(_slow_boundary_f(other, base), abs=0.02)
    empty = np.zeros_like(base)
    assert regions.boundary_f(empty, base) == regions.boundary_f(base, empty) == 0.0


def test_average_precision_by_hand() -> None:
    """Right, wrong, right of three positives: 1/3 * 1 + 1/3 * 2/3."""
    found = regions.average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 3)
    assert found == pytest.approx(1 / 3 + 2 / 9)
    tied = regions.average_precision(np.array([0.5, 0.5]), np.array([True, False]), 1)
    assert tied == pytest.approx(0.5), "equal confidences are one step"
    assert np.isnan(regions.average_precision(np.array([0.5]), np.array([True]), 0))


def test_precision_recall_and_means_per_image_and_label(tmp_path: Path) -> None:
    # image 0: polyp asked twice, shown well and not at all; image 1: an instrument, half of it shown
    shown = [
        replace(phrases()[0], index=0),
        replace(phrases()[0], index=1, phrase="the lesion"),
        replace(phrases()[0], index=2, img_id="img1", label="instrument", region=square("instrument", 8, 8, 16)),
    ]
    given: dict[int, tuple[Region, ...]] = {
        0: (square("polyp", 8, 8, 16),), 1: (), 2: (_half("instrument"),),
    }  # fmt: skip
    scores = score_run(write_run(tmp_path / "run", shown=shown, ground=lambda p: given[p.index]))
    value = {name: scores.find(name).value for name in (  # type: ignore[union-attr]
        "region_iou", "region_precision", "region_recall", "region_image_iou", "region_macro_iou")}  # fmt: skip
    assert value["region_iou"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert value["region_precision"] == pytest.approx((1 + 0 + 1) / 3)
    assert value["region_recall"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert value["region_image_iou"] == pytest.approx((0.5 + 0.5) / 2)
    assert value["region_macro_iou"] == pytest.approx((0.5 + 0.5) / 2)
    assert scores.counts["region_iou: empty prediction"] == 1
    assert scores.find("region_false_negative_rate").value == pytest.approx(1 / 3)  # type: ignore[union-attr]


def _half(label: str) -> Region:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[8:24, 8:16] = True
    return Region.from_mask(label, mask)


def test_average_precision_of_a_run_needs_confidences_that_differ(tmp_path: Path) -> None:
    scores = score_run(write_run(tmp_path / "run"))
    assert scores.not_computed["region_average_precision"] == "uninformative: every region has the confidence 0.5"


def test_false_alarms_have_intervals_of_rates(tmp_path: Path) -> None:
    scores = score_run(write_run(tmp_path / "run"))
    found = scores.find("region_false_positive_rate")
    assert found is not None
    assert (found.value, found.interval_low) == (0.0, 0.0)
    assert found.interval_high == pytest.approx(1 - 0.04 ** (1 / 6), abs=1e-3), "0 of 6 images"
    assert scores.find("region_specificity").value == 1.0  # type: ignore[union-attr]
    assert scores.find("answer_specificity").value == 1.0  # type: ignore[union-attr]
