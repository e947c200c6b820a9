"""What the tiny backbone is schooled on: tasks of Florence-2's own pre-training, about scenes that are in no split.

First captions, detection, the outline and the kind of a boxed region, and words to repeat; then what looks like
something is asked for: how many, how large, of what tint, where, and its outline. Things are named by how they look and
placed in other words than the suite's; none of the prompts is one of the three tasks'. The suite's words are learnt as
words, in lists without any tie to a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gi_bench.baselines.florence2 import locations, prompts
from gi_bench.baselines.florence2.locations import TINY_STYLE
from gi_bench.baselines.training.mixture import Batch, Row
from gi_bench.baselines.training.rows import Examples
from gi_bench.harness.suites.phantom.scene import Scene
from gi_bench.harness.suites.phantom.shapes import (
    axes,
    distractor_relative,
    field_mask,
    grid_cells,
    region_masks,
)

if TYPE_CHECKING:
    from gi_bench.harness.suites.phantom.suite import PhantomSuite

# Prompts of Florence-2's pre-training, as its processor writes them; a box follows the last two as location tokens.
DETAIL_PROMPT = "Describe in detail what is shown in the image."
CATEGORY_PROMPT = "What is the region "
OUTLINE_PROMPT = "What is the polygon mask of region "
WORDS_PROMPT = "Repeat the words: "

_POLYPS = {"paris ip": "knob on a stem", "paris is": "dome", "paris iia": "low plate"}
_PATCHES = {"ulcerative colitis": "speckled blot", "oesophagitis": "striped blot"}
_LANDMARKS = {
    "z-line": "jagged ring",
    "pylorus": "smooth ring",
    "cecum": "slit with three ribs",
    "ileum": "grainy velvet",
}
_DISTRACTORS = {
    "bubbles": "foam rings",
    "fold": "soft ridge",
    "glare": "white flash",
    "stool": "crumbly dome",
    "vessels": "branching threads",
}
_TOOLS = {
    "biopsy forceps": "open jaws",
    "metal clip": "bright pin",
    "polyp snare": "wire loop",
    "tube": "banded rod",
}
LOOKS = (
    *_POLYPS.values(),
    *_PATCHES.values(),
    *_LANDMARKS.values(),
    *_DISTRACTORS.values(),
    *_TOOLS.values(),
)
_PLACES = tuple(f"{row} {column}" for row in ("top", "middle", "bottom") for column in ("left", "centre", "right"))
_LARGENESS = ((0.004, "tiny"), (0.015, "small"), (0.05, "large"), (1.0, "huge"))
_MASK_SIDE = 128


@dataclass(frozen=True)
class Thing:
    """One thing in a scene: how it looks, its colour where it has one of its own, and where it is visible."""

    look: str
    color: str
    mask: npt.NDArray[np.bool_]


def things(scene: Scene, size: int = _MASK_SIDE) -> list[Thing]:
    """Everything that is visible in a scene, one by one, each mask of shape (size, size)."""
    empty = replace(scene, abnormality="none", polyps=(), patches=(), landmark=None)
    parts: list[tuple[str, str, Scene]] = []
    for polyp in scene.polyps:
        parts.append((_POLYPS[polyp.paris], polyp.color, replace(empty, abnormality="polyp", polyps=(polyp,))))
    for patch in scene.patches:
        alone = replace(empty, abnormality=scene.abnormality, patches=(patch,))
        parts.append((_PATCHES[scene.abnormality], "", alone))
    if scene.landmark is not None:
        parts.append((_LANDMARKS[scene.landmark.kind], "", replace(empty, landmark=scene.landmark)))
    found = []
    for look, color, alone in parts:
        masks = region_masks(alone, size)
        masks.pop("instrument", None)
        found += [Thing(look, color, mask) for mask in masks.values()]
    for tool in scene.instruments:
        found.append(
            Thing(_TOOLS[tool.kind], "", region_masks(replace(empty, instruments=(tool,)), size)["instrument"])
        )
    x, y = axes(size)
    for one in scene.distractors:
        found.append(Thing(_DISTRACTORS[one.kind], "", (distractor_relative(one, x, y) < 1) & field_mask(x, y)))
    return [thing for thing in found if thing.mask.any()]


def _largeness(mask: npt.NDArray[np.bool_]) -> str:
    share = float(mask.mean())
    return next(word for limit, word in _LARGENESS if share <= limit)


def _place(mask: npt.NDArray[np.bool_]) -> str:
    """The cell of a 3 x 3 grid that the middle of a mask lies in."""
    ys, xs = np.nonzero(mask)
    row, column = (int(3 * (values.mean() + 0.5) / len(mask)) for values in (ys, xs))
    return _PLACES[3 * row + column]


def _box(mask: npt.NDArray[np.bool_]) -> str:
    """A mask's box as four location tokens."""
    ys, xs = np.nonzero(mask)
    corners = np.array([[xs.min(), ys.min()], [xs.max(), ys.max()]]) + 0.5
    return locations.to_tokens([locations.quantise(corners, len(mask), len(mask), steps=TINY_STYLE.steps)])


