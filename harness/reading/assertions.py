"""What an answer asserts of a finding: that it is there, that it is not, or nothing.

The same clauses and words as the facts': a clause is about the findings that its words name; a text that names none is
about what was asked only if every word of it can be ("yes", "two", "in the lower-left", "none visible").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from gi_bench.harness.reading.clauses import Clause, clauses, settled
from gi_bench.harness.reading.readers import leading_particle, says_normal
from gi_bench.harness.reading.removal import removal_status
from gi_bench.harness.reading.vocabulary import (
    COLOURS,
    EXISTS,
    KINDS,
    LESION,
    MIDDLE,
    NAMES_FINDING,
    NUMBERS,
    SIDE,
    VAGUE,
    VERTICAL,
    bare,
)

_OF_REMOVAL = re.compile(r"remov|resect|remain|residual|excis|polypectom")
_LEFT = re.compile(r"\b(?:residual|remain\w*|left|still|unremoved|unresected|persist\w*)\b")
# What a text that names nothing has to say to assert: that there is something, how many, where, how large.
_TELLS = re.compile(
    r"\b(?:yes|yeah|yep|true|correct|positive|affirmative|absolutely|definitely|certainly|indeed|present|visible|"
    r"identified|"
    r"detected|observed|noted|seen|found|visuali[sz]ed|located|evident|apparent|exists?|discernible|positioned|"
    r"situated|scattered|"
    rf"distributed|spread|throughout|regions?|areas?|quadrants?|size_\w+|paris_\w+|\d+|{'|'.join(NUMBERS)}|"
    rf"{VERTICAL}|{SIDE}|"
    rf"{MIDDLE}|there$|large|small)\b|{VAGUE.pattern}"
)
_COLOUR = re.compile(rf"\b(?:{'|'.join(COLOURS.values())})\b")
_ASKS_COLOUR = re.compile(r"colou?r|hue|shade|tint|tone|pigment|look|appear")
_ONLY_DIGITS = re.compile(r"\d+(?:\W+\d+)+")  # "12:30" is no count
# "Apart from text, nothing is visible", "only a tube is seen, nothing else": whatever is not named is not there.
_NOTHING_ELSE = re.compile(
    r"^(?:there (?:is|are|was|were) |with |and |shows? |can )*(?:nothing|no other (?:findings?|things?|objects?|"
    r"structures?|features?))(?: (?:else|more|further|other))?(?: (?:is|was|are|were|can be|to be))*"
    rf"(?: {EXISTS.pattern})*(?: (?:in|on|within) .*)?$"
)
_MORE_OF_THEM = re.compile(r"\b(?:other|additional|further)\b")


@lru_cache(maxsize=65_536)
def asserts(answer: str, finding: str, question: str = "") -> bool | None:
    """Whether an answer says that a finding is there.

    Args:
        answer: free text of a model or a reference.
        finding: ``polyp``, ``abnormality``, ``instrument``, ``landmark``, ``text`` or ``box artifact``.
        question: the question; an answer that names no finding is taken to be about it.

    Returns:
        True if the finding is asserted, False if it is denied, None if the text does not tell.

    Raises:
        KeyError: an unknown finding.

    >>> asserts("A small polyp is seen.", "polyp"), asserts("There are no polyps.", "polyp")
    (True, False)
    >>> asserts("Yes", "text", "Is there any text?")
    True
    >>> asserts("Hard to say.", "polyp") is None
    True
    """
    noun = NAMES_FINDING[finding]
    parts = clauses(answer)
    sure = settled(parts, noun, whichever=True)
    if sure is None:
        # "One polyp, possibly two": what is sure may still assert.
        certain = [part for part in parts if not part.hedged and not part.alternative and noun.search(part.text)]
        return True if any(not part.denies(noun) for part in certain) else None
    if finding == "polyp" and (verdict := _removal(sure, question.lower())) is not None:
        return verdict
    named = [part for part in sure if noun.search(part.text)]
    if any(not part.denies(noun) for part in named):
        return True
    if named:
        return None if all(_MORE_OF_THEM.search(part.text) for part in named) else False
    if any(_NOTHING_ELSE.fullmatch(part.text) for part in sure):
        return False
    if finding in ("abnormality", "polyp") and says_normal(sure) and not any(LESION.search(p.text) for p in sure):
        return False
    return _unnamed(sure, noun, question.lower())


def _unnamed(parts: Sequence[Clause], noun: re.Pattern[str], question: str) -> bool | None:
    """The verdict of a text that does not name the finding."""
    asked = noun.search(question) is not None
    others = any(kind.search(part.text) for part in parts for kind in KINDS)
    if others and not asked:
        return None
    if (leading := leading_particle(parts)) is not None:
        return leading
    if not all(bare(part.text) for part in parts) or _ONLY_DIGITS.fullmatch(" ".join(part.text for part in parts)):
        return None
    if any(part.denied for part in parts):
        return False
    text = " ; ".join(part.text for part in parts)
    coloured = _COLOUR.search(text) is not None and (not question or _ASKS_COLOUR.search(question) is not None)
    return True if coloured or _TELLS.search(text) else None


def _removal(parts: Sequence[Clause], question: str) -> bool | None:
    """Answers about the removal of polyps: "not removed" asserts a polyp, "not relevant" denies it."""
    text = " ; ".join(part.text for part in parts)
    if not parts or not _OF_REMOVAL.search(text + " " + question):
        return None
    status = removal_status(parts, text)
    if status is None and all(bare(part.text) for part in parts) and _OF_REMOVAL.search(question):
        if not _LEFT.search(question) and re.match(r"(?:no|not|false)\b(?! (?:relevant|applicable))", text):
            return True  # "Have all polyps been removed?" "No"
        return None
    return None if status is None else status != "not relevant"
