"""Tables of masks, one an image and label, as ``gi-bench data masks`` writes them: their columns, and their reading."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from gi_bench.harness.errors import DataError
from gi_bench.harness.files import read_table
from gi_bench.harness.regions import fits
from gi_bench.harness.schema import Region

if TYPE_CHECKING:
    from gi_bench.harness.suites.base import Suite

SCHEMA = pa.schema(
    [
        ("img_id", pa.string()),
        ("label", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("counts", pa.string()),
        ("source", pa.string()),
        ("model", pa.string()),
        ("details", pa.string()),
        ("score", pa.float32()),
        ("kept_input", pa.bool_()),
    ]
)


def read_masks(path: Path) -> dict[tuple[str, str], Region]:
    """Masks by image id and label.

    Raises:
        DataError: the file is missing or damaged, or a mask occurs twice or does not fit its size.
    """
    if not path.is_file():
        raise DataError("no file with masks", where=path, do="make one with gi-bench data masks")
    found: dict[tuple[str, str], Region] = {}
    for number, row in enumerate(read_table(path, SCHEMA).to_pylist()):
        region = Region(row["label"], row["height"], row["width"], row["counts"])
        try:
            region.check()
        except (ValueError, TypeError, AttributeError) as error:  # the last two where a field is empty
            raise DataError(
                f"a mask that is no run-length code of its size: {error}",
                where=f"{path}, row {number}",
                do="make the file again with gi-bench data masks",
            ) from error
        if (row["img_id"], row["label"]) in found:
            raise DataError(f"two masks of {row['label']} in {row['img_id']}", where=f"{path}, row {number}")
        found[row["img_id"], row["label"]] = region
    return found


def check_sizes(masks: Mapping[tuple[str, str], Region], suite: Suite, where: object) -> None:
    """Refuse a mask that cannot lie on its image.

    A mask of another size is scaled to its image where it has the image's aspect ratio (width over height) within 1 %,
    as masks have that were stored smaller. Any other would be stretched over the wrong place.

    Args:
        masks: by image id and label; every image has to be of the suite.
        suite: with images.
        where: file of the masks, for the message.

    Raises:
        DataError: the first mask of another aspect ratio.
    """
    sizes: dict[str, tuple[int, int]] = {}
    for (img_id, label), region in masks.items():
        if img_id not in sizes:
            sizes[img_id] = suite.load_image(img_id).size
        width, height = sizes[img_id]
        if not fits((region.width, region.height), (width, height)):
            raise DataError(
                f"the mask of {label} in {img_id} has {region.width} x {region.height} pixels, "
                f"its image {width} x {height}",
                where=where,
                do="make the mask from this image, or give --data the images that it was made from",
            )


__all__ = ["SCHEMA", "check_sizes", "read_masks"]
