"""Rows of somebody else's predictions, each beside the question of the suite that it answers.

Rows are found by ``index`` (or ``val_id``); without one by image and question, in order where a pair repeats. Whatever
a row says beside its number has to be the suite's, and every question needs its row.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gi_bench.harness.checking import refuse_unknown
from gi_bench.harness.engine.prediction_files import ANSWER, PredictionFile
from gi_bench.harness.errors import DataError
from gi_bench.harness.reading.replies import answer_state, explanation_state
from gi_bench.harness.schema import Prediction, Question, Region, Reply
from gi_bench.harness.suites.image_ids import without_ending

_EXPLANATION = ("textual_explanation", "explanation")
_CONFIDENCE = ("confidence_score", "confidence")
_KEYS = ("index", "val_id")
_KNOWN = ("img_id", "question", *_KEYS, *ANSWER, *_EXPLANATION, *_CONFIDENCE, "visual_explanation")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)

# Told of every problem: raises it, or keeps it and goes on.
Problem = Callable[[DataError], None]
ReadRegions = Callable[[Mapping[str, Any], Question, str], tuple[Region, ...] | None]


def stop(problem: DataError) -> None:
    """Raise the first problem."""
    raise problem


def match_rows(
    file: PredictionFile,
    questions: Sequence[Question],
    where: object,
    *,
    partial: bool = False,
    regions: ReadRegions | None = None,
    told: Problem = stop,
) -> list[Prediction]:
    """Predictions for the suite's questions, in their order.

    Args:
        file: the rows.
        questions: of the suite.
        where: the file.
        partial: whether questions without a row are left out.
        regions: reads what a row shows; None leaves it unread.
        told: called with every problem.

    Raises:
        DataError: a row without an answer; a row that names no question of the suite, or one twice; a number beside
            another number, an image or a question that is not the suite's; a confidence that is no number from 0 to 1;
            a question without a row.
    """
    by_index = {question.index: question for question in questions}
    waiting: dict[tuple[str, str], deque[Question]] = defaultdict(deque)
    for question in questions:
        waiting[question.img_id, question.question].append(question)
    found: dict[int, Prediction] = {}
    if _counts_from_one(file, questions):
        told(DataError(
            f"the rows are numbered 1 to {len(questions)}", where=where, do="number them from 0, as the suite does"
        ))  # fmt: skip
        return []
    tried: set[int] = set()
    for place, row in zip(file.places, file.rows, strict=True):
        tried.update(number for key in _KEYS if (number := _whole(row.get(key))) is not None)
        try:
            _refuse_misspelt(row, file.answer_column, place)
            question = _question(row, by_index, waiting, place)
            if question.index in found:
                raise DataError(f"row {question.index} of the suite is answered twice", where=place)
            found[question.index] = _prediction(row, question, file.answer_column, regions, place)
        except DataError as problem:
            told(problem)
    missing = [question for question in questions if question.index not in found and question.index not in tried]
    if missing and not partial:
        first = missing[0]
        told(DataError(
            f"{len(missing):,} of {len(questions):,} questions have no prediction, the first is row {first.index} "
            f"({first.img_id}: {first.question[:60]})",
            where=where,
            do="give the whole file, or --partial to count them as empty",
        ))  # fmt: skip
    return [found[question.index] for question in questions if question.index in found]


def _counts_from_one(file: PredictionFile, questions: Sequence[Question]) -> bool:
    """Whether all rows have numbers, and these are 1 to the number of questions."""
    numbers = []
    for row in file.rows:
        given = next((row[key] for key in _KEYS if row.get(key) is not None), None)
        if given is None or (number := _whole(given)) is None:
            return False
        numbers.append(number)
    return min(numbers) == 1 and max(numbers) == len(questions) == questions[-1].index + 1


def _refuse_misspelt(row: Mapping[str, Any], answer_column: str, where: str) -> None:
    """Columns of other tools are passed over, but a key that is nearly one of ours would be lost in silence.

    Raises:
        DataError: names the key.
    """
    for key in row:
        known = key in _KNOWN or key == answer_column
        if not known and difflib.get_close_matches(str(key).lower(), _KNOWN, n=1, cutoff=0.85):
            refuse_unknown([key], _KNOWN, where, DataError)


def _whole(value: object) -> int | None:
    """A row's number, which may be written as text; None if it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value < 10**9 else None
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, re.ASCII) else None


