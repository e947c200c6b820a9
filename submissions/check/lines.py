"""``submission_task2.jsonl``: a row of subtask 2 a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.check.folder import Folder
from gi_bench.submissions.check.official import Given, Official, compare, compare_some
from gi_bench.submissions.check.records import Record, check_text, is_finite, is_whole, parse_lines
from gi_bench.submissions.check.texts import Said, check_answers, check_explanations
from gi_bench.submissions.editions import Edition, Task2

MOST_BYTES = 32_000_000
_TEXTS = ("img_id", "question", "answer", "textual_explanation")


def read_rows(folder: Folder, name: str, found: Findings) -> list[Record] | None:
    """The objects of the file; None where it cannot be read at all."""
    text = folder.read_text(name, MOST_BYTES, found)
    return None if text is None else parse_lines(text, name, found)


def pairs_of(rows: Sequence[Record]) -> list[tuple[str, str]]:
    """(img_id, question) in the order of ``val_id``, as far as they can be told; to see whose rows they are."""
    numbered = sorted(rows, key=lambda row: (number_of(row.value.get("val_id")) or 0, row.line))
    return [(str(row.value.get("img_id")), str(row.value.get("question"))) for row in numbered]


def number_of(value: Any) -> int | None:
    """A ``val_id`` as a number: whole, or a text of plain digits; None for anything else."""
    if is_whole(value):
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return None


def check_rows(
    rows: Sequence[Record], edition: Edition, table: Task2, official: Official | None, found: Findings
) -> None:
    """Report what is wrong with the rows, all but their pictures and boxes."""
    file = table.lines
    wanted = table.rows if table.rows is not None else (len(official.rows) if official is not None else None)
    if wanted is not None and len(rows) != wanted:
        found.add("row-count", f"{len(rows):,} rows, and {edition.title} asks {wanted:,}", file)
    for row in rows:
        _check_keys(row, table, found)
    numbers = _check_numbers(rows, wanted if wanted is not None else len(rows), file, found)
    _check_confidence(rows, table, found)
    said = [_said(row) for row in rows]
    check_answers(said, file, found)
    if "textual_explanation" in (*table.required, *table.optional):
        check_explanations(said, file, found)
    is_official = False
    given = {number: _given(rows[position]) for number, position in numbers.items()}
    if len(numbers) == len(rows) == wanted and sorted(numbers) == list(range(len(rows))):
        is_official = compare([given[i] for i in range(len(rows))], file, edition, table, official, found)
    elif official is not None:
        compare_some(given, file, official, found)
    elif rows:
        found.skip("img_id and question against the official rows: they cannot be put in order by val_id")
    if not is_official:  # the official rows themselves hold equal ones
        _check_twins(rows, file, found)


def _given(row: Record) -> Given:
    return Given(str(row.value.get("img_id")), str(row.value.get("question")), row.line, _name(row))


def _name(row: Record) -> str:
    return f"val_id {shown(row.value.get('val_id'))}"


def _said(row: Record) -> Said:
    texts = {key: value if isinstance(value := row.value.get(key), str) else None for key in _TEXTS}
    return Said(row.line, _name(row), texts["img_id"] or "", texts["question"] or "", texts["answer"],
                texts["textual_explanation"])  # fmt: skip


def _check_keys(row: Record, table: Task2, found: Findings) -> None:
    known = (*table.required, *table.optional)
    for key in table.required:
        if key not in row.value:
            found.add("key-missing", f"{_name(row)}: {key}", table.lines, row.line)
    for key in row.value:
        if key not in known:
            found.add("key-unknown", f"{shown(key)}; known: {', '.join(known)}", table.lines, row.line)
    for key in _TEXTS:
        if key not in row.value or not check_text(row.value[key], key, table.lines, row.line, found):
            continue
        if key in ("img_id", "question") and not row.value[key].strip():
            found.add("key-missing", f"{_name(row)}: {key} is empty", table.lines, row.line)


def _check_numbers(rows: Sequence[Record], wanted: int, file: str, found: Findings) -> dict[int, int]:
    """Position of the row of each ``val_id``."""
    seen: dict[int, int] = {}
    for position, row in enumerate(rows):
        value = row.value.get("val_id")
        number = number_of(value)
        if "val_id" not in row.value:
            continue
        if number is None:
            found.add("val-id-type", shown(value), file, row.line)
            continue
        if isinstance(value, str):
            found.add("val-id-text", shown(value), file, row.line)
        if not 0 <= number < wanted:
            found.add("val-id-range", f"{number}, and it has to be in 0 to {wanted - 1}", file, row.line)
        elif number in seen:
            found.add("val-id-twice", f"{number}, first in line {rows[seen[number]].line}", file, row.line)
        else:
            seen[number] = position
    missing = [number for number in range(wanted) if number not in seen]
    if missing:
        more = f" and {len(missing) - 5:,} more" if len(missing) > 5 else ""
        found.add("val-id-missing", ", ".join(map(str, missing[:5])) + more, file)
    if list(seen.values()) != [seen[number] for number in sorted(seen)]:
        found.add("val-id-order", "the client takes them; people read them in order", file)
    return seen


def _check_confidence(rows: Sequence[Record], table: Task2, found: Findings) -> None:
    key = "confidence_score"
    if key not in (*table.required, *table.optional):
        return
    values = []
    for row in rows:
        value = row.value.get(key)
        if value is None:
            found.add("confidence-missing", _name(row), table.lines, row.line)
        elif not is_finite(value) or not 0 <= value <= 1:
            found.add("confidence", f"{_name(row)}: {shown(value)}", table.lines, row.line)
        else:
            values.append(float(value))
    if len(values) > 1 and min(values) == max(values):
        found.add("confidence-constant", f"{values[0]:g} in {len(values):,} rows", table.lines)


def _check_twins(rows: Sequence[Record], file: str, found: Findings) -> None:
    seen: dict[str, int] = {}
    for row in rows:
        body = json.dumps({key: row.value[key] for key in sorted(row.value) if key != "val_id"}, sort_keys=True)
        if body in seen:
            found.add("row-twice", f"equal to line {seen[body]}, all but val_id", file, row.line)
        else:
            seen[body] = row.line


def check_agreement(
    rows: Sequence[Record], answers: dict[tuple[str, str], str | None], file: str, found: Findings
) -> None:
    """Report answers that subtask 1 gives otherwise.

    Args:
        rows: of subtask 2.
        answers: of subtask 1 by (img_id, question); None where it answers the pair in two ways.
        file: of subtask 2.
        found: what is wrong.
    """
    compared = 0
    for row in rows:
        value = row.value
        ours, theirs = value.get("answer"), answers.get((str(value.get("img_id")), str(value.get("question"))))
        if theirs is None or not isinstance(ours, str):
            continue
        compared += 1
        if ours != theirs:
            found.add(
                "answers-differ", f"{_name(row)}: {shown(ours)}, and subtask 1 has {shown(theirs)}", file, row.line
            )
    if compared == len(rows):
        return
    found.skip(
        f"answers against those of subtask 1: {len(rows) - compared:,} of {len(rows):,} rows are not asked there"
    )


__all__ = ["check_agreement", "check_rows", "number_of", "pairs_of", "read_rows"]
