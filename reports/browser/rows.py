"""What the example browser shows of a row: the reference, and what every run said of it with how it is judged."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gi_bench.harness.metrics.participation import TOOK_PART, region_state, replies
from gi_bench.harness.metrics.text import exact_match
from gi_bench.harness.metrics.visuals import region_references, region_target
from gi_bench.harness.reading.readers import read
from gi_bench.harness.reading.values import SHAPES, Value, atomic_value
from gi_bench.harness.schema import Kind, Phrase, Prediction, Question, Region, ReplyState
from gi_bench.harness.store import Run
from gi_bench.reports.browser.outlines import overlaps

Key = tuple[str, int]
# From this overlap on a region counts as right, as in detection.
RIGHT_FROM = 0.5
# Right, wrong, not read, nothing to judge by, no reply.
RIGHT, WRONG, UNREAD, UNJUDGED, NO_REPLY = "r", "w", "u", "-", "n"
_STEPS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Said:
    """What one run said of a row.

    Attributes:
        state: right, wrong, not read, nothing to judge by, or no reply, as a letter.
        reply: what the answer (of a phrase: the region) is; None where the run does not do that task.
        answer, explanation: as they were written.
        explanation_reply: what the explanation is; None where there was none to give.
        confidence: of the answer, of a phrase's region.
        phrase: what was put to the model to be shown; for a question, its own answer.
        regions: what was shown; None if the task was not run.
        iou: with the reference region, where there is one to show.
        read: value read from the answer for each fact asked for.
        says: equal where two answers say the same.
        alarms: whether the answer, and whether a region, is about something absent.
        wrote: what was written in the place of a region.
    """

    state: str = NO_REPLY
    reply: ReplyState | None = None
    answer: str | None = None
    explanation: str | None = None
    explanation_reply: ReplyState | None = None
    confidence: float | None = None
    phrase: str | None = None
    regions: tuple[Region, ...] | None = None
    iou: float | None = None
    read: tuple[str, ...] = ()
    says: Hashable = None
    alarms: tuple[bool, bool] = (False, False)
    wrote: str | None = None


@dataclass(frozen=True)
class Row:
    """A question or a phrase with its reference and what each run said.

    Attributes:
        row: of the suite.
        region: the reference region; None where there is none.
        asked: question classes of the facts asked for.
        wanted: value of each in the dataset.
        reference_read: value that is read from the reference answer for each.
        said: one a run; None where the run does not cover the row.
        apart: for every pair of runs, in order, how far their regions are apart, from ``0`` (the same) to ``z``;
            ``.`` where one gave none. Empty for a question.
    """

    row: Question | Phrase
    region: tuple[Region, ...] | None = None
    asked: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    reference_read: tuple[str, ...] = ()
    said: tuple[Said | None, ...] = ()
    apart: str = ""

    @property
    def kind(self) -> Kind:
        """Question or phrase."""
        return "question" if isinstance(self.row, Question) else "phrase"


def value_text(value: Value | None) -> str:
    """A value of a fact in words.

    >>> value_text(frozenset({"red", "pink"})), value_text(frozenset()), value_text(2), value_text(None)
    ('pink, red', 'none', '2', 'not read')
    """
    if value is None:
        return "not read"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    return str(value)


@dataclass
class Rows:
    """All rows of some runs of one suite.

    Attributes:
        runs: the runs.
        questions, phrases: rows that any run covers, by index.
    """

    runs: Sequence[Run]
    questions: dict[int, Question] = field(default_factory=dict)
    phrases: dict[int, Phrase] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for run in self.runs:
            for question in run.questions:
                self.questions.setdefault(question.index, question)
            for phrase in run.phrases:
                self.phrases.setdefault(phrase.index, phrase)
        self.questions = dict(sorted(self.questions.items()))
        self.phrases = dict(sorted(self.phrases.items()))

    def by_image(self) -> dict[str, list[Question | Phrase]]:
        """Rows of every image, in the order of the suite."""
        found: dict[str, list[Question | Phrase]] = {}
        rows: list[Question | Phrase] = [*self.questions.values(), *self.phrases.values()]
        for row in rows:
            found.setdefault(row.img_id, []).append(row)
        return found

    def of_images(self, img_ids: Iterable[str]) -> list[Row]:
        """The rows of some images as they are shown: questions first, each kind in the order of the suite.

        Raises:
            ValueError: the run-length code of a region does not describe its mask.
        """
        wanted = set(img_ids)
        questions = [one for one in self.questions.values() if one.img_id in wanted]
        phrases = [one for one in self.phrases.values() if one.img_id in wanted]
        keys: list[Key] = [("question", one.index) for one in questions] + [("phrase", one.index) for one in phrases]
        views = [_View.of(run, frozenset(keys)) for run in self.runs]
        references = region_references(list(self.phrases.values()))
        asked = [_question(question, region_target(question, references), views) for question in questions]
        return asked + [_phrase(phrase, views) for phrase in phrases]


@dataclass(frozen=True)
class _View:
    """What a run says of some rows: the states of its replies by index, and which rows it covers."""

    predictions: Mapping[Key, Prediction]
    answers: Mapping[int, ReplyState]
    explanations: Mapping[int, ReplyState]
    covered: frozenset[Key]

    @classmethod
    def of(cls, run: Run, keys: frozenset[Key]) -> _View:
        """What a run said of some rows."""
        part = run.restricted(keys)
        covered: set[Key] = {("question", one.index) for one in part.questions}
        covered |= {("phrase", one.index) for one in part.phrases}
        try:
            states = replies(part)
            answers, explanations = states.answers, states.explanations
        except KeyError:  # a question class that no reader knows
            answers, explanations = {}, {}
        return cls(run.predictions, answers, explanations, frozenset(covered))


def _question(question: Question, target: Sequence[Region], views: Sequence[_View]) -> Row:
    facts = _facts(question)
    region = tuple(target) if target else None
    said = tuple(
        _answered(question, facts, region, view) if ("question", question.index) in view.covered else None
        for view in views
    )
    classes = question.question_class
    reference = question.answer or ""
    return Row(
        question,
        region,
        asked=tuple(slug for slug, _ in facts),
        wanted=tuple(value_text(value) for _, value in facts),
        reference_read=tuple(value_text(read(reference, slug, classes)) for slug, _ in facts),
        said=said,
    )


def _facts(question: Question) -> list[tuple[str, Value]]:
    """The facts that a question asks for, as :mod:`gi_bench.harness.metrics.correctness` takes them."""
    pairs = zip(question.question_class, question.original, strict=False)
    found = [(slug, atomic_value(slug, pair.answer)) for slug, pair in pairs if slug in SHAPES]
    return [(slug, value) for slug, value in found if value is not None]


def _answered(
    question: Question, facts: Sequence[tuple[str, Value]], region: tuple[Region, ...] | None, view: _View
) -> Said:
    prediction = view.predictions.get(("question", question.index))
    if prediction is None:
        return Said(reply=view.answers.get(question.index))
    answer, classes = prediction.answer, question.question_class
    found = [read(answer or "", slug, classes) for slug, _ in facts]
    reply = view.answers.get(question.index)
    shown = any(one.area for one in prediction.regions or ())
    single = question.is_negative and question.finding is not None and question.complexity == 1
    return Said(
        state=_judged(question, answer, facts, found),
        reply=reply,
        answer=answer,
        explanation=prediction.explanation,
        explanation_reply=view.explanations.get(question.index),
        confidence=_number(prediction.confidence),
        phrase=prediction.phrase,
        regions=prediction.regions,
        iou=_visual_iou(question, prediction, region),
        read=tuple(value_text(value) for value in found) if answer is not None else (),
        says=_says(answer, classes),
        alarms=(single and reply == "stated", question.is_negative and question.finding is not None and shown),
        wrote=_wrote(prediction) if prediction.regions is not None and not shown else None,
    )


def _judged(
    question: Question, answer: str | None, facts: Sequence[tuple[str, Value]], found: Sequence[Value | None]
) -> str:
    """Right if every fact is; wrong if one that was read is not; not read otherwise."""
    if answer is None:
        return NO_REPLY
    if not facts:
        if question.answer is None:
            return UNJUDGED
        return RIGHT if exact_match(answer, question.answer) else WRONG
    if all(value == wanted for value, (_, wanted) in zip(found, facts, strict=True)):
        return RIGHT
    wrong = any(value is not None and value != wanted for value, (_, wanted) in zip(found, facts, strict=True))
    return WRONG if wrong else UNREAD


def _says(answer: str | None, classes: Sequence[str]) -> Hashable:
    """What an answer says: the values read from it, or its words where none can be read."""
    if answer is None:
        return None
    values = tuple(read(answer, slug, classes) for slug in classes if slug in SHAPES)
    return values if any(value is not None for value in values) else " ".join(answer.casefold().split())


def _visual_iou(question: Question, prediction: Prediction, region: tuple[Region, ...] | None) -> float | None:
    """As the metric ``visual_iou`` has it: nothing shown counts 0."""
    if region is None or prediction.regions is None or not question.wants_explanation:
        return None
    return overlaps([region, prediction.regions])[0][1]


def _wrote(prediction: Prediction) -> str | None:
    return prediction.ground_reply.text if prediction.ground_reply is not None else None


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _phrase(phrase: Phrase, views: Sequence[_View]) -> Row:
    given = [view.predictions.get(("phrase", phrase.index)) for view in views]
    reference = (phrase.region,) if phrase.region is not None and phrase.region.area else None
    shown = [tuple((one.regions if one is not None else None) or ()) for one in given]
    found = overlaps([reference or (), *shown])
    said = tuple(
        _shown(phrase, one, found[0][1 + i] if reference else None)
        if ("phrase", phrase.index) in view.covered
        else None
        for i, (view, one) in enumerate(zip(views, given, strict=True))
    )
    empty = [not any(region.area for region in regions) for regions in shown]
    apart = ""
    for i in range(len(views)):
        for j in range(i + 1, len(views)):
            known = all(one is not None and one.regions is not None for one in (said[i], said[j]))
            far = 0.0 if empty[i] and empty[j] else 1 - found[1 + i][1 + j]
            apart += _STEPS[round(far * (len(_STEPS) - 1))] if known else "."
    return Row(phrase, reference, said=said, apart=apart)


def _shown(phrase: Phrase, prediction: Prediction | None, iou: float | None) -> Said:
    if prediction is None or prediction.regions is None:
        return Said()
    reply = region_state(prediction)
    if reply not in TOOK_PART:
        state = UNREAD
    elif phrase.is_negative:
        state = WRONG if reply == "stated" else RIGHT
    elif phrase.region is None:
        state = UNJUDGED
    else:
        state = RIGHT if iou is not None and iou >= RIGHT_FROM else WRONG
    return Said(
        state=state,
        reply=reply,
        confidence=_number(prediction.confidence),
        phrase=prediction.phrase,
        regions=prediction.regions,
        iou=None if phrase.is_negative else iou,
        alarms=(False, phrase.is_negative and reply == "stated"),
        wrote=_wrote(prediction) if reply not in ("stated", "denied") else None,
    )


__all__ = ["RIGHT_FROM", "Row", "Rows", "Said", "value_text"]
