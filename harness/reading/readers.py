"""One reader per question class: what a free text states, or None where it states nothing of that kind.

Readers know the domain's words, not a model's habits. A text that is less precise than the atomic answer ("multiple
regions", "several colours") is not read: an evaluation must not guess what a model may have meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from harness.reading.clauses import Clause, clauses
from harness.reading.places import cells_of, colours_of
from harness.reading.values import Value

_POLYP = re.compile(r"\b(?:polyp(?!ectom)(?! snare)\w*|adenoma\w*)\b")
_INSTRUMENT = re.compile(
    r"\b(?:instrument\w*|device\w*|tools?|forceps|snares?|tubes?|tubing|(?:metal(?:lic)? |hemo)?clips?|catheter\w*|"
    r"equipment|foreign (?:bod\w+|object\w*)|hardware)\b"
)
_LANDMARK = re.compile(
    r"\b(?:landmarks?|z-?\s?lines?|zline|cecum|cecal|caecum|caecal|ileum|ileal|ileocecal|pylorus|pyloric|"
    r"anatomical (?:structure|feature|reference)\w*|squamocolumnar)\b"
)
_FINDING = re.compile(
    r"\b(?:abnormal\w*|findings?|lesions?|patholog\w*|anomal\w*|irregularit\w*|issues?|conditions?|colitis|"
    r"o?esophagitis|inflammation|inflammatory|disease)\b"
)
_FINDINGS = re.compile(r"\b(?:abnormalit\w*|findings?|lesions?|anomal\w*|patholog\w*|issues?|irregularit\w*)\b")
_TEXT = re.compile(r"\b(?:texts?|textual|labels?|captions?|characters?|letters?|annotations?|words?|writing|written)\b")
_BOX = re.compile(r"\b(?:box\w*|artefacts?|artifacts?|green-black)\b|-box\b")
_ANY = (_POLYP, _INSTRUMENT, _LANDMARK, _FINDING, _TEXT, _BOX)

_NUMBERS = {
    "zero": 0, "no": 0, "one": 1, "single": 1, "solitary": 1, "sole": 1, "two": 2, "pair": 2, "double": 2, "dual": 2,
    "both": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "sixteen": 16,
}  # fmt: skip
_NUMBER = re.compile(
    r"(?<![\w-])(?:(\d{1,2})(?![\w%-])|(" + "|".join(_NUMBERS) + r"))(?![\w/-])(?!\s*(?:to\s|mm|millim|cm|-))"
)
_VAGUE = re.compile(r"\b(?:multiple|several|numerous|many|few|various|some)\b")


def read(answer: str, slug: str, asked: Sequence[str] = ()) -> Value | None:
    """The value that a text states for one question class.

    Args:
        answer: free text of a model or a reference.
        slug: question class.
        asked: all classes that the question asks about; a bare "none" or "two" is read only where one was asked.

    Returns:
        A value as :func:`harness.reading.values.atomic_value` gives it; None if the text does not state one.

    Raises:
        KeyError: an unknown class.
    """
    return _read(answer, slug, tuple(asked) or (slug,))


@lru_cache(maxsize=131_072)
def _read(answer: str, slug: str, asked: tuple[str, ...]) -> Value | None:
    if not answer.strip():
        return None
    return _READERS[slug](clauses(answer), asked)


def _whole(parts: Sequence[Clause]) -> str:
    """The clauses again as one text, statements apart by semicolons and members of enumerations by commas."""
    return "".join((" ; " if part.joint == "end" else " , ") + part.text for part in parts).lstrip(" ;,")


def _mentions(parts: Sequence[Clause], noun: re.Pattern[str]) -> list[Clause]:
    return [part for part in parts if noun.search(part.text)]


def _alone(asked: tuple[str, ...], parts: Sequence[Clause], noun: re.Pattern[str]) -> bool:
    """Whether the text can only be about the one class asked: it names nothing of another kind."""
    text = _whole(parts)
    return len(asked) == 1 and not any(other.search(text) for other in _ANY if other is not noun)


def _denies(parts: Sequence[Clause], noun: re.Pattern[str], asked: tuple[str, ...]) -> bool:
    """Whether every mention of a noun is denied, or a text of one class denies without a noun."""
    named = _mentions(parts, noun)
    if named:
        return all(part.denied for part in named)
    return _alone(asked, parts, noun) and any(part.denied for part in parts)


def _yes_no(noun: re.Pattern[str]) -> Callable[[Sequence[Clause], tuple[str, ...]], Value | None]:
    def reader(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
        named = _mentions(parts, noun)
        if named:
            return "no" if all(part.denied for part in named) else "yes"
        if not _alone(asked, parts, noun):
            return None
        if any(part.denied for part in parts):
            return "no"
        return "yes" if re.search(r"\byes\b|\bpresent\b|\bvisible\b", _whole(parts)) else None

    return reader


def _finding_presence(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
    named = [part for part in parts if _FINDING.search(part.text) or _POLYP.search(part.text)]
    if re.search(r"\b(?:normal|healthy|unremarkable)\b", _whole(parts)) and all(part.denied for part in named):
        return "no"
    if named:
        return "no" if all(part.denied for part in named) else "yes"
    if _alone(asked, parts, _FINDING) and any(part.denied for part in parts):
        return "no"
    return None


def _number(text: str) -> int | None:
    """The one number that a clause states; None for none, for two different ones, and for "several"."""
    found = {int(m[1]) if m[1] else _NUMBERS[m[2]] for m in _NUMBER.finditer(text)}
    if len(found) == 1:
        return found.pop()
    return None


def _count(
    noun: re.Pattern[str], fallback: re.Pattern[str] | None = None
) -> Callable[[Sequence[Clause], tuple[str, ...]], Value | None]:
    def reader(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
        for pattern in (noun, fallback):
            if pattern is None:
                continue
            counts = {_clause_count(part, pattern) for part in parts if pattern.search(part.text)} - {None}
            if len(counts) == 1:
                return counts.pop()
            if counts - {0} and len(counts - {0}) == 1 and pattern is noun:
                return (counts - {0}).pop()
        if _alone(asked, parts, noun):
            return 0 if any(part.denied for part in parts) else _number(_whole(parts))
        return None

    return reader


def _clause_count(part: Clause, noun: re.Pattern[str]) -> int | None:
    """Count of a noun in a clause: the last number before it, or the first behind it ("polyps: 2")."""
    match = noun.search(part.text)
    assert match is not None
    if part.denied:
        return None if re.search(r"\b(?:other|additional|further|specific)\b", part.text) else 0
    before = part.text[: match.start()]
    if re.search(r"\b(?:other|additional|further)\b", before):
        return None
    numbers = list(_NUMBER.finditer(before))
    if numbers and not _VAGUE.search(before[numbers[-1].end() :]):
        between = before[numbers[-1].end() :]
        if not any(
            other.search(between) for other in _ANY if not (other is noun or (noun is _FINDINGS and other is _FINDING))
        ):
            return _number(numbers[-1].group())
    if _VAGUE.search(before):
        return None
    behind = re.search(
        r"\b(?:count|number|total)\b.{0,20}?\b(\d{1,2}|one|two|three|four|five)\b", part.text[match.end() :]
    )
    if behind:
        return _number(behind[1])
    if re.search(r"\ban?\s(?:[\w<>-]+\s){0,4}$", before):
        return 1
    return None


def _named_set(
    names: dict[str, str], noun: re.Pattern[str]
) -> Callable[[Sequence[Clause], tuple[str, ...]], Value | None]:
    patterns = {name: re.compile(rf"\b(?:{words})\b") for name, words in names.items()}

    def reader(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
        found = {name for name, p in patterns.items() for part in parts if not part.denied and p.search(part.text)}
        if found:
            return frozenset(found)
        generic = [part for part in parts if noun.search(part.text)]
        generic = [part for part in generic if not re.search(r"\b(?:other|additional|further)\b", part.text)]
        bare = [part for part in generic if not any(p.search(part.text) for p in patterns.values())]
        if bare and all(part.denied for part in generic):
            return frozenset()
        if not generic and _alone(asked, parts, noun) and any(part.denied for part in parts):
            return frozenset()
        return None

    return reader


_SIZES: tuple[tuple[str, str], ...] = (
    ("<5mm", r"(?:<|≤|less than|smaller than|under|below|up to|fewer than)\s*(?:or equal to\s*)?(?:5|five)\b"),
    (">20mm", r"(?:>|≥|greater than|larger than|more than|over|exceed\w*|above|bigger than)\s*(?:20|twenty)\b"),
    ("5-10mm", r"\b(?:5|five)\s*(?:mm|millimet\w+)?\s*(?:-|to|and)\s*(?:10|ten)\b"),
    ("11-20mm", r"\b(?:1[01]|eleven|ten)\s*(?:mm|millimet\w+)?\s*(?:-|to|and)\s*(?:20|twenty)\b"),
)
_MEASURE = re.compile(r"(?<![\d.-])(\d{1,3}(?:\.\d+)?)\s*-?\s*(mm|millimet\w+|cm|centimet\w+)\b")


def _size(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
    text = re.sub(r"\s[,;]\s", " ", _whole(parts))
    text = re.sub(r"\b(?:5|five)(\s*(?:mm|millimet\w+)?) (?=(?:10|ten)\b)", r"5\1 and ", text)
    text = re.sub(r"\b(?:11|eleven)(\s*(?:mm|millimet\w+)?) (?=(?:20|twenty)\b)", r"11\1 and ", text)
    found = {size for size, pattern in _SIZES if re.search(pattern, text)}
    if not found:
        for number, unit in _MEASURE.findall(text):
            size = float(number) * (10 if unit.startswith("c") else 1)
            found.add("<5mm" if size < 5 else "5-10mm" if size <= 10 else "11-20mm" if size <= 20 else ">20mm")
    if found:
        return frozenset(found)
    return frozenset() if _denies_polyp(parts, asked) else None


_PARIS = (
    ("paris iia", r"\b(?:ii[\s-]?a|0-iia)\b"),
    ("paris ip", r"\b(?:i[\s-]?p|0-ip)\b"),
    ("paris is", r"\bparis[\s-]+(?:type\s+|class\w*\s+)?(?:0-)?i[\s-]?s\b|\b0-is\b|"
                 r"\b(?:ii-?a|ip) (?:and|or) (?:type )?is\b(?= |$)"),
)  # fmt: skip


def _type(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
    text = " and ".join(part.text for part in parts if not part.denied)
    found = {name for name, pattern in _PARIS if re.search(pattern, text)}
    if not found and re.search(r"\bparis-?is\b", text):
        found = {"paris is"}
    if found:
        return frozenset(found)
    return frozenset() if _denies_polyp(parts, asked) else None


_SOMETHING_ELSE = re.compile(r"remov|resect|residual|remain|\b(?:status|type|size|classification|measurement)\b")


def _denies_polyp(parts: Sequence[Clause], asked: tuple[str, ...]) -> bool:
    """Whether a text says that there is no polyp; "no residual polyps" and "not removed" say something else."""
    named = [p for p in _mentions(parts, _POLYP) if not _SOMETHING_ELSE.search(p.text)]
    if named:
        return all(part.denied for part in named)
    return (
        _alone(asked, parts, _POLYP)
        and any(part.denied for part in parts)
        and not re.search(r"remov|resect", _whole(parts))
    )


_MOOT = re.compile(
    r"(?:\bnot (?:currently |clinically )?|\bno (?:polyp )?removal (?:is |was |were )?|\bun)"
    r"(?:relevant|applicable|necessary|needed|required|indicated|pertinent)\b|\birrelevant\b|\bn/a\b|\bno relevan|"
    r"\bno polyps? to (?:remove|resect)\b"
)
_NOTHING_LEFT = re.compile(r"\b(?:no|without) (?:\w+ ){0,3}(?:unremoved|unresected|incomplete)")
_NOT_REMOVED = re.compile(
    r"\b(?:incomplete\w*|partial(?:ly)?|unremoved|unresected)\b|"
    r"\bnot (?:all|every|yet|fully|completely|entirely|been|have been)\b|"
    r"\b(?:have|has|is|are|were|was) not (?:been |yet |fully |completely |all )*(?:removed|resected)|"
    r"\bnot (?:removed|resected)"
)
_NO_REMOVAL = re.compile(
    r"\b(?:no|without)\b(?: \w+){0,3} (?:complete |successful |full )?(?:polyp )?(?:remov\w*|resect\w*|polypectom\w*)"
)
_STAYS = re.compile(r"\b(?:remain\w*|residual|persist\w*|still)\b")
_REMOVED = re.compile(r"\b(?:removed|resected|excised|removal|resection|polypectomy)\b")
_FULLY = re.compile(r"\b(?:all|complete\w*|fully|success\w*|have been|were|was)\b")
_TISSUE = re.compile(r"polyp|lesion|tissue|growth|adenom")


def _removal(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
    """Nothing left to remove is ``not relevant``, as in the dataset; so is "no residual polyps"."""
    text = _whole(parts)
    if _MOOT.search(text):
        return "not relevant"
    if _NOTHING_LEFT.search(text):
        return None
    if _NOT_REMOVED.search(text):
        return "no"
    if _NO_REMOVAL.search(text):
        return "no" if re.search(r"complete|success|full", text) else None
    stays = [part for part in parts if _STAYS.search(part.text) and _TISSUE.search(part.text)]
    if stays:
        return "not relevant" if all(part.denied for part in stays) else "no"
    done = [part for part in parts if _REMOVED.search(part.text)]
    if done:
        return "yes" if _FULLY.search(text) and not any(part.denied for part in done) else None
    named = _mentions(parts, _POLYP)
    return "not relevant" if named and all(part.denied for part in named) else None


def _procedure(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
    text = " ".join(part.text for part in parts if not re.search(r"\bnot an?\b", part.text))
    lower = re.search(r"\bcolonoscop\w*|\blower (?:gi |gastrointestinal )?endoscop\w*|\bsigmoidoscop\w*", text)
    upper = re.search(
        r"\b(?:o?esophago)?gastro(?:duodeno)?scop\w*|\bupper (?:gi |gastrointestinal )?endoscop\w*|\begd\b", text
    )
    if bool(lower) == bool(upper):
        return None
    return "colonoscopy" if lower else "gastroscopy"


def _colours(noun: re.Pattern[str], others: Sequence[re.Pattern[str]]) -> Callable[..., Value | None]:
    def reader(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
        return colours_of(_whole([p for p in parts if not p.denied]), noun, others)

    return reader


def _cells(
    noun: re.Pattern[str], others: Sequence[re.Pattern[str]], denied: re.Pattern[str] | None = None
) -> Callable[..., Value | None]:
    def reader(parts: Sequence[Clause], asked: tuple[str, ...]) -> Value | None:
        found = cells_of(_whole([p for p in parts if not p.denied]), noun, others)
        if found is not None:
            return found
        absent = _denies(parts, denied or noun, asked) and _denies(parts, noun, asked)
        return (
            frozenset()
            if absent and not re.search(r"\b(?:regions?|areas?|located|locations?)\b", _whole(parts))
            else None
        )

    return reader


_LESION = re.compile(f"{_FINDING.pattern}|{_POLYP.pattern}")
_READERS: dict[str, Callable[[Sequence[Clause], tuple[str, ...]], Value | None]] = {
    "abnormality_color": _colours(_LESION, (_INSTRUMENT, _LANDMARK, _BOX)),
    "abnormality_location": _cells(_LESION, (_INSTRUMENT, _LANDMARK, _TEXT, _BOX), denied=_FINDING),
    "abnormality_presence": _named_set(
        {
            "polyp": r"polyp(?!ectom)(?!s? (?:snare|removal|resection|status))\w*|adenoma\w*",
            "ulcerative colitis": r"ulcerative colitis|colitis",
            "oesophagitis": r"o?esophagitis|o?esophageal inflammation|inflammation of the o?esophagus",
            "barretts": r"barrett'?s?",
        },
        _FINDING,
    ),
    "box_artifact_presence": _yes_no(_BOX),
    "finding_count": _count(_FINDINGS),
    "finding_presence": _finding_presence,
    "instrument_count": _count(_INSTRUMENT),
    "instrument_location": _cells(_INSTRUMENT, (_LESION, _LANDMARK, _TEXT, _BOX)),
    "instrument_presence": _named_set(
        {
            "tube": r"tubes?|tubing",
            "biopsy forceps": r"forceps",
            "polyp snare": r"snares?",
            "metal clip": r"(?:metal(?:lic)? |hemo)?clips?",
        },
        _INSTRUMENT,
    ),
    "landmark_color": _colours(_LANDMARK, (_INSTRUMENT, _LESION, _BOX)),
    "landmark_location": _cells(_LANDMARK, (_LESION, _INSTRUMENT, _TEXT, _BOX)),
    "landmark_presence": _named_set(
        {
            "z-line": r"z-?\s?lines?|squamocolumnar junction",
            "cecum": r"cecum|cecal|caecum|caecal",
            "ileum": r"ileum|ileal",
            "pylorus": r"pylorus|pyloric",
        },
        _LANDMARK,
    ),
    "polyp_count": _count(_POLYP),
    "polyp_removal_status": _removal,
    "polyp_size": _size,
    "polyp_type": _type,
    "procedure_type": _procedure,
    "text_presence": _yes_no(_TEXT),
}
