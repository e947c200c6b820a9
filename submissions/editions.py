"""Editions of the challenges, as data: rows, files, fields and the lines that the organisers replace.

They are tables of ``editions.toml``; a file of the same form adds to them or replaces one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gi_bench.harness.checking import read_checked
from gi_bench.harness.errors import GiBenchError, UnfitRunError
from gi_bench.harness.registry import unknown_name
from gi_bench.harness.suites.specs import Subtask

TABLE = Path(__file__).parent / "editions.toml"


@dataclass(frozen=True)
class Patch:
    """How the organisers change a script before they evaluate it: each expression has to be found, all are replaced.

    Attributes:
        name: of the evaluation that it is for.
        replacements: pairs of a regular expression and what it becomes.
    """

    name: str
    replacements: tuple[tuple[str, str], ...]

    def apply(self, text: str) -> tuple[str, list[str]]:
        """The script as the organisers would run it, and the expressions that were not found."""
        missing = []
        for pattern, becomes in self.replacements:
            text, count = re.subn(pattern, becomes, text)
            if not count:
                missing.append(pattern)
        return text, missing


@dataclass(frozen=True)
class Rows:
    """Which rows are asked.

    Attributes:
        suite: ours with these rows.
        dataset, split: on the Hub.
        seed: of ``datasets.shuffle``, whose first ``rows`` are asked; None for all in the split's order.
        complexity: only rows of this complexity are shuffled; None for all.
        rows: how many; None where it is not known.
        sha256: over the rows, see :func:`gi_bench.harness.suites.specs.rows_digest`; empty if it is not pinned.
        is_numbered: whether the digest is over the row numbers too.
        template: sample of the organisers' client that the script is made from; empty for one of ours.
        script: file that the organisers run or read.
    """

    suite: str
    dataset: str
    split: str
    script: str
    template: str = ""
    seed: int | None = None
    complexity: int | None = None
    rows: int | None = None
    sha256: str = ""
    is_numbered: bool = False


@dataclass(frozen=True)
class Task1(Rows):
    """Subtask 1.

    Attributes:
        predictions: file that the script writes.
        digits: decimals of the public scores.
        patches: what the organisers replace in the script.
    """

    predictions: str = "predictions_1.json"
    digits: int = 4
    patches: tuple[Patch, ...] = ()


@dataclass(frozen=True)
class Task2(Rows):
    """Subtask 2.

    Attributes:
        lines: file with a row a line.
        visuals: folder of the pictures.
        required, optional: keys of a row.
        shared: rows that subtask 1 asks too; None where nobody counted them.
    """

    lines: str = "submission_task2.jsonl"
    visuals: str = "visuals"
    required: tuple[str, ...] = ("val_id", "img_id", "question", "answer", "textual_explanation")
    optional: tuple[str, ...] = ("visual_explanation", "confidence_score")
    shared: int | None = None


@dataclass(frozen=True)
class Edition:
    """One challenge of one year.

    Attributes:
        name: what the user types; it stands in no file, the table's name does.
        title: for people.
        competition: its name at the organisers' client.
        page: address of its home.
        notes: what a participant has to know.
    """

    title: str
    competition: str
    page: str = ""
    notes: tuple[str, ...] = ()
    task1: Task1 | None = None
    task2: Task2 | None = None
    name: str = ""

    def rows_of(self, task: Subtask) -> Task1 | Task2:
        """The table of a subtask.

        Raises:
            GiBenchError: the edition has none.
        """
        found = self.task1 if task == "task1" else self.task2
        if found is None:
            raise GiBenchError(f"{self.title} has no {task} of answers and explanations", where=self.name,
                               do="choose another --edition")  # fmt: skip
        return found


@dataclass(frozen=True)
class _File:
    editions: Mapping[str, Edition] = field(default_factory=dict)


def editions(more: Path | None = None) -> dict[str, Edition]:
    """All editions by name; those of a user's file come on top.

    Raises:
        GiBenchError: the file is missing, not TOML, or a key is unknown, missing or of another kind.
    """
    found: dict[str, Edition] = {}
    for path in (TABLE, *([more] if more else [])):
        tables = read_checked(path, _File, do=f"a table has the keys of those in {TABLE.name}").editions
        found |= {name: replace(table, name=name) for name, table in tables.items()}
    return found


def edition_named(name: str, more: Path | None = None) -> Edition:
    """One edition.

    Raises:
        GiBenchError: there is none of this name.
    """
    found = editions(more)
    if name not in found:
        raise unknown_name(name, found, "edition")
    return found[name]


def edition_of(suite: str, task: Subtask, wanted: str | None = None, more: Path | None = None) -> Edition:
    """The edition that a run on a suite is for.

    Args:
        suite: of the run.
        task: subtask.
        wanted: name of the edition; None for the first whose suite it is.

    Raises:
        UnfitRunError: no edition asks the suite's rows.
        GiBenchError: the name is unknown.
    """
    if wanted is not None:
        return edition_named(wanted, more)
    known = editions(more)
    for one in known.values():
        table = one.task1 if task == "task1" else one.task2
        if table is not None and table.suite == suite:
            return one
    suites = list(dict.fromkeys(one.rows_of(task).suite for one in known.values() if getattr(one, task) is not None))
    raise UnfitRunError(
        f"no edition asks the rows of {suite} in {task}",
        where=suite,
        do=f"run the variant with -s {suites[0]} (editions: {', '.join(known)})",
    )


__all__ = ["TABLE", "Edition", "Patch", "Rows", "Task1", "Task2", "edition_named", "edition_of", "editions"]
