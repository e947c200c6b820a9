"""Regions against reference regions by scikit-learn, SciPy and pycocotools."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.analysis.verify.methods import Method, Rows, Unavailable
from gi_bench.harness.schema import Phrase, Region
from gi_bench.harness.taxonomy import FINDING_LABELS

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

Mask = npt.NDArray[np.bool_]
# Half of the square of the image's diagonal that boundaries may lie apart, in DAVIS's published evaluation.
_BOUND = 0.008


@dataclass(frozen=True)
class Overlap:
    """What the libraries say of one prediction and its reference, each in [0, 1]."""

    iou: float
    dice: float
    box_iou: float
    precision: float
    recall: float
    boundary_f: float


def _united(regions: Sequence[Region], height: int, width: int) -> Mask:
    """Union of regions on the reference's grid; OpenCV's nearest neighbour is part of the definition."""
    import cv2

    total = np.zeros((height, width), dtype=np.uint8)
    for region in regions:
        mask = region.mask().astype(np.uint8)
        if mask.shape != (height, width):
            mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST))
        total = np.maximum(total, mask)
    return total > 0


@lru_cache(maxsize=65_536)
def overlap_of(regions: tuple[Region, ...], reference: Region) -> Overlap:
    """Overlap of predicted regions with the reference region, by the libraries."""
    from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

    target = reference.mask()
    shown = _united(regions, *target.shape)
    # A mask has a million pixels of four kinds: scikit-learn is given the kinds, weighted by their pixels.
    kinds = np.bincount(2 * target.ravel().astype(np.int64) + shown.ravel(), minlength=4)
    truth, said = [0, 0, 1, 1], [0, 1, 0, 1]
    scored: list[float] = []
    for score in (jaccard_score, f1_score, precision_score, recall_score):
        scored.append(float(score(truth, said, sample_weight=kinds, zero_division=0)))
    iou, dice, precision, recall = scored
    both = bool(shown.any() and target.any())
    return Overlap(
        iou, dice, _box_iou(shown, target) if both else 0.0, precision, recall,
        boundary_f(shown, target) if both else 0.0,
    )  # fmt: skip


def _box_iou(shown: Mask, target: Mask) -> float:
    """COCO's IoU of the boxes that SciPy finds around two masks, neither of them empty."""
    from pycocotools import mask as coco
    from scipy.ndimage import find_objects

    boxes = []
    for mask in (shown, target):
        rows, columns = find_objects(mask.astype(np.int32))[0]
        boxes.append([columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start])
    return float(coco.iou(np.array(boxes[:1], float), np.array(boxes[1:], float), [0])[0][0])


