"""What sets ask of their images, over all tasks: out of suites and out of files, one record an image."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness.csv_text import read_csv
from gi_bench.harness.errors import DataError
from gi_bench.harness.files import column_names, content_of, table_in
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.splits.split import Source

SUFFIXES = (".csv", ".parquet")
_PHRASE_FILE = re.compile(r"(?P<label>.+)_mask_phrases")
# Batches of Kvasir-VQA by the first characters of the image id; the longest prefix that fits decides.
_GROUPS = {
    "clbn": "normal",
    "clbo": "normal",
    "clb0kv": "oesophagitis",
    "clb0lb": "instrument",
    "cl8k": "polyps",
    "cla8": "ulcerative colitis",
}


@dataclass(frozen=True)
class AskedRow:
    """One row of a set, as far as splits and audits need it.

    Attributes:
        img_id: the image asked about.
        tasks: what the row asks: ``answer``, ``explain``, ``ground``; empty if that is not known.
        classes: question classes or the label of the phrase; empty if that is not known.
    """

    img_id: str
    tasks: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ImageUse:
    """All that the gathered sets ask of one image."""

    img_id: str
    tasks: frozenset[str]
    classes: frozenset[str]


def group_of(img_id: str) -> str:
    """Source batch of an image of Kvasir-VQA by its id; ``other`` for foreign ids.

    >>> group_of("cl8k2u1pm1dw7083203g1b7yv"), group_of("img7")
    ('polyps', 'other')
    """
    for length in (6, 4):
        group = _GROUPS.get(img_id[:length])
        if group is not None:
            return group
    return "other"


def gather(rows: Iterable[AskedRow]) -> list[ImageUse]:
    """Rows of any number of sets as one record per image, sorted by id."""
    tasks: dict[str, set[str]] = defaultdict(set)
    classes: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        tasks[row.img_id] |= row.tasks
        classes[row.img_id] |= row.classes
    return [ImageUse(img_id, frozenset(tasks[img_id]), frozenset(classes[img_id])) for img_id in sorted(tasks)]


def rows_of_suite(suite: Suite) -> list[AskedRow]:
    """Questions and phrases of a suite, in order."""
    rows = []
    for question in suite.questions:
        explains = question.wants_explanation or question.explanation is not None
        tasks = frozenset({"answer", "explain"}) if explains else frozenset({"answer"})
        rows.append(AskedRow(question.img_id, tasks, frozenset(question.question_class)))
    rows.extend(AskedRow(p.img_id, frozenset({"ground"}), frozenset({p.label})) for p in suite.phrases)
    return rows


def rows_of_file(path: Path) -> list[AskedRow]:
    """Rows of a CSV or Parquet file with the column ``img_id``.

    The task comes from the columns: ``exp_ans`` or ``explanation`` alone means explanations, ``mask_id`` (or a file
    of phrases) grounding, anything else with a question or an answer means answers. Classes come from
    ``question_class`` or ``label``, or from a file name such as ``polyps_mask_phrases.csv``.

    Raises:
        DataError: missing, damaged, empty, without ``img_id``, or with an unsafe id.
    """
    from gi_bench.harness.suites.image_ids import check_image_id

    columns, table = _read_table(path)
    if "img_id" not in columns:
        raise DataError(
            "no column img_id",
            where=path,
            do=f"found the columns {', '.join(columns)[:200] or 'none'}; name one img_id",
        )
    if not table:
        raise DataError("no rows", where=path, do="check that the file is complete")
    tasks = _tasks_of(columns, path.stem)
    match = _PHRASE_FILE.fullmatch(path.stem)
    fallback = frozenset({match["label"]}) if match else frozenset()
    first = 2 if path.suffix.lower() == ".csv" else 0
    rows = []
    for number, row in enumerate(table, start=first):
        img_id = check_image_id(row["img_id"], f"{path.name} row {number}")
        value = row.get("question_class") or row.get("label")
        rows.append(AskedRow(img_id, tasks, _classes(value) or fallback))
    return rows


def _tasks_of(columns: Sequence[str], stem: str) -> frozenset[str]:
    if "exp_ans" in columns:
        return frozenset({"explain"})
    if "mask_id" in columns or stem == "phrases" or stem.endswith("_phrases"):
        return frozenset({"ground"})
    return frozenset({"answer"}) if {"question", "answer"} & set(columns) else frozenset()


def _classes(value: object) -> frozenset[str]:
    """Class names out of a list, or out of a text such as ``polyp_type; polyp_size`` or ``["polyp_type"]``."""
    if isinstance(value, str):
        value = re.split(r"[;,|\[\]]", value)
    if not isinstance(value, list):
        return frozenset()
    names = (str(name).strip().strip("'\"") for name in value)
    return frozenset(name for name in names if name)


def _read_table(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Names of all columns, and the rows with at least ``img_id`` and the columns that tell the class."""
    if path.suffix.lower() == ".parquet":
        do = "give a UTF-8 CSV or a whole Parquet file"
        content = content_of(path, do=do, error=DataError)
        table = table_in(content, path, do, DataError, ("img_id", "question_class", "label"))
        return column_names(content), table.to_pylist()
    found = read_csv(path)
    return list(found.columns), list(found.rows)


def file_source(path: Path) -> Source:
    """Name and SHA-256 of a file.

    Raises:
        DataError: the file cannot be read.
    """
    return Source(hashlib.sha256(content_of(path, error=DataError)).hexdigest(), path.name)


def read_sources(names: Sequence[str], load: Callable[[str], Suite]) -> tuple[list[AskedRow], list[Source]]:
    """The rows of suites, and of CSV or Parquet files, and what they came from.

    Args:
        names: a suite's name, or the path of a ``.csv`` or ``.parquet`` file.
        load: gives a suite by its name.

    Raises:
        GiBenchError: a suite is unknown, or files are missing or damaged.
    """
    rows: list[AskedRow] = []
    used: list[Source] = []
    for name in names:
        path = Path(name)
        if path.suffix.lower() in SUFFIXES:
            rows += rows_of_file(path)
            used.append(file_source(path))
        else:
            suite = load(name)
            rows += rows_of_suite(suite)
            used.append(Source(suite.fingerprint, suite.name))
    return rows, used


__all__ = [
    "SUFFIXES",
    "AskedRow",
    "ImageUse",
    "file_source",
    "gather",
    "group_of",
    "read_sources",
    "rows_of_file",
    "rows_of_suite",
]
