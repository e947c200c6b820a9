"""What verification found: tables and sentences 80 columns wide, or JSON."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from typing import Any

from gi_bench.harness.analysis.verify.checking import METHODS, Number, Verification
from gi_bench.harness.analysis.verify.methods import TOLERANCE
from gi_bench.harness.terminal import clean

_WIDTH = 80
_NOT_VERIFIED = (
    "intervals, and counts other than those of rows, images, missing predictions, repairs of output and replies by "
    "state, are not verified"
)


def verification_lines(found: Verification, *, summary: bool = False) -> list[str]:
    """Every number that a library computed again, what differs, and what nobody but gi-bench can say.

    Args:
        found: what verification found.
        summary: one line a metric instead of one a number.
    """
    lines = ["", f"{found.variant} on {found.suite}: scores.json and the same computed again", ""]
    lines += _summary_table(found) if summary else _tables(found)
    lines += _differences(found)
    numbers = [number for numbers in found.verified.values() for number in numbers]
    libraries = ", ".join(sorted({number.library for number in numbers}))
    wrong = sum(bool(number.problem) for number in numbers)
    lines += _wrapped(f"computed again by {libraries}" if numbers else "no number was computed again by a library")
    lines += _wrapped(
        f"{len(numbers) - wrong:,} of {len(numbers):,} numbers equal, {wrong:,} differ; equal is a difference of at "
        f"most {TOLERANCE:g}, with the same n and images"
    )
    for method in METHODS.values():
        if method.tolerance != TOLERANCE and method.metric in found.verified:
            lines += _wrapped(f"{method.metric}: at most {method.tolerance:g}, since {method.why}")
    for told, names in _by_reason(found.rests_on):
        lines += _wrapped(f"{told}, the value is the library's: {', '.join(names)}")
    lines += [line for told in _unverified(found) for line in _wrapped(told)]
    lines += _wrapped(_NOT_VERIFIED)
    return [*lines, ""]


def _unverified(found: Verification) -> Iterator[str]:
    """Sentences on all that no library computed again."""
    for reason, names in _by_reason(found.unavailable):
        yield f"not verified here: {', '.join(names)}: {reason}"
    if found.no_reference:
        yield (
            "no reference implementation: only gi-bench's own definition, never counted as verified: "
            f"{', '.join(found.no_reference)}"
        )
    own = [number for numbers in found.own.values() for number in numbers]
    if own:
        wrong = sum(bool(number.problem) for number in own)
        yield (
            f"gi-bench itself computed {len(own):,} numbers again that no library did: "
            f"{len(own) - wrong:,} equal, {wrong:,} differ"
        )
    for reason, names in _by_reason(found.unknown):
        yield f"not computed again at all: {', '.join(names)}: {reason}"
    for reason, names in _by_reason(found.not_computed):
        yield f"no value on this run: {', '.join(names)}: {reason}"
    if found.absent:
        yield f"not in scores.json (gi-bench score RUN computes them): {', '.join(found.absent)}"
    for note in found.notes:
        yield f"note: {note}"


def _by_reason(reasons: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    grouped: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        grouped.setdefault(reason, []).append(name)
    return list(grouped.items())


def _tables(found: Verification) -> list[str]:
    lines = []
    for name, numbers in found.verified.items():
        library = numbers[0].library if numbers else METHODS[name].library
        lines += _wrapped(f"{name}: {library}, {found.how.get(name, 'no such value')}")
        rows, kind = [], "all"
        for number in numbers:
            if number.slice_by != kind:
                kind = number.slice_by
                rows.append((f"{kind.replace('_', ' ')}", "", "", "", ""))
            label = number.slice_value if kind == "all" else f"  {number.slice_value}"
            rows.append(_cells(label, number))
        lines += _table(("", "scores.json", "again", "difference", "n"), rows)
    return lines


def _cells(label: str, number: Number) -> tuple[str, str, str, str, str]:
    n = number.stored_n if number.stored_n is not None else number.found_n
    return label, _value(number.stored), _value(number.found), _difference(number), str(n)


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.8f}" if math.isfinite(value) else str(value)


def _difference(number: Number) -> str:
    if number.difference is None:
        return "differs" if number.problem else "none"
    shown = f"{number.difference:.1e}" if number.difference else "0"
    return f"{shown} !" if number.problem else shown


def _summary_table(found: Verification) -> list[str]:
    rows = []
    for name, numbers in found.verified.items():
        first = next((number for number in numbers if number.slice_by == "all"), None)
        wrong = sum(bool(number.problem) for number in numbers)
        known = [abs(number.difference) for number in numbers if number.difference is not None]
        largest = f"{max(known):.1e}" if known else "-"
        rows.append(
            (
                name,
                _value(first.stored if first else None),
                _value(first.found if first else None),
                f"{largest} !" if wrong else largest,
                f"{len(numbers) - wrong}/{len(numbers)}",
            )
        )
    return _table(("all rows", "scores.json", "again", "largest", "equal"), rows)


def _differences(found: Verification) -> list[str]:
    """Each number that differs with what is wrong, whoever computed it again."""
    differing = found.differing()
    if not differing and not found.problems:
        return []
    lines = ["differs:"]
    for number in differing:
        where = "" if number.slice_by == "all" else f" {number.slice_by} {number.slice_value}"
        lines += _wrapped(
            f"  {number.metric}{where}: {_value(number.stored)} in scores.json, {_value(number.found)} by "
            f"{number.library}: {number.problem}"
        )
    for problem in found.problems:
        lines += _wrapped(f"  {problem}")
    lines += _wrapped(f"scores of the predictions that are stored, by this version: gi-bench score {found.run}")
    return [*lines, ""]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, width=_WIDTH)
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left", overflow="fold", ratio=None if place else 1)
    for row in rows:
        table.add_row(*(Text(clean(cell, keep="")) for cell in row))
    stream = StringIO()
    Console(file=stream, width=_WIDTH, color_system=None, legacy_windows=False).print(table)
    return [*(line.rstrip() for line in stream.getvalue().rstrip("\n").split("\n")), ""]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(clean(text, keep=""), _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def verification_json(found: Verification) -> str:
    """The same as JSON; a stored value that is no number is given as null, with a problem."""

    def told(number: Number) -> dict[str, Any]:
        fields = {**asdict(number), "difference": number.difference, "equal": not number.problem}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}

    content = {
        "run": str(found.run),
        "suite": found.suite,
        "variant": found.variant,
        "holds": found.holds,
        "tolerance": TOLERANCE,
        "tolerances": {m.metric: {"at_most": m.tolerance, "why": m.why} for m in METHODS.values() if m.why},
        "numbers": [told(number) for numbers in found.verified.values() for number in numbers],
        "own_numbers": [told(number) for numbers in found.own.values() for number in numbers],
        "how": dict(found.how),
        "rests_on": dict(found.rests_on),
        "not_verified_here": dict(found.unavailable),
        "no_reference": list(found.no_reference),
        "not_computed_again": dict(found.unknown),
        "no_value": dict(found.not_computed),
        "not_in_scores": list(found.absent),
        "problems": list(found.problems),
        "notes": [*found.notes, _NOT_VERIFIED],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


__all__ = ["verification_json", "verification_lines"]
