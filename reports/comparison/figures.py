"""What a figure of the page is: a live chart, a static picture of it, an alternative text and its data as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gi_bench.harness.schema import Score
from gi_bench.reports.charts import svg_data_uri
from gi_bench.reports.comparison.runs import Entry
from gi_bench.reports.palette import run_color, run_shape

# Of a long name both ends: runs of one variant differ in the last letters.
SHORT_NAME = "length(datum.label) > 26 ? slice(datum.label, 0, 13) + '…' + slice(datum.label, -12) : datum.label"
LEGEND: dict[str, Any] = {"orient": "bottom", "columns": 2, "title": None, "labelLimit": 170, "labelExpr": SHORT_NAME}


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: id of its data block.
        title: its heading.
        caption: how to read it.
        alt: what it shows, in words.
        spec: Vega-Lite, without a configuration.
        heads: of its table.
        rows: of its table: number of the run (None where a row is no run's) and the cells.
        is_wide: whether it takes the whole width of the page.
    """

    name: str
    title: str
    caption: str
    alt: str
    spec: Mapping[str, Any]
    heads: tuple[str, ...]
    rows: tuple[tuple[int | None, tuple[str, ...]], ...]
    is_wide: bool = False

    @property
    def picture(self) -> str:
        """The chart as an image that stands without scripts."""
        return svg_data_uri(dict(self.spec))


def color(entries: Sequence[Entry], *, legend: bool = False) -> dict[str, Any]:
    """Colour by run: every run of the page has its own, whichever of them a chart shows."""
    return _by_run(entries, [run_color(entry.number) for entry in entries], legend)


def shape(entries: Sequence[Entry], *, legend: bool = False) -> dict[str, Any]:
    """Mark by run, likewise."""
    return _by_run(entries, [run_shape(entry.number) for entry in entries], legend)


def _by_run(entries: Sequence[Entry], values: Sequence[str], legend: bool) -> dict[str, Any]:
    scale = {"domain": [entry.name for entry in entries], "range": list(values)}
    return {"field": "run", "type": "nominal", "scale": scale, "legend": LEGEND if legend else None}


def safe(text: str) -> str:
    """Foreign text as a chart shows it: printable and short."""
    return "".join(c if c.isprintable() else "?" for c in text)[:60]


def bounds(score: Score) -> dict[str, float]:
    """Value and ends of the interval for a chart; without an interval both ends are the value."""
    value = float(score.value or 0.0)
    low = value if score.interval_low is None else score.interval_low
    high = value if score.interval_high is None else score.interval_high
    return {"value": round(value, 5), "low": round(low, 5), "high": round(high, 5), "n": score.n}


def quantitative(field: str, title: str | None, **more: Any) -> dict[str, Any]:
    """An encoding of numbers."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def tips(*fields: tuple[str, str]) -> list[dict[str, Any]]:
    """What a pointer over a mark tells: fields with their titles; numbers in four digits."""
    numbers = {"value", "low", "high", "x", "y", "x_low", "x_high", "y_low", "y_high"}
    return [
        {"field": field, "title": title, **({"format": ".4f"} if field in numbers else {})} for field, title in fields
    ]


def panels(
    rows: Sequence[Mapping[str, Any]], entries: Sequence[Entry], axis: str, *, same_axis: bool = True, columns: int = 3
) -> dict[str, Any]:
    """One panel a metric (field ``panel``), one line a run: a mark at the value, a bar over the interval."""
    y = {
        "field": "run",
        "type": "nominal",
        "sort": [entry.name for entry in entries],
        "title": None,
        "axis": {"labelLimit": 170, "labelExpr": SHORT_NAME},
    }
    told = tips(("run", "run"), ("value", "value"), ("low", "from"), ("high", "to"), ("n", "n"))
    spec: dict[str, Any] = {
        "data": {"values": list(rows)},
        "facet": {
            "field": "panel",
            "type": "nominal",
            "title": None,
            "sort": [*dict.fromkeys(r["panel"] for r in rows)],
        },
        "columns": columns,
        "spec": {
            "width": 190,
            "height": {"step": 22},
            "layer": [
                {
                    "mark": {"type": "rule", "strokeWidth": 2},
                    "encoding": {
                        "y": y,
                        "x": quantitative("low", axis, axis={"tickCount": 4}),
                        "x2": {"field": "high"},
                        "color": color(entries),
                        "tooltip": told,
                    },
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                    "encoding": {
                        "y": y,
                        "x": quantitative("value", axis, scale={"zero": True}, axis={"tickCount": 4}),
                        "color": color(entries),
                        "shape": shape(entries),
                        "tooltip": told,
                    },
                },
            ],
        },
    }
    if not same_axis:
        spec["resolve"] = {"scale": {"x": "independent"}}
    return spec


__all__ = [
    "LEGEND", "SHORT_NAME", "Figure", "bounds", "color", "panels", "quantitative", "safe", "shape", "tips",
]  # fmt: skip
