"""Pictures and boxes of ``visual_explanation``: that they exist, can be read, show something, and fit their image."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.suites.pictures import MAX_PIXELS
from gi_bench.submissions.check.boxes import Units, check_boxes
from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.check.folder import Folder
from gi_bench.submissions.check.records import Record, check_text
from gi_bench.submissions.editions import Task2

if TYPE_CHECKING:
    from PIL.Image import Image

    from gi_bench.harness.suites.base import Suite

Size = tuple[int, int]
KEY = "visual_explanation"
MOST_BYTES = 50_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")
_ENTRY = ("type", "data", "description")
_BOX_TYPE = re.compile(r"box", re.IGNORECASE)
# Pictures of that many rows or more may not be one and the same.
_ENOUGH = 10
_MANY = 0.5


@dataclass
class _Pictures:
    """Pictures of the folder, each read once.

    Attributes:
        sizes: width and height by name; None for what cannot be read.
        used: names that a row points to.
        digests: of the bytes, one for every row that points to them.
    """

    folder: Folder
    sizes: dict[str, Size | None] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    users: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def size(self, name: str, file: str, line: int, found: Findings) -> Size | None:
        """Width and height of a picture; None, reported once, where it is none."""
        if name not in self.sizes:
            self.sizes[name] = self._read(name, file, line, found)
        return self.sizes[name]

    def _read(self, name: str, file: str, line: int, found: Findings) -> Size | None:
        content = self.folder.read(name, MOST_BYTES, found)
        if content is None:
            return None
        self.digests[name] = hashlib.sha256(content).hexdigest()
        try:
            picture = _decode(content)
            blank = _blank(picture)
        except GiBenchError as error:
            found.add("visual-damaged", f"{shown(name)}: {error.what}", file, line)
            return None
        except Exception as error:  # Pillow raises many kinds for damaged files
            found.add("visual-damaged", f"{shown(name)}: {type(error).__name__}", file, line)
            return None
        if blank:
            found.add("visual-blank", f"{shown(name)}: {blank}", file, line)
        return picture.size


def _decode(content: bytes) -> Image:
    from PIL import Image as Pictures

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large pictures: refused below
        picture = Pictures.open(io.BytesIO(content), formats=_FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise GiBenchError(f"{picture.width} x {picture.height} pixels; at most 50 megapixels are read")
        picture.load()
    return picture


def _blank(picture: Image) -> str:
    """Why a picture shows nothing; empty if it shows something."""
    import numpy as np

    if picture.mode == "P" or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    pixels = np.asarray(picture)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        return "it holds NaN or infinity"
    if picture.mode in ("RGBA", "LA", "PA"):
        if not pixels[..., -1].any():
            return "it is transparent throughout"
        if pixels[..., -1].min() != pixels[..., -1].max():
            return ""
    flat = pixels.reshape(-1, pixels.shape[2]) if pixels.ndim == 3 else pixels.reshape(-1, 1)
    if (flat == flat[0]).all():
        return f"every pixel is {', '.join(str(int(one)) for one in flat[0])}"
    return ""


def check_visuals(folder: Folder, rows: Sequence[Record], table: Task2, suite: Suite | None, found: Findings) -> None:
    """Report what is wrong with the pictures and boxes of all rows."""
    if KEY not in (*table.required, *table.optional):
        return
    pictures, units = _Pictures(folder), Units()
    images: dict[str, Size | None] = {}
    sizes_by_image: dict[str, dict[Size, str]] = defaultdict(dict)
    count = 0
    for row in rows:
        entries = row.value.get(KEY)
        if not entries:
            if entries is not None and not isinstance(entries, list):
                found.add("visual-entry", f"{KEY} is {shown(entries)}, and has to be a list", table.lines, row.line)
            continue
        if not isinstance(entries, list):
            found.add("visual-entry", f"{KEY} is {shown(entries)}, and has to be a list", table.lines, row.line)
            continue
        count += 1
        img_id = str(row.value.get("img_id"))
        if img_id not in images:
            images[img_id] = _image_size(suite, img_id)
        check = _Row(row.line, img_id, table, pictures, images[img_id], sizes_by_image[img_id])
        boxes = [one for entry in entries if (one := check.entry(entry, found)) is not None]
        for one in boxes:
            size = images[img_id] or check.shown
            check_boxes(one, units.of_row(size), table.lines, row.line, found)
    units.report(table.lines, found)
    if not count and rows:
        found.add("visuals-none", f"{KEY} is optional; raters look at it", table.lines)
    if count and suite is None:
        found.skip(f"pictures and boxes against the images: none here (--data DIR with {table.dataset})")
    _check_same(pictures, table, found)
    _check_unused(folder, pictures, table, found)


def _image_size(suite: Suite | None, img_id: str) -> Size | None:
    if suite is None:
        return None
    try:
        return suite.load_image(img_id).size
    except GiBenchError:
        return None


@dataclass
class _Row:
    """The entries of one row.

    Attributes:
        image: size of the row's image; None where it is not known.
        others: sizes that pictures of the same image had, and one that had it.
        shown: size of the row's own pictures, once one was read.
    """

    line: int
    img_id: str
    table: Task2
    pictures: _Pictures
    image: Size | None
    others: dict[Size, str]
    shown: Size | None = None

    def entry(self, entry: Any, found: Findings) -> list[Any] | None:
        """Check one entry; its boxes, where it has some."""
        file, line = self.table.lines, self.line
        if not isinstance(entry, dict):
            found.add("visual-entry", f"{shown(entry)} where an object has to be", file, line)
            return None
        for key in ("type", "data"):
            if key not in entry:
                found.add("visual-entry", f"{key} is missing", file, line)
        for key in entry:
            if key not in _ENTRY:
                found.add("key-unknown", f"{KEY}: {shown(key)}; known: {', '.join(_ENTRY)}", file, line)
        kind, data, description = (entry.get(key) for key in _ENTRY)
        if "type" in entry and check_text(kind, f"{KEY}.type", file, line, found) and not kind.strip():
            found.add("visual-entry", "type is empty", file, line)
        if description is not None:
            check_text(description, f"{KEY}.description", file, line, found)
        is_box = isinstance(kind, str) and bool(_BOX_TYPE.search(kind))
        if "data" in entry and isinstance(kind, str) and is_box != isinstance(data, list):
            found.add(
                "visual-type", f"{shown(kind)} with {'boxes' if isinstance(data, list) else 'a path'}", file, line
            )
        if isinstance(data, str):
            self.path(data, found)
        elif isinstance(data, list):
            return data
        elif "data" in entry:
            found.add("visual-entry", f"data is {shown(data)}, and has to be a path or boxes", file, line)
        return None

    def path(self, name: str, found: Findings) -> None:
        """Check a path and the picture there."""
        file, line, folder = self.table.lines, self.line, self.pictures.folder
        problem = _leads_out(name)
        if problem:
            found.add("visual-path", f"{shown(name)}: {problem}", file, line)
            return
        normal = PurePosixPath(name).as_posix()
        if normal not in folder:
            near = next((one for one in folder.files if one.lower() == normal.lower()), "")
            found.add("visual-missing", shown(name) + (f"; there is {shown(near)}" if near else ""), file, line)
            return
        if PurePosixPath(normal).parts[0] != self.table.visuals:
            found.add("visual-place", f"{shown(name)} is not in {self.table.visuals}/", file, line)
        self.pictures.users[normal].add(self.img_id)
        size = self.pictures.size(normal, file, line, found)
        if size is None:
            return
        self.shown = self.shown or size
        if self.image is not None and size != self.image:
            text = f"{shown(name)} is {_text(size)}, and the image {_text(self.image)}"
            found.add("visual-size", text, file, line)
        elif self.image is None and self.others and size not in self.others:
            other, its = next(iter(self.others.items()))
            text = f"{shown(name)} is {_text(size)}, and {shown(its)} of the same image {_text(other)}"
            found.add("visual-size-differs", text, file, line)
        self.others.setdefault(size, name)


def _text(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def _leads_out(name: str) -> str:
    """What keeps a text from being a path in the folder; empty if nothing does.

    >>> [bool(_leads_out(one)) for one in ("visuals/a.png", "/a.png", "../a.png", "C:\\\\a.png", "https://x/a.png")]
    [False, True, True, True, True]
    """
    if not name.strip() or "\0" in name:
        return "it is no path"
    if name.startswith("data:"):
        return "write the picture to a file and give its path"
    if re.match(r"[A-Za-z][\w+.-]*://", name):
        return "it is an address; put the picture into the repository"
    if "\\" in name:
        return "write / between folders"
    if name.startswith(("/", "~")) or re.match(r"[A-Za-z]:", name):
        return "it is absolute; it has to start from the repository's root"
    if ".." in PurePosixPath(name).parts:
        return "it holds .."
    if PurePosixPath(name).as_posix() == ".":
        return "it is a folder"
    return ""


def _check_same(pictures: _Pictures, table: Task2, found: Findings) -> None:
    """Report a picture that stands for most images."""
    images: dict[str, set[str]] = defaultdict(set)
    for name, digest in pictures.digests.items():
        images[digest] |= pictures.users[name]
    total = len(set().union(*images.values())) if images else 0
    if total < _ENOUGH:
        return
    digest, count = Counter({digest: len(ids) for digest, ids in images.items()}).most_common(1)[0]
    if count > _MANY * total:
        name = next(name for name, one in pictures.digests.items() if one == digest)
        found.add("visual-same", f"{shown(name)} and its copies stand for {count:,} of {total:,} images", table.lines)


def _check_unused(folder: Folder, pictures: _Pictures, table: Task2, found: Findings) -> None:
    for name in folder.files:
        if name.startswith(f"{table.visuals}/") and name not in pictures.users:
            found.add("visual-unused", "no row points to it", name)


__all__ = ["check_visuals"]
