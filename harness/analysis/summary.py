"""Scores as lines for the terminal, 80 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from gi_bench.harness.metrics.wording import BESIDE
from gi_bench.harness.schema import Score, Scores

_WIDTH = 80
_GROUPS = ("answers", "facts", "regions", "negatives", "explanations", "confidence")


def score_lines(runs: Sequence[Scores], *, everything: bool = False) -> list[str]:
    """One block a metric, one line a run: value, 95 % interval, n; then what is missing and the notes.

    Args:
        runs: scores of runs on one suite.
        everything: all metrics instead of the headline ones.
    """
    if not runs:
        return []
    metrics = {info.name: info for scores in runs for info in scores.metrics}
    hidden = 0 if everything else sum(not info.headline for info in metrics.values())
    metrics = {name: info for name, info in metrics.items() if everything or info.headline}
    ordered = sorted(metrics.values(), key=lambda info: _GROUPS.index(info.group) if info.group in _GROUPS else 9)
    first = runs[0]
    lines = ["", f"{first.suite}, fingerprint {first.fingerprint[:16]}", "value [95 % interval] n", ""]
    width = max(len(scores.variant) for scores in runs)
    for info in ordered:
        lines.append(info.title + ("" if info.higher_is_better or not info.ranked else " (lower is better)"))
        for scores in runs:
            found = scores.find(info.name)
            words = told_by_words(found, scores) if found else ""
            cell = f"{_cell(found)}{words and '  ' + words}" if found else "not computed"
            lines.append(f"  {scores.variant:<{width}}  {cell}")
    if hidden:
        lines += ["", *_wrapped(f"{hidden} more metrics: scores.json, the report, or gi-bench score --all RUN")]
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
    for scores in runs:
        for name, reason in scores.not_computed.items():
            missing.setdefault((name, reason), []).append(scores.variant)
    told: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (name, reason), variants in sorted(missing.items()):
        told.setdefault((reason, tuple(variants)), []).append(name)
    lines = []
    for (reason, of_variants), names in told.items():
        of = "" if len(of_variants) == len(runs) else f" for {', '.join(dict.fromkeys(of_variants))}"
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
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


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
