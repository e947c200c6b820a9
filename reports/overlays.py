"""Outlines of regions over pictures: the reference with a solid line, predictions with a dashed one.

Nothing is filled: what lies inside a region is what a reader wants to see.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gi_bench.harness.errors import RunError
from gi_bench.harness.regions import outline, united
from gi_bench.harness.schema import Region

if TYPE_CHECKING:
    from PIL.Image import Image

REFERENCE_COLOR = (0, 230, 118)
PREDICTION_COLOR = (255, 64, 255)
_LARGEST_SIDE = 4096
_DASH = 8  # pixels of line and of gap


@contextmanager
def small_picture(picture: bytes) -> Iterator[Image]:
    """A small picture of a run, opened and decoded.

    Raises:
        RunError: it is no picture, or no small one.
    """
    from PIL import Image as Pictures

    try:
        opened = Pictures.open(io.BytesIO(picture), formats=("WEBP", "JPEG"))
        if max(opened.size) > _LARGEST_SIDE:
            raise ValueError(f"{opened.size[0]} x {opened.size[1]} pixels")
        opened.load()
    except Exception as error:  # Pillow raises many kinds for damaged pictures
        raise RunError(
            f"a small picture of the run does not decode: {type(error).__name__}",
            where="pictures-*.parquet beside the run folder",
            do="delete the file: the next gi-bench run of this suite makes it again",
        ) from error
    with opened:
        yield opened


def _pixels(picture: bytes) -> npt.NDArray[np.float64]:
    """A small picture of a run as (height, width, 3)."""
    with small_picture(picture) as opened:
        return np.asarray(opened.convert("RGB")).astype(np.float64)


def overlay(picture: bytes, reference: Sequence[Region], predicted: Sequence[Region]) -> str:
    """Draw the outlines of regions over a picture.

    Args:
        picture: WebP or JPEG, possibly smaller than the regions; masks are resized by nearest neighbour.
        reference: drawn green with a solid outline.
        predicted: drawn magenta with a dashed outline.

    Returns:
        A data URI of a JPEG.
    """
    from PIL import Image

    pixels = _pixels(picture)
    height, width = pixels.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    dashes = ((rows + columns) // _DASH) % 2 == 0
    for regions, color, dashed in ((reference, REFERENCE_COLOR, False), (predicted, PREDICTION_COLOR, True)):
        if not regions:
            continue
        mask = united(regions, height, width)
        line = outline(mask, 2)
        # A dark edge, or the line is lost on bright mucosa.
        pixels[outline(mask, 3) & ~line] *= 0.35
        if dashed:
            line = line & dashes
        pixels[line] = color
    stream = io.BytesIO()
    Image.fromarray(pixels.round().astype(np.uint8)).save(stream, format="JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
