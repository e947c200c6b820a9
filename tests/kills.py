"""Kills in the process: every change of the file system inside a folder is a place at which a command can be killed.

Python tells its audit hooks of every file that it opens for writing, moves or removes, whoever asks for it. A hook here
counts them. What lies on the disk before a change is what a kill there leaves behind: :func:`states_of` keeps it. Or at
a chosen change it raises what nobody catches (:func:`watching`); from then on nothing is changed any more, as after a
real kill, whatever cleans up on the way out. Or it really kills the process (:func:`die_at`). Killed before a change
is killed after the one before it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Events by name, and which of their arguments are paths.
_EVENTS = {
    "os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,), "os.mkdir": (0,), "os.link": (0, 1),
    "os.symlink": (1,), "os.truncate": (0,), "open": (0,), "os.chmod": (0,),
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Killed(BaseException):
    """The process would be gone."""


@dataclass
class _Watch:
    """What is watched.

    Attributes:
        folder: changes in it count.
        kill_at: number of the change before which the process dies; None records only.
        places: the changes so far, as text.
        dead: whether it has died.
        before: called before every change; others wait for it.
        is_busy: whether that goes on; its own changes do not count.
    """

    folder: str
    kill_at: int | None
    places: list[str] = field(default_factory=list)
    dead: bool = False
    before: Callable[[str], None] = lambda place: None
    is_busy: bool = False


_watch: _Watch | None = None
_is_hooked = False
_one_by_one = threading.RLock()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    watch = _watch
    if watch is None or event not in _EVENTS:
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITING):
        return
    paths = [os.fspath(one) for one in (arguments[i] for i in _EVENTS[event]) if isinstance(one, (str, os.PathLike))]
    paths = [os.path.abspath(os.fsdecode(path)) for path in paths]
    # Names relative to an open folder, as rmtree gives them, come without it.
    is_relative = event in ("os.remove", "os.rmdir") and arguments[1] > 2
    if not is_relative and not any(path.startswith(watch.folder) for path in paths):
        return
    if watch.dead:
        raise Killed
    with _one_by_one:
        if watch.is_busy:
            return
        place = f"{event} {' '.join(_plain(os.path.relpath(path, watch.folder)) for path in paths)}"
        watch.is_busy = True
        try:
            watch.before(place)
        finally:
            watch.is_busy = False
        watch.places.append(place)
        if watch.kill_at is not None and len(watch.places) > watch.kill_at:
            watch.dead = True
            raise Killed


def _plain(path: str) -> str:
    """A path without what is random in it."""
    return re.sub(r"\.[A-Za-z0-9_]{8}\.gi-bench$", ".RANDOM.gi-bench", path)


def _start(watch: _Watch) -> None:
    global _watch, _is_hooked
    if not _is_hooked:
        sys.addaudithook(_hook)  # there is no way to take it away again: it looks at the watch
        _is_hooked = True
    _watch = watch


@contextlib.contextmanager
def watching(folder: Path, kill_at: int | None = None) -> Iterator[_Watch]:
    """Watch a folder; at change number ``kill_at`` (from 0) the process dies, which ends the block."""
    global _watch
    made = _Watch(os.path.abspath(folder), kill_at)
    _start(made)
    try:
        yield made
    except Killed:
        assert made.dead
    finally:
        _watch = None


def places_of(folder: Path, command: Callable[[], Any]) -> list[str]:
    """All places at which a command that changes a folder can be killed."""
    with watching(folder) as watch:
        command()
    return watch.places


def states_of(folder: Path, command: Callable[[], Any], kept: Path) -> dict[Path, str]:
    """What a command leaves in a folder wherever it is killed: copies of the folder, each state once.

    Args:
        folder: that the command changes.
        command: is run to its end, once.
        kept: a folder for the copies.

    Returns:
        The copies, with the change before which the command would have been killed.
    """
    states: dict[Path, str] = {}
    seen: set[str] = set()

    def keep(place: str) -> None:
        copy = kept / f"state-{len(states)}"
        shutil.copytree(folder, copy, symlinks=True)
        found = {_plain(name): digest for name, digest in contents(copy).items()}
        digest = hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()
        if digest in seen:
            shutil.rmtree(copy)
        else:
            seen.add(digest)
            states[copy] = place

    kept.mkdir(parents=True)
    watch = _Watch(os.path.abspath(folder), None, before=keep)
    _start(watch)
    try:
        command()
    finally:
        global _watch
        _watch = None
    keep(f"the end, after {len(watch.places)} changes")
    return states


def die_at(folder: Path, number: int) -> None:
    """Let this process be killed for good (SIGKILL) before change number ``number`` (from 0) of a folder."""
    watch = _Watch(os.path.abspath(folder), None)

    def kill(place: str) -> None:
        if len(watch.places) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    watch.before = kill
    _start(watch)


def contents(
    folder: Path, masked: Callable[[str, bytes], bytes | None] = lambda name, content: content
) -> dict[str, str]:
    """Every file and folder below a folder with the digest of its content.

    Args:
        folder: looked at.
        masked: content without what differs from one run to the next; None leaves it out, but not its name.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        content = masked(name, path.read_bytes()) if path.is_file() else b"folder"
        found[name] = "" if content is None else hashlib.sha256(content).hexdigest()
    return found
