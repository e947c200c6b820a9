"""Differences between the runs of a page, paired and corrected: each run against the baseline, the best against all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gi_bench.harness.analysis.comparing import Comparison, compare_runs
from gi_bench.harness.analysis.definitions import headlines
from gi_bench.harness.analysis.families import first_of
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.permutation import draws_needed
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import holm
from gi_bench.reports.comparison.runs import Entry, Given

LEVEL = 0.05
# Images times swaps that a table may take: beyond, fewer swaps decide, which is said.
_MOST_NUMBERS = 1.5e9
_FEWER = 60


@dataclass(frozen=True)
class Differences:
    """Runs against one run.

    Attributes:
        first: the run that the others are held against.
        found: by metric and name of the run, the difference run minus ``first``.
        family: number of comparisons that the p-values are corrected over.
        note: why there is no comparison, or what has to be said of them; empty if nothing.
    """

    first: Entry | None
    found: Mapping[tuple[str, str], Comparison]
    family: int
    note: str = ""


def metrics_of(entries: Iterable[Entry]) -> dict[str, MetricInfo]:
    """Every metric that some run has, by name."""
    return {info.name: info for entry in entries for info in entry.run.scores.metrics}


def against_baseline(given: Given) -> Differences:
    """Every model and floor against the baseline, on the few metrics that gi-bench compare takes by default."""
    first = given.baseline
    if first is None:
        return Differences(None, {}, 0)
    others = [entry for entry in given.scored if entry.number != first.number]
    shown = headlines(metrics_of(given.entries).values())
    infos = {info.name: info for info in first.run.scores.metrics if info.ranked}
    names = _known(first_of(infos.values(), shown & infos.keys()))
    if not others or not names:
        return Differences(first, {}, 0)
    count = len(names) * len(others)
    # Where nothing is spared, the numbers are those of gi-bench compare.
    fewer = _draws(first, count, count)
    found, note = _compared(first, others, names, fewer if fewer < draws_needed(count) else None)
    if found and fewer < draws_needed(count):
        note = f"p-values rest on {fewer:,} swaps each, as there are many rows"
    return Differences(first, found, len(found), note)


def against_best(best: Mapping[str, Entry], others: Sequence[Entry]) -> dict[tuple[str, str], Comparison]:
    """The best run of each metric against every other: differences best minus other, by metric and the other's name.

    The best is known only after looking, so that any pair of runs might have been the one that is told of: the
    correction is Holm's over all pairs, of which those that were not looked at count as if nothing were found in them.

    Args:
        best: by metric.
        others: all runs that may stand beside it.
    """
    pairs = len(best) * len(others) * (len(others) - 1) // 2
    raw: dict[tuple[str, str], Comparison] = {}
    by_run: dict[int, list[str]] = {}
    for metric in _known(best):
        entry = best[metric]
        by_run.setdefault(entry.number, []).append(metric)
    for number, metrics in by_run.items():
        first = next(entry for entry in best.values() if entry.number == number)
        rest = [entry for entry in others if entry.number != number]
        if rest:
            raw |= _compared(first, rest, metrics, _draws(first, pairs, len(best) * (len(others) - 1)))[0]
    # compare_runs takes run minus first.
    adjusted = holm([*(one.found.p for one in raw.values()), *[1.0] * max(0, pairs - len(raw))])
    return {key: _turned(one, p) for (key, one), p in zip(raw.items(), adjusted, strict=False)}


def _known(names: Iterable[str]) -> list[str]:
    """Metrics that are registered here: what a plugin made that is not there cannot be made again."""
    there = registered("gi_bench.metrics")
    return [name for name in names if name in there]


def _turned(one: Comparison, adjusted: float) -> Comparison:
    """The same difference the other way round."""
    low, high = one.found.low, one.found.high
    found = replace(
        one.found,
        # 0.0 minus it: the difference of equal runs is no "-0.000".
        difference=0.0 - one.found.difference,
        low=None if high is None else 0.0 - high,
        high=None if low is None else 0.0 - low,
    )
    return replace(
        one,
        found=found,
        adjusted=adjusted,
        run=one.baseline,
        baseline=one.run,
        n=one.baseline_n,
        baseline_n=one.n,
        values=(one.values[1], one.values[0]),
    )


def _compared(
    first: Entry, others: Sequence[Entry], names: Sequence[str], draws: int | None
) -> tuple[dict[tuple[str, str], Comparison], str]:
    """Differences of some runs to the first by metric and run, or why there are none."""
    try:
        found, _ = compare_runs([first.run, *(entry.run for entry in others)], names=names, resamples=draws)
    except GiBenchError as error:  # references that were changed: the page says so, and compares nothing
        return {}, f"the runs are not compared: {error.what}"
    named = {label: entry.name for entry in others for label in _labels(entry)}
    return {(one.metric.name, named[one.run]): one for one in found if one.run in named}, ""


def _draws(first: Entry, family: int, count: int) -> int:
    """Swaps of a comparison: as many as a family of this size asks for, or fewer where so many would take too long.

    Args:
        first: a run.
        family: comparisons that are corrected over.
        count: those among them that are made.
    """
    affordable = int(_MOST_NUMBERS / max(1, first.run.manifest.counts.images * count))
    return min(draws_needed(family), max(draws_needed(1), _FEWER * family, affordable))


def _labels(entry: Entry) -> tuple[str, ...]:
    """What a table of differences may call a run."""
    run = entry.run
    return run.variant, f"{run.variant} ({run.path.resolve().name})", f"{run.variant} ({run.path})"


__all__ = ["LEVEL", "Differences", "against_baseline", "against_best", "metrics_of"]
