"""Visual explanations: a region as a mask, as a box, and drawn over its image.

The organisers do not say in which unit boxes are; ours are pixels of the original image, and the description says so.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.errors import UnfitRunError
from gi_bench.harness.regions import fits, outline, resize_nearest
from gi_bench.harness.schema import Prediction

if TYPE_CHECKING:
    from PIL.Image import Image

    from gi_bench.submissions.pictures import Images

COLOR = (255, 64, 255)
_DARK = (0, 0, 0)
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Visuals:
    """What is shown of one row.

    Attributes:
        entries: value of ``visual_explanation``.
        files: pictures by path in the submission's folder.
    """

    entries: list[dict[str, Any]]
    files: dict[str, bytes]


def visuals_of(val_id: int, prediction: Prediction, folder: str, images: Images) -> Visuals:
    """Mask, boxes and overlay of a row's regions; nothing where none is shown.

    Args:
        val_id: number of the row; pictures are named by it, since an image id never becomes a path.
        prediction: of the row.
        folder: of the pictures, relative to the submission's.
        images: what regions are drawn over.

    Raises:
        UnfitRunError: a stored region cannot be decoded, or is not of its image's aspect ratio.
        DataError: an image that the user gave is not the one of the regions.
    """
    masks = _masks(val_id, prediction, images)
    if not masks:
        return Visuals([], {})
    whole = np.logical_or.reduce([mask for _, mask in masks])
    height, width = whole.shape
    labels = ", ".join(sorted({" ".join(label.split()) or "a region" for label, _ in masks}))
    path = f"{folder}/{val_id:05d}.png"
    files = {path: _png(whole)}
    entries: list[dict[str, Any]] = [
        {"type": "segmentation_mask", "data": path, "description": f"mask of {labels}, white on black"},
        {
            "type": "bounding_box",
            "data": [_box(mask) for _, mask in masks],
            "description": f"{labels}: x1, y1, x2, y2 in pixels of the {width} x {height} image",
        },
    ]
    found = images.of(prediction.img_id, (width, height))
    if found is not None:
        picture, is_scaled = found
        path = f"{folder}/{val_id:05d}_overlay.jpg"
        files[path] = overlay(picture, whole)
        on = "a small picture of the image, scaled up" if is_scaled else "the image"
        entries.append({"type": "overlay", "data": path, "description": f"contour of {labels} on {on}"})
    return Visuals(entries, files)


def _masks(val_id: int, prediction: Prediction, images: Images) -> list[tuple[str, Mask]]:
    """Labels and masks of the regions that show something, all of the size of their image, or else of the first."""
    found: list[tuple[str, Mask]] = []
    regions = prediction.regions or ()
    image = images.size_of(prediction.img_id) if regions else None
    for region in regions:
        try:
            mask = region.mask()
        except (ValueError, TypeError) as error:
            raise UnfitRunError(f"a region of row {val_id} cannot be decoded", do="run the variant again") from error
        if image is not None and not fits((region.width, region.height), image):
            raise UnfitRunError(
                f"a region of row {val_id} has {region.width} x {region.height} pixels, its image "
                f"{image[0]} x {image[1]}",
                where=images.run.path,
                do="make regions of the image's size",
            )
        height, width = image[::-1] if image is not None else (found[0][1] if found else mask).shape
        if mask.shape != (height, width):
            mask = resize_nearest(mask, height, width)
        if mask.any():
            found.append((region.label, mask))
    return found


def _box(mask: Mask) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _png(mask: Mask) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray((mask * 255).astype(np.uint8)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def overlay(picture: Image, mask: Mask) -> bytes:
    """The contour of a mask on its image, as a JPEG of the image's size.

    A bright line lies inside the region and a dark one around it, so that it is seen on any tissue.

    Args:
        picture: RGB.
        mask: (height, width) of the picture.
    """
    from PIL import Image

    pixels = np.array(picture)
    thickness = max(1, round(max(mask.shape) / 300))
    # Continued beyond the picture, whose edge would be a border to the outline.
    around = np.pad(~mask, thickness, constant_values=True)
    pixels[outline(around, thickness)[thickness:-thickness, thickness:-thickness]] = _DARK
    pixels[outline(mask, thickness)] = COLOR
    stream = io.BytesIO()
    # Without subsampling a thin line keeps its colour.
    Image.fromarray(pixels).save(stream, format="JPEG", quality=85, subsampling=0)
    return stream.getvalue()


__all__ = ["COLOR", "Visuals", "overlay", "visuals_of"]
