"""What it takes to compute a number again: the rows it rests on, and the library that gives its value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

# Sums in another order differ by some 1e-15 of themselves; what is printed and published has four digits.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Rows:
    """The rows that a metric rests on, and what a library makes of any of them.

    Attributes:
        images: image id of each row.
        slices: by slice kind, the values that each row belongs to.
        value: row numbers, at least one -> value; NaN where they have none.
        how: what of the library is called, as it would be written in a program.
        counted: whether a value can rest on the row; None for all.
        rests_on: what the library was told by gi-bench: readings of free text, for which the field has no library.
    """

    images: tuple[str, ...]
    slices: Mapping[str, tuple[tuple[str, ...], ...]]
    value: Callable[[Sequence[int]], float]
    how: str
    counted: Sequence[bool] | None = None
    rests_on: str = ""

    def groups(self) -> Iterator[tuple[str, str, list[int]]]:
        """Kind and value of every slice with its counted rows; ``all`` first."""
        yield "all", "all", [row for row in range(len(self.images)) if self._counts(row)]
        for kind, labels in self.slices.items():
            rows: dict[str, list[int]] = {}
            for row, values in enumerate(labels):
                for value in dict.fromkeys(values):
                    rows.setdefault(value, [])
                    if self._counts(row):
                        rows[value].append(row)
            for value in sorted(rows):
                yield kind, value, rows[value]

    def _counts(self, row: int) -> bool:
        return self.counted is None or bool(self.counted[row])


@dataclass(frozen=True)
class Unavailable:
    """Why a library cannot give a number on this machine, and what to do about it."""

    reason: str
    do: str = ""

    def line(self) -> str:
        """Reason and remedy in one line."""
        return f"{self.reason}: {self.do}" if self.do else self.reason


@dataclass(frozen=True)
class Method:
    """How the numbers of one metric are computed again.

    Attributes:
        metric: its name in ``scores.json``.
        library: distribution that computes the value, as ``pip`` knows it.
        make: run -> rows; a text where the metric has no value on such a run; or why the library cannot tell here.
        tolerance: largest absolute difference between values that are equal.
        why: why the tolerance is another than :data:`TOLERANCE`.
    """

    metric: str
    library: str
    make: Callable[[Run], Rows | str | Unavailable] = field(repr=False)
    tolerance: float = TOLERANCE
    why: str = ""


@lru_cache(maxsize=64)
def library_version(library: str) -> str:
    """Name and version of an installed distribution, e.g. ``sacrebleu 2.6.0``."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        return f"{library} (not installed)"


__all__ = ["TOLERANCE", "Method", "Rows", "Unavailable", "library_version"]
