"""A leaderboard as Markdown, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from gi_bench.harness.csv_text import csv_text
from gi_bench.harness.markdown import code, one_line
from gi_bench.harness.schema import MetricInfo
from gi_bench.reports.leaderboard.entries import COLUMNS, Board, Entry, Number, Section, Way
from gi_bench.reports.published import METRICS

VERSION = 1
# The first line of every board in Markdown, by which it is known.
MARK = "<!-- gi-bench leaderboard -->"
NOT_RUN = "published, not run here"
RANGE = (
    "A rank is a range: its best end counts the runs that are surely better, its worst end those that are surely "
    "worse. Every pair of runs is swapped image by image (permutation test), and p-values are corrected by Holm over "
    "all pairs of the suite."
)
CSV_COLUMNS = (
    *("suite", "fingerprint", "block", "kind", "rank_best", "rank_worst", "name", "role", "metric", "value"),
    *("interval_low", "interval_high", "n", "images", "share_of_way", "reason", "rows", "board", "published_rank"),
    *("source", "note", "folder", "variant", "seed", "recipe_digest", "created"),
)


def short(text: object, most: int = 160) -> str:
    """Foreign text on one line, cut where it is too long to stand in a table.

    >>> short("a\\nb"), short("abcdef", 4)
    ('a b', 'abc…')
    """
    one_line = " ".join(str(text).split())
    return one_line if len(one_line) <= most else f"{one_line[: most - 1]}…"


def number_text(number: Number | None) -> str:
    """A value with its interval, as far as there are any."""
    if number is None:
        return ""
    value = value_text(number)
    return value if number.low is None or number.high is None else f"{value} [{number.low:.3f}, {number.high:.3f}]"


def value_text(number: Number) -> str:
    """A value: with four decimals, beyond 2 (chrF) with two, a published one as it was published."""
    decimals = min(number.decimals, 2) if abs(number.value) > 2 else number.decimals
    return f"{number.value:.{decimals}f}"


def way_text(way: Way | None) -> str:
    """The share of the way in per cent."""
    if way is None:
        return ""
    interval = "" if way.low is None or way.high is None else f" [{100 * way.low:.0f}, {100 * way.high:.0f}]"
    return f"{100 * way.share:.0f} %{interval}".replace("-", "−")


def role_text(entry: Entry) -> str:
    """What has to stand beside a name, so that nobody takes it for a model that was run here."""
    if entry.kind == "published":
        return NOT_RUN
    return {"floor": "blind floor", "ceiling": "ceiling"}.get(entry.role, "")


def title_of(info: MetricInfo) -> str:
    """A metric's title with its direction, where lower is better."""
    return info.title if info.higher_is_better or not info.ranked else f"{info.title} (lower is better)"


# --- Markdown ---------------------------------------------------------------------------------------------------------


def escaped(text: object) -> str:
    """Foreign text inside a line or cell of Markdown, cut where it is too long."""
    return one_line(short(text, 400))


def markdown(board: Board) -> str:
    """The board as Markdown: a heading and tables a suite."""
    lines = [MARK, "# Leaderboard", "", RANGE, ""]
    for section in board.sections:
        lines += [*_section_lines(section), ""]
    if board.left_out:
        lines += ["## Left out", ""]
        lines += [f"- Folder {escaped(one.place)}: {escaped(one.reason)}" for one in board.left_out]
    return "\n".join(lines).rstrip() + "\n"


