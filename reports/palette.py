"""One colour and one mark a run, the same on a whole page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# After Okabe and Ito (2008), told apart by colour-blind readers; in middle tones, so that they show on white and on
# black (3:1 or more on both).
COLORS = ("#2f7fc1", "#d2601a", "#1b9a72", "#bf6a9f", "#8a6fd1", "#a88408", "#7d868f", "#c4514f")
# Nine runs share a colour with the first, and differ from it by their mark.
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")


def run_color(number: int) -> str:
    """Colour of a page's run, by its place on the page.

    >>> run_color(0) == run_color(8)
    True
    """
    return COLORS[number % len(COLORS)]


def run_shape(number: int) -> str:
    """Mark of a page's run: one of Vega's shape names."""
    return SHAPES[number % len(SHAPES)]


def color_scale(names: Sequence[str]) -> dict[str, Any]:
    """Vega-Lite scale from the names of all runs of a page to their colours."""
    return {"domain": list(names), "range": [run_color(number) for number in range(len(names))]}


def shape_scale(names: Sequence[str]) -> dict[str, Any]:
    """Vega-Lite scale from the names of all runs of a page to their marks."""
    return {"domain": list(names), "range": [run_shape(number) for number in range(len(names))]}


__all__ = ["COLORS", "SHAPES", "color_scale", "run_color", "run_shape", "shape_scale"]
