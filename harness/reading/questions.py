"""Reads what a question asks about, for hidden rows that come without a question class."""

from __future__ import annotations

import re
from functools import lru_cache

# In this order: "What color is the anatomical landmark?" names no finding, "the polyp's abnormal color" a polyp.
_ASKED: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("box artifact", re.compile(r"\b(?:box\w*|artefacts?|artifacts?)\b")),
    ("text", re.compile(r"\b(?:text\w*|captions?|letters|words|written)\b")),
    (
        "instrument",
        re.compile(
            r"\b(?:instrument\w*|instrumnets?|devices?|tools?|forceps|snares?|tubes?|clips?|equipment|"
            r"foreign (?:bod\w+|object\w*))\b"
        ),
    ),
    (
        "landmark",
        re.compile(r"\b(?:landmarks?|z-?line|cecum|caecum|ileum|pylorus|anatomical (?:structure|feature)s?)\b"),
    ),
    ("polyp", re.compile(r"\b(?:polyp\w*|adenoma\w*)\b")),
    (
        "abnormality",
        re.compile(
            r"\b(?:abnormal\w*|lesions?|findings?|patholog\w*|diseases?|inflammat\w*|colitis|o?esophagitis|anomal\w*|"
            r"irregularit\w*|discolou?r\w*)\b"
        ),
    ),
)


@lru_cache(maxsize=65_536)
def finding_asked(question: str) -> str | None:
    """The one finding that a question asks about.

    Args:
        question: free text.

    Returns:
        A finding as in :data:`harness.taxonomy.QUESTION_CLASSES`; None if the text names none, or several.
    """
    text = question.lower()
    named = [finding for finding, pattern in _ASKED if pattern.search(text)]
    if "polyp" in named and "abnormality" in named:
        named.remove("abnormality")  # "abnormalities such as polyps"
    return named[0] if len(named) == 1 else None
