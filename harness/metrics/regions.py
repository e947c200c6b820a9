"""Overlap of predicted and reference regions, per phrase, per image and per label, and detection by confidence.

Regions of one phrase are united. A prediction of another size than the reference is resized to it by nearest
neighbour. Phrases about absent things never enter here: their right region is empty, and
:mod:`gi_bench.harness.metrics.negatives` counts the false alarms (the paper's code counts union 0 as IoU 0 instead).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gi_bench.harness.metrics.base import Metric, Statistics, Sums
from gi_bench.harness.metrics.levels import grid_levels
from gi_bench.harness.regions import boundary_f, box_iou, dice, iou, overlap, united
from gi_bench.harness.schema import MetricInfo, Prediction, Region
from gi_bench.harness.statistics import encode

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

Floats = npt.NDArray[np.float64]


def average_precision(confidence: Floats, hit: npt.NDArray[np.bool_], positives: float) -> float:
    """Area under the precision-recall steps, in [0, 1]; NaN without positives.

    Args:
        confidence: (n,) of every region shown; ties are one step.
        hit: (n,) whether the region is right.
        positives: number of regions that should have been shown.

    >>> round(average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]), 2), 4)
    0.8333
    """
    if positives <= 0:
        return float("nan")
    levels, codes = np.unique(-confidence, return_inverse=True)
    hits = np.cumsum(np.bincount(codes, weights=hit, minlength=len(levels)))
    shown = np.cumsum(np.bincount(codes, minlength=len(levels)))
    return float(np.sum(np.diff(hits, prepend=0) / positives * (hits / np.maximum(shown, 1))))


@lru_cache(maxsize=65_536)
def _values(predicted: tuple[Region, ...], reference: Region) -> tuple[float, ...]:
    target = reference.mask()
    shown = united(predicted, reference.height, reference.width)
    both, ours, theirs = overlap(shown, target)
    return (
        iou(both, ours, theirs),
        dice(both, ours, theirs),
        box_iou(shown, target),
        both / ours if ours else 0.0,
        both / theirs if theirs else 0.0,
        # An empty mask has no boundary, one as large as the image has none either: an empty prediction earns nothing.
        boundary_f(shown, target) if ours and theirs else 0.0,
    )


@dataclass(frozen=True)
class _Scored:
    """Values of every phrase with a reference region, and what was left out."""

    values: Floats
    images: tuple[str, ...]
    labels: tuple[str, ...]
    counts: dict[str, int]


def _scored(run: Run) -> _Scored | str:
    if not any(p.kind == "phrase" and p.regions is not None for p in run.predictions.values()):
        return "the run grounded no phrase"
    values, images, labels = [], [], []
    counts = {"no reference mask": 0, "missing prediction": 0, "empty prediction": 0, "resized prediction": 0}
    for phrase in run.phrases:
        if phrase.is_negative:
            continue
        if phrase.region is None:
            counts["no reference mask"] += 1
            continue
        prediction: Prediction | None = run.predictions.get(("phrase", phrase.index))
        regions = tuple((prediction.regions if prediction is not None else None) or ())
        counts["missing prediction"] += prediction is None or prediction.regions is None
        counts["empty prediction"] += not any(region.area for region in regions)
        size = (phrase.region.height, phrase.region.width)
        counts["resized prediction"] += any((region.height, region.width) != size for region in regions)
        values.append(_values(regions, phrase.region))
        images.append(phrase.img_id)
        labels.append(phrase.label)
    if not values:
        return "no phrase has a reference region"
    return _Scored(np.array(values), tuple(images), tuple(labels), counts)


def _by_phrase(scored: _Scored, position: int) -> Statistics:
    """One row a phrase."""
    values = scored.values[:, position]
    return Statistics(
        sums=np.stack([values, np.ones_like(values)], axis=1),
        images=scored.images,
        slices={"label": tuple((label,) for label in scored.labels)},
        counts=scored.counts,
    )


def _by_image(scored: _Scored, position: int) -> Statistics:
    """One row an image: the mean over its phrases, so that many wordings for one polyp weigh no more than one."""
    codes, count = encode(scored.images)
    means = np.bincount(codes, weights=scored.values[:, position]) / np.bincount(codes)
    return Statistics(np.stack([means, np.ones(count)], axis=1), tuple(dict.fromkeys(scored.images)), {})


def _macro(scored: _Scored, position: int) -> Statistics:
    """Columns of sums and counts per label; the value is the mean of the labels' means."""
    codes, count = encode(scored.labels)
    sums = np.zeros((len(codes), 2 * count))
    rows = np.arange(len(codes))
    sums[rows, codes], sums[rows, count + codes] = scored.values[:, position], 1.0

    def value(total: Sums) -> Sums:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.nanmean(total[..., :count] / total[..., count:], axis=-1))

    labels = tuple(dict.fromkeys(scored.labels))
    columns = (*(("IoU", label) for label in labels), *(("phrases", label) for label in labels))
    return Statistics(sums, scored.images, {}, value=value, columns=columns)


def _metric(info: MetricInfo, shape: Callable[[_Scored, int], Statistics], position: int) -> Metric:
    def compute(run: Run) -> Statistics | str:
        scored = run.once("regions", _scored)
        return scored if isinstance(scored, str) else shape(scored, position)

    return Metric(info, compute)


