"""Content of JSON and TOML files, checked against the record that declares it.

A record is a dataclass or a pydantic model. Values are checked strictly (a number in quotes is no number), a key that
the record does not have is refused by name, and what is wrong is one line: the key, the place, what is allowed.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.files import content_of, read_toml
from gi_bench.harness.json_text import parse_json

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Record = TypeVar("Record")
# pydantic's names for a key that a model, or a dataclass, does not have.
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def checked(
    content: Any,
    record: type[Record],
    where: object,
    *,
    do: str = "",
    error: type[GiBenchError] = GiBenchError,
    finite: bool = True,
) -> Record:
    """Parsed JSON or TOML as a record.

    Args:
        content: as parsed.
        record: dataclass or pydantic model, extra keys forbidden.
        where: the file, and the line where it has many.
        do: what the user can do; empty leaves it to the message.
        error: kind of the error.
        finite: whether NaN and infinity are refused.

    Raises:
        GiBenchError: a key is unknown or missing, or a value is not allowed.
    """
    from pydantic import ValidationError

    try:
        # Through JSON, since only there a strict check takes a list for a tuple. TOML's dates become texts.
        text = json.dumps({"content": content}, default=str)
        found: Record = getattr(_model_of(record, finite).model_validate_json(text), "content")  # noqa: B009
        return found
    except ValidationError as problems:
        raise _told(problems, record, where, do, error) from problems
    except RecursionError as problems:
        raise error("nested too deeply", where=where, do=do) from problems


def read_checked(path: Path, record: type[Record], *, do: str = "", error: type[GiBenchError] = GiBenchError) -> Record:
    """Read a TOML (by its ending) or JSON file as a record; see :func:`checked`.

    Raises:
        GiBenchError: missing, not UTF-8, not TOML or JSON, a key twice, or refused by :func:`checked`.
    """
    content = (
        read_toml(path) if path.suffix.lower() == ".toml" else parse_json(read_text(path, do, error), path, do, error)
    )
    return checked(content, record, path, do=do, error=error)


def read_text(path: Path, do: str = "", error: type[GiBenchError] = GiBenchError) -> str:
    """The text of a file that a user gave.

    Raises:
        GiBenchError: missing, no plain file, or not UTF-8.
    """
    content = content_of(path, do=do or "check the path", error=error)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as found:
        raise error("cannot read the file: it is not UTF-8 text", where=path, do=do or "save it as UTF-8") from found


def _model_of(record: Any, finite: bool = True) -> type[BaseModel]:
    return _made(record, finite)  # mypy calls no type hashable: the cache stands behind an Any


@cache
def _made(record: Any, finite: bool) -> type[BaseModel]:
    """A model around a record. Plain dataclasses take over its configuration, down to the last nested one."""
    from pydantic import ConfigDict, create_model

    return create_model(
        "Content", __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=not finite), content=(record, ...)
    )


def _told(found: ValidationError, record: Any, where: object, do: str, error: type[GiBenchError]) -> GiBenchError:
    """The first problem in one line; an unknown key comes before a missing one, which it often is, misspelt."""
    problems = sorted(found.errors(include_url=False), key=lambda one: one["type"] not in _UNKNOWN)
    first = problems[0]
    place = [str(part) for part in first["loc"][1:]]
    parent = ".".join(place[:-1])
    names = keys_of(record, place[:-1])
    if first["type"] in _UNKNOWN:
        near = difflib.get_close_matches(place[-1], names, n=1)
        what = f"unknown key {place[-1][:60]!r}" + (f": did you mean {near[0]!r}?" if near else "")
        do = f"allowed{f' in {parent}' if parent else ''}: {', '.join(names)}"
    elif first["type"] in ("missing", "missing_argument"):
        what = f"the key {place[-1]!r} is missing" + (f" in {parent}" if parent else "")
    elif not place:
        what = f"not an object with the keys {', '.join(keys_of(record, []))}"
    else:
        message = first["msg"].removeprefix("Value error, ")
        what = f"{'.'.join(place)}: {message[:1].lower()}{message[1:]}"
    if len(problems) > 1:
        what += f" (and {len(problems) - 1} more)"
    return error(what, where=where, do=do)


def refuse_unknown(
    keys: Iterable[str], allowed: Sequence[str], where: object, error: type[GiBenchError] = GiBenchError
) -> None:
    """Refuse keys (or columns) that are not among those allowed.

    Raises:
        GiBenchError: names the first such key.
    """
    for key in keys:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1)
            raise error(
                f"unknown key {str(key)[:60]!r}" + (f": did you mean {near[0]!r}?" if near else ""),
                where=where,
                do=f"allowed: {', '.join(allowed)}",
            )


def keys_of(record: Any, place: Sequence[str]) -> list[str]:
    """The keys that are allowed at a place inside a record."""
    hint: Any = record
    for part in place:
        hint = _inside(hint, part)
    return sorted(_fields(_bare(hint)))


def _fields(hint: Any) -> Mapping[str, Any]:
    if dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        return {one.name: hints[one.name] for one in dataclasses.fields(hint)}
    known = getattr(hint, "model_fields", {})
    return {one.alias or name: one.annotation for name, one in known.items()}


def _bare(hint: Any) -> Any:
    """A type without ``| None`` and annotations."""
    while get_origin(hint) in (Union, types.UnionType) or hasattr(hint, "__metadata__"):
        hint = next((one for one in get_args(hint) if one is not type(None)), None)
    return hint


def _inside(hint: Any, part: str) -> Any:
    hint = _bare(hint)
    fields = _fields(hint)
    if fields:
        return fields.get(part)
    inner = get_args(hint)  # of a mapping the value, of a list or a tuple the item
    return inner[-1] if inner and inner[-1] is not Ellipsis else (inner[0] if inner else None)


__all__ = ["checked", "keys_of", "parse_json", "read_checked", "read_text", "refuse_unknown"]
