"""JSON of somebody else: every name once, numbers that a machine can hold, texts that can be written again."""

from __future__ import annotations

import json
import re
from typing import Any

from gi_bench.harness.errors import GiBenchError

_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LARGEST = 2**63


def parse_json(text: str, where: object, do: str = "", error: type[GiBenchError] = GiBenchError) -> Any:
    """JSON that a user wrote; a key that is twice in one object is refused, since one of the two would be lost.

    Args:
        text: the JSON.
        where: the file, and the line where it has many.
        do: what the user can do; empty leaves it to the message.
        error: kind of the error.

    Raises:
        GiBenchError: not JSON, nested too deeply, a key twice, a whole number of more than 64 bits, or half of a
            surrogate pair in a text.
    """
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_int=_whole_number)
        if _ESCAPED_SURROGATE.search(text):
            refuse_surrogates(found)
        return found
    except RecursionError as found:
        raise error("not JSON that can be read: nested too deeply", where=where, do=do) from found
    except ValueError as found:
        raise error(f"cannot read JSON: {found}", where=where, do=do or "mend the file") from found


def _object(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = dict(items)
    if len(found) < len(items):
        names = [name for name, _ in items]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:60]!r} is there twice")
    return found


def _whole_number(digits: str) -> int:
    if len(digits) > 20 or not -_LARGEST <= (value := int(digits)) < _LARGEST:
        raise ValueError(f"a whole number of {len(digits.lstrip('-'))} digits, at most 64 bits are read")
    return value


def refuse_surrogates(value: Any) -> None:
    """Refuse texts with half of a surrogate pair, which no file can hold as UTF-8.

    Raises:
        ValueError: names the text.
    """
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(f"half of a surrogate pair in the text {value[:60]!a}") from error
    elif isinstance(value, dict):
        for key, inner in value.items():
            refuse_surrogates(key)
            refuse_surrogates(inner)
    elif isinstance(value, list):
        for inner in value:
            refuse_surrogates(inner)


__all__ = ["parse_json", "refuse_surrogates"]
