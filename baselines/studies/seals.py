"""Seals on what a study keeps: digests of its files, beside them, so that a changed one is not taken for what was made.

As with the digests of a run, this finds what was changed by mistake or by hand, not whoever writes new digests too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gi_bench.harness.checking import read_checked
from gi_bench.harness.errors import ChangedError, RunError
from gi_bench.harness.files import file_digest, write_json


@dataclass(frozen=True)
class _Seal:
    """SHA-256 of files by name."""

    files: Mapping[str, str]


def seal(path: Path) -> None:
    """Seal a file, or a folder with the files in it, as they are now."""
    write_json(_place(path), {"files": {name: file_digest(one) for name, one in _files(path).items()}})


def unseal(path: Path) -> None:
    """Take the seal off what is about to be made again."""
    _place(path).unlink(missing_ok=True)


def is_sealed(path: Path) -> bool:
    """Whether a file or folder is sealed, and unchanged since; what an earlier version made has no seal.

    Raises:
        ChangedError: a file is missing or was changed.
        RunError: the seal is damaged.
    """
    place = _place(path)
    if not place.is_file():
        return False
    again = f"put it back, or delete {path.name}, and it is made again"
    found = read_checked(place, _Seal, do=f"delete it and {path.name}, which is made again", error=RunError)
    for name, digest in found.files.items():
        one = path / Path(name).name if path.is_dir() else path
        if not one.is_file():
            raise ChangedError("a file of the study is missing", where=one, do=again)
        if file_digest(one) != digest:
            raise ChangedError("the file was changed after it was made: its SHA-256 is another", where=one, do=again)
    return True


def _files(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        return {path.name: path}
    return {one.name: one for one in sorted(path.iterdir()) if one.is_file()}


def _place(path: Path) -> Path:
    return path.with_name(f"{path.name}.sealed.json")
