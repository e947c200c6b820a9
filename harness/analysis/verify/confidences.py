"""Rankings and calibration of confidences by scikit-learn and SciPy.

Whether an answer is right is read by gi-bench's rules (:mod:`gi_bench.harness.reading`): the field has no library for
that. What is made of right, wrong and confidence is the libraries'.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gi_bench.harness.analysis.verify.methods import Method, Rows
from gi_bench.harness.metrics.participation import mostly_none
from gi_bench.harness.reading.readers import read
from gi_bench.harness.reading.values import atomic_value
from gi_bench.harness.schema import Prediction, Question

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

_READINGS = "whether an answer is right is gi-bench's reading"
_BINS = 15


def _right(answer: str, question: Question) -> bool | None:
    """Whether an answer states all atomic facts, or is the reference where there are none; None without either."""
    facts = [
        (slug, wanted)
        for slug, pair in zip(question.question_class, question.original, strict=False)
        if (wanted := atomic_value(slug, pair.answer)) is not None
    ]
    if facts:
        return all(read(answer, slug, question.question_class) == wanted for slug, wanted in facts)
    return None if question.answer is None else answer.strip().lower() == question.answer.strip().lower()


def _measure(name: str, prediction: Prediction) -> float | None:
    """What a model says of how sure it is, as a number from 0 to 1 that rises with it."""
    found: float | None = getattr(prediction, name)
    if found is None or name in ("confidence", "margin"):
        return found
    return float(np.exp(found)) if name == "log_prob" else 1 - found


@dataclass(frozen=True)
class _Judged:
    confidence: tuple[float, ...]
    right: tuple[bool, ...]
    images: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]

    def rows(self, value: Callable[[Sequence[int]], float], how: str, counted: Sequence[bool] | None = None) -> Rows:
        return Rows(self.images, {"question_class": self.classes}, value, how, counted, _READINGS)

    def of(self, rows: Sequence[int]) -> tuple[list[bool], list[float]]:
        """Right and confidence of some rows, in scikit-learn's order."""
        return [self.right[row] for row in rows], [self.confidence[row] for row in rows]


def _answered(run: Run) -> list[tuple[Question, Prediction, bool]]:
    found = []
    for question in run.questions:
        prediction = run.predictions.get(("question", question.index))
        if prediction is not None and prediction.answer is not None:
            right = _right(prediction.answer, question)
            if right is not None:
                found.append((question, prediction, right))
    return found


def _judged(run: Run, measure: str) -> _Judged | str:
    rows = []
    for question, prediction, right in run.once("verify: answers right or wrong", _answered):
        sure = _measure(measure, prediction)
        if sure is not None and 0 <= sure <= 1:
            rows.append((sure, right, question.img_id, question.question_class))
    if not rows:
        return f"no answer has a {measure} in its range and can be judged"
    confidence, truth, images, classes = zip(*rows, strict=True)
    return _Judged(confidence, truth, images, classes)


def _same(found: _Judged) -> bool:
    return len(set(found.confidence)) < 2


_SAME = "uninformative: every answer has the same confidence"


def _auroc_of(truth: Sequence[bool], score: Sequence[float]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, score)) if len(set(truth)) == 2 else math.nan


def _auroc(run: Run, measure: str) -> Rows | str:
    found = _judged(run, measure)
    if isinstance(found, str):
        return found
    return _SAME if _same(found) else found.rows(lambda rows: _auroc_of(*found.of(rows)), "roc_auc_score")


def _auroc_within(run: Run, measure: str) -> Rows | str:
    """Pairs within combinations of classes: AUROC of each, weighted by its pairs."""
    found = _judged(run, measure)
    if isinstance(found, str):
        return found
    strata = [frozenset(classes) for classes in found.classes]
    if len(set(zip(strata, found.confidence, strict=True))) == len(set(strata)):
        return "uninformative: answers to questions of the same classes have the same confidence"

    sides = {(stratum, right) for stratum, right in zip(strata, found.right, strict=True)}
    paired = [{(stratum, True), (stratum, False)} <= sides for stratum in strata]
    how = "roc_auc_score of each combination of classes, weighted by its pairs"
    return found.rows(lambda rows: _within(found, strata, rows), how, paired)


