"""Cuts a suite into parts of whole images. A part's content depends on the suite alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from gi_bench.harness.errors import DataError
from gi_bench.harness.schema import Phrase, Question, Task
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.taxonomy import QUESTION_CLASSES

# Small enough that a killed run loses a minute at most, large enough to fill batches.
ROWS_PER_PART = 240


@dataclass(frozen=True)
class Part:
    """Questions and phrases of some whole images, in suite order."""

    number: int
    img_ids: tuple[str, ...]
    questions: tuple[Question, ...]
    phrases: tuple[Phrase, ...]

    @property
    def row_count(self) -> int:
        """Questions and phrases together."""
        return len(self.questions) + len(self.phrases)

    @property
    def file_name(self) -> str:
        """Name of the part's file in the run folder."""
        return f"part-{self.number:05d}.parquet"


@dataclass(frozen=True)
class Plan:
    """What a run covers, cut into parts."""

    parts: tuple[Part, ...]
    questions: tuple[Question, ...]
    phrases: tuple[Phrase, ...]

    @property
    def img_ids(self) -> tuple[str, ...]:
        """All images in order."""
        return tuple(img_id for part in self.parts for img_id in part.img_ids)


def make_plan(
    suite: Suite, tasks: Sequence[Task], *, limit: int | None = None, rows_per_part: int = ROWS_PER_PART
) -> Plan:
    """Group the rows by image and cut them into parts.

    Args:
        suite: what to run.
        tasks: phrases are left out unless ``ground`` is among them.
        limit: only the first ``limit`` questions, with the phrases of their images.
        rows_per_part: a part is closed by the image that reaches this many rows.

    Raises:
        DataError: a row that nothing could be made of once a model has answered it.
    """
    questions = tuple(suite.questions if limit is None else suite.questions[:limit])
    phrases = tuple(suite.phrases) if "ground" in tasks else ()
    if limit is not None:
        covered = {question.img_id for question in questions}
        phrases = tuple(phrase for phrase in phrases if phrase.img_id in covered)
    _check_places(suite, questions, "question")
    _check_places(suite, suite.phrases if phrases else (), "phrase")
    _check_classes(suite, questions)
    by_image: dict[str, tuple[list[Question], list[Phrase]]] = defaultdict(lambda: ([], []))
    for question in questions:
        by_image[question.img_id][0].append(question)
    for phrase in phrases:
        by_image[phrase.img_id][1].append(phrase)
    parts: list[Part] = []
    held: list[str] = []
    rows = 0
    for img_id, (asked, shown) in by_image.items():
        held.append(img_id)
        rows += len(asked) + len(shown)
        if rows >= rows_per_part:
            parts.append(_part(len(parts), held, by_image))
            held, rows = [], 0
    if held:
        parts.append(_part(len(parts), held, by_image))
    return Plan(tuple(parts), questions, phrases)


def _check_places(suite: Suite, rows: Sequence[Question | Phrase], what: str) -> None:
    for place, row in enumerate(rows):
        if row.index != place:
            raise DataError(
                f"{what} {place} has the index {row.index}", where=suite.name, do="number the rows from 0, in order"
            )


def _check_classes(suite: Suite, questions: Sequence[Question]) -> None:
    for question in questions:
        unknown = [slug for slug in question.question_class if slug not in QUESTION_CLASSES]
        if unknown or not question.question_class:
            said = f"the unknown class {unknown[0]!r}" if unknown else "no question class"
            raise DataError(
                f"question {question.index} has {said}",
                where=suite.name,
                do=f"use any of {', '.join(QUESTION_CLASSES)}",
            )


def _part(number: int, img_ids: Sequence[str], by_image: dict[str, tuple[list[Question], list[Phrase]]]) -> Part:
    questions = tuple(question for img_id in img_ids for question in by_image[img_id][0])
    phrases = tuple(phrase for img_id in img_ids for phrase in by_image[img_id][1])
    return Part(number, tuple(img_ids), questions, phrases)
