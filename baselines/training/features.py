"""What a training reads of an image: its pixels, or, where the vision tower is frozen, features encoded once.

Both feeds give one entry per image id, in the order asked for. Features lie in one file of equally long records, so
that an interrupted encoding goes on where it stopped and a training reads only the records that it needs.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gi_bench.baselines.florence2.backbone import Backbone, PictureSettings
from gi_bench.harness.errors import DataError, RunError
from gi_bench.harness.locks import holding

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from gi_bench.harness.suites.base import Suite

# Pictures of at most this many pixels are kept in memory.
_SMALL = 128 * 128
# Those of embedded suites, by picture settings and id, which there name one picture for good: a study's trainings
# of one process render each once.
_RENDERED: dict[tuple[str, str], Any] = {}
# So many rendered pictures are put into the cache at once: a training that is killed has those before.
_KEPT_TOGETHER = 200
# A stored mask may be scaled, but not bent: sides may differ by this share.
_BEND = 0.01


def is_small(settings: PictureSettings) -> bool:
    """Whether pictures of this size are kept in memory."""
    return settings.width * settings.height <= _SMALL


def share_rendered(settings: PictureSettings, pictures: Mapping[str, Any]) -> None:
    """Give all later trainings of this process pictures of an embedded suite that are rendered already.

    Args:
        settings: how the backbone sees pictures.
        pictures: by image id, (height, width, 3) RGB at the backbone's size.
    """
    _RENDERED.update({(_key(settings), img_id): picture for img_id, picture in pictures.items()})


def _key(settings: PictureSettings) -> str:
    return json.dumps(asdict(settings), sort_keys=True, default=str)


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
        sizes: Mapping[str, Collection[tuple[int, int]]] | None = None,
    ) -> None:
        """Make a feed.

        Args:
            suite: whose pictures.
            settings: how the backbone sees pictures.
            sizes: (height, width) of the regions by image id; a picture of another shape is refused.
        """
        self._suite, self._settings, self._sizes = suite, settings, sizes or {}
        self._keep = is_small(settings)
        self._kept: dict[str, Any] = {}
        self._key = _key(settings)

    def read(self, img_ids: Sequence[str]) -> torch.Tensor:
        """Normalised pixels (n, 3, height, width).

        Raises:
            DataError: a picture is missing, damaged, or of another shape than the regions in it.
        """
        import torch

        return torch.from_numpy(self._settings.normalise(np.stack([self._picture(i) for i in img_ids])))

    def check(self, img_ids: Sequence[str]) -> None:
        """Load every picture once, so that a wrong one is told before the training; small ones are kept.

        A rendered suite then knows their digests, too, and its fingerprint costs nothing.

        Raises:
            DataError: a picture is missing, damaged, or of another shape than a region in it.
        """
        if self._keep and self._suite.is_embedded:
            self._recall(img_ids)
        for img_id in img_ids:
            if self._keep:
                self._picture(img_id)
            else:
                self._loaded(img_id)

    def _recall(self, img_ids: Sequence[str]) -> None:
        """Take rendered pictures from the cache, and keep there what is missing: rendering takes longest of all.

        Keys are the digests of the pictures, so that what another version drew is never taken.
        """
        from gi_bench.harness.cache import Cache, cache_folder

        cache, shape = Cache(cache_folder() / "pictures.sqlite3"), (self._settings.height, self._settings.width, 3)
        keys = {i: f"{self._suite.image_digest(i)} {self._key}" for i in img_ids if (self._key, i) not in _RENDERED}
        found = cache.get_many(keys.values())
        fresh: dict[str, bytes] = {}
        for img_id, key in keys.items():
            kept = found.get(key, b"")
            if len(kept) == math.prod(shape):
                _RENDERED[self._key, img_id] = np.frombuffer(kept, np.uint8).reshape(shape)
                continue
            fresh[key] = self._picture(img_id).tobytes()
            if len(fresh) == _KEPT_TOGETHER:
                cache.put_many(fresh)
                fresh = {}
        cache.put_many(fresh)

    def _picture(self, img_id: str) -> Any:
        if img_id in self._kept:
            return self._kept[img_id]
        shared = (self._key, img_id)
        # Embedded pictures are square; a region that is not is told of by loading the picture.
        fits = all(abs(width - height) <= _BEND * width for height, width in self._sizes.get(img_id, ()))
        picture = _RENDERED.get(shared) if self._suite.is_embedded and fits else None
        if picture is None:
            picture = self._settings.resize(self._loaded(img_id))
        if self._keep:
            self._kept[img_id] = picture
            if self._suite.is_embedded:
                _RENDERED[shared] = picture
        return picture

    def _loaded(self, img_id: str) -> Image:
        image = self._suite.load_image(img_id)
        for height, width in sorted(self._sizes.get(img_id, ())):
            if abs(width * image.height - height * image.width) > _BEND * width * image.height:
                raise DataError(
                    f"a region of {width} x {height} pixels lies outside its image of {image.width} x {image.height}",
                    where=img_id,
                    do="use the mask that belongs to this image",
                )
        return image


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
    dtype: str = "float32",
    say: Callable[[str], None] = lambda line: None,
) -> FeatureFeed:
    """Encode images with a frozen vision tower, or take the features that are already there.

    Args:
        backbone: evaluation mode. Its weights and picture settings, the suite's fingerprint and the images name the
            file.
        img_ids: images that the training uses.
        folder: where the file goes: 4 bytes a value in float32, 2 in float16.
        dtype: ``float32`` or ``float16``.

    Raises:
        DataError: a picture is missing or damaged.
        RunError: the file cannot be written, or another process writes it; what was encoded is kept.
    """
    import torch

    from gi_bench.baselines.florence2 import vision

    bound = json.dumps([asdict(backbone.pictures), suite.fingerprint, list(img_ids), dtype], sort_keys=True)
    name = f"{backbone.digest}-{hashlib.sha256(bound.encode('utf-8')).hexdigest()[:16]}"
    path, pictures = folder / f"{name}.features", PictureFeed(suite, backbone.pictures)

    def encoded(img_id: str) -> torch.Tensor:
        with torch.inference_mode():
            return vision.encode_pixels(backbone.network, pictures.read([img_id]).to(backbone.device))[0]

    shape = tuple(encoded(img_ids[0]).shape)
    size = shape[0] * shape[1] * np.dtype(dtype).itemsize
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with holding(folder, name=f"{name}.lock", what="encodes these images"):
            if not (path.is_file() and path.stat().st_size == size * len(img_ids)):
                _write_records(path, size, img_ids, lambda i: encoded(i).float().cpu().numpy().astype(dtype), say)
    except OSError as error:
        raise RunError(
            f"cannot keep the image features: {str(error)[:120]}",
            where=folder,
            do=f"make room for {size * len(img_ids) / 1e9:.1f} GB, give another --features DIR, or leave it out",
        ) from error
    return FeatureFeed(path, img_ids, (shape[0], shape[1]), dtype)


def _write_records(
    path: Path, size: int, img_ids: Sequence[str], encode: Callable[[str], Any], say: Callable[[str], None]
) -> None:
    """One record of ``size`` bytes an image; goes on where an earlier process stopped."""
    part = path.with_suffix(".part")
    done = part.stat().st_size // size if part.is_file() else 0
    with part.open("ab") as stream:
        stream.truncate(done * size)
        for place in range(done, len(img_ids)):
            stream.write(encode(img_ids[place]).tobytes())
            if (place + 1) % 500 == 0:
                say(f"{place + 1} of {len(img_ids)} images encoded")
    os.replace(part, path)
