"""Does the confidence of an answer say how likely it is to be right?

An answer is right if it states every atomic fact that its question asks for
(:mod:`gi_bench.harness.metrics.correctness`), or, where a suite has no atomic answers, if it equals the reference. Rows
without a confidence, or with one outside of its range, are left out and counted. What else a model says of how sure it
is (log-probability, margin and entropy of its tokens) is ranked in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gi_bench.harness.metrics.base import Metric, Statistics, Sums, ratio
from gi_bench.harness.metrics.levels import grid_levels, own_edges
from gi_bench.harness.metrics.pairs import base_rates, folds, pair_sums, pair_value
from gi_bench.harness.metrics.sureness import Judged, judged
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import encode, levels

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
BINS = 15


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
    """Statistics of a measure of ranking: exact for the score, over levels of confidence for its interval."""
    if reason := _constant(found):
        return reason
    codes, edges = grid_levels(found.confidence, found.right, 1 - found.right)
    count = len(edges) + 1
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
        sums,
        found.images,
        {"question_class": found.classes},
        value=value,
        counts=found.counts,
        point=point,
        columns=edges,
    )


def _by_pairs(found: Judged, scored: Sequence[tuple[Floats, Codes]], value: Callable[[Sums], Sums]) -> Statistics:
    """Statistics over pairs of a right and a wrong answer, two columns for each ranking.

    Args:
        found: the answers.
        scored: rankings as (n,) scores and (n,) strata; pairs are formed within a stratum.
        value: of the sums.
    """

    def part(rows: npt.NDArray[np.int64]) -> Sums:
        return np.concatenate(
            [pair_sums(score[rows], found.right[rows], strata[rows]) for score, strata in scored], axis=1
        )

    return Statistics(
        part(np.arange(len(found.right))),
        found.images,
        {"question_class": found.classes},
        value=value,
        counts=found.counts,
        part=part,
    )


def _constant(found: Judged) -> str | None:
    values = found.confidence
    return f"uninformative: every answer has the confidence {values[0]:g}" if len(np.unique(values)) < 2 else None


def _within(found: Judged) -> Statistics | str:
    """AUROC over pairs of answers to questions of the same classes."""
    strata, count = encode([" ".join(sorted(set(classes))) for classes in found.classes])
    if len(set(zip(strata.tolist(), found.confidence.tolist(), strict=True))) == count:
        return _constant(found) or "uninformative: answers to questions of the same classes have the same confidence"
    return _by_pairs(found, [(found.confidence, strata)], pair_value)


def _base(found: Judged) -> tuple[Floats, Codes] | str:
    """Base rate of every answer and the fold of its image."""
    if len(set(found.images)) < 2:
        return "a base rate needs a second image"
    fold = folds(found.images)
    return base_rates(found.right, [tuple(sorted(set(c))) for c in found.classes], found.said, fold), fold


def _base_rate(found: Judged) -> Statistics | str:
    """AUROC of the share right among answers of other images that say the same to the same classes."""
    base = _base(found)
    return base if isinstance(base, str) else _by_pairs(found, [base], pair_value)


def _gain(found: Judged) -> Statistics | str:
    """AUROC of confidence minus AUROC of the base rate."""
    base = _base(found)
    if isinstance(base, str):
        return base
    pooled = (found.confidence, np.zeros(len(found.right), dtype=np.int64))
    return _constant(found) or _by_pairs(
        found, [pooled, base], lambda total: pair_value(total[..., :2]) - pair_value(total[..., 2:])
    )


def _binned(
    found: Judged, codes: npt.NDArray[np.int64], bins: int, columns: tuple[float, ...] | None = None
) -> Statistics:
    return Statistics(
        _in_bins(found, codes, bins),
        found.images,
        {"question_class": found.classes},
        value=calibration_error,
        counts=found.counts,
        columns=columns,
    )


def _adaptive(found: Judged) -> Statistics:
    codes, count = levels(found.confidence, BINS)
    return _binned(found, codes, count, own_edges(found.confidence, codes))


def _brier(found: Judged) -> Statistics:
    squared = (found.confidence - found.right) ** 2
    sums = np.stack([squared, np.ones_like(squared)], axis=1)
    return Statistics(sums, found.images, {"question_class": found.classes}, value=ratio, counts=found.counts)


def correlation_value(total: Sums) -> Sums:
    """Pearson's correlation from sums of x, y, x squared, y squared, xy and 1; NaN where one side is constant.

    x and y have to lie near 0 for their spread: see :func:`_moments`.
    """
    x, y, xx, yy, xy, n = (total[..., i] for i in range(6))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread_x, spread_y = n * xx - x * x, n * yy - y * y
        # Sums of squares are exact to about 1e-15 of themselves: a smaller spread is rounding.
        varied = (spread_x > 1e-12 * n * xx) & (spread_y > 1e-12 * n * yy)
        found = (n * xy - x * y) / np.sqrt(np.where(varied, spread_x, np.nan)) / np.sqrt(spread_y)
    return np.asarray(np.clip(found, -1, 1))


def _origin(values: Floats) -> float:
    """Where values are counted from: 0, or their mean where they lie closer together than a thousandth."""
    return float(values.mean()) if values.std() < 1e-3 else 0.0


def _moments(x: Floats, y: Floats) -> Sums:
    """(n, 6) x, y, x squared, y squared, xy and 1, from an origin that keeps their spread above rounding."""
    x, y = x - _origin(x), y - _origin(y)
    return np.stack([x, y, x * x, y * y, x * y, np.ones_like(x)], axis=1)


def confidence_and_explanation(run: Run) -> Statistics | str:
    """Confidence of an answer against the fact score of its explanation (the paper's second open question)."""
    from gi_bench.harness.metrics.explanations import with_confidence
    from gi_bench.harness.metrics.participation import mostly_none

    reason = mostly_none(run)
    if reason:
        return reason
    rows, images, classes = [], [], []
    outside = "confidence outside its range"
    counts = {outside: 0}
    for question, confidence, quality in with_confidence(run):
        if not 0.0 <= confidence <= 1.0:
            counts[outside] += 1
            continue
        rows.append((confidence, quality))
        images.append(question.img_id)
        classes.append(question.question_class)
    if not rows:
        return "the run gives no explanation with a confidence"
    x, y = np.array(rows, dtype=np.float64).T
    if len(np.unique(x)) < 2:
        return f"uninformative: every answer has the confidence {x[0]:g}"
    return Statistics(
        _moments(x, y),
        tuple(images),
        {"question_class": tuple(classes)},
        value=correlation_value,
        counts=counts,
        columns=(("confidence from", _origin(x)), ("fact score from", _origin(y))),
        part=lambda chosen: _moments(x[chosen], y[chosen]),
    )


_RIGHT = (
    "An answer is right if it states every atomic fact asked for; rows without {measure}, or with one outside its "
    "range, are left out and counted."
)
_NAMED = {
    "confidence": "a confidence",
    "log_prob": "a log-probability",
    "margin": "a margin",
    "entropy": "an entropy",
}


@dataclass(frozen=True)
class _Scale:
    """Which end is good, and where the scale begins; it ends at 1 or is open."""

    higher: bool = False
    low: float = 0.0


_ERROR = _Scale()
_GAIN = _Scale(higher=True)
_DIFFERENCE = _Scale(higher=True, low=-1.0)
_Shape = Callable[[Judged], "Statistics | str"]
_HEADLINE = ("confidence_ece", "confidence_auroc_within")


def _metric(
    name: str,
    title: str,
    text: str,
    source: str,
    shape: _Shape,
    scale: _Scale = _ERROR,
    *,
    version: int = 1,
    measure: str = "confidence",
) -> Metric:
    info = MetricInfo(
        name,
        title,
        f"{text} {_RIGHT.format(measure=_NAMED[measure])}",
        source,
        higher_is_better=scale.higher,
        low=scale.low,
        group="confidence",
        comparable=False,
        headline=name in _HEADLINE,
        version=version,
    )

    def compute(run: Run) -> Statistics | str:
        found = run.once(f"confidence: {measure}", lambda run: judged(run, measure))
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
        _adaptive,
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
        "Probability that a right answer is more confident than a wrong one, over all questions; 0.5 says nothing, but "
        "knowing which questions are easy is enough for more (see confidence_auroc_within, confidence_gain).",
        "Fawcett 2006",
        lambda found: _ranked(found, auroc_value),
        _GAIN,
        version=2,
    ),
    _metric(
        "confidence_auroc_within",
        "AUROC of confidence within classes",
        "Probability that a right answer is more confident than a wrong one to a question of the same classes: the "
        "pairs of all combinations of classes together, so that each combination weighs as many pairs as it has; 0.5 "
        "says nothing.",
        "Fawcett 2006, over pairs within strata (van Elteren 1960)",
        _within,
        _GAIN,
    ),
    _metric(
        "confidence_auroc_base_rate",
        "AUROC of base rates",
        "What a confidence has to beat: the AUROC of the share of right answers among those that say the same to "
        "questions of the same classes on other images (five folds of images; one more row with the share of the "
        "classes stands in each). Over pairs within a fold, since between folds a base rate is the lower the more of "
        "its own rows are right.",
        "gi-bench",
        _base_rate,
        _GAIN,
    ),
    _metric(
        "confidence_gain",
        "gain of confidence over base rates",
        "AUROC of confidence minus AUROC of base rates; 0 or less: how often such answers are right elsewhere tells as "
        "much.",
        "gi-bench",
        _gain,
        _DIFFERENCE,
    ),
    _metric(
        "confidence_auprc",
        "AUPRC of confidence",
        "Average precision of right answers ranked by confidence; a confidence that says nothing reaches the share of "
        "right answers.",
        "Davis and Goadrich 2006",
        lambda found: _ranked(found, auprc_value),
        _GAIN,
        version=2,
    ),
    _metric(
        "confidence_aurc",
        "area under risk-coverage",
        "Share of wrong answers among the most confident ones, averaged over all coverages.",
        "Geifman and El-Yaniv 2017",
        lambda found: _ranked(found, aurc_value),
        version=2,
    ),
    *(
        _metric(
            f"confidence_auroc{suffix}_{measure}",
            f"AUROC of {title}{where}",
            f"As confidence_auroc{suffix}, ranked by {text}.",
            "Fawcett 2006",
            shape,
            _GAIN,
            measure=measure,
        )
        for measure, title, text in (
            ("log_prob", "log-probability", "the mean log-probability of the answer's tokens"),
            ("margin", "margin", "the mean difference between the two likeliest tokens"),
            ("entropy", "low entropy", "the mean entropy of the answer's tokens, the lowest first"),
        )
        for suffix, where, shape in (
            ("", "", lambda found: _ranked(found, auroc_value)),
            ("_within", " within classes", _within),
        )
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
