"""Verdicts: what an effect, its interval and its p-value say of a claim, and what could have been found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from gi_bench.harness.analysis.study.power import smallest_effect, thresholds, variances
from gi_bench.harness.analysis.study.records import LEAST_SEEDS, Contrast, Finding, Power, Verdict
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import LEVEL, SeedEffect, holm

# Values that are equal but for the order of their sums.
_ROUNDING = 1e-12
# A stored standard error beyond this is damage: its square is no number.
_LARGEST = 1e100


def decide(
    contrast: Contrast,
    values: tuple[float, float],
    effect: SeedEffect,
    adjusted: float,
    *,
    bounds: tuple[float, float] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    seeds: int | None = None,
) -> tuple[Verdict, str]:
    """Verdict on one contrast, and why.

    *Supported*: the difference goes the claimed way with p < .05 after Holm's correction, and its mean reaches the
    margin. *Not supported*: the interval excludes a difference of the margin the claimed way. *Undecided*: neither. For
    ``no less`` and ``no more`` the interval alone decides: it excludes a loss of the margin, or one below it. Where
    less than the margin is left to gain (a rate of .03 cannot fall by .05), the margin is what is left, and a
    difference reaches it if its interval does; where nothing is left, nothing can be decided.

    Args:
        contrast: what is claimed.
        values: of the first arm and of the second, or the number; for trends and interactions see :class:`Finding`.
        effect: their difference.
        adjusted: its p-value after correction.
        bounds: its interval at the level at which those of all contrasts hold together; None for the effect's own.
        limits: smallest and largest value that the metric can have.
        seeds: trainings that the effect rests on; None where the effect's values tell (one of them: nothing was
            trained).
    """
    count = seeds if seeds is not None else len(effect.by_seed)
    few = count < LEAST_SEEDS and bool(seeds or count > 1)
    if effect.low is None or effect.high is None:
        return "no verdict" if few else "undecided", "no interval: one seed and one image, or no value"
    if few:
        return "no verdict", f"fewer than {LEAST_SEEDS} seeds: the interval does not hold for other seeds"
    # From here on the claimed way is upwards.
    sign = 1.0 if contrast.expect in ("greater", "no less") else -1.0
    low, high = sorted(sign * bound for bound in (bounds or (effect.low, effect.high)))
    if contrast.expect in ("no less", "no more"):
        return _nothing_lost(low, high, contrast.margin)
    room, gone = _room(contrast, values, limits)
    if room <= _ROUNDING and gone <= _ROUNDING:
        place = f"{'ends ' if contrast.trend else ''}stand at {limits[1] if sign > 0 else limits[0]:g}"
        return "undecided", f"both {place}: there is nothing left to {'rise' if sign > 0 else 'fall'}"
    # A rate that is small already cannot fall by the margin: then all that is left has to be possible.
    short = _is_short(room, contrast)
    goal = room if short else contrast.margin
    told = f"{goal:.2g}, all that is left," if short else f"{goal:g}"
    shown = sign * effect.mean > 0 and adjusted < 0.05
    if high < goal - _ROUNDING:
        if high < 0:
            return "not supported", "the difference goes the other way"
        return "not supported", f"{'it differs from 0, but ' if shown else ''}a difference of {told} is excluded"
    if shown and (short or sign * effect.mean >= goal - _ROUNDING):
        return "supported", f"{contrast.expect}, p {adjusted:.3g} after Holm"
    if shown:
        return "undecided", f"it differs from 0, but a difference of {told} is neither excluded nor shown"
    return "undecided", f"a difference of {told} is neither excluded nor shown"


def _room(contrast: Contrast, values: tuple[float, float], limits: tuple[float, float]) -> tuple[float, float]:
    """The most that the difference can be the claimed way, and how much of it is left where the first value stands.

    The slope of a trend can be what takes the metric from its first arm to its limit.
    """
    steps = max(1, len(contrast.trend) - 1)
    if contrast.expect in ("greater", "no less"):
        return (limits[1] - values[1]) / steps, (limits[1] - values[0]) / steps
    return (values[1] - limits[0]) / steps, (values[0] - limits[0]) / steps


def _is_short(room: float, contrast: Contrast) -> bool:
    """Whether less than the margin can be gained at all."""
    return _ROUNDING < room < contrast.margin - _ROUNDING


def _nothing_lost(low: float, high: float, margin: float) -> tuple[Verdict, str]:
    if low > -margin:
        return "supported", f"a loss of {margin:g} is excluded"
    if high < -margin:
        return "not supported", f"the loss is larger than {margin:g}"
    return "undecided", f"a loss of {margin:g} is neither excluded nor shown"


def whole_verdict(findings: Sequence[Finding]) -> Verdict:
    """A claim holds if all of its contrasts do, and falls with any of them."""
    found = {one.verdict for one in findings}
    for verdict in ("not supported", "no verdict", "undecided"):
        if verdict in found:
            return verdict
    return "supported" if found else "undecided"


def decided(
    made: Sequence[Finding], infos: Mapping[str, MetricInfo], counts: Mapping[str, int], seeds: int
) -> list[Finding]:
    """Contrasts with their verdicts and their power; both ways of a claim are corrected for the number of contrasts.

    Args:
        made: contrasts with their effects.
        infos: of the metrics, which tell what a difference can be.
        counts: runs of each arm.
        seeds: number of seeds of the study.
    """
    # What is decided by its interval alone is no test, and costs the others nothing.
    tested = [one for one in made if one.contrast.expect in ("greater", "less") and one.effect.low is not None]
    p_values = [one.effect.p for one in tested]
    adjusted = dict(zip(map(id, tested), holm(p_values), strict=True))
    shown_below = dict(zip(map(id, tested), thresholds(p_values), strict=True))
    level = 1 - (1 - LEVEL) / max(1, sum(one.effect.low is not None for one in made))
    found = []
    for one in made:
        contrast, effect = one.contrast, one.effect
        info = infos.get(contrast.metric)
        limits = (info.low, info.high) if info is not None else (-np.inf, np.inf)
        bounds = None
        if effect.low is not None and effect.high is not None:
            span = _range(contrast, info) if info is not None else (-np.inf, np.inf)
            bounds = cut(effect.bounds(level) or (effect.low, effect.high), effect.mean, *span)
            low, high = cut((effect.low, effect.high), effect.mean, *span)
            effect = replace(effect, low=low, high=high)
        trained = max(counts.get(arm, 1) for arm in contrast.arms)
        # One run of an arm among several seeds is one that nothing was trained for.
        rests_on = None if trained == 1 and seeds != 1 else trained
        p = adjusted.get(id(one), one.effect.p)
        verdict, why = decide(contrast, one.values, effect, p, bounds=bounds, limits=limits, seeds=rests_on)
        could = None if verdict == "no verdict" else _power(one, limits, shown_below.get(id(one), 1 - level))
        found.append(
            replace(one, effect=effect, adjusted=p, verdict=verdict, why=why, simultaneous=bounds, power=could)
        )
    return found


def _power(one: Finding, limits: tuple[float, float], p: float) -> Power | None:
    """What a contrast could have shown; None without a standard error, or with numbers that none can have."""
    contrast, effect = one.contrast, one.effect
    if effect.low is None or effect.error is None or effect.freedom is None:
        return None
    if not (0 <= effect.error < _LARGEST and np.isfinite(effect.by_seed).all() and np.isfinite(one.values).all()):
        return None
    by_seed, by_image = variances(effect)
    sizes = {"seeds": len(effect.by_seed), "images": effect.images}
    if contrast.expect in ("no less", "no more"):
        return Power(smallest_effect(by_seed, by_image, p=p, **sizes), p)
    room, _ = _room(contrast, one.values, limits)
    margin = 0.0 if _is_short(room, contrast) else contrast.margin
    smallest = smallest_effect(by_seed, by_image, p=p, margin=margin, **sizes)
    return Power(smallest, p, room if np.isfinite(room) else None)


def cut(bounds: tuple[float, float], mean: float, least: float, most: float) -> tuple[float, float]:
    """Bounds within a range, and never so that they exclude the mean."""
    return max(bounds[0], min(least, mean)), min(bounds[1], max(most, mean))


def _range(contrast: Contrast, info: MetricInfo) -> tuple[float, float]:
    """What the difference of a contrast can be, by what its metric can be."""
    if contrast.first and not contrast.second:
        return info.low - contrast.against, info.high - contrast.against
    widest = (info.high - info.low) * sum(weight for weight in weights(contrast) if weight > 0)
    return -widest, widest


def weights(contrast: Contrast) -> tuple[float, ...]:
    """By how much each arm of a contrast counts in its difference.

    >>> weights(Contrast("made", trend=("a", "b", "c", "d")))
    (-0.3, -0.1, 0.1, 0.3)
    """
    if contrast.trend:
        count = len(contrast.trend)
        places = [place - (count - 1) / 2 for place in range(count)]
        return tuple(place / sum(one * one for one in places) for place in places)
    if contrast.interaction:
        return 1.0, -1.0, -1.0, 1.0
    return (1.0, -1.0) if contrast.second else (1.0,)


__all__ = ["cut", "decide", "decided", "weights", "whole_verdict"]
