"""Charts of the study page: one a metric or contrast, live where scripts run, with its picture and its table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gi_bench.harness.statistics import SeedEffect
from gi_bench.reports.charts import svg_data_uri
from gi_bench.reports.pages import visible
from gi_bench.reports.palette import run_color, run_shape

# Shows on white and on black.
ZERO_COLOR = "#7d868f"
_LONGEST = 60


@dataclass(frozen=True)
class Mark:
    """One line of a chart: name, the arm whose colour it has, whether that arm's switch takes it along, effect."""

    name: str
    arm: int
    switched: bool
    effect: SeedEffect


@dataclass(frozen=True)
class Figure:
    """One chart, ready to show.

    Attributes:
        block: id of its data block.
        title: what it shows.
        picture: data URI of its picture, for pages without scripts.
        spec: Vega-Lite.
        rows: of its table: (name, number of the arm or None, mean, interval).
    """

    block: str
    title: str
    picture: str
    spec: dict[str, Any]
    rows: tuple[tuple[str, int | None, str, str], ...]


def shown_names(names: Sequence[str]) -> list[str]:
    """Names as charts and switches show them: short, visible, and still different from each other."""
    made: list[str] = []
    for name in names:
        short = visible(name)[:_LONGEST]
        made.append(short if short not in made else f"{short} #{len(made) + 1}")
    return made


def figure(block: str, title: str, axis: str, marks: Sequence[Mark], *, zero_line: bool = False) -> Figure | None:
    """A chart of effects with their intervals; None if none has a value.

    Args:
        block: id of the data block.
        title: what it shows.
        axis: title of the axis.
        marks: its lines, from above.
        zero_line: draw a line at 0, for differences.
    """
    drawn = [one for one in marks if math.isfinite(one.effect.mean)]
    if not drawn:
        return None
    spec = _spec(drawn, axis, zero_line)
    return Figure(block, title, svg_data_uri(spec), spec, tuple(_row(one, "+" if zero_line else "") for one in drawn))


def _row(one: Mark, sign: str) -> tuple[str, int | None, str, str]:
    low, high = one.effect.low, one.effect.high
    interval = "no interval" if low is None or high is None else f"{low:{sign}.4f} to {high:{sign}.4f}"
    return one.name, one.arm if one.switched else None, f"{one.effect.mean:{sign}.4f}", interval


def _spec(marks: Sequence[Mark], axis: str, zero_line: bool) -> dict[str, Any]:
    rows = []
    for one in marks:
        effect = one.effect
        rows.append(
            {
                # Rows with a run go when it is switched off.
                "run" if one.switched else "contrast": one.name,
                "name": one.name,
                "value": effect.mean,
                "low": effect.mean if effect.low is None else effect.low,
                "high": effect.mean if effect.high is None else effect.high,
                "color": run_color(one.arm),
                "shape": run_shape(one.arm),
            }
        )
    y = {"field": "name", "type": "nominal", "sort": [one.name for one in marks], "title": None}
    color = {"field": "color", "type": "nominal", "scale": None}
    ticks = {"tickCount": 5, "labelOverlap": True}
    x = {"type": "quantitative", "title": axis, "scale": {"zero": zero_line, "nice": True}, "axis": ticks}
    tip = [
        {"field": "name", "type": "nominal", "title": " "},
        *({"field": name, "type": "quantitative", "format": ".4f"} for name in ("value", "low", "high")),
    ]
    zero = {"mark": {"type": "rule", "color": ZERO_COLOR, "strokeWidth": 1}, "encoding": {"x": {"datum": 0}}}
    return {
        "data": {"values": rows},
        "width": 260,
        "height": max(60, 28 * len(marks)),
        "layer": [
            *([zero] if zero_line else []),
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"y": y, "x": {"field": "low", **x}, "x2": {"field": "high"}, "color": color},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {
                    "y": y,
                    "x": {"field": "value", **x},
                    "color": color,
                    "shape": {"field": "shape", "type": "nominal", "scale": None},
                    "tooltip": tip,
                },
            },
        ],
    }


__all__ = ["ZERO_COLOR", "Figure", "Mark", "figure", "shown_names"]
