"""Where the images of a run are, for pictures of its regions: ``--data``, the suite, the Hub's cache, small pictures.

Nothing is fetched: an image that is not on this machine is not shown.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gi_bench.harness.errors import DataError, GiBenchError, RunError
from gi_bench.harness.registry import load_suite, registered
from gi_bench.harness.store import Run
from gi_bench.harness.suites.image_ids import check_image_id
from gi_bench.harness.suites.pictures import SUFFIXES, decode
from gi_bench.submissions.editions import Rows

if TYPE_CHECKING:
    from PIL.Image import Image

Load = Callable[[str], "Image | None"]
Size = tuple[int, int]


@dataclass
class Images:
    """The images of a run by id, and an account of what was given.

    Attributes:
        run: whose small pictures are taken where an image is missing.
        load: gives an image, or None; None where there are only small pictures.
        source: where ``load`` takes them from.
        is_given: whether the user named that place: an image of another size is an error there.
        whole, scaled, missing: how many images were had, as small pictures only, or not at all.
        notes: what went wrong on the way.
    """

    run: Run
    load: Load | None = None
    source: str = ""
    is_given: bool = False
    whole: int = 0
    scaled: int = 0
    missing: int = 0
    notes: list[str] = field(default_factory=list)

    def of(self, img_id: str, size: Size) -> tuple[Image, bool] | None:
        """An image as RGB at its size, and whether it is a small picture scaled up; None if there is none.

        Args:
            img_id: image id.
            size: (width, height) in pixels of the image that the regions were made on.

        Raises:
            DataError: the image that the user gave has another size, or does not decode.
        """
        picture = self._image(img_id, size)
        if picture is not None:
            self.whole += 1
            return picture, False
        picture = self._small(img_id, size)
        if picture is not None:
            self.scaled += 1
            return picture, True
        self.missing += 1
        return None

    def size_of(self, img_id: str) -> Size | None:
        """(width, height) of an image, as the run saw it or as it is here; None where neither is known."""
        try:
            stored = self.run.pictures.get(img_id)
        except RunError:  # told where the small picture is wanted
            stored = None
        if stored is not None:
            return stored.width, stored.height
        try:
            picture = self.load(img_id) if self.load is not None else None
        except GiBenchError:
            if self.is_given:
                raise
            return None
        return None if picture is None else picture.size

    def _image(self, img_id: str, size: Size) -> Image | None:
        if self.load is None:
            return None
        try:
            picture = self.load(img_id)
            if picture is not None and picture.size != size:
                raise DataError(
                    "the image has {} x {} pixels, the run's {} x {}".format(*picture.size, *size),
                    where=f"{self.source}: {img_id}",
                    do="give --data the images of the run",
                )
        except GiBenchError:
            if self.is_given:
                raise
            return None
        return picture

    def _small(self, img_id: str, size: Size) -> Image | None:
        from PIL import Image as Pictures

        try:
            stored = self.run.pictures.get(img_id)
        except RunError as error:
            note = f"the stored small pictures cannot be read: {error.line()}"
            if note not in self.notes:
                self.notes.append(note)
            return None
        if stored is None or (stored.width, stored.height) != size:
            return None
        try:
            with Pictures.open(io.BytesIO(stored.data), formats=("WEBP", "JPEG")) as opened:
                picture: Image = opened.convert("RGB").resize(size, Pictures.Resampling.BICUBIC)
                return picture
        except Exception:  # Pillow raises many kinds for damaged files
            return None

    def line(self) -> str:
        """What the pictures of regions are drawn on, as a sentence without a full stop."""
        found = []
        if self.whole:
            found.append(f"{self.whole:,} on the images themselves ({self.source})")
        if self.scaled:
            found.append(f"{self.scaled:,} on small pictures of the images (256 pixels at most) that were scaled up")
        if self.missing:
            found.append(f"{self.missing:,} are missing, because their images are not here (give --data DIR)")
        return "overlays: " + (", ".join(found) or "none, since no region is shown")


def images_of(run: Run, table: Rows, data: Path | None) -> Images:
    """Find a run's images.

    Args:
        run: the run.
        table: its edition's rows, which name the dataset.
        data: the user's folder: ``images/<img_id>.jpg``, or anything that the run's suite can be read from.

    Raises:
        GiBenchError: the user's folder is none, or has none of the images.
    """
    if data is not None:
        if not data.is_dir():
            raise GiBenchError("no such folder", where=f"--data {data}", do="give the folder with images/")
        return Images(run, _given(run, data), "from --data", is_given=True)
    if (load := _embedded(run)) is not None:
        return Images(run, load, "of the suite")
    if (load := _cached(run, table)) is not None:
        return Images(run, load, "from the Hub's cache")
    return Images(run)


def _given(run: Run, data: Path) -> Load:
    if (data / "images").is_dir():
        load = _in_folder(data / "images")
        if not any(_path(data / "images", question.img_id) for question in run.questions):
            raise GiBenchError("none of the run's images is there", where=data / "images",
                               do="give --data the folder of the run's suite")  # fmt: skip
        return load
    suite = load_suite(run.suite, data)
    if not suite.has_images:
        raise GiBenchError("the suite has no images there", where=f"--data {data}", do="add the folder images/")
    return suite.load_image


def _embedded(run: Run) -> Load | None:
    """Images of a suite that comes with its images; None for any other, and for one of other rows than the run's."""
    entry = registered("gi_bench.suites").get(run.suite.partition("@")[0])
    if entry is None or entry.needs_data:
        return None
    try:
        suite = load_suite(run.suite)
    except GiBenchError:
        return None
    if not suite.has_images or suite.known_fingerprint not in (None, run.fingerprint):
        return None
    return suite.load_image


def _cached(run: Run, table: Rows) -> Load | None:
    """Images of the dataset's snapshot in the Hub's cache; the Hub itself is not asked."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(table.dataset, repo_type="dataset", local_files_only=True))
    except Exception:  # not there, whatever the library says of it
        return None
    if (folder / "images").is_dir():
        return _in_folder(folder / "images")
    try:
        suite = load_suite(run.suite, folder)
    except GiBenchError:
        return None
    return suite.load_image if suite.has_images else None


def _in_folder(folder: Path) -> Load:
    def load(img_id: str) -> Image | None:
        path = _path(folder, img_id)
        if path is None:
            return None
        try:
            return decode(path.read_bytes(), path).convert("RGB")
        except OSError as error:
            raise DataError(f"cannot read the image: {error.strerror}", where=path) from error

    return load


def _path(folder: Path, img_id: str) -> Path | None:
    """The file of an image; None for an id that is no file name."""
    try:
        check_image_id(img_id, "")
    except DataError:
        return None
    paths = (folder / f"{img_id}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


__all__ = ["Images", "images_of"]
