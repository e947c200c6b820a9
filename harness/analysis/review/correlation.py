"""Do the model's confidence, our rules and a judge rank explanations as experts do? Spearman's rho, over images.

Whether confidence goes with the quality of explanations, and in which categories of questions, is an open question of
the Kvasir-VQA-x1 paper.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gi_bench.harness.analysis.review.agreement import steady_interval
from gi_bench.harness.analysis.review.key import CRITERIA
from gi_bench.harness.errors import RunError
from gi_bench.harness.metrics.explanations import row_scores
from gi_bench.harness.metrics.judge import kept_verdicts
from gi_bench.harness.metrics.sureness import is_right
from gi_bench.harness.schema import Question
from gi_bench.harness.statistics import Bootstrap, Floats, encode
from gi_bench.harness.store import Run

# Fewer items with both values have no rank order to speak of.
LEAST_ITEMS = 5


@dataclass(frozen=True)
class Correlation:
    """How ratings of one run and criterion rank with something else that is known of the same items.

    Attributes:
        run, criterion: whose ratings of what.
        measure: ``confidence``, ``answer_right`` (1 where the answer states every fact asked for), an explanation
            metric of the rules, or ``judge_...``.
        slice_by, slice_value: items looked at; ``all`` or a question class.
        value: Spearman's rho in [-1, 1]; None where there is none.
        low, high: 95 % interval over images; None where there is none.
        n, images: items with both values, and their images.
        reason: why there is no value; empty where there is one.
    """

    run: str
    criterion: str
    measure: str
    slice_by: str
    slice_value: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    images: int
    reason: str = ""


@dataclass(frozen=True)
class Rated:
    """The items of one run: name, run, questions and (items, criteria) mean ratings, NaN where nobody rated."""

    name: str
    run: Run
    questions: tuple[Question, ...]
    ratings: Floats


def correlations(rated: Rated, bootstrap: Bootstrap) -> Iterator[Correlation]:
    """All correlations of one run: with its confidence by question class, then with every score that rows have."""
    confidence = {
        question.index: said.confidence
        for question in rated.questions
        if (said := rated.run.predictions.get(("question", question.index))) is not None
        and said.confidence is not None
        and 0 <= said.confidence <= 1
    }
    classes = sorted({slug for question in rated.questions for slug in question.question_class})
    for criterion in CRITERIA:
        if not confidence:
            yield _none(rated.name, criterion, "confidence", "the run gives no confidence")
            continue
        yield _one(rated, criterion, "confidence", confidence, bootstrap)
        for slug in classes:
            yield _one(rated, criterion, "confidence", confidence, bootstrap, slug)
    for measure, values in _scores(rated).items():
        for criterion in CRITERIA:
            yield _one(rated, criterion, measure, values, bootstrap)


def _scores(rated: Rated) -> dict[str, Mapping[int, float]]:
    """What is known of single rows, by measure and question's index; measures that no row has are left out."""
    found: dict[str, Mapping[int, float]] = {"answer_right": _right(rated)}
    found.update(row_scores(rated.run, rated.questions))
    with contextlib.suppress(RunError):  # no scores, or none that can be read: no judge is known
        found.update(kept_verdicts(rated.run, rated.questions))
    return {measure: values for measure, values in found.items() if values}


def _right(rated: Rated) -> dict[int, float]:
    found = {}
    for question in rated.questions:
        said = rated.run.predictions.get(("question", question.index))
        right = None if said is None or said.answer is None else is_right(said.answer, question)
        if right is not None:
            found[question.index] = float(right)
    return found


def _none(run: str, criterion: str, measure: str, reason: str) -> Correlation:
    return Correlation(run, criterion, measure, "all", "all", None, None, None, 0, 0, reason)


def _one(
    rated: Rated,
    criterion: str,
    measure: str,
    values: Mapping[int, float],
    bootstrap: Bootstrap,
    slug: str | None = None,
) -> Correlation:
    ratings = rated.ratings[:, list(CRITERIA).index(criterion)]
    kept = [
        i
        for i, question in enumerate(rated.questions)
        if np.isfinite(ratings[i]) and question.index in values and (slug is None or slug in question.question_class)
    ]
    images = [rated.questions[i].img_id for i in kept]
    x = np.array([values[rated.questions[i].index] for i in kept], dtype=np.float64)
    value, bounds, reason = spearman(ratings[kept], x, images, bootstrap)
    low, high = bounds or (None, None)
    by, name = ("all", "all") if slug is None else ("question_class", slug)
    count = len(kept), len(set(images))
    return Correlation(rated.name, criterion, measure, by, name, value, low, high, *count, reason)


def spearman(
    first: Floats, second: Floats, images: Sequence[str], bootstrap: Bootstrap
) -> tuple[float | None, tuple[float, float] | None, str]:
    """Spearman's rho of two measures of the same items.

    Args:
        first, second: (n,) finite values; ties get their mean rank.
        images: (n,) image of each item.
        bootstrap: draws images.

    Returns:
        The value or None, its 95 % interval or None, and why there is no value.
    """
    if len(first) < LEAST_ITEMS:
        return None, None, f"fewer than {LEAST_ITEMS} items"
    for values, what in ((first, "ratings"), (second, "values")):
        if (values == values[0]).all():
            return None, None, f"all {what} are equal"
    codes, count = encode(images)
    of_weights = weighted_rho(first, second, codes)
    value = float(of_weights(np.ones(count)))
    # Sums over one column an image say how often each is drawn: ranks are no function of less.
    return value, steady_interval(np.eye(count), of_weights, bootstrap), ""


def weighted_rho(first: Floats, second: Floats, codes: npt.NDArray[np.int64]) -> Callable[[Floats], Floats]:
    """Spearman's rho as a function of (..., images) how often each image counts; NaN where ranks do not differ."""
    below = [(x[None, :] < x[:, None]) + 0.5 * (x[None, :] == x[:, None]) for x in (first, second)]

    def value(weights: Floats) -> Floats:
        w = weights[..., codes]
        total = w.sum(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            ranks = [w @ matrix.T for matrix in below]
            a, b = (rank - (w * rank).sum(axis=-1, keepdims=True) / total for rank in ranks)
            spread = np.sqrt((w * a * a).sum(axis=-1) * (w * b * b).sum(axis=-1))
            return np.asarray(np.where(spread > 1e-9, (w * a * b).sum(axis=-1) / spread, np.nan))

    return value


__all__ = ["LEAST_ITEMS", "Correlation", "Rated", "correlations", "spearman", "weighted_rho"]
