"""How files and folders take their place: whole or not at all, and without a trace of attempts that were killed.

Whatever is written lies beside its place first, under a name that says that it is ours, and is moved there in one step.
A process that is killed on the way leaves such a name behind; whoever writes the same place next takes it away. Every
file and folder of ours is moved and removed here.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gi_bench.harness.locks import try_lock

# Of files and folders on their way; of what mkstemp puts before it for files.
ENDING = ".gi-bench"
_UNFINISHED = re.compile(r"\.(?P<place>.+)\.[A-Za-z0-9_]{8}" + re.escape(ENDING))
# As they were named before they had an ending of their own: only where nothing else can be, in a run's folder.
_UNFINISHED_BEFORE = re.compile(r"\.(?P<place>.+)\.[a-z0-9_]{8}")


@contextlib.contextmanager
def placing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and move it there when the block ends well.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = _begun(path)
    try:
        try:
            sweep(path)
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            if handle is not None:
                os.close(handle)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _begun(path: Path) -> tuple[int | None, Path]:
    """A temporary file, held open and locked, which says to whoever cleans that it is being written."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=ENDING)
        if not _locks():
            os.close(handle)
            return None, Path(name)
        if try_lock(handle) is not False and os.path.lexists(name):
            return handle, Path(name)
        os.close(handle)  # somebody who cleans was faster than our lock


def _locks() -> bool:
    """Whether a file that is open can be moved, as everywhere but on Windows."""
    return os.name == "posix"


def sweep(path: Path) -> None:
    """Take away what killed attempts to write a place left beside it; one that goes on is left alone."""
    for name in _names(path.parent):
        found = _UNFINISHED.fullmatch(name)
        if found is not None and found["place"] == path.name:
            _take_away(path.parent / name)


def sweep_folder(folder: Path) -> None:
    """Take away what killed attempts left in a folder that is ours alone, whatever was to be written."""
    for name in _names(folder):
        if is_unfinished(name):
            _take_away(folder / name)


def is_unfinished(name: str) -> bool:
    """Whether a name in a folder of ours is that of a file which was never moved into its place."""
    return bool(_UNFINISHED.fullmatch(name) or _UNFINISHED_BEFORE.fullmatch(name))


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.startswith(".")]
    except OSError:
        return []


def _take_away(path: Path) -> None:
    """Remove a file unless a process still writes it."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            if _locks() and try_lock(handle):
                path.unlink()
        finally:
            os.close(handle)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that a kill on the way leaves either all of it or nothing under its name."""
    old = _old(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.is_dir() and not folder.is_symlink():
        os.replace(folder, old)
        shutil.rmtree(old, ignore_errors=True)


def place_folder(fresh: Path, folder: Path) -> None:
    """Put a folder in the place of another, or where none is. A kill on the way leaves both under names of ours.

    Raises:
        OSError: the folder above cannot be written.
    """
    old = _old(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.is_dir():
        os.replace(folder, old)
    os.replace(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old{ENDING}")


__all__ = ["ENDING", "is_unfinished", "place_folder", "placing", "remove_folder", "sweep", "sweep_folder"]
