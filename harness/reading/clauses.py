"""Cuts an answer into clauses and tells which of them deny.

"No polyps, landmarks, or instruments are visible, but text is present" has four clauses, three of them denied: a
negation before an enumeration carries over to its members, and ends where a clause has a verb or a number of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

NEGATION = re.compile(
    r"\b(?:no|not|none|non|without|absent|absence|negative|never|neither|nor|zero|lack\w*|free of|nil|0|"
    r"unremarkable|devoid|cannot|nothing|undetect\w*|unidentif\w*|n/a|excluded|exclude\w*|invisible|"
    r"(?:is|are|do|does|was|were|has|have)n't)\b"
)
_LEADING = re.compile(
    r"^(?:there (?:is|are|was|were) |(?:with|showing|shows?|and|but|or) )*(?:no|without|neither|zero)\b"
)
_OWN = re.compile(
    r"\b(?:is|are|was|were|has|have|shows?|an?|the|one|two|three|four|five|six|single|multiple|several|some|evidence|"
    r"presence|yes|remains?|classified|classification|measur\w*|greater|larger|smaller|less)\b"
)
# "no text visible, one polyp": a denial that is closed by one of these behind its noun does not carry further.
_PARTICIPLE = re.compile(
    r"\b(?:present|visible|identified|detected|observed|noted|seen|found|visuali[sz]ed|located|appreciated|shown|"
    r"in the (?:image|field|frame)|to (?:locate|measure|remove|classify|describe|report))\b"
)
_BEFORE_NOUN = re.compile(
    r"\b(?:no|any|without)(?: (?:clearly|other))? (?:present|visible|identified|detected|observed|noted)\b"
)
_JOINTS = re.compile(
    r"(?P<end>[.;:!?](?!\d)|\bbut\b|\bhowever\b|\balthough\b|\bthough\b|\bwhile\b|\bwhereas\b|\balong with\b|"
    r"\balongside\b|\btogether with\b|\bwith\b|\bshowing\b|(?=\bwithout\b))|"
    r"(?P<comma>,(?!\d)(?:\s*(?P<and1>and|or|nor)\b)?)"
    r"|(?P<and2>\b(?:and|or|nor)\b)"
)


@dataclass(frozen=True)
class Clause:
    """Part of an answer, lower-case.

    Attributes:
        text: the words.
        denied: a negation of its own or of its enumeration covers it.
        joint: what stands before it: ``end`` (a new statement), ``comma`` (also "comma and"), ``and`` or ``or``.
    """

    text: str
    denied: bool
    joint: str = "end"


def normal(text: str) -> str:
    """Lower-case text with one spelling for quotes, dashes and the box artefact."""
    text = " ".join(text.lower().replace("’", "'").replace("–", "-").replace("—", " - ").split())
    return re.sub(
        r"\b(green|black)(?:[\s-]colou?red)?\s*(?:/|-|,|and/or|and|or|&)\s*(?:green|black)\b", "green-black", text
    )


@lru_cache(maxsize=65_536)
def clauses(text: str) -> tuple[Clause, ...]:
    """Clauses of a text in order; the text is normalised first (:func:`normal`)."""
    pieces = _pieces(normal(text))
    found: list[Clause] = []
    carried = False
    for i, (joint, piece) in enumerate(pieces):
        own = NEGATION.search(piece) is not None
        if joint == "end" or (joint != "or" and carried and _stands_alone(pieces[i - 1][1], piece)):
            carried = False
        denied = own or carried
        if not own and not carried and not _OWN.search(piece) and not _PARTICIPLE.search(piece):
            denied = _denied_later(pieces, i)
        found.append(Clause(piece, denied, joint))
        carried = carried or _LEADING.search(piece) is not None
    return tuple(found)


def _pieces(text: str) -> list[tuple[str, str]]:
    """(joint before, piece); joints as in :class:`Clause`."""
    pieces: list[tuple[str, str]] = []
    joint, start = "end", 0
    for match in _JOINTS.finditer(text):
        word = match["and1"] or match["and2"]
        after = "end" if match["end"] is not None else "or" if word in ("or", "nor") else "and" if word else "comma"
        if match["comma"] is not None and after == "and":
            after = "comma"
        piece = text[start : match.start()].strip()
        if piece:
            pieces.append((joint, piece))
            joint = after
        elif after == "end":
            joint = after
        start = match.end()
    if text[start:].strip():
        pieces.append((joint, text[start:].strip()))
    return pieces


def _stands_alone(before: str, piece: str) -> bool:
    """Whether a clause behind a denied one makes a statement of its own."""
    return (
        _OWN.search(piece) is not None or _closed(before) or (_PARTICIPLE.search(before) is not None and _closed(piece))
    )


def _closed(piece: str) -> bool:
    """Whether a denial ends behind its noun: "no text visible", but not "no visible text"."""
    return _PARTICIPLE.search(_BEFORE_NOUN.sub("no", piece)) is not None


def _denied_later(pieces: list[tuple[str, str]], i: int) -> bool:
    """Whether a bare enumeration ends in a denial behind the noun: "text and instruments are not visible"."""
    for joint, piece in pieces[i + 1 :]:
        if joint in ("end", "comma"):
            return False
        if _OWN.search(piece) or _PARTICIPLE.search(piece):
            return re.search(r"\b(?:is|are|was|were)\s+(?:not|absent)\b|n't\b", piece) is not None
    return False
