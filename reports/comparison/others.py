"""Published results of others: on the same rows beside ours, on rows that nobody else has in a block of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gi_bench.harness.registry import stored_spec
from gi_bench.reports.comparison.differences import metrics_of
from gi_bench.reports.comparison.runs import Given
from gi_bench.reports.comparison.table import found_score
from gi_bench.reports.published import METRICS, PublishedResult, published


@dataclass(frozen=True)
class Line:
    """One row.

    Attributes:
        number: of a run of the page; None for a published result.
        name: of the system.
        rows: what it was measured on.
        values: one a column; empty where there is none.
        source: where it comes from.
    """

    number: int | None
    name: str
    rows: str
    values: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Block:
    """A table of published results.

    Attributes:
        title: of the table.
        metrics: names of the columns' metrics.
        heads: their titles.
        lines: our runs, where the rows are the same, and what others published.
    """

    title: str
    metrics: tuple[str, ...]
    heads: tuple[str, ...]
    lines: tuple[Line, ...]


def others(given: Given) -> tuple[Block, ...]:
    """Published results on the rows of these runs, and beside them those on rows that nobody has; none elsewhere.

    They are shown only where all official rows of the suite were run.
    """
    spec = stored_spec(given.entries[0].run.suite)
    # A ceiling has its own rows: those that it has a word on.
    if not all(spec.has_all(entry.run.questions) for entry in given.entries if entry.role != "ceiling"):
        return ()
    found = [one for one in published() if spec in map(stored_spec, one.suites)]
    same = [one for one in found if one.kind == "same"]
    apart = [one for one in found if one.kind != "same"]
    made = []
    if same:
        made.append(_block("Published results on the same rows", same, given, with_ours=True))
    if apart:
        made.append(_block("Published results on other rows, which no number here stands beside", apart, given))
    return tuple(made)


def _block(title: str, results: Sequence[PublishedResult], given: Given, *, with_ours: bool = False) -> Block:
    infos = metrics_of(given.entries)
    metrics = tuple(name for name in METRICS if any(name in one.values for one in results))
    ours = []
    for entry in given.models if with_ours else ():
        scores = [found_score(entry, metric) for metric in metrics]
        values = tuple("" if one is None else f"{one.value:.4f}" for one in scores)
        if any(values):
            ours.append(Line(entry.number, entry.name, "these rows", values, "run here"))
    theirs = [
        Line(
            None,
            " ".join(filter(None, (one.name, one.rank and f"(rank {one.rank} of {one.board})"))),
            one.rows,
            tuple(f"{one.values[metric]:g}" if metric in one.values else "" for metric in metrics),
            "; ".join(filter(None, (f"published, not run here: {one.source}", one.remark))),
        )
        for one in results
    ]
    heads = tuple(infos[name].title if name in infos else name for name in metrics)
    return Block(title, metrics, heads, (*ours, *theirs))


def comparable_titles(blocks: Sequence[Block]) -> list[str]:
    """Titles of the metrics that results on the same rows give; none where there are no such results."""
    return list(blocks[0].heads) if blocks and any(line.number is not None for line in blocks[0].lines) else []


__all__ = ["Block", "Line", "comparable_titles", "others"]
