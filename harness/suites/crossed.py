"""The cross test: the wordings of absent things asked where the thing is there, and the other way round.

A model that has learnt which words stand for absent things shows nothing for them on images that have the thing. The
view keeps images, labels, regions and number of rows of its suite, and swaps the texts of the two sides of each label.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gi_bench.harness.errors import DataError
from gi_bench.harness.schema import Phrase
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.specs import SuiteSpec
from gi_bench.harness.suites.wordings import Wording, drawn, hand_out

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIX = "@cross-wording"


class CrossedSuite(Suite):
    """Phrases of a suite with the texts of negatives and positives of each label swapped; it asks no questions."""

    questions = ()

    def __init__(self, suite: Suite) -> None:
        self.name = f"{suite.name}{SUFFIX}"
        self.spec = crossed_spec(suite.name, suite.spec)
        self.has_images, self.is_embedded = suite.has_images, suite.is_embedded
        self._suite = suite
        rows, left_out = crossed(suite.phrases)
        if not rows:
            raise DataError(
                "no label has phrases both where it is there and where it is absent",
                where=suite.name,
                do="give a suite with negative phrases",
            )
        self.phrases = tuple(rows)
        own = "the wordings of negatives and positives are swapped within each label"
        if left_out:
            own += f"; {left_out:,} of {len(suite.phrases):,} phrases are left out: their label has no other side, or "
            own += "their image was given every text of it"
        self.note = "; ".join(filter(None, (suite.note, own)))

    def load_image(self, img_id: str) -> Image:
        """The suite's image."""
        return self._suite.load_image(img_id)

    def image_digest(self, img_id: str) -> str:
        """The suite's digest of the image."""
        return self._suite.image_digest(img_id)


def crossed_spec(name: str, spec: SuiteSpec) -> SuiteSpec:
    """What the view of a suite is: it asks no questions, and nobody learns for it."""
    return replace(
        spec, condition="cross-wording", view_of=name, images=None, questions=None, explanations=None,
        train_suite=None, mask_suite=None, short_train_suite=None,
    )  # fmt: skip


def crossed(phrases: Sequence[Phrase]) -> tuple[list[Phrase], int]:
    """Phrases with the texts of the other side of their label, each about as often as it is used there.

    Returns:
        The rows that got a text, in order and numbered from 0, and how many got none. No image is asked the same twice.
    """
    texts: dict[int, str] = {}
    for label in dict.fromkeys(row.label for row in phrases):
        for negative in (True, False):
            takers = [row for row in phrases if row.label == label and row.is_negative == negative]
            used = Counter(Wording(row.phrase) for row in phrases if row.label == label and row.is_negative != negative)
            if takers and used:
                texts |= _swapped(takers, used, f"{label}\0{negative}")
    kept = [replace(row, phrase=texts[row.index]) for row in phrases if row.index in texts]
    return [replace(row, index=index) for index, row in enumerate(kept)], len(phrases) - len(kept)


def _swapped(takers: Sequence[Phrase], used: Counter[Wording], key: str) -> dict[int, str]:
    """Text of each row by its index, drawn by its image."""
    digests = {row.index: hashlib.sha256(f"{key}\0{row.img_id}\0{row.phrase}".encode()).hexdigest() for row in takers}
    images = {row.index: row.img_id for row in takers}
    order = sorted(digests, key=lambda index: (digests[index], index))
    picked = drawn(used, len(takers), 0.5)
    shuffled = sorted(enumerate(picked), key=lambda pair: hashlib.sha256(f"{key}\0{pair[0]}".encode()).hexdigest())
    given = hand_out([text for _, text in shuffled], order, lambda _taker, _text: True, lambda index: images[index])
    return {index: wording.text for index, wording in given.items()}
