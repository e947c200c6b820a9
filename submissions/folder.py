"""A submission's folder: whole or not there, and never over somebody else's files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.files import file_digest, write_bytes
from gi_bench.harness.locks import holding
from gi_bench.harness.placing import ENDING, place_folder

RECORD = "gi-bench.json"


def write_folder(folder: Path, files: Mapping[str, bytes | Path], record: Mapping[str, Any]) -> None:
    """Write a folder with all its files, or nothing.

    Args:
        folder: where; one that gi-bench wrote is replaced, any other that holds something is refused.
        files: content, or a file to copy, by path in the folder (``a/b``, never absolute and never with ``..``).
        record: what it was made of; stored in ``gi-bench.json`` with the SHA-256 of every file.

    Raises:
        GiBenchError: the folder is not ours to write, or cannot be written, or a name leads out of it.
    """
    check_replaceable(folder)
    outside = [name for name in files if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if outside:
        raise GiBenchError("a file name leads out of the folder", where=outside[0], do="mend the edition's table")
    fresh = folder.with_name(f".{folder.name}.new{ENDING}")
    with holding(folder.parent, name=f".{folder.name}.lock{ENDING}", what=f"writes {folder.name}"):
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            _fill(fresh, files, record)
            place_folder(fresh, folder)
        except OSError as error:
            raise GiBenchError(f"cannot write: {error.strerror or error}", where=folder,
                               do="choose another --output, or make room") from error  # fmt: skip
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _fill(fresh: Path, files: Mapping[str, bytes | Path], record: Mapping[str, Any]) -> None:
    fresh.mkdir(parents=True)
    digests = {}
    for name, content in sorted(files.items()):
        path = fresh / name
        if isinstance(content, bytes):
            write_bytes(path, content)
            digests[name] = hashlib.sha256(content).hexdigest()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(content, path)
            digests[name] = file_digest(path)
    text = json.dumps({**record, "files": digests}, indent=1, sort_keys=True, ensure_ascii=False)
    write_bytes(fresh / RECORD, text.encode("utf-8") + b"\n")


def check_replaceable(folder: Path, kind: tuple[str, str] | None = None) -> None:
    """Refuse a folder with anything that gi-bench did not write there.

    Args:
        folder: where something is going to be written.
        kind: subtask and name of the edition that it is for; None if any submission may be replaced.

    Raises:
        GiBenchError: it is a file, or holds files that are not in its record, changed ones, or another submission.
    """
    do = "choose another --output, or take them away"
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise GiBenchError("the output is there and is no folder", where=folder, do="choose another --output")
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    if not there:
        return
    found = _recorded(folder)
    if found is None:
        raise GiBenchError(
            f"the folder holds files that gi-bench did not write ({sorted(there)[0]})", where=folder, do=do
        )
    known, holds = found
    if kind is not None and holds != kind:
        raise GiBenchError(f"the folder holds the submission to {holds[1]}, {holds[0]}", where=folder,
                           do="choose another --output")  # fmt: skip
    for name, path in sorted(there.items()):
        if name != RECORD and (path.is_symlink() or file_digest(path) != known.get(name)):
            what = "was changed" if name in known else "is not gi-bench's"
            raise GiBenchError(f"{name} {what}", where=folder, do=do)


def _recorded(folder: Path) -> tuple[dict[str, str], tuple[str, str]] | None:
    """Digests of the files that gi-bench wrote, and subtask and edition that they are for."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        digests = {str(name): str(digest) for name, digest in content["files"].items()}
        return digests, (str(content["task"]), str(content["edition"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


__all__ = ["RECORD", "check_replaceable", "write_folder"]
