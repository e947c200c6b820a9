"""What the page says of floors and ceilings: a line beside each headline value, and a table of all three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gi_bench.harness.analysis.bounds import Share, share_text, shares
from gi_bench.harness.store import Run

MARKS = {"floor": " (floor)", "ceiling": " (ceiling)", "model": ""}


@dataclass(frozen=True)
class Way:
    """One row of the table.

    Attributes:
        metric: title, with its direction.
        run: name of the run.
        value, floor, ceiling: numbers on the shared rows, with the name of the bound.
        share: with its interval, or why there is none.
        n, images: what they rest on.
    """

    metric: str
    run: str
    value: str
    floor: str
    ceiling: str
    share: str
    n: int
    images: int


def marked(name: str, run: Run) -> str:
    """A run's name, marked if it is no model."""
    return name + MARKS[run.role]


def without_ceilings(runs: Sequence[Run]) -> list[Run]:
    """The runs that stand in the tables: a ceiling covers other rows and is no model. All if there is nothing else."""
    return [run for run in runs if run.role != "ceiling"] or list(runs)


def found_shares(runs: Sequence[Run]) -> list[Share]:
    """The shares of all models among the runs; floors and ceilings beside them are found."""
    return shares([run.path for run in runs])


def ways(found: Sequence[Share]) -> list[Way]:
    """The table's rows."""
    return [
        Way(
            metric=one.title + ("" if one.higher_is_better else " (lower is better)"),
            run=one.run,
            value=_number(one.value),
            floor=_bound(one.floor, one.floor_value),
            ceiling=_bound(one.ceiling, one.ceiling_value),
            share=share_text(one),
            n=one.n,
            images=one.images,
        )
        for one in found
    ]


def lines(found: Sequence[Share]) -> dict[tuple[str, str], str]:
    """What stands below a value in the tables of scores, by metric and name of the run."""
    return {(one.metric, one.run): f"{share_text(one)} of the way" for one in found if one.share is not None}


def _number(value: float | None) -> str:
    return "no value" if value is None else f"{value:.4f}"


def _bound(name: str | None, value: float | None) -> str:
    return "none" if name is None else f"{_number(value)}, {name}"
