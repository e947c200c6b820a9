"""How many of a thing a text states: "one snare and one tube" are two instruments, "two to three" is no number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gi_bench.harness.reading.clauses import Clause
from gi_bench.harness.reading.vocabulary import EXISTS, FINDING, FINDINGS, KINDS, LESION, NUMBERS, VAGUE

_WORDS = "|".join(NUMBERS)
_NUMBER = re.compile(rf"(?<![\w.-])(?:(\d{{1,3}})(?![\w%-]|\.\d)|({_WORDS}))(?![\w/+-])(?!\s*(?:\+|to\s|-))")
# Bounds, ranges and estimates are no number.
_INEXACT = re.compile(
    rf"\b(?:at least|at most|more than|less than|fewer than|over|above|about|approximately|approx|around|up to|nearly|"
    rf"roughly|almost|circa|maximum of|minimum of|between|not more than|not just)\s+(?:an? |the )?(?:\d{{1,4}}|"
    rf"{_WORDS})\b|"
    rf"(?:(?<!\d)\d{{1,4}}|\b(?:{_WORDS}))\s*(?:\+|-\s*(?:\d|{_WORDS})|(?:to|or|and/or|through)\s+(?:\d|{_WORDS}|more|"
    rf"fewer)|plus\b)"
)
_MORE_OF_THEM = re.compile(r"\b(?:other|additional|further|extra|more)\b")
_ARTICLE = re.compile(r"\b(?:an?|another)\s(?:pair of )?(?:(?!no\b|not\b)[\w'<>-]+\s){0,4}$")
_ELLIPSIS = re.compile(rf"^(?P<n>\d{{1,2}}|{_WORDS}|another|an? second|the other)\b")


# Nothing but a number and how the thing looks: "one sessile", "there are two small".
_LEADS = re.compile(
    rf"^(?:there (?:is|are) |with )?(?P<n>\d{{1,2}}|{_WORDS})(?: (?!in\b|at\b|of\b|is\b|are\b)[\w-]+){{1,2}}$"
)


@dataclass(frozen=True)
class _Item:
    """A number that a clause gives to the thing: ``which`` is the noun; ``elliptical`` if it is only implied."""

    number: int
    joint: str
    which: str
    elliptical: bool = False


def number_in(text: str) -> int | None:
    """The one number that a text states; None for none, for two different ones, for ranges and for "several".

    >>> number_in("two polyps, 2 in all"), number_in("zero polyps")
    (2, 0)
    >>> number_in("2 to 3 polyps") is number_in("several polyps") is None
    True
    """
    if _INEXACT.search(text) or VAGUE.search(text):
        return None
    found = {int(m[1]) if m[1] else NUMBERS[m[2]] for m in _NUMBER.finditer(text)}
    return found.pop() if len(found) == 1 else None


def count_of(parts: Sequence[Clause], noun: re.Pattern[str], kinds: Sequence[re.Pattern[str]] = ()) -> int | None:
    """How many of a thing the clauses state.

    Args:
        parts: clauses of a text.
        noun: what names the thing.
        kinds: what names the thing by its kind ("snare"); numbers of different kinds add up.

    Returns:
        The number; None where none, an inexact one or different ones are stated.
    """
    items = [_items(statement, noun, kinds) for statement in _statements(parts)]
    if sum(1 for one in items if one) > 1 and all(item.which for one in items for item in one or ()):
        return _added([item for one in items for item in one or ()])  # "a snare along with a tube"
    totals = {_added(one) if one else 0 for one in items if one is not None} - {None}
    if len(totals) > 1:
        totals.discard(0)
    if not totals:
        return 1 if any(_singular_subject(part, noun) for part in parts) else None
    return totals.pop() if len(totals) == 1 else None


def _statements(parts: Sequence[Clause]) -> list[list[Clause]]:
    found: list[list[Clause]] = []
    for part in parts:
        if part.joint == "end" or not found:
            found.append([])
        found[-1].append(part)
    return found


def _items(statement: Sequence[Clause], noun: re.Pattern[str], kinds: Sequence[re.Pattern[str]]) -> list[_Item] | None:
    """The numbers of one statement; empty where it denies the thing, None where it gives none."""
    items: list[_Item] = []
    denied = False
    for part in statement:
        if noun.search(part.text):
            number = clause_count(part, noun)
            if number == 0:
                denied = True
            elif number is not None:
                items.append(_Item(number, part.joint, _which(part.text, noun, kinds)))
            elif items and part.joint == "and" and _one_more_kind(part, kinds):
                items.append(_Item(1, part.joint, _which(part.text, noun, kinds)))
            if items and part.joint == "and" and part is not statement[0]:
                before = statement[statement.index(part) - 1]
                if (first := _elliptical(before, leading=True)) is not None and not noun.search(before.text):
                    items.insert(-1, _Item(first, before.joint, items[-1].which))  # "one sessile and one flat polyp"
        elif items and (more := _elliptical(part)) is not None:
            items.append(_Item(more, part.joint, items[-1].which, elliptical=True))
    return items if items or denied else None


def _one_more_kind(part: Clause, kinds: Sequence[re.Pattern[str]]) -> bool:
    """ "a snare and tube": the article stands before both."""
    named = [match for kind in kinds for match in kind.finditer(part.text)]
    return bool(named) and not part.denied and not VAGUE.search(part.text) and _singular(named[0].group())


def _singular(noun: str) -> bool:
    return not noun.endswith("s") or noun.endswith("forceps")


def _which(text: str, noun: re.Pattern[str], kinds: Sequence[re.Pattern[str]]) -> str:
    named = [kind.pattern for kind in kinds if kind.search(text)]
    match = noun.search(text)
    assert match is not None
    return named[0] if named else ""


def _elliptical(part: Clause, leading: bool = False) -> int | None:
    """ "... and one in the center": a number whose noun is the one before; ``leading``, the one behind."""
    match = (_LEADS if leading else _ELLIPSIS).match(part.text)
    if match is None or part.denied or any(kind.search(part.text) for kind in KINDS):
        return None
    if part.joint == "end" and not leading:
        return None
    return NUMBERS.get(match["n"], int(match["n"]) if match["n"].isdigit() else 1)


def _added(items: Sequence[_Item]) -> int | None:
    generic = {item.number for item in items if not item.which and not item.elliptical}
    specific = [item for item in items if item.which]
    if specific and len(specific) == len(items):
        # Kinds: each counts once, however often the statement comes back to it.
        by_kind = {(item.which, item.number) for item in specific}
        if len({which for which, _ in by_kind}) < len(by_kind):
            return None
        return sum(number for _, number in by_kind)
    if specific and len(generic) == 1:
        return generic.pop()  # "two instruments, one snare and one tube"
    first, rest = items[0], items[1:]
    listed = any(item.joint == "and" for item in rest)
    if first.number > 1 and rest and sum(item.number for item in rest) <= first.number:
        return first.number  # "two polyps, one in the center and one in the lower-left"
    if listed or any(item.elliptical for item in rest):
        return sum(item.number for item in items)
    return first.number if len({item.number for item in items}) == 1 else None


def clause_count(part: Clause, noun: re.Pattern[str]) -> int | None:
    """Count of a noun in one clause: the last number before it, or the first behind it ("polyps counted: 2")."""
    match = noun.search(part.text)
    assert match is not None
    before, behind = part.text[: match.start()], part.text[match.end() :]
    if part.denies(noun):
        return None if _MORE_OF_THEM.search(part.text) or re.search(r"\bspecific\b", part.text) else 0
    if _MORE_OF_THEM.search(before) and not re.search(r"\bone more\b|\banother\b", before):
        return None
    if _INEXACT.search(before) or _INEXACT.match(behind.lstrip()):
        return None
    numbers = list(_NUMBER.finditer(before))
    if numbers:
        between = before[numbers[-1].end() :]
        if not VAGUE.search(between) and not _of_another_kind(between, noun):
            if re.search(r"\b(?:pair|couple)$", before[: numbers[-1].end()]) and "forceps" in part.text:
                return 1
            return number_in(numbers[-1].group())
    if VAGUE.search(before):
        return None
    told = re.search(rf"\b(?:count|number|total)\b.{{0,20}}?\b(\d{{1,2}}|{_WORDS})\b", behind)
    if told:
        return number_in(told[1])
    if re.search(r"\b(?:count|number|total)\b", before):
        told = re.match(rf"(?: \w+){{0,5}} (?:is|are|was|were|equals|:|=) (\d{{1,3}}|{_WORDS})\b", behind)
        return number_in(told[1]) if told else None
    if _ARTICLE.search(before) and _singular(match.group()):
        return 1
    return None


def _of_another_kind(text: str, noun: re.Pattern[str]) -> bool:
    own = {noun, FINDING, LESION} if noun is FINDINGS else {noun}
    return any(kind.search(text) for kind in KINDS if kind not in own)


def _singular_subject(part: Clause, noun: re.Pattern[str]) -> bool:
    """Telegram style: "polyp seen" is one polyp, as "a polyp is seen" is; "polyps seen" is no number."""
    match = noun.match(part.text)
    if match is None or part.denied or not _singular(match.group()):
        return False
    return re.match(rf" (?:is |was )?{EXISTS.pattern}", part.text[match.end() :]) is not None
