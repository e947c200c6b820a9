"""A folder that somebody else holds, for tests of what refuses then."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from gi_bench.harness.locks import LOCK, holding


@contextlib.contextmanager
def held_elsewhere(folder: Path, name: str = LOCK) -> Iterator[None]:
    """Hold a lock in another thread, which counts as another process."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with holding(folder, name=name):
            taken.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join()