def _question(
    row: Mapping[str, Any],
    by_index: Mapping[int, Question],
    waiting: Mapping[tuple[str, str], deque[Question]],
    where: str,
) -> Question:
    numbers = {key: row[key] for key in _KEYS if row.get(key) is not None}
    if not numbers:
        img_id, text = without_ending(str(row.get("img_id"))), str(row.get("question"))
        if not waiting.get((img_id, text)):
            raise DataError(
                f"no index, and no (further) question of the suite has this image and text: {img_id}, {text[:60]!r}",
                where=where,
                do="give index, or img_id and question as in the suite",
            )
        return waiting[img_id, text].popleft()
    if len({str(value) for value in numbers.values()}) > 1:
        told = " beside ".join(f"{key} {str(value)[:40]}" for key, value in numbers.items())
        raise DataError(told, where=where, do="the two number the same row: leave one out")
    given = next(iter(numbers.values()))
    index = _whole(given)
    if index is None or index not in by_index:
        raise DataError(f"the suite has no row {str(given)[:40]!r}", where=where, do="is it a file of another suite?")
    question = by_index[index]
    for field in ("img_id", "question"):
        if row.get(field) is None:
            continue
        said = without_ending(str(row[field])) if field == "img_id" else str(row[field])
        if said != getattr(question, field):
            raise DataError(
                f"{field} is {str(row[field])[:60]!r}, the suite's row {index} has {getattr(question, field)[:60]!r}",
                where=where,
                do="is it a file of another suite, in another order, or numbered from 1?",
            )
    return question


def _one_of(row: Mapping[str, Any], names: Sequence[str], where: str) -> Any:
    """The value that a row has under one of some names; None if it has none.

    Raises:
        DataError: it has two that differ.
    """
    given = {name: row[name] for name in names if row.get(name) is not None}
    values = list(given.values())
    if any(value != values[0] for value in values[1:]):
        raise DataError(f"{' and '.join(given)} differ", where=where, do="leave one of them out")
    return values[0] if values else None


def _confidence(given: object, where: str) -> float | None:
    if given is None:
        return None
    usable = isinstance(given, int | float) and not isinstance(given, bool)
    usable = usable or (isinstance(given, str) and _NUMBER.fullmatch(given) is not None)
    try:
        value = float(given) if usable else -1.0  # type: ignore[arg-type]
    except OverflowError:
        value = -1.0
    if not 0 <= value <= 1:
        raise DataError(f"confidence {str(given)[:40]!r} is not a number from 0 to 1", where=where)
    return value


def _prediction(
    row: Mapping[str, Any], question: Question, answer_column: str, regions: ReadRegions | None, where: str
) -> Prediction:
    answer = row.get(answer_column)
    if not isinstance(answer, str):
        raise DataError("no answer text", where=where, do=f"the column {answer_column} holds texts")
    explanation = _one_of(row, _EXPLANATION, where)
    if explanation is not None and not isinstance(explanation, str):
        raise DataError("the explanation is not text", where=where)
    explained = None
    if explanation is not None:
        explained = Reply(text=explanation, state=explanation_state(explanation, answer, question))
    shown = None if regions is None else regions(row, question, where)
    return Prediction(
        "question",
        question.index,
        question.img_id,
        answer,
        _confidence(_one_of(row, _CONFIDENCE, where), where),
        explanation,
        phrase=answer if shown else None,
        regions=shown,
        answer_reply=Reply(text=answer, state=answer_state(answer, question)),
        explain_reply=explained,
    )


__all__ = ["Problem", "ReadRegions", "match_rows", "stop"]
