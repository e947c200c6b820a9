"""Who takes part: what every reply of a run is, counted by task and class.

Rates over absent findings rest on the replies that state or deny something. Where these are fewer than half of the
rows, a rate says nothing of the model, and there is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gi_bench.harness.metrics.base import Statistics
from gi_bench.harness.reading.replies import answer_state, explanation_state
from gi_bench.harness.schema import REPLY_STATES, Phrase, Prediction, Question, Reply, ReplyState

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

# Fewer rows than this share with a statement or a denial, and a rate has no value.
LEAST_SHARE = 0.5
TOOK_PART: frozenset[ReplyState] = frozenset({"stated", "denied"})


def region_state(prediction: Prediction | None) -> ReplyState:
    """What the reply to a phrase is.

    An empty region of a run that was stored before states were may stand for a denial, a refusal or words that are no
    region: it cannot be told, and counts as unreadable (:func:`notes` says so).
    """
    if prediction is None or prediction.regions is None:
        return "not given"
    if prediction.ground_reply is not None and prediction.ground_reply.state is not None:
        return prediction.ground_reply.state
    return "stated" if any(region.area for region in prediction.regions) else "unreadable"


@dataclass(frozen=True)
class Replies:
    """The state of every reply of a run, by the row's index.

    Attributes:
        answers: of every question, where the run answers.
        explanations: of every question that wants an explanation or got one, where the run explains.
        regions: of every phrase, where the run grounds.
        repeats: indices of questions whose explanation repeats its answer or question.
        unknown: number of empty regions that came without a state.
    """

    answers: dict[int, ReplyState]
    explanations: dict[int, ReplyState]
    regions: dict[int, ReplyState]
    repeats: frozenset[int]
    unknown: int


def replies(run: Run) -> Replies:
    """The states of a run's replies, read once a run."""
    return run.once("replies", _replies)


def _replies(run: Run) -> Replies:
    given = run.predictions
    said = [prediction for prediction in given.values() if prediction.kind == "question"]
    answers: dict[int, ReplyState] = {}
    explanations: dict[int, ReplyState] = {}
    repeated = set()
    answered, explained = (any(getattr(p, what) is not None for p in said) for what in ("answer", "explanation"))
    for question in run.questions:
        prediction = given.get(("question", question.index))
        answer, explanation = (prediction.answer, prediction.explanation) if prediction is not None else (None, None)
        if answered:
            said_of = prediction.answer_reply if prediction is not None else None
            answers[question.index] = _why_empty(answer, said_of) or answer_state(answer, question)
        if explained and (question.wants_explanation or explanation is not None):
            said_of = prediction.explain_reply if prediction is not None else None
            state = _why_empty(explanation, said_of) or explanation_state(explanation, answer, question)
            explanations[question.index] = state
            if state == "not given" and explanation is not None and explanation.strip():
                repeated.add(question.index)
    shown = {phrase.index: given.get(("phrase", phrase.index)) for phrase in run.phrases}
    grounded = any(p is not None and p.regions is not None for p in shown.values())
    regions = {index: region_state(p) for index, p in shown.items()} if grounded else {}
    unknown = sum(
        regions[index] == "unreadable" and p is not None and (p.ground_reply is None or p.ground_reply.state is None)
        for index, p in shown.items()
        if grounded
    )
    return Replies(answers, explanations, regions, frozenset(repeated), unknown)


def _why_empty(text: str | None, reply: Reply | None) -> ReplyState | None:
    """What the model says of an empty text; None where it says nothing, or where there is a text to read."""
    if reply is None or reply.state not in ("refused", "unreadable") or (text or "").strip():
        return None
    return reply.state


def tally(run: Run) -> dict[str, dict[str, dict[str, int]]]:
    """Replies by task (as far as it was run), by question class or region label (``all`` first), and by state."""
    found = replies(run)
    questions = [(q.index, q.question_class) for q in run.questions]
    phrases = [(p.index, (p.label,)) for p in run.phrases]
    tasks: tuple[tuple[str, dict[int, ReplyState], Sequence[tuple[int, tuple[str, ...]]]], ...] = (
        ("answers", found.answers, questions),
        ("regions", found.regions, phrases),
        ("explanations", found.explanations, questions),
    )
    return {task: _by_class(states, rows) for task, states, rows in tasks if states}


