"""A comparison of runs for people and for machines: a table a run, what limits it, and the same as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from gi_bench.harness.analysis.comparing import LEVEL, Comparison
from gi_bench.harness.analysis.equivalence import images_needed, least_p
from gi_bench.harness.analysis.families import short_title, twins_among
from gi_bench.harness.analysis.headline import number, without_nought
from gi_bench.harness.permutation import draws_needed
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.terminal import clean
from gi_bench.harness.terminal_table import WIDTH, Column, Table, cell_width, on_terminal, say_table, say_wrapped, wrap

# What is left of 80 columns for a metric's name.
_LABEL = 14
_HEADS = ("metric", "run", "base", "difference [95 %]", "p", "Holm", "verdict")


def cautions(found: Sequence[Comparison]) -> list[str]:
    """What limits the table: p-values that cannot get small enough, and draws without a value."""
    notes = []
    # Equal on every image (one swap is all there is): more images would not make a difference of it.
    equal = [one for one in found if one.found.exact and one.found.swaps == 1]
    if equal:
        named = ", ".join(dict.fromkeys(short_title(one.metric) for one in equal))
        notes.append(f"{len(equal)} of {len(found)} comparisons are of runs that do not differ on any image ({named})")
    narrow = [one for one in found if one not in equal and one.found.smallest * len(found) >= LEVEL]
    few = [one for one in narrow if one.found.exact]
    if few:
        smallest = max(one.found.smallest for one in few)
        alike = "all" if len(few) == len(found) else f"{len(few)}"
        notes.append(
            f"{alike} of {len(found)} comparisons rest on so few images that differ that no p-value could be small "
            f"enough (the smallest possible is up to {smallest:.2g}, and Holm multiplies it by up to {len(found)}): "
            "compare fewer metrics, on more images"
        )
    drawn = [one for one in narrow if not one.found.exact]
    if drawn:
        smallest = max(one.found.smallest for one in drawn)
        notes.append(
            f"the table is too wide for its permutations: no p-value is below {smallest:.2g}, and Holm multiplies the "
            f"smallest by {len(found)}; give --resamples {draws_needed(len(found))} or more, leave --resamples out, or "
            "choose fewer metrics with --metric"
        )
    notes += _equivalence_cautions(found)
    for one in found:
        if one.found.valueless_swaps:
            notes.append(
                f"{one.metric.name} of {one.run}: {one.found.valueless_swaps} of {one.found.swaps} permutations have "
                "no value and count as extreme"
            )
        if one.found.valueless_draws:
            kept = "no interval is given" if one.found.low is None else "the interval leaves them out"
            notes.append(f"{one.metric.name} of {one.run}: {one.found.valueless_draws} resamples have no value; {kept}")
    return notes


def _equivalence_cautions(found: Sequence[Comparison]) -> list[str]:
    """Margins that so few images cannot decide."""
    tested = [one for one in found if one.margin is not None and one.equivalence is not None]
    least = {one: least_p(one.margin or 0, one.metric.high - one.metric.low, one.found.images) for one in tested}
    small = [one for one in tested if least[one] * len(tested) >= LEVEL and one.equivalent is False]
    if not small:
        return []
    span = [(one.margin or 0, one.metric.high - one.metric.low) for one in small]
    needed = max(images_needed(margin, width, len(tested), LEVEL) for margin, width in span)
    named = ", ".join(dict.fromkeys(short_title(one.metric) for one in small))
    count = f"{needed:,}" if needed < 1e9 else "more than a billion"
    return [
        f"too few images for equivalence within such a margin ({named}): {count} would be needed in a table of "
        f"{len(tested)}; take a wider margin, fewer metrics, or more images"
    ]


def comparison_lines(
    found: Sequence[Comparison],
    missing: Mapping[str, str],
    notes: Sequence[str] = (),
    left_out: Mapping[str, str] | None = None,
) -> list[str]:
    """What :func:`say_comparison` prints in a pipe, 80 columns wide.

    Args:
        found: the table.
        missing: why metrics are missing, by ``metric of run``.
        notes: what has to be said of the runs.
        left_out: metrics that were not asked for, and why.
    """
    lines = [line for text in _before(found) for line in _wrapped(text)]
    for run, of_run in _runs_of(found).items():
        lines += ["", run, *_plain(of_run)]
    if found:
        lines.append("")
    return [*lines, *(line for text in _after(found, missing, notes, left_out or {}) for line in _wrapped(text))]


def say_comparison(
    found: Sequence[Comparison],
    missing: Mapping[str, str],
    notes: Sequence[str],
    left_out: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    """Print a comparison: a table for each run on a terminal, plain lines in a pipe; arguments as above."""
    if not on_terminal():
        for line in comparison_lines(found, missing, notes, left_out):
            say(line)
        return
    for text in _before(found):
        say_wrapped(text)
    for run, of_run in _runs_of(found).items():
        say("")
        say(run)
        say_table(_table([[short_title(one.metric), *_cells(one)] for one in of_run]))
    if found:
        say("")
    for text in _after(found, missing, notes, left_out):
        say_wrapped(text)


def _before(found: Sequence[Comparison]) -> list[str]:
    """The baseline, and what the correction is over."""
    if not found:
        return ["nothing could be compared"]
    metrics, runs = list(dict.fromkeys(short_title(one.metric) for one in found)), {one.run for one in found}
    count = f"{len(found)} comparison{'s' if len(found) > 1 else ''}"
    several = f", {len(runs)} runs" if len(runs) > 1 else ""
    return [
        f"difference to {found[0].baseline} (base), run minus base; p by swapping the runs image by image",
        f"Holm corrects over {count}: {', '.join(metrics)}{several}",
    ]


def _runs_of(found: Sequence[Comparison]) -> dict[str, list[Comparison]]:
    """The comparisons of each run."""
    return {run: [one for one in found if one.run == run] for run in dict.fromkeys(one.run for one in found)}


def _plain(of_run: Sequence[Comparison]) -> list[str]:
    """A run's table in lines; a long name has a line of its own, so that the numbers stay in their columns."""
    labels = [short_title(one.metric) for one in of_run]
    is_long = [cell_width(label) > _LABEL for label in labels]
    rows = [["" if long else label, *_cells(one)] for label, long, one in zip(labels, is_long, of_run, strict=True)]
    head, *lines = _table(rows).lines()
    made = [head]
    for label, long, line in zip(labels, is_long, lines, strict=True):
        made += [*(_wrapped(clean(label)) if long else []), line]
    return made


