"""Where an export is written: all files or none, and never over one that gi-bench did not write."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.files import write_bytes
from gi_bench.harness.outputs import IsOurs, check_output

# In a file for people the mark stands on a line of its own, with the digest of all other lines.
_MARK = re.compile(rb"^(?:<!-- |# )written by gi-bench export, SHA-256 of the other lines: ([0-9a-f]{64})(?: -->)?\n",
                   re.MULTILINE)  # fmt: skip


@dataclass(frozen=True)
class File:
    """One file of an export.

    Attributes:
        path: in the folder, with ``/``.
        content: its bytes.
        is_ours: whether a file that is there is this one, of before.
    """

    path: str
    content: bytes
    is_ours: IsOurs


def write_all(folder: Path, files: list[File]) -> list[Path]:
    """Write files into a folder, which may hold others.

    Args:
        folder: where; made if it is not there.
        files: what to write.

    Returns:
        Their paths.

    Raises:
        GiBenchError: the folder is a file, or one of the files is there and is not ours, or cannot be
            written. Nothing is there then that was not there before.
    """
    if folder.exists() and not folder.is_dir():
        raise GiBenchError("the output is there and is no folder", where=folder, do="choose another --output")
    paths = [folder / one.path for one in files]
    for path, one in zip(paths, files, strict=True):
        if path.is_symlink() or any(part.is_symlink() for part in path.parents if folder in part.parents):
            raise GiBenchError("the output is a link", where=path, do="choose another --output, or take it away")
        if not (path.is_file() and path.read_bytes() == one.content):
            check_output(path, one.is_ours)
    fresh = [path for path in paths if not path.exists()]
    try:
        for path, one in zip(paths, files, strict=True):
            write_bytes(path, one.content)
    except GiBenchError:
        for path in fresh:
            with contextlib.suppress(OSError):
                path.unlink()
        raise
    return paths


def marked(head: str, body: str, *, comment: tuple[str, str]) -> bytes:
    """A text with our mark between two parts of it.

    Args:
        head: what has to stand first, with a line end; may be empty.
        body: the rest.
        comment: what starts and ends a comment there.
    """
    digest = hashlib.sha256((head + body).encode("utf-8")).hexdigest()
    start, end = comment
    return f"{head}{start}written by gi-bench export, SHA-256 of the other lines: {digest}{end}\n{body}".encode()


def is_unchanged(path: Path) -> bool:
    """Whether a file has our mark and is as it was written: what somebody added by hand is not written over."""
    content = path.read_bytes()
    found = _MARK.search(content)
    if found is None:
        return False
    rest = content[: found.start()] + content[found.end() :]
    return hashlib.sha256(rest).hexdigest().encode() == found[1]


def json_text(content: Any, *, indent: int | None = None) -> str:
    """JSON in ASCII, keys in the order given; NaN is refused."""
    return json.dumps(content, indent=indent, allow_nan=False)


def plain_name(text: str, most: int = 80) -> str:
    """A name for a file or folder out of anybody's text: letters, digits, ``._-``, never hidden or empty.

    >>> plain_name("phantom/test@swap"), plain_name("../../etc"), plain_name("\\x00")
    ('phantom_test_swap', 'etc', 'unnamed')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:most].strip("._-") or "unnamed"


_WRITER = "gi-bench export"


def evidence(run_digest: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What says in a file for machines that it is ours and of which run, with more that its format has no place for."""
    return {"written_by": _WRITER, "recipe_digest": run_digest, **values}


def is_evidence(content: Any, run_digest: str, *keys: str) -> bool:
    """Whether what :func:`evidence` made of a run stands in the content of a file.

    Args:
        content: of the file; anything.
        run_digest: of the run.
        keys: where in it, from the top.
    """
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    told = content if isinstance(content, dict) else {}
    return (told.get("written_by"), told.get("recipe_digest")) == (_WRITER, run_digest)


__all__ = ["File", "evidence", "is_evidence", "is_unchanged", "json_text", "marked", "plain_name", "write_all"]
