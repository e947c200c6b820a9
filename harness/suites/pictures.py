"""Pictures out of bytes that may be damaged or hostile."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from gi_bench.harness.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_PIXELS = 50_000_000


def decode(content: bytes, path: Path) -> Image:
    """Decode a picture of at most 50 megapixels.

    Raises:
        DataError: not a picture, truncated, or too large.
    """
    from PIL import Image as Pictures

    try:
        picture = Pictures.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        if picture.width * picture.height > MAX_PIXELS:
            raise DataError(
                f"image of {picture.width} x {picture.height} pixels", where=path, do="at most 50 megapixels are read"
            )
        picture.load()
        return picture
    except DataError:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise DataError(f"image does not decode: {type(error).__name__}", where=path, do="replace the file") from error
