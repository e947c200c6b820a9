"""JSON of foreign origin: one value, or one a line, with what is wrong told line by line."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, TypeGuard

from gi_bench.submissions.check.findings import Findings, shown

MOST_ROWS = 100_000


@dataclass(frozen=True)
class Record:
    """A row, and the line it stands in (0 where its file is one value)."""

    line: int
    value: dict[str, Any]


def parse(text: str, file: str, line: int, found: Findings) -> tuple[bool, Any]:
    """Whether a text is JSON, and its value; constants that are none and keys that are twice are reported."""

    def constant(name: str) -> float:
        found.add("json-constant", name, file, line)
        return float(name)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key, one in items:
            if key in value:
                found.add("json-twice", shown(key), file, line)
            value[key] = one
        return value

    try:
        return True, json.loads(text, parse_constant=constant, object_pairs_hook=pairs)
    except RecursionError:
        found.add("json", "nested too deeply", file, line)
    except json.JSONDecodeError as error:
        found.add("json", f"{error.msg} (column {error.colno})", file, line or error.lineno)
    except ValueError as error:  # a number of thousands of digits
        found.add("json", str(error).partition(";")[0][:100], file, line)
    return False, None


def parse_lines(text: str, file: str, found: Findings) -> list[Record]:
    """The objects of a file with one a line; blank lines and other values are reported."""
    rows: list[Record] = []
    if text.lstrip().startswith("["):
        found.add("json", "the file is one list; write one object a line", file, 1)
        return rows
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if len(rows) > MOST_ROWS:
            found.add("size", f"more than {MOST_ROWS:,} rows, so that the rest was not read", file, number)
            break
        if not line.strip():
            found.add("line-blank", "the client skips it", file, number)
            continue
        is_json, value = parse(line, file, number, found)
        if is_json and isinstance(value, dict):
            rows.append(Record(number, value))
        elif is_json:
            found.add("row-kind", f"{shown(value)} where an object has to be", file, number)
    return rows


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a number that a float can hold; a long one is compared, not converted."""
    return is_number(value) and -sys.float_info.max <= value <= sys.float_info.max


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether a JSON value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_text(value: Any, key: str, file: str, line: int, found: Findings) -> TypeGuard[str]:
    """Whether a value is a text that can be written; else it is reported."""
    if not isinstance(value, str):
        found.add("key-type", f"{key} is {shown(value)}, and has to be a text", file, line)
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        found.add("text-damaged", key, file, line)
        return False
    return True


__all__ = ["Record", "check_text", "is_finite", "is_number", "is_whole", "parse", "parse_lines"]
