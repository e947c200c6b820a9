"""A scored review as lines for people and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from gi_bench.harness.analysis.review.key import CRITERIA
from gi_bench.harness.analysis.review.scoring import Review
from gi_bench.harness.schema import Score
from gi_bench.harness.terminal import clean
from gi_bench.harness.terminal_table import cell_width, wrap

_WIDTH = 80
_FEW = 30
# Strata and classes of fewer items are shown on demand: their intervals span nearly everything.
LEAST_SHOWN = 10


def review_json(review: Review) -> str:
    """All of it; what has no value is null."""
    return json.dumps(_finite(asdict(review)), indent=1, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def review_lines(review: Review, *, everything: bool = False) -> list[str]:
    """Tables of at most 80 columns, and the notes.

    Args:
        review: the review.
        everything: strata and classes of few items, too.
    """
    lines = _wrapped(f"sheet {review.sheet[:16]} of {review.suite}: {len(review.items):,} items, {_count(review)}")
    lines += ["", "Mean rating, 1 to 5, with 95 % interval", *_means(review, everything)]
    if review.differences:
        lines += ["", "Difference of runs on the same questions (first less second)", *_differences(review)]
    if review.agreement:
        lines += ["", "Agreement of raters", *_agreement(review)]
    lines += ["", "Spearman's rho of ratings with confidence, by question class", *_confidence(review, everything)]
    lines += ["", "Spearman's rho of ratings with scores of the same rows", *_scores(review)]
    lines += ["", *_wrapped(f"Intervals: {review.interval_method}.")]
    lines += [line for note in review.notes for line in _wrapped(f"note: {note}")]
    return lines


def _count(review: Review) -> str:
    names = [one.name for one in review.raters]
    return f"{len(names)} rater{'s' if len(names) != 1 else ''}: {', '.join(names)}"


def _wrapped(text: str) -> list[str]:
    return wrap(text, _WIDTH) or [""]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their longest cell; a name that does not fit into 80 columns has a line of its own."""
    head, *rows = ([clean(cell) for cell in row] for row in (head, *rows))
    widths = [max(cell_width(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    rest = sum(width + 2 for width in widths[1:])
    widths[0] = max(8, min(widths[0], _WIDTH - rest))
    for row in (head, *rows):
        first = row[0]
        if cell_width(first) > widths[0]:
            yield from _wrapped(first)
            first = ""
        cells = [first, *row[1:]]
        padded = (cell + " " * (width - cell_width(cell)) for cell, width in zip(cells, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _bounded(value: float | None, low: float | None, high: float | None, sign: str = "") -> str:
    if value is None:
        return "no value"
    shown, *bounds = (f"{round(one, 2) + 0.0:{sign}.2f}" for one in (value, low, high) if one is not None)
    return f"{shown} [{', '.join(bounds)}]" if len(bounds) == 2 else shown


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _n(count: int) -> str:
    return f"{count:,}{' few' if count < _FEW else ''}"


def _means(review: Review, everything: bool) -> Iterator[str]:
    found: dict[tuple[str, str, str], dict[str, Score]] = {}
    for mean in review.means:
        place = mean.run, mean.score.slice_by, mean.score.slice_value
        found.setdefault(place, {})[mean.score.metric] = mean.score
    rows, left = [], 0
    for (run, by, value), scores in found.items():
        count = max(score.n for score in scores.values())
        if by != "all" and count < LEAST_SHOWN and not everything:
            left += 1
            continue
        cells = [
            _bounded(score.value, score.interval_low, score.interval_high)
            if (score := scores.get(one)) is not None
            else "no value"
            for one in CRITERIA
        ]
        rows.append([run if by == "all" else f"  {value}", *cells, _n(count)])
    yield from _table(["run", *CRITERIA, "n"], rows)
    yield from _left_out(left, "strata")


def _left_out(count: int, what: str) -> Iterator[str]:
    if count:
        yield f"{count:,} {what} with fewer than {LEAST_SHOWN} items: --all shows them"


def _differences(review: Review) -> Iterator[str]:
    rows = [
        [
            one.criterion,
            _bounded(one.difference, one.low, one.high, "+"),
            _p(one.p),
            _p(one.adjusted),
            _n(one.n),
        ]
        for one in review.differences
    ]
    pairs = [(one.first, one.second) for one in review.differences]
    for pair in dict.fromkeys(pairs):
        yield from _wrapped(f"{pair[0]} less {pair[1]}")
        chosen = [row for row, one in zip(rows, pairs, strict=True) if one == pair]
        yield from _table(["criterion", "difference", "p", "Holm", "n"], chosen)


def _agreement(review: Review) -> Iterator[str]:
    rows = []
    for one in review.agreement:
        who = f"{one.raters[0]}, {one.raters[1]}" if one.measure == "weighted kappa" else f"all {len(one.raters)}"
        shown = one.reason if one.value is None else _bounded(one.value, one.low, one.high)
        rows.append([who, one.criterion, one.measure, shown, _n(one.n)])
    yield from _table(["raters", "criterion", "measure", "value", "n"], rows)


def _confidence(review: Review, everything: bool) -> Iterator[str]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    counts: dict[tuple[str, str], int] = {}
    reasons: dict[str, str] = {}
    for one in review.correlations:
        if one.measure != "confidence":
            continue
        if one.value is None and one.slice_by == "all":
            reasons.setdefault(one.run, one.reason)
        place = one.run, one.slice_value
        if one.value is not None:
            found.setdefault(place, {})[one.criterion] = _bounded(one.value, one.low, one.high)
        counts[place] = max(counts.get(place, 0), one.n)
    shown = [place for place in found if place[1] == "all" or counts[place] >= LEAST_SHOWN or everything]
    rows = [
        [
            place[0] if place[1] == "all" else f"  {place[1]}",
            *(found[place].get(one, "no value") for one in CRITERIA),
            _n(counts[place]),
        ]
        for place in shown
    ]
    if rows:
        yield from _table(["run", *CRITERIA, "n"], rows)
    yield from _left_out(len(found) - len(shown), "classes")
    yield from (f"{run}: no value, {reason}" for run, reason in reasons.items())


def _scores(review: Review) -> Iterator[str]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    counts: dict[tuple[str, str], int] = {}
    for one in review.correlations:
        if one.measure == "confidence" or one.value is None:
            continue
        place = one.run, one.measure
        found.setdefault(place, {})[one.criterion] = _bounded(one.value, one.low, one.high)
        counts[place] = max(counts.get(place, 0), one.n)
    for run in dict.fromkeys(run for run, _ in found):
        rows = [
            [measure, *(cells.get(one, "no value") for one in CRITERIA), _n(counts[run, measure])]
            for (of, measure), cells in found.items()
            if of == run
        ]
        yield from _table([run, *CRITERIA, "n"], rows)
    if not found:
        yield "none: no row has a score that differs"


__all__ = ["review_json", "review_lines"]