def caption(scene: Scene, seen: Sequence[Thing], *, in_detail: bool) -> str:
    """What is there, in words of look; in detail also size, colour and place of each thing."""
    parts = ["ringed wall" if scene.procedure == "colonoscopy" else "smooth wall"]
    for thing in seen:
        words = (
            [_largeness(thing.mask), thing.color, thing.look, "at", _place(thing.mask)] if in_detail else [thing.look]
        )
        parts.append(" ".join(word for word in words if word))
    if in_detail:
        parts.append(f"{scene.box} square" if scene.box else "no square")
        parts.append("letters" if scene.text else "no letters")
    return ", ".join(parts)


def lessons(suite: PhantomSuite) -> Examples:
    """Captions, detection, kinds and outlines of regions for every image of a phantom split."""
    found = Examples()
    for img_id in suite.image_ids:
        scene = suite.scene(img_id)
        seen = things(scene)
        found.add("caption", img_id, prompts.CAPTION_PROMPT, caption(scene, seen, in_detail=False))
        found.add("detail", img_id, DETAIL_PROMPT, caption(scene, seen, in_detail=True))
        for thing in seen:
            box = _box(thing.mask)
            found.add("category", img_id, CATEGORY_PROMPT + box + "?", thing.look)
            outline = locations.encode_mask(thing.mask, corners=TINY_STYLE.corners, steps=TINY_STYLE.steps)
            if outline:
                found.add("outline", img_id, OUTLINE_PROMPT + box, outline)
        if seen:
            boxes = "".join(thing.look + _box(thing.mask) for thing in seen)
            found.add("detect", img_id, prompts.DETECTION_PROMPT, boxes)
    return found


_COUNTS = ("none", "single", "pair", "trio", "more")


def inquiries(suite: PhantomSuite) -> Examples:
    """What is asked of things by their look: number, largeness, tint and spots, and the outline of what is there."""
    found = Examples()
    for img_id in suite.image_ids:
        scene = suite.scene(img_id)
        seen = things(scene)
        found.add("detail", img_id, DETAIL_PROMPT, caption(scene, seen, in_detail=True))
        found.add("inquiry", img_id, "wall ?", "ringed" if scene.procedure == "colonoscopy" else "smooth")
        found.add("inquiry", img_id, "square ?", scene.box or "none")
        found.add("inquiry", img_id, "letters ?", "some" if scene.text else "none")
        for look in LOOKS:
            alike = [thing for thing in seen if thing.look == look]
            for prompt, reply in _inquiries(look, alike):
                found.add("inquiry" if alike else "vain inquiry", img_id, prompt, reply)
            if alike:
                mask = np.logical_or.reduce([thing.mask for thing in alike])
                outline = locations.encode_mask(mask, corners=TINY_STYLE.corners, steps=TINY_STYLE.steps)
                if outline:
                    found.add("trace", img_id, f"trace {look}", outline)
    return found


def _inquiries(look: str, alike: Sequence[Thing]) -> list[tuple[str, str]]:
    """Prompts and replies about all things of one look."""
    spots = "nowhere"
    if alike:
        spots = " and ".join(_PLACES[cell] for cell in grid_cells(np.logical_or.reduce([one.mask for one in alike])))
    found = [
        (f"count {look} ?", _COUNTS[min(len(alike), len(_COUNTS) - 1)]),
        (f"spots {look} ?", spots),
        (f"largeness {look} ?", _largeness(alike[0].mask) if alike else "nothing"),
    ]
    if look in _POLYPS.values():
        found.append((f"tint {look} ?", alike[0].color if alike else "nothing"))
    return found


def word_lists(words: Sequence[str], img_ids: Sequence[str], count: int, seed: int, found: Examples) -> None:
    """Lists of random words to repeat, beside random images: words as words, without what they mean."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        text = " ".join(words[int(i)] for i in random.integers(len(words), size=3 + int(random.integers(10))))
        found.add("words", img_ids[int(random.integers(len(img_ids)))], WORDS_PROMPT + text, text)


@dataclass(frozen=True)
class Serving:
    """What a batch holds: images, and rows of each task about each of them."""

    images: int
    rows: Mapping[str, int]


FIRST = Serving(32, {"caption": 1, "detail": 1, "detect": 1, "category": 2, "outline": 2, "words": 1})
SECOND = Serving(8, {"detail": 1, "inquiry": 4, "vain inquiry": 1, "trace": 2})


def draw_batches(examples: Examples, serving: Serving, steps: int, seed: int) -> list[Batch]:
    """Batches of some images each, with a few random rows of every task about each image."""
    random = np.random.default_rng(seed)
    images = examples.image_ids
    found = []
    for _ in range(steps):
        batch = []
        for i in random.choice(len(images), min(serving.images, len(images)), replace=False):
            for task, count in serving.rows.items():
                pool = examples.by_task.get(task, {}).get(images[i], ())
                batch += [Row(images[i], task, *pool[row]) for row in random.permutation(len(pool))[:count]]
        found.append(tuple(batch))
    return found
