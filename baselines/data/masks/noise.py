"""Masks that are wrong on purpose, by named levels: what noisy annotation does to a training can then be measured.

Pseudo-masks are wrong in three ways at once: they lie beside the thing, they are too large or too small, and some show
another thing or are missing. A level says how much of each. The draws of a mask are the same at every level, so that
what is missing at one is missing at all above it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np

from gi_bench.baselines.data.masks.levels import LEVELS, NoiseLevel
from gi_bench.baselines.data.masks.making import Made, reference_masks
from gi_bench.baselines.data.masks.morphology import dilated, eroded
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.regions import Mask, united
from gi_bench.harness.schema import Region
from gi_bench.harness.suites.base import Suite


def level_of(name: str) -> NoiseLevel:
    """A level by name.

    Raises:
        GiBenchError: there is no such level.
    """
    if name not in LEVELS:
        raise GiBenchError("unknown level of noise", where=name, do=f"use one of {', '.join(LEVELS)}")
    return LEVELS[name]


def noisy_masks(suite: Suite, name: str, seed: int) -> Iterator[Made]:
    """The suite's own masks with the noise of a level; those that are missing are left out.

    Args:
        suite: has reference masks.
        name: of the level.
        seed: of the draws; they depend on image and label, and on no other mask.

    Raises:
        GiBenchError: there is no such level.
    """
    level = level_of(name)
    clean = list(reference_masks(suite))
    for number, made in enumerate(clean):
        region = made.region
        # Four numbers whatever the level: which draw is whose does not change with it.
        key = hashlib.sha256(f"{seed}\0{made.img_id}\0{region.label}".encode()).digest()
        lost, taken, turn, sign = np.random.default_rng(list(key)).random(4)
        if lost < level.missing:
            continue
        mask = region.mask()
        if taken < level.swapped:
            mask = _other(clean, number, float(turn), mask)
        mask = moved(mask, level.shift, float(turn) * 2 * np.pi)
        mask = resized(mask, level.growth if sign < 0.5 else -level.growth)
        details = json.dumps({"level": name, "seed": seed, **asdict(level)})
        yield Made(made.img_id, Region.from_mask(region.label, mask), "noise", "", details)


def _other(clean: Sequence[Made], number: int, chosen: float, mask: Mask) -> Mask:
    """The mask of another thing in the same image, else of the same label in another one; itself if it is the only."""
    own = clean[number]
    here = [one for one in clean if one.img_id == own.img_id and one.region.label != own.region.label]
    there = [one for one in clean if one.img_id != own.img_id and one.region.label == own.region.label]
    among = here or there
    if not among:
        return mask
    donor = among[int(chosen * len(among))]
    found = united([donor.region], *mask.shape)
    return found if found.any() else mask


def radius_of(mask: Mask) -> float:
    """Radius of a disc of the mask's area, in pixels."""
    return float(np.sqrt(mask.sum() / np.pi))


def moved(mask: Mask, radii: float, angle: float) -> Mask:
    """The mask moved by so many of its radii; what would leave the picture altogether stays at its edge.

    >>> moved(np.eye(4, dtype=bool)[:1], 0.0, 0.0).astype(int).tolist()
    [[1, 0, 0, 0]]
    """
    length = radii * radius_of(mask)
    rows, columns = np.nonzero(mask)
    down = _kept_inside(round(length * np.sin(angle)), rows, mask.shape[0])
    right = _kept_inside(round(length * np.cos(angle)), columns, mask.shape[1])
    rows, columns = rows + down, columns + right
    inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
    found = np.zeros_like(mask)
    found[rows[inside], columns[inside]] = True
    return found if found.any() else mask


def _kept_inside(shift: int, places: np.ndarray, size: int) -> int:  # type: ignore[type-arg]
    """A shift after which the middle of the places still lies in the picture."""
    middle = int(np.median(places))
    return min(max(shift, -middle), size - 1 - middle)


def resized(mask: Mask, radii: float) -> Mask:
    """The mask grown by so many of its radii on all sides, or shrunk where they are negative; never to nothing."""
    pixels = round(abs(radii) * radius_of(mask))
    if not pixels:
        return mask
    found = dilated(mask, pixels) if radii > 0 else eroded(mask, pixels)
    return found if found.any() else mask
