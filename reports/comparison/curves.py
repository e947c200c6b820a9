"""Figures of confidence: reliability and risk-coverage, read from the runs' answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gi_bench.harness import provenance
from gi_bench.harness.intervals import rate_interval
from gi_bench.harness.metrics.calibration import risk_coverage
from gi_bench.harness.metrics.sureness import Judged, judged
from gi_bench.harness.statistics import encode, sums_by_image
from gi_bench.harness.store import Run, made_parts
from gi_bench.reports.comparison.figures import Figure, color, quantitative, shape, tips
from gi_bench.reports.comparison.runs import Entry

_BINS = 10
_POINTS = 120
# A share of fewer answers than these jumps about.
_LEAST = 10


@dataclass(frozen=True)
class Curves:
    """What one run's confidences give.

    Attributes:
        bins: mean confidence, share right, ends of its interval and number of answers, a bin of equal width.
        risk: coverage and share of wrong answers among the most confident, thinned.
        n: answers with a confidence.
    """

    bins: tuple[tuple[float, float, float, float, int], ...]
    risk: tuple[tuple[float, float], ...]
    n: int


def curves(run: Run) -> Curves | None:
    """Both curves of a run; None where it gives no confidence, or always the same."""
    if run.scores.find("confidence_aurc") is None:
        return None
    return run.once("confidence curves", _kept)


def _kept(run: Run) -> Curves | None:
    """From the disk where this code made them of the same files before: reading all answers takes seconds."""
    try:
        content = provenance.content_of(made_parts(run.path))
    except OSError:
        return _made(run)
    key = provenance.digest_of("confidence curves", list(content.values()))
    stored = provenance.recall(key)
    if not isinstance(stored, list):
        made = _made(run)
        provenance.keep(key, [] if made is None else [made.bins, made.risk, made.n])
        return made
    if not stored:
        return None
    bins, risk, n = stored
    return Curves(tuple((a, b, c, d, m) for a, b, c, d, m in bins), tuple((x, y) for x, y in risk), n)


def _made(run: Run) -> Curves | None:
    found = judged(run)
    if isinstance(found, str) or len(np.unique(found.confidence)) < 2:
        return None
    coverage, risk = risk_coverage(found.confidence, found.right)
    enough = np.flatnonzero(coverage * len(found.right) >= _LEAST)
    kept = np.unique(enough[np.linspace(0, len(enough) - 1, _POINTS).astype(int)]) if len(enough) else enough
    points = tuple((round(float(coverage[i]), 5), round(float(risk[i]), 5)) for i in kept)
    return Curves(_bins(found), points, len(found.right))


def _bins(found: Judged) -> tuple[tuple[float, float, float, float, int], ...]:
    """Bins of equal width with at least one answer."""
    codes = np.clip(np.ceil(found.confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    images, count = encode(found.images)
    made = []
    for code in np.unique(codes):
        rows = codes == code
        hits = np.stack([found.right[rows], np.ones(int(rows.sum()))], axis=1)
        right = float(found.right[rows].mean())
        low, high = rate_interval(sums_by_image(hits, images[rows], count)) or (right, right)
        mean = float(found.confidence[rows].mean())
        made.append((round(mean, 5), round(right, 5), round(low, 5), round(high, 5), int(rows.sum())))
    return tuple(made)


def _having(entries: Sequence[Entry]) -> list[tuple[Entry, Curves]]:
    return [(entry, found) for entry in entries if (found := curves(entry.run)) is not None]


def reliability(models: Sequence[Entry]) -> Figure | None:
    """Confidence against the share of right answers."""
    having = _having(models)
    values, rows = [], []
    for entry, found in having:
        for mean, right, low, high, n in found.bins:
            if n >= _LEAST:
                values.append({"run": entry.name, "x": mean, "y": right, "low": low, "high": high, "n": n})
            rows.append(
                (entry.number, (entry.name, f"{mean:.3f}", f"{right:.3f}", f"{low:.3f} to {high:.3f}", f"{n:,}"))
            )
    if not values:
        return None
    whole = {"domain": [0, 1]}
    x, y = quantitative("x", "confidence", scale=whole), quantitative("y", "share of right answers", scale=whole)
    entries = [entry for entry, _ in having]
    told = tips(("run", "run"), ("x", "confidence"), ("y", "right"), ("low", "from"), ("high", "to"), ("n", "answers"))
    base = {"x": x, "y": y, "color": color(entries, legend=True)}
    spec = {
        "width": 420,
        "height": 300,
        "layer": [
            {
                "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
                "mark": {"type": "line", "strokeDash": [5, 4], "color": "#888", "strokeWidth": 1},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": values},
                "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.7},
                "encoding": {**base, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
            },
            {"data": {"values": values}, "mark": {"type": "line", "strokeWidth": 1.5}, "encoding": base},
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {**base, "shape": shape(entries, legend=True), "tooltip": told},
            },
        ],
    }
    return Figure(
        "reliability",
        "Reliability of confidence",
        "An honest confidence lies on the dashed line: of the answers given with .7, seven in ten are right. Below it "
        f"the model is too sure. Ten bins of equal width, bars are 95 % intervals; bins of fewer than {_LEAST} answers "
        "are in the table only.",
        f"share of right answers by confidence of {len(entries)} models",
        spec,
        ("run", "mean confidence", "share right", "95 % interval", "answers"),
        tuple(rows),
    )


def risk_by_coverage(models: Sequence[Entry]) -> Figure | None:
    """How many wrong answers are left if only the most confident are kept."""
    having = [(entry, found) for entry, found in _having(models) if found.risk]
    values = [{"run": entry.name, "x": coverage, "y": risk} for entry, found in having for coverage, risk in found.risk]
    if not values:
        return None
    entries = [entry for entry, _ in having]
    rows = []
    for entry, found in having:
        told = [min(found.risk, key=lambda point: abs(point[0] - wanted))[1] for wanted in (0.1, 0.25, 0.5, 0.75, 1.0)]
        rows.append((entry.number, (entry.name, *(f"{risk:.3f}" for risk in told))))
    spec = {
        "data": {"values": values},
        "width": 420,
        "height": 300,
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
        "encoding": {
            "x": quantitative("x", "coverage: share of answers kept", scale={"domain": [0, 1]}),
            "y": quantitative("y", "risk: share of wrong answers", scale={"domain": [0, 1]}),
            "color": color(entries, legend=True),
            "tooltip": tips(("run", "run"), ("x", "coverage"), ("y", "risk")),
        },
    }
    return Figure(
        "risk",
        "Risk and coverage",
        "If only the most confident answers were kept, how many of them would be wrong? A confidence that is worth "
        "something lets the line fall to the left.",
        f"share of wrong answers by coverage of {len(entries)} models",
        spec,
        ("run", "at 10 %", "at 25 %", "at 50 %", "at 75 %", "all answers"),
        tuple(rows),
    )


__all__ = ["curves", "reliability", "risk_by_coverage"]
