"""Negative questions and phrases: about things that the atomic facts of an image say are not there.

A dataset of findings teaches a model that whatever is asked for is there. What an image does not show can be read from
the answers of its own atomic questions ("How many polyps?" 0; "Check all that are present" without the tube). Where two
facts of an image contradict each other nothing is made of them, and that is counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.reading.values import Value, atomic_value
from harness.schema import Question
from harness.suites.base import Suite


@dataclass(frozen=True)
class Thing:
    """Something that an image may show.

    Attributes:
        name: what a question calls it, in the singular.
        plural: in the plural.
        finding: finding of the taxonomy that it belongs to.
        label: label of its regions; empty where it cannot be shown.
        presence: question class that lists all things of its kind; empty for yes/no things.
        member: its name in that list.
    """

    name: str
    plural: str
    finding: str
    label: str = ""
    presence: str = ""
    member: str = ""


THINGS: tuple[Thing, ...] = (
    Thing("polyp", "polyps", "polyp", "polyp", "abnormality_presence", "polyp"),
    Thing("sign of ulcerative colitis", "signs of ulcerative colitis", "abnormality", "ulcerative colitis",
          "abnormality_presence", "ulcerative colitis"),
    Thing("sign of oesophagitis", "signs of oesophagitis", "abnormality", "oesophagitis", "abnormality_presence",
          "oesophagitis"),
    Thing("instrument", "instruments", "instrument", "instrument"),
    Thing("tube", "tubes", "instrument", "instrument", "instrument_presence", "tube"),
    Thing("biopsy forceps", "biopsy forceps", "instrument", "instrument", "instrument_presence", "biopsy forceps"),
    Thing("polyp snare", "polyp snares", "instrument", "instrument", "instrument_presence", "polyp snare"),
    Thing("metal clip", "metal clips", "instrument", "instrument", "instrument_presence", "metal clip"),
    Thing("anatomical landmark", "anatomical landmarks", "landmark"),
    Thing("z-line", "z-lines", "landmark", "z-line", "landmark_presence", "z-line"),
    Thing("cecum", "views of the cecum", "landmark", "cecum", "landmark_presence", "cecum"),
    Thing("pylorus", "views of the pylorus", "landmark", "pylorus", "landmark_presence", "pylorus"),
    Thing("text overlay", "text overlays", "text"),
    Thing("box artifact", "box artifacts", "box artifact"),
)  # fmt: skip

_QUESTIONS = (
    "Is there any {name} in the image?",
    "Are {plural} visible?",
    "Can {plural} be seen in this image?",
    "Does the image show {plural}?",
)
_ANSWERS = (
    "no {plural} visible",
    "no {plural} identified in the image",
    "there is no evidence of {plural}",
    "no {plural} present",
)
_PHRASES = ("{name}", "{name} in the image", "one {name} visible")

# Classes whose empty value says that nothing of a kind is there, and whose other values say that something is.
_KIND = {
    "polyp_count": "polyp", "polyp_size": "polyp", "polyp_type": "polyp", "instrument_count": "instrument",
    "instrument_location": "instrument", "instrument_presence": "instrument", "landmark_location": "landmark",
    "landmark_presence": "landmark", "landmark_color": "landmark", "text_presence": "text",
    "box_artifact_presence": "box artifact",
}  # fmt: skip
_EMPTY: tuple[Value, ...] = (0, "no", frozenset())


@dataclass(frozen=True)
class Negative:
    """One negative question or phrase.

    Attributes:
        img_id: image.
        thing: what is not there.
        finding: finding of the taxonomy.
        label: label that its region would have; empty where it has none.
        question, answer: the question and an answer that denies.
        phrase: a phrase that nothing in the image fits; empty where the thing cannot be shown.
    """

    img_id: str
    thing: str
    finding: str
    label: str
    question: str
    answer: str
    phrase: str


def stated(questions: Iterable[Question]) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """What the atomic facts say of every image: (things there, things absent) by image id; both may name a thing.

    Removal status says nothing: "not relevant" also stands for images whose polyps were not asked about.
    """
    there: dict[str, set[str]] = defaultdict(set)
    absent: dict[str, set[str]] = defaultdict(set)
    for question in questions:
        there.setdefault(question.img_id, set())
        absent.setdefault(question.img_id, set())
        for slug, pair in zip(question.question_class, question.original, strict=False):
            for thing, is_there in _said(slug, pair.answer):
                (there if is_there else absent)[question.img_id].add(thing)
    return {img_id: (frozenset(there[img_id]), frozenset(absent[img_id])) for img_id in there}


def _said(slug: str, answer: str) -> Iterator[tuple[str, bool]]:
    """(thing, whether it is there) for all things that one atomic fact decides."""
    value = atomic_value(slug, answer)
    if value is None:
        return
    kind = _KIND.get(slug)
    if kind is not None:
        empty = value in _EMPTY
        for thing in THINGS:
            # "No instrument" denies every instrument; "an instrument" asserts none of them in particular.
            if thing.finding == kind and (empty or not thing.presence or thing.finding == "polyp"):
                yield thing.name, not empty
    if slug == "finding_presence" and value == "no":
        yield from ((thing.name, False) for thing in THINGS if thing.presence == "abnormality_presence")
    if slug.endswith("_presence") and isinstance(value, frozenset):
        for thing in THINGS:
            if thing.presence == slug and (value or slug == "abnormality_presence"):
                yield thing.name, thing.member in value


def make_negatives(suite: Suite, ratio: float, seed: int = 0) -> tuple[list[Negative], dict[str, int]]:
    """Negatives for a suite, balanced over findings.

    Args:
        suite: rows with atomic answers.
        ratio: negatives per question of the suite, above 0.
        seed: of drawing and wording; equal input gives equal negatives, whatever the order of rows.

    Returns:
        Negatives by image id, and counts: possible, made, contradictory facts, by finding.
    """
    by_image = stated(suite.questions)
    contradictions = sum(len(there & absent) for there, absent in by_image.values())
    things = {thing.name: thing for thing in THINGS}
    pools: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for img_id, (there, absent) in by_image.items():
        for name in absent - there:
            pools[things[name].finding].append((_digest(seed, img_id, name), img_id, name))
    wanted = round(ratio * len(suite.questions))
    chosen = _balanced({finding: sorted(pool) for finding, pool in pools.items()}, wanted)
    made = [_word(img_id, things[name], digest) for digest, img_id, name in chosen]
    made.sort(key=lambda one: (one.img_id, one.thing))
    counts = Counter({f"made: {finding}": 0 for finding in sorted(pools)})
    counts.update(f"made: {one.finding}" for one in made)
    return made, {
        "possible": sum(map(len, pools.values())),
        "wanted": wanted,
        "made": len(made),
        "contradictory facts left out": contradictions,
        **counts,
    }


def _balanced(pools: Mapping[str, Sequence[tuple[str, str, str]]], wanted: int) -> list[tuple[str, str, str]]:
    """As many of each finding as possible, the scarce ones first: what a small pool lacks the others share."""
    chosen: list[tuple[str, str, str]] = []
    left = wanted
    for rank, finding in enumerate(sorted(pools, key=lambda name: (len(pools[name]), name))):
        share = -(-left // (len(pools) - rank))
        taken = pools[finding][:share]
        chosen += taken
        left -= len(taken)
    return chosen


def _digest(seed: int, img_id: str, name: str) -> str:
    return hashlib.sha256(f"{seed}\0{img_id}\0{name}".encode()).hexdigest()


def _word(img_id: str, thing: Thing, digest: str) -> Negative:
    """Wording drawn by the digest, so that it does not depend on what else is made."""
    number = int(digest[-8:], 16)
    question = _QUESTIONS[number % len(_QUESTIONS)]
    answer = _ANSWERS[number // 7 % len(_ANSWERS)]
    phrase = _PHRASES[number // 31 % len(_PHRASES)]
    names = {"name": thing.name, "plural": thing.plural}
    return Negative(
        img_id,
        thing.name,
        thing.finding,
        thing.label,
        question.format(**names),
        answer.format(**names),
        phrase.format(**names) if thing.label else "",
    )
