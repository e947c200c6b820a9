"""The organisers' templates, read from their installed client (``medvqa``, MIT), and what is filled into them.

The client is never imported: its templates are files beside its modules. Everything outside the two sections that
participants edit stays byte for byte, since the organisers replace lines of it before they evaluate.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.submissions.editions import Edition

CLIENT = "medvqa"
# Marks the places of a script that wait for a model.
BRING = "BRING YOUR MODEL"
NOTICE = (
    "# Made by gi-bench from the organisers' template ({competition}, {file}) of medvqa {version},\n"
    "# https://github.com/SushantGautam/MedVQA, MIT licence, by Sushant Gautam and the organisers at SimulaMet.\n"
    "# What stands outside the two edit sections is theirs and was not changed.\n"
)
_STARTS = re.compile(r"EDIT SECTION (\d)")
_ENDS = re.compile(r"(?<![A-Za-z])END(?:\s+SUBMIS| ANSWER GENERATION| SECTION \d)")


@dataclass(frozen=True)
class Sections:
    """A template in five pieces.

    Attributes:
        before, between, after: the organisers' own lines.
        first, second: what participants edit, without the lines that mark it.
        takes_batches: whether the second section answers several rows at once.
    """

    before: str
    first: str
    between: str
    second: str
    after: str

    @property
    def takes_batches(self) -> bool:
        """Whether the loop hands over several rows (``exs``) and wants ``answers``, or one and wants ``answer``."""
        return bool(re.search(r"\bexs\b", self.second))

    @property
    def indent(self) -> str:
        """White space before the statements of the second section, which stands in a loop."""
        for line in self.second.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                return line[: len(line) - len(line.lstrip())]
        return "    "


def template_path(edition: Edition, name: str) -> Path:
    """A template of the installed client.

    Raises:
        GiBenchError: the client is not installed, or does not know the competition.
    """
    found = importlib.util.find_spec(CLIENT)
    places = list(found.submodule_search_locations or ()) if found is not None else []
    if not places:
        raise GiBenchError(
            f"the organisers' client {CLIENT} is not installed, which has the templates",
            do="pip install 'gi-bench[submit]'",
        )
    path = Path(places[0]) / "submission_samples" / edition.competition / name
    if not path.is_file():
        raise GiBenchError(
            f"the installed {CLIENT} {client_version()} has no template {name} of {edition.competition}",
            where=path.parent,
            do=f"pip install -U {CLIENT}",
        )
    return path


def client_version() -> str:
    """Version of the installed client; ``unknown`` where its metadata are missing."""
    try:
        return version(CLIENT)
    except PackageNotFoundError:
        return "unknown"


def read_template(edition: Edition, name: str) -> str:
    """Text of a template; see :func:`template_path`."""
    return template_path(edition, name).read_text(encoding="utf-8")


def notice(edition: Edition, name: str) -> str:
    """Comment lines that say what a script was made from."""
    return NOTICE.format(competition=edition.competition, file=name, version=client_version())


def sections(text: str, where: object) -> Sections:
    """Cut a template of subtask 1 at the marks of its edit sections.

    Raises:
        GiBenchError: the marks are not there as they were in the client that this was written for.
    """
    lines = text.splitlines(keepends=True)
    marks: list[int] = []
    for wanted in ("1", "2"):
        start = next((i for i, line in enumerate(lines) if (m := _STARTS.search(line)) and m.group(1) == wanted), None)
        end = None
        if start is not None:
            end = next((i for i in range(start + 1, len(lines)) if _ENDS.search(lines[i])), None)
        if start is None or end is None:
            raise GiBenchError(
                f"the template has no edit section {wanted}", where=where, do=f"use {CLIENT} 0.15.7, or update gi-bench"
            )
        marks += [start, end]
    first, first_end, second, second_end = marks
    return Sections(
        "".join(lines[: first + 1]),
        "".join(lines[first + 1 : first_end]),
        "".join(lines[first_end : second + 1]),
        "".join(lines[second + 1 : second_end]),
        "".join(lines[second_end:]),
    )


def info_block(info: dict[str, Any]) -> str:
    """``SUBMISSION_INFO`` as Python source; whatever the values hold, they stay texts."""
    lines = [f"    {key!a}: {_literal(value)},\n" for key, value in info.items()]
    return "SUBMISSION_INFO = {\n" + "".join(lines) + "}\n"


def _literal(value: Any) -> str:
    # repr of a text is a literal of that text; ascii would hide names behind escapes.
    return repr([str(one) for one in value]) if isinstance(value, (list, tuple)) else repr(str(value))


__all__ = [
    "CLIENT",
    "Sections",
    "client_version",
    "info_block",
    "notice",
    "read_template",
    "sections",
    "template_path",
]
