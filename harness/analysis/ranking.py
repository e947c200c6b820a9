"""Runs of one suite in the order of a metric, each with the range of ranks that chance leaves open.

Every pair of runs is tested: swapped image by image, corrected by Holm over all pairs. A run's best rank is one more
than the number of runs that are surely better, its worst rank the number of runs less those that are surely worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import isfinite

from gi_bench.harness.analysis.comparing import check_predictions, check_same_rows, compute, difference_of, whole
from gi_bench.harness.errors import RunError
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.statistics import Difference, holm
from gi_bench.harness.store import Run

RESAMPLES = 2_000
_LEVEL = 0.05
# The smallest p-value times the number of pairs is then .01. A leaderboard has many pairs, and each costs all draws.
_PER_PAIR = 100
# More would take hours on a large suite; with some 70 runs no difference is sure after correction, which is said.
_MOST = 50_000


@dataclass(frozen=True)
class Pair:
    """Two ranked runs compared.

    Attributes:
        first, second: their numbers among the runs given.
        found: difference first minus second, its interval and p-value; None where ``reason`` says why not.
        adjusted: p-value after Holm's correction over all pairs; 1 where nothing was found.
        better: number of the run that is surely better at the 5 % level; None if neither is.
        reason: why the two could not be compared; empty if they could.
    """

    first: int
    second: int
    found: Difference | None
    adjusted: float = 1.0
    better: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Ranking:
    """Runs in the order of one metric.

    Attributes:
        order: numbers of the ranked runs, best value first.
        values: value of each ranked run, by number.
        ranges: (best, worst) rank of each ranked run, from 1, by number.
        unranked: why a run has no rank, by number.
        pairs: every pair of ranked runs.
        notes: what limits the tests.
    """

    order: tuple[int, ...]
    values: Mapping[int, float]
    ranges: Mapping[int, tuple[int, int]]
    unranked: Mapping[int, str]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()


def partial_reason(run: Run) -> str:
    """Why a run does not cover its suite as it was written, so that it is ranked with no other; empty if it does.

    Looks at everything that numbers rest on: the manifest, all rows and predictions, and the scores.

    Raises:
        GiBenchError: a file of the run is missing, damaged or was changed.
    """
    run.check_files()
    if run.role != "ceiling":  # which holds a row for every question that it has no word on
        check_predictions(run)
    _ = run.scores
    if run.recipe.limit is not None:
        return f"a part of the suite: run with --limit {run.recipe.limit}"
    rows = [("question", q.index) for q in run.questions] + [("phrase", p.index) for p in run.phrases]
    without = sum(row not in run.predictions for row in rows)
    if not run.manifest.complete:
        return f"not finished: {without:,} of {len(rows):,} predictions are missing"
    return f"{without:,} of {len(rows):,} predictions are missing" if without else ""


def same_rows(runs: Sequence[Run]) -> tuple[list[int], dict[int, str]]:
    """The largest set of runs that were asked the same rows, held against the same references.

    Args:
        runs: on one suite.

    Returns:
        Their numbers, and why the others do not belong to them, by number.
    """
    # A run without phrases fits one with them, so that those which have some come first.
    given = sorted(range(len(runs)), key=lambda number: not runs[number].phrases)
    groups: list[list[int]] = []
    for number in given:
        for group in groups:
            if not _differs(runs[group[0]], runs[number]):
                group.append(number)
                break
        else:
            groups.append([number])
    if not groups:
        return [], {}
    largest = max(groups, key=len)
    others = {
        number: _differs(runs[largest[0]], runs[number]) for group in groups if group is not largest for number in group
    }
    return sorted(largest), others


def _differs(first: Run, run: Run) -> str:
    try:
        check_same_rows(first, run)
    except RunError as error:
        return error.what
    return ""


def rank(runs: Sequence[Run], metric: Metric, values: Mapping[int, float] | None = None, *, seed: int = 0) -> Ranking:
    """Rank runs that were asked the same rows.

    Args:
        runs: see :func:`same_rows`; ceilings, which have rows of their own, are no part of a ranking.
        metric: one of which a direction is better.
        values: stored scores by number, which order the runs; None for what the metric gives now.
        seed: of resampling and permutations.

    Raises:
        RunError: of this metric neither direction is better.
    """
    if not metric.info.ranked:
        raise RunError(
            "runs cannot be ranked by this metric: neither direction is better",
            where=metric.name,
            do="choose another --metric; gi-bench metrics lists them",
        )
    made: dict[int, Statistics] = {}
    unranked: dict[int, str] = {}
    known: dict[int, float] = {}
    for number, run in enumerate(runs):
        found = compute(metric, run)
        if isinstance(found, str):
            unranked[number] = found
            continue
        value = whole(found) if values is None else values.get(number)
        if value is None or not isfinite(value):
            unranked[number] = "the stored scores have no value of this metric" if values is not None else "no value"
            continue
        made[number], known[number] = found, value
    pairs = [_decided(pair, metric.info.higher_is_better) for pair in _tested(made, seed)]
    sign = -1 if metric.info.higher_is_better else 1
    order = sorted(made, key=lambda number: (sign * known[number], number))
    return Ranking(
        order=tuple(order),
        values={number: known[number] for number in order},
        ranges={number: _range(number, pairs, len(order)) for number in order},
        unranked=unranked,
        pairs=tuple(pairs),
        notes=tuple(_limits(pairs)),
    )


def _tested(made: Mapping[int, Statistics], seed: int) -> list[Pair]:
    couples = list(combinations(sorted(made), 2))
    permutations = min(_MOST, max(RESAMPLES, _PER_PAIR * len(couples)))
    pairs = []
    for first, second in couples:
        found = difference_of(made[first], made[second], RESAMPLES, permutations, seed)
        pairs.append(
            Pair(first, second, None, reason=found) if isinstance(found, str) else Pair(first, second, found[0])
        )
    tested = [pair.found.p for pair in pairs if pair.found is not None]
    adjusted = iter(holm(tested))
    return [pair if pair.found is None else replace(pair, adjusted=next(adjusted)) for pair in pairs]


def _decided(pair: Pair, higher_is_better: bool) -> Pair:
    if pair.found is None or not pair.adjusted < _LEVEL or not abs(pair.found.difference) > 0:
        return pair
    first_is_better = (pair.found.difference > 0) == higher_is_better
    return replace(pair, better=pair.first if first_is_better else pair.second)


def _range(number: int, pairs: Sequence[Pair], count: int) -> tuple[int, int]:
    """Best and worst rank of a run among ``count``."""
    decided = [pair for pair in pairs if number in (pair.first, pair.second) and pair.better is not None]
    worse = sum(pair.better == number for pair in decided)
    return 1 + len(decided) - worse, count - worse


def _limits(pairs: Sequence[Pair]) -> list[str]:
    notes = []
    # Runs that do not differ at all rest on no image: of them there is nothing to say.
    tested = [pair.found for pair in pairs if pair.found is not None and pair.found.difference]
    blind = [found for found in tested if found.smallest * len(pairs) >= _LEVEL]
    few = sum(found.exact for found in blind)
    if few:
        notes.append(
            f"{few} of {len(pairs)} pairs rest on so few images that differ that no difference could be sure, however "
            "large: their ranks stay open"
        )
    if len(blind) > few:
        notes.append(f"with {len(pairs):,} pairs no p-value is small enough after correction: rank fewer runs")
    reasons = dict.fromkeys(pair.reason for pair in pairs if pair.reason)
    notes += [f"pairs that could not be compared leave their ranks open: {reason}" for reason in reasons]
    return notes


__all__ = ["RESAMPLES", "Pair", "Ranking", "partial_reason", "rank", "same_rows"]
