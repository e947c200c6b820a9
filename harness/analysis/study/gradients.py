"""How the gradients of two tasks stand to each other, by arm: means over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gi_bench.harness.analysis.study.records import LEAST_SEEDS, Study
from gi_bench.harness.schema import GradientPair
from gi_bench.harness.statistics import LEVEL, SeedEffect, student_quantile

Reading = Literal["against each other", "along each other", "neither", "not judged", ""]


@dataclass(frozen=True)
class GradientMean:
    """One pair of tasks of one arm.

    Attributes:
        arm: name.
        first, second: tasks; the second is empty where there is one task only.
        cosine: mean over seeds, with a 95 % interval over seeds; ``images`` holds the logged steps of a training.
        negative_share: mean share of logged steps with a cosine below 0.
        norms: mean norms of both gradients.
        reading: *against each other* if the interval of the cosine lies below 0, *along each other* if above,
            *neither* if it holds 0; *not judged* from fewer than three seeds; empty for one task.
    """

    arm: str
    first: str
    second: str
    cosine: SeedEffect
    negative_share: float
    norms: tuple[float, float]
    reading: Reading


def gradients_by_arm(study: Study) -> list[GradientMean]:
    """Means over seeds of :attr:`Study.gradients`, by pair of tasks, within it the arms in their order."""
    pairs = list(dict.fromkeys((one.first, one.second) for one in study.gradients))
    made = []
    for pair in pairs:
        for arm in study.question.arms:
            rows = [one for one in study.gradients if one.arm == arm and (one.first, one.second) == pair]
            if rows:
                made.append(_mean(arm, rows))
    return made


def _mean(arm: str, rows: Sequence[GradientPair]) -> GradientMean:
    cosines = np.array([one.cosine for one in rows])
    mean = float(cosines.mean())
    low = high = None
    if len(rows) >= LEAST_SEEDS and math.isfinite(mean):
        half = student_quantile(1 - LEVEL, len(rows) - 1) * float(cosines.std(ddof=1)) / math.sqrt(len(rows))
        # What a cosine can be.
        low, high = max(-1.0, mean - half), min(1.0, mean + half)
    effect = SeedEffect(mean, low, high, 1.0, tuple(cosines.tolist()), min(one.n for one in rows))
    return GradientMean(
        arm=arm,
        first=rows[0].first,
        second=rows[0].second,
        cosine=effect,
        negative_share=float(np.mean([one.negative_share for one in rows])),
        norms=(float(np.mean([one.first_norm for one in rows])), float(np.mean([one.second_norm for one in rows]))),
        reading=_reading(effect) if rows[0].second else "",
    )


def _reading(cosine: SeedEffect) -> Reading:
    if cosine.low is None or cosine.high is None:
        return "not judged"
    if cosine.high < 0:
        return "against each other"
    return "along each other" if cosine.low > 0 else "neither"


def gradient_sentences(study: Study) -> list[str]:
    """Which tasks' gradients conflict in which arms."""
    means = [one for one in gradients_by_arm(study) if one.second]
    made = []
    for pair in dict.fromkeys((one.first, one.second) for one in means):
        found = {
            reading: [one.arm for one in means if (one.first, one.second) == pair and one.reading == reading]
            for reading in ("against each other", "along each other", "neither", "not judged")
        }
        told = "; ".join(f"{reading} in {', '.join(arms)}" for reading, arms in found.items() if arms)
        made.append(f"gradients of {pair[0]} and {pair[1]}: {told}")
    return made


__all__ = ["GradientMean", "Reading", "gradient_sentences", "gradients_by_arm"]
