"""Errors that a user can act on: what is wrong, where, and what to do.

The command line prints such an error as one line and leaves with exit code 2. Anything else that
escapes is a defect of ours: one line too, exit code 70, and a traceback with ``--debug``.
"""

from __future__ import annotations

from gi_bench.harness.terminal import clean


class GiBenchError(Exception):
    """A problem with the user's input, data or machine, told in one line.

    Args:
        what: what is wrong, as a sentence without a full stop.
        where: the file, row, option or name concerned.
        do: what the user can do about it.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: object = "", do: str = "") -> None:
        self.what, self.where, self.do = what, str(where), do
        super().__init__(self.line())

    def line(self) -> str:
        """The whole message on one line; control characters of foreign data are made visible."""
        parts = self.what
        if self.where:
            parts += f" ({self.where})"
        if self.do:
            parts += f"; {self.do}"
        return clean(parts, keep="")


class UnknownNameError(GiBenchError):
    """A model, suite, metric or command that nobody registered."""


class DataError(GiBenchError):
    """A suite's file is missing, damaged or of another shape than documented."""


class CheckpointError(GiBenchError):
    """Weights are missing, damaged or made for another backbone."""


class RunError(GiBenchError):
    """A run folder cannot be read, resumed or written."""


class UnfitRunError(RunError):
    """A run is whole, and not of the kind that is asked for: a submission of a run without answers."""


class BusyError(RunError):
    """Another process is writing the folder."""


class ChangedError(RunError):
    """A file of a run is missing, or is not the one that was written: its digest differs."""
