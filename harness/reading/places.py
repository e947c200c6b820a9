"""Colours and grid cells in a text, and which thing they belong to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gi_bench.harness.reading.vocabulary import COLOURS, MIDDLE, SIDE, VERTICAL, holds_any
from gi_bench.harness.taxonomy import GRID_CELLS

_COLOUR = {name: re.compile(rf"\b(?:{words})(?:-?colou?red)?\b") for name, words in COLOURS.items()}

_CELL = re.compile(
    rf"\b(?:(?P<v1>{VERTICAL})[\s-]+(?P<h1>{SIDE}|{MIDDLE}|rigth)(?:most)?(?!-)|"
    rf"(?P<h2>{SIDE}|{MIDDLE})[\s-]+(?P<v2>{VERTICAL})|"
    rf"(?P<m1>{MIDDLE})[\s-]+(?P<h3>{SIDE}|rigth)|(?P<h4>{SIDE})[\s-]+(?P<m2>{MIDDLE})|"
    rf"(?P<m3>{MIDDLE}))\b"
)
# With one of these not only cells are named ("upper regions"), or the cells are examples.
_COARSE = re.compile(
    rf"\b(?:such as|e\.g|for example|throughout|entire|all|half|sides?|peripher\w+|lateral|surrounding|widespread|"
    rf"diffuse\w*|mainly|mostly)\b|"
    rf"\b(?:{VERTICAL}|{SIDE})\b"
)
# "... and its surrounding areas, specifically center-left": what is coarse is spelt out.
_SPELT_OUT = re.compile(
    r"\b(?:surrounding|peripher\w+|lateral|sides?|half|upper|lower|left|right)(?: (?:areas?|regions?|parts?|"
    r"of the image))*\s*[,;]?\s*"
    r"(?:specifically|namely|i\.e\.?|that is)\b"
)
_SPELLS_OUT = ("specifically", "namely", "i.e", "that is")  # one of them is in every match
_EVERYWHERE = re.compile(
    r"\b(?:throughout (?:the )?(?:entire |whole )?(?:image|field|frame|view|picture|visible|mucosa\w*|colon\w*|"
    r"gastrointestinal|endoscopic|examined|imag\w+|tract|tissue)|"
    r"all (?:the )?(?:nine |9 |visible |image |examined |of the )*(?:regions|areas|quadrants|cells|parts|sections|"
    r"zones|sectors|locations|"
    r"positions)|(?:entire|whole) (?:image|field|frame|view|picture|visible)|everywhere)\b"
)
_FILLER = r"(?:(?!(?:and|or|with|regions?|areas?|quadrants?|in|of|at)\b)[\w-]+\s+)"
_A_COLOUR = "(?:" + "|".join(COLOURS.values()) + r")(?:-?colou?red)?"
_A_CELL = rf"(?:{VERTICAL}|{SIDE}|{MIDDLE})(?:[\s-]+(?:{SIDE}|{VERTICAL}|{MIDDLE}))?"
_SEPARATOR = r"(?:\s*[,/-]\s*(?:and\s+|or\s+)?|\s+(?:and|or|to)\s+|\s+)"
_COLOUR_RUN = re.compile(rf"\b{_A_COLOUR}(?:{_SEPARATOR}{_A_COLOUR})*[\s-]+{_FILLER}{{0,3}}$")
_CELL_RUN = re.compile(rf"\b{_A_CELL}(?:{_SEPARATOR}{_A_CELL})*[\s-]+{_FILLER}{{0,2}}$")


def _owned(text: str, noun: re.Pattern[str], others: Sequence[re.Pattern[str]], run: re.Pattern[str]) -> str:
    """The stretches of a text that belong to a noun: from the words right before it to those of the next other noun.

    What stands before the first noun belongs to that noun.
    """
    anchors = sorted(
        [(m.start(), m.end(), True) for m in noun.finditer(text)]
        + [(m.start(), m.end(), False) for other in others for m in other.finditer(text)]
    )
    if not any(own for _, _, own in anchors):
        return "" if anchors else text
    kept = []
    for i, (start, end, own) in enumerate(anchors):
        if own:
            begin = 0 if i == 0 else _run_start(text, anchors[i - 1][1], start, run)
            stop = len(text) if i + 1 == len(anchors) else _run_start(text, end, anchors[i + 1][0], run)
            kept.append(text[begin:stop])
    return " ; ".join(kept)


def _run_start(text: str, left: int, right: int, run: re.Pattern[str]) -> int:
    """Where the colours or cells begin that stand right before ``right``; ``right`` if there are none."""
    match = run.search(text[left:right])
    return left + match.start() if match else right


def colours_of(text: str, noun: re.Pattern[str], others: Sequence[re.Pattern[str]]) -> frozenset[str] | None:
    """Colours that a text gives to a noun; None if it gives none."""
    owned = _owned(text.replace("green-black", " "), noun, others, _COLOUR_RUN)
    return frozenset(name for name, pattern in _COLOUR.items() if pattern.search(owned)) or None


def cells_of(text: str, noun: re.Pattern[str], others: Sequence[re.Pattern[str]]) -> frozenset[str] | None:
    """Grid cells that a text gives to a noun; None if it gives none, or names more than cells ("upper regions").

    "Multiple regions including center and upper-left" gives the two that it names, "throughout the image" all nine.
    """
    owned = _owned(text, noun, others, _CELL_RUN)
    everywhere = _EVERYWHERE.search(owned) is not None
    if everywhere:
        owned = _EVERYWHERE.sub(" ", owned)
    found = set()
    for match in _CELL.finditer(owned):
        side = match["h1"] or match["h2"] or match["h3"] or match["h4"]
        found.add(_cell(match["v1"] or match["v2"], side))
    if holds_any(owned, _SPELLS_OUT):
        owned = _SPELT_OUT.sub(" ", owned)
    if _COARSE.search(_CELL.sub(" ", owned)):
        return None
    if everywhere:
        return frozenset(GRID_CELLS) if len(found) in (0, len(GRID_CELLS)) else None
    return frozenset(found) or None


def _cell(vertical: str | None, side: str | None) -> str:
    row = {"upper": "upper", "top": "upper", "lower": "lower", "bottom": "lower"}.get(vertical or "", "center")
    column = {"left": "left", "right": "right", "rigth": "right"}.get(side or "", "center")
    return "center" if (row, column) == ("center", "center") else f"{row}-{column}"
