"""Rates of false alarms and denials by scikit-learn's confusion matrix.

What a reply to a question says is read by gi-bench's rules (:mod:`gi_bench.harness.reading`); whether a region is shown
is stored. Which rows count is decided as the metrics do: those whose reply states or denies something, where these are
at least half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from gi_bench.harness.analysis.verify.methods import Method, Rows
from gi_bench.harness.metrics.participation import replies, rest_on, too_few
from gi_bench.harness.reading.replies import names_finding
from gi_bench.harness.schema import Phrase, Question, ReplyState

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

Rate = Literal["fpr", "fnr", "tnr"]
_FORMULA: dict[Rate, str] = {"fpr": "FP / (FP + TN)", "fnr": "FN / (FN + TP)", "tnr": "TN / (TN + FP)"}
_READINGS = "what a reply states or denies is gi-bench's reading"


def _rows(
    states: Sequence[ReplyState],
    present: bool,
    images: Sequence[str],
    slices: Mapping[str, tuple[tuple[str, ...], ...]],
    rate: Rate,
    rests_on: str = "",
) -> Rows:
    """Rows of which all, or none, are about a present thing."""
    stated = [state == "stated" for state in states]

    def value(rows: Sequence[int]) -> float:
        from sklearn.metrics import confusion_matrix

        said = [stated[row] for row in rows]
        table = confusion_matrix([present] * len(rows), said, labels=[False, True])
        (tn, fp), (fn, tp) = table.tolist()
        hits, total = {"fpr": (fp, fp + tn), "fnr": (fn, fn + tp), "tnr": (tn, tn + fp)}[rate]
        return float(hits / total)

    return Rows(tuple(images), slices, value, f"confusion_matrix, {_FORMULA[rate]}", None, rests_on)


def _taking_part(
    states: Sequence[ReplyState],
    present: bool,
    images: Sequence[str],
    slices: Mapping[str, tuple[tuple[str, ...], ...]],
    rate: Rate,
    what: str,
    rests_on: str = "",
) -> Rows | str:
    rest = rest_on(states, slices, what)
    if isinstance(rest, str):
        return rest
    kept, kept_slices, _ = rest
    return _rows([states[i] for i in kept], present, [images[i] for i in kept], kept_slices, rate, rests_on)


def _texts(run: Run, what: Literal["answer", "explanation"], present: bool, rate: Rate) -> Rows | str:
    if not any(p.kind == "question" and getattr(p, what) is not None for p in run.predictions.values()):
        return "the run answered no question" if what == "answer" else "the run explained nothing"
    chosen = [q for q in run.questions if q.finding is not None and q.complexity == 1 and q.is_negative != present]
    if not chosen:
        return "the suite has no such rows with a single finding"
    state: Callable[[Run, Question], ReplyState] = _explanation if what == "explanation" else _answer
    slices = {
        "finding": tuple((str(question.finding),) for question in chosen),
        "question_class": tuple(question.question_class for question in chosen),
    }
    states, images = [state(run, question) for question in chosen], [question.img_id for question in chosen]
    return _taking_part(states, present, images, slices, rate, f"{what}s", _READINGS)


def _answer(run: Run, question: Question) -> ReplyState:
    return replies(run).answers[question.index]


def _explanation(run: Run, question: Question) -> ReplyState:
    """What an explanation says of the row's finding; one that does not speak of it cannot be read here."""
    state = replies(run).explanations.get(question.index, "not given")
    prediction = run.predictions.get(("question", question.index))
    if state != "stated" or prediction is None or prediction.explanation is None:
        return state
    return "stated" if names_finding(prediction.explanation, question) else "unreadable"


def _region(run: Run, phrase: Phrase) -> ReplyState:
    """What the reply to a phrase is; an empty region of which nobody stored what it stands for cannot be read."""
    prediction = run.predictions.get(("phrase", phrase.index))
    if prediction is None or prediction.regions is None:
        return "not given"
    if prediction.ground_reply is not None and prediction.ground_reply.state is not None:
        return prediction.ground_reply.state
    return "stated" if any(region.mask().any() for region in prediction.regions) else "unreadable"


def _regions(run: Run, present: bool, rate: Rate) -> Rows | str:
    if not any(p.kind == "phrase" and p.regions is not None for p in run.predictions.values()):
        return "the run grounded no phrase"
    chosen = [p for p in run.phrases if p.is_negative != present and (p.region is not None or not present)]
    if not chosen:
        return "the suite has no such phrases"
    states, images = [_region(run, phrase) for phrase in chosen], [phrase.img_id for phrase in chosen]
    slices = {"label": tuple((phrase.label,) for phrase in chosen)}
    if not present:
        return _taking_part(states, present, images, slices, rate, "regions")
    # A missed region is one whatever the reply was, so that all rows count.
    return too_few(states, "regions") or _rows(states, present, images, slices, rate)


METHODS: tuple[Method, ...] = tuple(
    Method(name, "scikit-learn", make)
    for name, make in (
        ("answer_false_positive_rate", partial(_texts, what="answer", present=False, rate="fpr")),
        ("answer_false_negative_rate", partial(_texts, what="answer", present=True, rate="fnr")),
        ("answer_specificity", partial(_texts, what="answer", present=False, rate="tnr")),
        ("explanation_false_positive_rate", partial(_texts, what="explanation", present=False, rate="fpr")),
        ("region_false_positive_rate", partial(_regions, present=False, rate="fpr")),
        ("region_false_negative_rate", partial(_regions, present=True, rate="fnr")),
        ("region_specificity", partial(_regions, present=False, rate="tnr")),
    )
)

__all__ = ["METHODS"]
