"""Predictions that somebody else made: a file of answers becomes a run folder that is scored like any other.

Read are the challenge's ``predictions_1.json`` and ``submission_task2.jsonl``, and JSON, JSONL or CSV with the same
fields. Rows are found by ``index`` (or ``val_id``); without one by image and question, in order where a pair repeats.
"""

from __future__ import annotations

import csv
import datetime
import difflib
import hashlib
import io
import json
import re
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench import __version__
from gi_bench.harness import store
from gi_bench.harness.checking import refuse_unknown
from gi_bench.harness.errors import DataError
from gi_bench.harness.locks import holding
from gi_bench.harness.reading.replies import answer_state, explanation_state
from gi_bench.harness.schema import Counts, Manifest, Prediction, Question, Recipe, Reply, Task

if TYPE_CHECKING:
    from gi_bench.harness.suites.base import Suite

# The first of these that a row has is its answer; a file with references beside predictions calls the latter so.
_ANSWER = ("prediction", "predicted_answer", "generated_answer", "response", "answer")
_EXPLANATION = ("textual_explanation", "explanation")
_CONFIDENCE = ("confidence_score", "confidence")
_KEYS = ("index", "val_id")
_KNOWN = ("img_id", "question", *_KEYS, *_ANSWER, *_EXPLANATION, *_CONFIDENCE, "visual_explanation")
_LARGEST = 512 * 1024 * 1024


def import_predictions(path: Path, suite: Suite, output: Path, *, name: str | None = None) -> Path:
    """Write a run folder from a file of predictions.

    Args:
        path: JSON, JSONL or CSV file.
        suite: suite that the rows belong to.
        output: folder for runs.
        name: name in tables; None for the team's or the file's name.

    Returns:
        The run folder; the same file, suite and name give the same folder.

    Raises:
        DataError: the file cannot be read, or a row does not fit the suite.
        RunError: the folder holds something else or cannot be written.
    """
    from gi_bench.harness.engine.record import bind

    content = _bytes(path)
    rows, team = _rows(path, content)
    questions = suite.questions
    predictions = match_rows(rows, questions, path)
    explained = any(prediction.explanation is not None for prediction in predictions)
    variant = re.sub(r"[^A-Za-z0-9_.-]+", "_", name or team or path.stem).strip("._") or "predictions"
    tasks: tuple[Task, ...] = ("answer", "explain") if explained else ("answer",)
    recipe = Recipe(
        variant=variant,
        model={"kind": "predictions of a file", "file": path.name, "sha256": hashlib.sha256(content).hexdigest()},
        suite=suite.name,
        fingerprint=suite.fingerprint,
        tasks=tasks,
        limit=None,
        seed=0,
        dtype="float32",
        code_version=__version__,
    )
    folder = output / suite.name.replace("/", "-") / f"{variant}-{recipe.digest()[:8]}"
    with holding(folder):
        bind(folder, recipe)
        manifest = _manifest(recipe, suite, len(predictions) == len(questions))
        store.write_whole(folder, manifest, questions, predictions)
    return folder


def _manifest(recipe: Recipe, suite: Suite, complete: bool) -> Manifest:
    from gi_bench.harness.engine import machine

    images = len({question.img_id for question in suite.questions})
    return Manifest(
        recipe=recipe,
        recipe_digest=recipe.digest(),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        complete=complete,
        counts=Counts(images=images, phrases=0, questions=len(suite.questions)),
        suite_note=suite.note,
        seconds=0.0,
        system=machine.system(),
        packages=machine.packages(),
    )


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise DataError("file not found", where=path, do="give predictions_1.json, a JSONL or a CSV file")
    if path.stat().st_size > _LARGEST:
        raise DataError("the file is larger than 512 MB", where=path, do="give the file of answers alone")
    return path.read_bytes()


