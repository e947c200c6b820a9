"""A leaderboard as one HTML page: a tab a suite, which without scripts all stand below each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gi_bench.harness.analysis.ranking import Pair
from gi_bench.harness.schema import MetricInfo
from gi_bench.reports.leaderboard.entries import Board, Entry, Number, Section
from gi_bench.reports.leaderboard.texts import (
    NOT_RUN,
    RANGE,
    blocks,
    role_text,
    rows_of,
    short,
    sources,
    title_of,
    value_text,
    way_text,
)
from gi_bench.reports.pages import SMALL_N, render

# More pairs than this make the page long; they are all in the JSON.
_MOST_PAIRS = 300
# Width and height of the picture of an interval, in its own units.
WIDTH, HEIGHT = 160, 22
_EDGE = 8


@dataclass(frozen=True)
class Bar:
    """The place of a value and its interval in the picture; None where there is no interval."""

    at: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Cell:
    """One number, ready to show."""

    text: str = ""
    interval: str = ""
    sort: str = ""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        rank, sort: range of the rank as text, and what sorts it.
        name, role, anchor: of the run; the anchor is where its facts stand, empty for published results.
        place: ``run``, ``floor`` or ``published``.
        value: by the metric that ranks.
        bar: its picture; None without a value.
        n, images: what it rests on.
        is_small: whether that is few.
        way, way_n: share of the way from floor to ceiling, and the rows that it rests on.
        cells: the other columns.
        told: rows of a published result, and what its publisher leaves open.
    """

    rank: str
    sort: str
    name: str
    role: str
    anchor: str
    place: str
    value: Cell
    bar: Bar | None
    n: str
    n_sort: str
    images: str
    is_small: bool
    way: str
    way_n: str
    way_sort: str
    cells: tuple[Cell, ...]
    told: str


@dataclass(frozen=True)
class Unranked:
    """A run without a rank."""

    name: str
    role: str
    anchor: str
    value: Cell
    reason: str


@dataclass(frozen=True)
class Block:
    """Published results on other rows: heads, and a row a system."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...], str], ...]
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Tab:
    """Everything that the page shows of one suite."""

    section: Section
    name: str
    runs: str
    verdict: tuple[str, ...]
    metric: str
    scale: str
    heads: tuple[tuple[str, str, str], ...]
    rows: tuple[Row, ...]
    has_way: bool
    sources: tuple[tuple[str, str], ...]
    unranked: tuple[Unranked, ...]
    blocks: tuple[Block, ...]
    pairs: tuple[tuple[str, ...], ...]
    more_pairs: int
    facts: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]
    notes: tuple[str, ...]


def html_board(board: Board) -> str:
    """The board as HTML: one file that fetches nothing."""
    names = [section.name for section in board.sections]
    tabs = [_tab(section, number, names) for number, section in enumerate(board.sections)]
    left_out = [(short(one.place), short(one.reason)) for one in board.left_out]
    return render(
        "leaderboard.html.j2", tabs=tabs, left_out=left_out, range_rule=RANGE, not_run=NOT_RUN, size=(WIDTH, HEIGHT)
    )


def _tab(section: Section, number: int, names: Sequence[str]) -> Tab:
    name = short(section.name)
    if names.count(section.name) > 1:
        name = f"{name} ({section.fingerprint[:8]})"
    anchors = _anchors(section, number)
    ends = _ends(section)
    shown = [pair for pair in section.pairs if pair[2].found is not None] if len(section.pairs) <= _MOST_PAIRS else []
    count = section.ranked_count
    return Tab(
        section=section,
        name=name,
        runs=f"{count} run{'' if count == 1 else 's'}",
        verdict=tuple(_verdict(section)),
        metric=title_of(section.metric),
        scale="" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}",
        heads=tuple(_head(info) for info in section.columns),
        rows=tuple(_row(entry, section, anchors.get(id(entry), ""), ends) for entry in section.table),
        has_way=any(entry.way is not None for entry in section.table),
        sources=tuple(_sources(section.table)),
        unranked=tuple(
            Unranked(
                short(one.name),
                role_text(one),
                anchors[id(one)],
                _cell(one.numbers.get(section.metric.name)),
                short(one.reason),
            )
            for one in section.unranked
        ),
        blocks=tuple(_block(title, entries, infos) for title, entries, infos in blocks(section)),
        pairs=tuple(_pair(*pair) for pair in shown),
        more_pairs=0 if shown else len(section.pairs),
        facts=tuple(
            (anchors[id(one)], short(one.name), tuple((key, short(value, 400)) for key, value in one.facts.items()))
            for one in (*section.table, *section.unranked)
            if one.facts
        ),
        notes=tuple(short(note, 400) for note in section.notes),
    )


def _anchors(section: Section, number: int) -> dict[int, str]:
    """Where the facts of each run stand, by the entry's identity."""
    runs = [one for one in (*section.table, *section.unranked) if one.published is None]
    return {id(one): f"run-{number}-{place}" for place, one in enumerate(runs)}


def _head(info: MetricInfo) -> tuple[str, str, str]:
    """Title, direction where lower is better, and which way a click sorts first."""
    lower = info.ranked and not info.higher_is_better
    return info.title, "lower is better" if lower else "", "ascending" if lower else "descending"


