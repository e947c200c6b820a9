"""Files as nobody should send them: mutations by type, size, truncation and bit flips, the same for the same seed."""

from __future__ import annotations

import copy
import io
import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

# Seconds that a command may take over a damaged file.
LIMIT = 20
Mutation = tuple[str, bytes]
_DEEP = 100_000
_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 2**31, 10**400, 0.5, float("nan"), float("inf"), "", "abc", "\ud800", "\x1b[2J\u202e\x00",
    [], [1, "a", None], {}, {"a": {"b": [1]}}, "x" * 100_000, [[[[[[1]]]]]],
)  # fmt: skip


def bytes_of(content: bytes, dice: random.Random, count: int = 6) -> Iterator[Mutation]:
    """Damage that any file can take: empty, cut off, bits flipped, zeros, the whole twice, garbage."""
    yield "empty", b""
    yield "twice", content + content
    yield "zeros", bytes(len(content))
    yield "garbage", dice.randbytes(max(64, min(len(content), 4096)))
    yield "other bytes before", b"\xef\xbb\xbf" + content
    yield "latin 1", content[: len(content) // 2] + b"\xe9\xff" + content[len(content) // 2 :]
    for _ in range(count):
        yield "cut off", content[: dice.randrange(len(content))]
        flipped = bytearray(content)
        for _ in range(dice.choice([1, 1, 3, 30])):
            flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
        yield "bits flipped", bytes(flipped)
        start = dice.randrange(len(content))
        yield "a piece missing", content[:start] + content[start + dice.randrange(1, 40) :]


def json_of(content: bytes, dice: random.Random, count: int = 12) -> Iterator[Mutation]:
    """JSON, or lines of JSON, with a value of another type, a key less, one more, or one twice."""
    lines = content.decode("utf-8").splitlines() if b"}\n{" in content else [content.decode("utf-8")]
    yield "nested", b"[" * _DEEP
    yield "nested whole", b'{"a":' * _DEEP + b"1" + b"}" * _DEEP
    for whole in ("[]", "{}", "3", '"text"', "null", '{"a": 1, "a": 2}', "NaN"):
        yield f"whole {whole}", whole.encode()
    for _ in range(count):
        at = dice.randrange(len(lines))
        told, value = _changed(json.loads(lines[at]), dice)
        text = json.dumps(value)
        yield told, "\n".join([*lines[:at], text, *lines[at + 1 :]]).encode("utf-8") + b"\n"


def _changed(value: Any, dice: random.Random) -> tuple[str, Any]:
    """A JSON value with one place of it changed."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return "whole", dice.choice(_VALUES)
    holder, key = dice.choice(places)
    what = dice.choice(["value", "value", "value", "less", "more"])
    if what == "less":
        del holder[key]
    elif what == "more" and isinstance(holder, dict):
        holder[f"{key}x"] = dice.choice(_VALUES)
    else:
        holder[key] = dice.choice(_VALUES)
    return f"{what} at {str(key)[:40]}", value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, inner in items[:200]:
        yield value, key
        yield from _places(inner)


def csv_of(content: bytes, dice: random.Random, count: int = 10) -> Iterator[Mutation]:
    """CSV with another cell, another head, an open quote, or other delimiters and encodings."""
    lines = content.decode("utf-8").splitlines()
    yield "semicolons", content.replace(b",", b";")
    yield "utf-16", content.decode("utf-8").encode("utf-16")
    yield "head alone", lines[0].encode() + b"\n"
    yield "no head", "\n".join(lines[1:]).encode()
    yield "head twice", (lines[0] + "," + lines[0].split(",")[0] + "\n" + "\n".join(lines[1:])).encode()
    for _ in range(count):
        at = dice.randrange(len(lines))
        cells = lines[at].split(",")
        cells[dice.randrange(len(cells))] = dice.choice(
            ['"', "", "-1", "1e999", "9" * 401, "x" * 200_000, "\x1b[2J", "../../etc", 'a"b', "True", "nan"]
        )
        yield f"line {at + 1}", "\n".join([*lines[:at], ",".join(cells), *lines[at + 1 :]]).encode()


def toml_of(content: bytes, dice: random.Random, count: int = 10) -> Iterator[Mutation]:
    """TOML with a line less, twice, of another value or name, and with tables where none belong."""
    lines = content.decode("utf-8").splitlines()
    yield "nested", b"a = " + b"[" * _DEEP
    yield "dotted", b".".join([b"a"] * _DEEP) + b" = 1"
    yield "unclosed text", content + b'\nlast = """open'
    yield "another table", content + b"\n[other.table]\nkey = 1\n"
    settings = [number for number, line in enumerate(lines) if " = " in line]
    for _ in range(count):
        at = dice.choice(settings)
        name, _, value = lines[at].partition(" = ")
        changed = dice.choice(
            [
                [], [lines[at], lines[at]], [f"{name}x = {value}"], [f"[{name}]"],
                *([f"{name} = {other}"] for other in _TOML_VALUES * 2),
            ]
        )  # fmt: skip
        yield f"line {at + 1}: {' '.join(changed)[:60]}", "\n".join([*lines[:at], *changed, *lines[at + 1 :]]).encode()


_TOML_VALUES = (
    "1", "-1", "0", "1e400", "nan", "inf", "true", "[]", "[1, 'a']", "{}", "{a = {b = 1}}", "''",
    "1979-05-27T07:32:00Z", "99999999999999999999", "'" + "x" * 100_000 + "'", '"\\u001b[2J\\u202e"',
    "['(', ')']", "[['(', '']]",
    "[['(a+)+$', '']]", "'../../etc/passwd'", "'/etc/passwd'",
)  # fmt: skip


def parquet_of(content: bytes, dice: random.Random, count: int = 8) -> Iterator[Mutation]:
    """Parquet with a column of another type, empty, missing, added, or with texts that are not UTF-8."""
    table = pq.read_table(io.BytesIO(content))
    yield "no rows", _parquet(table.slice(0, 0))
    yield "a row less", _parquet(table.slice(0, len(table) - 1))
    yield "rows twice", _parquet(pa.concat_tables([table, table]))
    for _ in range(count):
        at = dice.randrange(table.num_columns)
        name, rows = table.schema.names[at], len(table)
        bad = pa.Array.from_buffers(pa.string(), rows, pa.array([b"\xff\xfe"] * rows, pa.binary()).buffers())
        others: dict[str, pa.Array] = {
            "text": pa.array(["abc"] * rows), "number": pa.array([float("nan")] * rows), "null": pa.nulls(rows),
            "whole": pa.array([-(2**60)] * rows), "list": pa.array([[1]] * rows), "true": pa.array([True] * rows),
            "not UTF-8": bad, "struct": pa.array([{"height": 10**9, "width": 10**9, "counts": "zz"}] * rows),
        }  # fmt: skip
        kind = dice.choice([*others, "missing", "added"])
        if kind == "missing":
            changed = table.drop_columns([name])
        elif kind == "added":
            changed = table.append_column(f"{name}2", others["text"])
        else:
            changed = table.set_column(at, name, others[kind])
        yield f"{name} {kind}", _parquet(changed)


def _parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


MAKERS: dict[str, Callable[[bytes, random.Random, int], Iterator[Mutation]]] = {
    ".json": json_of, ".jsonl": json_of, ".csv": csv_of, ".parquet": parquet_of,
    ".toml": toml_of,
}  # fmt: skip


def mutations(path: Path, seed: int, count: int) -> list[Mutation]:
    """Mutations of a file: those of any file, and those of its kind."""
    content, dice = path.read_bytes(), random.Random(f"{path.name} {seed}")
    found = list(bytes_of(content, dice, count))
    maker = MAKERS.get(path.suffix.lower())
    return found + (list(maker(content, dice, 2 * count)) if maker is not None else [])


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail where the block computes for longer, or takes five times as long, as where it waits for a pipe."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"took more than {5 * seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(5 * seconds)
    start = time.thread_time()
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert time.thread_time() - start <= seconds
