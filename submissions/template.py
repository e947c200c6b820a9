"""The organisers' templates, read from their installed client (``medvqa``, MIT), and what is filled into them.

Everything outside the two sections that participants edit stays byte for byte, since the organisers replace lines of it
before they evaluate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.submissions.client import CLIENT, client_version, edit_sections, samples
from gi_bench.submissions.editions import Edition

# Marks the places of a script that wait for a model.
BRING = "BRING YOUR MODEL"
_NOTICE = (
    "# Made by gi-bench from the organisers' template ({competition}, {file}) of {client} {version}, MIT licence,\n"
    "# https://github.com/SushantGautam/MedVQA, by Sushant Gautam and the organisers at SimulaMet.\n"
    "# {kept}\n"
)


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
    folder = samples(edition)
    if folder is None:
        raise GiBenchError(
            f"the organisers' client {CLIENT} is not installed, which has the templates",
            do="pip install 'gi-bench[submit]'",
        )
    path = folder / name
    if not path.is_file():
        raise GiBenchError(
            f"the installed {CLIENT} {client_version()} has no template {name} of {edition.competition}",
            where=folder,
            do=f"pip install -U {CLIENT}",
        )
    return path


def read_template(edition: Edition, name: str) -> str:
    """Text of a template; see :func:`template_path`."""
    return template_path(edition, name).read_text(encoding="utf-8")


def notice(edition: Edition, name: str, kept: str) -> str:
    """Comment lines that say what a script was made from.

    Args:
        edition: the challenge.
        name: of the template.
        kept: one line on what of the template was not changed.
    """
    return _NOTICE.format(
        competition=edition.competition, file=name, client=CLIENT, version=client_version(), kept=kept
    )


def sections(text: str, where: object) -> Sections:
    """Cut a template of subtask 1 at the marks of its edit sections.

    Raises:
        GiBenchError: the marks are not there as they were in the client that this was written for.
    """
    lines = text.splitlines(keepends=True)
    marks = edit_sections(lines)
    if len(marks) != 2 or marks[1][1] == len(lines):
        raise GiBenchError(
            f"the template has {len(marks)} edit sections, or does not close them; it has to have 2",
            where=where,
            do=f"use {CLIENT} 0.15.7, or update gi-bench",
        )
    (first, first_end), (second, second_end) = marks
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


__all__ = ["BRING", "Sections", "info_block", "notice", "read_template", "sections", "template_path"]
