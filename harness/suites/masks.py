"""Reference masks out of picture files, whatever tool wrote them: what is plain is read, what is not is refused.

A mask has two values, and the larger one is the region: 0 and 1, 0 and 255, a label map of one label, 16 bits. A
palette or colours are read by what one sees: the region is what is not black. Where alpha alone tells two values, it is
the mask. Noise of JPEG and softened edges are decided by the middle between the two values; values that lie elsewhere
are a third label, which nobody here can choose from.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gi_bench.harness.errors import DataError
from gi_bench.harness.regions import fits, resize_nearest
from gi_bench.harness.suites.pictures import decode, read_picture

if TYPE_CHECKING:
    from PIL.Image import Image

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.int64]
_SAVE = "save it as a grey PNG with 0 outside and 255 inside the region"
# Shares of the distance between the two values: how near one of them a value of JPEG lies that is that one with noise,
# and where between them (128 of 255, as the paper's evaluation has it) the border is.
_NOISE = 1 / 16
_BORDER = 128 / 255
# JPEG's noise and softened edges reach as far from an edge, in pixels, as JPEG's blocks are wide; those of its colours
# are twice as wide.
_REACH = 8
_COLOUR_REACH = 20
# Fewer values than these in a file without loss are labels.
_LABELS = 4


def read_mask(path: Path) -> Mask:
    """A mask as booleans of shape (height, width); it may be empty.

    Raises:
        DataError: the file is damaged, or it is not plain which of its pixels are the region.
    """
    picture = decode(read_picture(path), path)
    try:
        return _mask_of(picture)
    except ValueError as error:
        raise DataError(f"not plainly a mask: {error}", where=path, do=_SAVE) from error


def read_reference(path: Path, size: tuple[int, int] | None) -> tuple[Mask, bool]:
    """The mask of something that is there, at the size of its image, and whether it had to be resized.

    Args:
        path: the mask.
        size: (width, height) of the image; None where that is not known.

    Raises:
        DataError: as :func:`read_mask`; no pixel belongs to the region; or another aspect ratio than the image's.
    """
    mask = read_mask(path)
    height, width = mask.shape
    resized = size is not None and (width, height) != size
    if size is not None and resized:
        if not fits((width, height), size):
            raise DataError(
                f"the mask has {width} x {height} pixels, its image {size[0]} x {size[1]}",
                where=path,
                do="is it another image's? Make the mask from this image",
            )
        mask = resize_nearest(mask, size[1], size[0])
    if not mask.any():
        raise DataError(
            "a mask without a pixel of something that is there",
            where=path,
            do="mend it, or delete the file: a phrase without a mask is run and not scored",
        )
    return mask, resized


def _mask_of(picture: Image) -> Mask:
    """Which pixels are the region.

    Raises:
        ValueError: that is not plain.
    """
    from PIL.Image import Image as Picture

    lossy = picture.format in ("JPEG", "MPO")
    if "transparency" in picture.info or picture.mode in ("PA", "La", "RGBa"):
        picture = picture.convert("RGBA")
    if picture.mode in ("LA", "RGBA"):
        alpha = np.asarray(picture.getchannel("A")).astype(np.int64)
        colours: Picture = picture.convert("RGB")
        if alpha.min() != alpha.max():
            return _of_alpha(alpha, np.asarray(colours).astype(np.int64))
        picture = colours
    if picture.mode == "P":
        return _of_palette(picture)
    if picture.mode in ("1", "L", "F") or picture.mode.startswith("I"):
        values = np.asarray(picture)
        if picture.mode == "F" and not (np.isfinite(values).all() and np.array_equal(values, np.round(values))):
            raise ValueError("floating-point numbers")
        # In mode "1" the value of a set pixel is 1 for numpy, whatever the file calls it.
        return _of_values(values.astype(np.int64), lossy, 1 if picture.mode == "1" else None)
    if picture.mode not in ("RGB", "YCbCr", "CMYK"):
        raise ValueError(f"a picture of the mode {picture.mode!r}")
    return _of_colours(np.asarray(picture.convert("RGB")).astype(np.int64), lossy)


def _of_values(values: Values, lossy: bool, white: int | None = None, reach: int = _REACH) -> Mask:
    """The mask of grey values.

    Args:
        values: of shape (height, width).
        lossy: as JPEG stores them.
        white: the value that means the region where there is only one; None takes the usual ones.
        reach: how far from an edge other values may lie, in pixels.
    """
    low, high = int(values.min()), int(values.max())
    if low < 0:
        raise ValueError("negative values")
    near = round(255 * _NOISE) if lossy else 0
    if high - low <= near:
        return _constant(values, low, high, near, white)
    found = np.unique(values)
    if len(found) == 2 and not lossy:
        return np.asarray(values == high)
    mask = np.asarray(values > low + (high - low) * _BORDER)
    if high - low < (255 if high <= 255 else 65_535) // 4:
        raise ValueError(f"{len(found)} values from {low} to {high}")
    if not lossy and len(found) <= _LABELS:
        raise ValueError(f"{len(found)} values ({', '.join(map(str, found))}), where a mask has two")
    _check_noise(values, mask, (high - low) * _NOISE if lossy else 0, reach)
    return mask


def _constant(values: Values, low: int, high: int, near: int, white: int | None) -> Mask:
    """The mask of a picture of one value: empty if that is black, everything if it is white."""
    if high <= near:
        return np.zeros(values.shape, dtype=bool)
    if any(abs(value - usual) <= near for usual in (white or 255, 255, 65_535) for value in (low, high)):
        return np.ones(values.shape, dtype=bool)
    raise ValueError(f"all its pixels have the value {low}, neither black nor white")


def _check_noise(values: Values, mask: Mask, margin: float, reach: int) -> None:
    """Refuse values between the two that are neither noise nor a soft edge.

    Raises:
        ValueError: says which value, and where.
    """
    low, high = int(values.min()), int(values.max())
    far = (values > low + margin) & (values < high - margin) & ~_near_edges(mask, reach)
    if far.any():
        row, column = (int(place) for place in np.argwhere(far)[0])
        raise ValueError(
            f"values from {low} to {high}, and {int(values[row, column])} far from an edge (row {row}, column "
            f"{column}), where a mask has two"
        )


def _near_edges(mask: Mask, reach: int) -> Mask:
    """Pixels within some pixels of where the mask changes."""
    import cv2

    plain = mask.astype(np.uint8)
    window = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
    return np.asarray(cv2.dilate(plain, window) != cv2.erode(plain, window))


def _of_alpha(alpha: Values, colours: Values) -> Mask:
    """The mask of a picture with transparent pixels: alpha tells it, if the colours do not say otherwise."""
    mask = _of_values(alpha, lossy=False)
    seen = colours[mask].reshape(-1, 3)
    if len(np.unique(seen, axis=0)) != 1:
        raise ValueError("both its colours and its transparency differ")
    hidden = np.unique(colours[~mask].reshape(-1, 3), axis=0)
    if len(hidden) and int(hidden.sum(axis=1).max()) > int(seen[0].sum()):
        raise ValueError("both its colours and its transparency differ")
    return mask


def _of_palette(picture: Image) -> Mask:
    """The mask of a picture with a palette: what one sees decides, and the labels where one sees nothing."""
    labels = np.asarray(picture).astype(np.int64)
    used = [int(value) for value in np.unique(labels)]
    palette = picture.getpalette("RGB") or []
    colours = [tuple(palette[3 * label : 3 * label + 3]) for label in used]
    if any(len(colour) < 3 for colour in colours):
        raise ValueError("a label that its palette does not have")
    if len(used) == 1:
        seen = _one_seen(used[0], colours[0])
        return _constant(np.full_like(labels, seen), seen, seen, 0, None)
    if len(set(colours)) == 1:
        return _of_values(labels, lossy=False)
    if len(used) == 2:
        first, second = colours
        if (0, 0, 0) in (first, second) or (_is_grey(first) and _is_grey(second)):
            return np.asarray(labels == (used[0] if sum(first) > sum(second) else used[1]))
        if used[0] == 0 and sum(first) < sum(second):
            return np.asarray(labels == used[1])
        raise ValueError(f"two colours of a palette ({first} and {second}), neither of them black")
    if all(map(_is_grey, colours)):
        grey = np.zeros(256, dtype=np.int64)
        grey[used] = [colour[0] for colour in colours]
        return _of_values(grey[labels], lossy=False)
    raise ValueError(f"{len(used)} colours of a palette, where a mask has two")


def _one_seen(label: int, colour: tuple[int, ...]) -> int:
    """Black or white for the only colour of a picture; another one of a label is that label everywhere."""
    if _is_grey(colour) and colour[0] in (0, 255):
        return colour[0] if colour[0] or not label else 1
    return 255 if label else 1


def _is_grey(colour: tuple[int, ...]) -> bool:
    return len(set(colour)) == 1


def _of_colours(pixels: Values, lossy: bool) -> Mask:
    """The mask of a picture in colours: grey by its values, else what is not black."""
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    if int(spread.max()) <= (round(255 * _NOISE) if lossy else 0):
        return _of_values(pixels[..., 1], lossy)
    if not lossy:
        found = np.unique(pixels.reshape(-1, 3), axis=0)
        if len(found) != 2 or found.sum(axis=1).min() > 0:
            told = "neither of them black" if len(found) == 2 else "where a mask has two"
            raise ValueError(f"{len(found)} colours, {told}")
        return np.asarray(pixels.sum(axis=2) > 0)
    values = pixels.max(axis=2)
    mask = _of_values(values, lossy, reach=_COLOUR_REACH)
    if int(values.min()) > 255 * _NOISE:
        raise ValueError("colours without black")
    inside = pixels[mask & ~_near_edges(mask, _REACH)] if mask.any() else pixels[:0, 0]
    if len(inside) and int((inside.max(axis=0) - inside.min(axis=0)).max()) > 255 // 4:
        raise ValueError("regions of several colours")
    return mask


__all__ = ["read_mask", "read_reference"]
