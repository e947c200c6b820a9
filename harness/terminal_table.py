"""Tables for people and for pipes: rich on a terminal, aligned plain lines elsewhere, the same cells in both.

In a pipe a row is one line without colours, its columns apart by two spaces, so that ``grep`` and ``awk`` find the
same thing every time. On a terminal long cells are wrapped to its width; ``NO_COLOR`` takes all styles away.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gi_bench.harness.terminal import clean, say, say_styled

if TYPE_CHECKING:
    from rich.table import Table as RichTable

# Of what is printed where nobody knows how wide it will be shown.
WIDTH = 80


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        head: its heading; several lines stand above each other, at the bottom of the head.
        right: whether cells end at one edge, as numbers do.
        wrap: whether a long cell is wrapped on a terminal; one column at most.
    """

    head: str
    right: bool = False
    wrap: bool = False


@dataclass(frozen=True)
class Table:
    """Cells under headings.

    Attributes:
        columns: of every row.
        rows: texts, one a column each.
        title: a line above, or none.
        sections: numbers of rows that a heading of their own stands above, with that heading; on a terminal only.
        last: rows at the end that sum the others up.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    title: str = ""
    sections: Sequence[tuple[int, str]] = ()
    last: int = 0

    def lines(self, *, head: bool = True) -> list[str]:
        """The table as plain lines, whatever their width."""
        cells = [[clean(cell) for cell in row] for row in self.rows]
        heads = [column.head.split("\n") if head else [] for column in self.columns]
        height = max((len(lines) for lines in heads), default=0)
        padded = [[""] * (height - len(lines)) + lines for lines in heads]
        above = [[clean(lines[place]) for lines in padded] for place in range(height)]
        everything = [*above, *cells]
        widths = [max((cell_width(row[i]) for row in everything), default=0) for i in range(len(self.columns))]
        lines = [self._line(row, widths) for row in everything]
        return [*([clean(self.title)] if self.title else []), *lines]

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        parts = []
        for cell, width, column in zip(row, widths, self.columns, strict=True):
            space = " " * (width - cell_width(cell))
            parts.append(space + cell if column.right else cell + space)
        return "  ".join(parts).rstrip()


def cell_width(text: str) -> int:
    """Places that a text takes on a terminal: a letter of Chinese takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def on_terminal() -> bool:
    """Whether a person looks at standard output, on a terminal that can do more than print letters."""
    stream: Any = sys.stdout
    return bool(stream is not None and stream.isatty()) and os.environ.get("TERM", "") != "dumb"


def terminal_width() -> int:
    """Columns of the terminal, at least 40; 80 where there is none."""
    return max(40, shutil.get_terminal_size((WIDTH, 24)).columns) if on_terminal() else WIDTH


def say_table(table: Table, *, head: bool = True) -> None:
    """Print a table: rich on a terminal, plain lines in a pipe.

    Args:
        table: what to print.
        head: whether a pipe gets the headings too.
    """
    if not on_terminal():
        for line in table.lines(head=head):
            say(line)
        return
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    if table.title:
        say_styled(Text(clean(table.title), style="bold"), terminal_width())
    starts = [*dict(table.sections)]
    parts = zip([0, *starts], [*starts, len(table.rows)], strict=True) if table.sections else [(0, len(table.rows))]
    for start, end in parts:
        if start == end:
            continue
        made = RichTable(
            box=None if table.sections else box.SIMPLE_HEAD,
            show_header=not table.sections,
            show_edge=False,
            pad_edge=False,
            padding=(0, 2 if table.sections else 1, 0, 0),
            header_style="bold",
        )
        heading = dict(table.sections).get(start)
        if heading is not None:
            say_styled(Text(f"\n{clean(heading)}", style="bold"), terminal_width())
        _fill(made, table, range(start, end))
        say_styled(made, terminal_width())


def _fill(made: RichTable, table: Table, numbers: range) -> None:
    """Columns and rows of a rich table; cells are texts, never markup."""
    from rich.text import Text

    for place, column in enumerate(table.columns):
        made.add_column(
            Text(clean(column.head, keep="\n")),
            justify="right" if column.right else "left",
            vertical="top",
            no_wrap=not column.wrap and place > 0,
            overflow="fold",
            style="cyan" if place == 0 else "",
            ratio=None,
        )
    summed_up = len(table.rows) - table.last
    for number in numbers:
        style = "dim" if number >= summed_up else ""
        made.add_row(*(Text(clean(cell)) for cell in table.rows[number]), style=style)


def wrap(text: str, width: int, *, indent: str = "  ", break_long_words: bool = True) -> list[str]:
    """A text in lines of at most so many places of a terminal, counted as it is printed.

    Args:
        text: anybody's; what is not plain to see is counted, and given back, as its code.
        width: places; a letter of Chinese takes two.
        indent: of all lines but the first.
        break_long_words: whether a word without an end is broken.

    >>> wrap("内視鏡 内視鏡", 8)
    ['内視鏡', '  内視鏡']
    """
    shown = clean(text)
    if not shown.isascii():  # the second place of a letter: a character that a cleaned text cannot have
        shown = "".join(letter + "\0" * (cell_width(letter) - 1) for letter in shown)
    lines = textwrap.wrap(
        shown, width, subsequent_indent=indent, break_long_words=break_long_words, break_on_hyphens=False
    )
    return [line.replace("\0", "") for line in lines]


def wrapped(text: str, *, indent: str = "  ") -> list[str]:
    """A text in lines of the terminal's width, of 80 columns in a pipe; a word stays whole."""
    return wrap(text, terminal_width(), indent=indent, break_long_words=False)


def say_wrapped(text: str) -> None:
    """Print a text, wrapped."""
    for line in wrapped(text):
        say(line)


__all__ = [
    "Column",
    "Table",
    "cell_width",
    "on_terminal",
    "say_table",
    "say_wrapped",
    "terminal_width",
    "wrap",
    "wrapped",
]
