"""The table of headline metrics: a row a run, floors and ceilings in bands of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from gi_bench.harness.analysis.comparing import Comparison
from gi_bench.harness.analysis.definitions import headlines
from gi_bench.harness.analysis.summary import told_by_words
from gi_bench.harness.schema import MetricInfo, Score
from gi_bench.reports.comparison.differences import Differences, metrics_of
from gi_bench.reports.comparison.runs import Entry, Given
from gi_bench.reports.pages import SMALL_N

GROUPS = (
    ("answers", "Answers"),
    ("facts", "Facts"),
    ("regions", "Regions"),
    ("negatives", "Absent findings"),
    ("explanations", "Explanations"),
    ("confidence", "Confidence"),
)
# What stands beside a value, and what it means for a reader who sees no colour.
MARKS = {
    "better": ("▲", "better than the baseline, beyond chance"),
    "worse": ("▼", "worse than the baseline, beyond chance"),
    "different": ("◆", "different from the baseline, beyond chance"),
    "undecided": ("≈", "not told apart from the baseline"),
}
_BANDS = {"model": "", "floor": "Floors: runs that never look", "ceiling": "Ceilings: know the references"}


@dataclass(frozen=True)
class Cell:
    """One number of a table, ready to show.

    Attributes:
        value, interval: as text; no interval where there is none, and no value where ``reason`` may say why.
        n, images: what the value rests on.
        best: it is the best of its column.
        small: it rests on few rows.
        reason: why there is no value.
        way: what stands below it.
        sort: the value to sort by.
        mark: a key of :data:`MARKS`, or empty.
        told: the mark in numbers.
    """

    value: str
    interval: str = ""
    n: int = 0
    images: int = 0
    best: bool = False
    small: bool = False
    reason: str = ""
    way: str = ""
    sort: float | None = None
    mark: str = ""
    told: str = ""


@dataclass(frozen=True)
class Head:
    """The head of a column.

    Attributes:
        metric: name of the metric.
        title: its title.
        note: its direction, and whether it is gi-bench's own.
        rests: what all its values rest on, where that is the same; else empty.
        words: what stands below all of its values, where that is the same; else empty.
        descending: whether the best is the largest.
    """

    metric: str
    title: str
    note: str
    rests: str = ""
    words: str = ""
    descending: bool = True
    comparable: bool = True


@dataclass(frozen=True)
class Row:
    """One run's row.

    Attributes:
        number, name: of the run.
        notes: what is said below its name.
        cells: one a column.
    """

    number: int
    name: str
    notes: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Band:
    """Rows of one kind, with a line over them."""

    role: str
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Headline:
    """The table and what stands below it.

    Attributes:
        heads: a metric a column.
        bands: models, floors, ceilings.
        lines: metrics that most models do not have, a line each.
        reasons: why cells are empty, with the runs.
    """

    heads: tuple[Head, ...]
    bands: tuple[Band, ...]
    lines: tuple[str, ...]
    reasons: tuple[str, ...]


def best_of(scores: Sequence[Score | None], info: MetricInfo) -> float | None:
    """The best of the values that rest on enough rows; None where there are no two different ones to choose from."""
    known = [score.value for score in scores if score is not None and score.value is not None and score.n >= SMALL_N]
    if len({round(value, 4) for value in known}) < 2 or not info.ranked:
        return None
    return max(known) if info.higher_is_better else min(known)


def made_cell(score: Score | None, best: float | None, reason: str = "") -> Cell:
    """A score as a cell."""
    if score is None or score.value is None:
        return Cell("not computed" if score is None else "no value", reason=reason)
    return Cell(
        value=f"{score.value:.4f}",
        interval=interval_text(score),
        n=score.n,
        images=score.image_count,
        best=best is not None and score.n >= SMALL_N and round(score.value, 4) == round(best, 4),
        small=score.n < SMALL_N,
        sort=round(score.value, 6),
    )


def interval_text(score: Score) -> str:
    """The interval in three digits, or that there is none."""
    if score.interval_low is None or score.interval_high is None:
        return "no interval"
    return f"{score.interval_low:.3f} to {score.interval_high:.3f}"


def head_note(info: MetricInfo) -> str:
    """What stands below a metric's name: its direction, and whether it is the challenge's."""
    direction = "higher is better" if info.higher_is_better else "lower is better"
    direction = direction if info.ranked else "neither direction is better"
    return direction if info.comparable else f"{direction}; gi-bench's own, not comparable with published numbers"


def headline_table(given: Given, differences: Differences, ways: Mapping[tuple[str, str], str]) -> Headline:
    """The headline metrics of all runs.

    Args:
        given: the runs.
        differences: of each to the baseline.
        ways: what stands below a value, by metric and name of the run.
    """
    infos = metrics_of(given.entries)
    shown = headlines(infos.values())
    ordered = [info for group, _ in GROUPS for info in infos.values() if info.group == group and info.name in shown]
    ordered += [info for info in infos.values() if info.name in shown and info.group not in dict(GROUPS)]
    models = given.models
    columns, lines = [], []
    for info in ordered:
        having = [entry for entry in models if found_score(entry, info.name) is not None]
        if 2 * len(having) >= len(models):
            columns.append(info)
        elif having:
            lines.append(_line(info, having, len(models)))
    best = {info.name: best_of([entry.run.scores.find(info.name) for entry in given.scored], info) for info in columns}
    bands: list[Band] = []
    reasons: dict[str, dict[str, list[str]]] = {}
    roles: list[tuple[str, tuple[Entry, ...]]] = [(role, given.of_role(role)) for role in _BANDS]
    for role, entries in roles:
        rows = []
        for entry in entries:
            cells = tuple(_cell_of(entry, info, best[info.name], differences, ways) for info in columns)
            for info, cell in zip(columns, cells, strict=True):
                if cell.reason:
                    reasons.setdefault(cell.reason, {}).setdefault(entry.name, []).append(info.title)
            rows.append(Row(entry.number, entry.name, _notes(entry, given), cells))
        if rows:
            bands.append(Band(role, _BANDS[role], tuple(rows)))
    heads = tuple(_head(info, models) for info in columns)
    return Headline(heads, tuple(bands), tuple(lines), _reason_lines(reasons))


def _cell_of(
    entry: Entry,
    info: MetricInfo,
    best: float | None,
    differences: Differences,
    ways: Mapping[tuple[str, str], str],
) -> Cell:
    score = entry.run.scores.find(info.name)
    cell = made_cell(score, None if entry.role == "ceiling" else best, entry.run.scores.not_computed.get(info.name, ""))
    if score is None or score.value is None:
        return cell
    below = [ways.get((info.name, entry.name), ""), told_by_words(score, entry.run.scores)]
    found = differences.found.get((info.name, entry.name))
    return _marked(cell, "; ".join(filter(None, below)), found)


def _marked(cell: Cell, way: str, found: Comparison | None) -> Cell:
    if found is None:
        return replace(cell, way=way)
    return replace(cell, way=way, mark=found.verdict, told=difference_text(found))


def difference_text(found: Comparison) -> str:
    """A difference with its interval and its corrected p-value."""
    low, high = found.found.low, found.found.high
    interval = f" [{low:+.3f}, {high:+.3f}]" if low is not None and high is not None else ""
    return f"{found.found.difference:+.4f}{interval}, corrected {p_text(found)}"


def p_text(found: Comparison) -> str:
    """A corrected p-value; an upper bound where no swap that was drawn is as extreme as what was observed."""
    p = found.adjusted
    if p < 0.001:
        return "p < 0.001"
    is_bound = not found.found.exact and found.found.p <= found.found.smallest * (1 + 1e-9)
    if p >= 0.9995:
        return "p = 1"
    # An upper bound is rounded up: one of .0013 does not show that p is at most .001.
    return f"p ≤ {ceil(1000 * p - 1e-9) / 1000:.3f}" if is_bound else f"p = {p:.3f}"


def _head(info: MetricInfo, models: Sequence[Entry]) -> Head:
    scores = [score for entry in models if (score := found_score(entry, info.name))]
    rests = {(score.n, score.image_count) for score in scores}
    told = ""
    if len(rests) == 1:
        n, images = next(iter(rests))
        told = f"n {n:,}, {images:,} images"
    direction = "higher is better" if info.higher_is_better else "lower is better"
    words = {told_by_words(score, entry.run.scores) for entry in models if (score := found_score(entry, info.name))}
    return Head(
        info.name,
        info.title,
        direction if info.ranked else "",
        told,
        words.pop() if len(words) == 1 else "",
        info.higher_is_better,
        info.comparable,
    )


def found_score(entry: Entry, metric: str) -> Score | None:
    """A run's score on all rows, where it has a value."""
    score = entry.run.scores.find(metric)
    return None if score is None or score.value is None else score


