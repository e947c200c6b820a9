"""Cuts an answer into clauses and tells which of them deny, and which leave open.

"No polyps, landmarks, or instruments are visible, but text is present" has four clauses, three of them denied: a
negation before an enumeration carries over to its members, and ends where a clause has a verb or a number of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from gi_bench.harness.reading.canonical import canonical
from gi_bench.harness.reading.vocabulary import DENIED_BEHIND, EXISTS, HEDGE, KINDS, NEGATION, NUMBERS, bare

# A clause that begins so denies what follows and the members of an enumeration behind it. What may stand before the
# negation are words that only introduce ("the image shows no ..."): "polyps without bleeding, tube" carries nothing.
_INTRODUCES = (
    r"(?:there|it|this|that|the|an?|image|picture|frame|photo\w*|field|of|view|scan|\w*endoscop\w*|\w*colonoscop\w*|"
    r"gastroscop\w*|examination|procedure|patient'?s?|colon|study|i|we|one|can|could|is|are|was|were|be|in|and|but|or|"
    r"with|showing|shows?|showed|reveal(?:s|ed)?|contain(?:s|ed)?|has|have|had|sees?|seen|demonstrate[sd]?|"
    r"display(?:s|ed)?|appears?|to|clearly|also|yes|answer|given|provided|currently)"
)
_LEADING = re.compile(
    rf"^(?:{_INTRODUCES} )*(?:no(?= \w)|none of|without|neither|zero|free (?:of|from)|lack(?:s|ing)?|devoid of|"
    rf"negative for|"
    r"absence of|(?:do|does|did) not(?: appear to)? \w+|fail(?:s|ed|ing)? to \w+|cannot (?:see|identify|detect|find|"
    r"observe)|"
    r"not (?:any|show\w*|contain\w*|reveal\w*|include\w*|see\w*|detect\w*|have|having))\b"
)
_NEITHER = re.compile(r"\bneither\b")
_OWN = re.compile(
    r"\b(?:is|are|was|were|has|have|shows?|an?|the|one|two|three|four|five|six|single|multiple|several|some|evidence|"
    r"presence|yes|only|just|positive|normal|healthy|unremarkable|intact|remains?|classified|classification|"
    r"measur\w*|greater|larger|smaller|less|"
    r"size_\w+|of (?:[\w-]+ (?:and )?){1,4}colou?r|in (?:the )?"
    r"(?:upper|lower|center|central|left|right|top|bottom)|(?:positioned|located|situated|placed|lying|lies) (?:in|"
    r"at|within|on|near))\b"
)
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|shows?|reveals?|contains?|can|does|do)\b")
# "no text visible, one polyp": a denial that is closed by one of these behind its noun does not carry further.
_PARTICIPLE = re.compile(
    r"\b(?:present|visible|identified|identifiable|detected|detectable|observed|noted|seen|found|visuali[sz]ed|located|"
    r"appreciated|shown|evident|in the (?:image|field|frame)|to (?:locate|measure|remove|classify|describe|report))\b"
)
_BEFORE_NOUN = re.compile(
    r"\b(?:no|any|without)(?: (?:clearly|other))? (?:present|visible|identified|identifiable|detected|observed|noted)\b"
)
_EXCEPT = (
    r"\b(?:except(?:ing)?(?: for)?|apart from|aside from|other than|save for|besides|with the exception of|"
    r"excluding(?= an?\b| one\b))\b"
)
_JOINTS = re.compile(
    # What a joint begins with, so that most places are passed over at once.
    r"(?:(?=[.;:!?,])|\b(?=[abehnostw]))(?:"
    rf"(?P<except>{_EXCEPT})|"
    r"(?P<end>[.;:!?](?!\d)|\bbut\b(?: also\b)?|\bhowever\b|\balthough\b|\bthough\b|\bwhile\b|\bwhereas\b|"
    r"\balong with\b|"
    r"\balongside\b|\btogether with\b|\bwith\b(?! (?:the |an? )?(?:naked|certain|confiden))|\bshowing\b|"
    # "A red polyp that has not been removed" is red, and there.
    r"(?=\bwithout\b)|(?=\b(?:that|which) (?:has|have|is|are|was|were) not (?:been )?(?:\w+ly )?"
    rf"(?!(?:been )?(?:{EXISTS.pattern}))))|"
    r"(?P<comma>,(?!\d)(?:\s*(?P<and1>and|or|nor)\b)?)"
    r"|(?P<and2>\b(?:and|or|nor)\b))"
)
# "size unknown" leaves the size open, not the thing before it.
_ATTRIBUTE = re.compile(r"\b(?:sizes?|types?|locations?|positions?|colou?rs?|class\w*|numbers?|counts?)\b")
# A question that a text repeats states nothing.
_QUESTION = re.compile(r"(?:^|(?<=[.;!?]))[^.;!?]*\?+")
_EXCEPTED_NUMBER = re.compile(rf"^(?:(?:an?|the|just|only) )?(?:[a-z]+ ){{0,2}}?(?P<n>\d{{1,2}}|{'|'.join(NUMBERS)})\b")
_PLACE = re.compile(r"\b(?:in|at|on|near|within|of)\b")


@dataclass(frozen=True)
class Clause:
    """Part of an answer, canonical.

    Attributes:
        text: the words.
        denied: a negation of its own or of its enumeration covers it.
        joint: what stands before it: ``end`` (a new statement), ``comma`` (also "comma and"), ``and``, ``or`` or
            ``except``.
        carried: the negation stands before the enumeration, not in the clause itself.
        hedged: it leaves open whether it is so ("possibly a polyp", "cannot rule out text").
        alternative: it is one of several of which the text leaves open which ("a tube or a snare").
    """

    text: str
    denied: bool
    joint: str = "end"
    carried: bool = False
    hedged: bool = False
    alternative: bool = False

    def denies(self, noun: re.Pattern[str]) -> bool:
        """Whether it denies the thing that a noun in it names, and not something else about the thing."""
        if self.carried:
            return True
        return self.denied and any(_denied_at(self.text, m.start(), m.end()) for m in noun.finditer(self.text))


_NOT_THERE = re.compile(r"\b(?:is|are|was|were)\s+(?:all |both |each )?(?:not|absent|missing|invisible|undetected)\b")
# "no snare around the polyp": the polyp is there.
_ABOUT_A_KNOWN = re.compile(
    r"\b(?:on|from|around|near|behind|over|at|in|beside|beneath|next to|adjacent to|within|(?:bleed|ulcerat|inflam|"
    r"remov|swell|perforat|ero|narrow|discolo|stalk)\w* of)"
    r"(?: the| this| that| these) (?:\w+ )?$"
)
_OF_A_DENIAL = re.compile(r"\b(?:evidence|signs?|presence|trace|indication|part|view|sight|any) of(?: the)? (?:\w+ )?$")


def _denied_at(text: str, start: int, end: int) -> bool:
    """Whether a negation in the text covers the noun at ``start:end``."""
    before = text[:start]
    if NEGATION.search(before):
        return not (_ABOUT_A_KNOWN.search(before) and not _OF_A_DENIAL.search(before))
    return DENIED_BEHIND.search(text[end:]) is not None or NEGATION.search(text[start:end]) is not None


@lru_cache(maxsize=65_536)
def clauses(text: str) -> tuple[Clause, ...]:
    """Clauses of a text in order; the text becomes canonical first. Questions in it are left out."""
    written = canonical(text)
    pieces = _pieces(_QUESTION.sub(" ; ", written) if "?" in written else written)
    found: list[Clause] = []
    carried = False
    for i, (joint, piece) in enumerate(pieces):
        own = _signs(piece).negation
        if joint == "but" and found and found[-1].denied:
            piece = _with_noun(piece, found[-1].text)  # "no polyps but one"
        joint = {"but": "end", "comma and": "comma"}.get(joint, joint)
        if joint in ("end", "except") or (joint != "or" and carried and _stands_alone(pieces[i - 1][1], piece)):
            carried = False
        denied = own or carried
        signs = _signs(piece)
        if not own and not carried and not signs.own and not signs.participle:
            denied = carries_back = _denied_later(pieces, i)
        else:
            carries_back = False
        if joint == "except" and found:
            denied, carried, piece = found[-1].denied is False, False, _with_noun(piece, found[-1].text)
            own = False
        found.append(Clause(piece, denied, joint, carried=(carried or carries_back) and not own))
        carried = joint != "except" and (carried or _signs(piece).leading or _neither(pieces, i))
    return _hedged(found)


@dataclass(frozen=True, slots=True)
class _Signs:
    """What a piece holds of the words above; pieces repeat far more often than texts."""

    negation: bool
    own: bool
    participle: bool
    closed: bool
    leading: bool
    neither: bool
    hedge: bool
    verb: bool


@lru_cache(maxsize=65_536)
def _signs(piece: str) -> _Signs:
    return _Signs(
        negation=NEGATION.search(piece) is not None,
        own=_OWN.search(piece) is not None,
        participle=_PARTICIPLE.search(piece) is not None,
        # Whether a denial ends behind its noun: "no text visible", but not "no visible text".
        closed=_PARTICIPLE.search(_BEFORE_NOUN.sub("no", piece)) is not None,
        leading=_LEADING.search(piece) is not None,
        neither=_NEITHER.search(piece) is not None,
        hedge=HEDGE.search(piece) is not None,
        verb=_VERB.search(piece) is not None,
    )


def _neither(pieces: Sequence[tuple[str, str]], i: int) -> bool:
    return _signs(pieces[i][1]).neither and i + 1 < len(pieces) and pieces[i + 1][0] == "or"


def _with_noun(piece: str, before: str) -> str:
    """An exception that is a mere number, with the noun that it counts: "no polyps except one" excepts one polyp."""
    number = _EXCEPTED_NUMBER.match(piece)
    if number is None or any(kind.search(_PLACE.split(piece)[0]) for kind in KINDS):
        return piece
    nouns = [m.group() for kind in KINDS for m in kind.finditer(before)]
    return f"{number['n']} {nouns[-1]} {piece[number.end() :]}" if nouns else piece


def _hedged(parts: Sequence[Clause]) -> tuple[Clause, ...]:
    """Marks what is left open: a clause with a hedge, members behind it, what a bare hedge refers to; alternatives."""
    found: list[Clause] = []
    open_still = False
    for part in parts:
        signs = _signs(part.text)
        hedge = signs.hedge
        ends = part.joint in ("end", "except") or (part.joint == "comma" and not bare(part.text))
        if ends or signs.verb:
            open_still = False
        open_still = open_still or hedge
        refers_back = hedge and part.joint != "end" and not _ATTRIBUTE.search(part.text)
        if found and refers_back and bare(HEDGE.sub(" it ", part.text)):
            found[-1] = replace(found[-1], hedged=True)
        alternative = _is_alternative(part, found)
        if alternative:
            found[-1] = replace(found[-1], alternative=True)
        found.append(replace(part, hedged=open_still, alternative=alternative) if open_still or alternative else part)
    return tuple(found)


def _is_alternative(part: Clause, before: Sequence[Clause]) -> bool:
    """ "A tube or a snare"; "one or more" is a bound and "no tube or snare" denies both."""
    return (
        part.joint == "or"
        and bool(before)
        and not part.denied
        and not before[-1].denied
        and not part.text.startswith(("more", "fewer", "less"))
    )


def settled(parts: Sequence[Clause], about: re.Pattern[str], *, whichever: bool = False) -> list[Clause] | None:
    """The clauses that state something for sure; None where the text leaves open what it is asked about.

    Args:
        parts: clauses of a text.
        about: what a clause names that is about the thing asked.
        whichever: alternatives that are all about the thing state it ("text or labels are visible").
    """
    if not any(part.hedged or part.alternative for part in parts):
        return list(parts) or None
    sure = [part for part in parts if not part.hedged]
    if any(part.hedged and about.search(part.text) for part in parts):
        return None
    if not any(part.alternative for part in sure):
        return sure or None
    groups: list[list[Clause]] = []
    for part in sure:
        if part.alternative:
            groups = groups if part.joint == "or" and groups else [*groups, []]
            groups[-1].append(part)
    dropped = [
        part for group in groups if not (whichever and all(about.search(part.text) for part in group)) for part in group
    ]
    sure = [part for part in sure if part not in dropped]
    if any(about.search(part.text) for part in dropped) and not any(about.search(part.text) for part in sure):
        return None
    return sure or None


def _pieces(text: str) -> list[tuple[str, str]]:
    """(joint before, piece); joints as in :class:`Clause`, and ``but``."""
    pieces: list[tuple[str, str]] = []
    joint, start = "end", 0
    for match in _JOINTS.finditer(text):
        word = match["and1"] or match["and2"]
        after = (
            "except" if match["except"] is not None
            else "but" if (match["end"] or "").startswith("but")
            else "end" if match["end"] is not None
            else "or" if word in ("or", "nor") else "and" if word else "comma"
        )  # fmt: skip
        if match["comma"] is not None and after == "and":
            after = "comma and"
        piece = text[start : match.start()].strip(" '\"-")
        if piece:
            pieces.append((joint, piece))
            joint = after
        elif after in ("end", "but", "except"):
            joint = after
        start = match.end()
    if text[start:].strip(" '\"-"):
        pieces.append((joint, text[start:].strip(" '\"-")))
    return pieces


def _stands_alone(before: str, piece: str) -> bool:
    """Whether a clause behind a denied one makes a statement of its own."""
    mine, earlier = _signs(piece), _signs(before)
    return mine.own or earlier.closed or (earlier.participle and mine.closed)


def _mere_noun(piece: str) -> bool:
    """Whether a piece can be a member of "polyps, text and instruments are absent"."""
    return len(piece.split()) <= 2 and any(kind.search(piece) for kind in KINDS)


def _denied_later(pieces: list[tuple[str, str]], i: int) -> bool:
    """Whether a bare enumeration ends in a denial behind the noun: "text and instruments are not visible"."""
    for joint, piece in pieces[i + 1 :]:
        if joint in ("end", "but", "except") or (joint.startswith("comma") and not _mere_noun(pieces[i][1])):
            return False
        signs = _signs(piece)
        if signs.own or signs.participle:
            # Behind a mere comma it is a statement of its own: "polyp, text is absent".
            return joint != "comma" and _NOT_THERE.search(piece) is not None
        if signs.negation:
            return False
    return False