def _within(found: _Judged, strata: Sequence[frozenset[str]], rows: Sequence[int]) -> float:
    """AUROC of the rows of each stratum, weighted by its pairs; NaN without a pair."""
    members: dict[frozenset[str], list[int]] = {}
    for row in rows:
        members.setdefault(strata[row], []).append(row)
    ordered = pairs = 0.0
    for chosen in members.values():
        truth, score = found.of(chosen)
        weight = sum(truth) * (len(truth) - sum(truth))
        if weight:
            ordered, pairs = ordered + weight * _auroc_of(truth, score), pairs + weight
    return ordered / pairs if pairs else math.nan


def _average_precision(run: Run) -> Rows | str:
    from sklearn.metrics import average_precision_score

    found = _judged(run, "confidence")
    if isinstance(found, str):
        return found

    def value(rows: Sequence[int]) -> float:
        truth, score = found.of(rows)
        # scikit-learn says 0 and warns where nothing is right; there is no precision to average.
        return float(average_precision_score(truth, score)) if any(truth) else math.nan

    return _SAME if _same(found) else found.rows(value, "average_precision_score")


def _brier(run: Run) -> Rows | str:
    from sklearn.metrics import brier_score_loss

    found = _judged(run, "confidence")
    if isinstance(found, str):
        return found

    def value(rows: Sequence[int]) -> float:
        truth, score = found.of(rows)
        return float(brier_score_loss([int(right) for right in truth], score, pos_label=1))

    return found.rows(value, "brier_score_loss")


def _calibration(run: Run) -> Rows | str:
    """Expected calibration error over bins of equal width, by SciPy's binned means."""
    found = _judged(run, "confidence")
    if isinstance(found, str):
        return found
    return found.rows(
        lambda rows: _binned_error(*found.of(rows)), f"stats.binned_statistic, {_BINS} bins (Guo et al. 2017)"
    )


def _binned_error(truth: Sequence[bool], score: Sequence[float]) -> float:
    """Mean distance of confidence and share of right answers over the bins."""
    from scipy.stats import binned_statistic

    right_ones, scores = np.array(truth, dtype=float), np.array(score, dtype=float)
    # SciPy's bins hold their lower edge, those of Guo et al. their upper one: counted from 1 down they agree.
    right, sure, count = (
        binned_statistic(1 - scores, values, statistic, np.linspace(0, 1, _BINS + 1)).statistic
        for values, statistic in ((right_ones, "mean"), (scores, "mean"), (scores, "count"))
    )
    return float(np.nansum(count * np.abs(right - sure)) / len(scores))


def _correlation(run: Run) -> Rows | str:
    """Pearson's correlation of confidence and the fact score of the explanation."""
    from gi_bench.harness.metrics.explanations import with_confidence

    if reason := mostly_none(run):
        return reason
    rows = [
        (confidence, quality, question.img_id, question.question_class)
        for question, confidence, quality in with_confidence(run)
        if 0 <= confidence <= 1
    ]
    if not rows:
        return "the run gives no explanation with a confidence"
    x, y, images, classes = zip(*rows, strict=True)
    if len(set(x)) < 2:
        return _SAME

    def value(chosen: Sequence[int]) -> float:
        from scipy.stats import pearsonr

        ours, theirs = [x[row] for row in chosen], [y[row] for row in chosen]
        if len(set(ours)) < 2 or len(set(theirs)) < 2:
            return math.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values close together
            return float(pearsonr(ours, theirs).statistic)

    how, rests_on = "stats.pearsonr", "the fact score of an explanation is gi-bench's reading"
    return Rows(images, {"question_class": classes}, value, how, None, rests_on)


METHODS: tuple[Method, ...] = (
    Method("confidence_ece", "scipy", _calibration),
    Method("confidence_brier", "scikit-learn", _brier),
    Method("confidence_auprc", "scikit-learn", _average_precision),
    *(
        Method(f"confidence_auroc{within}{suffix}", "scikit-learn", partial(make, measure=measure))
        for measure, suffix in (
            ("confidence", ""), ("log_prob", "_log_prob"), ("margin", "_margin"), ("entropy", "_entropy"),
        )
        for within, make in (("", _auroc), ("_within", _auroc_within))
    ),
    Method("confidence_explanation_correlation", "scipy", _correlation),
)  # fmt: skip

__all__ = ["METHODS"]
