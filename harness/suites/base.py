"""What a suite is: rows, images, and the fingerprint that binds every number to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.harness.schema import Phrase, Question
from gi_bench.harness.suites.specs import SuiteSpec

if TYPE_CHECKING:
    from PIL.Image import Image


class Suite:
    """A named, fixed list of questions and phrases with its images and reference regions.

    Subclasses fill the attributes and implement :meth:`load_image` and :meth:`image_digest`.

    Attributes:
        name: includes the split, e.g. ``phantom/test``.
        questions: rows in order; ``questions[i].index == i``.
        phrases: referring phrases in order; ``phrases[i].index == i``.
        has_images: whether images can be loaded; without them only blind models run.
        train_suite: name of the suite that priors learn from; None if there is none.
        mask_suite: name of the suite that priors of regions learn from, where all masks of ``train_suite`` take long
            to make; None where they learn from ``train_suite`` too.
        note: what must be said wherever a score of this suite is shown; empty if nothing.
        is_embedded: comes with the package; runs in float32 on every CPU unless another dtype is asked for.
        spec: what the suite is; taken from its registration where it does not say so itself.
    """

    name: str
    questions: Sequence[Question]
    phrases: Sequence[Phrase]
    has_images: bool = True
    train_suite: str | None = None
    mask_suite: str | None = None
    note: str = ""
    is_embedded: bool = False
    spec: SuiteSpec = SuiteSpec()

    def teacher(self) -> Suite | None:
        """The suite that priors learn from, where it is made from this one (a split's train side) and has no name."""
        return None

    def load_image(self, img_id: str) -> Image:
        """The image as RGB.

        Raises:
            DataError: the image is missing or does not decode.
        """
        raise NotImplementedError

    def image_digest(self, img_id: str) -> str:
        """SHA-256 of the image's stored bytes (rendered images: of their pixels)."""
        raise NotImplementedError

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """Ids of all images in order of first use."""
        ids = [question.img_id for question in self.questions] + [phrase.img_id for phrase in self.phrases]
        return tuple(dict.fromkeys(ids))

    @property
    def known_fingerprint(self) -> str | None:
        """The fingerprint where it is known without reading a row or an image; None where it has to be computed."""
        return None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the canonical rows and, where there are images, every image's digest."""
        digest = hashlib.sha256()
        for line in canonical_lines(self.questions, self.phrases):
            digest.update(line)
        for img_id in self.image_ids:
            image = self.image_digest(img_id) if self.has_images else "no image"
            digest.update(f"{img_id}\t{image}\n".encode())
        return digest.hexdigest()


def canonical_lines(questions: Iterable[Question], phrases: Iterable[Phrase]) -> Iterable[bytes]:
    """The rows as bytes that depend on their content only: one JSON line each, keys sorted."""
    for kind, rows in (("question", questions), ("phrase", phrases)):
        for row in rows:
            body = {"kind": kind, **_plain(row)}
            text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            yield text.encode("utf-8") + b"\n"


def _plain(value: Any) -> Any:
    """JSON values, without the defaults of fields that were added later: a fingerprint outlives the schema."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if not is_dataclass(value):
        return value
    given = [(one, getattr(value, one.name)) for one in fields(value)]
    return {one.name: _plain(v) for one, v in given if not (one.metadata.get("added") and v == one.default)}


@dataclass(frozen=True)
class SuiteEntry:
    """A registered suite.

    Attributes:
        name: what the user types.
        summary: one line for ``gi-bench suites``.
        load: builds it from the optional data folder (``--data``).
        needs_data: whether ``--data`` (or a Hub cache) is needed.
        spec: what the suite is; the default is a suite that nothing is known of.
    """

    name: str
    summary: str
    load: Any
    needs_data: bool = False
    spec: SuiteSpec = field(default_factory=SuiteSpec)

    def open(self, data: Path | None) -> Suite:
        """Load the suite; ``data`` is the folder given by the user, if any."""
        suite = self.load(data)
        assert isinstance(suite, Suite)
        suite.is_embedded = suite.is_embedded or suite.spec.is_embedded or self.spec.is_embedded
        if suite.spec == SuiteSpec():
            suite.spec = self.spec
            suite.train_suite = suite.train_suite or self.spec.train_suite
            suite.mask_suite = suite.mask_suite or self.spec.mask_suite
        return suite
