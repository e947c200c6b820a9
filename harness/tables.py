"""Records as Arrow tables and back, generated from the types that :mod:`gi_bench.harness.schema` declares.

``str``, ``bool`` and ``bytes`` are their own columns, ``int`` is int32, ``float`` is float32, a ``Literal`` of texts is
a text, ``tuple[X, ...]`` a list, a record inside a record a struct, and what may be None is null.
"""

from __future__ import annotations

import dataclasses
import hashlib
import types
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import accumulate, pairwise, repeat
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gi_bench.harness import files
from gi_bench.harness.errors import ChangedError, RunError
from gi_bench.harness.schema import Region

Record = TypeVar("Record")
_SCALARS: dict[Any, pa.DataType] = {
    str: pa.string(), bool: pa.bool_(), bytes: pa.binary(), int: pa.int32(), float: pa.float32(),
}  # fmt: skip


_OWN: dict[pa.DataType, type] = {kind: own for own, kind in _SCALARS.items()}


@dataclasses.dataclass(frozen=True)
class _Column:
    """One field of a record: the type of its values without ``| None``, and that of its column."""

    name: str
    hint: Any
    type: pa.DataType
    is_optional: bool
    is_added: bool
    default: Any
    allowed: tuple[str, ...]


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
                hint=bare,
                type=_arrow(bare),
                is_optional=optional,
                is_added=bool(one.metadata.get("added")),
                default=one.default,
                allowed=get_args(bare) if get_origin(bare) is Literal else (),
            )
        )
    return tuple(found)


def schema_of(record: type[Any]) -> pa.Schema:
    """The Arrow schema of a record's table: one column a field, in the order of the fields.

    Raises:
        TypeError: a field's type has no column.
    """
    return pa.schema([(column.name, column.type) for column in _columns(record)])


def table_of(records: Iterable[Record], record: type[Record]) -> pa.Table:
    """Records as an Arrow table of :func:`schema_of`."""
    rows = list(records)
    arrays = [_array([getattr(row, column.name) for row in rows], column.hint) for column in _columns(record)]
    return pa.table(arrays, schema=schema_of(record))


def _array(values: list[Any], hint: Any) -> pa.Array:
    """Values as a column; structs are taken apart field by field, since pyarrow is slow with rows."""
    if dataclasses.is_dataclass(hint):
        columns, missing = _columns(hint), [value is None for value in values]
        inner = [[None if value is None else getattr(value, one.name) for value in values] for one in columns]
        return pa.StructArray.from_arrays(
            [_array(found, one.hint) for found, one in zip(inner, columns, strict=True)],
            fields=[pa.field(one.name, one.type) for one in columns],
            mask=_scalars(missing, pa.bool_()) if any(missing) else None,
        )
    element = _element(hint)
    if element is not None:
        ends = list(accumulate((len(value or ()) for value in values), initial=0))
        starts = [None if value is None else start for value, start in zip(values, ends, strict=False)]
        flat = _array([one for value in values for one in value or ()], element)
        return pa.ListArray.from_arrays(_scalars([*starts, ends[-1]], pa.int32()), flat)
    return _scalars(values, _arrow(hint))


def _scalars(values: list[Any], kind: pa.DataType) -> pa.Array:
    """``pa.array`` of plain values. That loads pandas for every list, a quarter of a second, to see whether it is none.

    What is not of the column's own type is left to pyarrow, which converts or refuses it.
    """
    own, kinds = _OWN[kind], set(map(type, values))
    if kinds - {own, type(None)}:
        return pa.array(values, kind)
    if own not in kinds:
        return pa.nulls(len(values), kind)
    known, valid, missing = values, None, 0
    if type(None) in kinds:
        there = np.array([value is not None for value in values])
        known, missing = [own() if value is None else value for value in values], len(values) - int(there.sum())
        valid = pa.py_buffer(np.packbits(there, bitorder="little"))
    if own in (str, bytes):
        texts = known if own is bytes else [text.encode("utf-8") for text in known]
        ends = np.fromiter(accumulate(map(len, texts), initial=0), np.int64, len(texts) + 1)
        if ends[-1] >= 2**31:
            return pa.array(values, kind)
        content = [pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(texts))]
    elif own is bool:
        content = [pa.py_buffer(np.packbits(np.array(known, np.bool_), bitorder="little"))]
    elif own is int and not (min(known, default=0) >= -(2**31) and max(known, default=0) < 2**31):
        return pa.array(values, kind)
    else:
        with np.errstate(over="ignore"):
            content = [pa.py_buffer(np.array(known, kind.to_pandas_dtype()))]
    return pa.Array.from_buffers(kind, len(values), [valid, *content], missing)


def _element(hint: Any) -> Any:
    """The type of the members of a tuple; None for what is no tuple."""
    return _without_none(get_args(hint)[0])[0] if get_origin(hint) is tuple else None


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
    values = _listed(stored.combine_chunks(), column.hint)
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
    return values