def _table(rows: Sequence[Sequence[str]]) -> Table:
    columns = [Column(head, right=0 < place < 6, wrap=place == 0) for place, head in enumerate(_HEADS)]
    return Table(columns, rows)


def _cells(one: Comparison) -> list[str]:
    low, high = one.found.low, one.found.high
    interval = " (no interval)"
    if low is not None and high is not None:
        interval = f" [{_signed(low, one.metric, plus='')}, {_signed(high, one.metric, plus='')}]"
    return [
        number(one.values[0], one.metric),
        number(one.values[1], one.metric),
        _signed(one.found.difference, one.metric) + interval,
        _p(one.found.p, one.at_floor),
        _p(one.adjusted, one.at_floor and one.adjusted < 1),
        _verdict(one),
    ]


def _verdict(one: Comparison) -> str:
    """In a word: what was found to differ differs, whatever the margin; what was not may be equal within it."""
    return "equivalent" if one.equivalent and one.verdict == "undecided" else one.verdict


def _signed(value: float, info: MetricInfo, *, plus: str = "+") -> str:
    # At most four places, so that two bounds and a difference fit their column.
    text = f"{abs(value):.0f}" if abs(value) >= 99.95 else number(abs(value), info)
    text = "1.00" if text == "1.000" else text
    return text if not text.strip("0.") else f"{'-' if value < 0 else plus}{text}"


def _p(value: float, bound: bool) -> str:
    """A p-value; where it is an upper bound it says so, and is rounded up."""
    if not bound:
        shown = f"{value:.4f}" if value >= 0.0001 else f"{value:.0e}"
        return "1" if float(shown) == 1 else without_nought(shown)
    if value < 0.00005:
        return f"<={math.ceil(value * 1e6) / 1e6:.0e}"
    up = math.ceil(value * 10_000 - 1e-9) / 10_000
    return f"<={without_nought(f'{up:.4f}')}" if up < 1 else "1"