def _by_class(states: dict[int, ReplyState], rows: Sequence[tuple[int, tuple[str, ...]]]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {"all": Counter()}
    for index, classes in rows:
        if index in states:
            for name in ("all", *dict.fromkeys(classes)):
                counts.setdefault(name, Counter())[states[index]] += 1
    names = ("all", *sorted(set(counts) - {"all"}))
    return {name: {state: counts[name][state] for state in REPLY_STATES} for name in names}


def notes(run: Run) -> Iterator[str]:
    """What has to be said beside the scores: states that are not known, and tasks in which a run takes no part."""
    found = replies(run)
    if found.unknown:
        yield (
            f"{run.variant}: {found.unknown:,} empty regions were stored without what the model wrote; they count as "
            "unreadable, not as denials: run again to tell which they are"
        )
    for task, states in (("answers", found.answers), ("regions", found.regions), ("explanations", found.explanations)):
        reason = too_few(list(states.values()), task)
        if reason:
            repeated = f"; {len(found.repeats):,} repeat answer or question" if found.repeats else ""
            yield f"{run.variant} {reason}{repeated if task == 'explanations' else ''}"


def too_few(states: Sequence[ReplyState], what: str) -> str | None:
    """Why replies are too few to rest a rate on; None if at least half of the rows state or deny something.

    >>> too_few(["stated", "refused", "refused"], "answers")
    'takes no part: 1 of 3 answers state or deny something (2 refused)'
    """
    part = sum(state in TOOK_PART for state in states)
    if not states or part >= LEAST_SHARE * len(states):
        return None
    others = Counter(state for state in states if state not in TOOK_PART)
    listed = ", ".join(f"{others[state]:,} {state}" for state in REPLY_STATES if others[state])
    return f"takes no part: {part:,} of {len(states):,} {what} state or deny something ({listed})"


def real_explanation(run: Run, question: Question) -> str | None:
    """A row's explanation; None where there is none, or it refuses, cannot be read or repeats answer or question."""
    prediction = run.predictions.get(("question", question.index))
    if prediction is None or replies(run).explanations.get(question.index) not in TOOK_PART:
        return None
    return prediction.explanation


def mostly_none(run: Run) -> str | None:
    """Why explanations are too few to be scored; None if they are not."""
    # Before all answers are read.
    if not any(said.kind == "question" and said.explanation is not None for said in run.predictions.values()):
        return "the run explained nothing"
    found = replies(run)
    if not found.explanations:
        return "the run explained nothing"
    reason = too_few(list(found.explanations.values()), "explanations")
    return f"{reason}; {len(found.repeats):,} repeat answer or question" if reason and found.repeats else reason


def left_out_counts(run: Run) -> dict[str, int]:
    """Rows without an explanation, by reason."""
    found = replies(run)
    counts = Counter(f"explanation {state}" for state in found.explanations.values() if state not in TOOK_PART)
    counts["explanation not given"] -= len(found.repeats)
    return {**+counts, "explanation repeats answer or question": len(found.repeats)}


def rest_on(
    states: Sequence[ReplyState], slices: Mapping[str, tuple[tuple[str, ...], ...]], what: str
) -> tuple[list[int], dict[str, tuple[tuple[str, ...], ...]], dict[str, int]] | str:
    """Rows that a rate rests on: those that state or deny something.

    Args:
        states: one a row.
        slices: values of each row by slice kind.
        what: name of the replies in counts.

    Returns:
        Rows, their slices without the values in which fewer than half of the rows take part, and the counts of the
        other states; or why there is no rate.
    """
    reason = too_few(states, what)
    if reason:
        return reason
    rows = [i for i, state in enumerate(states) if state in TOOK_PART]
    kept = {}
    counts = Counter(f"{what} {state}" for state in states if state not in TOOK_PART)
    for kind, labels in slices.items():
        by_value: dict[str, list[ReplyState]] = {}
        for state, values in zip(states, labels, strict=True):
            for value in dict.fromkeys(values):
                by_value.setdefault(value, []).append(state)
        silent = {value for value, found in by_value.items() if too_few(found, what)}
        kept[kind] = tuple(tuple(value for value in labels[i] if value not in silent) for i in rows)
        for value in silent:
            counts[f"no value for {kind.replace('_', ' ')} {value}: too few {what} state or deny something"] = len(
                by_value[value]
            )
    return rows, kept, dict(counts)


def share(
    rows: Sequence[Question] | Sequence[Phrase],
    states: dict[int, ReplyState],
    slices: Mapping[str, Mapping[int, tuple[str, ...]]],
    why: str,
) -> Statistics | str:
    """Share of rows whose reply states or denies something, over all rows that have a state.

    Args:
        rows: questions or phrases.
        states: by index.
        slices: by kind, the values of every row, by index.
        why: reason where no row has a state.
    """
    chosen = [row for row in rows if row.index in states]
    if not chosen:
        return why
    part = np.array([float(states[row.index] in TOOK_PART) for row in chosen])
    return Statistics(
        sums=np.stack([part, np.ones_like(part)], axis=1),
        images=tuple(row.img_id for row in chosen),
        slices={kind: tuple(values[row.index] for row in chosen) for kind, values in slices.items()},
        counts=dict(Counter(state for row in chosen if (state := states[row.index]) not in TOOK_PART)),
        interval="wilson",
    )
