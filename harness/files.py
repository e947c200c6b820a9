"""Files on disk: written whole or not at all, read with a clear line when they are not what they should be.

Every file is written beside its place and moved into it, so that a reader never meets half a file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.json_text import parse_json
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
    pq.write_table(table, target, compression="zstd", store_schema=False, write_page_checksum=True, **options)


# Of one file that is read whole.
LARGEST_FILE = 4 * 1024**3


DAMAGED = "damaged Parquet file: truncated, or changed since it was written"


def refuse_pipes(folder: Path, error: type[GiBenchError] = RunError) -> None:
    """Refuse a folder with a pipe, socket or device in it: whoever reads that by its name may wait for ever.

    Raises:
        GiBenchError: names the first.
    """
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise error("a pipe or a device where a file should be", where=path, do="put the file there")


def content_of(
    path: Path, *, largest: int = LARGEST_FILE, do: str = "check the path", error: type[GiBenchError] = RunError
) -> bytes:
    """The bytes of a plain file; a pipe or a device, which could keep its reader waiting for ever, is refused.

    Args:
        path: the file; links are followed.
        largest: in bytes.
        do: what the user can do.
        error: kind of the error.

    Raises:
        GiBenchError: missing, no plain file, too large, or not readable.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
            raise error(f"not a file but {what}", where=path, do=do)
        if status.st_size > largest:
            raise error(f"the file is larger than {largest // 1024**2:,} MB", where=path, do=do)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as found:
        raise error("file not found", where=path, do=do) from found
    except (OSError, ValueError, MemoryError) as found:
        reason = getattr(found, "strerror", None) or str(found) or "not enough memory"
        raise error(f"cannot read the file: {reason}", where=path, do=do) from found


def read_json(path: Path, do: str = "put the original back, or make it again") -> Any:
    """Read a JSON file of a run.

    Args:
        path: the file.
        do: what helps where it is no JSON.

    Raises:
        RunError: missing or not JSON.
    """
    content = content_of(path, do="give the folder of a run")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RunError("cannot read JSON: it is not UTF-8 text", where=path, do=do) from error
    return parse_json(text, path, do, RunError)


def read_parquet(path: Path, content: bytes | None = None) -> pa.Table:
    """Read one Parquet file of a run, from ``content`` where its bytes are at hand.

    Raises:
        RunError: missing, truncated, with pages that do not fit their checksums, or with texts that are not UTF-8.
    """
    if content is None:
        content = content_of(path, do="give the folder of a run")
    return table_in(content, path, "delete this file and run the same command again", RunError)


def table_in(
    content: bytes, where: object, do: str, error: type[GiBenchError], columns: Sequence[str] | None = None
) -> pa.Table:
    """The table in a Parquet file's bytes: checksums of its pages, and every value, are checked.

    Args:
        content: the file's bytes.
        where: the file.
        do: what the user can do.
        error: kind of the error.
        columns: those to read; one that the file lacks is left out. None for all.

    Raises:
        GiBenchError: damaged, or with texts that are not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as opened:
            names = opened.schema_arrow.names
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise error(f"the column {twice[:60]!r} is there twice", where=where, do=do)
            table = opened.read(None if columns is None else [name for name in columns if name in names])
        table.validate(full=True)
        return table
    except pa.ArrowInvalid as found:
        what = "Parquet file with texts that are not UTF-8" if "UTF" in str(found) else DAMAGED
        raise error(what, where=where, do=do) from found
    except (OSError, pa.ArrowException, ValueError, KeyError, MemoryError) as found:
        raise error(DAMAGED, where=where, do=do) from found


def column_names(content: bytes) -> list[str]:
    """Names of the columns in a Parquet file's bytes, which :func:`table_in` has read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return list(pq.read_schema(pa.BufferReader(content)).names)


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read one Parquet file, of the user's perhaps, and check its columns.

    Raises:
        RunError: missing, truncated, or with other columns.
    """
    table = table_in(content_of(path), path, "make the file again, or give another one", RunError)
    if table.schema.names != schema.names:
        raise RunError(
            "Parquet file of another version or another tool",
            where=path,
            do=f"expected the columns {', '.join(schema.names)}",
        )
    try:
        return table.cast(schema)
    except (ValueError, NotImplementedError) as error:  # pyarrow's errors among them
        raise RunError(
            f"a column of another type: {str(error).splitlines()[0][:120]}", where=path, do="make the file again"
        ) from error


_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){64}""")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        GiBenchError: missing, no plain file, not UTF-8 or not TOML.
    """
    try:
        return parse_toml(content_of(path, error=GiBenchError).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise GiBenchError(f"cannot read TOML: {str(error)[:200]}", where=path, do="mend the file") from error


def parse_toml(text: str) -> dict[str, Any]:
    """A text in TOML.

    Raises:
        ValueError, RecursionError: it is not TOML, or names a key of more than 64 parts.
    """
    # The parser keeps every beginning of a dotted key: 100,000 parts would take 40 GB.
    if _LONG_KEY.search(text):
        raise ValueError("a dotted key of more than 64 parts")
    content: dict[str, Any] = tomllib.loads(text)
    return content


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