def _after(
    found: Sequence[Comparison], missing: Mapping[str, str], notes: Sequence[str], left_out: Mapping[str, str]
) -> list[str]:
    """What stands below the tables: rows, directions, the margin, what is missing and what was left out."""
    lines = []
    if found:
        lines.append(f"rows (images): {_rows(found)}")
        lower = [short_title(one.metric) for one in found if one.metric.ranked and not one.metric.higher_is_better]
        if lower:
            lines.append(f"lower is better: {', '.join(dict.fromkeys(lower))}")
        lines += _margin_lines(found)
    said = [*notes, *cautions(found)]
    lines += [f"note: {note}" for note in dict.fromkeys(said)]
    lines += [
        f"note: {name} says what {twin} says: one of them is enough, and each costs power"
        for name, twin in twins_among(dict.fromkeys(one.metric.name for one in found))
    ]
    absent: dict[tuple[str, str], list[str]] = {}
    for name, reason in missing.items():
        metric, _, run = name.partition(" of ")
        absent.setdefault((run, reason), []).append(metric)
    lines += [f"not computed for {run}: {', '.join(names)}: {reason}" for (run, reason), names in absent.items()]
    reasons: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        lines.append(f"not in the family: {', '.join(names)} ({reason or '--metric NAME or --all compares them too'})")
    return lines


def _rows(found: Sequence[Comparison]) -> str:
    """On how many rows and images each comparison rests; comparisons alike are named together."""
    told: dict[str, list[str]] = {}
    several = len({one.run for one in found}) > 1
    for one in found:
        count = f"{one.n:,}" if one.n == one.baseline_n else f"{one.n:,} and {one.baseline_n:,}"
        name = short_title(one.metric)
        told.setdefault(f"{count} ({one.found.images:,})", []).append(f"{name} of {one.run}" if several else name)
    if several and len(told) > 1:
        told = _without_runs(found, told)
    if len(told) == 1:
        return next(iter(told))
    return "; ".join(f"{', '.join(names)} {count}" for count, names in told.items())


def _without_runs(found: Sequence[Comparison], told: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Names without their runs where every run has the same rows."""
    runs = list(dict.fromkeys(one.run for one in found))
    shortened: dict[str, list[str]] = {}
    for count, names in told.items():
        for title in dict.fromkeys(short_title(one.metric) for one in found):
            mine = [f"{title} of {run}" for run in runs if f"{title} of {run}" in names]
            everyone = [
                run for run in runs if any(one.run == run and short_title(one.metric) == title for one in found)
            ]
            if mine:
                shortened.setdefault(count, []).extend([title] if len(mine) == len(everyone) else mine)
    return shortened


def _margin_lines(found: Sequence[Comparison]) -> list[str]:
    tested = [one for one in found if one.margin is not None]
    if not tested:
        return ["no verdict of equivalence without a margin (--margin 0.02, or --margin bleu=0.01)"]
    by_margin: dict[str, list[str]] = {}
    for one in tested:
        by_margin.setdefault(f"{one.margin:g}", []).append(short_title(one.metric))
    margins = "; ".join(f"{margin} ({', '.join(dict.fromkeys(names))})" for margin, names in by_margin.items())
    lines = [f"equivalent: two one-sided tests, p < {LEVEL:g} after Holm, that the difference is below {margins}"]
    small = [one for one in tested if one.equivalent and one.verdict != "undecided"]
    lines += [
        f"{short_title(one.metric)} of {one.run}: {one.verdict} beyond chance, but by less than the margin"
        for one in small
    ]
    return lines


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH) or [""]


def comparison_json(
    found: Sequence[Comparison],
    missing: Mapping[str, str],
    notes: Sequence[str] = (),
    left_out: Mapping[str, str] | None = None,
) -> str:
    """The table as JSON; what is not a finite number is null."""
    rows = [
        {**asdict(one), "verdict": one.verdict, "p_is_bound": one.at_floor, "equivalent": one.equivalent}
        for one in found
    ]
    content = {
        "baseline": found[0].baseline if found else None,
        "comparisons": rows,
        "family": {
            "metrics": list(dict.fromkeys(one.metric.name for one in found)),
            "runs": list(dict.fromkeys(one.run for one in found)),
            "comparisons": len(found),
            "correction": "Holm",
            "level": LEVEL,
        },
        "left_out": {name: reason or "not asked for" for name, reason in (left_out or {}).items()},
        "not_computed": dict(missing),
        "notes": [*dict.fromkeys([*notes, *cautions(found)])],
    }
    return json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


__all__ = ["cautions", "comparison_json", "comparison_lines", "say_comparison"]
