"""Pictures out of files and bytes that may be damaged or hostile."""

from __future__ import annotations

import io
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gi_bench.harness.errors import DataError
from gi_bench.harness.files import content_of

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
MAX_PIXELS = 50_000_000
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP")
_LARGEST_FILE = 1024**3
# Grey pictures of 16 bits: 65,535 is white.
_SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def read_picture(path: Path) -> bytes:
    """The bytes of a picture's file.

    Raises:
        DataError: missing, no plain file, or not readable.
    """
    return content_of(path, largest=_LARGEST_FILE, do="replace the file", error=DataError)


def decode(content: bytes, path: Path) -> Image:
    """Decode a picture of at most 50 megapixels, as it is stored.

    Raises:
        DataError: not a picture, truncated, too large, or of several pages.
    """
    from PIL import Image as Pictures

    try:
        picture = Pictures.open(io.BytesIO(content), formats=_FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise DataError(
                f"image of {picture.width} x {picture.height} pixels", where=path, do="at most 50 megapixels are read"
            )
        if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
            raise DataError("a picture of several pages", where=path, do="save the one that is meant")
        picture.load()
        return picture
    except DataError:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise DataError(f"image does not decode: {type(error).__name__}", where=path, do="replace the file") from error


def decode_rgb(content: bytes, path: Path) -> Image:
    """Decode a picture as RGB of 8 bits; 16 bits are scaled, where Pillow would cut them off at white.

    Raises:
        DataError: as :func:`decode`, or a picture whose white is not known.
    """
    picture = decode(content, path)
    if picture.mode in _SIXTEEN_BITS:
        return _from_sixteen_bits(picture, path)
    if picture.mode == "F":
        raise DataError("a picture of floating-point numbers", where=path, do="save it with 8 bits a channel")
    try:
        return picture.convert("RGB")
    except Exception as error:  # a mode that Pillow cannot convert
        raise DataError(
            f"a picture of the mode {picture.mode!r}", where=path, do="save it with 8 bits a channel"
        ) from error


def _from_sixteen_bits(picture: Image, path: Path) -> Image:
    import numpy as np
    from PIL import Image as Pictures

    values = np.asarray(picture).astype(np.int64)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65_535 or 0 < high <= 255:
        raise DataError(
            f"a picture of 16 bits or more whose values go from {low} to {high}: its white is not known",
            where=path,
            do="save it with 8 bits a channel",
        )
    return Pictures.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8)).convert("RGB")


class PictureFolder:
    """The pictures of a folder by the name of their files without ending, which may be in any case.

    Args:
        folder: need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _found(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.files:
            stem, ending = os.path.splitext(name)
            if ending.lower() in SUFFIXES:
                found.setdefault(stem, []).append(name)
        return found

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Names of all files, sorted, without those that begin with a dot; empty where there is no such folder."""
        try:
            with os.scandir(self.folder) as entries:
                return tuple(sorted(e.name for e in entries if not e.name.startswith(".") and not e.is_dir()))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise DataError(f"cannot read the folder: {error.strerror}", where=self.folder) from error

    def find(self, name: str) -> Path | None:
        """The picture of a name; None if there is none.

        Raises:
            DataError: several files have the name.
        """
        found = self._found.get(name, [])
        if len(found) > 1:
            raise DataError(
                f"two files for one id: {found[0]} and {found[1]}", where=self.folder, do="remove one of them"
            )
        return self.folder / found[0] if found else None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all pictures without their endings, sorted."""
        return tuple(sorted(self._found))


__all__ = ["MAX_PIXELS", "SUFFIXES", "PictureFolder", "decode", "decode_rgb", "read_picture"]
