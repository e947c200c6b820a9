"""Small pictures of a suite's images, kept once beside its runs, so that pages need neither suite nor model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from gi_bench.harness.errors import RunError
from gi_bench.harness.locks import holding
from gi_bench.harness.placing import ENDING
from gi_bench.harness.schema import Picture
from gi_bench.harness.store import pictures_path
from gi_bench.harness.tables import read_stored, records_of, schema_of, write_records

if TYPE_CHECKING:
    import pyarrow as pa

    from gi_bench.harness.suites.base import Suite

# Longest side in pixels, and WebP's quality: about 5 kB for an endoscopy image.
LONGEST_SIDE = 256
QUALITY = 75
# Of the encoder: half the time of its default for 6 % more bytes.
METHOD = 2
# How long another process may take to add its pictures.
_WAIT_S = 1800.0


def write_pictures(folder: Path, suite: Suite, img_ids: Sequence[str]) -> None:
    """Add the pictures of a run's images to those that its suite has beside the run folder.

    Args:
        folder: the run's.
        suite: where images come from; one without images has no pictures.
        img_ids: images of the run. A run of the whole suite makes the file whole.

    Raises:
        DataError: an image is missing or does not decode.
        RunError: the file cannot be written.
    """
    if not suite.has_images:
        return
    path = pictures_path(folder, suite.fingerprint)
    lock = f".{path.name}.lock{ENDING}"
    if not _missing(path, img_ids) and not (path.parent / lock).exists():
        return
    # Runs of one suite share the file: what another process adds in the meantime must not be lost.
    with holding(path.parent, name=lock, wait_s=_WAIT_S, what="adds pictures of this suite"):
        _add(path, suite, img_ids)


def _missing(path: Path, img_ids: Sequence[str]) -> list[str]:
    stored = _stored(path)
    there = set() if stored is None else set(stored["img_id"].to_pylist())
    return [img_id for img_id in img_ids if img_id not in there]


def _add(path: Path, suite: Suite, img_ids: Sequence[str]) -> None:
    stored = _stored(path)
    missing = _missing(path, img_ids)
    if not missing:
        return
    known = {} if stored is None else {one.img_id: one for one in records_of(stored, Picture, path)}
    with ThreadPoolExecutor(max_workers=2) as pool:
        known.update(zip(missing, pool.map(lambda img_id: _picture(suite, img_id), missing), strict=True))
    # In the suite's order, whatever the order of the runs that added to them.
    ordered = [known[img_id] for img_id in suite.image_ids if img_id in known]
    write_records(path, ordered, Picture)


def _stored(path: Path) -> pa.Table | None:
    """What is there; a file that is damaged or another tool's is made anew, since nothing in it is lost for good."""
    if not path.exists():
        return None
    try:
        table = read_stored(path)
    except RunError:
        return None
    return table if table.schema.equals(schema_of(Picture)) else None


def _picture(suite: Suite, img_id: str) -> Picture:
    image = suite.load_image(img_id)
    width, height = image.size
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    stream = io.BytesIO()
    image.convert("RGB").save(stream, format="WEBP", quality=QUALITY, method=METHOD)
    return Picture(img_id, width, height, stream.getvalue())


__all__ = ["LONGEST_SIDE", "write_pictures"]
