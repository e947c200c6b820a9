"""The floors under scores of explanations: they explain the blind answers without looking.

``blind_explanation`` gives the most frequent training explanation of rows with the same question classes,
``blind_explanation_template`` the template that training data can be written with, around the blind answer and the most
frequent atomic answers to what the row asks. Both answer as ``blind_question_prior`` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gi_bench.baselines.data.explanations import from_template
from gi_bench.baselines.floors.answers import KEYS, ModalTexts, PriorModel, rows_digest
from gi_bench.baselines.floors.teaching import NO_TRAINING_ROW, Teacher, teacher_of
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.model import Answer, Ask, BuildContext, Feature
from gi_bench.harness.schema import Question, Task

_ANSWERS = "blind_question_prior"
# An explanation is looked up by question classes, then without anything.
_CLASSES = KEYS["blind_class_prior"]
_ANY = KEYS["blind_constant"]


class ExplanationPrior(PriorModel):
    """Blind answers with an explanation; see :class:`gi_bench.harness.model.Model`.

    Args:
        explain: (ask, key of its image, answer) to a text with a confidence, or None where nothing was learnt.
    """

    tasks: frozenset[Task] = frozenset({"answer", "explain"})

    def __init__(
        self,
        rows: Sequence[Question],
        teacher: Teacher,
        settings: Mapping[str, Any],
        explain: Callable[[Ask, str, str], tuple[str, float | None] | None],
    ) -> None:
        images = teacher.images(rows)
        super().__init__(_ANSWERS, rows, settings=settings, key_of=teacher.key, training_images=images)
        self._explain = explain

    def explain(self, features: Sequence[Feature], asks: Sequence[Ask], answers: Sequence[str]) -> list[Answer]:
        """An explanation of each answer, without a look at the image."""
        found = []
        for ask, answer in zip(asks, answers, strict=True):
            made = self._explain(ask, self._image(ask.img_id), answer)
            found.append(Answer("", 0.0, warnings=(NO_TRAINING_ROW,)) if made is None else Answer(*made))
        return found


def build_explanation_prior(kind: str, context: BuildContext) -> ExplanationPrior:
    """The most frequent training explanation of the same classes.

    Raises:
        GiBenchError: no training row has an explanation.
    """
    teacher = teacher_of(kind, context)
    explained = [row for row in teacher.suite.questions if row.explanation]
    if not explained:
        raise GiBenchError(
            f"{kind} found no training row with an explanation",
            where=teacher.suite.name,
            do="use blind_explanation_template, which needs none",
        )
    texts = ModalTexts(
        (key(row), teacher.key(row.img_id), row.explanation or "") for row in explained for key in (_CLASSES, _ANY)
    )

    def explain(ask: Ask, image: str, answer: str) -> tuple[str, float | None] | None:
        return texts.best(_CLASSES(ask), image) or texts.best(_ANY(ask), image)

    return _built(kind, teacher, explain, {"explanation_rows": len(explained)})


def build_template_prior(kind: str, context: BuildContext) -> ExplanationPrior:
    """The template around the blind answer and the most frequent atomic answers to what the row asks."""
    teacher = teacher_of(kind, context)
    facts = ModalTexts(_atomic(teacher))
    questions: dict[str, str] = {}
    for row in teacher.suite.questions:
        for slug, pair in zip(row.question_class, row.original, strict=False):
            questions.setdefault(slug, pair.question)

    def explain(ask: Ask, image: str, answer: str) -> tuple[str, float | None] | None:
        known = {}
        for slug in ask.question_class:
            found = facts.best(slug, image)
            if found is not None and slug in questions:
                known[questions[slug]] = found[0]
        digest = hashlib.sha256(f"{ask.img_id}\0{ask.index}".encode()).digest()
        return from_template(answer, known, digest), None

    return _built(kind, teacher, explain, {})


def _atomic(teacher: Teacher) -> Iterator[tuple[str, str, str]]:
    """(class, image, atomic answer) of every fact, once an image."""
    seen = set()
    for row in teacher.suite.questions:
        for slug, pair in zip(row.question_class, row.original, strict=False):
            fact = (slug, teacher.key(row.img_id), pair.answer)
            if fact not in seen:
                seen.add(fact)
                yield fact


def _taught(row: Question) -> tuple[str, ...]:
    """Everything of a row that one of the floors learns from."""
    facts = [text for pair in row.original for text in (pair.question, pair.answer)]
    return (row.img_id, row.question, row.answer or "", row.explanation or "", *row.question_class, "", *facts)


def _built(
    kind: str,
    teacher: Teacher,
    explain: Callable[[Ask, str, str], tuple[str, float | None] | None],
    more: Mapping[str, Any],
) -> ExplanationPrior:
    rows = [row for row in teacher.suite.questions if row.answer]
    if not rows:
        raise GiBenchError(f"{kind} found no training row with an answer", where=teacher.suite.name)
    # All rows: explanations and facts are learnt from those without an answer too.
    digest = rows_digest(_taught(row) for row in teacher.suite.questions)
    settings = {"role": "floor", **more, **teacher.settings(kind, rows, "rows", digest)}
    return ExplanationPrior(rows, teacher, settings, explain)
