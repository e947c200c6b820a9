"""The sheet on which an expert accepts or rejects a sample of masks; decisions leave it as a CSV file."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from gi_bench.harness.analysis.review.masks import REVIEW_COLUMNS
from gi_bench.harness.errors import DataError
from gi_bench.harness.files import read_table, write_bytes
from gi_bench.harness.outputs import check_output, is_page
from gi_bench.harness.schema import Region
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.mask_table import SCHEMA, check_sizes, read_masks
from gi_bench.reports import pages
from gi_bench.reports.review.outlines import outline_path, view_box

_SIDE = 384
_LEAST = 3
Masks = Mapping[tuple[str, str], Region]


@dataclass(frozen=True)
class Shown:
    """One mask, ready to show: its image and label, the picture, and the outline over it (see ``outlines``)."""

    img_id: str
    label: str
    picture: str
    view: str
    outline: str


def sample(masks: Masks, share: float = 0.05, seed: int = 0) -> list[tuple[str, str]]:
    """Keys of masks to be looked at: of every label the same share, at least three, drawn with a fixed seed."""
    by_label: dict[str, list[tuple[str, str]]] = {}
    for key in sorted(masks):
        by_label.setdefault(key[1], []).append(key)
    chosen: list[tuple[str, str]] = []
    for number, label in enumerate(sorted(by_label)):
        keys = by_label[label]
        count = min(len(keys), max(_LEAST, round(share * len(keys))))
        drawn = np.random.default_rng([seed, number]).permutation(len(keys))[:count]
        chosen += [keys[i] for i in sorted(drawn)]
    return chosen


def write_mask_sheet(table: Path, suite: Suite, output: Path, *, share: float = 0.05, seed: int = 0) -> tuple[int, int]:
    """Write the sheet of a table of masks.

    Args:
        table: as ``gi-bench data masks`` writes it.
        suite: whose images the masks lie on.
        output: HTML file.
        share: of every label's masks that are shown; at least three.
        seed: of the draw.

    Returns:
        How many masks are shown, and how many there are.

    Raises:
        GiBenchError: the table cannot be read, its masks do not fit the suite's images, or the place is taken.
    """
    check_output(output, is_page, inputs=[table])
    masks = read_masks(table)
    if not suite.has_images:
        raise DataError(f"{suite.name} has no images here", where=table, do="give --data a folder with images/")
    unknown = sorted({img_id for img_id, _ in masks} - set(suite.image_ids))
    if unknown:
        raise DataError(f"image {unknown[0]!r} of the masks is not in {suite.name}", where=table, do="use its suite")
    keys = sample(masks, share, seed)
    check_sizes({key: masks[key] for key in keys}, suite, table)
    sources = sorted(set(read_table(table, SCHEMA)["source"].to_pylist()))
    page = render_mask_sheet(suite, masks, keys, ", ".join(map(str, sources)))
    write_bytes(output, page.encode("utf-8", errors="backslashreplace"))
    return len(keys), len(masks)


def render_mask_sheet(suite: Suite, masks: Masks, keys: Sequence[tuple[str, str]], source: str) -> str:
    """The page for some masks.

    Args:
        suite: pictures.
        masks: masks by image id and label.
        keys: which of them, in this order.
        source: where the masks come from, for the heading.
    """
    shown = [_shown(suite, img_id, label, masks[img_id, label]) for img_id, label in keys]
    content = json.dumps([asdict(one) for one in shown], sort_keys=True)
    return pages.render(
        "mask_review.html.j2",
        masks=shown,
        whole=len(masks),
        source=source,
        suite=suite.name,
        sheet={
            "digest": hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest(),
            "columns": list(REVIEW_COLUMNS),
            "masks": [{"img_id": one.img_id, "label": one.label} for one in shown],
        },
    )


def _shown(suite: Suite, img_id: str, label: str, region: Region) -> Shown:
    picture = suite.load_image(img_id).convert("RGB")
    width, height = picture.size
    picture.thumbnail((_SIDE, _SIDE))
    stream = io.BytesIO()
    picture.save(stream, format="WEBP", quality=80)
    uri = "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return Shown(img_id, label, uri, view_box(width, height), outline_path([region], width, height))


__all__ = ["render_mask_sheet", "sample", "write_mask_sheet"]
