"""Reads and writes the files of a run folder, each by itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from operator import is_
from pathlib import Path
from typing import Any

from gi_bench.harness import migration
from gi_bench.harness.checking import checked
from gi_bench.harness.errors import RunError
from gi_bench.harness.files import read_json, write_bytes, write_json
from gi_bench.harness.schema import SCHEMA_VERSION, Manifest, Phrase, Prediction, Question, Scores, Timing
from gi_bench.harness.store.layout import MANIFEST, PHRASES, QUESTIONS
from gi_bench.harness.tables import read_stored, records_bytes, records_of, write_records

# What to do where scores cannot be read or do not fit.
RESCORE = "score the run again: gi-bench score RUN"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a run's manifest: the only place that does.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    write_json(folder / MANIFEST, asdict(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read a run's manifest: the only place that does. One of the version before is migrated.

    Raises:
        RunError: missing, not JSON, of a version that is not read, or with an unknown or missing key.
    """
    path = folder / MANIFEST
    again = "put the original back, or move the folder away and run again with this version"
    found = read_json(path, again)
    content = migration.current(found, "a run", path, again)
    if found["schema_version"] != SCHEMA_VERSION:
        content = migration.manifest_content(content)
    return checked(content, Manifest, path, do=again, error=RunError)


def reference_files(questions: Iterable[Question], phrases: Iterable[Phrase]) -> dict[str, bytes]:
    """The rows that a run covers, with their references, as files of its folder by name."""
    asked, shown = tuple(questions), tuple(phrases)
    rows = (*asked, None, *shown)
    if not _WRITTEN or len(_WRITTEN[0][0]) != len(rows) or not all(map(is_, _WRITTEN[0][0], rows)):
        _WRITTEN[:] = [(rows, {QUESTIONS: records_bytes(asked, Question), PHRASES: records_bytes(shown, Phrase)})]
    return dict(_WRITTEN[0][1])


# The rows that were made files of last, and the files: runs of one command are on the same rows.
_WRITTEN: list[tuple[tuple[object, ...], dict[str, bytes]]] = []


def digests_of(content: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of files by name, for the manifest."""
    return {name: hashlib.sha256(one).hexdigest() for name, one in content.items()}


def write_references(folder: Path, content: Mapping[str, bytes]) -> None:
    """Write what :func:`reference_files` gave.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    for name, one in content.items():
        write_bytes(folder / name, one)


def write_whole(
    folder: Path,
    manifest: Manifest,
    questions: Sequence[Question],
    predictions: Iterable[Prediction],
    phrases: Sequence[Phrase] = (),
) -> None:
    """Write a run of one part: the manifest, which binds the folder, comes first.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    references, name = reference_files(questions, phrases), "part-00000.parquet"
    part = records_bytes(predictions, Prediction)
    write_manifest(folder, replace(manifest, references=digests_of(references), parts=digests_of({name: part})))
    write_references(folder, references)
    write_bytes(folder / "predictions" / name, part)
    (folder / migration.REFERENCES).unlink(missing_ok=True)


def read_timing(path: Path) -> Timing:
    """Seconds of one part.

    Raises:
        RunError: the file is damaged.
    """
    do = "delete this file: the seconds of its part are lost, nothing else"
    return checked(read_json(path, do), Timing, path, do=do, error=RunError)


def write_part(path: Path, predictions: Iterable[Prediction]) -> str:
    """Write one part of a run's predictions, and give its digest for the manifest.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    return write_records(path, predictions, Prediction)


def read_predictions(path: Path, digests: Mapping[str, str] | None = None) -> list[Prediction]:
    """Read one part of a run's predictions.

    Args:
        path: the part.
        digests: SHA-256 by file name, as in the manifest; a part that is named there is checked.

    Raises:
        ChangedError: missing or changed.
        RunError: damaged, or with other columns.
    """
    table = read_stored(path, digests)
    if migration.is_old_part(table):
        return migration.predictions(table, path)
    return records_of(table, Prediction, path)


def scores_to_json(scores: Scores) -> dict[str, Any]:
    """Scores as plain JSON values."""
    return asdict(scores)


def scores_from_json(content: Any, where: object = "") -> Scores:
    """The inverse of :func:`scores_to_json`.

    Raises:
        RunError: a schema version that is not read, or unexpected fields.
    """
    return checked(migration.current(content, "scores", where, RESCORE), Scores, where, do=RESCORE, error=RunError)


def content_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 over the content of a JSON file, without the digest that is in it."""
    rest = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode("utf-8")).hexdigest()


__all__ = [
    "RESCORE",
    "content_digest",
    "digests_of",
    "read_manifest",
    "read_predictions",
    "read_timing",
    "reference_files",
    "scores_from_json",
    "scores_to_json",
    "write_manifest",
    "write_part",
    "write_references",
    "write_whole",
]
