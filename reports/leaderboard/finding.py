"""Runs below some folders, at any depth, and what looks like a run and is none."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.store import MANIFEST, QUESTIONS, Run, open_run


@dataclass(frozen=True)
class LeftOut:
    """A folder that is shown nowhere on the board.

    Attributes:
        place: the folder, from the one that was given.
        reason: what is wrong with it.
    """

    place: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What lies below some folders.

    Attributes:
        runs: run folders, with their places (from the folder that was given), each once.
        left_out: folders that could not be read, or lack their manifest.
    """

    runs: tuple[tuple[str, Run], ...]
    left_out: tuple[LeftOut, ...]


def find_runs(folders: Sequence[Path]) -> Found:
    """Look for runs, in the order of their paths. Links are followed; a folder that is reached twice counts once.

    Args:
        folders: runs, or folders that hold runs at any depth.

    Raises:
        GiBenchError: no folder is given, or one is none.
    """
    if not folders:
        raise GiBenchError("no folder given", do="give at least one folder that holds runs")
    runs: list[tuple[str, Run]] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    for folder in folders:
        if not folder.is_dir():
            raise GiBenchError(
                "no such folder" if not folder.exists() else "not a folder",
                where=folder,
                do="give folders that hold runs, such as runs/",
            )
        for path in _walk(folder, seen, left_out):
            place = _place(folder, path)
            try:
                runs.append((place, open_run(path)))
            except GiBenchError as error:
                left_out.append(LeftOut(place, error.what))
            except (OSError, ValueError) as error:
                left_out.append(LeftOut(place, f"cannot be read: {type(error).__name__}: {error}"))
    return Found(tuple(runs), tuple(left_out))


def _walk(folder: Path, seen: set[str], left_out: list[LeftOut]) -> Iterator[Path]:
    """Folders that are runs by their files; nothing inside a run is one."""

    def refused(error: OSError) -> None:
        left_out.append(LeftOut(_place(folder, Path(error.filename or folder)), f"cannot be read: {error.strerror}"))

    for top, folders, names in os.walk(folder, followlinks=True, onerror=refused):
        real = os.path.realpath(top)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        path = Path(top)
        if MANIFEST in names:
            folders.clear()
            yield path
        elif "predictions" in folders and (QUESTIONS in names or "scores.json" in names):
            folders.clear()
            left_out.append(LeftOut(_place(folder, path), f"looks like a run and has no {MANIFEST}"))
        folders.sort()


def _place(folder: Path, path: Path) -> str:
    """A path from the folder that was given, with that folder's name in front: a page shows no more of the machine."""
    try:
        rest = path.relative_to(folder)
    except ValueError:
        rest = Path(path.name)
    return (Path(folder.resolve().name) / rest).as_posix()


__all__ = ["Found", "LeftOut", "find_runs"]
