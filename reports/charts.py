"""Charts as Vega-Lite specs, rendered to SVG at build time: the page holds pictures, no script."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

from gi_bench.harness.provenance import digest_of, keep, recall
from gi_bench.harness.schema import Score
from gi_bench.reports.pages import VEGA_LITE

# Colour-blind safe (Okabe and Ito 2008), without yellow, which is faint on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#555555")
_CONFIG = {
    "font": "Liberation Sans, Arial, sans-serif",
    "axis": {"labelFontSize": 11, "titleFontSize": 11, "labelLimit": 260, "gridColor": "#e6e6e6"},
    "header": {"labelFontSize": 12, "titleFontSize": 12},
    "legend": {"labelFontSize": 11, "titleFontSize": 11, "labelLimit": 260},
    "view": {"stroke": "#d0d0d0"},
}
_ZERO_LINE = {"mark": {"type": "rule", "color": "#1b1f24", "strokeWidth": 1}, "encoding": {"x": {"datum": 0}}}


def svg_data_uri(spec: dict[str, Any]) -> str:
    """Render a Vega-Lite spec to an SVG data URI for an ``<img>``: nothing in it can run.

    A chart takes most of a second, and most charts were drawn before.
    """
    drawn = digest_of("chart", spec, VEGA_LITE)
    svg = recall(drawn)
    if not isinstance(svg, str):
        import vl_convert

        svg = _stable_ids(vl_convert.vegalite_to_svg({**spec, "config": _CONFIG}, vl_version=VEGA_LITE))
        keep(drawn, svg)
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")


def _stable_ids(svg: str) -> str:
    """Number ids anew: Vega counts them over the life of the process, and equal input shall give equal pages."""
    numbers: dict[str, str] = {}
    for name in re.findall(r'\bid="([^"]+)"', svg):
        numbers.setdefault(name, f"id{len(numbers)}")
    for name, number in numbers.items():
        svg = svg.replace(f'id="{name}"', f'id="{number}"').replace(f"url(#{name})", f"url(#{number})")
    return svg


def _shown(text: str) -> str:
    """Foreign text without control characters; Vega takes it as data."""
    return "".join(c if c.isprintable() else "?" for c in text)[:60]


def _points(
    rows: Sequence[dict[str, Any]], variants: Sequence[str], *, facet: str, columns: int, title: str, zero_line: bool
) -> dict[str, Any]:
    """Points with interval bars: one panel a metric, one line a variant."""
    y = {"field": "variant", "type": "nominal", "sort": list(variants), "title": None}
    color = {
        "field": "variant",
        "type": "nominal",
        "scale": {"domain": list(variants), "range": [COLORS[i % len(COLORS)] for i in range(len(variants))]},
        "legend": None,
    }
    x = {"field": "value", "type": "quantitative", "title": title, "scale": {"zero": True}}
    return {
        "data": {"values": list(rows)},
        "facet": {"field": facet, "type": "nominal", "title": None, "sort": None},
        "columns": columns,
        "spec": {
            "width": 210,
            "height": {"step": 22},
            "layer": [
                *([_ZERO_LINE] if zero_line else []),
                {
                    "mark": {"type": "rule", "strokeWidth": 2},
                    "encoding": {
                        "y": y,
                        "x": {"field": "low", "type": "quantitative", "title": title},
                        "x2": {"field": "high"},
                        "color": color,
                    },
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                    "encoding": {"y": y, "x": x, "color": color},
                },
            ],
        },
    }


def interval_chart(
    scores: Sequence[tuple[str, str, Score]],
    variants: Sequence[str],
    *,
    title: str = "value, 95 % interval",
    zero_line: bool = False,
) -> str | None:
    """Values with 95 % intervals, one panel a metric; None if there is nothing to show.

    Args:
        scores: (panel title, variant, score) in the order of the panels.
        variants: order of the variants.
        title: of the axis.
        zero_line: draw a line at 0, for differences.
    """
    rows = [
        {
            "metric": _shown(title),
            "variant": _shown(variant),
            "value": score.value,
            "low": score.value if score.interval_low is None else score.interval_low,
            "high": score.value if score.interval_high is None else score.interval_high,
        }
        for title, variant, score in scores
        if score.value is not None
    ]
    if not rows:
        return None
    names = [_shown(variant) for variant in variants]
    return svg_data_uri(_points(rows, names, facet="metric", columns=3, title=title, zero_line=zero_line))


def heat_map(scores: Sequence[tuple[str, Score]], variants: Sequence[str], title: str) -> str | None:
    """One cell a slice value and variant, with the value written into it; None if there is nothing to show."""
    rows = [
        {
            "slice": _shown(f"{score.slice_value} (n {score.n})"),
            "variant": _shown(variant),
            "value": score.value,
            "label": f"{score.value:.2f}",
        }
        for variant, score in scores
        if score.value is not None
    ]
    if not rows:
        return None
    x = {
        "field": "variant", "type": "nominal", "title": None, "sort": [_shown(v) for v in variants],
        "axis": {"labelAngle": -35, "orient": "top"},
    }  # fmt: skip
    y = {"field": "slice", "type": "nominal", "title": None}
    spec = {
        "data": {"values": rows},
        "width": {"step": 62},
        "height": {"step": 21},
        "layer": [
            {
                "mark": {"type": "rect", "stroke": "white"},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": {
                        "field": "value",
                        "type": "quantitative",
                        "title": title,
                        "scale": {"scheme": "blues", "domain": [0, 1]},
                    },
                },
            },
            {
                "mark": {"type": "text", "fontSize": 11},
                "encoding": {
                    "x": x,
                    "y": y,
                    "text": {"field": "label"},
                    "color": {"condition": {"test": "datum.value > 0.6", "value": "white"}, "value": "#222"},
                },
            },
        ],
    }
    return svg_data_uri(spec)


def line_chart(
    curves: Sequence[tuple[str, Sequence[float], Sequence[float]]], x_title: str, y_title: str
) -> str | None:
    """One line a variant over x and y in [0, 1]; None if there is nothing to show.

    Args:
        curves: (variant, x, y); long curves are thinned to 200 points.
        x_title, y_title: titles of the axes.
    """
    rows = []
    for variant, x, y in curves:
        step = max(1, len(x) // 200)
        kept = sorted({*range(0, len(x), step), len(x) - 1}) if len(x) else []
        rows += [{"variant": _shown(variant), "x": float(x[i]), "y": float(y[i])} for i in kept]
    if not rows:
        return None
    names = [_shown(variant) for variant, _, _ in curves]
    spec = {
        "data": {"values": rows},
        "width": 420,
        "height": 240,
        "mark": {"type": "line", "interpolate": "step-after"},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "title": x_title, "scale": {"domain": [0, 1]}},
            "y": {"field": "y", "type": "quantitative", "title": y_title, "scale": {"domain": [0, 1]}},
            "color": {
                "field": "variant",
                "type": "nominal",
                "title": None,
                "scale": {"domain": names, "range": [COLORS[i % len(COLORS)] for i in range(len(names))]},
            },
        },
    }
    return svg_data_uri(spec)
