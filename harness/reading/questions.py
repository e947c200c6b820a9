"""Reads what a question asks about, for hidden rows that come without a question class."""

from __future__ import annotations

import re
from functools import lru_cache

from gi_bench.harness.reading.canonical import canonical
from gi_bench.harness.reading.vocabulary import BOX, INSTRUMENT, LANDMARK, NAMES_FINDING, POLYP, TEXT

# Only nouns ask about a polyp: "has anything been removed" names none.
_ASKED: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("box artifact", BOX),
    ("text", TEXT),
    ("instrument", INSTRUMENT),
    ("landmark", LANDMARK),
    ("polyp", POLYP),
    ("abnormality", NAMES_FINDING["abnormality"]),
)


@lru_cache(maxsize=65_536)
def finding_asked(question: str) -> str | None:
    """The one finding that a question asks about.

    Args:
        question: free text.

    Returns:
        A finding as in :data:`gi_bench.harness.taxonomy.QUESTION_CLASSES`; None if the text names none, or several.

    >>> finding_asked("Are there any polyps?")
    'polyp'
    >>> finding_asked("How many instruments and polyps are there?") is None
    True
    """
    text = canonical(question)
    named = [finding for finding, pattern in _ASKED if pattern.search(text)]
    if "polyp" in named and "abnormality" in named:
        named.remove("abnormality")  # "abnormalities such as polyps"
    return named[0] if len(named) == 1 else None
