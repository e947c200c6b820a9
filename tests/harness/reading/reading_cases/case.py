"""A line of the tables of what answers state.

A line is a text, its value and, where the question asks about more than the class, all classes asked. ``None`` is a
text that does not state a value. Every line stands for its kind; add the neighbours of whatever you find misread.
"""

from __future__ import annotations

from gi_bench.harness.taxonomy import GRID_CELLS

ALL_CELLS = set(GRID_CELLS)
Case = tuple[str, "int | str | set[str] | None"] | tuple[str, "int | str | set[str] | None", tuple[str, ...]]
