"""Negative questions and phrases: about things that the atomic facts of an image say are not there.

A dataset of findings teaches a model that whatever is asked for is there. What an image does not show can be read from
the answers of its own atomic questions ("How many polyps?" 0; "Check all that are present" without the tube). Where two
facts of an image contradict each other nothing is made of them, and that is counted.

The words are those that the suite uses of present things (:mod:`gi_bench.harness.suites.wordings`): a negative that has
words of its own can be told without looking at the image.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gi_bench.harness.reading.values import atomic_value
from gi_bench.harness.schema import Phrase, Question
from gi_bench.harness.suites import wordings
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.wordings import Wording
from gi_bench.harness.taxonomy import QUESTION_CLASSES


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

# Classes whose empty value says that nothing of a kind is there, and whose other values say that something is.
_KIND = {
    "polyp_count": "polyp", "polyp_size": "polyp", "polyp_type": "polyp", "instrument_count": "instrument",
    "instrument_location": "instrument", "instrument_presence": "instrument", "landmark_location": "landmark",
    "landmark_presence": "landmark", "landmark_color": "landmark", "text_presence": "text",
    "box_artifact_presence": "box artifact",
}  # fmt: skip
# What a finding calls the whole kind; the kind "abnormality" is more than the things above and is read apart.
_WHOLE = {
    "polyp": "polyp", "instrument": "instrument", "landmark": "anatomical landmark", "text": "text overlay",
    "box artifact": "box artifact",
}  # fmt: skip
_ABNORMALITY = frozenset({"abnormality_presence", "abnormality_location", "abnormality_color", "finding_presence"})


@dataclass(frozen=True)
class Negative:
    """One negative question or phrase.

    Attributes:
        img_id: image.
        thing: what is not there.
        finding: finding of the taxonomy.
        label: label that the phrase's region would have; empty where there is no phrase.
        question, answer: a question that is asked of present things elsewhere, and an answer that denies; both empty
            where the suite asks nothing of the kind.
        phrase: a phrase of a present thing elsewhere, which nothing in this image fits; empty where the thing cannot be
            shown, or no present thing of its label has a phrase.
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
        empty = value in wordings.EMPTY
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


@dataclass(frozen=True)
class _Slot:
    """Room for one negative: a thing that is not in an image."""

    digest: str
    img_id: str
    thing: Thing


class _Known:
    """What is known of the images of a suite, and the texts that its present things are asked about in."""

    def __init__(self, questions: Sequence[Question], phrases: Sequence[Phrase]) -> None:
        self.facts = _with_phrases(stated(questions), phrases)
        self._no_abnormality = _without_abnormality(questions)
        self.questions = {
            finding: wordings.question_wordings(questions, finding)
            for finding in sorted({thing.finding for thing in THINGS})
        }
        self.phrases = {
            thing.label: wordings.phrase_wordings(phrases, thing.label, thing.finding)
            for thing in THINGS
            if thing.label
        }
        self.denials = wordings.denials(questions)

    def denies_question(self, slot: _Slot, asked: Wording) -> bool:
        """Whether nothing in the slot's image is what the question asks about."""
        finding = slot.thing.finding
        whole = slot.img_id in self._no_abnormality if finding == "abnormality" else self._absent(slot, _WHOLE[finding])
        return whole or self._denies(slot, asked)

    def denies_phrase(self, slot: _Slot, asked: Wording) -> bool:
        """Whether nothing in the slot's image fits the phrase."""
        return self._absent(slot, _ROOTS[slot.thing.label]) or self._denies(slot, asked)

    def _denies(self, slot: _Slot, asked: Wording) -> bool:
        """The text names the slot's thing, and nothing that may be there."""
        return slot.thing.name in asked.names and all(self._absent(slot, name) for name in asked.names)

    def _absent(self, slot: _Slot, name: str) -> bool:
        there, absent = self.facts[slot.img_id]
        return name in absent and name not in there


# The thing whose absence makes every phrase of a label wrong.
_ROOTS = {thing.label: thing.name for thing in reversed(THINGS) if thing.label}


def _with_phrases(
    facts: Mapping[str, tuple[frozenset[str], frozenset[str]]], phrases: Iterable[Phrase]
) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """What phrases add to the facts: their thing is there, or, in a frame that the suite has as a negative, is not."""
    found = dict(facts)
    for row in phrases:
        there, absent = found.get(row.img_id, (frozenset(), frozenset()))
        name = _ROOTS.get(row.label)
        said = frozenset({name}) if name else frozenset()
        found[row.img_id] = (there, absent | said) if row.is_negative else (there | said, absent)
    return found


def _without_abnormality(questions: Iterable[Question]) -> frozenset[str]:
    """Images whose facts say that there is nothing abnormal, and never that there is."""
    said: dict[bool, set[str]] = {True: set(), False: set()}
    for row in questions:
        for slug, pair in zip(row.question_class, row.original, strict=False):
            if QUESTION_CLASSES[slug].finding not in {"abnormality", "polyp"}:
                continue
            value = atomic_value(slug, pair.answer)
            if value is None or (slug not in _ABNORMALITY and (value in wordings.EMPTY or _KIND.get(slug) != "polyp")):
                continue  # no polyp is not yet nothing abnormal
            said[value not in wordings.EMPTY].add(row.img_id)
    return frozenset(said[False] - said[True])


