"""The words of the phantom suite: questions, answers, referring phrases and explanations.

Every sentence is made of templates of ours; how often a wording is used falls off as it does in the real rows.
"""

from __future__ import annotations

from functools import lru_cache

from gi_bench.harness.suites.phantom import answers, explanations, phrases, questions
from gi_bench.harness.suites.phantom.answers import answer_text
from gi_bench.harness.suites.phantom.explanations import explanation
from gi_bench.harness.suites.phantom.phrases import absent_labels, absent_phrase, referring_phrases
from gi_bench.harness.suites.phantom.questions import question_text
from gi_bench.harness.suites.phantom.scene import INSTRUMENTS, POLYP_COLORS
from gi_bench.harness.suites.phantom.templates import words_of
from gi_bench.harness.taxonomy import FINDING_LABELS, GRID_CELLS

__all__ = [
    "absent_labels",
    "absent_phrase",
    "answer_text",
    "explanation",
    "question_text",
    "referring_phrases",
    "vocabulary",
]

_VALUES = (*GRID_CELLS, *INSTRUMENTS, *POLYP_COLORS, *(label for labels in FINDING_LABELS.values() for label in labels))
_COLORS = ("red", "white", "pink", "yellow", "green", "black")


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """All single words that questions, answers, phrases and explanations can use: lower case, sorted."""
    texts = (*answers.TEXTS, *explanations.TEXTS, *phrases.TEXTS, *questions.TEXTS, *_VALUES, *_COLORS)
    return tuple(sorted(words_of(texts)))
