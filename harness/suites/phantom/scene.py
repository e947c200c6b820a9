"""What a phantom scene holds, drawn from a seed: findings, look-alikes, landmarks, instruments and artefacts.

A scene is a small record of geometry and attributes. It says everything that the questions, the reference
regions and the renderer need, so that rows can be written without rendering a picture.

All randomness is :meth:`random.Random.random`, whose sequence Python guarantees across versions and machines.
Lengths are fractions of the image's side; x grows to the right, y downwards.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# Changes whenever a scene, a picture or a row of the embedded suite changes.
PHANTOM_VERSION = 2

POLYP_TYPES = ("paris ip", "paris is", "paris iia")
POLYP_COLORS = ("pink", "red", "white")
# Apparent radius by size bin; narrow gaps between the bins keep them readable from the picture.
POLYP_RADII = {
    "<5mm": (0.036, 0.060),
    "5-10mm": (0.066, 0.104),
    "11-20mm": (0.112, 0.164),
    ">20mm": (0.176, 0.250),
}
INSTRUMENTS = ("biopsy forceps", "metal clip", "polyp snare", "tube")
# What may be taken for a finding and is none: for polyps all but the last, for inflammation glare and vessels.
DISTRACTORS = ("bubbles", "fold", "glare", "stool", "vessels")
# Radius of the visible field around the image's centre.
FIELD_RADIUS = 0.53


class Draw:
    """Random choices from one guaranteed stream of uniform numbers."""

    def __init__(self, key: str) -> None:
        self._stream = random.Random(key)

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self._stream.random()

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._stream.random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, all equally likely."""
        return options[int(self._stream.random() * len(options))]

    def weighted(self, options: Sequence[tuple[T, float]]) -> T:
        """One of the options, by weight."""
        left = self._stream.random() * sum(weight for _, weight in options)
        for option, weight in options:
            left -= weight
            if left < 0:
                return option
        return options[-1][0]

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """``count`` different options in random order."""
        left = list(options)
        return [left.pop(int(self._stream.random() * len(left))) for _ in range(min(count, len(left)))]


