"""One key-value cache on disk, for whatever takes long to make and can be made again.

Values are bytes in an SQLite file, each with a checksum; nothing is unpickled. A cache never fails and never lies: what
is damaged is deleted and made again, what cannot be read or written (a locked file, a full disk, a folder without
permission) is made again every time. Deleting the folder loses time only. Several processes may use one file.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import sqlite3
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from gi_bench.harness.files import file_digest

Pair = tuple[str, str]

FOLDER_VARIABLE = "GI_BENCH_CACHE"
# A file that grows beyond this loses its oldest half.
MOST_BYTES = 256 * 1024 * 1024
_CHECK_BYTES = 8
# How long another process may hold the file before this one goes on without it.
_WAIT_S = 10.0
# Placeholders of one SELECT; SQLite before 3.32 takes 999.
_ASKED_TOGETHER = 900
# A file changed less than this ago may change again within one tick of its clock.
_SETTLED_NS = 2_000_000_000
_SHA256 = re.compile("[0-9a-f]{64}")


def cache_folder() -> Path:
    """Where everything is cached: ``$GI_BENCH_CACHE``, ``$XDG_CACHE_HOME/gi-bench`` or ``~/.cache/gi-bench``."""
    own = os.environ.get(FOLDER_VARIABLE)
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gi-bench"
    except RuntimeError:  # a user without a home: nothing can be written below a device, so nothing is cached
        return Path(os.devnull) / "gi-bench"


class Cache:
    """Values by key in one file.

    Args:
        path: the SQLite file; its folder is made when something is kept.
        most_bytes: size of the file beyond which its oldest half is dropped.

    Example:
        >>> import tempfile
        >>> cache = Cache(Path(tempfile.mkdtemp()) / "squares.sqlite3")
        >>> cache.get("3") is None
        True
        >>> cache.put("3", b"9")
        >>> cache.get("3")
        b'9'
    """

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self._most_bytes = most_bytes

    def get(self, key: str) -> bytes | None:
        """The value of a key; None where none is kept, or what is kept is damaged."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The values of those keys that have one."""
        wanted = {_digest(key): key for key in keys}
        found: dict[str, bytes] = {}
        if not wanted or not _is_file(self.path):
            return found
        digests = list(wanted)
        with self._forgiving(), contextlib.closing(self._connect()) as connection:
            for start in range(0, len(digests), _ASKED_TOGETHER):
                asked = digests[start : start + _ASKED_TOGETHER]
                marks = ",".join("?" * len(asked))
                for digest, stored in connection.execute(
                    f"SELECT key, value FROM entries WHERE key IN ({marks})", asked
                ):
                    value = _checked(digest, stored)
                    if value is not None:
                        found[wanted[digest]] = value
        return found

    def put(self, key: str, value: bytes) -> None:
        """Keep a value."""
        self.put_many({key: value})

    def put_many(self, values: Mapping[str, bytes]) -> None:
        """Keep values: all of them or, where the file cannot be written, none."""
        rows = [(digest, _check(digest, value) + value) for digest, value in _by_digest(values)]
        if not rows:
            return
        with self._forgiving():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(self._connect()) as connection, connection:
                connection.execute("CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL)")
                connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", rows)
                self._shrink(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_WAIT_S)
        # Waiting for the disk would cost more than most values; what a power cut damages is found by its checksum.
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    def _shrink(self, connection: sqlite3.Connection) -> None:
        """Drop the oldest half, again until the rest fits; SQLite fills the freed pages with what comes next."""
        while _used_bytes(connection) > self._most_bytes:
            count = connection.execute("SELECT COUNT(*) FROM entries").fetchone()[0]
            if not count:
                return
            connection.execute(
                "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries ORDER BY rowid LIMIT ?)",
                ((count + 1) // 2,),
            )

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """End the block quietly at any failure; delete a file that is damaged or no database."""
        try:
            yield
        except (OSError, sqlite3.OperationalError):  # locked, full, not to be written, no such table
            return
        except sqlite3.DatabaseError:
            # An unfinished journal belongs to the file that goes: SQLite would play it back into the next one.
            for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):
                with contextlib.suppress(OSError):
                    path.unlink()


class PairValues:
    """Numbers of pairs of texts.

    Args:
        path: file of the cache.
        what: what the numbers are and rest on; numbers of something else in the same file are not found.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._cache, self._what = Cache(path), what

    @property
    def path(self) -> Path:
        """The cache's file."""
        return self._cache.path

    def get(self, pairs: Iterable[Pair]) -> dict[Pair, float]:
        """Known values; pairs without one are left out."""
        keys = {self.key(pair): pair for pair in pairs}
        found = {keys[key]: _number(value) for key, value in self._cache.get_many(keys).items()}
        return {pair: value for pair, value in found.items() if value is not None}

    def put(self, values: Mapping[Pair, float]) -> None:
        """Keep values."""
        self._cache.put_many({self.key(pair): struct.pack("<d", value) for pair, value in values.items()})

    def key(self, pair: Pair) -> str:
        """Key of a pair; the length keeps its texts apart."""
        return f"{self._what}\0{len(pair[0])}:{pair[0]}{pair[1]}"


