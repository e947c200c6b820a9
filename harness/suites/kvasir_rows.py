"""Rows of Kvasir-VQA-x1 out of Parquet and CSV, with every doubt told in one line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gi_bench.harness.errors import DataError
from gi_bench.harness.reading.questions import finding_asked
from gi_bench.harness.schema import AtomicPair, Question
from gi_bench.harness.taxonomy import QUESTION_CLASSES

LAYOUT = "give --data a folder with data/<split>-*.parquet and images/ in the layout of SimulaMet/Kvasir-VQA-x1"
ABSENT = frozenset({"none", "no", "0", "not relevant"})
_SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
_COLUMNS = ("img_id", "complexity", "question", "original", "question_class")
_OPTIONAL = ("answer", "image", "explanation", "index", "val_id")
_FINDING_BY_ATOMIC = {entry.atomic_question: entry.finding for entry in QUESTION_CLASSES.values()}


def check_image_id(img_id: object, where: str) -> str:
    """An image id that may become part of a file name.

    Raises:
        DataError: it is no text, or holds anything but letters, digits, ``_``, ``-`` and inner dots.
    """
    if not isinstance(img_id, str) or not _SAFE_ID.fullmatch(img_id) or ".." in img_id:
        raise DataError(
            f"unsafe image id {str(img_id)[:60]!r}",
            where=where,
            do="ids may hold letters, digits, '_', '-' and single dots, at most 128",
        )
    return img_id


def find_parquet(folder: Path, split: str) -> list[Path]:
    """The Parquet files of a split: ``data/<split>-*.parquet`` or ``<split>*.parquet``.

    Raises:
        DataError: the folder or the files are not there.
    """
    if not folder.is_dir():
        raise DataError("data folder not found", where=folder, do=LAYOUT)
    for pattern in (f"data/{split}-*.parquet", f"{split}-*.parquet", f"{split}.parquet"):
        found = sorted(folder.glob(pattern))
        if found:
            return found
    raise DataError(f"no Parquet file of the split {split!r}", where=folder, do=LAYOUT)


def read_rows(paths: list[Path], *, hidden: bool = False) -> list[dict[str, Any]]:
    """All rows of some Parquet files in order, with ``_where`` telling file and row.

    Args:
        hidden: rows of a hidden set need ``img_id`` and ``question`` only.

    Raises:
        DataError: a file is damaged or lacks a column, or its ``index`` or ``val_id`` is not 0, 1, 2, ...
    """
    needed = _COLUMNS[:1] + _COLUMNS[2:3] if hidden else _COLUMNS
    rows: list[dict[str, Any]] = []
    for path in paths:
        try:
            schema = pq.read_schema(path)
            wanted = [name for name in (*_COLUMNS, *_OPTIONAL) if name in schema.names]
            missing = [name for name in needed if name not in schema.names]
            if missing:
                raise DataError(
                    f"Parquet file without the column {', '.join(missing)}",
                    where=path,
                    do=f"needed: {', '.join(needed)}",
                )
            table = pq.read_table(path, columns=wanted)
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                "damaged or truncated Parquet file", where=path, do="download it again and compare its size"
            ) from error
        for number, row in enumerate(table.to_pylist()):
            row["_where"] = f"{path.name} row {number}"
            rows.append(row)
    _check_index(rows)
    return rows


def _check_index(rows: list[dict[str, Any]]) -> None:
    """Rows are keyed by position: a column that numbers them must say the same."""
    for name in ("index", "val_id"):
        seen: dict[int, str] = {}
        for position, row in enumerate(rows):
            if name not in row:
                break
            value = row[name]
            if value in seen:
                raise DataError(f"{name} {value} is there twice", where=f"{seen[value]} and {row['_where']}",
                                do="every row needs a number of its own")  # fmt: skip
            seen[value] = row["_where"]
            if value != position:
                raise DataError(
                    f"{name} {value!r} at position {position}",
                    where=row["_where"],
                    do=f"number the rows 0, 1, 2, ... in order, or leave the column {name} out",
                )


def _atomic_pairs(value: object, where: str) -> tuple[AtomicPair, ...]:
    """Parse ``original``: a JSON list of {"q", "a"}; already decoded lists are taken as they are."""
    try:
        content: Any = json.loads(value) if isinstance(value, str) else (value or [])
        return tuple(AtomicPair(str(pair["q"]), str(pair["a"])) for pair in content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            "column 'original' is not a JSON list of {q, a}", where=where, do="see the dataset's card"
        ) from error


def _classes(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(slug, str) for slug in value):
        raise DataError("column 'question_class' is not a list of names", where=where, do=LAYOUT)
    for slug in value:
        if slug not in QUESTION_CLASSES:
            raise DataError(
                f"unknown question class {slug[:60]!r}", where=where, do=f"known: {', '.join(QUESTION_CLASSES)}"
            )
    return tuple(value)


def to_question(row: Mapping[str, Any], index: int, *, wants_explanation: bool, hidden: bool = False) -> Question:
    """One row as a question.

    Args:
        wants_explanation: rows of complexity 1 ask for an explanation.
        hidden: classes, complexity and atomic answers may be absent; an unknown complexity is 0, and every row asks
            for an explanation if any does. References that are there are left out.

    Raises:
        DataError: a value is missing, of another type or out of range.
    """
    where = str(row["_where"])
    img_id = check_image_id(row["img_id"], where)
    text, answer = row["question"], row.get("answer")
    if not isinstance(text, str) or not text.strip():
        raise DataError("empty question", where=where, do="every row needs a question")
    if answer is not None and not isinstance(answer, str):
        raise DataError("column 'answer' is not text", where=where, do="answers are texts, or all null on hidden sets")
    if hidden:
        classes = _classes(row["question_class"], where) if row.get("question_class") else ()
        known = {QUESTION_CLASSES[slug].finding for slug in classes}
        return Question(
            index=index,
            img_id=img_id,
            question=text,
            answer=None,
            question_class=classes,
            complexity=int(row.get("complexity") or 0),
            finding=known.pop() if len(known) == 1 else None if classes else finding_asked(text),
            wants_explanation=wants_explanation,
        )
    complexity = row["complexity"]
    if not isinstance(complexity, int) or not 1 <= complexity <= 3:
        raise DataError(f"complexity {complexity!r}", where=where, do="it is 1, 2 or 3")
    classes = _classes(row["question_class"], where)
    original = _atomic_pairs(row["original"], where)
    findings = {QUESTION_CLASSES[slug].finding for slug in classes}
    finding = findings.pop() if len(findings) == 1 else None
    absent = len(original) == 1 and original[0].answer.strip().lower() in ABSENT
    if classes == ("polyp_removal_status",) and original and original[0].answer.strip().lower() == "no":
        absent = False  # polyps that were not removed are there
    return Question(
        index=index,
        img_id=img_id,
        question=text,
        answer=answer,
        question_class=classes,
        complexity=complexity,
        original=original,
        explanation=row.get("explanation"),
        is_negative=complexity == 1 and finding is not None and absent,
        finding=finding,
        wants_explanation=wants_explanation and complexity == 1,
    )


def read_phrases(path: Path) -> Iterator[tuple[str, str, str]]:
    """Rows of ``phrases.csv`` as (image id, phrase, label).

    The label is the finding of the atomic question ``q``, or the column ``label`` where there is one.

    Raises:
        DataError: not readable, a column is missing, an unsafe id.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the phrases: {error}", where=path, do="it is a UTF-8 CSV file") from error
    for number, row in enumerate(rows, start=2):
        where = f"{path.name} line {number}"
        if row.get("img_id") is None or row.get("answer") is None:
            raise DataError("phrases need the columns img_id and answer (the phrase)", where=where)
        label = row.get("label") or _FINDING_BY_ATOMIC.get(row.get("q") or "") or "polyp"
        yield check_image_id(row["img_id"], where), row["answer"], label
