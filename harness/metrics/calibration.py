"""Does the confidence of an answer say how likely it is to be right?

An answer is right if it states every atomic fact that its question asks for (:mod:`harness.metrics.correctness`), or,
where a suite has no atomic answers, if it equals the reference. Rows without a confidence are left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.metrics.base import Metric, Statistics, Sums, ratio
from harness.metrics.text import exact_match
from harness.reading.readers import read
from harness.reading.values import atomic_value
from harness.schema import MetricInfo, Question
from harness.statistics import levels

if TYPE_CHECKING:
    from harness.store import Run

Floats = npt.NDArray[np.float64]
BINS = 15


def is_right(answer: str, question: Question) -> bool | None:
    """Whether an answer states every atomic fact asked for, or equals the reference; None without either."""
    facts = [
        (slug, atomic_value(slug, pair.answer))
        for slug, pair in zip(question.question_class, question.original, strict=False)
    ]
    facts = [(slug, wanted) for slug, wanted in facts if wanted is not None]
    if facts:
        return all(read(answer, slug, question.question_class) == wanted for slug, wanted in facts)
    return None if question.answer is None else bool(exact_match(answer, question.answer))


@dataclass(frozen=True)
class Judged:
    """Answers with a confidence.

    Attributes:
        confidence: (n,) in [0, 1].
        right: (n,) 0 or 1.
        images, classes: image and question classes of each row.
        counts: rows left out, by reason.
    """

    confidence: Floats
    right: Floats
    images: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    counts: dict[str, int]


def judged(run: Run) -> Judged | str:
    """The run's answers with their confidence and whether they are right, or why there are none."""
    rows: list[tuple[float, bool]] = []
    images, classes = [], []
    counts = {"no confidence": 0, "missing prediction": 0}
    for question in run.questions:
        prediction = run.predictions.get(("question", question.index))
        if prediction is None or prediction.answer is None:
            counts["missing prediction"] += 1
            continue
        if prediction.confidence is None:
            counts["no confidence"] += 1
            continue
        right = is_right(prediction.answer, question)
        if right is None:
            continue
        rows.append((prediction.confidence, right))
        images.append(question.img_id)
        classes.append(question.question_class)
    if not rows:
        return "the run gives no confidence for answers" if counts["no confidence"] else "no answer can be judged"
    table = np.array(rows, dtype=np.float64)
    return Judged(table[:, 0], table[:, 1], tuple(images), tuple(classes), counts)


def _in_bins(found: Judged, codes: npt.NDArray[np.int64], bins: int) -> Floats:
    """(n, 3 bins) confidence, right and count of every row, in the columns of its bin."""
    sums = np.zeros((len(codes), 3 * bins))
    rows = np.arange(len(codes))
    sums[rows, codes], sums[rows, bins + codes], sums[rows, 2 * bins + codes] = found.confidence, found.right, 1.0
    return sums


def calibration_error(total: Sums) -> Sums:
    """Expected calibration error in [0, 1] from binned sums (..., 3 bins): confidence, right, count.

    The mean over bins, weighted by their rows, of how far mean confidence and share of right answers lie apart.
    """
    bins = total.shape[-1] // 3
    confidence, right, count = (total[..., i * bins : (i + 1) * bins] for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.abs(confidence - right).sum(axis=-1) / count.sum(axis=-1))


def equal_width(confidence: Floats) -> npt.NDArray[np.int64]:
    """Bin of each confidence: (0, 1/15], (1/15, 2/15], ...; 0 belongs to the first (Guo et al. 2017)."""
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _by_level(total: Sums) -> tuple[Sums, Sums]:
    """Right and wrong answers per level, from the most confident to the least."""
    half = total.shape[-1] // 2
    return total[..., :half][..., ::-1], total[..., half:][..., ::-1]


