"""What a training says on its way, and what it is bound to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from gi_bench.baselines.training.mixture import Batch

Say = Callable[[str], None]


def step_reporter(say: Say, steps: int) -> Callable[[int, float, float], None]:
    """Say step, loss and seconds every 200 steps and at the last one."""

    def report(step: int, loss: float, seconds: float) -> None:
        if step % 200 == 0 or step == steps:
            say(f"step {step}/{steps}, loss {loss:.4f}, {seconds:.0f} s")

    return report


def row_reporter(say: Say, steps: int) -> Callable[[dict[str, Any], float], None]:
    """The same from a row of the history."""
    plain = step_reporter(say, steps)
    return lambda row, seconds: plain(row["step"], row["loss"], seconds)


def bound_digest(what: Mapping[str, Any], batches: Sequence[Batch]) -> str:
    """Digest of all that decides the weights: variant and settings, and every row in its order."""
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode("utf-8"))
    for batch in batches:
        digest.update(json.dumps([astuple(row) for row in batch]).encode("utf-8"))
    return digest.hexdigest()
