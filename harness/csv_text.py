"""CSV of Excel, pandas and people: the one reader of the house, which refuses what it would have to guess, and writer.

Read are UTF-8 (with or without a byte order mark) and UTF-16 with one, any kind of line ends, and commas, semicolons
or tabs between the fields. What is cut off, lacks a closing quote, names a column twice or has a row with more or
fewer fields than its head is refused with the line.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gi_bench.harness.errors import DataError, GiBenchError
from gi_bench.harness.files import content_of

_DELIMITERS = (",", ";", "\t")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What Excel reads its delimiter from, if a first line says so.
_DELIMITER_LINE = re.compile(r"\A\"?sep=(.)\"?\r?\n", re.IGNORECASE)
_LONGEST_FIELD = 64 * 1024 * 1024
_LARGEST = 1024**3


@dataclass(frozen=True)
class CsvRows:
    """The rows of a CSV file.

    Attributes:
        columns: of the head, in order; each once.
        rows: fields by column.
        lines: the line of the file where each row begins, from 1.
    """

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]


def read_csv(
    path: Path, content: bytes | None = None, *, needed: Sequence[str] = (), error: type[GiBenchError] = DataError
) -> CsvRows:
    """Read a CSV file.

    Args:
        path: the file.
        content: its bytes, where they are at hand.
        needed: columns that it must have.
        error: kind of the error.

    Raises:
        GiBenchError: no plain file, of another encoding, cut off, or a column is missing or there twice.
    """
    if content is None:
        content = content_of(path, largest=_LARGEST, error=error)
    text = _decoded(content, path, error)
    said = _DELIMITER_LINE.match(text)
    skipped = text[: said.end()].count("\n") if said else 0
    if said:
        text = text[said.end() :]
    delimiter = said[1] if said else _delimiter(text, needed)
    records, lines = _records(text, delimiter, path, skipped, error)
    if not records:
        raise error("the file is empty", where=path, do="a CSV file begins with the names of its columns")
    columns = tuple(name.strip() for name in records[0])
    _check_head(columns, needed, path, error)
    rows = []
    for fields, line in zip(records[1:], lines[1:], strict=True):
        if len(fields) != len(columns):
            raise error(
                f"a row with more or fewer fields than the head: {len(fields)}, not {len(columns)}",
                where=f"{path}, line {line}",
                do="is the file cut off? Otherwise quote the fields that hold commas",
            )
        rows.append(dict(zip(columns, fields, strict=True)))
    return CsvRows(columns, tuple(rows), tuple(lines[1:]))


def _check_head(columns: Sequence[str], needed: Sequence[str], path: Path, error: type[GiBenchError]) -> None:
    for name in columns:
        if columns.count(name) > 1:
            raise error(f"the column {name[:60]!r} is there twice", where=path, do="name every column once")
    missing = [name for name in needed if name not in columns]
    if missing:
        raise error(
            f"no column {', '.join(missing)}",
            where=path,
            do=f"needed: {', '.join(needed)}; found: {', '.join(columns)[:200] or 'none'}",
        )


def _decoded(content: bytes, path: Path, error: type[GiBenchError]) -> str:
    try:
        text = content.decode("utf-16") if content.startswith(_UTF16) else content.decode("utf-8-sig")
    except UnicodeDecodeError as found:
        line = content[: found.start].count(b"\n") + 1
        raise error(
            f"the file is not UTF-8 text (line {line}); it may be Windows-1252 (cp1252), Excel's plain CSV",
            where=path,
            do='save it as "CSV UTF-8"',
        ) from found
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise error("not CSV: a zero byte", where=f"{path}, line {line}", do="save it as CSV with UTF-8 text")
    return text


def _delimiter(text: str, needed: Sequence[str]) -> str:
    """What stands between the fields of the head: the one that gives the needed columns, else the most columns."""
    head = next(iter(text.splitlines()), "")

    def rank(delimiter: str) -> tuple[int, int, int]:
        try:
            names = [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])]
        except csv.Error:
            names = []
        return sum(name in names for name in needed), len(names), -_DELIMITERS.index(delimiter)

    return max(_DELIMITERS, key=rank)


def _records(
    text: str, delimiter: str, path: Path, skipped: int, error: type[GiBenchError]
) -> tuple[list[list[str]], list[int]]:
    """The records of a text, blank lines left out, and the line where each begins."""
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records, lines = [], []
    begin = 1
    try:
        for record in reader:
            if record:
                records.append(record)
                lines.append(begin + skipped)
            begin = reader.line_num + 1
    except csv.Error as found:
        reason = str(found)
        if "unexpected end" in reason:
            reason = "a quote that is opened and not closed"
        elif "expected after" in reason:
            reason = f"a quote that is not closed, or one inside a field ({reason})"
        raise error(
            f"not CSV: {reason}",
            where=f"{path}, line {begin + skipped}",
            do="close the quote (a quote inside a field is written twice); is the file cut off?",
        ) from found
    return records, lines


# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def harmless(text: str) -> str:
    r"""A text as a field that no spreadsheet runs as a formula: one that would begin like it gets an apostrophe.

    >>> harmless('=HYPERLINK("x")'), harmless("0.5")
    ('\'=HYPERLINK("x")', '0.5')
    """
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else text


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[str | float | int | None]]) -> str:
    r"""A table as CSV with lines that end in ``\n``: texts are harmless, numbers stay as they are, None is empty.

    >>> csv_text(["name", "value"], [["=a", -1.5], ["b", None]])
    "name,value\n'=a,-1.5\nb,\n"
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([harmless(one) if isinstance(one, str) else one for one in row])
    return stream.getvalue()


__all__ = ["CsvRows", "csv_text", "harmless", "read_csv"]
