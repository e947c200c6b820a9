"""False alarms: answers that assert an absent finding, regions shown for absent things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.answers import asserts
from harness.metrics.base import Metric, Statistics
from harness.schema import MetricInfo

if TYPE_CHECKING:
    from harness.store import Run


def _answers(run: Run, *, negative: bool) -> Statistics | str:
    """Share of answers that assert (negative rows) or deny (positive rows) the finding asked about."""
    if not any(p.kind == "question" and p.answer is not None for p in run.predictions.values()):
        return "the run answered no question"
    rows, images, findings, classes = [], [], [], []
    unread = missing = 0
    for question in run.questions:
        if question.finding is None or question.complexity != 1 or question.is_negative != negative:
            continue
        prediction = run.predictions.get(("question", question.index))
        if prediction is None or prediction.answer is None:
            missing += 1
            continue
        verdict = asserts(prediction.answer, question.finding, question.question)
        unread += verdict is None
        rows.append((float(verdict is negative), 1.0))
        images.append(question.img_id)
        findings.append((question.finding,))
        classes.append(question.question_class)
    if not rows:
        return "the suite has no such rows with a single finding"
    return Statistics(
        sums=np.array(rows),
        images=tuple(images),
        slices={"finding": tuple(findings), "question_class": tuple(classes)},
        counts={"answer not readable": unread, "missing prediction": missing},
    )


def false_positive_answers(run: Run) -> Statistics | str:
    """Over rows whose finding is absent: 1 where the answer asserts it."""
    return _answers(run, negative=True)


def false_negative_answers(run: Run) -> Statistics | str:
    """Over rows whose finding is there: 1 where the answer denies it."""
    return _answers(run, negative=False)


def false_positive_regions(run: Run) -> Statistics | str:
    """Over phrases that nothing in the image fits: 1 where any pixel is shown."""
    if not any(p.kind == "phrase" and p.regions is not None for p in run.predictions.values()):
        return "the run grounded no phrase"
    rows, images, labels = [], [], []
    missing = 0
    for phrase in run.phrases:
        if not phrase.is_negative:
            continue
        prediction = run.predictions.get(("phrase", phrase.index))
        if prediction is None or prediction.regions is None:
            missing += 1
            continue
        rows.append((float(any(region.area for region in prediction.regions)), 1.0))
        images.append(phrase.img_id)
        labels.append((phrase.label,))
    if not rows:
        return "the suite has no phrase about an absent thing"
    return Statistics(
        sums=np.array(rows),
        images=tuple(images),
        slices={"label": tuple(labels)},
        counts={"missing prediction": missing},
    )


_READER = (
    "Assertions are read by gi-bench's rules (harness/answers.py); an answer that cannot be read counts as no error "
    "and is counted."
)

METRICS: list[Metric] = [
    Metric(
        MetricInfo(
            "answer_false_positive_rate",
            "false-positive rate of answers",
            f"Share of rows of complexity 1 whose finding is absent where the answer asserts it. {_READER}",
            "gi-bench; arXiv 2511.04384 names the lack of negatives as a limitation",
            higher_is_better=False,
            group="negatives",
            comparable=False,
        ),
        false_positive_answers,
    ),
    Metric(
        MetricInfo(
            "answer_false_negative_rate",
            "false-negative rate of answers",
            f"Share of rows of complexity 1 whose finding is there where the answer denies it. {_READER}",
            "gi-bench",
            higher_is_better=False,
            group="negatives",
            comparable=False,
        ),
        false_negative_answers,
    ),
    Metric(
        MetricInfo(
            "region_false_positive_rate",
            "false-positive rate of regions",
            "Share of phrases about absent things for which any pixel is shown.",
            "gi-bench",
            higher_is_better=False,
            group="negatives",
            comparable=False,
        ),
        false_positive_regions,
    ),
]
