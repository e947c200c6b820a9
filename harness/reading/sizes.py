"""Sizes in a text, and the dataset's four bins that they fall into.

A bin is read where the stated size, bound or range lies in one bin; "less than 10 mm" lies in two and is not read.
Bins are closed where ranges are written ("10-20 mm" is the bin of 11 to 20), a single 5, 10 or 20 mm belongs to the
bin that the dataset gives it (5-10, 5-10, 11-20).
"""

from __future__ import annotations

import math
import re

# Token -> (low, high) in millimetres.
_BINS: tuple[tuple[str, float, float], ...] = (
    ("size_lt5", 0.0, 5.0),
    ("size_5to10", 5.0, 10.0),
    ("size_11to20", 10.0, 20.0),
    ("size_gt20", 20.0, math.inf),
)
SIZES: dict[str, str] = {
    "size_lt5": "<5mm",
    "size_5to10": "5-10mm",
    "size_11to20": "11-20mm",
    "size_gt20": ">20mm",
}
# A size that lies in more than one bin.
BETWEEN_BINS = "size_unsure"

_WORDS = {
    "half a": 0.5, "half": 0.5, "one": 1, "a": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
    "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40,
    "fifty": 50,
}  # fmt: skip
_SPREAD = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d+)?)\s*(?:±|\+/-)\s*(\d{1,2}(?:\.\d+)?)")
_TENS = re.compile(r"\b(twenty|thirty|forty|fifty)[- ](one|two|three|four|five|six|seven|eight|nine)\b")
_DIGITS = r"(?<![\w.])\d{1,3}(?:[.,]\d{1,2})?"
_SPELT = r"\b(?:half an?|(?:one |a )?half|" + "|".join(
    sorted((word for word in _WORDS if word not in ("a", "half a", "half")), key=len, reverse=True)
) + r")\b"  # fmt: skip
_NUMBER = rf"(?:{_DIGITS}|{_SPELT})"
_UNIT = r"(?:mm|millimet(?:er|re)s?|millim|cm|centimet(?:er|re)s?)\b\.?"
_LESS = (
    r"(?:<=?|≤|⩽|≦|(?:less|smaller|lower|fewer|shorter) than(?: or equal to)?|under|below|up to|at most|sub-?|"
    r"maximum(?: of)?|max|"
    r"not (?:exceeding|more than|larger than|greater than|bigger than)|(?:does|do) not exceed|not exceed)"
)
_MORE = (
    r"(?:>=?|≥|⩾|≧|(?:greater|larger|more|bigger|longer|wider) than(?: or equal to)?|over|above|exceed(?:s|ing)?|"
    r"beyond|"
    r"at least|not (?:less|smaller) than|minimum(?: of)?|in excess of)"
)
_AROUND = r"(?:(?:about|approximately|approx\.?|around|roughly|nearly|almost|circa|ca\.?|~)\s*)?"
_OR_LESS = r"(?:or|and) (?:less|smaller|below|under)(?! than)"
_OR_MORE = r"(?:or|and) (?:more|larger|greater|bigger|above|over)(?! than| \d)"
_GAP = r"[\s-]*"
_RANGE = re.compile(
    rf"(?P<a>{_NUMBER}){_GAP}(?P<ua>{_UNIT})?\s*(?:-|to|(?P<and>and)|up to|until|or|"
    rf"through)\s*{_AROUND}(?P<b>{_NUMBER})"
    rf"{_GAP}(?P<ub>{_UNIT})"
)
_DIMENSIONS = re.compile(
    rf"(?P<a>\d{{1,3}}(?:\.\d+)?){_GAP}(?:{_UNIT})?\s*[x×]\s*(?P<b>\d{{1,3}}(?:\.\d+)?){_GAP}(?P<u>{_UNIT})"
)
_BOUND = re.compile(
    rf"(?:(?P<less>{_LESS})|(?P<more>{_MORE}))\s*(?:about |approximately |around |"
    rf"a )?(?P<n>{_NUMBER}){_GAP}(?P<u>{_UNIT})"
)
_BOUND_BEHIND = re.compile(rf"(?P<n>{_NUMBER}){_GAP}(?P<u>{_UNIT})\s*(?:(?P<less>{_OR_LESS})|(?P<more>{_OR_MORE}))\b")
_EXACT = re.compile(rf"(?P<n>{_NUMBER}){_GAP}(?P<u>{_UNIT})")
# Without a unit only the bounds and ranges that the dataset has.
_BARE_BOUND = re.compile(rf"(?:(?P<less>{_LESS})\s*(?:5|five)|(?P<more>{_MORE})\s*(?:20|twenty))\b(?![\w-]|\.\d)")
_BARE_RANGE = re.compile(
    r"(?<![\w.-])(?:(?P<a>(?:5|five)\s*(?:-|to|and)\s*(?:10|ten))|(?:1[01]|eleven|ten)\s*(?:-|to|and)\s*(?:20|twenty))"
    r"\b(?![\w-]|\.\d)"
)


