"""Rows of Kvasir-VQA-x1 out of Parquet and CSV, with every doubt told in one line."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gi_bench.harness.csv_text import read_csv
from gi_bench.harness.errors import DataError
from gi_bench.harness.files import content_of, table_in
from gi_bench.harness.json_text import parse_json
from gi_bench.harness.reading.questions import finding_asked
from gi_bench.harness.schema import AtomicPair, Question
from gi_bench.harness.suites.image_ids import check_image_id
from gi_bench.harness.taxonomy import FINDING_LABELS, QUESTION_CLASSES

Found = TypeVar("Found")
LAYOUT = "give --data a folder with data/<split>-*.parquet and images/ in the layout of SimulaMet/Kvasir-VQA-x1"
_ABSENT = frozenset({"none", "no", "0", "not relevant"})
_COLUMNS = ("img_id", "complexity", "question", "original", "question_class")
_OPTIONAL = ("answer", "image", "explanation", "index", "val_id")
_SHARD = re.compile(r"-(\d{1,9})-of-(\d{1,9})\.parquet$")
_FINDING_BY_ATOMIC = {entry.atomic_question: entry.finding for entry in QUESTION_CLASSES.values()}


def find_parquet(folder: Path, split: str) -> list[Path]:
    """The Parquet files of a split: ``data/<split>-*.parquet`` or ``<split>*.parquet``.

    Raises:
        DataError: the folder or the files are not there, or a shard is missing or there twice.
    """
    if not folder.is_dir():
        raise DataError("data folder not found", where=folder, do=LAYOUT)
    for pattern in (f"data/{split}-*.parquet", f"{split}-*.parquet", f"{split}.parquet"):
        found = sorted(folder.glob(pattern))
        if found:
            _check_shards(found)
            return found
    raise DataError(f"no Parquet file of the split {split!r}", where=folder, do=LAYOUT)


def _check_shards(paths: Sequence[Path]) -> None:
    """Refuse shards (``-00000-of-00002``) that are not each there once.

    Raises:
        DataError: names the first that is missing, or that is none of them.
    """
    numbered = {path: found for path in paths if (found := _SHARD.search(path.name))}
    if not numbered:
        return
    strange = next((path for path in paths if path not in numbered), None)
    totals = {int(found[2]) for found in numbered.values()}
    if strange is not None or len(totals) > 1:
        raise DataError(
            f"{(strange or paths[-1]).name} is no shard of the others ({paths[0].name})",
            where=paths[0].parent,
            do="keep the files of one export alone",
        )
    total = totals.pop()
    numbers = [int(found[1]) for found in numbered.values()]
    missing = sorted(set(range(min(total, 100_000))) - set(numbers))
    if missing or len(numbers) > len(set(numbers)) or max(numbers) >= total:
        told = f"shard {missing[0]} of {total} is missing" if missing else f"more shards than {total}"
        raise DataError(told, where=paths[0], do="download all shards of the split")


def _refuse_copy(content: bytes, path: Path, seen: dict[str, Path]) -> None:
    """Refuse a file with the bytes of an earlier one: its rows would count twice.

    Raises:
        DataError: names both.
    """
    earlier = seen.setdefault(hashlib.sha256(content).hexdigest(), path)
    if earlier is not path:
        raise DataError(f"{path.name} is a copy of {earlier.name}", where=path.parent, do="download both again")


def read_rows(paths: list[Path], *, hidden: bool = False) -> list[dict[str, Any]]:
    """All rows of some Parquet files in order, with ``_where`` telling file and row.

    Args:
        hidden: rows of a hidden set need ``img_id`` and ``question`` only.

    Raises:
        DataError: a file is damaged, a copy of another or lacks a column, or its ``index`` or ``val_id`` is not 0, 1,
            2, ...
    """
    needed = _COLUMNS[:1] + _COLUMNS[2:3] if hidden else _COLUMNS
    rows: list[dict[str, Any]] = []
    seen: dict[str, Path] = {}
    for path in paths:
        content = content_of(path, do="download it again and compare its size", error=DataError)
        _refuse_copy(content, path, seen)
        table = table_in(content, path, "download it again and compare its size", DataError, (*_COLUMNS, *_OPTIONAL))
        missing = [name for name in needed if name not in table.schema.names]
        if missing:
            raise DataError(
                f"Parquet file without the column {', '.join(missing)}",
                where=path,
                do=f"needed: {', '.join(needed)}",
            )
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
            if isinstance(value, bool) or not isinstance(value, int):
                raise DataError(
                    f"{name} {str(value)[:40]!r} is no whole number",
                    where=row["_where"],
                    do=f"number the rows 0, 1, 2, ... in order, or leave the column {name} out",
                )
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
        content: Any = parse_json(value, where, error=DataError) if isinstance(value, str) else (value or [])
        return tuple(AtomicPair(str(pair["q"]), str(pair["a"])) for pair in content)
    except (DataError, TypeError, KeyError, AttributeError) as error:
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


def _complexity(value: object, where: str, *, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 3:
        raise DataError(f"complexity {repr(value)[:40]}", where=where, do="it is the number 1, 2 or 3")
    return value


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
            complexity=_complexity(row.get("complexity") or 0, where, least=0),
            finding=known.pop() if len(known) == 1 else None if classes else finding_asked(text),
            wants_explanation=wants_explanation,
        )
    complexity = _complexity(row["complexity"], where)
    explanation = row.get("explanation")
    if explanation is not None and not isinstance(explanation, str):
        raise DataError(
            f"column 'explanation' is not text: {str(explanation)[:40]}", where=where, do="texts, or null where none is"
        )
    classes = _classes(row["question_class"], where)
    original = _atomic_pairs(row["original"], where)
    findings = {QUESTION_CLASSES[slug].finding for slug in classes}
    finding = findings.pop() if len(findings) == 1 else None
    absent = len(original) == 1 and says_absent(original[0].answer, classes)
    return Question(
        index=index,
        img_id=img_id,
        question=text,
        answer=answer,
        question_class=classes,
        complexity=complexity,
        original=original,
        explanation=explanation,
        is_negative=complexity == 1 and finding is not None and absent,
        finding=finding,
        wants_explanation=wants_explanation and complexity == 1,
    )


def says_absent(answer: str, classes: Sequence[str]) -> bool:
    """Whether an atomic answer says that nothing is there; polyps that were not removed are."""
    said = answer.strip().lower()
    return said in _ABSENT and not (said == "no" and tuple(classes) == ("polyp_removal_status",))


_PHRASE_LABELS = sorted({*(label for labels in FINDING_LABELS.values() for label in labels), "barretts"})


def read_phrases(path: Path) -> list[tuple[str, str, str]]:
    """Rows of ``phrases.csv`` as (image id, phrase, label).

    The label is the column ``label`` where a row has one, read without regard to case; else the finding of the atomic
    question ``q``.

    Raises:
        DataError: not readable, a column is missing, an unsafe id, an empty phrase, or a label or an atomic question
            that is not known.
    """
    table = read_csv(path, needed=("img_id", "answer"))
    if not {"label", "q"} & set(table.columns):
        raise DataError(
            "phrases need a column that says what they are about",
            where=path,
            do="give the column label (polyp, instrument, ...), or q with the atomic question",
        )
    found = []
    for line, row in zip(table.lines, table.rows, strict=True):
        where = f"{path.name} line {line}"
        if not row["answer"].strip():
            raise DataError("an empty phrase", where=where, do="the column answer holds the phrase")
        found.append((check_image_id(row["img_id"], where), row["answer"], _label(row, where)))
    return found


def _label(row: Mapping[str, str], where: str) -> str:
    """The label of a phrase.

    Raises:
        DataError: it is not known.
    """
    given, atomic = row.get("label", "").strip(), row.get("q", "").strip()
    if given:
        return _known(given, {label: label for label in _PHRASE_LABELS}, "label", where)
    if not atomic:
        raise DataError("a phrase of nothing that is named", where=where, do="fill in the column label, or q")
    found = _known(atomic, _FINDING_BY_ATOMIC, "atomic question (column q)", where)
    if found is None:
        raise DataError(
            f"the atomic question {atomic[:80]!r} is about nothing that can be shown", where=where, do="give a label"
        )
    return found


def _known(value: str, known: Mapping[str, Found], what: str, where: str) -> Found:
    """What a name stands for, whatever its case.

    Raises:
        DataError: nothing has this name.
    """
    folded = {name.casefold(): name for name in known}
    name = folded.get(value.casefold())
    if name is None:
        near = difflib.get_close_matches(value.casefold(), folded, n=1)
        raise DataError(
            f"unknown {what} {value[:80]!r}" + (f": did you mean {folded[near[0]]!r}?" if near else ""),
            where=where,
            do=f"known: {', '.join(known)}",
        )
    return known[name]
