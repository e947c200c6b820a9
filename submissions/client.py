"""The organisers' installed client (``medvqa``, MIT): its version, its samples, and where participants edit them.

The client is never imported: its samples are files beside its modules.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gi_bench.submissions.editions import Edition

CLIENT = "medvqa"
_STARTS = re.compile(r"EDIT SECTION [12]")
_ENDS = re.compile(r"(?<![A-Za-z])END(?:\s+SUBMIS| ANSWER GENERATION| SECTION \d)")


def client_folder() -> Path | None:
    """Where the client is installed; None without it."""
    try:
        found = importlib.util.find_spec(CLIENT)
    except (ImportError, ValueError):
        return None
    places = list(found.submodule_search_locations or ()) if found is not None else []
    return Path(places[0]) if places else None


def client_version() -> str:
    """Version of the installed client; ``unknown`` where its metadata are missing."""
    try:
        return version(CLIENT)
    except PackageNotFoundError:
        return "unknown"


def samples(edition: Edition) -> Path | None:
    """The client's folder of samples for a competition, which may not exist; None without the client."""
    client = client_folder()
    return None if client is None else client / "submission_samples" / edition.competition


def edit_sections(lines: Sequence[str]) -> list[tuple[int, int]]:
    """The sections of a template that participants edit, as the numbers of the lines that open and close them.

    Args:
        lines: of the template; a section that nothing closes ends with them.

    >>> edit_sections(["import x", "# EDIT SECTION 1", "INFO = {}", "# END SECTION 1", "print(INFO)"])
    [(1, 3)]
    """
    found: list[tuple[int, int]] = []
    start: int | None = None
    for number, line in enumerate(lines):
        if start is None and _STARTS.search(line):
            start = number
        elif start is not None and _ENDS.search(line):
            found.append((start, number))
            start = None
    return found if start is None else [*found, (start, len(lines))]


__all__ = ["CLIENT", "client_folder", "client_version", "edit_sections", "samples"]
