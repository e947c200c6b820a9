"""Referring phrases of the phantom suite: for what is there, and in the same words for what is not.

A phrase about something absent is one that a present thing of another scene has: neither its words nor how often they
are used tell that it fits nothing.
"""

from __future__ import annotations

from functools import lru_cache

from gi_bench.harness.suites.phantom.answers import SIZES
from gi_bench.harness.suites.phantom.facts import Facts
from gi_bench.harness.suites.phantom.scene import Draw, Scene, make_scene
from gi_bench.harness.suites.phantom.templates import NUMBERS, listed, say

_PLACE = "[in the|located in the|lying in the|of the] {place} [area|region|part]"
_LARGE = {"<5mm": "[tiny|small]", "5-10mm": "[small|medium-sized]", "11-20mm": "[medium-sized|large]", ">20mm": "large"}
_SHAPES = {
    "paris ip": "[stalked|pedunculated]",
    "paris is": "[sessile|dome-shaped]",
    "paris iia": "[flat|slightly raised]",
}
# Names of a thing, and how it looks; a name stands alone or with a place, a look with or without one.
NAMES: dict[str, tuple[str, ...]] = {
    "polyp": ("[polyp|polypoid lesion|polyp|adenoma]{s}",),
    "ulcerative colitis": ("[ulcerative colitis|colitis|inflamed colon mucosa|ulcerated mucosa]",),
    "oesophagitis": ("[oesophagitis|inflamed oesophagus|reflux oesophagitis|esophagitis]",),
    "z-line": ("[z-line|squamocolumnar junction|z line]",),
    "pylorus": ("[pylorus|pyloric opening|pyloric ring]",),
    "cecum": ("[cecum|cecal pole|cecal orifice]",),
    "ileum": ("[ileum|terminal ileum|ileal mucosa]",),
    "instrument": ("{tools}", "[instrument|device|surgical instrument]{s}"),
}
LOOKS: dict[str, tuple[str, ...]] = {
    "polyp": (
        "{number} {color} [polyp|lesion|polyp]{s}",
        "{number} {large} {color} polyp{s}",
        "{shape} [polyp|lesion]{s}",
        "{large} {shape} polyp{s}",
        "polyp{s} of {size}",
    ),
    "ulcerative colitis": (
        "[red|granular|patchy red] mucosa with [white|yellow-white|pale] ulcers",
        "[diffuse|active] [ulcerative colitis|colitis] with [bleeding|ulcers]",
    ),
    "oesophagitis": (
        "[red|patchy red|bright red] streaks [of oesophagitis|with pale borders|in the oesophagus]",
        "[inflamed|reddened|eroded] mucosa of the oesophagus",
    ),
    "z-line": (
        "[jagged|irregular|pale] [z-line|border ring|junction]",
        "border between [pale and salmon-red|pink and red] mucosa",
    ),
    "pylorus": (
        "[round|dark] opening [in a smooth ring|with a pale smooth rim]",
        "[round|smooth|contracted] [pylorus|pyloric ring]",
    ),
    "cecum": (
        "[crescent-shaped|curved] [opening|orifice] [between folds|with three folds]",
        "[cecum|cecal pole] with [folds|a crescent-shaped orifice]",
    ),
    "ileum": (
        "[velvety|villous|yellowish] [mucosa|ileal mucosa]",
        "[ileum|terminal ileum] with [villi|velvety mucosa]",
    ),
    "instrument": (
        "[metallic|thin|dark|shiny] {tools}",
        "{number} [instrument|device]{s}",
        "[metallic|thin|shiny] [instrument|device]{s}",
    ),
}
LABELS = tuple(NAMES)
# How often a thing is there: what is absent is named about as often, so that a name alone tells little.
_COMMON = {
    "polyp": 6.0,
    "ulcerative colitis": 4.0,
    "oesophagitis": 4.0,
    "z-line": 5.0,
    "pylorus": 0.5,
    "cecum": 1.5,
    "ileum": 0.4,
    "instrument": 5.0,
}
# What a look-alike may be taken for.
_MISTAKEN = {
    "bubbles": ("polyp",),
    "fold": ("polyp", "z-line"),
    "glare": ("polyp", "ulcerative colitis", "instrument"),
    "stool": ("polyp", "ulcerative colitis"),
    "vessels": ("oesophagitis",),
}
_NEAR_MISS = 4.0
_DONORS = 2400


def referring_phrases(label: str, facts: Facts, draw: Draw) -> tuple[str, str]:
    """Two different phrases for what is there: its name, and how it looks; either may say where it is.

    Args:
        label: one of :data:`LABELS` that the scene shows.
        facts: of the scene.
        draw: where the choices come from.
    """
    scene = facts.seen
    count = {"polyp": len(scene.polyps), "instrument": len(scene.instruments)}.get(label, 1)
    slots = {"place": listed(facts.cells[label]), "number": NUMBERS[count] if count > 1 else "", "s": "s" * (count > 1)}
    slots["tools"] = listed(facts.instruments) if label == "instrument" else ""
    if label == "polyp":
        polyp = scene.polyps[0]
        large = say(draw, (_LARGE[polyp.size],))
        shape = say(draw, (_SHAPES[polyp.paris],))
        slots.update(color=polyp.color, large=large, shape=shape, size=SIZES[polyp.size])
    name = say(draw, NAMES[label], **slots)
    if draw.chance(0.35):
        name += " " + say(draw, (_PLACE,), **slots)
    look = say(draw, LOOKS[label], **slots)
    if draw.chance(0.5):
        look += " " + say(draw, (_PLACE,), **slots)
    return name, look


@lru_cache(maxsize=_DONORS)
def _donor(number: int) -> Facts:
    """Scenes of no split, whose things lend their phrases."""
    return Facts(make_scene("donors of phrases", number))


@lru_cache(maxsize=1)
def _donors() -> dict[str, tuple[int, ...]]:
    """Numbers of the donors that show a thing, by label."""
    found: dict[str, list[int]] = {label: [] for label in LABELS}
    for number in range(_DONORS):
        scene = _donor(number).scene
        shown = (
            scene.abnormality,
            scene.landmark.kind if scene.landmark else "",
            "instrument" * bool(scene.instruments),
        )
        for label in shown:
            if label in found:
                found[label].append(number)
    return {label: tuple(numbers) for label, numbers in found.items()}


def absent_labels(scene: Scene, shown: frozenset[str], count: int, draw: Draw) -> list[str]:
    """What is asked for in vain: common things more often, and what a look-alike may be taken for most often.

    Args:
        scene: the scene.
        shown: labels that it shows.
        count: how many different labels.
        draw: where the choices come from.
    """
    weights = {label: weight for label, weight in _COMMON.items() if label not in shown}
    for kind in {one.kind for one in scene.distractors}:
        for label in _MISTAKEN[kind]:
            if label in weights:
                weights[label] = _NEAR_MISS * _COMMON[label]
    chosen: list[str] = []
    for _ in range(count):
        label = draw.weighted([(label, weight) for label, weight in weights.items() if label not in chosen])
        chosen.append(label)
    return chosen


def absent_phrase(label: str, draw: Draw) -> str:
    """A phrase that something of the label has in another scene."""
    while True:
        facts = _donor(draw.pick(_donors()[label]))
        if label in facts.cells:
            return draw.pick(referring_phrases(label, facts, draw))


TEXTS = (
    *(text for table in (NAMES, LOOKS) for templates in table.values() for text in templates),
    *(_PLACE, *_LARGE.values(), *_SHAPES.values(), "polyps adenomas lesions instruments devices"),
)
