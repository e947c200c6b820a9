"""``predictions_1.json``: what the organisers' script of subtask 1 writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.check.folder import Folder
from gi_bench.submissions.check.info import check_info
from gi_bench.submissions.check.official import Given, Official, compare, compare_some
from gi_bench.submissions.check.records import Record, check_text, is_finite, is_number, is_whole, parse
from gi_bench.submissions.check.texts import Said, check_answers
from gi_bench.submissions.editions import Edition, Task1

MOST_BYTES = 16_000_000
SCORES = ("bleu", "rouge1", "rouge2", "rougeL", "meteor")
_MEASURES = ("total_time", "time_per_item", "memory_used_mb", "model_memory_mb")
KEYS = ("submission_info", "public_scores", "predictions", *_MEASURES, "gpu_name", "debug")
_ROW = ("index", "img_id", "question", "answer")
# The template's ROUGE is a bootstrap's middle and differs between processes; published files differ by that much.
_ROUGE_TOLERANCE = 0.002


def read(folder: Folder, name: str, found: Findings) -> dict[str, Any] | None:
    """The file's object; None, reported, where it is none."""
    text = folder.read_text(name, MOST_BYTES, found)
    if text is None:
        return None
    is_json, value = parse(text, name, 0, found)
    if is_json and not isinstance(value, dict):
        found.add("row-kind", f"{shown(value)} where an object has to be", name)
    return value if isinstance(value, dict) else None