def detection(run: Run) -> Statistics | str:
    """Average precision of regions over their confidence: a region is right if it overlaps its reference by half.

    Phrases about absent things take part: any region shown for them is wrong.
    """
    rows: list[tuple[float, bool, bool, bool]] = []
    images = []
    counts = {"region confidence outside 0 to 1, ranked last": 0, "missing prediction": 0}
    for phrase in run.phrases:
        prediction = run.predictions.get(("phrase", phrase.index))
        if phrase.region is None and not phrase.is_negative:
            continue
        # A phrase without a prediction is one for which nothing is shown: it stays among those to be found.
        regions = tuple((prediction.regions if prediction is not None else None) or ())
        sure = prediction.confidence if prediction is not None else None
        counts["missing prediction"] += prediction is None or prediction.regions is None
        shown = any(region.area for region in regions)
        if shown and sure is None:
            return "the run gives no confidence for regions"
        right = not phrase.is_negative and phrase.region is not None and shown
        right = right and _values(regions, phrase.region)[0] >= 0.5  # type: ignore[arg-type]
        stated = sure or 0.0
        usable = 0.0 <= stated <= 1.0  # not for NaN
        counts["region confidence outside 0 to 1, ranked last"] += shown and not usable
        rows.append((stated if usable else 0.0, shown, right, not phrase.is_negative))
        images.append(phrase.img_id)
    if not any(row[1] for row in rows):
        return "the run shows no region"
    confidence, shown_, right_, positive = (np.array(column) for column in zip(*rows, strict=True))
    if len(np.unique(confidence[shown_])) < 2:
        return f"uninformative: every region has the confidence {confidence[shown_][0]:g}"
    codes, edges = grid_levels(confidence, right_, shown_ & ~right_)
    count = len(edges) + 1
    sums = np.zeros((len(rows), 2 * count + 1))
    sums[np.arange(len(rows)), codes], sums[np.arange(len(rows)), count + codes] = right_, shown_
    sums[:, -1] = positive

    def value(total: Sums) -> Sums:
        hits = np.cumsum(total[..., :count][..., ::-1], axis=-1)
        seen = np.cumsum(total[..., count:-1][..., ::-1], axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.diff(hits, axis=-1, prepend=0.0) * np.where(seen > 0, hits / seen, 0.0)
            return np.asarray(steps.sum(axis=-1) / total[..., -1])

    def point(chosen: npt.NDArray[np.int64]) -> float:
        some = chosen[shown_[chosen]]
        return average_precision(confidence[some], right_[some], float(positive[chosen].sum()))

    return Statistics(sums, tuple(images), {}, value=value, counts=counts, point=point, columns=edges)


_POLICY = (
    "Over phrases with a reference region; regions of one phrase are united, an empty prediction counts 0, one of "
    "another size is resized by nearest neighbour, phrases about absent things are left out (the paper's code counts "
    "them as 0)."
)
_SOURCE = "arXiv 2511.04384, evaluation code; Jaccard 1912, Dice 1945"
_DAVIS = "Perazzi et al. 2016, as davis2017-evaluation computes it"


def _info(name: str, title: str, text: str, source: str = _SOURCE, version: int = 1) -> MetricInfo:
    return MetricInfo(
        name, title, text, source, group="regions", comparable=False, headline=name == "region_iou", version=version
    )


_DEFINED: tuple[tuple[MetricInfo, Callable[[_Scored, int], Statistics], int], ...] = (
    (_info("region_iou", "IoU", f"Mean intersection over union of masks. {_POLICY}"), _by_phrase, 0),
    (_info("region_dice", "Dice", f"Mean Dice coefficient of masks. {_POLICY}"), _by_phrase, 1),
    (
        _info("region_box_iou", "box IoU", f"Mean intersection over union of boxes around masks. {_POLICY}"),
        _by_phrase,
        2,
    ),
    (
        _info("region_precision", "pixel precision", f"Mean share of shown pixels that are right. {_POLICY}"),
        _by_phrase,
        3,
    ),
    (
        _info("region_recall", "pixel recall", f"Mean share of reference pixels that are shown. {_POLICY}"),
        _by_phrase,
        4,
    ),
    (
        _info(
            "region_boundary_f",
            "boundary F",
            "Mean F-score of boundary pixels within 0.8 % of the image's diagonal (rounded up to whole pixels); the "
            "image's edge is no boundary, and a mask as large as the image has none: two such masks count 1, one "
            f"against another mask 0. {_POLICY}",
            _DAVIS,
            version=2,
        ),
        _by_phrase,
        5,
    ),
    (
        _info("region_image_iou", "IoU per image", f"IoU, first averaged over the phrases of an image. {_POLICY}"),
        _by_image,
        0,
    ),
    (_info("region_macro_iou", "macro IoU", f"IoU, first averaged over the phrases of a label. {_POLICY}"), _macro, 0),
)
METRICS: list[Metric] = [
    *(_metric(*row) for row in _DEFINED),
    Metric(
        _info(
            "region_average_precision",
            "average precision of regions",
            "Area under the precision-recall curve of phrases ranked by the confidence of their region; right is an "
            "IoU of at least 0.5, a region for an absent thing is wrong. A missing prediction and a reply that cannot "
            "be read show nothing: what they should have shown is missed. Interval over 256 levels of confidence, the "
            "same for every run whose confidences they tell apart.",
            "Everingham et al. 2010, without interpolation",
            version=2,
        ),
        detection,
    ),
]
