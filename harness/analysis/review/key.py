"""The key of a review sheet: which item is which run and row, so that the sheet itself need not say."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath

from gi_bench.harness.checking import checked
from gi_bench.harness.errors import ChangedError, RunError
from gi_bench.harness.files import read_json, write_json
from gi_bench.harness.store import Run, accepts_changes, content_digest, open_run

KEY_VERSION = 1
# What is rated, each from 1 to 5, and what the page asks of the rater.
CRITERIA: Mapping[str, str] = {
    "correctness": "Is the answer right for this image, and is what the explanation states true?",
    "completeness": "Does the explanation name all that the question asks for and the visual evidence for it?",
    "faithfulness": "Does the explanation support this very answer by what can be seen, and by nothing else?",
}
LOWEST, HIGHEST = 1, 5
RATING_COLUMNS = ("sheet", "rater", "item", *CRITERIA, "comment")
# By which a key is known among JSON files.
SHEET_KEYS = ("key_version", "sheet", "runs", "items")
_AGAIN = "give the .key.json that gi-bench review explanations wrote beside the sheet"


@dataclass(frozen=True)
class KeyRun:
    """One run of a sheet.

    Attributes:
        name: its variant; with its folder where two runs are of one variant.
        path: its folder, from the key's own; whole where there is no such way.
        made_from: SHA-256 over recipe, predictions and references, as they were.
    """

    name: str
    path: str
    made_from: str


@dataclass(frozen=True)
class KeyItem:
    """One item of a sheet: its number on the page, from 1, the run (an index), and the question's index."""

    item: int
    run: int
    row: int


@dataclass(frozen=True)
class SheetKey:
    """Content of a ``.key.json``.

    Attributes:
        sheet: SHA-256 over what the sheet shows; ratings carry it.
        suite, fingerprint: what was asked.
        runs, items: see there.
        stratify: ``question_class``, ``complexity`` or ``none``.
        seed: of the draw.
        left_out: rows that could not be drawn, by reason.
        digest: SHA-256 over everything else in the file.
    """

    sheet: str
    suite: str
    fingerprint: str
    runs: tuple[KeyRun, ...]
    items: tuple[KeyItem, ...]
    stratify: str
    seed: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    key_version: int = KEY_VERSION


def run_names(runs: Sequence[Run]) -> list[str]:
    """Variants; with folders where several runs are of one."""
    variants = [run.variant for run in runs]
    return [
        run.variant if variants.count(run.variant) == 1 else f"{run.variant} ({run.path.resolve().name})"
        for run in runs
    ]


def key_runs(runs: Sequence[Run], key_path: Path) -> tuple[KeyRun, ...]:
    """Runs as a key at this place names them."""
    return tuple(
        KeyRun(name, _way(run.path, key_path.parent), run.made_from)
        for name, run in zip(run_names(runs), runs, strict=True)
    )


def _way(folder: Path, start: Path) -> str:
    """The path from one folder to another; the whole path where they lie on different drives."""
    try:
        return Path(os.path.relpath(folder.resolve(), start.resolve())).as_posix()
    except ValueError:
        return folder.resolve().as_posix()


def write_key(path: Path, key: SheetKey) -> None:
    """Write a key, with its digest.

    Raises:
        RunError: the file cannot be written.
    """
    write_json(path, asdict(replace(key, digest=content_digest(asdict(key)))))


def read_key(path: Path) -> SheetKey:
    """Read a key.

    Raises:
        RunError: missing, not JSON, no key, of another version, or with items that cannot be.
        ChangedError: changed after it was written, and ``--accept-changed`` is not given.
    """
    content = read_json(path, _AGAIN)
    if not isinstance(content, dict) or not set(SHEET_KEYS) <= set(content):
        raise RunError("not the key of a review sheet", where=path, do=_AGAIN)
    if content["key_version"] != KEY_VERSION:
        raise RunError(
            f"the key is of version {str(content['key_version'])[:20]}, and version {KEY_VERSION} is read",
            where=path,
            do="score it with the gi-bench that wrote it",
        )
    key = checked(content, SheetKey, path, do=_AGAIN, error=RunError)
    if key.digest != content_digest(content) and not accepts_changes():
        raise ChangedError(
            "the key was changed after it was written: its SHA-256 is another",
            where=path,
            do="put the original back; --accept-changed takes it as it is and says so",
        )
    numbers = [one.item for one in key.items]
    if sorted(numbers) != list(range(1, len(numbers) + 1)) or not key.runs:
        raise RunError("the items of the key are not numbered from 1", where=path, do=_AGAIN)
    if any(not 0 <= one.run < len(key.runs) for one in key.items):
        raise RunError("an item of the key is of a run that it does not name", where=path, do=_AGAIN)
    return key


def open_runs(key: SheetKey, path: Path, moved: Sequence[Path] = ()) -> tuple[list[Run], list[str]]:
    """The runs that a key names, in its order, and what has to be said of them.

    Args:
        key: the key.
        path: its file; the ways to the runs start there.
        moved: folders in which runs are now; each is known by its content.

    Raises:
        ChangedError: a run changed since the sheet was made, and that is not accepted.
        RunError: a run is not there, or a folder that was given holds none of the sheet's.
    """
    given = [open_run(folder) for folder in moved]
    for run in given:
        if all(run.made_from != one.made_from and not one.name.startswith(run.variant) for one in key.runs):
            raise RunError("the run is none of this sheet's", where=run.path, do=f"the key is {path}")
    runs, notes = [], []
    for wanted in key.runs:
        found = next((run for run in given if run.made_from == wanted.made_from), None)
        if found is None:
            found = next((run for run in given if run.variant == wanted.name), None)
        run = found if found is not None else _at_its_place(wanted, path)
        if run.made_from != wanted.made_from:
            what = "the run changed since the sheet was made: its predictions or references are others"
            if not run.accept_changed:
                do = "make a new sheet; --accept-changed scores the ratings against the run as it is and says so"
                raise ChangedError(what, where=run.path, do=do)
            notes.append(f"{wanted.name}: {what}; accepted with --accept-changed")
        runs.append(run)
    return runs, notes


def _at_its_place(wanted: KeyRun, path: Path) -> Run:
    folder = path.parent / PurePosixPath(wanted.path)
    try:
        return open_run(folder)
    except RunError as error:
        raise RunError(
            f"the run {wanted.name} is not where it was when the sheet was made",
            where=folder,
            do="give the folder in which it is now with --run",
        ) from error


__all__ = [
    "CRITERIA", "HIGHEST", "LOWEST", "RATING_COLUMNS", "SHEET_KEYS", "KeyItem", "KeyRun", "SheetKey", "key_runs",
    "open_runs", "read_key", "run_names", "write_key",
]  # fmt: skip