def _rows(path: Path, content: bytes) -> tuple[list[Mapping[str, Any]], str | None]:
    """The file's rows, and the team's name where the file gives one."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("the file is not UTF-8 text", where=path, do="save it as UTF-8") from error
    if path.suffix.lower() == ".csv":
        return _csv_rows(path, text), None
    if path.suffix.lower() == ".jsonl":
        return [_json(line, f"{path}:{i}") for i, line in enumerate(text.split("\n"), 1) if line.strip()], None
    whole = _json(text, str(path), anything=True)
    team = None
    if isinstance(whole, dict):
        info = whole.get("submission_info")
        team = str(info.get("Team_Name") or "") or None if isinstance(info, dict) else None
        whole = whole.get("predictions")
    if not isinstance(whole, list) or not all(isinstance(row, dict) for row in whole):
        raise DataError("no list of predictions", where=path, do="give a list of objects, or one under 'predictions'")
    return whole, team


def _csv_rows(path: Path, text: str) -> list[Mapping[str, Any]]:
    csv.field_size_limit(_LARGEST)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows: list[Mapping[str, Any]] = [dict(row) for row in reader]
    except csv.Error as error:
        raise DataError(
            f"not CSV: {error}", where=f"{path}:{reader.line_num}", do="quote fields with commas"
        ) from error
    for i, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise DataError("a row with more or fewer fields than the head", where=f"{path}, row {i}")
    # An empty cell of an optional column is a value that is not there.
    return [{k: v for k, v in row.items() if v != "" or k in _ANSWER} for row in rows]


def _json(text: str, where: str, *, anything: bool = False) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {str(error)[:80]}", where=where) from error
    if not anything and not isinstance(found, dict):
        raise DataError("a line that is not an object", where=where)
    return found


def match_rows(rows: Sequence[Mapping[str, Any]], questions: Sequence[Question], path: Path) -> list[Prediction]:
    """Predictions for the suite's questions, in their order; questions without a row are left out.

    Raises:
        DataError: no rows; a row without an answer; a row that names no question of the suite, or one twice; an image
            or a question that differs from the suite's; a confidence outside 0 to 1.
    """
    if not rows:
        raise DataError("the file holds no predictions", where=path)
    by_index = {question.index: question for question in questions}
    waiting: dict[tuple[str, str], deque[Question]] = defaultdict(deque)
    for question in questions:
        waiting[question.img_id, question.question].append(question)
    found: dict[int, Prediction] = {}
    for number, row in enumerate(rows):
        where = f"{path}, prediction {number}"
        _refuse_misspelt(row, where)
        question = _question(row, by_index, waiting, where)
        if question.index in found:
            raise DataError(f"row {question.index} of the suite is answered twice", where=where)
        found[question.index] = _prediction(row, question, where)
    return [found[question.index] for question in questions if question.index in found]


def _refuse_misspelt(row: Mapping[str, Any], where: str) -> None:
    """Columns of other tools are passed over, but a key that is nearly one of ours would be lost in silence.

    Raises:
        DataError: names the key.
    """
    for key in row:
        if key not in _KNOWN and difflib.get_close_matches(str(key).lower(), _KNOWN, n=1, cutoff=0.85):
            refuse_unknown([key], _KNOWN, where, DataError)


def _question(
    row: Mapping[str, Any],
    by_index: Mapping[int, Question],
    waiting: Mapping[tuple[str, str], deque[Question]],
    where: str,
) -> Question:
    given = next((row[key] for key in _KEYS if row.get(key) is not None), None)
    if given is None:
        key = (str(row.get("img_id")), str(row.get("question")))
        if not waiting.get(key):
            raise DataError(
                f"no index, and no (further) question of the suite has this image and text: {key[0]}, {key[1][:60]!r}",
                where=where,
                do="give index, or img_id and question as in the suite",
            )
        return waiting[key].popleft()
    index = int(given) if re.fullmatch(r"\d{1,9}", str(given)) else -1
    if index not in by_index:
        raise DataError(f"the suite has no row {str(given)[:40]!r}", where=where, do="is it a file of another suite?")
    question = by_index[index]
    for field in ("img_id", "question"):
        if row.get(field) is not None and str(row[field]) != getattr(question, field):
            raise DataError(
                f"{field} is {str(row[field])[:60]!r}, the suite's row {index} has {getattr(question, field)[:60]!r}",
                where=where,
                do="is it a file of another suite, or in another order?",
            )
    return question


def _prediction(row: Mapping[str, Any], question: Question, where: str) -> Prediction:
    answer = next((row[key] for key in _ANSWER if key in row), None)
    if not isinstance(answer, str):
        raise DataError("no answer text", where=where, do=f"give one of {', '.join(reversed(_ANSWER))}")
    explanation = next((row[key] for key in _EXPLANATION if row.get(key) is not None), None)
    if explanation is not None and not isinstance(explanation, str):
        raise DataError("the explanation is not text", where=where)
    given = next((row[key] for key in _CONFIDENCE if row.get(key) is not None), None)
    confidence = None
    if given is not None:
        try:
            confidence = float(given)
        except (TypeError, ValueError):
            confidence = -1.0
        if not 0 <= confidence <= 1:
            raise DataError(f"confidence {str(given)[:40]!r} is not a number from 0 to 1", where=where)
    explained = None
    if explanation is not None:
        explained = Reply(text=explanation, state=explanation_state(explanation, answer, question))
    return Prediction(
        "question",
        question.index,
        question.img_id,
        answer,
        confidence,
        explanation,
        answer_reply=Reply(text=answer, state=answer_state(answer, question)),
        explain_reply=explained,
    )
