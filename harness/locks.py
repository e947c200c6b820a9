"""Locks: two processes do not write one folder at the same time.

A lock is a file in the folder that its holder keeps locked with the operating system, so that it dies with its process,
however that ends. It says who holds it: host, process and since when. Where hosts share a folder, the operating
system's lock may not reach from one to the other: the lock of another host is a lease, which its holder renews while it
lives and which runs out :data:`LEASE_S` seconds after its last sign of life. The file goes when the lock is given back,
and one that a killed process left behind goes with the next.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import platform
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import BusyError, RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".gi-bench.lock"
# How long a lock of another host holds after its last sign of life, and how often a holder gives one.
LEASE_S = 120.0
RENEW_S = 20.0
# A lock from further in the future was not written by a clock that is wrong, but by none.
_MOST_SKEW_S = 24 * 3600.0
_RETRY_S = 0.05
_UNSUPPORTED = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}

# By resolved path of the lock: the process and the thread that hold it. A thread may take what it holds once more.
_held: dict[Path, tuple[int, int]] = {}
_guard = threading.Lock()


def try_lock(handle: int) -> bool | None:
    """Lock an open file with the operating system, without waiting.

    Returns:
        Whether it is locked now; None where the file system has no locks.
    """
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            # A byte beyond the text, which others are to read.
            os.lseek(handle, 1 << 30, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        return None if fcntl is not None and error.errno in _UNSUPPORTED else False
    return True


@contextlib.contextmanager
def holding(
    folder: Path, *, name: str = LOCK, wait_s: float = 0.0, what: str = "is using this folder"
) -> Iterator[None]:
    """Hold a folder while the block runs. It is made if it is not there, and taken away again if it stays empty.

    Args:
        folder: what is locked.
        name: of the lock's file, for locks on a part of what is in it.
        wait_s: how long to wait for another holder.
        what: what a holder does, for the message.

    Raises:
        BusyError: another process, or another thread of this one, holds it.
        RunError: the folder cannot be written.
    """
    made = _make(folder)
    path, me = folder.resolve() / name, (os.getpid(), threading.get_ident())
    with _guard:
        again = _held.get(path) == me
    if again:
        yield
        return
    try:
        handle = _acquired(path, wait_s, what)
    except BaseException:
        _unmake(made)
        raise
    with _guard:
        _held[path] = me
    stop = threading.Event()
    renewing = threading.Thread(target=_renew, args=(handle, stop), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        stop.set()
        renewing.join()  # its file must not be closed, and its number given to another, while it is at it
        with _guard:
            _held.pop(path, None)
        try:
            with contextlib.suppress(OSError):
                if fcntl is not None and _is_at(handle, path):
                    path.unlink()
        finally:
            os.close(handle)
        with contextlib.suppress(OSError):
            if fcntl is None:  # Windows takes away no file that is open
                path.unlink()
        _unmake(made)


def _make(folder: Path) -> list[Path]:
    """The folder and those above it that were not there, the deepest first."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return new


def _unmake(made: list[Path]) -> None:
    for folder in made:
        try:
            folder.rmdir()
        except OSError:  # something is in it by now
            return


def _unwritable(path: Path, error: OSError) -> RunError:
    reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
    return RunError(f"cannot write: {reason}", where=path, do="make room, choose another folder, or mend this one")


def _acquired(path: Path, wait_s: float, what: str) -> int:
    """The open, locked file.

    Raises:
        BusyError: it is held by another until the time is over.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            return _open(path, what)
        except BusyError:
            if time.monotonic() >= until:
                raise
            time.sleep(_RETRY_S)


def _open(path: Path, what: str) -> int:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise RunError("a lock that is no plain file", where=path, do="delete it")
            locked = try_lock(handle)
            holder = _read(handle)
            if locked is False or _is_held(holder, handle, locked):
                raise _busy(path, holder, what)
            if _is_at(handle, path):
                _write(handle)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its holder took it away between our opening and our locking it


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file is still the one at its path."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    ours = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _read(handle: int) -> dict[str, Any]:
    """Who holds, or held, a lock; empty where that cannot be read."""
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        found = json.loads(os.read(handle, 4096))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(handle: int) -> None:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    content = json.dumps({"host": platform.node(), "pid": os.getpid(), "since": now}).encode("utf-8") + b"\n"
    try:
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, content)
    except OSError:  # a full disk: the operating system's lock holds all the same
        return


def _is_held(holder: dict[str, Any], handle: int, locked: bool | None) -> bool:
    """Whether a lock that the operating system gave us (or cannot tell of: None) is another's all the same."""
    host = holder.get("host")
    if not isinstance(host, str) or not host:
        return False
    if host == platform.node():
        return locked is None and _is_alive(holder.get("pid"))
    silent = time.time() - os.fstat(handle).st_mtime
    return -_MOST_SKEW_S < silent < LEASE_S


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0 or fcntl is None:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _busy(path: Path, holder: dict[str, Any], what: str) -> BusyError:
    who = ", ".join(
        f"{said} {str(holder[key])[:80]}"
        for key, said in (("host", "host"), ("pid", "process"), ("since", "since"))
        if key in holder
    )
    do = "wait for it, or stop it"
    if holder.get("host") not in (None, platform.node()):
        do += f"; if it has died already, its lock runs out {LEASE_S:.0f} s after its last sign of life"
    return BusyError(f"another process {what}" + (f": {who}" if who else ""), where=path.parent, do=do)


def _renew(handle: int, stop: threading.Event) -> None:
    """Give a sign of life until the lock is given back."""
    while not stop.wait(RENEW_S):
        with contextlib.suppress(OSError):
            os.utime(handle)


__all__ = ["LEASE_S", "LOCK", "holding", "try_lock"]
