"""Baselines that never see the image: the floor under every score of answers.

Each gives the most frequent training answer for a key that it can know without looking: nothing, the row's question
classes, or the text of the question. Rows of the image that is asked about never teach, whatever the suites are called.
Ties go to the answer that comes first in the other rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gi_bench.baselines.floors.teaching import NO_TRAINING_ROW, Teacher, teacher_of
from gi_bench.harness import provenance
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.model import Answer, Ask, BuildContext, Feature, GroundAsk, Grounding
from gi_bench.harness.schema import Question, Task
from gi_bench.harness.suites.same_images import image_key

# From the most specific key to the least; a variant starts at its own and falls back to the next.
KEYS: dict[str, Callable[[Any], Hashable]] = {
    "blind_question_prior": lambda row: ("question", row.question),
    "blind_class_prior": lambda row: ("classes", tuple(sorted(row.question_class))),
    "blind_constant": lambda row: "constant",
}


@dataclass
class _Texts:
    """How often each text was said for one key.

    Attributes:
        counts: by text.
        own: by image, by text.
        first: by text: place and image of its first row, then of the first row of another image.
        ranked: texts from the most frequent to the least; the first said comes first among equals.
        total: number of rows.
    """

    counts: Counter[str] = field(default_factory=Counter)
    own: dict[str, Counter[str]] = field(default_factory=dict)
    first: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    ranked: list[str] = field(default_factory=list)
    total: int = 0


class ModalTexts:
    """The most frequent text for a key, among the rows of all images but one.

    An image's rows are left out of counts, shares and ties: the reply is that of the other rows alone.

    Args:
        rows: (key, image, text), in order.
    """

    def __init__(self, rows: Iterable[tuple[Hashable, str, str]]) -> None:
        self._texts: dict[Hashable, _Texts] = defaultdict(_Texts)
        for place, (key, image, text) in enumerate(rows):
            found = self._texts[key]
            found.total += 1
            found.counts[text] += 1
            found.own.setdefault(image, Counter())[text] += 1
            first = found.first.setdefault(text, [])
            if not first or (len(first) == 1 and first[0][1] != image):
                first.append((place, image))
        for found in self._texts.values():
            found.ranked = sorted(found.counts, key=lambda text: -found.counts[text])

    def settled(self) -> dict[Hashable, tuple[str, float]]:
        """The most frequent text of all rows with its share, by key."""
        return {
            key: (found.ranked[0], found.counts[found.ranked[0]] / found.total) for key, found in self._texts.items()
        }

    def best(self, key: Hashable, image: str) -> tuple[str, float] | None:
        """The most frequent text of the other images' rows with its share of them; None if there is no such row."""
        found = self._texts.get(key)
        if found is None:
            return None
        own = found.own.get(image, Counter())
        best: tuple[int, int, str] | None = None
        for text in found.ranked:
            count = found.counts[text] - own[text]
            if count > 0:
                place = next(place for place, of in found.first[text] if of != image)
                best = min(best or (1, 0, ""), (-count, place, text))
            if not own[text]:
                break  # later texts were said no more often, and not before
        return None if best is None else (best[2], -best[0] / (found.total - sum(own.values())))


class SettledTexts:
    """The most frequent text for a key where no image that is asked about has taught: equal for all of them.

    Args:
        best: text and share by key.
    """

    def __init__(self, best: Mapping[Hashable, tuple[str, float]]) -> None:
        self._best = best

    def best(self, key: Hashable, image: str) -> tuple[str, float] | None:
        """The most frequent text with its share of the rows; None if there is no such row."""
        return self._best.get(key)


