"""What a folder is: the subtasks whose files it holds, and the edition whose rows they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.suites.specs import Subtask
from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.check.folder import Folder
from gi_bench.submissions.check.official import fits
from gi_bench.submissions.check.scripts import LONG_LINE
from gi_bench.submissions.check.template import lines_changed
from gi_bench.submissions.editions import Edition, Rows, Task1, Task2, edition_named, editions
from gi_bench.submissions.folder import RECORD

Pairs = Sequence[tuple[str, str]]
_MOST_RECORD = 1 << 22
# Names that were met for the files that the client looks for, and their kin.
_ALIKE = {
    "script1": re.compile(r"submission[_-]?(?:sub)?(?:task)?[_-]?1(?:_\w+)?\.py"),
    "predictions": re.compile(
        r"predictions?[_-]?(?:sub)?(?:task)?[_-]?1\w*\.jsonl?|submission[_-]?(?:sub)?task[_-]?1\.jsonl?"
    ),
    "script2": re.compile(r"submission[_-]?(?:sub)?(?:task)?[_-]?2(?:_\w+)?\.py"),
    "lines": re.compile(
        r"predictions?[_-]?(?:sub)?(?:task)?[_-]?2\w*\.jsonl?|submission[_-]?(?:sub)?(?:task)?[_-]?2\w*\.jsonl?"
    ),
}


@dataclass(frozen=True)
class Names:
    """The names of a subtask's files, by what they are, and those that the client cannot do without."""

    names: Mapping[str, str]
    needed: tuple[str, ...]


def names_of(table: Task1 | Task2) -> Names:
    """The files of a subtask."""
    if isinstance(table, Task1):
        return Names({"script1": table.script, "predictions": table.predictions}, ("script1",))
    return Names({"script2": table.script, "lines": table.lines}, ("script2", "lines"))


def tables_of(edition: Edition) -> list[tuple[Subtask, Task1 | Task2]]:
    """The subtasks that an edition has."""
    found: list[tuple[Subtask, Task1 | Task2]] = []
    if edition.task1 is not None:
        found.append(("task1", edition.task1))
    if edition.task2 is not None:
        found.append(("task2", edition.task2))
    return found


def subtasks_of(folder: Folder, edition: Edition) -> list[Subtask]:
    """The subtasks of which the folder holds a file, rightly named or not."""
    return [task for task, table in tables_of(edition) if _holds(folder, table)]


def _holds(folder: Folder, table: Task1 | Task2) -> bool:
    return any(name in folder or _look_alikes(folder, kind, name) for kind, name in names_of(table).names.items())


def _look_alikes(folder: Folder, kind: str, name: str) -> list[str]:
    """Files that may be meant by a name: alike at the top, or of this name in a folder."""
    return [
        one for one in folder.files
        if one != name and (PurePosixPath(one).name == name
                            or ("/" not in one and _ALIKE[kind].fullmatch(one.lower()) is not None))
    ]  # fmt: skip


def check_names(folder: Folder, task: Subtask, table: Task1 | Task2, found: Findings) -> None:
    """Report files of a subtask that are missing, misnamed, or one folder down."""
    names = names_of(table)
    for kind, name in names.names.items():
        alike = [one for one in _look_alikes(folder, kind, name) if one not in names.names.values()]
        if name in folder:
            continue
        for one in alike:
            if "/" in one:
                found.add("file-nested", f"move it to the top: {name}", one)
            else:
                found.add("file-name", f"the client looks for {name}", one)
        if kind in names.needed and not alike:
            found.add("file-missing", f"{name} of {task}")
        elif kind == "predictions" and not alike:
            found.skip(f"{name}: not in the folder (the script writes it where it runs)")


@dataclass(frozen=True)
class Choice:
    """The edition that a folder is checked as, and why."""

    edition: Edition
    why: str = ""


def choose(folder: Folder, wanted: str | None, more: Path | None, rows: Mapping[Subtask, Pairs], script: str) -> Choice:
    """The edition of a folder.

    Args:
        folder: the submission.
        wanted: name given by the user; None for the newest that fits, among those of equal rank Medico's.
        more: the user's own table of editions.
        rows: (img_id, question) of each subtask that the folder holds.
        script: text of the script of subtask 1; empty if there is none.

    Raises:
        GiBenchError: no such edition.
    """
    if wanted is not None:
        return Choice(edition_named(wanted, more))
    known = editions(more)
    if not known:
        raise GiBenchError("there are no editions", where=more or "", do="give --editions FILE with one")
    # Lines that are far longer than any that the organisers replace would take long to search.
    short = "\n".join(line for line in script.split("\n") if len(line) <= LONG_LINE)

    recorded = _recorded(folder)

    def rank(edition: Edition) -> tuple[int, bool, int, bool, int]:
        missing = lines_changed(short, edition, edition.task1) if short and edition.task1 is not None else 0
        is_medico = "medico" in edition.competition.lower()
        return _fit(edition, rows, short, folder), edition.name == recorded, -missing, is_medico, _year(edition)

    best = max(known.values(), key=rank)
    why = "its rows or lines fit best" if rank(best)[0] else "no edition's rows fit, so the newest"
    return Choice(best, f"assumed: {why}; --edition NAME for another of {', '.join(known)}")


def _recorded(folder: Folder) -> str:
    """The edition that gi-bench wrote the folder for; empty where it did not. It only decides between equals."""
    try:
        content = json.loads(folder.read_text(RECORD, _MOST_RECORD, Findings()) or "")
        return str(content["edition"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _fit(edition: Edition, rows: Mapping[Subtask, Pairs], script: str, folder: Folder) -> int:
    """How much speaks for an edition: rows count most, then the organisers' lines, then the number of rows."""
    score = 0
    for task, table in tables_of(edition):
        given = rows.get(task)
        if given is not None:
            score += 8 * fits(table, given) + (table.rows == len(given))
        if isinstance(table, Task1) and script and table.patches:
            score += 4 * all(_is_in(one, script) for patch in table.patches for one, _ in patch.replacements)
        score += _holds_exactly(folder, table)
    return score


@lru_cache(maxsize=64)
def _is_in(pattern: str, script: str) -> bool:
    """Whether an expression is found; editions share theirs, and a long script takes a while."""
    return re.search(pattern, script) is not None


def _holds_exactly(folder: Folder, table: Rows) -> int:
    return int(table.script in folder)


def _year(edition: Edition) -> int:
    years = re.findall(r"20\d\d", f"{edition.name} {edition.competition} {edition.title}")
    return max((int(one) for one in years), default=0)


def other_subtasks(folder: Folder, edition: Edition, more: Path | None, found: Findings) -> None:
    """Report files of a subtask that the edition does not have, as another edition names them."""
    has = {task for task, _ in tables_of(edition)}
    for one in editions(more).values():
        for task, table in tables_of(one):
            if task in has:
                continue
            for name in names_of(table).names.values():
                if name in folder:
                    has.add(task)
                    text = f"{edition.title} has no {task}; --edition {shown(one.name)[1:-1]} has"
                    found.add("edition-subtask", text, name)


__all__ = ["Choice", "check_names", "choose", "names_of", "other_subtasks", "subtasks_of", "tables_of"]
