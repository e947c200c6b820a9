"""Scores for the terminal: one short table, or every metric with its intervals, 80 columns wide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gi_bench.harness.analysis.headline import groups_of, headline_notes, headline_tables, headline_title, names_of
from gi_bench.harness.metrics.wording import BESIDE
from gi_bench.harness.schema import Score, Scores
from gi_bench.harness.terminal_table import say_table, say_wrapped, terminal_width, wrap

_WIDTH = 80
_GROUPS = ("answers", "facts", "regions", "negatives", "explanations", "confidence")


def score_lines(runs: Sequence[Scores], *, everything: bool = False) -> list[str]:
    """What :func:`say_scores` prints in a pipe.

    Args:
        runs: scores of runs; those of another suite or ``--limit`` get a table of their own.
        everything: all metrics with intervals and n, a block each, instead of the table.
    """
    lines: list[str] = []
    for group in groups_of(runs):
        if everything:
            lines += _all_lines(group)
            continue
        lines += ["", headline_title(group)]
        lines += [line for table in headline_tables(group) for line in ("", *table.lines())]
        lines += ["", *(line for note in headline_notes(group) for line in _wrapped(note))]
    return lines


def say_scores(runs: Sequence[Scores], say: Callable[[str], None], *, everything: bool = False) -> None:
    """Print scores: one table with a row a run and what has to be said of it, or all metrics.

    Args:
        runs: as there.
        say: prints a line.
        everything: all metrics with intervals and n, a block each, instead of the table.
    """
    if not runs or everything:
        for line in score_lines(runs, everything=everything):
            say(line)
        return
    for group in groups_of(runs):
        say("")
        say(headline_title(group))
        for table in headline_tables(group, terminal_width()):
            say("")
            say_table(table)
        say("")
        for note in headline_notes(group):
            say_wrapped(note)


def scores_content(scores: Scores) -> dict[str, Any]:
    """Scores over all rows as plain values, for JSON: what ``run --json`` and ``score --json`` give of each run.

    Returns:
        ``variant``, ``suite``, ``fingerprint``, ``recipe_digest``; ``scores`` (by metric: ``title``, ``value`` or None,
        ``n``, ``image_count``, ``interval_low``, ``interval_high``, ``level``, ``higher_is_better``),
        ``not_computed`` (reason by metric), ``notes`` and ``counts``. Slices are in the run's ``scores.json``.
    """
    infos = {info.name: info for info in scores.metrics}
    values = {}
    for one in scores.scores:
        if (one.slice_by, one.slice_value) == ("all", "all"):
            info = infos[one.metric]
            values[one.metric] = {
                "title": info.title, "value": one.value, "n": one.n, "image_count": one.image_count,
                "interval_low": one.interval_low, "interval_high": one.interval_high, "level": one.level,
                "higher_is_better": info.higher_is_better if info.ranked else None,
            }  # fmt: skip
    return {
        "variant": scores.variant, "suite": scores.suite, "fingerprint": scores.fingerprint,
        "recipe_digest": scores.recipe_digest, "scores": values, "not_computed": dict(scores.not_computed),
        "notes": list(scores.notes), "counts": dict(scores.counts),
    }  # fmt: skip


def _all_lines(runs: Sequence[Scores]) -> list[str]:
    """One block a metric, one line a run: value, 95 % interval, n; then what is missing and the notes."""
    metrics = {info.name: info for scores in runs for info in scores.metrics}
    ordered = sorted(metrics.values(), key=lambda info: _GROUPS.index(info.group) if info.group in _GROUPS else 9)
    first, names = runs[0], names_of(runs)
    lines = ["", f"{first.suite}, fingerprint {first.fingerprint[:16]}", "value [95 % interval] n", ""]
    width = max(len(name) for name in names)
    for info in ordered:
        lines.append(info.title + ("" if info.higher_is_better or not info.ranked else " (lower is better)"))
        for name, scores in zip(names, runs, strict=True):
            found = scores.find(info.name)
            words = told_by_words(found, scores) if found else ""
            cell = f"{_cell(found)}{words and '  ' + words}" if found else "not computed"
            lines.append(f"  {name:<{width}}  {cell}")
    lines.append("")
    lines += _not_computed(runs)
    own = [info.title for info in ordered if not info.comparable]
    if own:
        lines += _wrapped(f"not comparable with published numbers: {', '.join(own)}")
    lines += [line for scores in runs for line in _replies(scores)]
    for note in dict.fromkeys(note for scores in runs for note in scores.notes):
        lines += _wrapped(f"note: {note}")
    return [*lines, ""]


def _not_computed(runs: Sequence[Scores]) -> list[str]:
    """Which metrics are not there and why, and of which runs where others have them."""
    missing: dict[tuple[str, str], list[str]] = {}
    for label, scores in zip(names_of(runs), runs, strict=True):
        for name, reason in scores.not_computed.items():
            missing.setdefault((name, reason), []).append(label)
    told: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (name, reason), variants in sorted(missing.items()):
        told.setdefault((reason, tuple(variants)), []).append(name)
    lines = []
    for (reason, of_variants), names in told.items():
        everywhere = len(of_variants) == len(runs) > 1
        of = " for any run" if everywhere else f" for {', '.join(of_variants)}"
        lines += _wrapped(f"not computed{of}: {', '.join(names)}: {reason}")
    return lines


def _replies(scores: Scores) -> list[str]:
    """One sentence on replies that neither state nor deny anything; none where all do."""
    parts = []
    for task, by_class in scores.states.items():
        counts = by_class.get("all", {})
        others = [
            f"{count:,} {state}" for state, count in counts.items() if count and state not in ("stated", "denied")
        ]
        if others:
            parts.append(f"of {sum(counts.values()):,} {task} {', '.join(others)}")
    return _wrapped(f"replies of {scores.variant}: {'; '.join(parts)}") if parts else []


def _wrapped(text: str) -> list[str]:
    return wrap(text, _WIDTH, break_long_words=False)


def _cell(score: Score) -> str:
    if score.value is None:
        return f"no value  n {score.n}"
    low, high = score.interval_low, score.interval_high
    interval = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
    return f"{score.value:.4f}{interval}  {score.n}"


def told_by_words(score: Score, scores: Scores) -> str:
    """How far words alone tell the rows of a rate of false alarms; empty for other metrics."""
    told = scores.find(BESIDE[score.metric]) if score.metric in BESIDE else None
    return "" if told is None or told.value is None else f"told by words alone: {told.value:.2f}"
