"""What may be written where a user says: never over a file that gi-bench did not write, nor over a run's own.

A file of ours is known by what is in it: pages by a line of their head, JSON by its keys, tables by their columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from gi_bench.harness import store
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.schema import Picture

# In the first lines of every page. Pages of before are known by the policy that stood there then.
PAGE_MARK = '<meta name="generator" content="gi-bench">'
_PAGE_POLICY = "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_HEAD_BYTES = 4096

IsOurs = Callable[[Path], bool]


def check_output(path: Path, is_ours: IsOurs, *, inputs: Iterable[Path | str | None] = ()) -> None:
    """Refuse to write a file where something else is.

    Args:
        path: what is going to be written.
        is_ours: whether a file that is there is one of the same kind that gi-bench wrote.
        inputs: what the command reads; none of it is written over, whatever is in it.

    Raises:
        GiBenchError: the place is a folder, a file of a run, an input, or a file that gi-bench did not write.
    """
    elsewhere = "choose another --output"
    if path.is_dir():
        raise GiBenchError("the output is a folder", where=path, do="give the name of a file")
    if _is_run_file(path):
        raise GiBenchError("the output is a file of a run, which would be lost", where=path, do=elsewhere)
    if not path.exists():
        return
    if not path.is_file():
        raise GiBenchError("the output is no plain file", where=path, do=elsewhere)
    if any(one is not None and _is_same(path, Path(one)) for one in inputs):
        raise GiBenchError("the output is one of the inputs", where=path, do=elsewhere)
    if path.stat().st_size and not _told(is_ours, path):
        raise GiBenchError(
            "the output is there already, and is no file of this kind that gi-bench wrote",
            where=path,
            do=f"{elsewhere}, or move the file away",
        )


def _is_run_file(path: Path) -> bool:
    """Whether a place in a run's folder belongs to the run."""
    place = path.resolve()
    for folder in place.parents:
        if (folder / store.MANIFEST).is_file():
            own = {one.name for one in store.run_parts(folder)}
            return place.relative_to(folder).parts[0] in own
    return False


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _told(is_ours: IsOurs, path: Path) -> bool:
    try:
        return is_ours(path)
    except (OSError, ValueError, RecursionError):
        return False


def is_page(path: Path) -> bool:
    """Whether a file is a page of ours."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES).decode("utf-8", "replace")
    return PAGE_MARK in head or _PAGE_POLICY in head


def json_with(*keys: str) -> IsOurs:
    """Tells JSON files whose top is an object with these keys."""

    def is_ours(path: Path) -> bool:
        content = json.loads(path.read_text(encoding="utf-8"))
        return isinstance(content, dict) and set(keys) <= set(content)

    return is_ours


def lines_with(*keys: str) -> IsOurs:
    """Tells files of JSON lines whose first is an object with these keys."""

    def is_ours(path: Path) -> bool:
        with path.open(encoding="utf-8") as stream:
            content = json.loads(stream.readline(1 << 20))
        return isinstance(content, dict) and set(keys) <= set(content)

    return is_ours


def table_with(*columns: str) -> IsOurs:
    """Tells Parquet files with exactly these columns."""

    def is_ours(path: Path) -> bool:
        from gi_bench.harness.files import read_parquet

        try:
            return list(read_parquet(path).schema.names) == list(columns)
        except GiBenchError:
            return False

    return is_ours


_PICTURES = re.compile(r"pictures-[0-9a-f]{8}\.parquet")


def without_own_files(paths: Sequence[Path], say: Callable[[str], None]) -> list[Path]:
    """Paths without the pages and pictures that gi-bench puts beside runs, so that ``runs/SUITE/*`` means the runs.

    Args:
        paths: as given by the user.
        say: is told in one line what is left out.
    """
    own = [path for path in paths if path.is_file() and _is_beside_runs(path)]
    if own:
        say(f"left out, since gi-bench wrote it beside the runs: {', '.join(path.name for path in own)}")
    return [path for path in paths if path not in own]


def _is_beside_runs(path: Path) -> bool:
    if _PICTURES.fullmatch(path.name):
        return _told(table_with(*(one.name for one in fields(Picture))), path)
    return path.suffix.lower() == ".html" and _told(is_page, path)


__all__ = ["PAGE_MARK", "check_output", "is_page", "json_with", "lines_with", "table_with", "without_own_files"]
