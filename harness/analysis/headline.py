"""The one table that a run ends with: a row a run, the numbers that a reader looks for first, 80 columns wide."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from gi_bench.harness.analysis.definitions import headlines
from gi_bench.harness.analysis.families import first_of
from gi_bench.harness.metrics.wording import BESIDE
from gi_bench.harness.schema import MetricInfo, Score, Scores
from gi_bench.harness.terminal import clean
from gi_bench.harness.terminal_table import WIDTH, Column, Table, cell_width

# A heading of at most three short lines, and the same in a sentence, for each of the metrics that come first.
_HEADS = {
    "bleu": ("BLEU", "BLEU"),
    "fact_accuracy": ("facts\nright", "facts right"),
    "region_iou": ("IoU", "IoU"),
    "answer_false_positive_rate": ("false\nalarms,\nanswers", "false alarms of answers"),
    "region_false_positive_rate": ("false\nalarms,\nregions", "false alarms of regions"),
    "explanation_fact_score": ("explan.\nfacts", "facts of explanations"),
    "confidence_auroc_within": ("conf.\nAUROC", "AUROC of confidence"),
}
_MOST_COLUMNS = 10
# Of a run's name; a longer one loses its middle.
_LONGEST_NAME = 50
_HEAD_WIDTH = 9
_SPREAD = "95 %, +/- up to"
_NOTHING = "-"
_LONGEST_REASON = 64


def names_of(runs: Sequence[Scores]) -> list[str]:
    """A name for each run: its variant; with its recipe where there are several, and a number where that is one too."""
    variants = [scores.variant for scores in runs]
    wanted = [
        scores.variant if variants.count(scores.variant) == 1 else f"{scores.variant}-{scores.recipe_digest[:8]}"
        for scores in runs
    ]
    return [
        name if wanted.count(name) == 1 else f"{name} ({wanted[: place + 1].count(name)})"
        for place, name in enumerate(wanted)
    ]


def groups_of(runs: Sequence[Scores]) -> list[list[Scores]]:
    """Runs that may share a table: of one suite and, where some were limited, of the same number of questions."""
    found: dict[tuple[str, str, int | None], list[Scores]] = {}
    for scores in runs:
        key = (scores.suite, scores.fingerprint, scores.counts.get("questions"))
        found.setdefault(key, []).append(scores)
    return list(found.values())


def columns_of(runs: Sequence[Scores]) -> list[MetricInfo]:
    """The metrics of the table: one of each kind, and those that plugins and judges bring, ten at most."""
    infos = {info.name: info for scores in runs for info in scores.metrics}
    names = first_of(infos.values(), headlines(infos.values()))
    return [infos[name] for name in names][:_MOST_COLUMNS]


def headline_tables(runs: Sequence[Scores], width: int = WIDTH) -> list[Table]:
    """The table, in one block or, where names are long or metrics many, in blocks that stand above each other.

    Args:
        runs: scores that may share a table.
        width: columns that there are.
    """
    columns, names = columns_of(runs), _shortened(map(clean, names_of(runs)))
    heads = [_HEADS[info.name][0] if info.name in _HEADS else _head(info.title) for info in columns]
    cells = [[_cell(scores.find(info.name), info) for info in columns] for scores in runs]
    spread = [_widest([scores.find(info.name) for scores in runs], info) for info in columns]
    rows, labels = [*cells], [*names]
    if any(one != _NOTHING for one in spread):
        rows, labels = [*cells, spread], [*names, _SPREAD]
    label_width = max((cell_width(label) for label in [*labels, "run"]), default=0)
    blocks: list[list[int]] = [[]]
    used = label_width
    for place, head in enumerate(heads):
        wide = 2 + max(cell_width(text) for text in [*head.split("\n"), *(row[place] for row in rows)])
        if blocks[-1] and used + wide > width:
            blocks.append([])
            used = label_width
        blocks[-1].append(place)
        used += wide
    return [
        Table(
            [Column("run"), *(Column(heads[place], right=True) for place in block)],
            [[label, *(row[place] for place in block)] for label, row in zip(labels, rows, strict=True)],
            last=len(rows) - len(cells),
        )
        for block in blocks
        if block
    ]


def headline_title(runs: Sequence[Scores]) -> str:
    """What was run: suite, fingerprint and rows."""
    first = runs[0]
    parts = [f"{first.suite}, fingerprint {first.fingerprint[:16]}"]
    for what in ("questions", "phrases"):
        if most := max(scores.counts.get(what, 0) for scores in runs):
            parts.append(f"{most:,} {what}")
    return ", ".join(parts)


def headline_notes(runs: Sequence[Scores]) -> list[str]:
    """What has to be said below the table, a sentence each."""
    columns = columns_of(runs)
    lines = []
    lower = [_said(info) for info in columns if info.ranked and not info.higher_is_better]
    if lower:
        lines.append(f"lower is better: {', '.join(lower)}")
    told = {}
    for scores in runs:
        for info in columns:
            found = scores.find(BESIDE[info.name]) if info.name in BESIDE else None
            if found is not None and found.value is not None:
                told[_said(info)] = without_nought(f"{found.value:.2f}")
    if told:
        lines.append("told by words alone (AUROC): " + ", ".join(f"{name} {value}" for name, value in told.items()))
    lines += missing_lines(runs, columns)
    lines += _notes(runs)
    hidden = len({info.name for scores in runs for info in scores.metrics}) - len(columns)
    if hidden > 0:
        lines.append(f"{hidden} more metrics, intervals, n and all reasons: gi-bench score --all RUN, or the report")
    return lines


def _notes(runs: Sequence[Scores]) -> list[str]:
    """Each note once, with the runs that it is on where the others do not have it."""
    said: dict[str, list[str]] = {}
    for name, scores in zip(names_of(runs), runs, strict=True):
        for note in dict.fromkeys(scores.notes):
            # What says that a run takes no part says what the reasons for its empty cells say.
            if not note.startswith(f"{scores.variant} takes no part"):
                said.setdefault(note, []).append(name)
    return [
        f"note: {note}" if len(names) == len(runs) else f"note on {', '.join(names)}: {note}"
        for note, names in said.items()
    ]


def missing_lines(runs: Sequence[Scores], columns: Sequence[MetricInfo]) -> list[str]:
    """One sentence a run on the table's empty cells: which metrics, and why, in short."""
    told: dict[str, list[str]] = {}
    shown = {info.name for info in columns}
    nowhere: dict[str, list[str]] = {}
    for metric, (_, said) in _HEADS.items():
        why = [scores.not_computed[metric] for scores in runs if metric in scores.not_computed]
        if metric not in shown and why:
            nowhere.setdefault(shortened(why[0]), []).append(said)
    for name, scores in zip(names_of(runs), runs, strict=True):
        reasons: dict[str, list[str]] = {}
        for info in columns:
            found = scores.find(info.name)
            if found is None:
                reason = shortened(scores.not_computed.get(info.name, "not among its scores"))
            elif found.value is None:
                reason = f"no value, n {found.n}"
            else:
                continue
            reasons.setdefault(reason, []).append(_said(info))
        if reasons:
            told.setdefault(_reasons(reasons), []).append(name)
    lines = [f"not computed for {', '.join(names)}: {text}" for text, names in told.items()]
    if nowhere:
        everyone = names_of(runs)[0] if len(runs) == 1 else "any run"
        lines.append(f"not computed for {everyone}: {_reasons(nowhere)}")
    return lines


