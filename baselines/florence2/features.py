"""What a training reads of an image: its pixels, or, where the vision tower is frozen, features encoded once.

Both feeds give one entry per image id, in the order asked for. Features lie in one file of equally long records, so
that an interrupted encoding goes on where it stopped and a training reads only the records that it needs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from baselines.florence2.backbone import Backbone, PictureSettings
from harness.errors import DataError, RunError

if TYPE_CHECKING:
    import torch

    from harness.suites.base import Suite

# Pictures of at most this many pixels are kept in memory.
_SMALL = 128 * 128
# A stored mask may be scaled, but not bent: sides may differ by this share.
_BEND = 0.01


class Feed(Protocol):
    """Gives what the network takes of some images, by the name of the network's argument."""

    name: str

    def read(self, img_ids: Sequence[str]) -> torch.Tensor:
        """One entry an image, stacked."""


class PictureFeed:
    """Pictures of a suite at the backbone's size; small ones are kept in memory."""

    name = "pixels"

    def __init__(
        self,
        suite: Suite,
        settings: PictureSettings,
        sizes: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        """Make a feed.

        Args:
            sizes: (height, width) of regions by image id; a picture of another shape is refused.
        """
        self._suite, self._settings, self._sizes = suite, settings, sizes or {}
        self._keep = settings.width * settings.height <= _SMALL
        self._kept: dict[str, Any] = {}

    def read(self, img_ids: Sequence[str]) -> torch.Tensor:
        """Normalised pixels (n, 3, height, width).

        Raises:
            DataError: a picture is missing, damaged, or of another shape than the regions in it.
        """
        import torch

        return torch.from_numpy(self._settings.normalise(np.stack([self._picture(i) for i in img_ids])))

    def fill(self, img_ids: Sequence[str]) -> None:
        """Load small pictures now; a rendered suite then knows their digests, and its fingerprint costs nothing."""
        if self._keep:
            for img_id in img_ids:
                self._picture(img_id)

    def _picture(self, img_id: str) -> Any:
        if img_id in self._kept:
            return self._kept[img_id]
        image = self._suite.load_image(img_id)
        self._check(img_id, image.size)
        picture = self._settings.resize(image)
        if self._keep:
            self._kept[img_id] = picture
        return picture

    def _check(self, img_id: str, size: tuple[int, int]) -> None:
        height, width = self._sizes.get(img_id, size[::-1])
        if abs(width * size[1] - height * size[0]) > _BEND * width * size[1]:
            raise DataError(
                f"a region of {width} x {height} pixels lies outside its image of {size[0]} x {size[1]}",
                where=img_id,
                do="use the mask that belongs to this image",
            )


class FeatureFeed:
    """Features of a frozen vision tower, read from the file that :func:`encode_once` wrote."""

    name = "features"

    def __init__(self, path: Path, img_ids: Sequence[str], shape: tuple[int, int], dtype: str) -> None:
        self._path, self._shape, self._dtype = path, shape, np.dtype(dtype)
        self._places = {img_id: place for place, img_id in enumerate(img_ids)}
        self._records: Any = None

    def read(self, img_ids: Sequence[str]) -> torch.Tensor:
        """Features (n, image tokens, width)."""
        import torch

        if self._records is None:  # opened late, so that workers open it themselves
            self._records = np.memmap(self._path, self._dtype, "r", shape=(len(self._places), *self._shape))
        return torch.from_numpy(np.stack([self._records[self._places[i]] for i in img_ids]))


def encode_once(
    backbone: Backbone,
    suite: Suite,
    img_ids: Sequence[str],
    folder: Path,
    *,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    dtype: str = "float32",
    say: Callable[[str], None] = lambda line: None,
) -> FeatureFeed:
    """Encode images with a frozen vision tower, or take the features that are already there.

    Args:
        backbone: evaluation mode; its digest and the suite's fingerprint name the file.
        img_ids: images that the training uses.
        folder: where the file goes: 4 bytes a value in float32, 2 in float16.
        dtype: ``float32`` or ``float16``.

    Raises:
        DataError: a picture is missing, damaged, or of another shape than the regions in it.
        RunError: the file cannot be written; what was encoded is kept.
    """
    import hashlib

    import torch

    from baselines.florence2 import vision

    names = hashlib.sha256(json.dumps(list(img_ids)).encode("utf-8")).hexdigest()
    path = folder / f"{backbone.digest}-{suite.fingerprint[:16]}-{names[:8]}-{dtype}.features"
    pictures = PictureFeed(suite, backbone.pictures, sizes)
    with torch.inference_mode():
        first = vision.encode_pixels(backbone.network, pictures.read(img_ids[:1]).to(backbone.device))[0]
    shape = (int(first.shape[0]), int(first.shape[1]))
    feed = FeatureFeed(path, img_ids, shape, dtype)
    record = shape[0] * shape[1] * np.dtype(dtype).itemsize
    if path.is_file() and path.stat().st_size == record * len(img_ids):
        return feed
    part = path.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        done = part.stat().st_size // record if part.is_file() else 0
        with part.open("ab") as stream:
            stream.truncate(done * record)
            for place in range(done, len(img_ids)):
                with torch.inference_mode():
                    pixels = pictures.read([img_ids[place]]).to(backbone.device)
                    found = vision.encode_pixels(backbone.network, pixels)[0]
                stream.write(found.float().cpu().numpy().astype(dtype).tobytes())
                if (place + 1) % 500 == 0:
                    say(f"{place + 1} of {len(img_ids)} images encoded")
        os.replace(part, path)
    except OSError as error:
        raise RunError(
            f"cannot keep the image features: {str(error)[:120]}",
            where=folder,
            do=f"make room for {record * len(img_ids) / 1e9:.1f} GB, give another --features DIR, or leave it out",
        ) from error
    return feed