def rows_of(content: dict[str, Any]) -> list[Record]:
    """The rows that are objects; they have no lines of their own."""
    rows = content.get("predictions")
    return [Record(0, row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def pairs_of(rows: Sequence[Record]) -> list[tuple[str, str]]:
    """(img_id, question) in order."""
    return [(str(row.value.get("img_id")), str(row.value.get("question"))) for row in rows]


def answers_of(rows: Sequence[Record]) -> dict[tuple[str, str], str | None]:
    """Answer by (img_id, question); None for a pair with two answers."""
    answers: dict[tuple[str, str], str | None] = {}
    for pair, row in zip(pairs_of(rows), rows, strict=True):
        answer = row.value.get("answer")
        if isinstance(answer, str):
            answers[pair] = answer if answers.get(pair, answer) == answer else None
    return answers


def check(content: dict[str, Any], edition: Edition, table: Task1, official: Official | None, found: Findings) -> None:
    """Report what is wrong with the file."""
    file = table.predictions
    for key in KEYS:
        if key not in content:
            found.add("key-missing", key, file)
    for key in content:
        if key not in (*KEYS, "repo_id"):  # the client's own copy has repo_id
            found.add("key-unknown", f"{shown(key)}; known: {', '.join(KEYS)}", file)
    if "submission_info" in content:
        check_info(content["submission_info"], file, 0, found)
    _check_measures(content, file, found)
    is_official = _check_rows(content, edition, table, official, found)
    _check_scores(content, table, official if is_official else None, found)


def _check_rows(
    content: dict[str, Any], edition: Edition, table: Task1, official: Official | None, found: Findings
) -> bool:
    """Whether the rows are the official ones, all with an answer."""
    file = table.predictions
    given = content.get("predictions")
    if not isinstance(given, list):
        if "predictions" in content:
            found.add("key-type", f"predictions is {shown(given)}, and has to be a list", file)
        return False
    for position, value in enumerate(given):
        if not isinstance(value, dict):
            found.add("row-kind", f"row {position}: {shown(value)} where an object has to be", file)
    rows = rows_of(content)
    wanted = table.rows if table.rows is not None else (len(official.rows) if official is not None else None)
    if wanted is not None and len(given) != wanted:
        found.add("row-count", f"{len(given):,} rows, and {edition.title} asks {wanted:,}", file)
    for position, row in enumerate(rows):
        _check_row(row.value, position, file, found)
    said = [Said(0, f"row {i}", *_texts(row.value)) for i, row in enumerate(rows)]
    check_answers(said, file, found)
    keys = [Given(*pair, 0, f"row {i}") for i, pair in enumerate(pairs_of(rows))]
    if not rows or (wanted is not None and len(rows) != wanted):
        if official is not None:
            compare_some(dict(enumerate(keys)), file, official, found)
        return False
    return compare(keys, file, edition, table, official, found) and all(one.answer is not None for one in said)


def _texts(row: dict[str, Any]) -> tuple[str, str, str | None]:
    img_id, question, answer = (row.get(key) for key in _ROW[1:])
    return (img_id if isinstance(img_id, str) else "", question if isinstance(question, str) else "",
            answer if isinstance(answer, str) else None)  # fmt: skip


def _check_row(row: dict[str, Any], position: int, file: str, found: Findings) -> None:
    for key in _ROW:
        if key not in row:
            found.add("key-missing", f"row {position}: {key}", file)
        elif key != "index":
            check_text(row[key], f"row {position}: {key}", file, 0, found)
    if "index" in row and (not is_whole(row["index"]) or row["index"] != position):
        found.add("index", f"row {position} has the index {shown(row['index'])}", file)
    for key in row:
        if key not in _ROW:
            found.add("key-unknown", f"row {position}: {shown(key)}; known: {', '.join(_ROW)}", file)


def _check_measures(content: dict[str, Any], file: str, found: Findings) -> None:
    for key in _MEASURES:
        value = content.get(key)
        if key not in content:
            continue
        if not is_finite(value) or value < 0:
            found.add("key-type", f"{key} is {shown(value)}, and has to be a number from 0", file)
        elif value == 0:
            found.add("measure-missing", f"{key} is 0", file)
    total, each = content.get("total_time"), content.get("time_per_item")
    count = len(content["predictions"]) if isinstance(content.get("predictions"), list) else 0
    if (
        is_finite(total)
        and is_finite(each)
        and count
        and not math.isclose(each * count, total, rel_tol=0.01, abs_tol=1e-3)
    ):
        found.add("measure-missing", f"time_per_item is not total_time / {count:,}", file)
    if (
        "gpu_name" in content
        and check_text(content["gpu_name"], "gpu_name", file, 0, found)
        and not content["gpu_name"]
    ):
        found.add("measure-missing", "gpu_name is empty", file)
    if "debug" in content:
        _check_debug(content["debug"], file, found)


def _check_debug(debug: Any, file: str, found: Findings) -> None:
    if not isinstance(debug, dict):
        found.add("key-type", f"debug is {shown(debug)}, and has to be an object", file)
        return
    packages, system = debug.get("packages"), debug.get("system")
    if not isinstance(packages, list) or not all(
        isinstance(one, dict) and {"name", "version"} <= one.keys() for one in packages
    ):
        found.add("key-type", "debug.packages has to be a list of name and version", file)
    elif not packages:
        found.add("measure-missing", "debug.packages is empty", file)
    if not isinstance(system, dict):
        found.add("key-type", "debug.system has to be an object", file)
    else:
        for key in ("python", "os", "platform", "arch"):
            if key not in system:
                found.add("measure-missing", f"debug.system has no {key}", file)


def _check_scores(content: dict[str, Any], table: Task1, official: Official | None, found: Findings) -> None:
    file, scores = table.predictions, content.get("public_scores")
    if "public_scores" not in content:
        return
    if not isinstance(scores, dict):
        found.add("key-type", f"public_scores is {shown(scores)}, and has to be an object", file)
        return
    told = {}
    for key in SCORES:
        if key not in scores:
            found.add("key-missing", f"public_scores: {key}", file)
        elif not is_number(scores[key]) or not 0 <= scores[key] <= 1:
            found.add("score-kind", f"{key} is {shown(scores[key])}", file)
        else:
            told[key] = float(scores[key])
            if round(told[key], table.digits) != told[key]:
                found.add(
                    "score-digits", f"{key} is {told[key]}, and has {table.digits} decimals in this edition", file
                )
    for key in scores:
        if key not in SCORES:
            found.add("key-unknown", f"public_scores: {shown(key)}; known: {', '.join(SCORES)}", file)
    if official is None or any(one.answer is None for one in official.rows):
        found.skip(f"public_scores against the answers: no references here (--data DIR with {table.dataset})")
        return
    _compare_scores(told, content, table, official, found)


def _compare_scores(
    told: dict[str, float], content: dict[str, Any], table: Task1, official: Official, found: Findings
) -> None:
    from gi_bench.harness.metrics.text import corpus_scores

    answers = [row.value["answer"] for row in rows_of(content)]
    made = corpus_scores([(ours, asked.answer or "") for ours, asked in zip(answers, official.rows, strict=True)])
    unit = 10.0**-table.digits
    for key, value in told.items():
        tolerance = unit + (_ROUGE_TOLERANCE if key.startswith("rouge") else 0.0)
        if abs(value - made[key]) > tolerance:
            text = f"{key} is {value}, and the answers give {made[key]:.{table.digits + 1}f}"
            found.add("score-differs", text, table.predictions)


__all__ = ["KEYS", "SCORES", "answers_of", "check", "pairs_of", "read", "rows_of"]
