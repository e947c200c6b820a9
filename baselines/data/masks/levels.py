"""Levels of noise in masks, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NoiseLevel:
    """How wrong masks are.

    Attributes:
        shift: how far a mask is moved, in radii of a disc of its area; in any direction.
        growth: by how much it grows or, as often, shrinks on all sides, in the same radii.
        swapped: share of masks that show another thing: of the same image, or where there is none, another image's.
        missing: share of masks that are not there.
    """

    shift: float
    growth: float
    swapped: float
    missing: float


LEVELS = {
    "small": NoiseLevel(shift=0.2, growth=0.1, swapped=0.02, missing=0.02),
    "medium": NoiseLevel(shift=0.5, growth=0.2, swapped=0.1, missing=0.1),
    "large": NoiseLevel(shift=1.0, growth=0.4, swapped=0.25, missing=0.25),
}
