"""The exact shapes of a scene's objects, as masks of any size.

The renderer paints these shapes and the reference regions are cut from them, so that a region is exact by
construction: what an instrument, a box artefact or the edge of the field covers does not belong to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gi_bench.harness.suites.phantom.scene import (
    FIELD_RADIUS,
    Distractor,
    Instrument,
    Landmark,
    Patch,
    Polyp,
    Scene,
)

Plane = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

BOX = (0.015, 0.79, 0.235, 0.985)  # x1, y1, x2, y2 of the box artefact


def axes(size: int) -> tuple[Plane, Plane]:
    """Pixel centres as fractions: x of shape (1, size) and y of shape (size, 1)."""
    centres = (np.arange(size, dtype=np.float64) + 0.5) / size
    return centres[None, :], centres[:, None]


def polar(x: Plane, y: Plane, cx: float, cy: float, angle: float, stretch: float) -> tuple[Plane, Plane, Plane, Plane]:
    """Coordinates of an ellipse: distance to its centre, cosine and sine of the direction, and depth axis."""
    c, s = math.cos(angle), math.sin(angle)
    u = (x - cx) * c + (y - cy) * s
    v = (-(x - cx) * s + (y - cy) * c) / stretch
    r = np.sqrt(u * u + v * v)
    safe = np.maximum(r, 1e-9)
    return r, u / safe, v / safe, v


def uneven(cosine: Plane, sine: Plane, waves: tuple[float, float, float], amount: float) -> Plane:
    """Radius factor of an uneven outline: three waves around the centre, without any trigonometry per pixel.

    cos(k t + p) follows from cos t and sin t by the multiple-angle formulas.
    """
    c2, s2 = cosine * cosine - sine * sine, 2 * sine * cosine
    c3, s3 = c2 * cosine - s2 * sine, s2 * cosine + c2 * sine
    c5, s5 = c3 * c2 - s3 * s2, s3 * c2 + c3 * s2
    total = np.zeros_like(c2)
    for (c, s), phase, weight in zip(((c2, s2), (c3, s3), (c5, s5)), waves, (0.45, 0.35, 0.2), strict=True):
        total = total + weight * (c * math.cos(phase) - s * math.sin(phase))
    return 1 + amount * total


@dataclass(frozen=True)
class PolypShape:
    """A polyp on a grid: relative distance of the head (below 1 is inside) and the mask of head and stalk."""

    relative: Plane
    head: Mask
    stalk: Mask


def polyp_shape(polyp: Polyp, x: Plane, y: Plane) -> PolypShape:
    """Shape of a polyp; only ``paris ip`` has a stalk, which points away from the image's centre."""
    amount = {"paris ip": 0.10, "paris is": 0.12, "paris iia": 0.30}[polyp.paris]
    r, c, s, _ = polar(x, y, polyp.x, polyp.y, polyp.angle, polyp.stretch)
    head_radius = polyp.radius * (0.86 if polyp.paris == "paris ip" else 1.0)
    relative = r / (head_radius * uneven(c, s, polyp.waves, amount))
    head = relative < 1
    stalk = np.zeros_like(head)
    if polyp.paris == "paris ip":
        dx, dy = polyp.x - 0.5, polyp.y - 0.5
        length = max(math.sqrt(dx * dx + dy * dy), 1e-6)
        dx, dy = dx / length, dy / length
        along = (x - polyp.x) * dx + (y - polyp.y) * dy
        across = np.abs((x - polyp.x) * -dy + (y - polyp.y) * dx)
        inside = (along > 0) & (along < 1.5 * polyp.radius)
        stalk = inside & (across < 0.30 * polyp.radius) & ~head
    return PolypShape(relative, head, stalk)


def patch_relative(patch: Patch, x: Plane, y: Plane) -> Plane:
    """Relative distance of an inflamed patch; below 1 is inside."""
    r, c, s, _ = polar(x, y, patch.x, patch.y, patch.angle, patch.stretch)
    return np.asarray(r / (patch.radius * uneven(c, s, patch.waves, 0.28)))


def landmark_relative(landmark: Landmark, x: Plane, y: Plane) -> Plane:
    """Relative distance of a landmark; below 1 is inside."""
    r, c, s, _ = polar(x, y, landmark.x, landmark.y, 0.0, 1.0)
    amount = {"z-line": 0.22, "cecum": 0.10, "pylorus": 0.05, "ileum": 0.24}[landmark.kind]
    return np.asarray(r / (landmark.radius * uneven(c, s, landmark.waves, amount)))


@dataclass(frozen=True)
class ToolShape:
    """An instrument on a grid: its mask, the signed distance across its shaft and whether a pixel is tip."""

    mask: Mask
    across: Plane
    tip: Mask


