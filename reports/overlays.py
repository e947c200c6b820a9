"""Regions drawn over pictures: the reference with a solid line, predictions with a dashed one."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np

from gi_bench.harness.regions import outline, united
from gi_bench.harness.schema import Region

REFERENCE_COLOR = (0, 230, 118)
PREDICTION_COLOR = (255, 64, 255)
_DASH = 8  # pixels of line and of gap


def overlay(picture: bytes, reference: Sequence[Region], predicted: Sequence[Region]) -> str:
    """Draw regions over a picture.

    Args:
        picture: WebP or JPEG, possibly smaller than the regions; masks are resized by nearest neighbour.
        reference: drawn green with a solid outline.
        predicted: drawn magenta with a dashed outline.

    Returns:
        A data URI of a JPEG.
    """
    from PIL import Image

    with Image.open(io.BytesIO(picture), formats=("WEBP", "JPEG")) as opened:
        pixels = np.asarray(opened.convert("RGB")).astype(np.float64)
    height, width = pixels.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    dashes = ((rows + columns) // _DASH) % 2 == 0
    for regions, color, dashed in ((reference, REFERENCE_COLOR, False), (predicted, PREDICTION_COLOR, True)):
        if not regions:
            continue
        mask = united(regions, height, width)
        pixels[mask] = 0.82 * pixels[mask] + 0.18 * np.array(color)
        line = outline(mask, 2)
        if dashed:
            line = line & dashes
        pixels[line] = color
    stream = io.BytesIO()
    Image.fromarray(pixels.round().astype(np.uint8)).save(stream, format="JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
