"""A script of subtask 1 against the template of the installed client: what stands outside its two edit sections."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.check.scripts import Script
from gi_bench.submissions.client import CLIENT, edit_sections, samples
from gi_bench.submissions.editions import Edition, Task1


@dataclass(frozen=True)
class _Line:
    text: str
    must_stay: bool  # below the last edit section


def check_template(script: Script, edition: Edition, table: Task1, found: Findings) -> None:
    """Report lines of the template that are missing or changed. White space, quotes and comments do not count."""
    if not table.template:
        return
    folder = samples(edition)
    if folder is None:
        found.skip(f"the lines outside the edit sections: needs the organisers' client (pip install {CLIENT})")
        return
    best = _fewest(script.text, folder, table)
    if best is None:
        found.skip(
            f"the lines outside the edit sections: the installed client has no template for {edition.competition}"
        )
        return
    for one in best:
        found.add(one.code, one.text, script.name, one.line)


def lines_changed(script: str, edition: Edition, table: Task1) -> int:
    """How many lines differ from the edition's template; 0 where that cannot be told."""
    folder = samples(edition) if table.template else None
    return len(_fewest(script, folder, table) or []) if folder is not None else 0


def _fewest(script: str, folder: Path, table: Task1) -> list[_Change] | None:
    """What differs from the template that fits best: the client has variants for other libraries. None without one."""
    found = [
        _changes(_fixed_lines(path.read_text(encoding="utf-8")), script)
        for path in sorted(folder.glob(f"{Path(table.template).stem}*.py"))
    ]
    return min(found, key=len, default=None)


def _fixed_lines(template: str) -> list[_Line]:
    """The template's lines outside its edit sections, without comments and blank lines."""
    lines = template.splitlines()
    sections = edit_sections(lines)
    edited = {number for start, end in sections for number in range(start, end + 1)}
    # Where a template has no two sections, it has no line below the last one.
    below = sections[1][1] if len(sections) > 1 else len(lines)
    return [
        _Line(text.strip(), number > below)
        for number, text in enumerate(lines)
        if number not in edited and _folded(text)
    ]


@dataclass(frozen=True)
class _Change:
    """A difference from the template: the script's line before it, or with it, and what it is."""

    code: str
    text: str
    line: int


def _changes(wanted: list[_Line], text: str) -> list[_Change]:
    """Lines that do not follow each other in a script as wanted; below the last edit section also lines between them.

    The script is searched as one text, so that a line that was broken up is not missing.
    """
    starts, numbers, whole = [], [], ""
    for number, line in enumerate(text.split("\n"), start=1):
        if folded := _folded(line):
            starts.append(len(whole))
            numbers.append(number)
            whole += folded

    def number_at(place: int) -> int:
        return numbers[max(bisect_right(starts, place) - 1, 0)] if numbers else 1

    changes, position, is_below = [], 0, False
    for one in wanted:
        folded = _folded(one.text)
        at = whole.find(folded, position)
        if at < 0:
            code = "template-changed" if one.must_stay else "template-other"
            told = f"missing after this line, or changed: {shown(one.text)}"
            changes.append(_Change(code, told, number_at(max(position - 1, 0))))
            continue
        if is_below and whole[position:at].strip(","):
            changes.append(_added(whole[position:at], number_at(position)))
        position, is_below = at + len(folded), one.must_stay
    if is_below and whole[position:].strip(","):
        changes.append(_added(whole[position:], number_at(position)))
    return changes


def _added(text: str, line: int) -> _Change:
    return _Change("template-changed", f"not in the template: {shown(text)}", line)


def _folded(line: str) -> str:
    """A line without white space and its comment, with one kind of quotes."""
    code = line if re.search(r"[\"'][^\"']*#", line) else line.partition("#")[0]
    return re.sub(r"\s+|\\$", "", code).replace("'", '"')


__all__ = ["check_template", "lines_changed"]
