"""Vega-Lite charts rendered to SVG at build time: what a page shows where no script runs."""

from __future__ import annotations

import base64
import re
from typing import Any

from gi_bench.harness.provenance import digest_of, keep, recall
from gi_bench.reports.pages import VEGA_LITE

_CONFIG = {
    "font": "Liberation Sans, Arial, sans-serif",
    "axis": {"labelFontSize": 11, "titleFontSize": 11, "labelLimit": 260, "gridColor": "#e6e6e6"},
    "header": {"labelFontSize": 12, "titleFontSize": 12},
    "legend": {"labelFontSize": 11, "titleFontSize": 11, "labelLimit": 260},
    "view": {"stroke": "#d0d0d0"},
}


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


__all__ = ["svg_data_uri"]