class PriorModel:
    """Most frequent training answers by key; see :class:`gi_bench.harness.model.Model`.

    Args:
        kind: one of the three variants.
        rows: training rows; those without an answer are ignored.
        settings: what the recipe says of the rows.
        key_of: image id to a key that is equal for two ids of one image.
        training_images: images whose rows may speak about the images asked about.
        texts: what was learnt from the rows; None to learn it.
    """

    tasks: frozenset[Task] = frozenset({"answer"})
    needs_image = False
    batch_size = 4096

    def __init__(
        self,
        kind: str,
        rows: Sequence[Question],
        *,
        settings: Mapping[str, Any] | None = None,
        key_of: Callable[[str], str] = image_key,
        training_images: frozenset[str] | None = None,
        texts: ModalTexts | SettledTexts | None = None,
    ) -> None:
        self._keys = _keys(kind)
        self._image = key_of
        self._texts = _learnt(kind, rows, key_of) if texts is None else texts
        self.settings: Mapping[str, Any] = settings if settings is not None else {"kind": kind}
        self.training_images = training_images

    def encode(self, images: Sequence[Any]) -> Sequence[Feature]:
        """Never called: the model does not look."""
        return [None] * len(images)

    def answer(self, features: Sequence[Feature], asks: Sequence[Ask]) -> list[Answer]:
        """The most frequent training answer, with its share among the rows of its key as confidence."""
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> Answer:
        image = self._image(ask.img_id)
        for key_of in self._keys:
            found = self._texts.best(key_of(ask), image)
            if found is not None:
                return Answer(found[0], found[1])
        return Answer("", 0.0, warnings=(NO_TRAINING_ROW,))

    def ground(self, features: Sequence[Feature], asks: Sequence[GroundAsk]) -> Sequence[Grounding]:
        """Never called: the task is not listed."""
        raise GiBenchError("a blind prior of answers shows no regions")

    def explain(self, features: Sequence[Feature], asks: Sequence[Ask], answers: Sequence[str]) -> Sequence[Answer]:
        """Never called: the task is not listed."""
        raise GiBenchError("a blind prior of answers explains nothing")

    def close(self) -> None:
        """Nothing to give back."""


def _keys(kind: str) -> list[Callable[[Any], Hashable]]:
    names = list(KEYS)
    return [KEYS[name] for name in names[names.index(kind) :]]


def _learnt(kind: str, rows: Sequence[Question], key_of: Callable[[str], str]) -> ModalTexts:
    return ModalTexts((key(row), key_of(row.img_id), row.answer) for row in rows if row.answer for key in _keys(kind))


def rows_digest(rows: Iterable[tuple[str, ...]]) -> str:
    """SHA-256 over rows of texts, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(("\t".join(row) + "\n").encode("utf-8"))
    return digest.hexdigest()


def build_prior(kind: str, context: BuildContext) -> PriorModel:
    """Make a prior from the training rows of the context.

    Raises:
        GiBenchError: there are no training rows.
    """
    teacher = teacher_of(kind, context)
    kept = _kept(kind, teacher)
    if kept is not None:
        return kept
    rows = [row for row in teacher.suite.questions if row.answer]
    if not rows:
        raise GiBenchError(f"{kind} found no training row with an answer", where=teacher.suite.name)
    digest = rows_digest((row.img_id, row.question, row.answer or "", *row.question_class) for row in rows)
    settings = {"role": "floor", **teacher.settings(kind, rows, "rows", digest)}
    texts, images = _learnt(kind, rows, teacher.key), teacher.images(rows)
    _keep(kind, teacher, settings, texts, images)
    return PriorModel(kind, (), settings=settings, key_of=teacher.key, training_images=images, texts=texts)


def _keep(kind: str, teacher: Teacher, settings: Mapping[str, Any], texts: ModalTexts, images: frozenset[str]) -> None:
    """Keep what was learnt for later calls, where no image that is asked about taught any of it."""
    where = teacher.learnt_key(kind)
    if where is None or settings["training_rows_of_asked_images"]:
        return
    best = [[key, text, share] for key, (text, share) in texts.settled().items()]
    provenance.keep(where, {"settings": settings, "images": sorted(images), "best": best})


def _kept(kind: str, teacher: Teacher) -> PriorModel | None:
    """What an earlier call learnt from the same rows for the same images; None where nothing is kept."""
    where = teacher.learnt_key(kind)
    found = None if where is None else provenance.recall(where)
    if found is None:
        return None
    texts = SettledTexts({_hashable(key): (text, share) for key, text, share in found["best"]})
    images = frozenset(found["images"])
    return PriorModel(kind, (), settings=found["settings"], key_of=teacher.key, training_images=images, texts=texts)


def _hashable(key: Any) -> Hashable:
    """A key as it was before it became JSON, which has no tuples."""
    return tuple(_hashable(part) for part in key) if isinstance(key, list) else key
