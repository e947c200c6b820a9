"""How each run was made, and the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gi_bench.harness.schema import TASKS
from gi_bench.harness.store import Run
from gi_bench.reports.comparison.runs import Entry


@dataclass(frozen=True)
class Made:
    """How one run was made.

    Attributes:
        number, name: of the run.
        command: what repeats it.
        source: where the command comes from.
        rows: recipe, measurements, machine and packages, as names and values.
        counts: rows counted when it was scored.
    """

    number: int
    name: str
    command: str
    source: str
    rows: tuple[tuple[str, str], ...]
    counts: tuple[tuple[str, int], ...]


def made(entries: Sequence[Entry]) -> list[Made]:
    """How all runs of a page were made."""
    return [
        Made(
            entry.number,
            entry.name,
            *_command(entry.run),
            tuple(_recipe(entry.run)),
            tuple(sorted(entry.run.scores.counts.items())),
        )
        for entry in entries
    ]


def _command(run: Run) -> tuple[str, str]:
    recorded = run.manifest.code.command
    if recorded:
        return recorded, "as it was typed; it may have made other runs too"
    return _rebuilt(run), "put together from the recipe; folders of data and checkpoints are not part of it"


def _rebuilt(run: Run) -> str:
    recipe = run.recipe
    words = ["gi-bench", "run", "--model", recipe.variant, "--suite", recipe.suite]
    if set(recipe.tasks) != set(TASKS):
        words += ["--tasks", ",".join(recipe.tasks)]
    if recipe.limit is not None:
        words += ["--limit", str(recipe.limit)]
    words += ["--seed", str(recipe.seed)]
    if recipe.dtype in ("float32", "float16", "bfloat16"):
        words += ["--dtype", recipe.dtype]
    return shlex.join(words)


def _recipe(run: Run) -> list[tuple[str, str]]:
    manifest = run.manifest
    rows = [("folder", run.path.name), ("recipe digest", manifest.recipe_digest)]
    recipe = {key: value for key, value in asdict(run.recipe).items() if key not in {"fingerprint", "suite"}}
    rows += _flat("", dict(sorted(recipe.items())))
    measured = {
        "created": manifest.created,
        "device": manifest.device,
        "batch_size": manifest.batch_size,
        "seconds": manifest.seconds,
        "peak_memory_mb": manifest.peak_memory_mb,
        "commit": manifest.code.commit or None,
    }
    rows += _flat("", {key: value for key, value in measured.items() if value is not None})
    rows += _flat("hardware", {key: value for key, value in asdict(manifest.hardware).items() if value is not None})
    rows += _flat("system", manifest.system)
    return rows + _flat("packages", manifest.packages)


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [row for key in value for row in _flat(f"{prefix}.{key}" if prefix else str(key), value[key])]
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    return [(prefix.replace("_", " "), "none" if value is None else str(value))]


__all__ = ["Made", "made"]