def make_negatives(suite: Suite, ratio: float, seed: int = 0) -> tuple[list[Negative], dict[str, int]]:
    """Negatives for a suite, balanced over findings, in the words that the suite has for present things.

    Args:
        suite: rows with atomic answers, and phrases where it has some.
        ratio: negatives per question of the suite, above 0.
        seed: of drawing and wording; equal input gives equal negatives, whatever the order of rows.

    Returns:
        Negatives by image id, and counts: possible, made, made with a question and with a phrase, labels without one,
        contradictory facts, by finding.
    """
    known = _Known(suite.questions, tuple(getattr(suite, "phrases", ())))
    contradictions = sum(len(there & absent) for there, absent in known.facts.values())
    things = {thing.name: thing for thing in THINGS}
    pools: dict[str, list[_Slot]] = defaultdict(list)
    unworded: Counter[str] = Counter()
    for img_id, (there, absent) in known.facts.items():
        for name in absent - there:
            slot = _Slot(_digest(seed, img_id, name), img_id, things[name])
            if _can_be_worded(known, slot):
                pools[slot.thing.finding].append(slot)
            else:
                unworded[slot.thing.finding] += 1
    wanted = round(ratio * len(suite.questions))
    chosen = _balanced({finding: _spread(pool) for finding, pool in pools.items()}, wanted)
    made = _worded(known, chosen, seed)
    counts = Counter({f"made: {finding}": 0 for finding in sorted({*pools, *unworded})})
    counts.update(f"made: {one.finding}" for one in made)
    without = [label for label, texts in known.phrases.items() if not texts]
    return made, {
        "possible": sum(map(len, pools.values())),
        "wanted": wanted,
        "made": len(made),
        "with a question": sum(bool(one.question) for one in made),
        "with a phrase": sum(bool(one.phrase) for one in made),
        "absent, but the suite has no words for it": sum(unworded.values()),
        "chosen, but no text was left": len(chosen) - len(made),
        "with a question only, its label has no phrase": sum(things[one.thing].label in without for one in made),
        "contradictory facts left out": contradictions,
        **counts,
    }


def _can_be_worded(known: _Known, slot: _Slot) -> bool:
    asked, shown = known.questions[slot.thing.finding], known.phrases.get(slot.thing.label, Counter())
    return any(known.denies_question(slot, one) for one in asked) or any(
        known.denies_phrase(slot, one) for one in shown
    )


def _worded(known: _Known, slots: Sequence[_Slot], seed: int) -> list[Negative]:
    """Each slot with texts of present things, every text about as often as it is used of them."""
    asked: dict[_Slot, Wording] = {}
    shown: dict[_Slot, Wording] = {}
    for finding, texts in known.questions.items():
        takers = [slot for slot in slots if slot.thing.finding == finding]
        asked |= _drawn(texts, takers, known.denies_question, f"{seed}\0question\0{finding}")
    for label, texts in known.phrases.items():
        takers = [slot for slot in slots if slot.thing.label == label]
        shown |= _drawn(texts, takers, known.denies_phrase, f"{seed}\0phrase\0{label}")
    made = []
    for slot in slots:
        question, answer, phrase = "", "", shown[slot].text if slot in shown else ""
        if slot in asked:
            found = wordings.denial_for(asked[slot], slot.thing.finding, known.denials, int(slot.digest[:12], 16))
            question, answer = asked[slot].text, found or f"no {slot.thing.plural} visible"
        if question or phrase:
            thing = slot.thing
            label = thing.label if phrase else ""
            made.append(Negative(slot.img_id, thing.name, thing.finding, label, question, answer, phrase))
    return sorted(made, key=lambda one: (one.img_id, one.thing))


def _drawn(
    texts: Counter[Wording], takers: Sequence[_Slot], fits: Callable[[_Slot, Wording], bool], key: str
) -> dict[_Slot, Wording]:
    """Texts in proportion to their use for the slots that one fits."""
    takers = [slot for slot in takers if any(fits(slot, one) for one in texts)]
    texts = Counter({one: count for one, count in texts.items() if any(fits(slot, one) for slot in takers)})
    if not takers:
        return {}
    order = [hashlib.sha256(f"{key}\0{place}".encode()).hexdigest() for place in range(len(takers))]
    start = int(order[0][:12], 16) / 16**12
    picked = wordings.drawn(texts, len(takers), start)
    shuffled = [text for _, text in sorted(zip(order, picked, strict=True), key=lambda pair: pair[0])]
    return wordings.hand_out(shuffled, takers, fits, lambda slot: slot.img_id)


def _spread(pool: Iterable[_Slot]) -> list[_Slot]:
    """First one thing of every image, then a second: an image has few texts of one finding to share out."""
    ranks: Counter[str] = Counter()
    order = []
    for slot in sorted(pool, key=lambda slot: slot.digest):
        order.append((ranks[slot.img_id], slot.digest, slot))
        ranks[slot.img_id] += 1
    return [slot for _, _, slot in sorted(order, key=lambda entry: entry[:2])]


def _balanced(pools: Mapping[str, Sequence[_Slot]], wanted: int) -> list[_Slot]:
    """As many of each finding as possible, the scarce ones first: what a small pool lacks the others share."""
    chosen: list[_Slot] = []
    left = wanted
    for rank, finding in enumerate(sorted(pools, key=lambda name: (len(pools[name]), name))):
        share = -(-left // (len(pools) - rank))
        taken = pools[finding][:share]
        chosen += taken
        left -= len(taken)
    return chosen


def _digest(seed: int, img_id: str, name: str) -> str:
    return hashlib.sha256(f"{seed}\0{img_id}\0{name}".encode()).hexdigest()
