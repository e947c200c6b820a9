"""The strict check of a submission's folder, ours or anybody's.

Everything is read as data: no file of the folder is imported, run or unpickled, no link is followed out of it, and what
is read at once is bounded. What the official rows are, which files and keys belong to them and which lines the
organisers replace comes from the table of editions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gi_bench.harness.suites.specs import Subtask
from gi_bench.submissions.check import lines, predictions
from gi_bench.submissions.check.contents import check_contents
from gi_bench.submissions.check.findings import Findings
from gi_bench.submissions.check.folder import Folder
from gi_bench.submissions.check.identify import (
    Choice,
    check_names,
    choose,
    names_of,
    other_subtasks,
    subtasks_of,
    tables_of,
)
from gi_bench.submissions.check.leaks import check_leaks
from gi_bench.submissions.check.official import Official, load
from gi_bench.submissions.check.records import Record
from gi_bench.submissions.check.scripts import (
    Script,
    check_remote_code,
    check_task1,
    check_task2,
    info_lines,
    parse_python,
    read_script,
)
from gi_bench.submissions.check.template import check_template
from gi_bench.submissions.check.visuals import check_visuals
from gi_bench.submissions.editions import Edition, Task1, Task2, editions

_MOST_PYTHON = 4_000_000


@dataclass(frozen=True)
class Wanted:
    """What the user says of a folder.

    Attributes:
        edition: its name; None to find out.
        editions: a table of further editions.
        data: folder with the challenge's data; None looks into the Hub's cache.
    """

    edition: str | None = None
    editions: Path | None = None
    data: Path | None = None


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        folder: its files.
        edition: that it was checked as.
        why: why this edition; empty where the user named it.
        subtasks: those that it holds.
        found: errors and warnings.
    """

    folder: Folder
    edition: Edition
    why: str
    subtasks: tuple[Subtask, ...]
    found: Findings


@dataclass
class _Content:
    """The folder's files as they were read, each once."""

    found: Findings = field(default_factory=Findings)
    predictions: dict[str, Any] | None = None
    rows2: list[Record] | None = None
    scripts: dict[str, Script] = field(default_factory=dict)


def check_folder(path: Path, wanted: Wanted | None = None) -> Report:
    """Check a submission's folder.

    Args:
        path: the folder.
        wanted: what is known of it.

    Returns:
        All that is wrong with it; a folder with errors is a result like any other.

    Raises:
        GiBenchError: it is no folder, there is no such edition, or the data given are not the edition's.
    """
    wanted = wanted or Wanted()
    scanned = Findings()
    folder = Folder.scan(path, scanned)
    choice = _choose(folder, wanted)
    edition = choice.edition
    content = _Content(scanned)
    found = content.found
    subtasks = subtasks_of(folder, edition)
    other_subtasks(folder, edition, wanted.editions, found)
    if not subtasks and "edition-subtask" not in found:
        names = [name for _, table in tables_of(edition) for name in names_of(table).names.values()]
        found.add("nothing-found", f"none of {', '.join(names)}")
    for task, table in tables_of(edition):
        if task not in subtasks:
            continue
        check_names(folder, task, table, found)
        if isinstance(table, Task1):
            _check_task1(folder, edition, table, wanted.data, content)
        else:
            _check_task2(folder, edition, table, wanted.data, content)
    _check_together(edition, content)
    if subtasks:
        check_contents(folder, found)
    check_leaks(folder, _all_python(folder, content), _blocks(edition, content), found)
    return Report(folder, edition, choice.why, tuple(subtasks), found)


def _choose(folder: Folder, wanted: Wanted) -> Choice:
    """The edition; what is read for it is read again by the check, which reports."""
    quiet = Findings()
    rows: dict[Subtask, list[tuple[str, str]]] = {}
    script = ""
    if wanted.edition is None:
        for edition in editions(wanted.editions).values():
            one, two = edition.task1, edition.task2
            if one is not None and "task1" not in rows and one.predictions in folder:
                content = predictions.read(folder, one.predictions, quiet)
                rows["task1"] = predictions.pairs_of(predictions.rows_of(content or {}))
            if two is not None and "task2" not in rows and two.lines in folder:
                rows["task2"] = lines.pairs_of(lines.read_rows(folder, two.lines, quiet) or [])
            if one is not None and not script and one.script in folder:
                script = folder.read_text(one.script, _MOST_PYTHON, quiet) or ""
    return choose(folder, wanted.edition, wanted.editions, rows, script)


def _check_task1(folder: Folder, edition: Edition, table: Task1, data: Path | None, content: _Content) -> None:
    found = content.found
    if table.script in folder:
        script = read_script(folder, table.script, found)
        if script is not None:
            content.scripts[table.script] = script
            check_task1(script, table, found)
            check_template(script, edition, table, found)
    if table.predictions in folder:
        content.predictions = predictions.read(folder, table.predictions, found)
        if content.predictions is not None:
            predictions.check(content.predictions, edition, table, load(table, data, found), found)


def _check_task2(folder: Folder, edition: Edition, table: Task2, data: Path | None, content: _Content) -> None:
    found = content.found
    if table.script in folder:
        script = read_script(folder, table.script, found)
        if script is not None:
            content.scripts[table.script] = script
            check_task2(script, found)
    if table.lines in folder:
        content.rows2 = lines.read_rows(folder, table.lines, found)
        if content.rows2 is not None:
            official: Official | None = load(table, data, found)
            lines.check_rows(content.rows2, edition, table, official, found)
            suite = official.suite if official is not None else None
            check_visuals(folder, content.rows2, table, suite, found)


def _check_together(edition: Edition, content: _Content) -> None:
    """What the two subtasks, and the files of one, have to agree in."""
    if content.predictions is not None and content.rows2 is not None and edition.task2 is not None:
        answers = predictions.answers_of(predictions.rows_of(content.predictions))
        lines.check_agreement(content.rows2, answers, edition.task2.lines, content.found)
    infos = {name: script.info for name, script in content.scripts.items() if isinstance(script.info, dict)}
    if content.predictions is not None and edition.task1 is not None:
        info = content.predictions.get("submission_info")
        if isinstance(info, dict):
            infos[edition.task1.predictions] = info
    teams = [(name, info.get("Team_Name"), info.get("Contact_emails")) for name, info in infos.items()]
    for name, team, emails in teams[1:]:
        if (team, emails) != teams[0][1:]:
            content.found.add("info-differs", f"Team_Name or Contact_emails is not that of {teams[0][0]}", name)


def _all_python(folder: Folder, content: _Content) -> dict[str, Script]:
    """Every Python file that can be parsed; the others are searched as plain text."""
    scripts = dict(content.scripts)
    quiet = Findings()
    for name in folder.files:
        if name.endswith(".py") and name not in scripts:
            text = folder.read_text(name, _MOST_PYTHON, quiet)
            tree = None if text is None else parse_python(text, name, quiet)
            if text is not None and tree is not None:
                scripts[name] = Script(name, text, tree, None, info_lines(tree))
    for script in scripts.values():
        check_remote_code(script, content.found)
    return scripts


def _blocks(edition: Edition, content: _Content) -> dict[str, str]:
    """Text of the predictions without the block that may hold addresses."""
    if edition.task1 is None:
        return {}
    if content.predictions is None:  # damaged, if it is there at all: where its block ends cannot be told
        return {edition.task1.predictions: ""}
    rest = {key: value for key, value in content.predictions.items() if key != "submission_info"}
    return {edition.task1.predictions: json.dumps(rest)}


__all__ = ["Report", "Wanted", "check_folder"]