def auroc_value(total: Sums) -> Sums:
    """Probability that a right answer is more confident than a wrong one, ties half; NaN without both."""
    right, wrong = _by_level(total)
    below = wrong.sum(axis=-1, keepdims=True) - np.cumsum(wrong, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = right.sum(axis=-1) * wrong.sum(axis=-1)
        return np.asarray((right * (below + wrong / 2)).sum(axis=-1) / pairs)


def auprc_value(total: Sums) -> Sums:
    """Average precision of right answers ranked by confidence; NaN without any."""
    right, wrong = _by_level(total)
    hits = np.cumsum(right, axis=-1)
    seen = hits + np.cumsum(wrong, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((right * np.where(seen > 0, hits / seen, 0.0)).sum(axis=-1) / right.sum(axis=-1))


def aurc_value(total: Sums) -> Sums:
    """Mean risk over all coverages: how wrong the k most confident answers are, averaged over k; ties share a mean."""
    right, wrong = _by_level(total)
    count = right + wrong
    errors, seen = np.cumsum(wrong, axis=-1), np.cumsum(count, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        risk = np.where(seen > 0, errors / seen, 0.0)
        return np.asarray((risk * count).sum(axis=-1) / seen[..., -1])


def risk_coverage(confidence: Floats, right: Floats) -> tuple[Floats, Floats]:
    """The risk-coverage curve (El-Yaniv and Wiener 2010).

    Returns:
        Coverage in (0, 1] and, for each, the share of wrong answers among the most confident ones; a point a distinct
        confidence.
    """
    values, codes = np.unique(-confidence, return_inverse=True)
    seen = np.cumsum(np.bincount(codes, minlength=len(values)))
    errors = np.cumsum(np.bincount(codes, weights=1 - right, minlength=len(values)))
    return seen / len(confidence), errors / seen


def _ranked(found: Judged, value: Callable[[Sums], Sums]) -> Statistics | str:
    """Statistics of a measure of ranking: exact for the score, over 256 levels of confidence for its interval."""
    if len(np.unique(found.confidence)) < 2:
        return f"uninformative: every answer has the confidence {found.confidence[0]:g}"
    codes, count = levels(found.confidence)
    sums = np.zeros((len(codes), 2 * count))
    rows = np.arange(len(codes))
    sums[rows, codes], sums[rows, count + codes] = found.right, 1 - found.right

    def point(chosen: npt.NDArray[np.int64]) -> float:
        _, exact = np.unique(found.confidence[chosen], return_inverse=True)
        size = int(exact.max()) + 1
        right = np.bincount(exact, weights=found.right[chosen], minlength=size)
        wrong = np.bincount(exact, weights=1 - found.right[chosen], minlength=size)
        return float(value(np.concatenate([right, wrong])))

    return Statistics(
        sums, found.images, {"question_class": found.classes}, value=value, counts=found.counts, point=point
    )


def _binned(found: Judged, codes: npt.NDArray[np.int64], bins: int) -> Statistics:
    return Statistics(
        _in_bins(found, codes, bins),
        found.images,
        {"question_class": found.classes},
        value=calibration_error,
        counts=found.counts,
    )


def _brier(found: Judged) -> Statistics:
    squared = (found.confidence - found.right) ** 2
    sums = np.stack([squared, np.ones_like(squared)], axis=1)
    return Statistics(sums, found.images, {"question_class": found.classes}, value=ratio, counts=found.counts)


def correlation_value(total: Sums) -> Sums:
    """Pearson's correlation from sums of x, y, x squared, y squared, xy and 1; NaN where one side is constant."""
    x, y, xx, yy, xy, n = (total[..., i] for i in range(6))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (n * xx - x * x) * (n * yy - y * y)
        # Rounding leaves a constant side a spread of about 1e-16 of its square.
        found = (n * xy - x * y) / np.sqrt(np.where(spread > 1e-12 * n**4, spread, np.nan))
    return np.asarray(np.clip(found, -1, 1))


def confidence_and_explanation(run: Run) -> Statistics | str:
    """Confidence of an answer against the fact score of its explanation (the paper's second open question)."""
    from harness.metrics.explanations import fact_quality
    from harness.metrics.participation import mostly_none, real_explanation

    reason = mostly_none(run)
    if reason:
        return reason
    rows, images, classes = [], [], []
    for question in run.questions:
        prediction = run.predictions.get(("question", question.index))
        explanation = real_explanation(run, question)
        if prediction is None or explanation is None or prediction.confidence is None:
            continue
        quality = fact_quality(explanation, question)
        if quality is not None:
            x = prediction.confidence
            rows.append((x, quality, x * x, quality * quality, x * quality, 1.0))
            images.append(question.img_id)
            classes.append(question.question_class)
    if not rows:
        return "the run gives no explanation with a confidence"
    if len({row[0] for row in rows}) < 2:
        return f"uninformative: every answer has the confidence {rows[0][0]:g}"
    return Statistics(np.array(rows), tuple(images), {"question_class": tuple(classes)}, value=correlation_value)


_RIGHT = "An answer is right if it states every atomic fact asked for; rows without a confidence are left out."
_Shape = Callable[[Judged], "Statistics | str"]


def _metric(name: str, title: str, text: str, source: str, shape: _Shape, *, higher: bool = False) -> Metric:
    info = MetricInfo(
        name,
        title,
        f"{text} {_RIGHT}",
        source,
        higher_is_better=higher,
        group="confidence",
        comparable=False,
        headline=name in ("confidence_ece", "confidence_auroc"),
    )

    def compute(run: Run) -> Statistics | str:
        found = run.once("confidence", judged)
        return found if isinstance(found, str) else shape(found)

    return Metric(info, compute)


METRICS: list[Metric] = [
    _metric(
        "confidence_ece",
        "calibration error",
        "Expected calibration error over 15 bins of equal width.",
        "Guo et al. 2017",
        lambda found: _binned(found, equal_width(found.confidence), BINS),
    ),
    _metric(
        "confidence_adaptive_ece",
        "adaptive calibration error",
        "Expected calibration error over at most 15 bins of equal numbers of rows; equal confidences share a bin.",
        "Nixon et al. 2019",
        lambda found: _binned(found, *levels(found.confidence, BINS)),
    ),
    _metric(
        "confidence_brier",
        "Brier score",
        "Mean squared difference of confidence and being right.",
        "Brier 1950",
        _brier,
    ),
    _metric(
        "confidence_auroc",
        "AUROC of confidence",
        "Probability that a right answer is more confident than a wrong one; 0.5 says nothing.",
        "Fawcett 2006",
        lambda found: _ranked(found, auroc_value),
        higher=True,
    ),
    _metric(
        "confidence_auprc",
        "AUPRC of confidence",
        "Average precision of right answers ranked by confidence; a confidence that says nothing reaches the share of "
        "right answers.",
        "Davis and Goadrich 2006",
        lambda found: _ranked(found, auprc_value),
        higher=True,
    ),
    _metric(
        "confidence_aurc",
        "area under risk-coverage",
        "Share of wrong answers among the most confident ones, averaged over all coverages.",
        "Geifman and El-Yaniv 2017",
        lambda found: _ranked(found, aurc_value),
    ),
    Metric(
        MetricInfo(
            "confidence_explanation_correlation",
            "confidence and explanation",
            "Pearson's correlation of an answer's confidence and the fact score of its explanation, over rows "
            "that have both; explanations that repeat answer or question are left out.",
            "gi-bench; second open question of arXiv 2511.04384",
            low=-1.0,
            group="confidence",
            comparable=False,
            headline=False,
            version=2,
        ),
        confidence_and_explanation,
    ),
]
