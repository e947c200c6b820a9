"""What a check has found: errors and warnings with stable codes, and what could not be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from gi_bench.submissions.check.codes import ERRORS, WARNINGS

Level = Literal["error", "warning"]
# Examples of one code that are kept; all are counted. The page for people shows fewer.
KEPT = 20
SHOWN = 3
_LONGEST = 80


@dataclass(frozen=True)
class Example:
    """One place of a finding.

    Attributes:
        text: what is wrong there, in one line.
        file: path in the folder, ``/`` between its parts; empty where the folder as a whole is concerned.
        line: line of the file, from 1; 0 where there is none to tell.
    """

    text: str
    file: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """``file:line``, as far as known."""
        return f"{clean(self.file)}:{self.line}" if self.line else clean(self.file)


@dataclass
class Finding:
    """All that was found under one code.

    Attributes:
        code: stable name, a key of :data:`ERRORS` or :data:`WARNINGS`.
        count: how often.
        examples: the first of them.
    """

    code: str
    count: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def level(self) -> Level:
        """Whether the code is an error's."""
        return "error" if self.code in ERRORS else "warning"

    @property
    def title(self) -> str:
        """What the code stands for."""
        return ERRORS.get(self.code) or WARNINGS[self.code]


@dataclass
class Findings:
    """Collects what is found; keeps a bounded number of examples however hostile the folder is.

    Attributes:
        unchecked: what could not be looked at, and why, one line each.
    """

    unchecked: list[str] = field(default_factory=list)
    _found: dict[str, Finding] = field(default_factory=dict)

    def add(self, code: str, text: str, file: str = "", line: int = 0) -> None:
        """Note one place where something is wrong.

        Raises:
            KeyError: the code is not in the table.
        """
        if code not in ERRORS and code not in WARNINGS:
            raise KeyError(code)
        found = self._found.setdefault(code, Finding(code))
        found.count += 1
        if len(found.examples) < KEPT:
            found.examples.append(Example(clean(text), file, line))

    def skip(self, text: str) -> None:
        """Note something that could not be looked at."""
        if text not in self.unchecked:
            self.unchecked.append(clean(text))

    def of(self, level: Level) -> list[Finding]:
        """Findings of a level, in the order of the table."""
        return [self._found[code] for code in (ERRORS if level == "error" else WARNINGS) if code in self._found]

    def __contains__(self, code: str) -> bool:
        return code in self._found

    def count(self, level: Level) -> int:
        """How many places have a finding of a level."""
        return sum(found.count for found in self.of(level))


def clean(text: str) -> str:
    """A text of foreign origin on one line, control characters made visible.

    >>> clean("a\\x1b[31m\\nb")
    'a\\\\x1b[31m\\\\nb'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shown(value: Any) -> str:
    """A foreign value for a message: its start, quoted if it is a text.

    >>> shown("x" * 200) == repr("x" * 77 + "...")
    True
    """
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST else value[: _LONGEST - 3] + "...")
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a very large number"
    if isinstance(value, (int, float)):
        return str(value)
    return {"list": "a list", "dict": "an object"}.get(type(value).__name__, type(value).__name__)


def page(found: Findings) -> Iterator[str]:
    """Lines for people: errors, warnings, what was not checked, and the sum."""
    for level in ("error", "warning"):
        groups = found.of(level)
        if groups:
            yield f"{level}s:"
        for group in groups:
            yield f"  {group.code}: {group.title}" + (f" ({group.count} times)" if group.count > 1 else "")
            for one in group.examples[:SHOWN]:
                yield f"    {one.place}: {one.text}" if one.place else f"    {one.text}"
            if group.count > SHOWN:
                yield f"    and {group.count - min(SHOWN, len(group.examples))} more"
    if found.unchecked:
        yield "not checked:"
        yield from (f"  {one}" for one in found.unchecked)
    errors, warnings = found.count("error"), found.count("warning")
    yield f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"


def plain(found: Findings) -> dict[str, Any]:
    """The same for machines."""
    return {
        f"{level}s": [
            {
                "code": group.code,
                "title": group.title,
                "count": group.count,
                "examples": [
                    {"text": one.text, "file": clean(one.file), "line": one.line or None} for one in group.examples
                ],
            }
            for group in found.of(level)
        ]
        for level in ("error", "warning")
    } | {"not_checked": found.unchecked}
