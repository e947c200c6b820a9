"""One side of a split as a suite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gi_bench.harness.errors import DataError
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.specs import SuiteSpec
from gi_bench.harness.suites.splits.split import SIDES, Side, Split

if TYPE_CHECKING:
    from PIL.Image import Image


def split_side(suite: Suite, wanted: str) -> SplitSuite:
    """One side of a suite, named as on the command line: ``split.json:train`` or ``split.json:test``.

    Raises:
        DataError: no such file, not a split, no such side, or a split of other images.
    """
    path, _, side = wanted.rpartition(":")
    if side not in SIDES or not path:
        raise DataError(f"not a side of a split: {wanted}", where="--split", do="give FILE:train or FILE:test")
    return SplitSuite(suite, Split.read(Path(path)), "train" if side == "train" else "test")


def side_spec(name: str, spec: SuiteSpec) -> SuiteSpec:
    """What a side of a suite is: of another size, and taught by its own train side."""
    return replace(
        spec, condition="split side", view_of=name, images=None, questions=None, explanations=None,
        train_suite=None, mask_suite=None, short_train_suite=None,
    )  # fmt: skip


class SplitSuite(Suite):
    """One side of a split of a suite: its rows in their order, numbered from 0, with the suite's images and note."""

    def __init__(self, suite: Suite, split: Split, side: Side) -> None:
        unknown = sum(img_id not in split.sides for img_id in suite.image_ids)
        if unknown:
            raise DataError(
                f"the split does not know {unknown:,} of {len(suite.image_ids):,} images",
                where=suite.name,
                do="make a split of this suite with gi-bench split",
            )
        self._suite = suite
        self.split, self.side = split, side
        self.name = f"{suite.name}@{split.fingerprint[:8]}-{side}"
        self.has_images, self.note = suite.has_images, suite.note
        # The same rows and pictures: computed as precisely as the whole suite.
        self.is_embedded = suite.is_embedded or suite.spec.is_embedded
        self.spec = side_spec(suite.name, suite.spec)
        self.train_suite = None
        questions = [row for row in suite.questions if split.sides[row.img_id] == side]
        phrases = [row for row in suite.phrases if split.sides[row.img_id] == side]
        self.questions = tuple(replace(row, index=index) for index, row in enumerate(questions))
        self.phrases = tuple(replace(row, index=index) for index, row in enumerate(phrases))

    def teacher(self) -> Suite | None:
        """The train side, for the test side: what a split is made for."""
        return SplitSuite(self._suite, self.split, "train") if self.side == "test" else None

    def load_image(self, img_id: str) -> Image:
        """The suite's image."""
        return self._suite.load_image(img_id)

    def image_digest(self, img_id: str) -> str:
        """The suite's digest of the image."""
        return self._suite.image_digest(img_id)
