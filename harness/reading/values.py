"""Atomic values: what ``original[].a`` of Kvasir-VQA-x1 says, in one spelling per question class."""

from __future__ import annotations

import re
from typing import Literal

from gi_bench.harness.taxonomy import GRID_CELLS

Value = int | str | frozenset[str]
Shape = Literal["count", "word", "set", "cells"]

SHAPES: dict[str, Shape] = {
    "abnormality_color": "set",
    "abnormality_location": "cells",
    "abnormality_presence": "set",
    "box_artifact_presence": "word",
    "finding_count": "count",
    "finding_presence": "word",
    "instrument_count": "count",
    "instrument_location": "cells",
    "instrument_presence": "set",
    "landmark_color": "set",
    "landmark_location": "cells",
    "landmark_presence": "set",
    "polyp_count": "count",
    "polyp_removal_status": "word",
    "polyp_size": "set",
    "polyp_type": "set",
    "procedure_type": "word",
    "text_presence": "word",
}
_SPELLING = {
    "lower-rigth": "lower-right",
    ">20": ">20mm",
    "<5": "<5mm",
    "gray": "grey",
    "esophagitis": "oesophagitis",
    "barrett's": "barretts",
    "short-segment barretts": "barretts",
}


def atomic_value(slug: str, answer: str) -> Value | None:
    """The value of an atomic answer.

    Args:
        slug: question class.
        answer: atomic answer of the dataset, e.g. ``pink; red``, ``none``, ``0``, ``not relevant``.

    Returns:
        An int for counts, a word for yes/no, removal status and procedure, else a set (empty for ``none``);
        None where the text is not of the class's kind.

    Raises:
        KeyError: an unknown class.

    >>> atomic_value("polyp_count", "3"), atomic_value("text_presence", "Yes")
    (3, 'yes')
    >>> sorted(atomic_value("abnormality_color", "Pink; gray"))
    ['grey', 'pink']
    >>> atomic_value("polyp_size", "none") == frozenset()
    True
    >>> atomic_value("polyp_count", "none") is atomic_value("landmark_location", "somewhere") is None
    True
    """
    shape, text = SHAPES[slug], answer.strip().lower()
    if shape == "count":
        return int(text) if re.fullmatch(r"\d+", text) else None
    if shape == "word":
        return text or None
    members = frozenset(_SPELLING.get(part.strip(), part.strip()) for part in re.split(r"[;,]", text) if part.strip())
    members -= {"none", "no"}
    if shape == "cells" and not members <= set(GRID_CELLS):
        return None
    return members
