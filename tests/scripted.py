"""A scripted model: answers from a table, counts its calls, fails on demand. For tests of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gi_bench.harness.model import Answer, Ask, BuildContext, GroundAsk, Grounding
from gi_bench.harness.registry import ModelEntry
from gi_bench.harness.schema import TASKS, Region, Task


class ScriptedModel:
    """Answers with the question's length and the image's mean colour; regions are a box around the centre."""

    tasks: frozenset[Task] = frozenset(TASKS)
    needs_image = True
    batch_size = 8

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings: Mapping[str, Any] = settings or {"script": 1}
        self.encoded: list[int] = []
        self.batches: list[int] = []
        self.before_answer: Callable[[Sequence[Ask]], None] = lambda asks: None
        self.closed = False

    def encode(self, images: Sequence[Any]) -> list[float]:
        self.encoded.append(len(images))
        return [float(np.asarray(image).mean()) for image in images]

    def answer(self, features: Sequence[float], asks: Sequence[Ask]) -> list[Answer]:
        self.before_answer(asks)
        self.batches.append(len(asks))
        return [
            Answer(f"one polyp seen {len(ask.question)} {feature:.3f}", 0.5, 3)
            for feature, ask in zip(features, asks, strict=True)
        ]

    def ground(self, features: Sequence[float], asks: Sequence[GroundAsk]) -> list[Grounding]:
        found = []
        for ask in asks:
            mask = np.zeros((ask.height, ask.width), dtype=bool)
            mask[ask.height // 4 : ask.height // 2, ask.width // 4 : ask.width // 2] = True
            found.append(Grounding((Region.from_mask(ask.label, mask, 0.7),), 0.7, 5))
        return found

    def explain(self, features: Sequence[float], asks: Sequence[Ask], answers: Sequence[str]) -> list[Answer]:
        return [Answer(f"Because {answer}.", None, 4) for answer in answers]

    def close(self) -> None:
        self.closed = True


def entry(model: ScriptedModel, name: str = "scripted") -> ModelEntry:
    """A registry entry that always gives this very model."""

    def build(context: BuildContext) -> ScriptedModel:
        return model

    return ModelEntry(name, "a scripted model for tests", TASKS, build)