def _line(info: MetricInfo, having: Sequence[Entry], models: int) -> str:
    told = []
    for entry in having:
        if score := found_score(entry, info.name):
            told.append(f"{entry.name} {score.value:.4f} ({interval_text(score)}, n {score.n})")
    return f"{info.title}, for {len(having)} of {models} models only: {'; '.join(told)}"


def _notes(entry: Entry, given: Given) -> tuple[str, ...]:
    """What is said below a run's name: that it is the baseline, and which replies are no participation."""
    notes = ["baseline"] if given.baseline is not None and entry.number == given.baseline.number else []
    for task, by_class in entry.run.scores.states.items():
        counts = by_class.get("all", {})
        others = [f"{count:,} {state}" for state, count in counts.items() if count and state not in _TOOK_PART]
        if others:
            notes.append(f"{', '.join(others)} of {sum(counts.values()):,} {task}")
    if not entry.run.manifest.complete:
        notes.append("not finished: missing predictions count as empty")
    return tuple(notes)


_TOOK_PART = ("stated", "denied")


def _reason_lines(reasons: Mapping[str, Mapping[str, Sequence[str]]]) -> tuple[str, ...]:
    lines = []
    for reason, by_run in reasons.items():
        told: dict[tuple[str, ...], list[str]] = {}
        for name, titles in by_run.items():
            told.setdefault(tuple(titles), []).append(name)
        for titles, names in told.items():
            lines.append(f"{', '.join(names)}: {', '.join(titles)}: {reason}")
    return tuple(lines)


__all__ = [
    "GROUPS", "MARKS", "Band", "Cell", "Head", "Headline", "Row", "best_of", "difference_text", "found_score",
    "head_note",
    "headline_table", "interval_text", "made_cell", "p_text",
]  # fmt: skip
