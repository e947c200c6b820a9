"""Colours and grid cells in a text, and which thing they belong to."""

from __future__ import annotations

import re
from collections.abc import Sequence

COLOURS: dict[str, str] = {
    "pink": r"pink\w*", "red": r"red(?:dish)?|erythematous", "white": r"white|whitish", "yellow": r"yellow\w*",
    "flesh": r"flesh|flesh-tone\w*", "brown": r"brown\w*", "orange": r"orange", "green": r"green\w*",
    "black": r"black\w*", "blue": r"blu(?:e|ish)", "grey": r"gr[ea]y\w*", "purple": r"purpl\w*|violet",
    "transparent": r"transparent",
}  # fmt: skip
_COLOUR = {name: re.compile(rf"\b(?:{words})(?:-?colou?red)?\b") for name, words in COLOURS.items()}

_VERTICAL = r"upper|lower|top|bottom"
_SIDE = r"left|right"
_MIDDLE = r"center|centre|central|middle|mid"
_CELL = re.compile(
    rf"\b(?:(?P<v1>{_VERTICAL})[\s-]+(?P<h1>{_SIDE}|{_MIDDLE}|rigth)(?:most)?(?!-)|"
    rf"(?P<h2>{_SIDE}|{_MIDDLE})[\s-]+(?P<v2>{_VERTICAL})|"
    rf"(?P<m1>{_MIDDLE})[\s-]+(?P<h3>{_SIDE}|rigth)|(?P<h4>{_SIDE})[\s-]+(?P<m2>{_MIDDLE})|"
    rf"(?P<m3>{_MIDDLE}))\b"
)
# A text with one of these says where, but not in which cells.
_COARSE = re.compile(
    rf"\b(?:multiple|various|several|diverse|different|numerous|most|many|all|entire|throughout|widespread|diffuse\w*|"
    rf"quadrants?|scattered|sides?|half)\b|"
    rf"\b(?:{_VERTICAL}|{_SIDE})\b"
)


def _owned(text: str, noun: re.Pattern[str], others: Sequence[re.Pattern[str]]) -> str:
    """The stretches of a text that belong to a noun: from it to the next noun of another kind.

    What stands before the first noun belongs to that noun.
    """
    anchors = sorted(
        [(m.start(), m.end(), True) for m in noun.finditer(text)]
        + [(m.start(), m.end(), False) for other in others for m in other.finditer(text)]
    )
    if not any(own for _, _, own in anchors):
        return "" if anchors else text
    kept = []
    for i, (start, _, own) in enumerate(anchors):
        if own:
            begin = 0 if i == 0 else _clause_start(text, anchors[i - 1][1], start)
            stop = len(text) if i + 1 == len(anchors) else _clause_start(text, start, anchors[i + 1][0])
            kept.append(text[begin:stop])
    return " ; ".join(kept)


def _clause_start(text: str, left: int, right: int) -> int:
    """Where the words before ``right`` begin that modify it: behind the last comma or verb since ``left``."""
    cut = max(text.rfind(" , ", left, right), text.rfind(" is ", left, right), text.rfind(" are ", left, right))
    return cut if cut >= 0 else right


def colours_of(text: str, noun: re.Pattern[str], others: Sequence[re.Pattern[str]]) -> frozenset[str]:
    """Colours that a text gives to a noun; empty if it gives none."""
    text = re.sub(r"green-black", " ", text)
    owned = _owned(text, noun, others)
    return frozenset(name for name, pattern in _COLOUR.items() if pattern.search(owned))


def cells_of(text: str, noun: re.Pattern[str], others: Sequence[re.Pattern[str]]) -> frozenset[str] | None:
    """Grid cells that a text gives to a noun; None if it gives none, or only coarse regions."""
    owned = _owned(text, noun, others)
    found = set()
    for match in _CELL.finditer(owned):
        vertical = match["v1"] or match["v2"]
        side = match["h1"] or match["h2"] or match["h3"] or match["h4"]
        found.add(_cell(vertical, side))
    rest = _CELL.sub(" ", owned)
    if not found or re.search(rf"\b(?:{_VERTICAL}|{_SIDE}|throughout|entire|quadrants?|all)\b", rest):
        return None
    return frozenset(found)


def _cell(vertical: str | None, side: str | None) -> str:
    row = {"upper": "upper", "top": "upper", "lower": "lower", "bottom": "lower"}.get(vertical or "", "center")
    column = {"left": "left", "right": "right", "rigth": "right"}.get(side or "", "center")
    return "center" if (row, column) == ("center", "center") else f"{row}-{column}"
