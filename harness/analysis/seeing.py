"""Which of three fell or is lacking: features, format, words; read from how an arm sees before and after training.

A network that says nothing right about places may have stopped seeing them, may have forgotten how they are written, or
may see them and not say them. The features are judged by linear probes against the backbone's, the format by regions as
written against regions of a decoder that can write nothing else, the words by the places that answers state against
those of somebody who never looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from gi_bench.harness.schema import Seeing, WayOfSeeing

Part = Literal["features", "format", "words"]
State = Literal["held", "fell", "lacking", "not there"]

# The arm under which floors stand, and that of the backbone before training.
BLIND, BACKBONE = "blind", ""
CHANCE = 0.5
_PROBES: tuple[tuple[str, WayOfSeeing], ...] = (("presence", "probe: presence"), ("cell", "probe: cell"))
# Smaller differences are not worth a word, however sure they are.
LEAST_LOSS = 0.02
LEAST_GAIN = 0.05


@dataclass(frozen=True)
class Reading:
    """What is to be said of one part.

    Attributes:
        part: which.
        state: ``held``; ``fell``: it was there before training, and what the network still has elsewhere is missing
            here; ``lacking``: the same, where it was not there before training either, or nobody looked then;
            ``not there``: nothing above chance, and nothing elsewhere that it could come from.
        why: the numbers that say so, in one sentence.
    """

    part: Part
    state: State
    why: str


def read_seeing(rows: Sequence[Seeing], arm: str) -> tuple[Reading, ...]:
    """What of an arm held and what fell; parts that were not measured are left out.

    Args:
        rows: of the arm, of the backbone (arm ``""``) and of the floors (arm ``blind``), in any order; of several
            seeds the mean counts.
        arm: which arm.
    """
    found = [_features(rows, arm), _format(rows, arm), _words(rows, arm)]
    return tuple(one for one in found if one is not None)


def what_fell(readings: Sequence[Reading]) -> str:
    """One sentence: which of the three fell.

    >>> what_fell([Reading("features", "held", ""), Reading("format", "fell", ""), Reading("words", "fell", "")])
    'the format and the words fell, the features held'
    >>> what_fell([Reading("features", "held", ""), Reading("format", "lacking", "")])
    'the format is lacking, the features held'
    """
    told = []
    for state, one_does, many_do in _VERBS:
        parts = [f"the {one.part}" for one in readings if one.state == state]
        if parts:
            verb = one_does if parts == ["the format"] else many_do
            told.append(f"{' and '.join(filter(None, [', '.join(parts[:-1]), parts[-1]]))} {verb}")
    return ", ".join(told)


# Of the three, only the format is one thing.
_VERBS: tuple[tuple[State, str, str], ...] = (
    ("fell", "fell", "fell"),
    ("lacking", "is lacking", "are lacking"),
    ("not there", "is not there", "are not there"),
    ("held", "held", "held"),
)


def mean_over_seeds(rows: Sequence[Seeing], arm: str, what: WayOfSeeing) -> Seeing | None:
    """One value of an arm: the mean over its seeds, with the mean bounds, since the images are the same for all."""
    own = [row for row in rows if (row.arm, row.what) == (arm, what) and math.isfinite(row.value)]
    if not own:
        return None
    value, low, high = (fmean(getattr(row, name) for row in own) for name in ("value", "low", "high"))
    return Seeing(arm, None, what, value, low, high, own[0].n)


def _loss(before: Seeing, after: Seeing) -> tuple[float, float]:
    """How much less there is after, and the least of it that both intervals allow.

    Newcombe's square-and-add interval; the images are the same, so that it is rather too wide.
    """
    loss = before.value - after.value
    return loss, loss - math.hypot(before.value - before.low, after.high - after.value)


def _beyond(own: Seeing, floor: Seeing | None) -> bool:
    """Whether a value is above its floor by more than both intervals allow: one right of ten is not above none."""
    return own.low > 0 if floor is None else _loss(own, floor)[1] > 0


def _features(rows: Sequence[Seeing], arm: str) -> Reading | None:
    told, fell, there = [], False, False
    for name, what in _PROBES:
        after = mean_over_seeds(rows, arm, what)
        if after is None:
            continue
        before = mean_over_seeds(rows, BACKBONE, what) if arm != BACKBONE else None
        there |= after.low > CHANCE
        if before is None:
            told.append(f"{name} at {_number(after.value)}")
            continue
        loss, least = _loss(before, after)
        fell |= loss >= LEAST_LOSS and least > 0
        told.append(f"{name} at {_number(after.value)} ({_number(before.value)} before training)")
    if not told:
        return None
    state: State = "fell" if fell else "held" if there else "not there"
    return Reading("features", state, f"a straight line through them tells {' and '.join(told)}; chance is .50")


def _format(rows: Sequence[Seeing], arm: str) -> Reading | None:
    written, forced = (
        mean_over_seeds(rows, arm, "region as written"),
        mean_over_seeds(rows, arm, "region, locations forced"),
    )
    if written is None or forced is None:
        return None
    floor = mean_over_seeds(rows, BLIND, "region, locations forced")
    missing = _missing(rows, "region as written", floor)
    gain, least = _loss(forced, written)
    beyond = _beyond(forced, floor)
    numbers = f"regions have an IoU of {_number(written.value)} as written and {_number(forced.value)} forced"
    if floor is not None:
        numbers += f", {_number(floor.value)} without looking"
    if beyond and gain >= LEAST_GAIN and least > 0:
        return Reading("format", missing, f"{numbers}: the decoder points to the place and does not write it")
    if beyond:
        return Reading("format", "held", numbers)
    if _features_hold_the_place(rows, arm):
        why = "the features hold the place, and location tokens do not say it even where nothing else is allowed"
        return Reading("format", missing, f"{numbers}: {why}")
    return Reading("format", "not there", f"{numbers}: held to locations, too, the decoder points nowhere")


def _words(rows: Sequence[Seeing], arm: str) -> Reading | None:
    stated = mean_over_seeds(rows, arm, "place in words")
    if stated is None:
        return None
    floor = mean_over_seeds(rows, BLIND, "place in words")
    numbers = f"answers state {_number(stated.value)} of the places"
    if floor is not None:
        numbers += f", {_number(floor.value)} without looking"
    if _beyond(stated, floor):
        return Reading("words", "held", numbers)
    if _features_hold_the_place(rows, arm):
        missing = _missing(rows, "place in words", floor)
        return Reading("words", missing, f"{numbers}: the features hold the place and no word says it")
    return Reading("words", "not there", numbers)


def _missing(rows: Sequence[Seeing], what: WayOfSeeing, floor: Seeing | None) -> State:
    """What is to be said of a missing part: only what the backbone had before training can have fallen."""
    before = mean_over_seeds(rows, BACKBONE, what)
    return "fell" if before is not None and _beyond(before, floor) else "lacking"


def _features_hold_the_place(rows: Sequence[Seeing], arm: str) -> bool:
    probed = mean_over_seeds(rows, arm, "probe: cell")
    return probed is not None and probed.low > CHANCE


def _number(value: float) -> str:
    """Two digits without the nought before the point.

    >>> _number(0.5), _number(1.0), _number(0.999)
    ('.50', '1.00', '1.00')
    """
    return f"{value:.2f}".removeprefix("0")
