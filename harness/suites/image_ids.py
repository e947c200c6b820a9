"""Image ids: what they may hold, and what of a file's name is none of them."""

from __future__ import annotations

import re

from gi_bench.harness.errors import DataError

# Endings of picture files. They are no part of an id: `abc1.jpg` and `abc1` are one image.
PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")


def without_ending(img_id: str) -> str:
    """An image id without the ending of a picture file, whatever its case.

    >>> without_ending("abc1.JPG"), without_ending("abc1.v2")
    ('abc1', 'abc1.v2')
    """
    for ending in PICTURE_ENDINGS:
        if img_id.lower().endswith(ending) and len(img_id) > len(ending):
            return img_id[: -len(ending)]
    return img_id


def check_image_id(img_id: object, where: object) -> str:
    """An image id that may become part of a file name, without the ending of a picture file.

    Raises:
        DataError: it is no text, or holds anything but letters, digits, ``_``, ``-`` and inner dots.
    """
    if not isinstance(img_id, str) or not _SAFE_ID.fullmatch(img_id) or ".." in img_id:
        raise DataError(
            f"unsafe image id {str(img_id)[:60]!r}",
            where=where,
            do="ids may hold letters, digits, '_', '-' and single dots, at most 128, and name no folder",
        )
    return without_ending(img_id)


__all__ = ["PICTURE_ENDINGS", "check_image_id", "without_ending"]
