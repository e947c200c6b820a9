"""Progress with rate and time left: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

from gi_bench.harness.terminal import clean

# A log file does not want a line per part of a fast model.
_SECONDS_BETWEEN_LINES = 10.0


def duration(seconds: float) -> str:
    """Seconds as ``4 s``, ``3 min 20 s`` or ``2 h 05 min``.

    >>> [duration(seconds) for seconds in (0.4, 59.6, 200, 7500)]
    ['0 s', '1 min 00 s', '3 min 20 s', '2 h 05 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """Counts rows done; use as a context manager.

    Args:
        title: what runs.
        total: rows in all.
        done: rows that an earlier run left behind; they do not count for the rate.
    """

    def __init__(self, title: str, total: int, done: int = 0, stream: TextIO | None = None) -> None:
        self._title, self._total, self._done = clean(title), total, done
        self._stream = stream or sys.stderr
        self._start, self._first = time.perf_counter(), done
        self._last_line = 0.0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if self._stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(file=self._stream),
            )
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total, completed=self._done, rate="")
        else:
            resumed = f", {self._done} already done" if self._done else ""
            self._line(f"{self._title}: {self._total} rows{resumed}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, rows: int) -> None:
        """Count rows as done."""
        self._done += rows
        elapsed = time.perf_counter() - self._start
        rate = (self._done - self._first) / elapsed if elapsed > 0 else 0.0
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, rate=f"{rate:.1f} rows/s")
            return
        finished = self._done >= self._total
        if not finished and elapsed - self._last_line < _SECONDS_BETWEEN_LINES:
            return
        self._last_line = elapsed
        left = (self._total - self._done) / rate if rate > 0 else 0.0
        state = f"done in {duration(elapsed)}" if finished else f"{duration(left)} left"
        self._line(f"{self._title}: {self._done}/{self._total} rows, {rate:.1f} rows/s, {state}")

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