def _section_lines(section: Section) -> Iterator[str]:
    yield f"## Suite {escaped(section.name)}"
    yield ""
    yield f"Fingerprint {code(section.fingerprint[:16])}, {ranked_text(section)}."
    yield ""
    if section.table:
        columns = [section.metric, *section.columns]
        heads = ["rank", "run", escaped(title_of(section.metric)), "n", "way from floor to ceiling"]
        heads += [escaped(title_of(info)) for info in columns[1:]]
        yield from _table(heads, [_cells(entry, columns) for entry in section.table])
    if section.unranked:
        yield from ("", "Without a rank:", "")
        rows = [
            [_named(one), number_text(one.numbers.get(section.metric.name)), escaped(one.reason)]
            for one in section.unranked
        ]
        yield from _table(["run", escaped(section.metric.title), "reason"], rows)
    for title, entries, infos in blocks(section):
        yield from ("", f"Published on other rows, without a rank: {escaped(title)}", "")
        heads = ["published rank", "system", *(escaped(info.title) for info in infos), "rows", "source"]
        yield from _table(heads, [_apart(one, infos) for one in entries])
    told = sources([one for one in section.table if one.published is not None])
    if told:
        yield from ("", f"What is {NOT_RUN} has a value alone: no interval, no test, and so no rank.", "")
        yield from (f"- Source {escaped(source)}: {escaped('; '.join(names))}" for source, names in told)
    if section.notes:
        yield ""
        yield from (f"- Note: {escaped(note)}" for note in section.notes)


def ranked_text(section: Section) -> str:
    """How many runs are ranked, by what."""
    count = section.ranked_count
    return f"{count} run{'' if count == 1 else 's'} ranked by {escaped(title_of(section.metric))}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _named(entry: Entry) -> str:
    role = role_text(entry)
    return f"{escaped(entry.name)} ({role})" if role else escaped(entry.name)


def _cells(entry: Entry, columns: Sequence[MetricInfo]) -> list[str]:
    first = entry.numbers.get(columns[0].name)
    named = f"{_named(entry)}, {escaped(rows_of(entry))}" if entry.published is not None else _named(entry)
    cells = [entry.rank or "–", named, number_text(first) or "not published"]
    cells += ["" if first is None or first.n is None else f"{first.n:,}", way_text(entry.way)]
    return cells + [number_text(entry.numbers.get(info.name)) for info in columns[1:]]


def _apart(entry: Entry, infos: Sequence[MetricInfo]) -> list[str]:
    one = entry.published
    assert one is not None
    values = [number_text(entry.numbers.get(info.name)) for info in infos]
    return [escaped(one.rank) or "–", escaped(one.name), *values, escaped(rows_of(entry)), escaped(one.source)]


def rows_of(entry: Entry) -> str:
    """What a published result rests on, why it stands where it does, and what its publisher leaves open."""
    one = entry.published
    return "" if one is None else "; ".join(filter(None, (one.rows, entry.reason, one.remark)))