def instrument_shape(tool: Instrument, x: Plane, y: Plane) -> ToolShape:
    """Shape of an instrument: a shaft, and for forceps two jaws, for a snare a wire loop at the tip.

    A metal clip is two prongs that meet at its first point.
    """
    dx, dy = tool.x1 - tool.x0, tool.y1 - tool.y0
    length = math.sqrt(dx * dx + dy * dy)
    dx, dy = dx / length, dy / length
    along = (x - tool.x0) * dx + (y - tool.y0) * dy
    across = -(x - tool.x0) * dy + (y - tool.y0) * dx
    shaft = (along > 0) & (along < length) & (np.abs(across) < tool.width)
    if tool.kind == "metal clip":
        spread = 0.45 * tool.width + 0.22 * along
        prongs = (along > 0) & (along < length) & (np.abs(np.abs(across) - spread) < 0.011)
        hinge = along * along + across * across < (1.1 * tool.width) ** 2
        return ToolShape(prongs | hinge, across / tool.width, prongs)
    tip = np.zeros_like(shaft)
    ahead = along - length
    if tool.kind == "tube":
        tip = (ahead >= 0) & (ahead * ahead + across * across < tool.width**2)
    elif tool.kind == "biopsy forceps":
        reach = 0.105
        inside = (ahead >= 0) & (ahead < reach)
        spread = 0.006 + 0.42 * ahead * (1.25 - ahead / reach)
        tip = inside & (np.abs(np.abs(across) - spread) < 0.014)
    else:
        loop = np.sqrt(((ahead - 0.10) / 0.10) ** 2 + (across / 0.062) ** 2)
        tip = np.abs(loop - 1) < 0.13
    return ToolShape(shaft | tip, across / tool.width, tip)


def distractor_relative(distractor: Distractor, x: Plane, y: Plane) -> Plane:
    """Relative distance of a look-alike; below 1 is inside."""
    r, c, s, _ = polar(x, y, distractor.x, distractor.y, distractor.angle, distractor.stretch)
    amount = {"bubbles": 0.12, "fold": 0.10, "glare": 0.30, "stool": 0.26, "vessels": 0.25}[distractor.kind]
    return np.asarray(r / (distractor.radius * uneven(c, s, distractor.waves, amount)))


def field_mask(x: Plane, y: Plane) -> Mask:
    """The visible field: a disc cut off by the image's edges."""
    return np.asarray((x - 0.5) ** 2 + (y - 0.5) ** 2 < FIELD_RADIUS**2)


def box_mask(x: Plane, y: Plane) -> Mask:
    """Where the box artefact lies if there is one."""
    return np.asarray((x > BOX[0]) & (x < BOX[2]) & (y > BOX[1]) & (y < BOX[3]))


def region_masks(scene: Scene, size: int) -> dict[str, Mask]:
    """Exact visible masks by label, each of shape (size, size); labels of absent things are missing.

    Labels: ``polyp``, ``ulcerative colitis``, ``oesophagitis``, ``z-line``, ``pylorus``, ``cecum``,
    ``ileum``, ``instrument``.
    """
    x, y = axes(size)
    visible = field_mask(x, y)
    if scene.box is not None:
        visible = visible & ~box_mask(x, y)

    def drawn(one: _Round, inside: Callable[[Plane, Plane], Mask]) -> Mask:
        """A round object on the whole grid, computed where it can lie: each pixel's value rests on its place alone."""
        mask = np.zeros((size, size), dtype=bool)
        columns, rows = _near(one.x, one.radius, size), _near(one.y, one.radius, size)
        mask[rows, columns] = inside(x[:, columns], y[rows])
        return mask

    found: dict[str, Mask] = {}
    if scene.instruments:
        tools = np.zeros((size, size), dtype=bool)
        for tool in scene.instruments:
            tools |= instrument_shape(tool, x, y).mask
        found["instrument"] = tools & visible
        visible = visible & ~tools
    if scene.polyps:
        polyps = np.zeros((size, size), dtype=bool)
        for polyp in scene.polyps:
            polyps |= drawn(polyp, partial(_polyp_mask, polyp))
        found["polyp"] = polyps & visible
    if scene.patches:
        patches = np.zeros((size, size), dtype=bool)
        for patch in scene.patches:
            patches |= drawn(patch, partial(_patch_mask, patch))
        found[scene.abnormality] = patches & visible
    if scene.landmark is not None:
        found[scene.landmark.kind] = drawn(scene.landmark, partial(_landmark_mask, scene.landmark)) & visible
    return found


# The widest outline is 1.3 times the radius, a stalk reaches 1.5 times the radius from the centre and is .3 wide.
_REACH = 1.6


class _Round(Protocol):
    """A polyp, a patch or a landmark."""

    @property
    def x(self) -> float: ...

    @property
    def y(self) -> float: ...

    @property
    def radius(self) -> float: ...


def _near(centre: float, radius: float, size: int) -> slice:
    """Pixels along one axis that an object around ``centre`` can cover, with one to spare at either end."""
    low, high = (centre - _REACH * radius) * size, (centre + _REACH * radius) * size
    return slice(max(0, math.floor(low) - 1), max(0, math.ceil(high) + 1))


def _polyp_mask(polyp: Polyp, x: Plane, y: Plane) -> Mask:
    shape = polyp_shape(polyp, x, y)
    return shape.head | shape.stalk


def _patch_mask(patch: Patch, x: Plane, y: Plane) -> Mask:
    return patch_relative(patch, x, y) < 1


def _landmark_mask(landmark: Landmark, x: Plane, y: Plane) -> Mask:
    return landmark_relative(landmark, x, y) < 1


def grid_cells(mask: Mask) -> tuple[int, ...]:
    """Cells of the 3 x 3 grid, row by row, that hold at least a fifth of the mask (else the fullest one)."""
    size = mask.shape[0]
    edges = [0, size // 3, 2 * size // 3, size]
    shares = [
        int(mask[edges[row] : edges[row + 1], edges[col] : edges[col + 1]].sum())
        for row in range(3)
        for col in range(3)
    ]
    total = max(1, sum(shares))
    cells = tuple(i for i, share in enumerate(shares) if share * 5 >= total)
    return cells or (shares.index(max(shares)),)
