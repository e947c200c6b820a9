"""Texts about things that are there, out of which negatives are worded.

A question or phrase about an absent thing that is made from a template of its own can be told by its words, and a model
that learns the template never looks at the image. So both are drawn from what the suite asks about present things, each
text about as often as it is used there.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

from gi_bench.harness.reading import asserts
from gi_bench.harness.reading.values import Value, atomic_value
from gi_bench.harness.schema import Phrase, Question
from gi_bench.harness.taxonomy import QUESTION_CLASSES

EMPTY: tuple[Value, ...] = (0, "no", frozenset())
# Removal: the question takes for granted that there was a polyp. Number of findings: landmarks count in some sets.
_UNUSED = frozenset({"polyp_removal_status", "finding_count"})
# Where a text names one of these it is about that thing, not about the whole kind.
_NAMED: dict[str, dict[str, re.Pattern[str]]] = {
    "abnormality": {
        "polyp": re.compile(r"polyp"),
        "sign of ulcerative colitis": re.compile(r"colitis"),
        "sign of oesophagitis": re.compile(r"esophagitis"),
    },
    "instrument": {
        "tube": re.compile(r"\btub(?:e|es|ing|ular)\b"),
        "biopsy forceps": re.compile(r"\bforceps\b|\bbiops"),
        "polyp snare": re.compile(r"\bsnares?\b"),
        "metal clip": re.compile(r"\b(?:hemo)?clips?\b"),
    },
    "landmark": {
        "z-line": re.compile(r"\bz[- ]?lines?\b"),
        "cecum": re.compile(r"\bca?ec(?:um|al)\b"),
        "pylorus": re.compile(r"\bpylor"),
    },
}
_T = TypeVar("_T", bound=Hashable)


@dataclass(frozen=True, order=True)
class Wording:
    """One text and what it is about.

    Attributes:
        text: as it stands in the suite.
        slug: question class; empty for phrases.
        names: things of its kind that it names; empty if it is about the kind as a whole.
    """

    text: str
    slug: str = ""
    names: frozenset[str] = frozenset()


def names_in(text: str, finding: str) -> frozenset[str]:
    """The single things of a finding that a text names, e.g. ``tube`` of ``instrument``."""
    lowered = text.lower()
    return frozenset(name for name, pattern in _NAMED.get(finding, {}).items() if pattern.search(lowered))


def question_wordings(questions: Iterable[Question], finding: str) -> Counter[Wording]:
    """Questions about one present thing of a finding, with how often each is asked."""
    found: Counter[Wording] = Counter()
    for row in questions:
        slug = row.question_class[0] if row.complexity == 1 and len(row.question_class) == 1 else ""
        if not slug or slug in _UNUSED or QUESTION_CLASSES[slug].finding != finding or len(row.original) != 1:
            continue
        value = atomic_value(slug, row.original[0].answer)
        if not row.is_negative and value is not None and value not in EMPTY:
            found[Wording(row.question, slug, names_in(row.question, finding))] += 1
    return found


def phrase_wordings(phrases: Iterable[Phrase], label: str, finding: str) -> Counter[Wording]:
    """Phrases about present things of a label, with how often each is used."""
    return Counter(
        Wording(row.phrase, "", names_in(row.phrase, finding))
        for row in phrases
        if row.label == label and not row.is_negative
    )


def denials(questions: Iterable[Question]) -> dict[str, Counter[tuple[str, str]]]:
    """(question, answer) of the rows of each class whose answer is read as a denial, with how often each stands."""
    found: dict[str, Counter[tuple[str, str]]] = {}
    for row in questions:
        slug = row.question_class[0] if row.complexity == 1 and len(row.question_class) == 1 else ""
        if not slug or slug in _UNUSED or not row.is_negative or not row.answer or row.finding is None:
            continue
        if asserts(row.answer, row.finding, row.question) is False:
            found.setdefault(slug, Counter())[row.question, row.answer] += 1
    return found


def denial_for(asked: Wording, finding: str, known: Mapping[str, Counter[tuple[str, str]]], number: int) -> str | None:
    """An answer by which the suite denies: to the same question, else in its class, else in a class of its finding.

    Args:
        asked: the question.
        finding: that it is about.
        known: of :func:`denials`.
        number: draws one of them, the frequent ones more often.

    Returns:
        None where the suite never denies anything of the kind.
    """
    own = known.get(asked.slug, Counter())
    same = Counter({pair: count for pair, count in own.items() if pair[0] == asked.text})
    kin: Counter[tuple[str, str]] = Counter()
    for slug, pairs in known.items():
        if QUESTION_CLASSES[slug].finding == finding:
            kin.update(pairs)
    for pairs in (same, own, kin):
        answers: Counter[str] = Counter()
        for (_, answer), count in pairs.items():
            if asserts(answer, finding, asked.text) is False:
                answers[answer] += count
        if answers:
            return pick(answers, number)
    return None


def pick(texts: Counter[str], number: int) -> str:
    """The text at a place in the list of all uses; equal counts and numbers give equal texts.

    >>> [pick(Counter({"a": 2, "b": 1}), number) for number in range(4)]
    ['a', 'a', 'b', 'a']
    """
    ordered = sorted(texts)
    ends = list(accumulate(texts[text] for text in ordered))
    return ordered[bisect_right(ends, number % ends[-1])]


def drawn(used: Counter[Wording], count: int, start: float) -> list[Wording]:
    """So many texts, each in proportion to its use: every n-th of the sorted list of all uses.

    Args:
        used: texts and how often each is used, not empty.
        count: how many, more than there are uses if need be.
        start: where in the first step to start, in [0, 1).

    Returns:
        ``count`` texts; each occurs as often as its share of the uses asks for, rounded up or down.
    """
    ordered = sorted(used, key=lambda one: (one.text, one.slug))
    ends = list(accumulate(used[one] for one in ordered))
    step = ends[-1] / count if count else 0.0
    return [ordered[min(bisect_right(ends, (place + start) * step), len(ordered) - 1)] for place in range(count)]


def hand_out(
    texts: Sequence[Wording],
    takers: Sequence[_T],
    fits: Callable[[_T, Wording], bool],
    group: Callable[[_T], str],
) -> dict[_T, Wording]:
    """Give each taker one text that fits; those that few texts fit choose first.

    Args:
        texts: with repetitions, in the order in which they are given.
        takers: hashable, in the order in which they choose among equals.
        fits: whether a taker can have a text.
        group: takers of one group never get the same text twice.

    Returns:
        Text by taker; a taker that no text is left for is missing.
    """
    kinds = dict.fromkeys(texts)
    choices = {taker: {kind for kind in kinds if fits(taker, kind)} for taker in takers}
    given: dict[_T, Wording] = {}
    had: set[tuple[str, str]] = set()
    queue = list(texts)
    for taker in sorted(takers, key=lambda taker: len(choices[taker])):
        for place, wording in enumerate(queue):
            if wording in choices[taker] and (group(taker), wording.text) not in had:
                given[taker] = wording
                had.add((group(taker), wording.text))
                del queue[place]
                break
    return given
