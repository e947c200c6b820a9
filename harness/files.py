"""Files on disk: written whole or not at all, read with a clear line when they are not what they should be.

Every file is written beside its place and moved into it, so that a reader never meets half a file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.placing import placing

if TYPE_CHECKING:
    import pyarrow as pa


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and move it into place when the block ends well."""
    try:
        with placing(path) as temporary:
            yield temporary
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
        raise RunError(
            f"cannot write: {reason}",
            where=path,
            do="finished parts are intact: make room or fix the folder, then run the same command again",
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    with _writing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically: sorted keys, NaN refused, a newline at the end."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode("utf-8") + b"\n")


def write_table(path: Path, table: pa.Table) -> None:
    """Write Parquet atomically; equal tables give equal bytes."""
    with _writing(path) as temporary:
        _write_parquet(table, temporary)


def table_bytes(table: pa.Table) -> bytes:
    """The bytes of the file that :func:`write_table` writes."""
    import io

    stream = io.BytesIO()
    _write_parquet(table, stream)
    return stream.getvalue()


def _write_parquet(table: pa.Table, target: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    options: dict[str, Any] = {}
    plain = [field.name for field in table.schema if not pa.types.is_binary(field.type)]
    if len(plain) < len(table.schema):
        # Statistics and dictionaries would hold pictures over again: their smallest and largest "value", four times.
        options = {"write_statistics": plain, "use_dictionary": plain}
    pq.write_table(table, target, compression="zstd", store_schema=False, **options)


def read_json(path: Path, do: str = "put the original back, or make it again") -> Any:
    """Read a JSON file of a run.

    Args:
        path: the file.
        do: what helps where it is no JSON.

    Raises:
        RunError: missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError("file not found", where=path, do="give the folder of a run") from error
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read JSON: {error}", where=path, do=do) from error


def read_parquet(path: Path, content: bytes | None = None) -> pa.Table:
    """Read one Parquet file of a run, from ``content`` where its bytes are at hand.

    Raises:
        RunError: missing or truncated.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path if content is None else pa.BufferReader(content))
    except FileNotFoundError as error:
        raise RunError("file not found", where=path, do="give the folder of a run") from error
    except (OSError, pa.ArrowException) as error:
        raise RunError(
            "damaged Parquet file", where=path, do="delete this file and run the same command again"
        ) from error


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read one Parquet file and check its columns.

    Raises:
        RunError: missing, truncated, or with other columns.
    """
    table = read_parquet(path)
    if table.schema.names != schema.names:
        raise RunError(
            "Parquet file of another version or another tool",
            where=path,
            do=f"expected the columns {', '.join(schema.names)}",
        )
    return table.cast(schema)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        GiBenchError: missing, not UTF-8 or not TOML.
    """
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise GiBenchError(f"cannot read TOML: {reason}", where=path, do="mend the file") from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