def _millimetres(number: str, unit: str) -> float:
    number = number.strip().replace(",", ".")
    value = float(number) if number[0].isdigit() else 0.5 if "half" in number else _WORDS[number.replace(" ", "-")]
    return value * (10 if unit.startswith("c") else 1)


def _of_range(low: float, high: float) -> str:
    for name, start, stop in _BINS:
        if start <= low and high <= stop:
            return name
    return BETWEEN_BINS


def _of_exact(size: float) -> str:
    return "size_lt5" if size < 5 else "size_5to10" if size <= 10 else "size_11to20" if size <= 20 else "size_gt20"


def _range(match: re.Match[str]) -> str:
    unit = match["ub"]
    low, high = sorted((_millimetres(match["a"], match["ua"] or unit), _millimetres(match["b"], unit)))
    found = _of_range(low, high)
    if found == BETWEEN_BINS and match["and"] and not re.search(r"\bbetween\s+$", match.string[: match.start()]):
        return f" {_of_exact(low)} and {_of_exact(high)} "  # "polyps of 5 and 15 mm" are two sizes
    return f" {found} "


def _bound(match: re.Match[str]) -> str:
    size = _millimetres(match["n"], match["u"])
    return f" {_of_range(0.0, size) if match['less'] else _of_range(size, math.inf)} "


def mark_sizes(text: str) -> str:
    """A lower-case text with its sizes replaced by the token of their bin, or by ``size_unsure``.

    >>> mark_sizes("a polyp of 1-2 cm and one of about 8 mm")
    'a polyp of size_11to20 and one of about size_5to10'
    >>> [mark_sizes(f"{size} mm") for size in (4.9, 5, 10, 10.5, 20, 21)]
    ['size_lt5', 'size_5to10', 'size_5to10', 'size_11to20', 'size_11to20', 'size_gt20']
    >>> mark_sizes("4-6 mm")
    'size_unsure'
    """
    # Every match of the patterns holds one of the signs that are looked for first; most texts name no size.
    unit = "mm" in text or "cm" in text or "millim" in text or "centim" in text
    if unit:
        text = re.sub(r"(?<![\w.])1 ?[/⁄] ?2(?= ?-?(?:cm|centim))", "0.5", text)
    if "±" in text or "+/-" in text:
        text = _SPREAD.sub(lambda m: f"{float(m[1]) - float(m[2]):g}-{float(m[1]) + float(m[2]):g}", text)
    if "ty" in text:
        text = _TENS.sub(lambda m: str(_WORDS[m[1]] + _WORDS[m[2]]), text)
    if unit:
        text = _RANGE.sub(_range, text)
        text = _DIMENSIONS.sub(lambda m: f" {_of_exact(max(_millimetres(m[g], m['u']) for g in 'ab'))} ", text)
        text = _BOUND_BEHIND.sub(_bound, text)
        text = _BOUND.sub(_bound, text)
        text = _EXACT.sub(lambda m: f" {_of_exact(_millimetres(m['n'], m['u']))} ", text)
    if "5" in text or "five" in text or "20" in text or "twenty" in text:
        text = _BARE_BOUND.sub(lambda m: " size_lt5 " if m["less"] else " size_gt20 ", text)
        text = _BARE_RANGE.sub(lambda m: " size_5to10 " if m["a"] else " size_11to20 ", text)
    return " ".join(text.split())
