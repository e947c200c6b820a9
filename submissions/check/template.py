"""A script of subtask 1 against the template of the installed client: what stands outside its two edit sections."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.check.scripts import Script
from gi_bench.submissions.editions import Edition, Task1

_STARTS = re.compile(r"EDIT SECTION [12]")
_ENDS = re.compile(r"(?<![A-Za-z])END(?:\s+SUBMIS| ANSWER GENERATION| SECTION \d)")


@dataclass(frozen=True)
class _Line:
    text: str
    must_stay: bool  # below the last edit section


def check_template(script: Script, edition: Edition, table: Task1, found: Findings) -> None:
    """Report lines of the template that are missing or changed. White space, quotes and comments do not count."""
    if not table.template:
        return
    folder = _samples(edition)
    if folder is None:
        found.skip("the lines outside the edit sections: needs the organisers' client (pip install medvqa)")
        return
    best = _fewest(script.text, folder, table)
    if best is None:
        found.skip(
            f"the lines outside the edit sections: the installed client has no template for {edition.competition}"
        )
        return
    for after, line in best:
        code = "template-changed" if line.must_stay else "template-other"
        found.add(code, f"missing after this line, or changed: {shown(line.text)}", script.name, after)


def lines_missing(script: str, edition: Edition, table: Task1) -> int:
    """How many lines of the edition's template a script lacks; 0 where that cannot be told."""
    folder = _samples(edition) if table.template else None
    return len(_fewest(script, folder, table) or []) if folder is not None else 0


def _fewest(script: str, folder: Path, table: Task1) -> list[tuple[int, _Line]] | None:
    """Missing lines of the template that fits best: the client has variants for other libraries. None without one."""
    found = [
        _missing(_fixed_lines(path.read_text(encoding="utf-8")), script)
        for path in sorted(folder.glob(f"{Path(table.template).stem}*.py"))
    ]
    return min(found, key=len, default=None)


def _samples(edition: Edition) -> Path | None:
    try:
        spec = importlib.util.find_spec("medvqa")
    except (ImportError, ValueError):
        return None
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(place) / "submission_samples" / edition.competition
        if folder.is_dir():
            return folder
    return None


def _fixed_lines(template: str) -> list[_Line]:
    """The template's lines outside its edit sections, without comments and blank lines."""
    lines: list[_Line] = []
    is_edited, sections = False, 0
    for text in template.splitlines():
        if not is_edited and _STARTS.search(text):
            is_edited, sections = True, sections + 1
        elif is_edited and _ENDS.search(text):
            is_edited = False
        elif not is_edited and _folded(text):
            lines.append(_Line(text.strip(), sections == 2))
    return lines


def _missing(wanted: list[_Line], text: str) -> list[tuple[int, _Line]]:
    """Lines that do not follow each other in a script as wanted, with the number of the line before each.

    Runs of several lines are looked for as one text each, so that a line that was broken up is not missing.
    """
    spans, position = [], 0
    whole = ""
    for number, line in enumerate(text.split("\n"), start=1):
        folded = _folded(line)
        spans.append((len(whole), number))
        whole += folded
    missing = []
    for one in wanted:
        at = whole.find(_folded(one.text), position)
        if at < 0:
            number = max((number for start, number in spans if start <= max(position - 1, 0)), default=1)
            missing.append((number, one))
        else:
            position = at + len(_folded(one.text))
    return missing


def _folded(line: str) -> str:
    """A line without white space and its comment, with one kind of quotes."""
    code = line if re.search(r"[\"'][^\"']*#", line) else line.partition("#")[0]
    return re.sub(r"\s+|\\$", "", code).replace("'", '"')


__all__ = ["check_template", "lines_missing"]
