"""Paints a phantom scene: mucosa, folds, vessels, lesions, instruments, highlights and artefacts.

The pictures are made with double-precision arithmetic and uniform random numbers only, and rounded once at the
end, so that the same scene gives the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt

from gi_bench.harness.suites.phantom import font
from gi_bench.harness.suites.phantom.scene import FIELD_RADIUS, Distractor, Instrument, Landmark, Polyp, Scene
from gi_bench.harness.suites.phantom.shapes import (
    Mask,
    Plane,
    axes,
    box_mask,
    distractor_relative,
    field_mask,
    instrument_shape,
    landmark_relative,
    patch_relative,
    polyp_shape,
)

IMAGE_SIZE = 256

_COLON = (206.0, 128.0, 112.0)
_STOMACH = (214.0, 118.0, 82.0)
_SALMON = (196.0, 80.0, 60.0)
_PALE = (232.0, 172.0, 152.0)
_POLYP_TINT = {"pink": (230.0, 142.0, 136.0), "red": (184.0, 66.0, 60.0), "white": (226.0, 202.0, 184.0)}


# Rows and columns of a picture.
Window = tuple[slice, slice]


def _window(cx: float, cy: float, reach: float, size: int) -> Window:
    """The pixels within ``reach`` of a point along both axes, with one to spare."""

    def along(centre: float) -> slice:
        low, high = math.floor((centre - reach) * size) - 1, math.ceil((centre + reach) * size) + 1
        return slice(min(max(low, 0), size), min(max(high, 0), size))

    return along(cy), along(cx)


class _Noise:
    """Smooth random fields: a coarse grid of uniform numbers, interpolated."""

    def __init__(self, key: str, size: int) -> None:
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._size = size

    def field(self, cells: int, window: Window = (slice(None), slice(None))) -> Plane:
        """A field in [-1, 1] with ``cells`` bumps along a side of the picture, of the shape of the window."""
        grid = self._random.random((cells + 2, cells + 2)) * 2 - 1
        at = (np.arange(self._size, dtype=np.float64) + 0.5) / self._size * cells
        low = at.astype(np.int64)
        t = at - low
        t = t * t * (3 - 2 * t)
        down, right = low[window[0]], low[window[1]]
        v, h = t[window[0]][:, None], t[window[1]][None, :]
        rows = grid[down] * (1 - v) + grid[down + 1] * v
        return np.asarray(rows[:, right] * (1 - h) + rows[:, right + 1] * h)

    def points(self, count: int) -> npt.NDArray[np.float64]:
        """``count`` points of the unit square with a third uniform number each, shape (count, 3)."""
        return self._random.random((count, 3))


def _mix(image: Plane, color: tuple[float, float, float] | Plane, weight: Plane) -> None:
    """Blend a colour into the image in place; weight has shape (size, size) and values in [0, 1]."""
    image += (np.asarray(color, dtype=np.float64) - image) * weight[..., None]


def _smooth(edge: Plane, softness: float) -> Plane:
    """1 well inside (edge < 1), 0 outside, with a soft border."""
    t = np.clip((1 - edge) / softness, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _mucosa(scene: Scene, noise: _Noise, x: Plane, y: Plane) -> Plane:
    gastro = scene.procedure == "gastroscopy"
    base = np.array(_STOMACH if gastro else _COLON) + scene.hue * np.array((8.0, 10.0, 8.0))
    size = x.shape[1]
    image = np.empty((size, size, 3))
    image[:] = base
    broad, middle, fine = noise.field(4), noise.field(11), noise.field(64)
    image += broad[..., None] * np.array((16.0, 18.0, 15.0))
    image += middle[..., None] * np.array((5.0, 8.0, 8.0))
    image += fine[..., None] * np.array((4.0, 4.5, 4.5))
    lx, ly, radius = scene.lumen
    distance = np.sqrt((x - lx) ** 2 + (y - ly) ** 2) + 0.03 * broad
    if gastro:
        _mix(image, (170.0, 74.0, 50.0), 0.30 * np.clip(noise.field(7) * 1.6, 0, 1))
        # Folds run towards the lumen: bands of the direction seen from it.
        dx, dy = (x - lx) / np.maximum(distance, 0.02), (y - ly) / np.maximum(distance, 0.02)
        c2, s2 = dx * dx - dy * dy, 2 * dx * dy
        bands = c2 * c2 - s2 * s2 + 0.6 * middle
        image += (np.clip(bands, -1, 1) * np.clip(distance * 3, 0, 1))[..., None] * np.array((15.0, 12.0, 9.0))
    else:
        vessels = np.abs(noise.field(9) + 0.35 * noise.field(21))
        _mix(image, (150.0, 48.0, 52.0), 0.45 * np.clip(1 - vessels / 0.055, 0, 1))
        # Haustral folds: rings around the lumen, bright on one flank and dark on the other.
        ring = (distance - radius) / 0.17
        phase = ring - np.floor(ring)
        ridge = np.where(ring > 0.4, 1 - np.abs(phase - 0.5) * 4, -1)
        image += np.clip(ridge, -0.15, 1)[..., None] * np.array((22.0, 17.0, 15.0))
        _mix(image, (110.0, 44.0, 40.0), 0.35 * np.clip(1 - np.abs(phase - 0.86) * 9, 0, 1) * (ring > 0.4))
    if scene.landmark is None:
        _mix(image, (28.0, 8.0, 8.0), 0.92 * _smooth(distance / radius, 0.75))
    return image


def _paint_landmark(picture: Plane, landmark: Landmark, noise: _Noise, x: Plane, y: Plane, contrast: float) -> None:
    # The pale border of a z-line reaches furthest.
    window = _window(landmark.x, landmark.y, 2.4 * landmark.radius, len(picture))
    image, x, y = picture[window], x[:, window[1]], y[window[0]]
    relative = landmark_relative(landmark, x, y)
    inside = _smooth(relative, 0.07)
    strength = 0.45 + 0.55 * contrast
    if landmark.kind == "z-line":
        _mix(image, _PALE, 0.75 * strength * np.clip(1.9 - relative, 0, 1) * (relative >= 1))
        _mix(image, _SALMON, 0.95 * strength * inside)
        _mix(image, (235.0, 205.0, 190.0), 0.8 * strength * np.clip(1 - np.abs(relative - 1.0) / 0.06, 0, 1))
        _mix(image, (30.0, 8.0, 8.0), 0.95 * _smooth(relative / 0.42, 0.6))
    elif landmark.kind == "pylorus":
        # A smooth thick ring around a round opening.
        _mix(image, (226.0, 138.0, 104.0), 0.85 * strength * inside)
        _mix(image, (244.0, 178.0, 146.0), 0.7 * strength * np.clip(1 - np.abs(relative - 0.72) / 0.16, 0, 1))
        _mix(image, (134.0, 62.0, 46.0), 0.6 * strength * np.clip(1 - np.abs(relative - 1.0) / 0.09, 0, 1))
        _mix(image, (22.0, 6.0, 6.0), 0.96 * _smooth(relative / 0.40, 0.35))
    elif landmark.kind == "ileum":
        # Villi: fine bright bumps on yellowish mucosa, without vessels.
        villi = noise.field(72, window)
        _mix(image, (224.0, 172.0, 118.0), 0.85 * strength * inside)
        image += (strength * inside * villi)[..., None] * np.array((22.0, 20.0, 16.0))
        _mix(image, (40.0, 14.0, 10.0), 0.8 * _smooth(relative / 0.34, 0.8))
    else:
        _paint_cecum(image, landmark, relative, x, y, strength)


def _paint_cecum(image: Plane, landmark: Landmark, relative: Plane, x: Plane, y: Plane, strength: float) -> None:
    inside = _smooth(relative, 0.07)
    _mix(image, (222.0, 150.0, 118.0), 0.85 * strength * inside)
    _mix(image, (150.0, 78.0, 66.0), 0.9 * strength * np.clip(1 - np.abs(relative - 1.0) / 0.10, 0, 1))
    # Three folds meet at the orifice.
    r = np.maximum(np.sqrt((x - landmark.x) ** 2 + (y - landmark.y) ** 2), 1e-6)
    c, s = (x - landmark.x) / r, (y - landmark.y) / r
    c3 = c * (4 * c * c - 3)
    s3 = s * (3 - 4 * s * s)
    turn = landmark.waves[0]
    folds = c3 * np.cos(turn) + s3 * np.sin(turn)
    _mix(image, (176.0, 98.0, 80.0), 0.8 * strength * inside * np.clip((folds - 0.72) / 0.2, 0, 1))
    crescent = np.sqrt(((x - landmark.x) / 0.34) ** 2 + ((y - landmark.y) / 0.20) ** 2) / landmark.radius
    _mix(image, (36.0, 10.0, 10.0), 0.95 * _smooth(crescent, 0.5))


def _paint_patches(picture: Plane, scene: Scene, noise: _Noise, across: Plane, down: Plane) -> None:
    strength = 0.35 + 0.65 * scene.contrast
    for patch in scene.patches:
        window = _window(patch.x, patch.y, 1.5 * patch.radius, len(picture))
        image, x, y = picture[window], across[:, window[1]], down[window[0]]
        granular, spots = noise.field(44, window), noise.field(24, window)
        relative = patch_relative(patch, x, y)
        inside = strength * _smooth(relative, 0.22)
        if scene.abnormality == "ulcerative colitis":
            _mix(image, (184.0, 52.0, 50.0), 0.78 * inside)
            image += (inside * granular)[..., None] * np.array((26.0, 20.0, 18.0))
            _mix(image, (238.0, 226.0, 176.0), inside * np.clip((spots - 0.42) / 0.12, 0, 1) * 0.95)
        else:
            # Erosions: streaks along one axis of the patch.
            turn = patch.angle
            aside = (x - patch.x) * -math.sin(turn) + (y - patch.y) * math.cos(turn)
            wave = np.abs(aside / patch.radius * 2.6 + 0.25 * spots)
            streak = np.clip(1.25 - np.abs(wave - np.floor(wave) - 0.5) * 3.6, 0, 1)
            _mix(image, (158.0, 26.0, 30.0), inside * (0.30 + 0.6 * streak))
            _mix(image, (240.0, 214.0, 190.0), 0.6 * inside * np.clip((streak - 0.86) / 0.1, 0, 1))


def _dome(image: Plane, light: Plane, color: Plane, weight: Plane) -> None:
    """A lit surface in place of what is there."""
    _mix(image, color * light[..., None], weight)


def _paint_polyp(picture: Plane, polyp: Polyp, noise: _Noise, x: Plane, y: Plane, contrast: float) -> None:
    window = _window(polyp.x, polyp.y, 2.0 * polyp.radius, len(picture))
    image, x, y = picture[window], x[:, window[1]], y[window[0]]
    shape = polyp_shape(polyp, x, y)
    # A pale polyp has the colour of the mucosa around it: only its relief tells.
    around = np.floor(image[shape.head].mean(axis=0)) if shape.head.any() else np.array(_COLON)
    tint = around + (np.array(_POLYP_TINT[polyp.color]) - around) * (0.30 + 0.70 * contrast)
    texture = noise.field(52, window)[..., None] * np.array((7.0, 7.0, 7.0))
    relief = 0.45 + 0.55 * contrast
    flat = polyp.paris == "paris iia"
    if not flat:
        # A soft shadow on the side away from the light, which comes from the upper left.
        shifted = np.sqrt((x - polyp.x - 0.25 * polyp.radius) ** 2 + (y - polyp.y - 0.3 * polyp.radius) ** 2)
        _mix(image, (60.0, 20.0, 20.0), 0.55 * relief * _smooth(shifted / (1.22 * polyp.radius), 0.55))
    if shape.stalk.any():
        # A stalk is round, too, and sinks into the mucosa at its foot.
        dx, dy = polyp.x - 0.5, polyp.y - 0.5
        length = max(float(np.sqrt(dx * dx + dy * dy)), 1e-6)
        along = ((x - polyp.x) * dx + (y - polyp.y) * dy) / length / polyp.radius
        across = ((x - polyp.x) * -dy + (y - polyp.y) * dx) / length / (0.30 * polyp.radius)
        light = np.clip(1.0 - 0.45 * across * across, 0.3, 1.0) * np.clip(1.05 - 0.22 * along, 0.5, 1.0)
        foot = np.clip((1.5 - along) / 0.35, 0, 1)
        _dome(image, light, tint * 0.86, shape.stalk * (0.35 + 0.6 * foot))
    weight = _smooth(shape.relative, 0.07)
    if flat:
        _mix(image, tint + texture, 0.80 * weight)
        image += (weight * noise.field(30, window))[..., None] * np.array((14.0, 12.0, 12.0))
        rim = np.clip(1 - np.abs(shape.relative - 0.97) / 0.08, 0, 1)
        _mix(image, (140.0, 62.0, 58.0), 0.55 * relief * rim)
        return
    height = np.sqrt(np.clip(1 - shape.relative**2, 0, 1))
    nx, ny = (x - polyp.x) / polyp.radius, (y - polyp.y) / polyp.radius
    light = np.clip(1.0 + relief * (-0.38 + 0.46 * height - 0.26 * nx - 0.30 * ny), 0.35, 1.18)
    _dome(image, light, tint + texture, weight)
    glint = np.sqrt((nx + 0.34) ** 2 + (ny + 0.38) ** 2)
    _mix(image, (255.0, 252.0, 248.0), 0.95 * relief * _smooth(glint / 0.20, 0.7) * weight)


def _paint_distractor(picture: Plane, one: Distractor, noise: _Noise, x: Plane, y: Plane) -> None:
    """What may be taken for a finding: like a polyp or an inflammation in some ways, and unlike in one that tells."""
    window = _window(one.x, one.y, 1.7 * one.radius, len(picture))
    image, x, y = picture[window], x[:, window[1]], y[window[0]]
    relative = distractor_relative(one, x, y)
    inside = _smooth(relative, 0.10)
    nx, ny = (x - one.x) / one.radius, (y - one.y) / one.radius
    if one.kind == "stool":
        # A dome without gloss, yellow-brown and crumbly.
        height = np.sqrt(np.clip(1 - relative**2, 0, 1))
        light = np.clip(0.70 + 0.34 * height - 0.16 * nx - 0.18 * ny, 0.45, 1.1)
        crumbs = noise.field(60, window)[..., None] * np.array((20.0, 18.0, 10.0))
        _dome(image, light, np.array((170.0, 116.0, 68.0)) + crumbs, 0.94 * inside)
    elif one.kind == "fold":
        # The end of a fold: long, lit like a polyp, but of the mucosa's own colour and without a border.
        height = np.sqrt(np.clip(1 - relative**2, 0, 1))
        light = np.clip(0.82 + 0.46 * height - 0.20 * nx - 0.24 * ny, 0.6, 1.3)
        soft = _smooth(relative, 0.45)
        image *= (1 + (light - 1) * soft)[..., None]
    elif one.kind == "glare":
        # Light thrown back by wet mucosa: flat white with a ragged border.
        _mix(image, (255.0, 253.0, 250.0), 0.97 * _smooth(relative + 0.25 * noise.field(40, window), 0.30))
    elif one.kind == "bubbles":
        _paint_bubbles(image, one, noise, x, y)
    else:
        # Thin branching vessels: red lines as in an erosion, but curved, without a pale border.
        lines = np.abs(noise.field(13, window) + 0.4 * noise.field(29, window))
        _mix(image, (160.0, 30.0, 34.0), 0.85 * inside * np.clip(1 - lines / 0.085, 0, 1))
        _mix(image, (196.0, 84.0, 70.0), 0.25 * inside)


def _paint_bubbles(image: Plane, one: Distractor, noise: _Noise, x: Plane, y: Plane) -> None:
    """Foam: see-through rounds with a bright rim and a glint each."""
    for px, py, size in noise.points(7):
        radius = one.radius * (0.22 + 0.30 * size)
        cx, cy = one.x + (px - 0.5) * 1.3 * one.radius, one.y + (py - 0.5) * 1.3 * one.radius
        r = np.sqrt((x - cx) ** 2 + (y - cy) ** 2) / radius
        _mix(image, (236.0, 214.0, 196.0), 0.30 * _smooth(r, 0.2))
        _mix(image, (255.0, 246.0, 236.0), 0.75 * np.clip(1 - np.abs(r - 0.92) / 0.14, 0, 1))
        glint = np.sqrt((x - cx + 0.3 * radius) ** 2 + (y - cy + 0.35 * radius) ** 2) / (0.26 * radius)
        _mix(image, (255.0, 255.0, 252.0), 0.95 * _smooth(glint, 0.6))


def _paint_instrument(image: Plane, tool: Instrument, x: Plane, y: Plane) -> None:
    shape = instrument_shape(tool, x, y)
    body: dict[str, tuple[float, float, float]] = {
        "tube": (52.0, 66.0, 96.0),
        "biopsy forceps": (176.0, 180.0, 186.0),
        "polyp snare": (222.0, 220.0, 206.0),
        "metal clip": (204.0, 206.0, 196.0),
    }
    shine = np.clip(1.08 - 0.75 * np.abs(shape.across + 0.25), 0.35, 1.15)
    color = np.array(body[tool.kind]) * np.where(shape.tip, 1.0, shine)[..., None]
    if tool.kind == "tube":
        along = (x - tool.x0) ** 2 + (y - tool.y0) ** 2
        bands = np.sqrt(along) * 14
        color = color + ((bands - np.floor(bands)) < 0.16)[..., None] * 120.0
    _mix(image, color, shape.mask.astype(np.float64))


def _highlights(image: Plane, noise: _Noise, x: Plane, y: Plane, keep_out: Mask) -> None:
    """Wet mucosa: small bright spots, more of them near the light."""
    spots = np.zeros(image.shape[:2])
    for px, py, r in noise.points(22):
        size = 0.0035 + 0.009 * r * r
        cx, cy = 0.12 + 0.76 * px, 0.12 + 0.76 * py
        down, across = window = _window(cx, cy, 2.6 * size, len(image))
        dx, dy = (x[:, across] - cx) / size, (y[down] - cy) / (size * (0.5 + r))
        spots[window] = np.maximum(spots[window], np.clip(1.7 - np.sqrt(dx * dx + dy * dy), 0, 1))
    _mix(image, (255.0, 250.0, 244.0), 0.9 * spots * ~keep_out)


def _blurred(image: Plane, passes: int) -> Plane:
    """Smoothed by a small binomial filter, so often along both axes; the border repeats."""
    for _ in range(passes):
        for axis in (0, 1):
            padded = np.pad(image, [(1, 1) if i == axis else (0, 0) for i in range(3)], mode="edge")
            low = [slice(None)] * 3
            high = [slice(None)] * 3
            low[axis], high[axis] = slice(0, -2), slice(2, None)
            image = 0.5 * image + 0.25 * (padded[tuple(low)] + padded[tuple(high)])
    return image


def render(scene: Scene, size: int = IMAGE_SIZE) -> npt.NDArray[np.uint8]:
    """Paint a scene as RGB of shape (size, size, 3)."""
    x, y = axes(size)
    noise = _Noise(scene.key, size)
    image = _mucosa(scene, noise, x, y)
    if scene.landmark is not None:
        _paint_landmark(image, scene.landmark, noise, x, y, scene.contrast)
    for distractor in scene.distractors:
        _paint_distractor(image, distractor, noise, x, y)
    _paint_patches(image, scene, noise, x, y)
    for polyp in scene.polyps:
        _paint_polyp(image, polyp, noise, x, y, scene.contrast)
    tools = np.zeros((size, size), dtype=bool)
    for tool in scene.instruments:
        tools |= instrument_shape(tool, x, y).mask
    _highlights(image, noise, x, y, tools)
    for tool in scene.instruments:
        _paint_instrument(image, tool, x, y)
    image = _blurred(image, scene.blur)
    # Light falls off towards the rim of the field; outside there is the black of the scope's frame.
    distance2 = (x - 0.48) ** 2 + (y - 0.46) ** 2
    image *= (scene.light * np.clip(1.12 - 1.55 * distance2, 0.25, 1.1))[..., None]
    rim = np.sqrt((x - 0.5) ** 2 + (y - 0.5) ** 2) / FIELD_RADIUS
    image *= (_smooth(rim, 0.03) * field_mask(x, y))[..., None]
    image += (noise.field(size)[..., None]) * np.array((2.0, 2.0, 2.0))
    if scene.box is not None:
        _paint_box(image, scene.box, box_mask(x, y), x, y)
    pixels = np.floor(np.clip(image, 0, 255) + 0.5).astype(np.uint8)
    if scene.text is not None:
        font.burn_in(pixels, scene.text, right=scene.text_right)
    return pixels


def _paint_box(image: Plane, kind: str, where: Mask, x: Plane, y: Plane) -> None:
    """The position display of an endoscope (green, with the outline of the tube) or a masked corner (black)."""
    image[where] = (0.0, 189.0, 145.0) if kind == "green" else (4.0, 4.0, 4.0)
    u, v = (x - 0.125) / 0.11, (y - 0.8875) / 0.0975
    loop = np.abs(np.sqrt(u * u + (v / 1.1) ** 2) - 0.55)
    line = (loop < 0.09) & where & ((u < 0.25) | (v > -0.1))
    image[line] = (225.0, 225.0, 120.0) if kind == "green" else (96.0, 96.0, 96.0)
