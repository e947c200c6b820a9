"""The one reader of CSV files: what Excel and pandas write is read, what would have to be guessed is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gi_bench.harness.csv_text import read_csv
from gi_bench.harness.errors import DataError

TEXT = 'img_id,answer\na1,"one, two"\na2,"zwei\nZeilen für ""b"""\n'
ROWS = ({"img_id": "a1", "answer": "one, two"}, {"img_id": "a2", "answer": 'zwei\nZeilen für "b"'})


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.replace("id,", "id;").replace('1,"', '1;"').replace('2,"', '2;"').encode(),
        TEXT.replace("id,", "id\t").replace('1,"', '1\t"').replace('2,"', '2\t"').encode(),
        b"sep=;\r\n" + TEXT.replace("id,", "id;").replace('1,"', '1;"').replace('2,"', '2;"').encode(),
        TEXT.encode().rstrip(b"\n"),
        TEXT.encode() + b"\n\n",
    ],
    ids=["plain", "bom", "utf-16", "semicolons", "tabs", "sep line", "no last line end", "blank lines"],
)
def test_what_tools_write_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    found = read_csv(path, needed=("img_id", "answer"))
    assert found.columns == ("img_id", "answer")
    assert found.rows == ROWS
    assert found.lines[1] == found.lines[0] + 1


def test_windows_line_ends_and_long_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"img_id,answer\r\na1," + b"x" * 300_000 + b"\r\n")
    assert len(read_csv(path).rows[0]["answer"]) == 300_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"img_id,img_id\n1,2\n", "'img_id' is there twice"),
        (b"img_id,answer\na1\n", "more or fewer fields than the head: 1, not 2 .*line 2"),
        (b"img_id,answer\na1,x\na2,y,z\n", "line 3"),
        (b'img_id,answer\na1,x\na2,"y\na3,z\n', "a quote that is opened and not closed .*line 3"),
        (b'img_id,answer\na1,"x\na2,"y"\n', "a quote that is not closed, or one inside a field .*line 2"),
        ("img_id,answer\na1,für\n".encode("cp1252"), r"not UTF-8 text \(line 2\); it may be Windows-1252"),
        (b"img_id,answer\na1,\x00\n", "zero byte .*line 2"),
        (b"id,answer\na1,x\n", "no column img_id .*found: id, answer"),
    ],
)
def test_what_would_have_to_be_guessed_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_csv(path, needed=("img_id", "answer"))
