"""Small pictures of a page: inside it as far as they fit, the others as files beside it where that is asked for."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.files import write_bytes
from gi_bench.harness.schema import Picture
from gi_bench.harness.store import Run

NONE_KEPT = "no picture of this image was kept with the runs"
NOT_READ = "the picture that was kept is neither WebP nor JPEG"
LEFT_OUT = "left out to keep the file small; gi-bench report --pictures DIR keeps it beside the page"


@dataclass(frozen=True)
class PlacedPictures:
    """Where the picture of each image is.

    Attributes:
        sources: what an ``img`` shows, by image id: a data URI, or a path relative to the page.
        reasons: why there is no picture, by image id.
        inside: number of pictures in the page.
        beside: number of pictures in files.
    """

    sources: Mapping[str, str]
    reasons: Mapping[str, str]
    inside: int
    beside: int


def spread_order(count: int) -> list[int]:
    """Numbers from 0 below ``count`` in an order of which any beginning is spread evenly over all.

    >>> spread_order(5)
    [0, 2, 1, 3, 4]
    """
    bits = max(1, (count - 1).bit_length())
    order: dict[int, None] = {}
    for number in range(1 << bits):
        turned = int(f"{number:0{bits}b}"[::-1], 2)
        order.setdefault((turned * count) >> bits)
    # Dividing may skip a number where the bits allow more numbers than there are.
    return [*order, *(number for number in range(count) if number not in order)]


def kept_pictures(runs: Sequence[Run]) -> dict[str, Picture]:
    """The pictures that were kept with runs, by image id; the first run that has one gives it."""
    found: dict[str, Picture] = {}
    for run in runs:
        for img_id, picture in run.pictures.items():
            found.setdefault(img_id, picture)
    return found


def text_bytes(picture: Picture) -> int:
    """Bytes that a picture takes as text inside a page."""
    return 4 * (len(picture.data) // 3 + 1) + 28


def place_pictures(
    img_ids: Sequence[str],
    pictures: Mapping[str, Picture],
    budget: int,
    folder: Path | None = None,
    page_dir: Path | None = None,
) -> PlacedPictures:
    """Put pictures into the page up to a budget, spread evenly over the images, and the rest beside it.

    Args:
        img_ids: images of the page, in its order.
        pictures: by image id.
        budget: bytes that the pictures of the page may take, as text.
        folder: where the others are written; None leaves them out.
        page_dir: folder of the page; None for the one around ``folder``.

    Raises:
        GiBenchError: a picture cannot be written.
    """
    if folder is not None and folder.exists() and not folder.is_dir():
        raise GiBenchError("not a folder", where=folder, do="give --pictures a folder, new or old")
    sources: dict[str, str] = {}
    reasons: dict[str, str] = {}
    left, inside = budget, 0
    for number in spread_order(len(img_ids)):
        img_id = img_ids[number]
        picture = pictures.get(img_id)
        kind = None if picture is None else _kind(picture.data)
        if picture is None or kind is None:
            reasons[img_id] = NONE_KEPT if picture is None else NOT_READ
            continue
        cost = text_bytes(picture)
        if cost <= left:
            left -= cost
            inside += 1
            sources[img_id] = f"data:image/{kind};base64,{base64.b64encode(picture.data).decode('ascii')}"
        elif folder is not None:
            sources[img_id] = _written(picture.data, kind, folder, page_dir or folder.parent)
        else:
            reasons[img_id] = LEFT_OUT
    return PlacedPictures(sources, reasons, inside, len(sources) - inside)


def _kind(data: bytes) -> str | None:
    """``webp`` or ``jpeg`` by how the data begin; None for anything else, which is never shown."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return "jpeg" if data[:3] == b"\xff\xd8\xff" else None


def _written(data: bytes, kind: str, folder: Path, page_dir: Path) -> str:
    """Write a picture under a name that is made of its content alone; gives its address, relative to the page."""
    path = folder / f"picture-{hashlib.sha256(data).hexdigest()[:20]}.{kind}"
    if not path.is_file() or path.stat().st_size != len(data):
        write_bytes(path, data)
    relative = os.path.relpath(path.absolute(), page_dir.absolute())
    # With "./" no first part is taken for a scheme ("c:"), whatever the folder is called.
    return "./" + quote(Path(relative).as_posix(), safe="/", errors="surrogateescape")


__all__ = [
    "LEFT_OUT",
    "NONE_KEPT",
    "NOT_READ",
    "PlacedPictures",
    "kept_pictures",
    "place_pictures",
    "spread_order",
    "text_bytes",
]
