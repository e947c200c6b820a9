"""What floors and ceilings learn from, and the rule that nothing is learnt from the image that is asked about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.model import BuildContext
from gi_bench.harness.provenance import digest_of
from gi_bench.harness.schema import Phrase, Question
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.same_images import SameImages

NO_TRAINING_ROW = "no-training-row"


@dataclass(frozen=True)
class Teacher:
    """A suite to learn from.

    Attributes:
        suite: its rows are learnt from.
        key: image id to a key that is equal for two ids of one image, over both suites.
        asked: keys of the images that will be asked about.
    """

    suite: Suite
    key: Callable[[str], str]
    asked: frozenset[str]

    def settings(self, kind: str, rows: Sequence[Question | Phrase], what: str, digest: str) -> dict[str, Any]:
        """What the recipe says of the rows learnt from, with the line that stands beside the scores.

        Args:
            kind: name of the variant.
            rows: training rows that are used.
            what: what one row is, in the plural.
            digest: SHA-256 over what is learnt.
        """
        images = {self.key(row.img_id) for row in rows}
        own = sum(self.key(row.img_id) in self.asked for row in rows)
        shared = len(images & self.asked)
        told = f"{len(rows):,} {what} of {len(images):,} images of {self.suite.name}"
        left = (
            f"{own:,} of them are of {shared:,} images asked about here: they never teach about their own image"
            if own
            else "none of them is of an image asked about here"
        )
        return {
            "kind": kind,
            "trained_on": self.suite.name,
            "training_rows": len(rows),
            "training_rows_of_asked_images": own,
            "training_image_count": len(images),
            "training_digest": digest[:16],
            "leave_image_out": True,
            "note": f"floors and ceilings learn from {told}; {left}",
        }

    def images(self, rows: Sequence[Question | Phrase]) -> frozenset[str]:
        """Images that answers may rest on: those that are not asked about (an image's own rows never teach)."""
        return frozenset(row.img_id for row in rows if self.key(row.img_id) not in self.asked)

    def learnt_key(self, kind: str) -> str | None:
        """Under which what a variant learns is kept; None where the rows have to be read to know them."""
        known = self.suite.known_fingerprint
        return None if known is None else digest_of("learnt", kind, self.suite.name, known, sorted(self.asked))


def teacher_of(kind: str, context: BuildContext) -> Teacher:
    """The teacher of a variant.

    Raises:
        GiBenchError: the context has none.
    """
    train, suite = context.train_suite, context.suite
    if train is None:
        raise GiBenchError(
            f"{kind} needs training rows, and {suite.name} names none",
            do=f"give --train-suite NAME (--train-suite {suite.name} learns from the other images)",
        )
    # Comparing stored pictures reads them: once for all variants of a call.
    known: dict[tuple[int, int], SameImages] = context.shared.setdefault("same images", {})
    if (id(suite), id(train)) not in known:
        known[id(suite), id(train)] = SameImages([suite, train])
    same = known[id(suite), id(train)]
    return Teacher(train, same.key, frozenset(same.key(img_id) for img_id in suite.image_ids))


__all__ = ["NO_TRAINING_ROW", "Teacher", "teacher_of"]
