"""Scores as a small table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from harness.schema import Scores


def score_lines(runs: Sequence[Scores]) -> list[str]:
    """Lines of a table: one row a metric, one column a run, value with its interval; then the notes."""
    if not runs:
        return []
    metrics = {info.name: info for scores in runs for info in scores.metrics}
    first = runs[0]
    lines = ["", f"suite {first.suite}, fingerprint {first.fingerprint[:16]}; value [95 % interval] n"]
    names = [scores.variant for scores in runs]
    rows = [["metric", *names]]
    for name, info in metrics.items():
        arrow = "" if info.higher_is_better else " (lower is better)"
        row = [info.title + arrow]
        for scores in runs:
            found = scores.find(name)
            row.append(_cell(found.value, found.interval_low, found.interval_high, found.n) if found else "-")
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    missing: dict[str, str] = {}
    for scores in runs:
        missing.update(scores.not_computed)
    lines += [f"not computed: {name}: {reason}" for name, reason in sorted(missing.items())]
    lines += [f"note: {note}" for note in dict.fromkeys(note for scores in runs for note in scores.notes)]
    return [*lines, ""]


def _cell(value: float | None, low: float | None, high: float | None, n: int) -> str:
    if value is None:
        return f"- (n {n})"
    interval = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
    return f"{value:.4f}{interval} {n}"