def sources(entries: Sequence[Entry]) -> list[tuple[str, list[str]]]:
    """Where published results come from, with the systems of each source."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        if entry.published is not None:
            found.setdefault(entry.published.source, []).append(entry.name)
    return list(found.items())


def blocks(section: Section) -> list[tuple[str, list[Entry], list[MetricInfo]]]:
    """Published results on other rows by their board, with the metrics that each board gives."""
    from gi_bench.harness.registry import registered

    metrics = registered("gi_bench.metrics")
    boards: dict[str, list[Entry]] = {}
    for entry in section.apart:
        boards.setdefault("" if entry.published is None else entry.published.board, []).append(entry)
    return [
        (title, entries, [metrics[name].info for name in _given(entries) if name in metrics])
        for title, entries in boards.items()
    ]


def _given(entries: Sequence[Entry]) -> list[str]:
    """Metrics of published results, in the order of their record."""
    there = {name for entry in entries for name in entry.numbers}
    return [name for name in METRICS if name in there]


# --- CSV --------------------------------------------------------------------------------------------------------------


def csv_board(board: Board) -> str:
    """The board as CSV: one row a run or published result; after the fixed columns one column a metric."""
    metrics = _all_metrics(board)
    rows = [_row(section, block, entry, metrics) for section in board.sections for block, entry in _listed(section)]
    columns = [*CSV_COLUMNS, *metrics]
    for one in board.left_out:
        told = {"block": "left out", "kind": "folder", "reason": one.reason, "folder": one.place}
        rows.append([told.get(column) for column in columns])
    return csv_text(columns, rows)


def _listed(section: Section) -> Iterator[tuple[str, Entry]]:
    yield from (("ranked" if one.published is None else "same rows", one) for one in section.table)
    yield from (("not ranked", one) for one in section.unranked)
    yield from (("other rows", one) for one in section.apart)


def _all_metrics(board: Board) -> list[str]:
    """Metrics of a board: those of its tables and of published results; all others are in the JSON."""
    wanted = [*METRICS, *COLUMNS, *(section.metric.name for section in board.sections)]
    there = {name for section in board.sections for _, entry in _listed(section) for name in entry.numbers}
    return [name for name in dict.fromkeys(wanted) if name in there]


def _row(section: Section, block: str, entry: Entry, metrics: Sequence[str]) -> list[str | float | int | None]:
    number, one, facts = entry.numbers.get(section.metric.name), entry.published, entry.facts
    values: list[float | int | None] = [None] * 5
    if number is not None:
        values = [number.value, number.low, number.high, number.n, number.images]
    found = [entry.numbers.get(name) for name in metrics]
    return [
        *(section.name, section.fingerprint, block, NOT_RUN if one is not None else "run", entry.best, entry.worst),
        *(entry.name, entry.role if one is None else None, section.metric.name, *values),
        *(None if entry.way is None else entry.way.share, entry.reason or None),
        *([None] * 5 if one is None else [one.rows, one.board, one.rank or None, one.source, one.remark or None]),
        *(facts.get(key) for key in ("folder", "variant", "seed", "recipe digest", "created")),
        *(None if each is None else each.value for each in found),
    ]


# --- JSON -------------------------------------------------------------------------------------------------------------


def json_board(board: Board) -> str:
    """The board as JSON, with everything that it rests on."""
    content = {
        "leaderboard": VERSION,
        "rank_range": RANGE,
        "suites": [_section_json(section) for section in board.sections],
        "left_out": [asdict(one) for one in board.left_out],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _section_json(section: Section) -> dict[str, Any]:
    return {
        "suites": list(section.suites),
        "fingerprint": section.fingerprint,
        "metric": asdict(section.metric),
        "ranked_runs": section.ranked_count,
        "table": [_entry_json(one) for one in section.table],
        "not_ranked": [_entry_json(one) for one in section.unranked],
        "published_on_other_rows": [_entry_json(one) for one in section.apart],
        "pairs": [
            {
                "first": first,
                "second": second,
                "difference": None if pair.found is None else pair.found.difference,
                "interval_low": None if pair.found is None else pair.found.low,
                "interval_high": None if pair.found is None else pair.found.high,
                "p": None if pair.found is None else pair.found.p,
                "p_adjusted": None if pair.found is None else pair.adjusted,
                "better": None if pair.better is None else (first if pair.better == pair.first else second),
                "reason": pair.reason,
            }
            for first, second, pair in section.pairs
        ],
        "notes": list(section.notes),
    }


def _entry_json(entry: Entry) -> dict[str, Any]:
    made: dict[str, Any] = {"kind": entry.kind, "name": entry.name}
    if entry.published is None:
        made |= {"role": entry.role, "rank_best": entry.best, "rank_worst": entry.worst}
        made |= {"way": None if entry.way is None else asdict(entry.way), "facts": dict(entry.facts)}
    else:
        made |= {"marked": NOT_RUN, "published": asdict(entry.published)}
    return {**made, "scores": {name: asdict(one) for name, one in entry.numbers.items()}, "reason": entry.reason}


__all__ = [
    "CSV_COLUMNS",
    "MARK",
    "NOT_RUN",
    "RANGE",
    "blocks",
    "csv_board",
    "escaped",
    "json_board",
    "markdown",
    "number_text",
    "ranked_text",
    "role_text",
    "rows_of",
    "short",
    "sources",
    "title_of",
    "value_text",
    "way_text",
]
