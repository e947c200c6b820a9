"""Numbers of a study as its page shows them, alone and in tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gi_bench.harness.analysis.study import Cell
from gi_bench.harness.statistics import SeedEffect
from gi_bench.reports.pages import SMALL_N


@dataclass(frozen=True)
class Entry:
    """One number of a table, ready to show."""

    value: str
    interval: str = ""
    by_seed: str = ""
    n: int = 0
    small: bool = False
    sort: str = ""
    note: str = ""


@dataclass(frozen=True)
class Grid:
    """A table: a name and entries a row, a head and a note a column.

    Attributes:
        title, corner: of the table and of its first column.
        heads: (name, note) a column.
        rows: (name, entries).
        arms_are: ``rows`` or ``columns``; they go with the switch of their arm.
        counted: what the n of its entries counts.
    """

    title: str
    corner: str
    heads: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Entry, ...]], ...]
    arms_are: str
    counted: str = "n"


def number_text(value: float) -> str:
    """A value with four decimals."""
    return f"{value:.4f}" if math.isfinite(value) else "no value"


def sort_key(value: float) -> str:
    """A number for the sorting of tables; nothing where there is none."""
    return f"{value:.9g}" if math.isfinite(value) else ""


def difference_text(value: float) -> str:
    """A difference with its sign."""
    return f"{value:+.4f}" if math.isfinite(value) else "no value"


def interval_text(effect: SeedEffect, sign: str = "") -> str:
    """Both bounds, or that there are none."""
    if effect.low is None or effect.high is None:
        return "no interval"
    return f"{effect.low:{sign}.3f} to {effect.high:{sign}.3f}"


def seed_texts(effect: SeedEffect, sign: str = "") -> tuple[str, ...]:
    """The values by seed."""
    return tuple(f"{value:{sign}.3f}" if math.isfinite(value) else "no value" for value in effect.by_seed)


def cell_entry(cell: Cell | None) -> Entry:
    """One arm's metric on one slice."""
    if cell is None:
        return Entry("not computed")
    if not math.isfinite(cell.effect.mean):
        return Entry("no value")
    value = cell.effect.mean
    few = cell.n < SMALL_N
    return Entry(number_text(value), interval_text(cell.effect), seeds_text(cell.effect), cell.n, few, sort_key(value))


def seeds_text(effect: SeedEffect, sign: str = "") -> str:
    """The values by seed in one line."""
    return ", ".join(seed_texts(effect, sign)) if len(effect.by_seed) > 1 else "one run"


__all__ = [
    "Entry",
    "Grid",
    "cell_entry",
    "difference_text",
    "interval_text",
    "number_text",
    "seed_texts",
    "seeds_text",
    "sort_key",
]