@dataclass(frozen=True, slots=True)
class Polyp:
    """A polyp: an uneven ellipse, for ``paris ip`` with a stalk."""

    x: float
    y: float
    radius: float
    stretch: float
    angle: float
    paris: str
    size: str
    color: str
    waves: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Patch:
    """Diffuse inflammation: an uneven patch of ``ulcerative colitis`` or ``oesophagitis``."""

    x: float
    y: float
    radius: float
    stretch: float
    angle: float
    waves: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Landmark:
    """A landmark.

    ``z-line`` (border of pale and salmon mucosa around the lumen), ``pylorus`` (round opening in a smooth pale ring),
    ``cecum`` (orifice with folds) or ``ileum`` (velvety, yellowish mucosa).
    """

    kind: str
    x: float
    y: float
    radius: float
    waves: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument that enters at an edge point (x0, y0) and ends at its tip (x1, y1).

    A ``metal clip`` has no shaft: it lies between its two points.
    """

    kind: str
    x0: float
    y0: float
    x1: float
    y1: float
    width: float


@dataclass(frozen=True, slots=True)
class Distractor:
    """What may be taken for a finding and is none: one of :data:`DISTRACTORS`."""

    kind: str
    x: float
    y: float
    radius: float
    stretch: float
    angle: float
    waves: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Scene:
    """One phantom image.

    Attributes:
        key: seed text of the picture's textures.
        procedure: ``colonoscopy`` or ``gastroscopy``.
        polyps, patches, instruments: what is there; empty if absent.
        abnormality: ``polyp``, ``ulcerative colitis``, ``oesophagitis`` or ``none``.
        landmark: at most one.
        box: ``green``, ``black`` or None: a box artefact in the lower left corner.
        text: burnt-in text in a corner, or None.
        text_right: whether the text stands in the upper right corner instead of the upper left.
        lumen: (x, y, radius) of the dark lumen.
        hue: shift of the mucosa's colour in [-1, 1].
        distractors: what may be taken for a finding and is none.
        contrast: how much findings and landmarks stand out, in [0.35, 1].
        light: brightness of the lamp, in [0.72, 1.08].
        blur: passes of a small smoothing filter over the picture: 0 is sharp.
    """

    key: str
    procedure: str
    abnormality: str
    polyps: tuple[Polyp, ...]
    patches: tuple[Patch, ...]
    landmark: Landmark | None
    instruments: tuple[Instrument, ...]
    box: str | None
    text: str | None
    text_right: bool
    lumen: tuple[float, float, float]
    hue: float
    distractors: tuple[Distractor, ...] = ()
    contrast: float = 1.0
    light: float = 1.0
    blur: int = 0

    @property
    def is_normal(self) -> bool:
        """No abnormality, landmark or instrument."""
        return self.abnormality == "none" and self.landmark is None and not self.instruments


def _waves(draw: Draw) -> tuple[float, float, float]:
    return draw.uniform(0, 2 * math.pi), draw.uniform(0, 2 * math.pi), draw.uniform(0, 2 * math.pi)


def _distance(ax: float, ay: float, bx: float, by: float) -> float:
    return math.sqrt((ax - bx) ** 2 + (ay - by) ** 2)


def _segment_distance(x: float, y: float, tool: Instrument) -> float:
    dx, dy = tool.x1 - tool.x0, tool.y1 - tool.y0
    t = ((x - tool.x0) * dx + (y - tool.y0) * dy) / (dx * dx + dy * dy)
    t = min(1.0, max(0.0, t))
    return _distance(x, y, tool.x0 + t * dx, tool.y0 + t * dy)


class _Placement:
    """Finds places for round objects so that none hides another; the rim and an instrument may hide a part."""

    def __init__(self, draw: Draw, box: str | None, instruments: Sequence[Instrument]) -> None:
        self.draw = draw
        self.taken: list[tuple[float, float, float]] = []
        if box is not None:
            self.taken.append((0.14, 0.90, 0.17))
        self.instruments = instruments

    def find(self, radius: float, *, at_rim: bool = False) -> tuple[float, float] | None:
        """A centre for a disc of that radius, or None after 60 tries.

        Args:
            radius: of the object.
            at_rim: whether the rim of the field may cut off up to two fifths of it.
        """
        reach = FIELD_RADIUS - 0.04 - 0.15 * radius if at_rim else max(0.05, 0.46 - radius * 0.8)
        for _ in range(60):
            x = self.draw.uniform(0.5 - reach, 0.5 + reach)
            y = self.draw.uniform(0.5 - reach, 0.5 + reach)
            if _distance(x, y, 0.5, 0.5) > reach * (1.0 if at_rim else 1.12) or not self._is_free(x, y, radius):
                continue
            self.taken.append((x, y, radius))
            return x, y
        return None

    def _is_free(self, x: float, y: float, radius: float) -> bool:
        """Whether nothing round is there, and no shaft covers more than a part."""
        if any(_distance(x, y, tx, ty) < radius + tr + 0.015 for tx, ty, tr in self.taken):
            return False
        return all(_segment_distance(x, y, tool) >= radius * 0.5 + tool.width for tool in self.instruments)


_WIDTHS = {"tube": 0.050, "biopsy forceps": 0.026, "polyp snare": 0.020, "metal clip": 0.015}


def _instrument(draw: Draw, kind: str, side: str) -> Instrument:
    along = draw.uniform(0.22, 0.78)
    depth = draw.uniform(0.20, 0.52)
    drift = draw.uniform(-0.16, 0.16)
    width = _WIDTHS[kind] * draw.uniform(0.85, 1.2)
    if kind == "metal clip":
        return _clip(draw, width)
    start, end = {
        "left": ((-0.05, along), (depth, along + drift)),
        "right": ((1.05, along), (1 - depth, along + drift)),
        "top": ((along, -0.05), (along + drift, depth)),
        "bottom": ((along, 1.05), (along + drift, 1 - depth)),
    }[side]
    return Instrument(kind, *start, *end, width)


def _clip(draw: Draw, width: float) -> Instrument:
    """A clip somewhere in the field, with any direction."""
    angle, length = draw.uniform(0, 2 * math.pi), draw.uniform(0.06, 0.10)
    x, y = draw.uniform(0.28, 0.72), draw.uniform(0.28, 0.70)
    return Instrument("metal clip", x, y, x + length * math.cos(angle), y + length * math.sin(angle), width)


# As in the real rows, tubes are most of what is seen.
_TOOL_WEIGHTS = {"tube": 0.66, "biopsy forceps": 0.15, "polyp snare": 0.11, "metal clip": 0.08}


def _instruments(draw: Draw, count: int, box: str | None) -> tuple[Instrument, ...]:
    sides = draw.sample(("right", "top", "bottom", "left") if box is None else ("right", "top"), count)
    kinds: list[str] = []
    while len(kinds) < count:
        kind = draw.weighted([(one, weight) for one, weight in _TOOL_WEIGHTS.items() if one not in kinds])
        kinds.append(kind)
    return tuple(_instrument(draw, kind, side) for kind, side in zip(kinds, sides, strict=True))


def _polyps(draw: Draw, place: _Placement) -> tuple[Polyp, ...]:
    wanted = draw.weighted(((1, 0.80), (2, 0.14), (3, 0.06)))
    # The polyps of one image share type, size and colour: the dataset's questions ask for "the polyp".
    paris = draw.weighted((("paris ip", 0.40), ("paris is", 0.36), ("paris iia", 0.24)))
    size = draw.weighted((("<5mm", 0.16), ("5-10mm", 0.32), ("11-20mm", 0.34), (">20mm", 0.18)))
    if wanted > 1 and size == ">20mm":
        size = "5-10mm"
    if wanted > 2 and size == "11-20mm":
        size = "5-10mm"
    color = draw.weighted((("pink", 0.5), ("red", 0.3), ("white", 0.2)))
    found = []
    for _ in range(wanted):
        radius = draw.uniform(*POLYP_RADII[size])
        spot = place.find(radius * 1.1, at_rim=draw.chance(0.3))
        if spot is None:
            continue
        found.append(
            Polyp(
                *spot,
                radius,
                draw.uniform(0.78, 1.0),
                draw.uniform(0, math.pi),
                paris,
                size,
                color,
                _waves(draw),
            )
        )
    return tuple(found)


def _patches(draw: Draw, place: _Placement, kind: str) -> tuple[Patch, ...]:
    radius = draw.uniform(0.15, 0.38) if kind == "ulcerative colitis" else draw.uniform(0.11, 0.24)
    for _ in range(5):
        spot = place.find(radius * 0.8, at_rim=draw.chance(0.3))
        if spot is not None:
            return (Patch(*spot, radius, draw.uniform(0.6, 1.0), draw.uniform(0, math.pi), _waves(draw)),)
        radius *= 0.75
    return ()


_STRETCH = {"bubbles": (0.7, 1.0), "fold": (0.34, 0.5), "glare": (0.4, 0.9), "stool": (0.65, 1.0), "vessels": (0.7, 1.0)}
_RADII = {
    "bubbles": (0.05, 0.11),
    "fold": (0.09, 0.17),
    "glare": (0.03, 0.08),
    "stool": (0.035, 0.11),
    "vessels": (0.10, 0.20),
}


def _distractors(draw: Draw, place: _Placement, *, gastro: bool) -> tuple[Distractor, ...]:
    """None to three look-alikes beside what is there."""
    wanted = draw.weighted(((0, 0.22), (1, 0.36), (2, 0.27), (3, 0.15)))
    kinds = [kind for kind in DISTRACTORS if kind != ("stool" if gastro else "vessels")]
    found = []
    for kind in draw.sample(kinds, wanted):
        radius = draw.uniform(*_RADII[kind])
        spot = place.find(radius, at_rim=draw.chance(0.3))
        if spot is not None:
            found.append(
                Distractor(
                    kind, *spot, radius, draw.uniform(*_STRETCH[kind]), draw.uniform(0, math.pi), _waves(draw)
                )
            )
    return tuple(found)


_LETTERS = "ABCDEFHKLMNPRST"


def _text(draw: Draw) -> str:
    kind = draw.pick(("date", "code", "clock"))
    if kind == "date":
        return f"{1 + int(draw.uniform(0, 28)):02d}.{1 + int(draw.uniform(0, 12)):02d}.20{int(draw.uniform(8, 24)):02d}"
    if kind == "clock":
        return f"{int(draw.uniform(7, 18)):02d}:{int(draw.uniform(0, 60)):02d}:{int(draw.uniform(0, 60)):02d}"
    return f"{draw.pick(_LETTERS)}{draw.pick(_LETTERS)} {int(draw.uniform(100, 1000))}"


# Groups of scenes; abnormalities are about as frequent as in the real rows.
_GROUPS = (("normal", 0.20), ("polyp", 0.29), ("ulcerative colitis", 0.20), ("oesophagitis", 0.18), ("plain", 0.13))
# Landmarks by procedure: as in the real rows the last of each is rare.
_LANDMARKS = {True: (("z-line", 0.80), ("pylorus", 0.06)), False: (("cecum", 0.13), ("ileum", 0.02))}
_LANDMARK_RADII = {"z-line": (0.14, 0.24), "pylorus": (0.10, 0.16), "cecum": (0.10, 0.16), "ileum": (0.15, 0.24)}


def _landmark(draw: Draw, place: _Placement, *, gastro: bool, beside: bool) -> Landmark | None:
    left = draw.uniform(0, 1)
    for kind, chance in _LANDMARKS[gastro]:
        left -= chance
        if left < 0:
            radius = draw.uniform(*_LANDMARK_RADII[kind])
            spot = _beside(draw, place, radius) if beside else place.find(radius * 0.95, at_rim=draw.chance(0.2))
            return None if spot is None else Landmark(kind, *spot, radius, _waves(draw))
    return None


def make_scene(split: str, number: int) -> Scene:
    """Draw scene ``number`` of a split; equal arguments give equal scenes on every machine.

    Args:
        split: ``train``, ``validation``, ``test``, or another word for scenes that are in none of them.
        number: from 0.
    """
    key = f"gi-bench phantom {PHANTOM_VERSION} {split} {number}"
    draw = Draw(key)
    group = draw.weighted(_GROUPS)
    gastro = group == "oesophagitis" or (group in {"normal", "plain"} and draw.chance(0.35))
    procedure = "gastroscopy" if gastro else "colonoscopy"
    box = draw.weighted(((None, 0.62), ("green", 0.27), ("black", 0.11))) if not gastro else None
    text = _text(draw) if draw.chance(0.72) else None
    text_right = draw.chance(0.4)
    tool_chance = {"normal": 0.0, "polyp": 0.40, "plain": 0.8}.get(group, 0.22)
    count = (2 if draw.chance(0.10) else 1) if draw.chance(tool_chance) else 0
    instruments = _instruments(draw, count, box)
    place = _Placement(draw, box, instruments)
    landmark = _landmark(draw, place, gastro=gastro, beside=group == "oesophagitis") if group != "normal" else None
    polyps = _polyps(draw, place) if group == "polyp" else ()
    patches = _patches(draw, place, group) if group in {"ulcerative colitis", "oesophagitis"} else ()
    abnormality = "polyp" if polyps else group if patches else "none"
    lumen_spot = (draw.uniform(0.3, 0.7), draw.uniform(0.3, 0.7))
    if landmark is not None:
        lumen_spot = (landmark.x, landmark.y)
    lumen = (*lumen_spot, draw.uniform(0.08, 0.14))
    return Scene(
        key=key,
        procedure=procedure,
        abnormality=abnormality,
        polyps=polyps,
        patches=patches,
        landmark=landmark,
        instruments=instruments,
        box=box,
        text=text,
        text_right=text_right,
        lumen=lumen,
        hue=draw.uniform(-1, 1),
        distractors=_distractors(draw, place, gastro=gastro),
        contrast=draw.uniform(0.35, 1.0),
        light=draw.uniform(0.72, 1.08),
        blur=draw.weighted(((0, 0.6), (2, 0.25), (6, 0.15))),
    )


def _beside(draw: Draw, place: _Placement, radius: float) -> tuple[float, float] | None:
    """A place off the centre, so that an inflamed patch fits beside the landmark."""
    angle = draw.uniform(0, 2 * math.pi)
    x, y = 0.5 + 0.17 * math.cos(angle), 0.5 + 0.17 * math.sin(angle)
    if any(_segment_distance(x, y, tool) < radius + tool.width for tool in place.instruments):
        return None
    place.taken.append((x, y, radius))
    return x, y
