"""The rooms are symbolic links in a checkout; what is said where a clone was made without them.

Git writes a link as a small text file where ``core.symlinks`` is off, as it is by default on Windows. Wheels and source
distributions hold folders. Used by the build too, so nothing of gi-bench is imported here.
"""

from __future__ import annotations

import os
import sys

ROOMS = ("harness", "baselines", "submissions", "reports")


def problem(package: str = os.path.dirname(__file__)) -> str | None:
    """What is wrong with the rooms of a package folder and what to do, in one line; None if nothing is."""
    for room in ROOMS:
        # os.path: pathlib would double the cost of importing gi_bench.
        if not os.path.isdir(os.path.join(package, room)):
            return (
                f"gi_bench/{room} is no folder: this checkout has no symbolic links; in it, run: "
                "git config core.symlinks true && git checkout -- gi_bench (on Windows first turn on developer mode), "
                "or install a wheel, which needs no links"
            )
    return None


class Refusal:
    """A finder of modules that finds nothing, and says why no room can be imported."""

    def __init__(self, line: str) -> None:
        self.line = line

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Called by the import system for every module that is not loaded yet.

        Raises:
            ImportError: the module lies in a room.
        """
        if name.startswith("gi_bench.") and name.split(".")[1] in ROOMS:
            raise ImportError(self.line, name=name)


def refuse() -> None:
    """Let every import of a room fail with the line of :func:`problem` if there is one."""
    line = problem()
    if line is not None:
        sys.meta_path.insert(0, Refusal(line))
