"""What the trainings of a study bring to it beside their runs; the rest of a study is declared where it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

# In which a model is asked where something is: in its answers' words, in regions, in its vision features.
WayOfSeeing = Literal[
    "place in words", "region as written", "region, locations forced", "probe: presence", "probe: cell"
]
WAYS_OF_SEEING: tuple[WayOfSeeing, ...] = get_args(WayOfSeeing)


@dataclass(frozen=True, slots=True)
class ArmMade:
    """What the training of one arm of a study took; of several seeds, the mean.

    Attributes:
        steps: optimiser steps.
        rows: rows by task that the batches held over the whole training; one that was seen twice counts twice.
        images: images that were trained on.
        trainable_parameters: parameters that the training could change.
        seconds: wall-clock time of one training; None where it is not told, as in ``gi-bench study``, whose files are
            the same whenever they are made.
    """

    steps: int
    rows: Mapping[str, int]
    images: int
    trainable_parameters: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Seeing:
    """How far one training of an arm sees, asked in one way.

    Attributes:
        arm: name; empty for the backbone before any training.
        seed: of the training; None for the backbone.
        what: one of :data:`WAYS_OF_SEEING`.
        value: in [0, 1], more is better; NaN where there is none.
        low, high: its 95 % interval over images; NaN where there is none.
        n: rows that it rests on.
    """

    arm: str
    seed: int | None
    what: WayOfSeeing
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class GradientPair:
    """How the gradients of two tasks of one training stand to each other: means over the logged steps.

    Attributes:
        arm: name.
        seed: of the training.
        first, second: tasks; for norms of a task that has no other beside it, the second is empty.
        cosine: mean cosine of the two gradients, in [-1, 1]; NaN where there is no second task.
        negative_share: share of the logged steps with a cosine below 0.
        n: logged steps.
        first_norm, second_norm: mean Euclidean norm of each gradient over the trainable parameters.
    """

    arm: str
    seed: int
    first: str
    second: str
    cosine: float
    negative_share: float
    n: int
    first_norm: float
    second_norm: float
