"""Leaks: images that two sets share, across tasks, and frames that are nearly the same under another id."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.errors import DataError, GiBenchError
from gi_bench.harness.suites.image_lists import read_image_ids
from gi_bench.harness.suites.splits.gathering import AskedRow, rows_of_file, rows_of_suite
from gi_bench.harness.suites.splits.split import SIDES, Side, Source, Split

if TYPE_CHECKING:
    from PIL.Image import Image

    from gi_bench.harness.suites.base import Suite

# Bits of 64 in which the hashes of two frames may differ; see docs/splits.md for the measurement.
DISTANCE = 6
_BLOCK = 1 << 22
_EXAMPLES = 5


@dataclass(frozen=True)
class ImageSet:
    """A set of rows by image.

    Attributes:
        name: as the user gave it (no folder).
        rows: number of rows by image id.
        tasks: what the rows ask, e.g. ``answer``; ``unknown`` where that cannot be told.
        suite: where its images can be loaded; None for files.
    """

    name: str
    rows: Mapping[str, int]
    tasks: tuple[str, ...]
    suite: Suite | None = None


@dataclass(frozen=True)
class Overlap:
    """What two sets share.

    Attributes:
        first, second: names of the sets.
        first_images, second_images, shared_images: numbers of images.
        first_rows, second_rows: rows of each set on shared images.
        across_tasks: the two sets ask different things, so that a check of one task would not see it.
        examples: ids of the first few shared images.
    """

    first: str
    second: str
    first_images: int
    second_images: int
    shared_images: int
    first_rows: int
    second_rows: int
    across_tasks: bool
    examples: tuple[str, ...]


@dataclass(frozen=True)
class NearDuplicate:
    """Two images of different ids whose perceptual hashes differ in ``distance`` of 64 bits."""

    first: str
    second: str
    distance: int


def _image_set(name: str, rows: Iterable[AskedRow], suite: Suite | None = None) -> ImageSet:
    rows = list(rows)
    tasks = sorted({task for row in rows for task in row.tasks}) or ["unknown"]
    return ImageSet(name, Counter(row.img_id for row in rows), tuple(tasks), suite)


def read_set(source: str, data: Path | None = None) -> ImageSet:
    """A set by its name.

    Args:
        source: a CSV or Parquet file with the column ``img_id``, a text or JSON list of ids, one side of a split
            (``split.json:train``), or the name of a suite.
        data: folder of the suite's files.

    Raises:
        DataError: the file is missing, damaged, or has no image ids.
        UnknownNameError: neither a file nor a suite.
    """
    path_text, _, side_text = source.rpartition(":")
    if side_text in SIDES and path_text.endswith(".json"):
        side: Side = "train" if side_text == "train" else "test"
        ids = Split.read(Path(path_text)).images(side)
        return _image_set(f"{Path(path_text).name}:{side}", (AskedRow(img_id) for img_id in ids))
    path = Path(source)
    if path.suffix.lower() in {".csv", ".parquet"}:
        return _image_set("/".join(path.parts[-2:]), rows_of_file(path))
    if path.is_file() or path.suffix.lower() in {".txt", ".json"}:
        return _image_set(path.name, (AskedRow(img_id) for img_id in read_image_ids(path)))
    from gi_bench.harness.registry import load_suite

    suite = load_suite(source, data)
    return _image_set(suite.name, rows_of_suite(suite), suite)


def union(name: str, sets: Sequence[ImageSet]) -> ImageSet:
    """All rows of some sets as one."""
    rows: Counter[str] = Counter()
    for entry in sets:
        rows.update(entry.rows)
    suite = sets[0].suite if len(sets) == 1 else None
    return ImageSet(name, rows, tuple(sorted({task for entry in sets for task in entry.tasks})), suite)


def overlap(first: ImageSet, second: ImageSet) -> Overlap:
    """What two sets share, by image id."""
    shared = sorted(first.rows.keys() & second.rows.keys())
    return Overlap(
        first.name,
        second.name,
        len(first.rows),
        len(second.rows),
        len(shared),
        sum(first.rows[img_id] for img_id in shared),
        sum(second.rows[img_id] for img_id in shared),
        set(first.tasks).isdisjoint(second.tasks),
        tuple(shared[:_EXAMPLES]),
    )


def perceptual_hashes(img_ids: Iterable[str], load: Callable[[str], Image]) -> dict[str, int]:
    """64-bit perceptual hash (low frequencies of the cosine transform, by ``imagehash``) of every image.

    Raises:
        GiBenchError: the package ``imagehash`` is not installed.
    """
    try:
        import imagehash
    except ImportError as error:
        raise GiBenchError(
            "near-duplicates need the package imagehash", do='pip install "gi-bench[audit]", or --no-near-duplicates'
        ) from error
    found = {}
    for img_id in img_ids:
        bits = np.asarray(imagehash.phash(load(img_id)).hash, dtype=bool).ravel()
        found[img_id] = int.from_bytes(np.packbits(bits).tobytes(), "big")
    return found


def _bit_count(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(values), dtype=np.uint8)
    bits = np.unpackbits(values.view(np.uint8).reshape(*values.shape, 8), axis=-1)  # numpy before 2.0
    return np.asarray(bits.sum(axis=-1), dtype=np.uint8)


def near_duplicates(
    first: Mapping[str, int], second: Mapping[str, int], *, distance: int = DISTANCE
) -> list[NearDuplicate]:
    """Pairs of one image of each side whose hashes differ in at most ``distance`` bits, nearest first.

    Pairs of equal ids are left out: they are shared images. All pairs are compared, exactly, in blocks.
    """
    left, right = sorted(first), sorted(second)
    if not left or not right:
        return []
    others = np.array([second[img_id] for img_id in right], dtype=np.uint64)
    rows = max(1, _BLOCK // len(right))
    found = []
    for start in range(0, len(left), rows):
        part = np.array([first[img_id] for img_id in left[start : start + rows]], dtype=np.uint64)
        apart = _bit_count(part[:, None] ^ others[None, :])
        for row, column in zip(*np.nonzero(apart <= distance), strict=True):
            a, b = left[start + int(row)], right[int(column)]
            if a != b:
                found.append(NearDuplicate(a, b, int(apart[row, column])))
    return sorted(found, key=lambda pair: (pair.distance, pair.first, pair.second))


@dataclass(frozen=True)
class NearDuplicates:
    """Near-duplicates among some images.

    Attributes:
        pairs: each once, nearest first.
        unseen: images that have no picture here and were not compared.
    """

    pairs: tuple[NearDuplicate, ...]
    unseen: int


def near_duplicates_within(
    img_ids: Sequence[str], suites: Sequence[Suite], folder: Path | None, *, distance: int = DISTANCE
) -> NearDuplicates:
    """Near-duplicates among images.

    Args:
        img_ids: the images.
        suites: give the pictures of theirs.
        folder: gives those of all instead, named ``<img_id>.jpg``.
        distance: bits of 64 in which two hashes may differ.

    Raises:
        GiBenchError: the package ``imagehash`` is not installed, or a picture is missing in the folder or damaged.
    """
    if folder is not None:
        loader = image_loader((), folder)
        assert loader is not None
        hashes = perceptual_hashes(img_ids, loader)
    else:
        owners = {img_id: suite for suite in suites if suite.has_images for img_id in suite.image_ids}
        known = [img_id for img_id in img_ids if img_id in owners]
        hashes = perceptual_hashes(known, lambda img_id: owners[img_id].load_image(img_id)) if known else {}
    pairs = near_duplicates(hashes, hashes, distance=distance)
    return NearDuplicates(tuple(pair for pair in pairs if pair.first < pair.second), len(img_ids) - len(hashes))


def disjoint_split(train: ImageSet, test: ImageSet, duplicates: Iterable[NearDuplicate]) -> Split:
    """A split whose test side is the test images that no training image equals, by id or by its pixels.

    Everything else, the leaked test images among it, is on the training side.

    Args:
        train, test: the two sides.
        duplicates: near-duplicates of the two, the training image first.

    Raises:
        DataError: every test image leaks.
    """
    leaked = {pair.second for pair in duplicates} | (train.rows.keys() & test.rows.keys())
    clean = test.rows.keys() - leaked
    if not clean:
        raise DataError("every test image is, or resembles, a training image", where=test.name)
    sides: dict[str, Side] = {img_id: "test" if img_id in clean else "train" for img_id in {*train.rows, *test.rows}}
    sources = [Source(_digest(entry), entry.name) for entry in (train, test)]
    return Split(sides, seed=0, fraction=len(clean) / len(sides), sources=tuple(sorted(sources)))


def _digest(entry: ImageSet) -> str:
    """The suite's fingerprint; of a set without one, SHA-256 of its image ids."""
    if entry.suite is not None:
        return entry.suite.fingerprint
    return hashlib.sha256("\n".join(sorted(entry.rows)).encode()).hexdigest()


def image_loader(sets: Sequence[ImageSet], folder: Path | None) -> Callable[[str], Image] | None:
    """What loads an image of some sets: a folder of pictures, else the suites; None if there are no images."""
    from gi_bench.harness.suites.pictures import PictureFolder, decode_rgb, read_picture

    pictures = None if folder is None else PictureFolder(folder)

    def from_folder(img_id: str) -> Image:
        assert pictures is not None
        path = pictures.find(img_id)
        if path is None:
            raise DataError(
                "image not found", where=pictures.folder / img_id, do="add it, or give --no-near-duplicates"
            )
        return decode_rgb(read_picture(path), path)

    if folder is not None:
        if not folder.is_dir():
            raise DataError("image folder not found", where=folder, do="give a folder with <img_id>.jpg files")
        return from_folder
    owners: dict[str, Any] = {}
    for entry in sets:
        if entry.suite is None or not entry.suite.has_images:
            return None
        owners |= dict.fromkeys(entry.rows, entry.suite)
    return lambda img_id: owners[img_id].load_image(img_id)