def boundary_f(shown: Mask, target: Mask) -> float:
    """DAVIS's boundary measure from SciPy's morphology: gradient of each mask, distances between the gradients.

    A pixel is on the boundary where a mask is not constant over it, its neighbours to the right and below, and the one
    between these; beyond the image's edge the mask goes on.

    Source: Perazzi et al. 2016; davis2017-evaluation, ``f_measure`` with its defaults.
    """
    from scipy import ndimage

    window = {"size": (2, 2), "origin": (-1, -1), "mode": "nearest"}
    edges = []
    for mask in (shown, target):
        values = mask.astype(np.uint8)
        edges.append(ndimage.maximum_filter(values, **window) != ndimage.minimum_filter(values, **window))
    ours, theirs = edges
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    # Distances to what lies in the common box do not depend on what is outside of it.
    box = ndimage.find_objects((ours | theirs).astype(np.int32))[0]
    ours, theirs = ours[box], theirs[box]
    radius = math.ceil(_BOUND * math.hypot(*target.shape))
    precision = float((ndimage.distance_transform_edt(~theirs)[ours] <= radius).mean())
    recall = float((ndimage.distance_transform_edt(~ours)[theirs] <= radius).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _shown(run: Run, phrase: Phrase) -> tuple[Region, ...]:
    prediction = run.predictions.get(("phrase", phrase.index))
    return tuple((prediction.regions if prediction is not None else None) or ())


@dataclass(frozen=True)
class _Scored:
    phrases: tuple[Phrase, ...]
    overlaps: tuple[Overlap, ...]


def _scored(run: Run) -> _Scored | str:
    """Every phrase about a present thing that has a reference region."""
    if not any(p.kind == "phrase" and p.regions is not None for p in run.predictions.values()):
        return "the run grounded no phrase"
    kept = [phrase for phrase in run.phrases if not phrase.is_negative and phrase.region is not None]
    if not kept:
        return "no phrase has a reference region"
    overlaps = [overlap_of(_shown(run, phrase), phrase.region) for phrase in kept if phrase.region is not None]
    return _Scored(tuple(kept), tuple(overlaps))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _by_phrase(run: Run, measure: str, how: str) -> Rows | str:
    scored = run.once("verify: overlaps", _scored)
    if isinstance(scored, str):
        return scored
    values = [float(getattr(overlap, measure)) for overlap in scored.overlaps]
    return Rows(
        tuple(phrase.img_id for phrase in scored.phrases),
        {"label": tuple((phrase.label,) for phrase in scored.phrases)},
        lambda rows: _mean([values[row] for row in rows]),
        f"{how}, mean over phrases",
    )


def _grouped(values: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Mean of each group, in the order of their first values."""
    groups: dict[str, list[float]] = {}
    for name, value in values:
        groups.setdefault(name, []).append(value)
    return {name: _mean(found) for name, found in groups.items()}


def _by_image(run: Run) -> Rows | str:
    scored = run.once("verify: overlaps", _scored)
    if isinstance(scored, str):
        return scored
    means = _grouped([(p.img_id, o.iou) for p, o in zip(scored.phrases, scored.overlaps, strict=True)])
    values = list(means.values())
    how = "jaccard_score of pixels, mean over the phrases of an image, then over images"
    return Rows(tuple(means), {}, lambda rows: _mean([values[row] for row in rows]), how)


def _by_label(run: Run) -> Rows | str:
    scored = run.once("verify: overlaps", _scored)
    if isinstance(scored, str):
        return scored
    pairs = [(p.label, o.iou) for p, o in zip(scored.phrases, scored.overlaps, strict=True)]
    return Rows(
        tuple(phrase.img_id for phrase in scored.phrases),
        {},
        lambda rows: _mean(list(_grouped([pairs[row] for row in rows]).values())),
        "jaccard_score of pixels, mean over the phrases of a label, then over labels",
    )


def _detection(run: Run) -> Rows | str | Unavailable:
    """Average precision of what is shown, scaled to what should have been shown."""
    from sklearn.metrics import average_precision_score

    kept = [phrase for phrase in run.phrases if phrase.region is not None or phrase.is_negative]
    confidence, shown, right = [], [], []
    for phrase in kept:
        prediction = run.predictions.get(("phrase", phrase.index))
        regions = _shown(run, phrase)
        some = any(region.mask().any() for region in regions)
        stated = prediction.confidence if prediction is not None else None
        if some and stated is None:
            return "the run gives no confidence for regions"
        shown.append(some)
        # What is no number from 0 to 1 ranks last.
        confidence.append(stated if stated is not None and 0 <= stated <= 1 else 0.0)
        present = not phrase.is_negative and phrase.region is not None
        right.append(some and present and overlap_of(regions, phrase.region).iou >= 0.5)  # type: ignore[arg-type]
    given = {sure for sure, some in zip(confidence, shown, strict=True) if some}
    if not given:
        return "the run shows no region"
    if len(given) < 2:
        return "uninformative: every region has the same confidence"

    def value(rows: Sequence[int]) -> float:
        """Precision over the rows that show something, and what of the wanted is never found counts 0."""
        wanted = sum(not kept[row].is_negative for row in rows)
        ranked = [row for row in rows if shown[row]]
        hits = [right[row] for row in ranked]
        if not wanted:
            return math.nan
        if not any(hits):
            return 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = average_precision_score(hits, [confidence[row] for row in ranked])
        # scikit-learn's recall is over the right ones among those shown.
        return float(found) * sum(hits) / wanted

    return Rows(
        tuple(phrase.img_id for phrase in kept),
        {},
        value,
        "average_precision_score of regions shown, times the share of regions found; right: jaccard_score >= 0.5",
        [some or not phrase.is_negative for some, phrase in zip(shown, kept, strict=True)],
    )


def _visual(run: Run) -> Rows | str:
    """What is shown for an answer, and the union of the reference regions of what its question is about."""
    if not any(p.kind == "question" and p.regions is not None for p in run.predictions.values()):
        return "the run shows no region for its answers"
    by_image: dict[str, list[Phrase]] = {}
    for phrase in run.phrases:
        if not phrase.is_negative and phrase.region is not None and phrase.region.mask().any():
            by_image.setdefault(phrase.img_id, []).append(phrase)
    kept, values = [], []
    for question in run.questions:
        if question.finding is None or question.is_negative or not question.wants_explanation:
            continue
        references = [
            phrase.region
            for phrase in by_image.get(question.img_id, ())
            if phrase.region is not None and phrase.label in FINDING_LABELS.get(question.finding, ())
        ]
        if not references:
            continue
        prediction = run.predictions.get(("question", question.index))
        shown = tuple((prediction.regions if prediction is not None else None) or ())
        # On the grid of the reference of the first label, as the finding lists its labels.
        references.sort(key=lambda one: FINDING_LABELS[str(question.finding)].index(one.label))
        union = _united(references, references[0].height, references[0].width)
        kept.append(question)
        values.append(overlap_of(shown, Region.from_mask(references[0].label, union)).iou)
    if not kept:
        return "no question about something that is there has a reference region"
    return Rows(
        tuple(question.img_id for question in kept),
        {"finding": tuple((str(question.finding),) for question in kept)},
        lambda rows: _mean([values[row] for row in rows]),
        "jaccard_score of pixels with the union of the finding's regions, mean over questions",
    )


_Make = Callable[["Run"], "Rows | str | Unavailable"]


def _method(name: str, library: str, measure: str, how: str) -> Method:
    make: Any = partial(_by_phrase, measure=measure, how=how)
    return Method(name, library, make)


METHODS: tuple[Method, ...] = (
    _method("region_iou", "scikit-learn", "iou", "jaccard_score of pixels"),
    _method("region_dice", "scikit-learn", "dice", "f1_score of pixels"),
    _method("region_box_iou", "pycocotools", "box_iou", "mask.iou of boxes by scipy.ndimage.find_objects"),
    _method("region_precision", "scikit-learn", "precision", "precision_score of pixels"),
    _method("region_recall", "scikit-learn", "recall", "recall_score of pixels"),
    _method(
        "region_boundary_f",
        "scipy",
        "boundary_f",
        "DAVIS's measure by ndimage.maximum_filter, minimum_filter and distance_transform_edt",
    ),
    Method("region_image_iou", "scikit-learn", _by_image),
    Method("region_macro_iou", "scikit-learn", _by_label),
    Method("region_average_precision", "scikit-learn", _detection),
    Method("visual_iou", "scikit-learn", _visual),
)

__all__ = ["METHODS", "Overlap", "boundary_f", "overlap_of"]