def _listed(stored: pa.Array, hint: Any) -> list[Any]:
    """The inverse of :func:`_array`; equal texts are one object."""
    kind, stored_type, nulls = pa.types, stored.type, stored.null_count
    if kind.is_null(stored_type):
        return [None] * len(stored)
    known = _numbers(stored.is_valid()) if nulls else None
    values: list[Any]
    if kind.is_struct(stored_type):
        return _records(stored, hint, None if known is None else known.tolist())
    elif kind.is_list(stored_type) or kind.is_large_list(stored_type):
        flat, ends = _listed(stored.values, _element(hint)), stored.offsets.to_pylist()
        values = [tuple(flat[start:end]) for start, end in pairwise(ends)]
    elif kind.is_string(stored_type) or kind.is_large_string(stored_type):
        coded = stored.dictionary_encode()
        texts, codes = coded.dictionary.to_pylist(), _numbers(coded.indices)
        codes = codes if known is None else np.where(known, codes, 0)
        values = [texts[i] for i in codes.tolist()] if texts else [None] * len(stored)
    elif nulls or not kind.is_primitive(stored_type):
        return list(stored.to_pylist())
    else:
        return list(_numbers(stored).tolist())
    if known is None:
        return values
    return [one if there else None for one, there in zip(values, known.tolist(), strict=True)]


def _numbers(stored: pa.Array) -> npt.NDArray[Any]:
    """Numbers or booleans as an array, with anything in the place of nulls; ``to_numpy`` loads pandas."""
    start, end, buffer = stored.offset, stored.offset + len(stored), stored.buffers()[1]
    if buffer is None:
        return np.zeros(len(stored), stored.type.to_pandas_dtype())
    if pa.types.is_boolean(stored.type):
        bits = np.frombuffer(buffer, np.uint8)[: -(-end // 8)]
        return np.unpackbits(bits, count=end, bitorder="little")[start:].astype(np.bool_)
    return np.frombuffer(buffer, stored.type.to_pandas_dtype())[start:end]


def _records(stored: pa.StructArray, record: Any, there: list[bool] | None) -> list[Any]:
    hints = {one.name: one.hint for one in _columns(record)}
    names = [stored.type.field(i).name for i in range(stored.type.num_fields)]
    rows = zip(*(_listed(stored.field(i), hints[name]) for i, name in enumerate(names)), strict=True)
    known = there if there is not None else repeat(True, len(stored))
    in_order = names == list(hints)[: len(names)]
    made = [
        None if not one else record(*row) if in_order else record(**dict(zip(names, row, strict=True)))
        for row, one in zip(rows, known, strict=True)
    ]
    if record is Region:
        for region in made:
            if region is not None:
                region.check()
    return made


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


def records_bytes(records: Iterable[Record], record: type[Record]) -> bytes:
    """The bytes of the file that :func:`write_records` writes."""
    return files.table_bytes(table_of(records, record))


def read_stored(path: Path, digests: Mapping[str, str] | None = None) -> pa.Table:
    """Read a Parquet file of a run.

    Args:
        path: the file.
        digests: SHA-256 by file name; a file that is named there is checked.

    Raises:
        ChangedError: missing, or changed since the run wrote it.
        RunError: truncated.
    """
    wanted = (digests or {}).get(path.name)
    return files.read_parquet(path) if wanted is None else _checked(path, _content(path), wanted)


def read_records(path: Path, record: type[Record], digests: Mapping[str, str] | None = None) -> tuple[Record, ...]:
    """The records of a file of a run; files with the same digest, such as the references of one suite, are read once.

    Args:
        path: the file.
        record: what its rows are.
        digests: SHA-256 by file name; a file that is named there is checked.

    Raises:
        RunError: missing, damaged, changed, or with other columns.
    """
    wanted = (digests or {}).get(path.name)
    if wanted is None:
        return tuple(records_of(read_stored(path), record, path))
    content = _content(path)
    key = (wanted, record)
    if key not in _SHARED or hashlib.sha256(content).hexdigest() != wanted:
        found = tuple(records_of(_checked(path, content, wanted), record, path))
        while len(_SHARED) >= _MOST_SHARED:
            del _SHARED[next(iter(_SHARED))]
        _SHARED[key] = found
    return _SHARED[key]


# Questions and phrases of the last two suites that were read.
_SHARED: dict[tuple[str, type[Any]], tuple[Any, ...]] = {}
_MOST_SHARED = 4


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise (
            _missing(path)
            if not path.exists()
            else RunError(
                f"cannot read the file: {error.strerror}", where=path, do="mend it, or run the same command again"
            )
        ) from error


def _checked(path: Path, content: bytes, wanted: str) -> pa.Table:
    table = files.read_parquet(path, content)
    if hashlib.sha256(content).hexdigest() != wanted:
        raise _changed(path)
    return table


def _missing(path: Path) -> ChangedError:
    """A file that its manifest names is not there."""
    return ChangedError(
        "a file of the run is missing",
        where=path,
        do="put it back, or run the same command again; --accept-changed goes on without it",
    )


def _changed(path: Path) -> ChangedError:
    """A file is not the one that its manifest names."""
    return ChangedError(
        "the file was changed after the run: its SHA-256 is not that of manifest.json",
        where=path,
        do="put the original back, or delete this file and run the same command again; --accept-changed takes it as it "
        "is and says so",
    )


__all__ = ["read_records", "read_stored", "records_bytes", "records_of", "schema_of", "table_of", "write_records"]
