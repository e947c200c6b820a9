"""The embedded suite: rows and images of the phantom splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.harness.schema import Phrase, Question
from gi_bench.harness.suites.base import Suite, SuiteEntry
from gi_bench.harness.suites.phantom import pins
from gi_bench.harness.suites.phantom.scene import PHANTOM_VERSION, Scene, make_scene
from gi_bench.harness.suites.specs import SuiteSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

SPLIT_SIZES = {"train": 3600, "validation": 160, "test": 320}
# The first scenes of train, for trainings that take a minute or two: studies repeat many of them.
SMALL = "train-small"
SMALL_SIZE = 600
# Scenes of none of the splits, for the schooling of a backbone before it meets the suite; not a suite by name.
SCHOOL = "school"
_NOTE = (
    "phantom is a rendered suite that shows that everything works; "
    "its scores say nothing about real endoscopy and are not comparable with the challenge's"
)


class PhantomSuite(Suite):
    """One split of the phantom scenes, or :data:`SCHOOL`; scenes, rows and images are made when asked for."""

    is_embedded = True

    def __init__(self, split: str, image_count: int | None = None) -> None:
        self.split = split
        self.name = f"phantom/{split}"
        self.note = _NOTE
        self.spec = _spec(split)
        self.train_suite, self.mask_suite = self.spec.train_suite, self.spec.mask_suite
        self._count = self.spec.images or 0 if image_count is None else image_count
        self._load = lru_cache(maxsize=512)(self._render)
        self._digests: dict[str, str] = {}
        self._own: dict[str, Any] = {}
        # Every first part of a split has its pictures; rows and fingerprint are known of some parts only.
        self._pictures = pins.pins_of(f"phantom/{split}") if self._count <= SPLIT_SIZES.get(split, 0) else None
        whole = {SPLIT_SIZES.get(split): split} | ({SMALL_SIZE: SMALL} if split == "train" else {})
        self._pins = pins.pins_of(f"phantom/{whole[self._count]}") if self._count in whole else None

    def image_id(self, number: int) -> str:
        """Id of scene ``number``: names suite and split, so that splits cannot share an id."""
        return f"phantom{PHANTOM_VERSION}-{self.split}-{number:05d}"

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {self.image_id(i): i for i in range(self._count)}

    @cached_property
    def _scenes(self) -> Mapping[str, Scene]:
        return {img_id: make_scene(self.split, i) for img_id, i in self._numbers.items()}

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """Ids of all images; every scene has rows, in the order of the scenes."""
        return tuple(self._numbers)

    def scene(self, img_id: str) -> Scene:
        """The scene behind an image."""
        return make_scene(self.split, self._numbers[img_id])

    @cached_property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        """Ten questions an image: four of complexity 1, three each of 2 and 3.

        Raises:
            DataError: they are drawn otherwise here than the fingerprint says.
        """
        from gi_bench.harness.suites.phantom import rows

        made = self._own["questions"] = rows.make_questions(self._scenes)
        if self._pins is not None:
            pins.check(f"the questions of {self.name}", rows.questions_digest(made), self._pins.questions)
        return made

    @cached_property
    def phrases(self) -> tuple[Phrase, ...]:  # type: ignore[override]
        """Two phrases for everything visible, and two for things that are absent.

        Raises:
            DataError: they are drawn otherwise here than the fingerprint says.
        """
        from gi_bench.harness.suites.phantom import rows

        made = self._own["phrases"] = rows.make_phrases(self._scenes)
        if self._pins is not None:
            pins.check(f"the phrases of {self.name}", rows.phrases_digest(made), self._pins.phrases)
        return made

    @property
    def known_fingerprint(self) -> str | None:
        """The pinned fingerprint, where the split is whole and its rows are those that were pinned."""
        if self._pins is None or type(self) is not PhantomSuite or self._rows_are_set:
            return None
        return self._pins.fingerprint

    @cached_property
    def fingerprint(self) -> str:
        """The pinned fingerprint where there is one, else what every suite computes."""
        return self.known_fingerprint or super().fingerprint

    @property
    def _rows_are_set(self) -> bool:
        """Whether somebody put other rows in the place of ours."""
        held = self.__dict__
        return any(name in held and held[name] is not self._own.get(name) for name in ("questions", "phrases"))

    def _render(self, img_id: str) -> npt.NDArray[np.uint8]:
        from gi_bench.harness.suites.phantom.render import render

        number = self._numbers[img_id]
        pixels = render(make_scene(self.split, number))
        digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        if self._pictures is not None:
            pins.check(f"the picture {img_id}", digest, self._pictures.picture(number))
        self._digests[img_id] = digest
        return pixels

    def load_image(self, img_id: str) -> Image:
        """Render the image (256 x 256, RGB).

        Raises:
            DataError: it is drawn otherwise here than the fingerprint says.
        """
        from PIL import Image as Pictures

        return Pictures.fromarray(self._load(img_id))

    def image_digest(self, img_id: str) -> str:
        """SHA-256 of size and pixels: what a picture file's compression does cannot change it."""
        if self._pictures is not None:
            return self._pictures.picture(self._numbers[img_id])
        if img_id not in self._digests:
            self._load(img_id)
        return self._digests[img_id]


def _spec(split: str) -> SuiteSpec:
    images = {**SPLIT_SIZES, SMALL: SMALL_SIZE, SCHOOL: SPLIT_SIZES["train"]}[split]
    return SuiteSpec(
        family="phantom",
        split=split,
        is_embedded=True,
        images=images,
        questions=10 * images,
        train_suite="phantom/train",
        mask_suite=f"phantom/{SMALL}",
        short_train_suite=f"phantom/{SMALL}",
    )


def _opener(split: str) -> object:
    def load(data: Path | None) -> PhantomSuite:
        """The split; there is no data folder to look at."""
        if split == SMALL:
            suite = PhantomSuite("train", SMALL_SIZE)
            suite.name, suite.spec = f"phantom/{SMALL}", _spec(SMALL)
            return suite
        return PhantomSuite(split)

    return load


def suites() -> list[SuiteEntry]:
    """The three splits, which are drawn from different seeds and share no image, and the first part of train."""
    return [
        SuiteEntry(
            f"phantom/{split}",
            f"rendered endoscopy-like scenes with exact masks: {count} images, {10 * count} questions (embedded)",
            _opener(split),
            spec=_spec(split),
        )
        for split, count in {**SPLIT_SIZES, SMALL: SMALL_SIZE}.items()
    ]
