"""Outlines of regions as SVG paths, so that the reader can switch them off and see the mucosa."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gi_bench.harness.errors import RunError
from gi_bench.harness.regions import united
from gi_bench.harness.schema import Region

# Width of every picture in the units of its outlines, whatever its pixels are.
SIDE = 1000
# Longest side at which a mask is followed.
_FOLLOWED = 768
# Characters of a path from where on it is drawn more coarsely, and parts of a region.
_LONGEST, _MOST_PARTS = 16_000, 400


def view_box(width: int, height: int) -> str:
    """The SVG view of a picture of this size.

    >>> view_box(640, 480)
    '0 0 1000 750'
    """
    return f"0 0 {SIDE} {_scaled(width, height)}"


def _scaled(width: int, height: int) -> int:
    return max(1, round(SIDE * height / width))


def outline_path(regions: Sequence[Region], width: int, height: int) -> str:
    """The outline of some regions together, holes among them, as the ``d`` of an SVG path; empty without a pixel.

    Args:
        regions: of one picture, in any resolution.
        width, height: of the picture in pixels.

    Raises:
        RunError: a stored mask does not decode.
    """
    import cv2

    factor = min(1.0, _FOLLOWED / max(width, height))
    columns, rows = max(1, round(width * factor)), max(1, round(height * factor))
    try:
        mask = united(regions, rows, columns)
    except ValueError as error:
        raise RunError(f"a stored region does not decode: {error}", do="run again") from error
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    scale = SIDE / columns, _scaled(width, height) / rows
    # Noise of thousands of specks would make a page of hundreds of megabytes: of it the largest parts are drawn.
    parts = sorted(found, key=lambda contour: float(cv2.contourArea(contour)), reverse=True)[:_MOST_PARTS]
    path = ""
    for coarseness in (0.6, 1.5, 4.0, 10.0):
        path = "".join(_part(cv2.approxPolyDP(contour, coarseness, True)[:, 0, :], scale) for contour in parts)
        if len(path) <= _LONGEST:
            break
    return path


def _part(points: npt.NDArray[np.int32], scale: tuple[float, float]) -> str:
    """One closed line; a region of one pixel is a dot, by the round end of the line."""
    corners = [f"{round((x + 0.5) * scale[0])} {round((y + 0.5) * scale[1])}" for x, y in points.tolist()]
    return f"M{'L'.join(corners)}Z" if len(corners) > 1 else f"M{corners[0]}h0"


__all__ = ["SIDE", "outline_path", "view_box"]