def _number(stored: bytes) -> float | None:
    """A finite number, or None for an entry that is not one."""
    if len(stored) != struct.calcsize("<d"):
        return None
    value = float(struct.unpack("<d", stored)[0])
    return value if math.isfinite(value) else None


def _is_file(path: Path) -> bool:
    """Whether there is such a file; False also where nobody may look."""
    try:
        return path.is_file()
    except OSError:
        return False


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _by_digest(values: Mapping[str, bytes]) -> Iterator[tuple[bytes, bytes]]:
    for key, value in values.items():
        yield _digest(key), value


def _check(digest: bytes, value: bytes) -> bytes:
    """Checksum of a value under its key, so that neither a changed nor a misplaced value is taken."""
    return hashlib.blake2b(value, digest_size=_CHECK_BYTES, key=digest).digest()


def _checked(digest: bytes, stored: object) -> bytes | None:
    if not isinstance(stored, bytes):
        return None
    value = stored[_CHECK_BYTES:]
    return value if stored[:_CHECK_BYTES] == _check(digest, value) else None


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def file_state(path: Path) -> str:
    """What changes when a file is written or replaced: its place, size, times of change and inode.

    Raises:
        OSError: the file is not there.
    """
    state = path.stat()
    # ctime cannot be set back, as mtime can.
    return f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ctime_ns}\0{state.st_ino}"


def file_digests(paths: Sequence[Path], folder: Path | None = None) -> list[str]:
    """SHA-256 of files in hexadecimal; a file whose :func:`file_state` is known is not read again.

    Args:
        paths: the files.
        folder: of the cache; None for :func:`cache_folder`.

    Raises:
        OSError: a file cannot be read.
    """
    cache = Cache((folder or cache_folder()) / "files.sqlite3")
    states = [file_state(path) for path in paths]
    known = cache.get_many(states)
    fresh: dict[str, bytes] = {}
    found = []
    for path, state in zip(paths, states, strict=True):
        stored = known.get(state)
        digest = stored.hex() if stored is not None else hub_digest(path)
        if digest is None:
            digest = file_digest(path)
            if _is_settled([path], [state]):
                fresh[state] = bytes.fromhex(digest)
        found.append(digest)
    cache.put_many(fresh)
    return found


def kept_digest(what: str, paths: Sequence[Path], make: Callable[[], str], folder: Path | None = None) -> str:
    """A SHA-256 over several files that is not made again while their names and :func:`file_state` are the same.

    Args:
        what: tells digests that are made in different ways from the same files apart.
        paths: the files that it is made from.
        make: gives the digest in hexadecimal.
        folder: of the cache; None for :func:`cache_folder`.

    Raises:
        OSError: a file is not there, or cannot be read.
    """
    cache = Cache((folder or cache_folder()) / "files.sqlite3")
    states = [file_state(path) for path in paths]
    key = "\0".join([what, *(path.name for path in paths), *states])
    stored = cache.get(key)
    if stored is not None:
        return stored.hex()
    digest = make()
    if _is_settled(paths, states):
        cache.put(key, bytes.fromhex(digest))
    return digest


def _is_settled(paths: Sequence[Path], states: Sequence[str]) -> bool:
    """Whether files still have the states that they had before they were read, and would lose them by being written.

    A write within the clock's tick would leave the state as it is: such a file is read again next time.
    """
    now = time.time_ns()
    return all(
        now - path.stat().st_mtime_ns > _SETTLED_NS and file_state(path) == state
        for path, state in zip(paths, states, strict=True)
    )


def hub_digest(path: Path) -> str | None:
    """The SHA-256 by which the Hugging Face cache names a large file; None for every other file.

    A snapshot's file is a link to ``blobs/NAME``, and a large file's name is its SHA-256. The link is made when the
    blob is whole; a blob that was written or moved after it is read like any other file.

    Raises:
        OSError: the file is not there.
    """
    if not path.is_symlink():
        return None
    blob = path.resolve(strict=True)
    if blob.parent.name != "blobs" or not _SHA256.fullmatch(blob.name):
        return None
    return blob.name if blob.stat().st_ctime_ns <= path.lstat().st_ctime_ns else None


__all__ = [
    "FOLDER_VARIABLE",
    "Cache",
    "Pair",
    "PairValues",
    "cache_folder",
    "file_digests",
    "file_state",
    "hub_digest",
    "kept_digest",
]
