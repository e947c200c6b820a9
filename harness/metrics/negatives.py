"""False alarms: answers that assert an absent finding, regions shown for absent things."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.metrics.participation import TOOK_PART, replies, rest_on, share, too_few
from gi_bench.harness.reading.replies import names_finding
from gi_bench.harness.schema import MetricInfo, Question, ReplyState

if TYPE_CHECKING:
    from gi_bench.harness.store import Run


def _texts(run: Run, *, negative: bool, asserted: bool, what: str = "answer") -> Statistics | str:
    """Rows of one finding whose reply states or denies it: 1 where it does the one that counts."""
    if not any(p.kind == "question" and getattr(p, what) is not None for p in run.predictions.values()):
        return "the run answered no question" if what == "answer" else "the run explained nothing"
    chosen = [q for q in run.questions if q.finding is not None and q.complexity == 1 and q.is_negative == negative]
    if not chosen:
        return "the suite has no such rows with a single finding"
    states = [(_explanation if what == "explanation" else _answer)(run, question) for question in chosen]
    slices = {
        "finding": tuple((str(question.finding),) for question in chosen),
        "question_class": tuple(question.question_class for question in chosen),
    }
    return _rate(states, slices, [q.img_id for q in chosen], f"{what}s", "stated" if asserted else "denied")


def _answer(run: Run, question: Question) -> ReplyState:
    return replies(run).answers[question.index]


def _explanation(run: Run, question: Question) -> ReplyState:
    """What an explanation says of the row's finding; one that says nothing of it is not readable here."""
    found = replies(run)
    state = found.explanations.get(question.index, "not given")
    prediction = run.predictions.get(("question", question.index))
    if state != "stated" or prediction is None or prediction.explanation is None or question.finding is None:
        return state
    return "stated" if names_finding(prediction.explanation, question) else "unreadable"


def _regions(run: Run, *, asserted: bool) -> Statistics | str:
    """Phrases about absent things whose reply states or denies them: 1 where it does the one that counts."""
    if not any(p.kind == "phrase" and p.regions is not None for p in run.predictions.values()):
        return "the run grounded no phrase"
    chosen = [phrase for phrase in run.phrases if phrase.is_negative]
    if not chosen:
        return "the suite has no phrase about an absent thing"
    states = [replies(run).regions[phrase.index] for phrase in chosen]
    slices = {"label": tuple((phrase.label,) for phrase in chosen)}
    return _rate(states, slices, [p.img_id for p in chosen], "regions", "stated" if asserted else "denied")


def _rate(
    states: Sequence[ReplyState],
    slices: Mapping[str, tuple[tuple[str, ...], ...]],
    images: Sequence[str],
    what: str,
    wanted: ReplyState,
) -> Statistics | str:
    """Share of one state among the replies that state or deny something."""
    rest = rest_on(states, slices, what)
    if isinstance(rest, str):
        return rest
    rows, kept, counts = rest
    hits = np.array([float(states[i] == wanted) for i in rows])
    return Statistics(
        sums=np.stack([hits, np.ones_like(hits)], axis=1),
        images=tuple(images[i] for i in rows),
        slices=kept,
        counts=counts,
        interval="rate",
    )


def _missed_regions(run: Run) -> Statistics | str:
    """Phrases with a reference region: 1 where no pixel is shown, for whatever reason.

    All of them count, as they do for IoU: what has no prediction, or a reply that cannot be read, is missed.
    """
    if not any(p.kind == "phrase" and p.regions is not None for p in run.predictions.values()):
        return "the run grounded no phrase"
    chosen = [phrase for phrase in run.phrases if not phrase.is_negative and phrase.region is not None]
    if not chosen:
        return "the suite has no phrase about a present thing"
    states = [replies(run).regions[phrase.index] for phrase in chosen]
    reason = too_few(states, "regions")
    if reason:
        return reason
    missed = np.array([float(state != "stated") for state in states])
    return Statistics(
        sums=np.stack([missed, np.ones_like(missed)], axis=1),
        images=tuple(phrase.img_id for phrase in chosen),
        slices={"label": tuple((phrase.label,) for phrase in chosen)},
        counts=dict(Counter(f"regions {state}" for state in states if state not in TOOK_PART)),
        interval="rate",
    )


def _answers_given(run: Run) -> Statistics | str:
    slices: dict[str, dict[int, tuple[str, ...]]] = {
        "question_class": {q.index: q.question_class for q in run.questions},
        "finding": {q.index: (q.finding,) if q.finding else () for q in run.questions},
    }
    return share(run.questions, replies(run).answers, slices, "the run answered no question")


def _regions_given(run: Run) -> Statistics | str:
    slices = {"label": {phrase.index: (phrase.label,) for phrase in run.phrases}}
    return share(run.phrases, replies(run).regions, slices, "the run grounded no phrase")


_READER = (
    "Assertions are read by gi-bench's rules (harness/reading). Over replies that state or deny it: refused, "
    "unreadable and missing ones are left out and counted (answer_participation); no value where these are more than "
    "half."
)
_REGION = (
    "Over replies that state or deny it: refused, unreadable and missing ones are left out and counted "
    "(region_participation); no value where these are more than half."
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
        version=1 if "participation" in name else 2,
    )
    return Metric(info, compute)


METRICS: list[Metric] = [
    _metric(
        "answer_false_positive_rate",
        "false-positive rate of answers",
        f"Share of rows of complexity 1 whose finding is absent where the answer asserts it. {_READER}",
        lambda run: _texts(run, negative=True, asserted=True),
    ),
    _metric(
        "answer_false_negative_rate",
        "false-negative rate of answers",
        f"Share of rows of complexity 1 whose finding is there where the answer denies it. {_READER}",
        lambda run: _texts(run, negative=False, asserted=False),
    ),
    _metric(
        "answer_specificity",
        "specificity of answers",
        f"Share of rows of complexity 1 whose finding is absent where the answer denies it. {_READER}",
        lambda run: _texts(run, negative=True, asserted=False),
        higher_is_better=True,
    ),
    _metric(
        "explanation_false_positive_rate",
        "false-positive rate of explanations",
        "Share of rows of complexity 1 whose finding is absent where the explanation asserts it. Over explanations "
        "that state or deny it: those that repeat answer or question, say nothing of it, refuse or are missing are "
        "left out and counted; no value where these are more than half.",
        lambda run: _texts(run, negative=True, asserted=True, what="explanation"),
    ),
    _metric(
        "region_false_positive_rate",
        "false-positive rate of regions",
        f"Share of phrases about absent things for which any pixel is shown. {_REGION}",
        lambda run: _regions(run, asserted=True),
    ),
    _metric(
        "region_false_negative_rate",
        "false-negative rate of regions",
        "Share of phrases about things with a reference region for which no pixel is shown; a missing prediction and a "
        "reply that cannot be read show none. No value where fewer than half of the replies state or deny something.",
        _missed_regions,
    ),
    _metric(
        "region_specificity",
        "specificity of regions",
        f"Share of phrases about absent things for which the model says that nothing is there. {_REGION}",
        lambda run: _regions(run, asserted=False),
        higher_is_better=True,
    ),
    _metric(
        "answer_participation",
        "answers that state or deny",
        "Share of questions whose answer states or denies something; the others refuse, cannot be read or are missing.",
        _answers_given,
        higher_is_better=True,
    ),
    _metric(
        "region_participation",
        "regions stated or denied",
        "Share of phrases to which the reply shows a region or denies it in the task's own way; the others refuse, "
        "hold no location or are missing.",
        _regions_given,
        higher_is_better=True,
    ),
]