def _reasons(reasons: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())


def shortened(reason: str) -> str:
    """The first part of a reason, which says what it is; the whole is in ``scores.json``.

    >>> shortened("takes no part: 2 of 120 regions state or deny something (118 not given); 118 repeat the answer")
    'takes no part: 2 of 120 regions'
    """
    first = re.split(r" \(|; |: give | state or deny", " ".join(reason.split()))[0]
    return first if len(first) <= _LONGEST_REASON else f"{first[: _LONGEST_REASON - 3].rstrip()}..."


def _said(info: MetricInfo) -> str:
    """A column's heading in a sentence."""
    return _HEADS[info.name][1] if info.name in _HEADS else info.title


def _head(title: str) -> str:
    """A title in short lines, broken between words."""
    lines = [""]
    for word in title.split():
        joined = f"{lines[-1]} {word}".strip()
        if cell_width(joined) <= _HEAD_WIDTH:
            lines[-1] = joined
        else:
            lines.append(word if cell_width(word) <= WIDTH // 4 else f"{word[: WIDTH // 4 - 2]}..")
    return "\n".join(lines[:4]).strip("\n") or "?"


def _shortened(names: Iterable[str]) -> list[str]:
    """Names that fit, each its own: a long one loses its middle."""
    half = (_LONGEST_NAME - 2) // 2
    kept: list[str] = []
    for name in names:
        short = name if cell_width(name) <= _LONGEST_NAME else f"{name[:half]}..{name[-half:]}"
        while cell_width(short) > _LONGEST_NAME:
            short = short[1:]
        number = 1
        while short in kept:
            number += 1
            short = f"{name[: half - 4]}..{number}..{name[-half + 4 :]}"
        kept.append(short)
    return kept


def _cell(score: Score | None, info: MetricInfo) -> str:
    return _NOTHING if score is None or score.value is None else number(score.value, info)


def number(value: float, info: MetricInfo) -> str:
    """A score in the digits that it deserves: three after the point, without the nought, where 1 is the most.

    >>> number(0.6171, MetricInfo("a", "A", "", "")), number(1.0, MetricInfo("a", "A", "", ""))
    ('.617', '1.000')
    """
    if max(abs(info.low), abs(info.high)) > 1 or abs(value) > 1:
        places = 2 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
        return f"{value:.{places}f}" if abs(value) < 1e6 else f"{value:.3g}"
    return without_nought(f"{value:.3f}")


def without_nought(text: str) -> str:
    """``-0.5`` as ``-.5``; a nought with a sign is a nought."""
    if not text.strip("-+0."):
        text = text.lstrip("-")
    return re.sub(r"^([+-]?)0\.", r"\1.", text)


def _widest(found: Sequence[Score | None], info: MetricInfo) -> str:
    """Half of the widest interval of a column."""
    halves = [
        (one.interval_high - one.interval_low) / 2
        for one in found
        if one is not None and one.interval_low is not None and one.interval_high is not None
    ]
    return number(max(halves), info) if halves else _NOTHING


__all__ = [
    "columns_of",
    "groups_of",
    "headline_notes",
    "headline_tables",
    "headline_title",
    "missing_lines",
    "names_of",
    "number",
    "shortened",
    "without_nought",
]
