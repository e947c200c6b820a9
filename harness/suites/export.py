"""A suite's rows as JSON lines, for other people's tools."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.schema import Question
from gi_bench.harness.suites.base import Suite


def exported(question: Question, *, with_val_id: bool) -> dict[str, Any]:
    """One row: ``index``, ``val_id`` (subtask 2), ``img_id``, ``question``, ``answer`` (where there is a reference),
    ``question_class``, ``complexity`` (where it is known)."""
    row: dict[str, Any] = {"index": question.index}
    if with_val_id:
        row["val_id"] = question.index
    row |= {"img_id": question.img_id, "question": question.question}
    if question.answer is not None:
        row["answer"] = question.answer
    row["question_class"] = list(question.question_class)
    if question.complexity:
        row["complexity"] = question.complexity
    return row


def export_rows(suite: Suite, path: Path) -> int:
    """Write a suite's questions in order, one JSON object a line; the file appears whole or not at all.

    Returns:
        The number of rows.

    Raises:
        GiBenchError: the suite asks no questions, or the file cannot be written.
    """
    if not suite.questions:
        raise GiBenchError("the suite asks no questions", where=suite.name, do="choose another suite")
    with_val_id = suite.spec.subtask == "task2"
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8", newline="\n") as stream:
            for question in suite.questions:
                stream.write(json.dumps(exported(question, with_val_id=with_val_id), ensure_ascii=False) + "\n")
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise GiBenchError(
            f"cannot write the rows: {error.strerror}", where=path, do="choose another --output"
        ) from error
    return len(suite.questions)
