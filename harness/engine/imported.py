"""Predictions that somebody else made: a file of answers becomes a run folder that is scored like any other.

Read are the challenge's ``predictions_1.json`` and ``submission_task2.jsonl``, and JSON, JSONL, CSV or Parquet with the
same fields.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench import __version__
from gi_bench.harness import provenance, store
from gi_bench.harness.engine.matching import Problem, match_rows, stop
from gi_bench.harness.engine.prediction_files import PredictionFile, read_content, read_predictions_file
from gi_bench.harness.engine.visuals import Visuals
from gi_bench.harness.errors import DataError
from gi_bench.harness.locks import holding
from gi_bench.harness.schema import Code, Counts, Manifest, Phrase, Prediction, Recipe, Task
from gi_bench.harness.store import made_parts

if TYPE_CHECKING:
    from gi_bench.harness.suites.base import Suite

COPIED = "every answer equals its reference: is the column of the answers that of the references?"


@dataclass(frozen=True)
class Reading:
    """How a file of predictions is read.

    Attributes:
        answer_column: the column of the answers; None where the file has one that can be no other.
        partial: whether questions without a row count as empty; they are refused otherwise.
        visuals: whether visual explanations are read.
    """

    answer_column: str | None = None
    partial: bool = False
    visuals: bool = True


@dataclass(frozen=True)
class _Read:
    """What a file says of a suite."""

    content: bytes
    file: PredictionFile
    predictions: list[Prediction]
    passed_over: dict[str, int]


def import_predictions(
    path: Path,
    suite: Suite,
    output: Path,
    *,
    name: str | None = None,
    reading: Reading | None = None,
    command: str = "",
) -> Path:
    """Write a run folder from a file of predictions.

    Args:
        path: JSON, JSONL, CSV or Parquet file.
        suite: suite that the rows belong to.
        output: folder for runs.
        name: name in tables; None for the team's or the file's name.
        reading: how it is read.
        command: the command line, for the manifest; empty from Python.

    Returns:
        The run folder; the same file, suite and name give the same folder.

    Raises:
        DataError: the file cannot be read, or a row does not fit the suite.
        RunError: the folder holds something else or cannot be written.
    """
    from gi_bench.harness.engine.code import code_of
    from gi_bench.harness.engine.record import bind

    reading, content = reading or Reading(), read_content(path)
    key = _key(path, content, suite, output, name, reading)
    before = provenance.recall(key)
    if isinstance(before, str) and (output / before).is_dir():
        with holding(output / before):
            if provenance.is_current(made_parts(output / before), key):
                return output / before
    found = _read(path, content, suite, reading)
    questions, predictions = suite.questions, found.predictions
    recipe = _recipe(path, found, reading, suite, name)
    folder = output / suite.name.replace("/", "-") / f"{recipe.variant}-{recipe.digest()[:8]}"
    with holding(folder):
        bind(folder, recipe)
        complete = len(predictions) == len(questions)
        manifest = _manifest(recipe, suite, complete, code_of(None, suite, command))
        store.write_whole(folder, manifest, questions, predictions, _shown_phrases(suite, predictions))
        # What is shown may lie in files of its own.
        if not found.passed_over and all(prediction.regions is None for prediction in predictions):
            provenance.keep(key, folder.relative_to(output).as_posix())
            provenance.remember(made_parts(folder), key)
    return folder


def _recipe(path: Path, found: _Read, reading: Reading, suite: Suite, name: str | None) -> Recipe:
    explained = any(prediction.explanation is not None for prediction in found.predictions)
    variant = re.sub(r"[^A-Za-z0-9_.-]+", "_", name or found.file.team or path.stem).strip("._") or "predictions"
    tasks: tuple[Task, ...] = ("answer", "explain") if explained else ("answer",)
    return Recipe(
        variant=variant,
        model=_model(path, found, reading, suite),
        suite=suite.name,
        fingerprint=suite.fingerprint,
        tasks=tasks,
        limit=None,
        seed=0,
        dtype="float32",
        code_version=__version__,
    )


def _key(path: Path, content: bytes, suite: Suite, output: Path, name: str | None, reading: Reading) -> str:
    """All that decides the run made from a file, unless it shows regions."""
    return provenance.digest_of(
        *("import", path.name, hashlib.sha256(content).hexdigest(), name, asdict(reading), str(output.resolve())),
        *(suite.name, suite.fingerprint, suite.note),
    )


def check_predictions(path: Path, suite: Suite, reading: Reading | None = None) -> list[DataError]:
    """All that is wrong with a file of predictions; nothing is written.

    Args:
        path: JSON, JSONL, CSV or Parquet file.
        suite: suite that the rows belong to.
        reading: how it is read.

    Returns:
        The problems in the order of the rows; empty where the file can be scored. Where the file itself cannot be
        read, that is the only one.
    """
    problems: list[DataError] = []
    try:
        _read(path, read_content(path), suite, reading or Reading(), problems.append)
    except DataError as problem:
        problems.append(problem)
    return problems


def _read(path: Path, content: bytes, suite: Suite, reading: Reading, told: Problem = stop) -> _Read:
    if not suite.questions:
        raise DataError("the suite asks no questions", where=suite.name, do="choose another --suite")
    file = read_predictions_file(path, content, reading.answer_column)
    visuals = Visuals(path.parent, suite) if reading.visuals else None
    predictions = match_rows(
        file,
        suite.questions,
        path,
        partial=reading.partial,
        regions=None if visuals is None else visuals.regions,
        told=told,
    )
    return _Read(content, file, predictions, {} if visuals is None else dict(visuals.passed_over))


def _model(path: Path, found: _Read, reading: Reading, suite: Suite) -> dict[str, Any]:
    """What identifies the predictions, with what has to be said beside their scores."""
    model: dict[str, Any] = {
        "kind": "predictions of a file", "file": path.name, "sha256": hashlib.sha256(found.content).hexdigest()
    }  # fmt: skip
    if reading.answer_column is not None:
        model["answer_column"] = reading.answer_column
    if any(prediction.regions for prediction in found.predictions):
        shown = [[p.index, [one.counts for one in p.regions]] for p in found.predictions if p.regions]
        model["visuals_sha256"] = hashlib.sha256(repr(shown).encode()).hexdigest()
    notes = []
    if _is_copy(found.predictions, suite):
        notes.append(COPIED)
    if found.passed_over:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.passed_over.items()))
        notes.append(f"visual explanations that are no regions, not scored: {kinds}")
    if notes:
        model["note"] = "; ".join(notes)
    return model


def _is_copy(predictions: Sequence[Prediction], suite: Suite) -> bool:
    """Whether every answer is its reference, letter by letter."""
    answers = {question.index: question.answer for question in suite.questions}
    return len(predictions) > 1 and all(answers[p.index] == p.answer for p in predictions)


def _shown_phrases(suite: Suite, predictions: Sequence[Prediction]) -> list[Phrase]:
    """The suite's phrases with the reference regions of images for which something is shown; else none are kept."""
    shown = {prediction.img_id for prediction in predictions if prediction.regions is not None}
    return [phrase for phrase in suite.phrases if phrase.img_id in shown and phrase.region is not None]


def _manifest(recipe: Recipe, suite: Suite, complete: bool, code: Code) -> Manifest:
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
        code=code,
    )


__all__ = ["COPIED", "Reading", "check_predictions", "import_predictions"]
