"""A suite's rows as JSON lines, for other people's tools."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.files import write_bytes
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

    Args:
        suite: asks the questions.
        path: the file; ``-`` is standard output.

    Returns:
        The number of rows.

    Raises:
        GiBenchError: the suite asks no questions, or the file cannot be written.
    """
    if not suite.questions:
        raise GiBenchError("the suite asks no questions", where=suite.name, do="choose another suite")
    with_val_id = suite.spec.subtask == "task2"
    rows = (exported(question, with_val_id=with_val_id) for question in suite.questions)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")
    if str(path) == "-":
        stream = getattr(sys.stdout, "buffer", None)  # bytes, whatever the terminal's encoding and line ends
        if stream is None:
            sys.stdout.write(content.decode("utf-8"))
        else:
            stream.write(content)
            stream.flush()
    else:
        write_bytes(path, content)
    return len(suite.questions)
