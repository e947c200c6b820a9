"""The first images of a suite, for trainings that are to be shorter still."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gi_bench.harness.errors import DataError
from gi_bench.harness.suites.base import Suite

if TYPE_CHECKING:
    from PIL.Image import Image


class FirstImages(Suite):
    """The rows of a suite's first images, numbered from 0, with its pictures and note."""

    def __init__(self, suite: Suite, count: int) -> None:
        self._suite = suite
        self.name = f"{suite.name}, first {count} images"
        self.has_images, self.note, self.is_embedded = suite.has_images, suite.note, suite.is_embedded
        self.spec = replace(suite.spec, images=count, questions=None, explanations=None)
        kept = frozenset(suite.image_ids[:count])
        questions = [row for row in suite.questions if row.img_id in kept]
        phrases = [row for row in suite.phrases if row.img_id in kept]
        self.questions = tuple(replace(row, index=index) for index, row in enumerate(questions))
        self.phrases = tuple(replace(row, index=index) for index, row in enumerate(phrases))

    def load_image(self, img_id: str) -> Image:
        """The suite's picture."""
        return self._suite.load_image(img_id)

    def image_digest(self, img_id: str) -> str:
        """The suite's."""
        return self._suite.image_digest(img_id)


def question_limit(suite: Suite, images: int) -> int:
    """How many of a suite's first questions are about at most so many images.

    Raises:
        DataError: the suite has no questions.
    """
    if not suite.questions:
        raise DataError("the suite has no questions by which it could be cut", where=suite.name, do="leave out --limit")
    seen: set[str] = set()
    for number, row in enumerate(suite.questions):
        if row.img_id not in seen and len(seen) == images:
            return number
        seen.add(row.img_id)
    return len(suite.questions)
