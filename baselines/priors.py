"""Baselines that never see the image: the floor under every score.

Each gives the most frequent training answer for a key that it can know without looking: nothing, the row's question
classes, or the text of the question. Ties go to the answer that comes first in the training rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from harness.errors import GiBenchError
from harness.model import Answer, Ask, BuildContext, Feature, GroundAsk, Grounding
from harness.schema import Question, Task

# From the most specific key to the least; a variant starts at its own and falls back to the next.
_KEYS: dict[str, Callable[[Any], Hashable]] = {
    "blind_question_prior": lambda row: ("question", row.question),
    "blind_class_prior": lambda row: ("classes", tuple(sorted(row.question_class))),
    "blind_constant": lambda row: "constant",
}


class PriorModel:
    """Most frequent training answers by key; see :class:`harness.model.Model`.

    Args:
        kind: one of the three variants.
        rows: training rows; those without an answer are ignored.
        leave_image_out: an answer never rests on rows of the question's own image, so that a suite can serve as
            its own training rows.
    """

    tasks: frozenset[Task] = frozenset({"answer"})
    needs_image = False
    batch_size = 4096

    def __init__(self, kind: str, rows: Sequence[Question], *, leave_image_out: bool, source: str) -> None:
        names = list(_KEYS)
        self._keys = [_KEYS[name] for name in names[names.index(kind) :]]
        self._leave_out = leave_image_out
        # Counters keep the order of first appearance, which decides ties.
        self._counts: dict[Hashable, Counter[str]] = defaultdict(Counter)
        self._of_image: dict[str, list[tuple[Hashable, str]]] = defaultdict(list)
        self._best: dict[Hashable, tuple[str, float] | None] = {}
        digest = hashlib.sha256()
        count = 0
        for row in rows:
            if not row.answer:
                continue
            count += 1
            digest.update(f"{row.img_id}\t{row.question}\t{row.answer}\n".encode())
            for key_of in self._keys:
                key = key_of(row)
                self._counts[key][row.answer] += 1
                if leave_image_out:
                    self._of_image[row.img_id].append((key, row.answer))
        self.settings: Mapping[str, Any] = {
            "kind": kind,
            "trained_on": source,
            "training_rows": count,
            "training_digest": digest.hexdigest()[:16],
            "leave_image_out": leave_image_out,
        }
        # With an image's own rows left out, no image is seen.
        self.training_images = frozenset() if leave_image_out else frozenset(row.img_id for row in rows if row.answer)

    def encode(self, images: Sequence[Any]) -> Sequence[Feature]:
        """Never called: the model does not look."""
        return [None] * len(images)

    def answer(self, features: Sequence[Feature], asks: Sequence[Ask]) -> list[Answer]:
        """The most frequent training answer, with its share among the rows of its key as confidence."""
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> Answer:
        for key_of in self._keys:
            key = key_of(ask)
            found = self._without_image(key, ask.img_id) if self._leave_out else self._most_frequent(key)
            if found is not None:
                return Answer(found[0], found[1])
        return Answer("", 0.0, warnings=("no-training-row",))

    def _most_frequent(self, key: Hashable) -> tuple[str, float] | None:
        if key not in self._best:
            self._best[key] = _top(self._counts[key]) if key in self._counts else None
        return self._best[key]

    def _without_image(self, key: Hashable, img_id: str) -> tuple[str, float] | None:
        own = Counter(answer for k, answer in self._of_image.get(img_id, ()) if k == key)
        if not own:
            return self._most_frequent(key)
        counts = self._counts[key]
        return _top({answer: count - own.get(answer, 0) for answer, count in counts.items()})

    def ground(self, features: Sequence[Feature], asks: Sequence[GroundAsk]) -> Sequence[Grounding]:
        """Never called: the task is not listed."""
        raise GiBenchError("a blind prior shows no regions")

    def explain(self, features: Sequence[Feature], asks: Sequence[Ask], answers: Sequence[str]) -> Sequence[Answer]:
        """Never called: the task is not listed."""
        raise GiBenchError("a blind prior explains nothing")

    def close(self) -> None:
        """Nothing to give back."""


def _top(counts: Mapping[str, int]) -> tuple[str, float] | None:
    """The most frequent answer with its share; the first one among equals; None if nothing is left."""
    total = sum(counts.values())
    if total <= 0:
        return None
    answer = max(counts, key=counts.__getitem__)
    return answer, counts[answer] / total


def build_prior(kind: str, context: BuildContext) -> PriorModel:
    """Make a prior from the training rows of the context.

    Raises:
        GiBenchError: there are no training rows.
    """
    train = context.train_suite
    if train is None:
        raise GiBenchError(
            f"{kind} needs training rows, and {context.suite.name} names none",
            do=f"give --train-suite NAME (--train-suite {context.suite.name} learns from the other images)",
        )
    model = PriorModel(kind, train.questions, leave_image_out=train.name == context.suite.name, source=train.name)
    if not model.settings["training_rows"]:
        raise GiBenchError(f"{kind} found no training row with an answer", where=train.name)
    return model
