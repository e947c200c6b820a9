"""What was made from what: whether a file is still what the same inputs and the same code would give.

Kept in the user's cache, not beside the files: a file that somebody changed is recognised, whatever else was changed
with it. Where nothing is known, everything is made again; nothing here ever decides that old numbers will do.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from gi_bench.harness.cache import Cache, cache_folder, file_digests

_DISTRIBUTION, _PACKAGE = "gi-bench", "gi_bench"
# Checkpoints are named by what depends on them, and none of these decides a number.
_NO_CODE = {"weights", "__pycache__"}


_TOP = Path(__file__).parents[1]  # not resolved: in a checkout the rooms are links in the package


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 over the code and data of this package, the versions of all packages installed, and Python's."""
    content = [package_digest(), sys.version, sys.platform, _installed()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@lru_cache(maxsize=1)
def package_digest() -> str:
    """SHA-256 over the code and data of this package, without checkpoints."""
    return folder_digest(_TOP)


def folder_digest(top: Path, ending: str = "") -> str:
    """SHA-256 over the code and data in the folder of a package, without checkpoints.

    Args:
        top: the folder.
        ending: only files of this ending.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(top, followlinks=True):
        folders[:] = sorted(set(folders) - _NO_CODE)
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix != ".pyc" and name.endswith(ending):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{path.relative_to(top).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def git_commit() -> str:
    """The commit of the checkout that this package runs from; empty where it is installed like any other package."""
    try:
        git = _TOP.parent / ".git"
        if git.is_file():  # a work tree beside the repository
            git = _TOP.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return head[:40]
        name = head.removeprefix("ref:").strip()
        shared = git / (git / "commondir").read_text(encoding="utf-8").strip() if (git / "commondir").exists() else git
        for place in (git / name, shared / name):
            if place.is_file():
                return place.read_text(encoding="utf-8").strip()[:40]
        packed = (shared / "packed-refs").read_text(encoding="utf-8").splitlines()
        return next((line[:40] for line in packed if line.endswith(f" {name}")), "")
    except (OSError, UnicodeDecodeError):
        return ""


def _installed() -> list[str]:
    """Names and versions of everything installed, as the names of its metadata folders say; nothing is parsed."""
    found: set[str] = set()
    for place in sys.path:
        with contextlib.suppress(OSError):
            found.update(name for name in os.listdir(place or ".") if name.endswith((".dist-info", ".egg-info")))
    return sorted(found)


def is_ours(function: Any) -> bool:
    """Whether :func:`code_digest` covers where a function is defined."""
    module = getattr(function, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] == _PACKAGE


def content_of(paths: Iterable[Path]) -> dict[str, str]:
    """Digests of files by path; folders stand for all files in them, what is not there for nothing.

    Raises:
        OSError: a file cannot be read.
    """
    found: list[Path] = []
    for path in paths:
        found += sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path] * path.is_file()
    return dict(zip((str(path.resolve()) for path in found), file_digests(found), strict=True))


def digest_of(*parts: object) -> str:
    """SHA-256 over plain values and the code that deals with them."""
    text = json.dumps([code_digest(), *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_current(outputs: Sequence[Path], made_from: str) -> bool:
    """Whether files are as they were when they were made from the same.

    Args:
        outputs: files and folders.
        made_from: :func:`digest_of` all that they depend on.
    """
    try:
        found = content_of(outputs)
    except OSError:
        return False
    return bool(recall(_key(outputs, made_from)) == digest_of(found))


def remember(outputs: Sequence[Path], made_from: str) -> None:
    """Note files that were just made from something."""
    try:
        keep(_key(outputs, made_from), digest_of(content_of(outputs)))
    except OSError:  # gone again: nothing is known of them
        return


def _key(outputs: Sequence[Path], made_from: str) -> str:
    return digest_of([str(path.resolve()) for path in outputs], made_from)


def recall(key: str) -> Any:
    """A value kept under a :func:`digest_of`; None where there is none."""
    stored = _cache().get(key)
    try:
        return None if stored is None else json.loads(stored)
    except ValueError:
        return None


def keep(key: str, value: Any) -> None:
    """Keep a plain value under a :func:`digest_of`; floats come back as they are."""
    _cache().put(key, json.dumps(value).encode())


def _cache() -> Cache:
    return Cache(cache_folder() / "made.sqlite3")


__all__ = [
    "code_digest",
    "content_of",
    "digest_of",
    "folder_digest",
    "git_commit",
    "is_current",
    "is_ours",
    "keep",
    "package_digest",
    "recall",
    "remember",
]
