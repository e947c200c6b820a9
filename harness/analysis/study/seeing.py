"""Which of the three fell: places in words, the format of regions, or the features; by arm, against the backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gi_bench.harness.analysis.study.records import LEAST_SEEDS, Study
from gi_bench.harness.schema import WAYS_OF_SEEING, Seeing, WayOfSeeing
from gi_bench.harness.statistics import LEVEL, SeedEffect, student_quantile

# The half-width of a 95 % interval in standard errors.
_WIDTH = 1.96
Change = Literal["fell", "rose", "no clear change", "not judged"]
_WORDS: WayOfSeeing = "place in words"
_WRITTEN: WayOfSeeing = "region as written"
_FORCED: WayOfSeeing = "region, locations forced"
_PROBES: tuple[WayOfSeeing, ...] = ("probe: presence", "probe: cell")


@dataclass(frozen=True)
class Seen:
    """How far one arm sees, asked in one way: mean over seeds.

    Attributes:
        arm: name; empty for the backbone before training.
        what: way of asking.
        effect: mean over seeds, with a 95 % interval over seeds and images; ``images`` holds the rows.
        change: against the backbone. *Fell* and *rose*: the 95 % interval of the difference excludes 0; both are
            taken as independent, although images are shared, which makes the interval wider, never narrower. *Not
            judged*: no value before or after, or fewer than three seeds.
    """

    arm: str
    what: WayOfSeeing
    effect: SeedEffect
    change: Change


def seen_by_arm(study: Study) -> list[Seen]:
    """Means over seeds of everything in :attr:`Study.seeing`, the backbone first, then the arms in their order."""
    made = []
    for what in WAYS_OF_SEEING:
        before = _mean([one for one in study.seeing if one.what == what and not one.arm])
        if before is not None:
            made.append(Seen("", what, before, "not judged"))
        for arm in study.question.arms:
            after = _mean([one for one in study.seeing if (one.what, one.arm) == (what, arm)])
            if after is not None:
                made.append(Seen(arm, what, after, _change(before, after)))
    return made


def _mean(rows: Sequence[Seeing]) -> SeedEffect | None:
    """Mean over seeds; its variances over seeds and over images are added up, as those of contrasts are."""
    if not rows:
        return None
    values = np.array([one.value for one in rows])
    mean = float(values.mean())
    n = min(one.n for one in rows)
    plain = SeedEffect(mean, None, None, 1.0, tuple(values.tolist()), n)
    halves = np.array([(one.high - one.low) / 2 for one in rows])
    if not (math.isfinite(mean) and np.isfinite(halves).all()):
        return plain
    # Of each seed on the same images: their mean is as uncertain over images as one of them.
    parts = [(float(np.mean((halves / _WIDTH) ** 2)), max(1, n - 1))]
    if len(rows) > 1:
        parts.append((float(values.var(ddof=1)) / len(rows), len(rows) - 1))
    error, freedom = _summed(parts)
    half = student_quantile(1 - LEVEL, freedom) * error
    low, high = (rows[0].low, rows[0].high) if len(rows) == 1 else (mean - half, mean + half)
    return replace(plain, low=min(max(low, 0.0), mean), high=max(min(high, 1.0), mean), error=error, freedom=freedom)


def _summed(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Standard error and Satterthwaite's degrees of freedom of a sum of (variance, degrees of freedom)."""
    total = sum(variance for variance, _ in parts)
    if total <= 0:
        return 0.0, 1.0
    return math.sqrt(total), total**2 / sum(variance**2 / freedom for variance, freedom in parts)


def _change(before: SeedEffect | None, after: SeedEffect) -> Change:
    if before is None or before.error is None or before.freedom is None or len(after.by_seed) < LEAST_SEEDS:
        return "not judged"
    if after.error is None or after.freedom is None:
        return "not judged"
    error, freedom = _summed([(before.error**2, before.freedom), (after.error**2, after.freedom)])
    half = student_quantile(1 - LEVEL, freedom) * error
    difference = after.mean - before.mean
    if abs(difference) <= half:
        return "no clear change"
    return "fell" if difference < 0 else "rose"


def seeing_sentences(study: Study) -> list[str]:
    """One sentence an arm: which of the three fell, by :attr:`Seen.change`."""
    seen = seen_by_arm(study)
    made = []
    for arm in study.question.arms:
        changes = {one.what: one.change for one in seen if one.arm == arm}
        if changes:
            made.append(f"{arm}: {_sentence(changes)}")
    return made


def _sentence(changes: dict[WayOfSeeing, Change]) -> str:
    judged = {what: change for what, change in changes.items() if change != "not judged"}
    if not judged:
        return f"what fell is not judged: it takes a value before training, and {LEAST_SEEDS} seeds or more after it"
    fell = [what for what, change in judged.items() if change == "fell"]
    parts = []
    if any(what in fell for what in _PROBES):
        parts.append(f"the features fell ({', '.join(what for what in _PROBES if what in fell)})")
    if _FORCED in fell:
        kept = all(what in judged for what in _PROBES) and not any(what in fell for what in _PROBES)
        parts.append(
            "regions fell even where decoding is forced to locations"
            + (", while no fall of the features is shown" if kept else "")
        )
    elif _WRITTEN in fell:
        parts.append(
            "the format fell: regions as written did, and those of decoding forced to locations did not"
            if _FORCED in judged
            else "regions as written fell; whether that is their format alone was not asked"
        )
    if _WORDS in fell:
        parts.append("places in words fell")
    if not parts:
        parts.append("no fall is shown")
    rose = [what for what, change in judged.items() if change == "rose"]
    missing = [what for what in WAYS_OF_SEEING if what not in judged]
    told = "; ".join(parts)
    told += f"; rose: {', '.join(rose)}" if rose else ""
    return told + (f"; not judged: {', '.join(missing)}" if missing else "")


__all__ = ["Change", "Seen", "seeing_sentences", "seen_by_arm"]
