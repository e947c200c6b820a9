"""Region metrics by hand, by brute force, and on runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gi_bench.harness import regions
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.metrics import regions as metrics
from gi_bench.harness.schema import Region
from tests.run_folders import SIZE, phrases, square, write_run


def _disk(size: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def _slow_boundary_f(a: np.ndarray, b: np.ndarray) -> float:
    """DAVIS's measure from its definition, by distances between all pairs of boundary pixels."""
    radius = int(np.ceil(0.008 * np.sqrt(b.shape[0] ** 2 + b.shape[1] ** 2)))

    def edge(mask: np.ndarray) -> np.ndarray:
        found = []
        height, width = mask.shape
        for y in range(height):
            for x in range(width):
                neighbours = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
                if any(i < height and j < width and mask[i, j] != mask[y, x] for i, j in neighbours):
                    found.append((y, x))
        return np.array(found).reshape(-1, 2)

    ours, theirs = edge(a), edge(b)
    if not len(ours) or not len(theirs):
        return float(len(ours) == len(theirs))
    squared = ((ours[:, None] - theirs[None]) ** 2).sum(axis=2)
    precision, recall = (squared.min(axis=1) <= radius**2).mean(), (squared.min(axis=0) <= radius**2).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _dilated_boundary_f(a: np.ndarray, b: np.ndarray) -> float:
    """The same for large masks: boundaries by differences, dilated by a disk."""
    import cv2

    radius = int(np.ceil(0.008 * np.linalg.norm(a.shape)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (y**2 + x**2 <= radius**2).astype(np.uint8)

    def edge(mask: np.ndarray) -> np.ndarray:
        # Repeating the last row and column makes the image's edge no boundary.
        wide = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
        return np.asarray((wide[:-1, 1:] != mask) | (wide[1:, :-1] != mask) | (wide[1:, 1:] != mask))

    ours, theirs = edge(a), edge(b)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    precision = (ours & (cv2.dilate(theirs.astype(np.uint8), disk) > 0)).sum() / ours.sum()
    recall = (theirs & (cv2.dilate(ours.astype(np.uint8), disk) > 0)).sum() / theirs.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def test_boundary_f_equals_the_definition() -> None:
    base = _disk(90, 45, 45, 20)
    assert regions.boundary_f(base, base) == 1.0
    touching = _disk(90, 0, 40, 30)
    for first in (base, touching, touching[:60], ~touching, _disk(90, 89, 89, 25)):
        for x, y, radius in ((46, 45, 20), (50, 47, 20), (45, 45, 25), (0, 0, 30), (80, 80, 9), (89, 2, 40)):
            other = _disk(90, x, y, radius)[: len(first)]
            assert regions.boundary_f(other, first) == pytest.approx(_slow_boundary_f(other, first), abs=1e-12)


def test_the_images_edge_is_no_boundary() -> None:
    """Two stripes to the image's edge, 10 pixels apart: all that differs is the one edge inside the image."""
    first, second = np.zeros((90, 90), dtype=bool), np.zeros((90, 90), dtype=bool)
    first[:, :40], second[:, :50] = True, True
    assert regions.boundary_f(first, second) == 0.0


def test_masks_without_a_boundary() -> None:
    base = _disk(90, 45, 45, 20)
    empty, full = np.zeros_like(base), np.ones_like(base)
    assert regions.boundary_f(empty, base) == regions.boundary_f(base, empty) == 0.0
    assert regions.boundary_f(full, base) == regions.boundary_f(base, full) == 0.0
    assert regions.boundary_f(empty, empty) == regions.boundary_f(full, full) == regions.boundary_f(empty, full) == 1.0
    speck = np.zeros_like(base)
    speck[-1, -1] = True
    assert regions.boundary_f(speck, base) == pytest.approx(_slow_boundary_f(speck, base), abs=1e-12)


def test_an_empty_prediction_earns_nothing_even_where_the_reference_fills_the_image(tmp_path: Path) -> None:
    rows = [replace(p, region=square("polyp", 0, 0, SIZE)) for p in phrases() if not p.is_negative]
    empty = score_run(write_run(tmp_path / "empty", shown=rows, ground=lambda p: ()))
    assert empty.find("region_boundary_f").value == 0.0  # type: ignore[union-attr]
    right = score_run(write_run(tmp_path / "right", shown=rows, ground=lambda p: (p.region,)))  # type: ignore[arg-type,return-value]
    assert right.find("region_boundary_f").value == 1.0  # type: ignore[union-attr]


def test_boundary_f_on_two_hundred_real_pairs(shared: Path) -> None:
    import cv2

    paths = sorted((shared / "data/real/masks").glob("*.png"))[:50]
    masks = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127 for path in paths]
    kernel, values = np.ones((15, 15), np.uint8), []
    for i, mask in enumerate(masks):
        other = regions.resize_nearest(masks[(i + 1) % len(masks)], *mask.shape)
        shifted = np.roll(mask, (i % 23 + 1, -(i % 17) - 1), axis=(0, 1))
        shrunk = cv2.erode(mask.astype(np.uint8), kernel) > 0
        # Grown by half of the image's height it touches the edge.
        grown = cv2.dilate(mask.astype(np.uint8), np.ones((mask.shape[0] // 2 + i, 9), np.uint8)) > 0
        for predicted in (shifted, shrunk, grown, other):
            values.append(regions.boundary_f(predicted, mask))
            assert values[-1] == pytest.approx(_dilated_boundary_f(predicted, mask), abs=1e-12)
    assert len(values) == 200
    assert min(values) < 0.2 < 0.7 < max(values)


def test_average_precision_by_hand() -> None:
    """Right, wrong, right of three positives: 1/3 * 1 + 1/3 * 2/3."""
    found = metrics.average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 3)
    assert found == pytest.approx(1 / 3 + 2 / 9)
    tied = metrics.average_precision(np.array([0.5, 0.5]), np.array([True, False]), 1)
    assert tied == pytest.approx(0.5), "equal confidences are one step"
    assert np.isnan(metrics.average_precision(np.array([0.5]), np.array([True]), 0))


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


def test_columns_of_ranking_and_of_macro_means_are_declared(tmp_path: Path) -> None:
    from gi_bench.harness.metrics.levels import GRID
    from gi_bench.harness.store import open_run

    path = write_run(tmp_path / "run")
    rows = _with_confidences(path, lambda i: 0.1 + 0.07 * i)
    other = _with_confidences(write_run(tmp_path / "other"), lambda i: 0.95 - 0.03 * i)
    found = [metrics.detection(open_run(p)) for p in (rows, other)]
    assert [f.columns for f in found if not isinstance(f, str)] == [GRID, GRID]
    macro = next(m for m in metrics.METRICS if m.name == "region_macro_iou").compute(open_run(path))
    assert not isinstance(macro, str)
    assert macro.columns == (("IoU", "polyp"), ("phrases", "polyp"))


def test_confidences_that_are_none_rank_last_and_are_counted(tmp_path: Path) -> None:
    plain = _with_confidences(write_run(tmp_path / "plain"), lambda i: 0.1 + 0.07 * i)
    odd = _with_confidences(
        write_run(tmp_path / "odd"), lambda i: (float("nan"), 7.0, -1.0)[i] if i < 3 else 0.5 + i / 50
    )
    assert not any("outside" in reason for reason in score_run(plain).counts)
    scores = score_run(odd)
    # Only every other phrase shows a region: rows 0 and 2.
    assert scores.counts["region_average_precision: region confidence outside 0 to 1, ranked last"] == 2


def _with_confidences(path: Path, confidence: Callable[[int], float]) -> Path:
    from gi_bench.harness import store

    part = path / "predictions" / "part-00000.parquet"
    rows = store.read_predictions(part)
    rows = [replace(r, confidence=confidence(r.index)) if r.kind == "phrase" else r for r in rows]
    store.write_part(part, rows)
    return path
