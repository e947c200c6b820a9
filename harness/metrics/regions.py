"""Overlap of predicted and reference regions.

Regions of one phrase are united. A prediction of another size than the reference is resized to it by nearest
neighbour. Phrases about absent things never enter here: their right region is empty, and
:mod:`harness.metrics.negatives` counts the false alarms (the paper's code counts union 0 as IoU 0 instead).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.metrics.base import Metric, Statistics
from harness.schema import MetricInfo, Prediction, Region

if TYPE_CHECKING:
    from harness.store import Run

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


def resize_nearest(mask: Mask, height: int, width: int) -> Mask:
    """Resize by nearest neighbour with OpenCV's ``INTER_NEAREST``, as the paper's evaluation code does."""
    import cv2

    return np.asarray(cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) != 0)


def overlap(predicted: Mask, reference: Mask) -> tuple[int, int, int]:
    """Pixels in both, in the prediction and in the reference."""
    return int((predicted & reference).sum()), int(predicted.sum()), int(reference.sum())


def iou(both: int, predicted: int, reference: int) -> float:
    """Intersection over union in [0, 1]; 0 if both are empty."""
    union = predicted + reference - both
    return both / union if union else 0.0


def dice(both: int, predicted: int, reference: int) -> float:
    """Dice coefficient in [0, 1]; 0 if both are empty."""
    return 2 * both / (predicted + reference) if predicted + reference else 0.0


def box_iou(predicted: Mask, reference: Mask) -> float:
    """IoU of the smallest boxes around two masks; 0 if either is empty."""
    if not predicted.any() or not reference.any():
        return 0.0
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = _box(predicted), _box(reference)
    both = max(0, min(ax2, bx2) - max(ax1, bx1)) * max(0, min(ay2, by2) - max(ay1, by1))
    total = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - both
    return both / total


def _box(mask: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@lru_cache(maxsize=65_536)
def _values(predicted: tuple[Region, ...], reference: Region) -> tuple[float, float, float]:
    target = reference.mask()
    shown = united(predicted, reference.height, reference.width)
    counts = overlap(shown, target)
    return iou(*counts), dice(*counts), box_iou(shown, target)


def _metric(info: MetricInfo, position: int) -> Metric:
    def compute(run: Run) -> Statistics | str:
        """One value a phrase with a reference region."""
        if not any(p.kind == "phrase" and p.regions is not None for p in run.predictions.values()):
            return "the run grounded no phrase"
        rows, images, labels = [], [], []
        unmasked = missing = 0
        for phrase in run.phrases:
            if phrase.is_negative:
                continue
            if phrase.region is None:
                unmasked += 1
                continue
            prediction: Prediction | None = run.predictions.get(("phrase", phrase.index))
            regions = prediction.regions if prediction is not None else None
            missing += regions is None
            rows.append((_values(tuple(regions or ()), phrase.region)[position], 1.0))
            images.append(phrase.img_id)
            labels.append((phrase.label,))
        if not rows:
            return "no phrase has a reference region"
        return Statistics(
            sums=np.array(rows, dtype=np.float64),
            images=tuple(images),
            slices={"label": tuple(labels)},
            counts={"no reference mask": unmasked, "missing prediction": missing},
        )

    return Metric(info, compute)


_POLICY = (
    "Mean over phrases with a reference region; regions of one phrase are united, an empty prediction counts 0, "
    "phrases about absent things are left out (the paper's code counts them as 0)."
)
_SOURCE = "arXiv 2511.04384, evaluation code; Jaccard 1912, Dice 1945"

_DEFINED: tuple[tuple[str, str, str], ...] = (
    ("region_iou", "IoU", f"Intersection over union of masks. {_POLICY}"),
    ("region_dice", "Dice", f"Dice coefficient of masks. {_POLICY}"),
    ("region_box_iou", "box IoU", f"Intersection over union of the boxes around the masks. {_POLICY}"),
)
METRICS: list[Metric] = [
    _metric(MetricInfo(name, title, text, _SOURCE, group="regions", comparable=False), position)
    for position, (name, title, text) in enumerate(_DEFINED)
]
__all__: Sequence[str] = ["METRICS", "box_iou", "dice", "iou", "overlap", "resize_nearest", "united"]
