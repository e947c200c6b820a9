"""Suites and masks that tests of making masks share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gi_bench.baselines.data.masks.refining import Mask
from gi_bench.harness.cli import _main
from gi_bench.harness.schema import Phrase, Question
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.phantom.suite import PhantomSuite

SUITE = PhantomSuite("validation", 30)


def disk(size: int, x: int, y: int, radius: int) -> Mask:
    """A disk in an image of ``size`` x ``size``."""
    rows, columns = np.mgrid[:size, :size]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def degraded(mask: Mask, seed: int) -> Mask:
    """Shifted and with a ragged edge, as a hasty annotation is."""
    import cv2

    random = np.random.default_rng(seed)
    side = max(2, round(0.12 * float(np.sqrt(mask.sum()))))
    moved = np.roll(mask, random.integers(-side, side + 1, size=2), axis=(0, 1)).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side + 1, side + 1))
    return np.asarray((cv2.dilate if random.random() < 0.5 else cv2.erode)(moved, kernel) > 0)


def run_command(*arguments: object) -> int:
    """The exit code of ``gi-bench data masks``."""
    return _main(["data", "masks", *map(str, arguments)])


class Rows(Suite):
    """Rows without images, so that only files are read."""

    name = "made/test"
    has_images = False

    def __init__(self, phrases: Sequence[Phrase], questions: Sequence[Question] = ()) -> None:
        self.phrases, self.questions = phrases, questions
