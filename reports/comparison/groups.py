"""Everything behind the headline: other metrics by group, by class, and what every reply is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gi_bench.harness.analysis.definitions import headlines
from gi_bench.harness.analysis.summary import told_by_words
from gi_bench.harness.schema import REPLY_STATES, MetricInfo, Score
from gi_bench.reports.comparison.differences import metrics_of
from gi_bench.reports.comparison.runs import Entry
from gi_bench.reports.comparison.table import GROUPS, Cell, best_of, found_score, head_note, interval_text, made_cell

_SLICES = (
    ("question_class", "question class"),
    ("complexity", "complexity"),
    ("label", "region label"),
    ("finding", "finding"),
    ("training", "images seen in training"),
)


@dataclass(frozen=True)
class Table:
    """A table with a head of metrics or runs.

    Attributes:
        title: of the table.
        heads: of the columns; of runs where ``by_run``.
        rows: name of the row, its run's number (None where rows are no runs) and its cells.
        notes: what stands below each head.
        footnotes: what stands below the table.
        numbers: numbers of the runs in the heads, where the columns are runs.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, int | None, tuple[Cell, ...]], ...]
    notes: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class ReplyTable:
    """What the replies of all runs to one task are.

    Attributes:
        task: answers, regions or explanations.
        rows: a run with its counts, in the order of :data:`REPLY_STATES`, and the share that states or denies.
        by_class: the same for every run and question class or region label: (run, class), counts, share.
    """

    task: str
    rows: tuple[tuple[str, tuple[int, ...], str], ...]
    by_class: tuple[tuple[str, str, tuple[int, ...], str], ...]


def group_tables(entries: Sequence[Entry]) -> list[Table]:
    """One table a group with its metrics that are no headline; those of few runs are a line below it.

    Args:
        entries: models and floors.
    """
    infos = metrics_of(entries)
    shown = headlines(infos.values())
    known = dict(GROUPS)
    groups = [*GROUPS, *((info.group, info.group) for info in infos.values() if info.group not in known)]
    tables = []
    for group, title in dict(groups).items():
        others = [info for info in infos.values() if info.group == group and info.name not in shown]
        if others:
            tables.append(_group(title, others, entries))
    return tables


def _group(title: str, infos: Sequence[MetricInfo], entries: Sequence[Entry]) -> Table:
    having = {info.name: [entry for entry in entries if found_score(entry, info.name)] for info in infos}
    columns = [info for info in infos if 2 * len(having[info.name]) >= len(entries)]
    footnotes = [_few(info, having[info.name], len(entries)) for info in infos if info not in columns]
    best = {info.name: best_of([entry.run.scores.find(info.name) for entry in entries], info) for info in columns}
    reasons: dict[str, dict[str, None]] = {}
    rows = []
    for entry in entries:
        cells = []
        for info in columns:
            score, reason = entry.run.scores.find(info.name), entry.run.scores.not_computed.get(info.name, "")
            words = told_by_words(score, entry.run.scores) if score is not None and score.value is not None else ""
            if reason:
                reasons.setdefault(reason, {})[entry.name] = None
            cells.append(replace(made_cell(score, best[info.name], reason), way=words))
        rows.append((entry.name, entry.number, tuple(cells)))
    footnotes += [f"not computed: {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return Table(
        title,
        tuple(info.title for info in columns),
        tuple(rows) if columns else (),
        tuple(head_note(info) for info in columns),
        tuple(footnotes),
    )


def _few(info: MetricInfo, having: Sequence[Entry], count: int) -> str:
    told = []
    for entry in having:
        if score := found_score(entry, info.name):
            told.append(f"{entry.name} {score.value:.4f} ({interval_text(score)}, n {score.n})")
    return (
        f"{info.title}, for {len(having)} of {count} runs only: {'; '.join(told)}"
        if told
        else f"{info.title}: no value"
    )


def nowhere_lines(entries: Sequence[Entry]) -> list[str]:
    """Metrics that no run has, with the reason, one line a reason."""
    infos = metrics_of(entries)
    reasons: dict[str, dict[str, None]] = {}
    for entry in entries:
        for name, reason in entry.run.scores.not_computed.items():
            if name not in infos:
                reasons.setdefault(reason, {})[name] = None
    return [f"{', '.join(sorted(names))}: {reason}" for reason, names in sorted(reasons.items())]


def reply_tables(entries: Sequence[Entry]) -> list[ReplyTable]:
    """States of the replies of every run, one table a task; runs scored before states were counted are left out."""
    tables = []
    for task in ("answers", "regions", "explanations"):
        rows, by_class = [], []
        for entry in entries:
            for value, counts in entry.run.scores.states.get(task, {}).items():
                found = tuple(int(counts.get(state, 0)) for state in REPLY_STATES)
                part = counts.get("stated", 0) + counts.get("denied", 0)
                share = f"{100 * part / max(1, sum(found)):.1f} %"
                if value == "all":
                    rows.append((entry.name, found, share))
                else:
                    by_class.append((entry.name, value, found, share))
        if rows:
            tables.append(ReplyTable(task, tuple(rows), tuple(sorted(by_class, key=lambda row: row[1]))))
    return tables


def class_tables(entries: Sequence[Entry]) -> list[tuple[str, list[Table]]]:
    """Per slice kind, one table a metric: a row per slice value, a column per run."""
    sections = []
    infos = metrics_of(entries)
    found: dict[tuple[str, str], dict[str, dict[int, Score]]] = {}
    for place, entry in enumerate(entries):
        for score in entry.run.scores.scores:
            found.setdefault((score.slice_by, score.metric), {}).setdefault(score.slice_value, {})[place] = score
    for slice_by, title in _SLICES:
        tables = []
        for info in infos.values():
            by_value = found.get((slice_by, info.name))
            if by_value:
                tables.append(_by_class(info, by_value, entries))
        if tables:
            sections.append((title, tables))
    return sections


def _by_class(info: MetricInfo, by_value: dict[str, dict[int, Score]], entries: Sequence[Entry]) -> Table:
    rows = []
    for value in sorted(by_value):
        scores = [by_value[value].get(place) for place in range(len(entries))]
        best = best_of(scores, info)
        rows.append((value, None, tuple(made_cell(score, best) for score in scores)))
    arrow = "" if info.higher_is_better or not info.ranked else " (lower is better)"
    names, numbers = tuple(entry.name for entry in entries), tuple(entry.number for entry in entries)
    return Table(info.title + arrow, names, tuple(rows), numbers=numbers)


__all__ = ["ReplyTable", "Table", "class_tables", "group_tables", "nowhere_lines", "reply_tables"]
