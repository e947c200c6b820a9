"""The rows that an edition asks: their digest, and the rows themselves where the data are at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.harness.errors import DataError, GiBenchError, UnknownNameError
from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.editions import Edition, Rows

if TYPE_CHECKING:
    from gi_bench.harness.suites.base import Suite


@dataclass(frozen=True)
class Asked:
    """A row that is asked.

    Attributes:
        img_id, question: as in the dataset.
        answer: reference; None on hidden sets.
    """

    img_id: str
    question: str
    answer: str | None = None


@dataclass(frozen=True)
class Official:
    """Rows of an edition, in order, and the suite that has their images (None where it has none)."""

    rows: tuple[Asked, ...]
    suite: Suite | None = None


def digest(rows: Sequence[tuple[str, str]], *, is_numbered: bool) -> str:
    """SHA-256 as :func:`gi_bench.harness.suites.specs.rows_digest` has it, of (img_id, question) in order."""
    lines = (f"{i}\t{a}\t{b}" if is_numbered else f"{a}\t{b}" for i, (a, b) in enumerate(rows))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def fits(table: Rows, rows: Sequence[tuple[str, str]]) -> bool:
    """Whether rows are those of an edition, which has to pin them."""
    return bool(table.sha256) and digest(rows, is_numbered=table.is_numbered) == table.sha256


def load(table: Rows, data: Path | None, found: Findings) -> Official | None:
    """The official rows from a folder, or from the Hub's cache; never from the network.

    Args:
        table: of the edition's subtask.
        data: the folder given by the user; None looks into the cache.
        found: told why there are none in the cache.

    Raises:
        GiBenchError: the user's folder does not hold the edition's rows.
    """
    folder = data if data is not None else _cached(table.dataset)
    if folder is None:
        return None
    try:
        official = _from_suite(table, folder) or _from_files(table, folder)
        _check(table, official, folder)
    except GiBenchError as error:
        if data is not None:
            raise
        found.skip(f"the rows of {table.dataset} in the Hub's cache: {error.line()}")
        return None
    return official


def _cached(dataset: str) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(dataset, repo_type="dataset", local_files_only=True))
    except Exception:  # of many kinds; all mean that it is not in the cache
        return None


def _from_suite(table: Rows, folder: Path) -> Official | None:
    from gi_bench.harness.registry import load_suite

    try:
        suite = load_suite(table.suite, folder)
    except UnknownNameError:
        return None
    rows = tuple(Asked(one.img_id, one.question, one.answer) for one in suite.questions)
    return Official(rows, suite if suite.has_images else None)


def _from_files(table: Rows, folder: Path) -> Official:
    """Rows of an edition whose suite is not registered here: its split, shuffled as its table says."""
    from gi_bench.harness.suites.kvasir import official_order
    from gi_bench.harness.suites.kvasir_rows import find_parquet, read_rows

    rows = read_rows(find_parquet(folder, table.split), hidden=True)
    if table.complexity is not None:
        rows = [row for row in rows if row.get("complexity") == table.complexity]
    if table.seed is not None:
        rows = [rows[i] for i in official_order(len(rows), table.seed)[: table.rows]]
    return Official(tuple(_asked(row) for row in rows))


def _asked(row: dict[str, Any]) -> Asked:
    img_id, question, answer = row["img_id"], row["question"], row.get("answer")
    if not isinstance(img_id, str) or not isinstance(question, str):
        raise DataError("a row without img_id or question", where=row["_where"], do="download the dataset again")
    return Asked(img_id, question, answer if isinstance(answer, str) else None)


def _check(table: Rows, official: Official, folder: Path) -> None:
    pairs = [(one.img_id, one.question) for one in official.rows]
    wrong = table.sha256 and not fits(table, pairs)
    if wrong or (table.rows is not None and len(pairs) != table.rows):
        raise GiBenchError(
            f"these {len(pairs):,} rows are not those that the edition asks", where=folder,
            do=f"give --data a whole copy of {table.dataset}, or none",
        )  # fmt: skip


@dataclass(frozen=True)
class Given:
    """A row of a submission: its key and where it stands."""

    img_id: str
    question: str
    line: int
    name: str


def compare(
    given: Sequence[Given], file: str, edition: Edition, table: Rows, official: Official | None, found: Findings
) -> bool:
    """Whether rows, in the official order, are the edition's; what differs is reported."""
    pairs = [(one.img_id, one.question) for one in given]
    if fits(table, pairs):
        return True
    if official is not None:
        compare_some(dict(enumerate(given)), file, official, found)
        return pairs == [(one.img_id, one.question) for one in official.rows]
    if table.sha256:
        text = (
            f"their SHA-256 is not that of {edition.title}; --data DIR with {table.dataset} names the rows that differ"
        )
        found.add("rows-differ", text, file)
        return False
    found.add("rows-unpinned", f"give --data DIR with {table.dataset} to compare them", file)
    return False


def compare_some(given: Mapping[int, Given], file: str, official: Official, found: Findings) -> None:
    """Report the rows, by their official number, that are not what is asked there."""
    for number, one in given.items():
        if number >= len(official.rows):
            continue
        asked = official.rows[number]
        if one.img_id != asked.img_id:
            text = f"{one.name}: {shown(one.img_id)}, and the official row is {shown(asked.img_id)}"
            found.add("img-id-differs", text, file, one.line)
        elif one.question != asked.question:
            text = f"{one.name}: {shown(one.question)}, and the official row asks {shown(asked.question)}"
            found.add("question-differs", text, file, one.line)


__all__ = ["Asked", "Given", "Official", "compare", "compare_some", "digest", "fits", "load"]
