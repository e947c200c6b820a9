"""False alarms: answers that assert an absent finding, regions shown for absent things."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from harness.metrics.base import Metric, Statistics
from harness.reading import asserts
from harness.schema import MetricInfo

if TYPE_CHECKING:
    from harness.store import Run


def _texts(run: Run, *, negative: bool, errs: bool, what: str = "answer") -> Statistics | str:
    """Rows of one finding: 1 where the text says of it what is wrong (``errs``), or what is right."""
    if not any(p.kind == "question" and getattr(p, what) is not None for p in run.predictions.values()):
        return "the run answered no question" if what == "answer" else "the run explained nothing"
    rows, images, findings, classes = [], [], [], []
    unread = missing = 0
    for question in run.questions:
        if question.finding is None or question.complexity != 1 or question.is_negative != negative:
            continue
        prediction = run.predictions.get(("question", question.index))
        text = getattr(prediction, what) if prediction is not None else None
        if text is None:
            missing += 1
            continue
        verdict = asserts(text, question.finding, question.question)
        unread += verdict is None
        rows.append((float(verdict is (negative if errs else not negative)), 1.0))
        images.append(question.img_id)
        findings.append((question.finding,))
        classes.append(question.question_class)
    if not rows:
        return "the suite has no such rows with a single finding"
    return Statistics(
        sums=np.array(rows),
        images=tuple(images),
        slices={"finding": tuple(findings), "question_class": tuple(classes)},
        counts={f"{what} not readable": unread, "missing prediction": missing},
        interval="rate",
    )


def _regions(run: Run, *, negative: bool, shown: bool) -> Statistics | str:
    """Phrases about absent (or present) things: 1 where any pixel is (or is not) shown."""
    if not any(p.kind == "phrase" and p.regions is not None for p in run.predictions.values()):
        return "the run grounded no phrase"
    rows, images, labels = [], [], []
    missing = 0
    for phrase in run.phrases:
        if phrase.is_negative != negative or (not negative and phrase.region is None):
            continue
        prediction = run.predictions.get(("phrase", phrase.index))
        if prediction is None or prediction.regions is None:
            missing += 1
            continue
        rows.append((float(any(region.area for region in prediction.regions) is shown), 1.0))
        images.append(phrase.img_id)
        labels.append((phrase.label,))
    if not rows:
        return f"the suite has no phrase about {'an absent' if negative else 'a present'} thing"
    return Statistics(
        sums=np.array(rows),
        images=tuple(images),
        slices={"label": tuple(labels)},
        counts={"missing prediction": missing},
        interval="rate",
    )


_READER = (
    "Assertions are read by gi-bench's rules (harness/reading); a text that cannot be read counts as no error "
    "and is counted."
)
_SOURCE = "gi-bench; arXiv 2511.04384 names the lack of negatives as a limitation"
_Compute = Callable[["Run"], "Statistics | str"]


def _metric(name: str, title: str, text: str, compute: _Compute, *, higher_is_better: bool = False) -> Metric:
    info = MetricInfo(
        name,
        title,
        text,
        _SOURCE,
        higher_is_better=higher_is_better,
        group="negatives",
        comparable=False,
        headline=name in ("answer_false_positive_rate", "answer_false_negative_rate", "region_false_positive_rate"),
    )
    return Metric(info, compute)


METRICS: list[Metric] = [
    _metric(
        "answer_false_positive_rate",
        "false-positive rate of answers",
        f"Share of rows of complexity 1 whose finding is absent where the answer asserts it. {_READER}",
        lambda run: _texts(run, negative=True, errs=True),
    ),
    _metric(
        "answer_false_negative_rate",
        "false-negative rate of answers",
        f"Share of rows of complexity 1 whose finding is there where the answer denies it. {_READER}",
        lambda run: _texts(run, negative=False, errs=True),
    ),
    _metric(
        "answer_specificity",
        "specificity of answers",
        "Share of rows of complexity 1 whose finding is absent where the answer says so; one that cannot be read does "
        "not.",
        lambda run: _texts(run, negative=True, errs=False),
        higher_is_better=True,
    ),
    _metric(
        "explanation_false_positive_rate",
        "false-positive rate of explanations",
        f"Share of rows of complexity 1 whose finding is absent where the explanation asserts it. {_READER}",
        lambda run: _texts(run, negative=True, errs=True, what="explanation"),
    ),
    _metric(
        "region_false_positive_rate",
        "false-positive rate of regions",
        "Share of phrases about absent things for which any pixel is shown.",
        lambda run: _regions(run, negative=True, shown=True),
    ),
    _metric(
        "region_false_negative_rate",
        "false-negative rate of regions",
        "Share of phrases about things with a reference region for which no pixel is shown.",
        lambda run: _regions(run, negative=False, shown=False),
    ),
    _metric(
        "region_specificity",
        "specificity of regions",
        "Share of phrases about absent things for which no pixel is shown.",
        lambda run: _regions(run, negative=True, shown=False),
        higher_is_better=True,
    ),
]
