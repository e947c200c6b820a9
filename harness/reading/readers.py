"""One reader per question class: what a free text states, or None where it states nothing of that kind.

Readers know the domain's words, not a model's habits. A text that is less precise than the atomic answer ("multiple
regions", "several colours", "two to three polyps") or leaves it open ("possibly a polyp") is not read: an evaluation
must not guess what a model may have meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from gi_bench.harness.reading.clauses import Clause, clauses, settled
from gi_bench.harness.reading.counts import count_of, number_in
from gi_bench.harness.reading.places import cells_of, colours_of
from gi_bench.harness.reading.removal import removal_status
from gi_bench.harness.reading.sizes import BETWEEN_BINS, SIZES
from gi_bench.harness.reading.values import Value
from gi_bench.harness.reading.vocabulary import (
    ABNORMALITIES,
    BOX,
    COLOURS,
    FINDING,
    FINDINGS,
    INSTRUMENT,
    INSTRUMENTS,
    KINDS,
    LANDMARK,
    LANDMARKS,
    LESION,
    MIDDLE,
    NORMAL,
    POLYP,
    SIDE,
    TEXT,
    VERTICAL,
    bare,
)

_Reader = Callable[[Sequence[Clause], tuple[str, ...]], "Value | None"]


def read(answer: str, slug: str, asked: Sequence[str] = ()) -> Value | None:
    """The value that a text states for one question class.

    Args:
        answer: free text of a model or a reference.
        slug: question class.
        asked: all classes that the question asks about; a bare "none" or "two" is read only where one was asked.

    Returns:
        A value as :func:`gi_bench.harness.reading.values.atomic_value` gives it; None if the text does not state one.

    Raises:
        KeyError: an unknown class.

    >>> read("two polyps, one of 8 mm", "polyp_count"), read("no polyps", "polyp_count")
    (2, 0)
    >>> read("two", "polyp_count", ["polyp_count", "text_presence"]) is None
    True
    >>> sorted(read("in the upper left and the centre", "abnormality_location"))
    ['center', 'upper-left']
    """
    return _read(answer, slug, tuple(asked) or (slug,))


@lru_cache(maxsize=262_144)
def _read(answer: str, slug: str, asked: tuple[str, ...]) -> Value | None:
    reader, about = _READERS[slug]
    sure = settled(clauses(answer), about, whichever=slug in _WHICHEVER)
    return None if sure is None else reader(sure, asked)


def _whole(parts: Sequence[Clause]) -> str:
    """The clauses again as one text, statements apart by semicolons and members of enumerations by commas."""
    return "".join((" ; " if part.joint == "end" else " , ") + part.text for part in parts).lstrip(" ;,")


def _mentions(parts: Sequence[Clause], noun: re.Pattern[str]) -> list[Clause]:
    return [part for part in parts if noun.search(part.text)]


def _alone(asked: tuple[str, ...], parts: Sequence[Clause]) -> bool:
    """Whether the text can only be about the one class asked: it names nothing at all ("none", "2", "yes, visible")."""
    return len(asked) == 1 and all(bare(part.text) for part in parts)


def _denies(parts: Sequence[Clause], noun: re.Pattern[str], asked: tuple[str, ...]) -> bool:
    """Whether every mention of a noun is denied, or a text of one class denies without a noun."""
    named = _mentions(parts, noun)
    if named:
        return all(part.denies(noun) for part in named)
    return _alone(asked, parts) and any(part.denied for part in parts)


_YES = re.compile(r"\b(?:yes|yeah|yep|true|positive|present|visible)\b")


def _particle(parts: Sequence[Clause], asked: tuple[str, ...]) -> str | None:
    """``yes`` or ``no`` of a text about the one class asked that does not name it: "no", "none visible"."""
    if len(asked) != 1:
        return None
    if (leading := leading_particle(parts)) is not None:
        return "yes" if leading else "no"
    if not _alone(asked, parts):
        return None
    if any(part.denied for part in parts):
        return "no"
    return "yes" if _YES.search(_whole(parts)) else None


def leading_particle(parts: Sequence[Clause]) -> bool | None:
    """Whether an answer begins with a "yes" or a "no" that stands alone: "No, the picture shows something else"."""
    first = parts[0].text if parts else ""
    return (
        True if first in ("yes", "yeah", "yep", "true") else False if first in ("no", "nope", "nah", "false") else None
    )


def _yes_no(noun: re.Pattern[str]) -> _Reader:
    def reader(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
        named = _mentions(parts, noun)
        if named:
            return "no" if all(part.denies(noun) for part in named) else "yes"
        return _particle(parts, asked)

    return reader


_OF_TISSUE = re.compile(
    r"\b(?:mucosa\w*|tissue|colon\w*|bowel|stomach|o?esophagus|tract|image|picture|frame|examination|gastroscop\w*|"
    r"endoscop\w*|appearance|vascular|anatomy|everything|all)\b"
)


def says_normal(parts: Sequence[Clause]) -> bool:
    """Whether a clause calls what is seen normal; "a normal z-line" calls only the landmark so."""
    return any(
        NORMAL.search(part.text) is not None
        and not part.denied
        and not any(kind.search(part.text) for kind in KINDS)
        and (bare(part.text) or _OF_TISSUE.search(part.text) is not None)
        for part in parts
    )


def _finding_presence(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
    named = _mentions(parts, LESION)
    if named:
        return "no" if all(part.denies(LESION) for part in named) else "yes"
    return "no" if says_normal(parts) else _particle(parts, asked)


def _count(noun: re.Pattern[str], kinds: Mapping[str, str] | None = None) -> _Reader:
    patterns = [re.compile(rf"\b(?:{words})\b") for words in (kinds or {}).values()]

    def reader(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
        """How many of the noun a text states; a bare number counts where nothing else was asked."""
        if _mentions(parts, noun):
            return count_of(parts, noun, patterns)
        if noun is FINDINGS and says_normal(parts) and not _mentions(parts, LESION):
            return 0
        if not _alone(asked, parts):
            return None
        number = number_in(" , ".join(part.text for part in parts))
        if any(part.denied for part in parts):
            return 0 if number in (None, 0) else None
        return number

    return reader


_MORE_OF_THEM = re.compile(r"\b(?:other|additional|further)\b")


def _named_set(names: Mapping[str, str], noun: re.Pattern[str]) -> _Reader:
    patterns = {name: re.compile(rf"\b(?:{words})\b") for name, words in names.items()}

    def reader(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
        """The names that a text states; none where it denies the noun."""
        found = {name for name, p in patterns.items() for part in parts if p.search(part.text) and not part.denies(p)}
        if found:
            return frozenset(found)
        generic = [part for part in _mentions(parts, noun) if not _MORE_OF_THEM.search(part.text)]
        plain = [part for part in generic if not any(p.search(part.text) for p in patterns.values())]
        if plain and all(part.denies(noun) for part in generic):
            return frozenset()
        if not generic and _alone(asked, parts) and any(part.denied for part in parts):
            return frozenset()
        if noun is FINDING and not generic and says_normal(parts):
            return frozenset()
        return None

    return reader


_SIZE = re.compile(r"\bsize_\w+")


def _size(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
    found = {token for part in parts if not part.denies(_SIZE) for token in _SIZE.findall(part.text)}
    if found:
        return None if BETWEEN_BINS in found else frozenset(SIZES[token] for token in found)
    if _mentions(parts, _SIZE):
        return None  # "no polyp larger than 20 mm"
    return frozenset() if _denies_polyp(parts, asked) else None


_PARIS = re.compile(r"\bparis_(is|ip|iia)\b")


def _type(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
    found = {f"paris {name}" for part in parts if not part.denies(_PARIS) for name in _PARIS.findall(part.text)}
    if found:
        return frozenset(found)
    if _mentions(parts, _PARIS):
        return None
    return frozenset() if _denies_polyp(parts, asked) else None


_SOMETHING_ELSE = re.compile(r"remov|resect|residual|remain|\b(?:status|type|size|classification|measurement)\b")


def _denies_polyp(parts: Sequence[Clause], asked: tuple[str, ...]) -> bool:
    """Whether a text says that there is no polyp; "no residual polyps" and "not removed" say something else."""
    named = [part for part in _mentions(parts, POLYP) if not _SOMETHING_ELSE.search(part.text)]
    if named:
        return all(part.denies(POLYP) for part in named)
    return _alone(asked, parts) and any(part.denied for part in parts)


def _removal(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
    text = _whole(parts)
    found = removal_status(parts, text)
    leading = leading_particle(parts) if len(asked) == 1 else None
    return found if found is not None or leading is None else "yes" if leading else "no"


_LOWER = r"colonoscop\w*|lower (?:gi |gastrointestinal )?endoscop\w*|sigmoidoscop\w*"
_UPPER = (
    r"(?:o?esophago)?gastro(?:duodeno)?scop\w*|upper (?:gi |gastrointestinal |digestive )?endoscop\w*|[eo]gd|"
    r"o?esophagoscop\w*"
)
_PROCEDURES = {
    "colonoscopy": re.compile(rf"(?<!not )(?<!not a )(?<!rather than a )(?<!no )\b(?:{_LOWER})\b"),
    "gastroscopy": re.compile(rf"(?<!not )(?<!not a )(?<!rather than a )(?<!no )(?<!not an )\b(?:{_UPPER})\b"),
}


def _procedure(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
    text = _whole(parts)
    found = [name for name, pattern in _PROCEDURES.items() if pattern.search(text)]
    return found[0] if len(found) == 1 else None


_COLOUR_WORDS = re.compile(rf"\b(?:{'|'.join(COLOURS.values())})\b")
_COLOURLESS = re.compile(r"\bto describe\b")


def _colours(
    noun: re.Pattern[str], others: Sequence[re.Pattern[str]], denied: re.Pattern[str] | None = None
) -> _Reader:
    def reader(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
        """The colours of the noun; none where a text says that it is not there."""
        found = colours_of(_whole([part for part in parts if not part.denied]), noun, others)
        if found is not None or _mentions([part for part in parts if part.denied], _COLOUR_WORDS):
            return found  # "neither pink nor red" gives none
        if _denies(parts, denied or noun, asked) and _denies(parts, noun, asked):
            # Beside other questions references say "no abnormality" of frames whose abnormality has a colour.
            plain = len(asked) == 1 or any(_COLOURLESS.search(part.text) for part in _mentions(parts, noun))
            return frozenset() if plain else None
        return None

    return reader


_PLACE_WORDS = re.compile(rf"\b(?:{VERTICAL}|{SIDE}|{MIDDLE})\b")
_PLACED = re.compile(r"\b(?:regions?|areas?|located|locations?)\b")


def _cells(noun: re.Pattern[str], others: Sequence[re.Pattern[str]], denied: re.Pattern[str] | None = None) -> _Reader:
    def reader(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
        """The grid cells that the noun lies in; none where a text says that it is not there."""
        named = _mentions(parts, noun)
        found = cells_of(_whole([part for part in parts if not part.denied]), noun, others)
        if found is not None and not named:
            return found  # "not in the center but in the lower-left"
        # "No lesion in the center" leaves the other cells open.
        if any(_PLACED.search(p.text) or _PLACE_WORDS.search(p.text) for p in named or parts):
            return found
        absent = _denies(parts, denied or noun, asked) and _denies(parts, noun, asked)
        return frozenset() if absent else found

    return reader


def _any(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})\b")


# Classes for which "text or labels" says enough.
_WHICHEVER = ("text_presence", "box_artifact_presence", "finding_presence")
# The reader of a class, and what a clause has to name so that its doubt is one about the class.
_READERS: dict[str, tuple[_Reader, re.Pattern[str]]] = {
    "abnormality_color": (_colours(LESION, (INSTRUMENT, LANDMARK, BOX), denied=FINDING), _COLOUR_WORDS),
    "abnormality_location": (_cells(LESION, (INSTRUMENT, LANDMARK, TEXT, BOX), denied=FINDING), _PLACE_WORDS),
    "abnormality_presence": (_named_set(ABNORMALITIES, FINDING), LESION),
    "box_artifact_presence": (_yes_no(BOX), BOX),
    "finding_count": (_count(FINDINGS), FINDINGS),
    "finding_presence": (_finding_presence, LESION),
    "instrument_count": (_count(INSTRUMENT, INSTRUMENTS), INSTRUMENT),
    "instrument_location": (_cells(INSTRUMENT, (LESION, LANDMARK, TEXT, BOX)), _PLACE_WORDS),
    "instrument_presence": (_named_set(INSTRUMENTS, INSTRUMENT), INSTRUMENT),
    "landmark_color": (_colours(LANDMARK, (INSTRUMENT, LESION, BOX)), _COLOUR_WORDS),
    "landmark_location": (_cells(LANDMARK, (LESION, INSTRUMENT, TEXT, BOX)), _PLACE_WORDS),
    "landmark_presence": (_named_set(LANDMARKS, LANDMARK), LANDMARK),
    "polyp_count": (_count(POLYP), POLYP),
    "polyp_removal_status": (_removal, re.compile(rf"{POLYP.pattern}|\b(?:remov|resect|excis)\w*")),
    "polyp_size": (_size, _SIZE),
    "polyp_type": (_type, _PARIS),
    "procedure_type": (_procedure, _any(_LOWER, _UPPER)),
    "text_presence": (_yes_no(TEXT), TEXT),
}
