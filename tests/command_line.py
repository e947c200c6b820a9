"""The command line in the process of the test: what ``gi-bench`` prints and returns, without a new interpreter."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from gi_bench.harness.cli import _main


@dataclass(frozen=True)
class Done:
    """What a process would have left: exit code and texts; warnings are in ``stderr``, where Python writes them."""

    returncode: int
    stdout: str
    stderr: str


class CommandLine:
    """Calls ``gi-bench`` with arguments; a traceback that a user would see is raised."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def __call__(self, *arguments: object, columns: int = 80) -> Done:
        self._patch.setenv("COLUMNS", str(columns))
        out, err = io.StringIO(), io.StringIO()
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            # What Python shows by default.
            warnings.resetwarnings()
            for hidden in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", hidden)
            code = _main([str(argument) for argument in arguments])
        shown = [warnings.formatwarning(one.message, one.category, one.filename, one.lineno) for one in caught]
        return Done(code, out.getvalue(), "".join([*shown, err.getvalue()]))

    def offline(self, hub: Path) -> None:
        """As with ``HF_HUB_OFFLINE=1`` and ``HF_HUB_CACHE=hub`` in the environment of a new process."""
        from huggingface_hub import constants

        self._patch.setenv("HF_HUB_OFFLINE", "1")
        self._patch.setenv("HF_HUB_CACHE", str(hub))
        # The library reads both once, when it is imported.
        self._patch.setattr(constants, "HF_HUB_OFFLINE", True)
        self._patch.setattr(constants, "HF_HUB_CACHE", str(hub))
