"""Tables: rich where a person looks, the same plain lines every time in a pipe."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from gi_bench.harness.terminal import clean
from gi_bench.harness.terminal_table import (
    Column,
    Table,
    cell_width,
    on_terminal,
    say_table,
    terminal_width,
    wrap,
    wrapped,
)
from tests.harness.test_terminal import HOSTILE, is_clean

TABLE = Table(
    [Column("run"), Column("facts\nright", right=True), Column("what", wrap=True)],
    [["a", ".5", "short"], ["[bold]b[/bold]", "1.000", "a text that is so long that it has to be wrapped " * 3]],
    title="a title",
)


class _Terminal(io.StringIO):
    """Standard output as if a person looked at it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], _Terminal]:
    """Makes a terminal of standard output, inside the test: before it the capturing of output takes it away."""

    def make() -> _Terminal:
        stream = _Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        return stream

    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return make


def test_a_pipe_gets_plain_aligned_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(TABLE)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "a title",
        "                facts",
        "run             right  what",
        "a                  .5  short",
    ]
    assert lines[4].startswith("[bold]b[/bold]  1.000  a text")
    assert len(lines) == 5, "a row is one line, however long"


def test_a_terminal_gets_a_table_that_fits(terminal: Callable[[], _Terminal]) -> None:
    shown_on = terminal()
    assert on_terminal()
    say_table(TABLE)
    shown = shown_on.getvalue()
    assert "\x1b[" in shown
    assert "[bold]b[/bold]" in shown, "no cell is markup"


@pytest.mark.parametrize("columns", [40, 80, 132])
def test_no_color_means_no_style_at_all(
    terminal: Callable[[], _Terminal], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    shown_on = terminal()
    assert terminal_width() == columns
    say_table(TABLE)
    shown = shown_on.getvalue()
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= columns
    assert "wrapped" in shown


def test_a_terminal_that_can_only_print_gets_plain_lines(
    terminal: Callable[[], _Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    shown_on = terminal()
    say_table(TABLE)
    assert "\x1b" not in shown_on.getvalue()
    assert shown_on.getvalue().splitlines()[0] == "a title"


def test_hostile_cells_lose_their_force(terminal: Callable[[], _Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    hostile = Table([Column("run"), Column("n")], [[HOSTILE, "1"], [f"[link=x]{HOSTILE}", ":smile:"]], title=HOSTILE)
    shown_on = terminal()
    say_table(hostile)
    text = shown_on.getvalue()
    assert is_clean(text)
    assert ":smile:" in text
    assert not any(line.startswith("report: /etc") for line in text.splitlines())
    assert all(is_clean(line) and "\n" not in line for line in hostile.lines())


def test_wide_letters_take_two_places() -> None:
    lines = Table([Column("a"), Column("b")], [["内視鏡", "1"], ["abcdef", "2"]]).lines()
    assert lines[1:] == ["内視鏡  1", "abcdef  2"]


def test_a_long_text_is_wrapped_between_words() -> None:
    assert max(map(len, wrapped("some words " * 40))) <= 80


@pytest.mark.parametrize(
    "text", ["内視鏡 の 画像 " * 30, "内視鏡" * 90, f"{HOSTILE} " * 9, "e\u0301 " * 90, "مرحبا " * 40]
)
def test_lines_are_as_wide_as_they_are_shown(text: str) -> None:
    lines = wrap(text, 40)
    assert max(map(cell_width, lines)) <= 40
    assert all(is_clean(line) for line in lines)
    assert "".join("".join(lines).split()) == "".join(clean(text).split()), "nothing is lost"


class _Ascii(io.TextIOWrapper):
    """A terminal without UTF-8, as under ``LC_ALL=C`` and ``PYTHONIOENCODING=ascii``."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_without_utf_8_shows_codes(
    terminal: Callable[[], _Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal()
    content = io.BytesIO()
    stream = _Ascii(content, encoding="ascii", newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    say_table(Table([Column("run"), Column("what", wrap=True)], [["内視鏡", "Zäpfchen"]], title="für alle"))
    shown = content.getvalue().decode("ascii")
    assert "\\u5185\\u8996\\u93e1" in shown
    assert "Z\\xe4pfchen" in shown
    assert "----" in shown, "and lines are drawn from what it has"