def _ends(section: Section) -> tuple[float, float] | None:
    """Ends of the scale of the pictures: everything that is drawn lies between them."""
    numbers = [found for one in section.table if (found := one.numbers.get(section.metric.name)) is not None]
    drawn = [value for one in numbers for value in (one.value, one.low, one.high) if value is not None]
    if not drawn:
        return None
    low, high = min(drawn), max(drawn)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _bar(number: Number | None, ends: tuple[float, float] | None) -> Bar | None:
    if number is None or ends is None:
        return None

    def at(value: float) -> float:
        return round(_EDGE + (WIDTH - 2 * _EDGE) * (value - ends[0]) / (ends[1] - ends[0]), 1)

    if number.low is None or number.high is None:
        return Bar(at(number.value), None, None)
    return Bar(at(number.value), at(number.low), at(number.high))


def _cell(number: Number | None) -> Cell:
    if number is None:
        return Cell()
    interval = "" if number.low is None or number.high is None else f"{number.low:.3f} to {number.high:.3f}"
    return Cell(value_text(number), interval, repr(float(number.value)))


def _row(entry: Entry, section: Section, anchor: str, ends: tuple[float, float] | None) -> Row:
    number, one = entry.numbers.get(section.metric.name), entry.published
    n, images = (None, None) if number is None else (number.n, number.images)
    return Row(
        rank=entry.rank,
        sort="" if entry.best is None or entry.worst is None else f"{entry.best + entry.worst / 1e6:.6f}",
        name=short(entry.name),
        role=role_text(entry),
        anchor=anchor,
        place="published" if one is not None else "floor" if entry.role == "floor" else "run",
        value=_cell(number),
        bar=_bar(number, ends),
        n="" if n is None else f"{n:,}",
        n_sort="" if n is None else str(n),
        images="" if images is None else f"{images:,} image{'' if images == 1 else 's'}",
        is_small=n is not None and n < SMALL_N,
        way=way_text(entry.way),
        way_n="" if entry.way is None else f"on {entry.way.n:,} shared rows",
        way_sort="" if entry.way is None else repr(float(entry.way.share)),
        cells=tuple(_cell(entry.numbers.get(info.name)) for info in section.columns),
        told=rows_of(entry),
    )


def _block(title: str, entries: Sequence[Entry], infos: Sequence[MetricInfo]) -> Block:
    rows = tuple(
        (
            "" if entry.published is None else entry.published.rank,
            entry.name,
            tuple(_cell(entry.numbers.get(info.name)) for info in infos),
            rows_of(entry),
        )
        for entry in entries
    )
    # What all have in common is said once, below.
    shared = {told for *_, told in rows}
    below = [(told, "") for told in shared] if len(shared) == 1 else []
    rows = tuple((rank, name, cells, "" if below else told) for rank, name, cells, told in rows)
    return Block(title, tuple(info.title for info in infos), rows, (*below, *_sources(entries)))


def _sources(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Sources, and where there are several, the systems of each, or how many they are."""
    found = sources(entries)
    told = [(source, "; ".join(names) if len(names) < 4 else f"{len(names)} systems") for source, names in found]
    return [(f"Source: {source}", names if len(found) > 1 else "") for source, names in told]


def _pair(first: str, second: str, pair: Pair) -> tuple[str, ...]:
    assert pair.found is not None
    found = pair.found
    interval = "no interval" if found.low is None or found.high is None else f"{found.low:+.3f} to {found.high:+.3f}"
    surely = "open" if pair.better is None else short(first if pair.better == pair.first else second)
    return (
        *(short(first), short(second), f"{found.difference:+.4f}", interval),
        *(_p(found.p), _p(pair.adjusted), surely),
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _verdict(section: Section) -> list[str]:
    """The section in words: who may be first, and who is not surely better than what never looks."""
    ranked = [entry for entry in section.table if entry.best is not None]
    if not ranked:
        return ["No run of this suite has a rank; the reasons stand below."]
    title = section.metric.title
    first, leaders = ranked[0], [entry for entry in ranked if entry.best == 1]
    if len(ranked) == 1:
        said = [f"One run has a rank, {short(first.name)}: there is nothing to compare it with."]
    elif first.worst == 1:
        others = "the other one" if len(ranked) == 2 else f"each of the {len(ranked) - 1} others"
        said = [f"{short(first.name)} is first in {title}, surely better than {others}."]
    elif len(leaders) == 1:
        said = [f"{short(first.name)} is first in {title}, but not surely better than each of the others."]
    else:
        said = [f"{short(first.name)} has the best {title}; chance leaves open which of {len(leaders)} runs is first."]
    floor = next((entry for entry in ranked if entry.role == "floor"), None)
    models = [entry for entry in ranked if entry.role == "model"]
    if floor is not None and models:
        better = {
            first if pair.better == pair.first else second
            for first, second, pair in section.pairs
            if pair.better is not None and floor.name in (first, second)
        }
        blind = [short(entry.name) for entry in models if entry.name not in better]
        named = f"the best blind floor, {short(floor.name)}"
        said.append(
            f"Not surely better than {named}: {', '.join(blind[:8])}{' and more' if len(blind) > 8 else ''}."
            if blind
            else f"{'Every model is' if len(models) > 1 else 'The model is'} surely better than {named}."
        )
    return said


__all__ = ["html_board"]
