"""Records as Arrow tables and back, generated from the types that :mod:`gi_bench.harness.schema` declares.

``str``, ``bool`` and ``bytes`` are their own columns, ``int`` is int32, ``float`` is float32, a ``Literal`` of texts is
a text, ``tuple[X, ...]`` a list, a record inside a record a struct, and what may be None is null.
"""

from __future__ import annotations

import dataclasses
import hashlib
import types
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from gi_bench.harness import files
from gi_bench.harness.errors import RunError
from gi_bench.harness.schema import Region

Record = TypeVar("Record")
_SCALARS: dict[Any, pa.DataType] = {
    str: pa.string(), bool: pa.bool_(), bytes: pa.binary(), int: pa.int32(), float: pa.float32(),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Column:
    """One field of a record: its Arrow type, and how its values are read back."""

    name: str
    type: pa.DataType
    is_optional: bool
    is_added: bool
    default: Any
    allowed: tuple[str, ...]
    make: Callable[[Any], Any] | None


def _without_none(hint: Any) -> tuple[Any, bool]:
    """A type without ``| None``, and whether that was there."""
    if get_origin(hint) in (Union, types.UnionType):
        left = [one for one in get_args(hint) if one is not type(None)]
        if len(left) != 1:
            raise TypeError(f"a column cannot hold {hint}")
        return left[0], True
    return hint, False


def _arrow(hint: Any) -> pa.DataType:
    hint, _ = _without_none(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if get_origin(hint) is Literal and all(isinstance(one, str) for one in get_args(hint)):
        return pa.string()
    if get_origin(hint) is tuple:
        return pa.list_(_arrow(get_args(hint)[0]))
    if dataclasses.is_dataclass(hint):
        return pa.struct([(column.name, column.type) for column in _columns(hint)])
    raise TypeError(f"a column cannot hold {hint}")


def _maker(hint: Any) -> Callable[[Any], Any] | None:
    """What makes a value of this type out of pyarrow's; None where it is one already."""
    hint, _ = _without_none(hint)
    if get_origin(hint) is tuple:
        inner = _maker(get_args(hint)[0])
        return tuple if inner is None else lambda values: tuple(map(inner, values))
    if dataclasses.is_dataclass(hint):
        record: Any = hint
        makers = {column.name: column.make for column in _columns(hint) if column.make is not None}

        def make(row: dict[str, Any]) -> Any:
            for name, inner in makers.items():
                if row.get(name) is not None:
                    row[name] = inner(row[name])
            made = record(**row)
            if isinstance(made, Region):
                made.check()
            return made

        return make
    return None


def _columns(record: Any) -> tuple[_Column, ...]:
    return _made(record)  # mypy calls no type hashable: the cache stands behind an Any


@cache
def _made(record: Any) -> tuple[_Column, ...]:
    hints = get_type_hints(record)
    found = []
    for one in dataclasses.fields(record):
        bare, optional = _without_none(hints[one.name])
        found.append(
            _Column(
                name=one.name,
                type=_arrow(bare),
                is_optional=optional,
                is_added=bool(one.metadata.get("added")),
                default=one.default,
                allowed=get_args(bare) if get_origin(bare) is Literal else (),
                make=_maker(bare),
            )
        )
    return tuple(found)


def schema_of(record: type[Any]) -> pa.Schema:
    """The Arrow schema of a record's table: one column a field, in the order of the fields.

    Raises:
        TypeError: a field's type has no column.
    """
    return pa.schema([(column.name, column.type) for column in _columns(record)])


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if dataclasses.is_dataclass(value):
        return {column.name: _plain(getattr(value, column.name)) for column in _columns(type(value))}
    return value


def table_of(records: Iterable[Record], record: type[Record]) -> pa.Table:
    """Records as an Arrow table of :func:`schema_of`."""
    rows = list(records)
    arrays = []
    for column in _columns(record):
        values = [getattr(row, column.name) for row in rows]
        if column.make is not None:
            values = [_plain(value) for value in values]
        arrays.append(pa.array(values, column.type))
    return pa.table(arrays, schema=schema_of(record))


def records_of(table: pa.Table, record: type[Record], where: object = "") -> list[Record]:
    """The inverse of :func:`table_of`. A column or a field of a struct that was added later may be missing.

    Raises:
        RunError: another column is missing or not known, has another type, is empty in a row that needs a value, or
            holds a text that is none of those allowed.
    """
    columns = _columns(record)
    wanted = {column.name for column in columns}
    there = set(table.schema.names)
    if there - wanted or any(not column.is_added for column in columns if column.name not in there):
        raise RunError(
            "Parquet file of another version or another tool",
            where=where,
            do=f"expected the columns {', '.join(column.name for column in columns)}",
        )
    try:
        values = [_values(table, column, where) for column in columns]
    except (ValueError, TypeError, ArithmeticError) as error:  # run-length codes, a struct's empty field, pyarrow's
        raise RunError(
            f"a value that cannot be read: {(str(error).splitlines() or [''])[0][:120]}",
            where=where,
            do="put the original back, or make the file again",
        ) from error
    return [record(*row) for row in zip(*values, strict=True)]


def _values(table: pa.Table, column: _Column, where: object) -> list[Any]:
    if column.name not in table.schema.names:
        return [column.default] * len(table)
    stored = table[column.name]
    if not _fits(stored.type, column.type):
        raise RunError(
            f"the column {column.name} holds {stored.type}, not {column.type}", where=where, do="make the file again"
        )
    if pa.types.is_primitive(column.type) and stored.type != column.type:
        stored = stored.cast(column.type)
    values: list[Any] = stored.to_pylist()
    if not column.is_optional and stored.null_count:
        if column.default is dataclasses.MISSING:
            raise RunError(f"the column {column.name} is empty in some rows", where=where, do="make the file again")
        values = [column.default if value is None else value for value in values]
    if column.allowed and (strange := set(values) - {*column.allowed, None}):
        raise RunError(
            f"the column {column.name} holds {min(strange)[:60]!r}",
            where=where,
            do=f"it holds one of {', '.join(column.allowed)}",
        )
    make = column.make
    return values if make is None else [None if value is None else make(value) for value in values]


def _fits(stored: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of a stored type can be read as another: numbers of any width, structs without later fields."""
    kind = pa.types
    if kind.is_null(stored) or stored == wanted:
        return True
    if kind.is_struct(wanted):
        names = {wanted.field(i).name: wanted.field(i).type for i in range(wanted.num_fields)}
        return kind.is_struct(stored) and all(
            field.name in names and _fits(field.type, names[field.name])
            for field in (stored.field(i) for i in range(stored.num_fields))
        )
    if kind.is_list(wanted):
        return (kind.is_list(stored) or kind.is_large_list(stored)) and _fits(stored.value_type, wanted.value_type)
    if kind.is_integer(wanted):
        return bool(kind.is_integer(stored))
    if kind.is_floating(wanted):
        return bool(kind.is_floating(stored))
    if kind.is_string(wanted):
        return bool(kind.is_large_string(stored) or kind.is_dictionary(stored))
    return False


def write_records(path: Path, records: Iterable[Record], record: type[Record]) -> str:
    """Write records as Parquet, atomically, and give the file's SHA-256.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    files.write_table(path, table_of(records, record))
    return files.file_digest(path)


def read_stored(path: Path, digests: Mapping[str, str] | None = None) -> pa.Table:
    """Read a Parquet file of a run.

    Args:
        path: the file.
        digests: SHA-256 by file name; a file that is named there is checked.

    Raises:
        RunError: missing, truncated, or changed since the run wrote it.
    """
    wanted = (digests or {}).get(path.name)
    if wanted is None:
        return files.read_parquet(path)
    if not path.exists():
        raise RunError("a file of the run is missing", where=path, do="put it back, or run the same command again")
    content = files.content_of(path, do="put it back, or run the same command again")
    table = files.read_parquet(path, content)
    if hashlib.sha256(content).hexdigest() != wanted:
        raise RunError(
            "the file was changed after the run: its SHA-256 is not that of manifest.json",
            where=path,
            do="put the original back, or delete this file and run the same command again",
        )
    return table


__all__ = ["read_stored", "records_of", "schema_of", "table_of", "write_records"]
