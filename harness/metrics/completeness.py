"""How complete an explanation is: which visual attributes it names of those that its image is known to have.

The paper's reviewers rated completeness by eye; this finds, without anyone, explanations that leave out where a finding
lies, its colour, its size or its shape although the dataset says it. It asks whether an attribute is named, not whether
it is right: that is the fact score's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.metrics.explanations import attributes, statistics
from gi_bench.harness.reading.values import atomic_value
from gi_bench.harness.schema import MetricInfo, Question

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gi_bench.harness.store import Run

# The question classes whose answers say that an image has an attribute.
SAYS: dict[str, str] = {
    "abnormality_location": "location",
    "instrument_location": "location",
    "landmark_location": "location",
    "abnormality_color": "colour",
    "landmark_color": "colour",
    "polyp_size": "size",
    "polyp_type": "shape",
}
_UNKNOWN = "no attribute of the image known"


def image_attributes(questions: Iterable[Question]) -> dict[str, frozenset[str]]:
    """Which of location, colour, size and shape the suite knows of each image: from the facts of all its questions."""
    found: dict[str, set[str]] = {}
    for question in questions:
        for slug, pair in zip(question.question_class, question.original, strict=False):
            # A set or grid cells: what an image without the finding answers is empty, or no value at all.
            if slug in SAYS and atomic_value(slug, pair.answer):
                found.setdefault(question.img_id, set()).add(SAYS[slug])
    return {img_id: frozenset(names) for img_id, names in found.items()}


def completeness(explanation: str, known: frozenset[str]) -> float | None:
    """Share of the known attributes that an explanation names, in [0, 1]; None where none is known.

    >>> completeness("A small bump.", frozenset({"size", "location"}))
    0.5
    """
    return len(attributes(explanation) & known) / len(known) if known else None


def _statistics(run: Run) -> Statistics | str:
    known = image_attributes(run.questions)
    return statistics(run, lambda e, a, q: completeness(e, known.get(q.img_id, frozenset())), _UNKNOWN)


_INFO = MetricInfo(
    "explanation_completeness",
    "completeness (explanations)",
    "Mean share of the visual attributes that the image is known to have (location, colour, size, shape, as any "
    "question about it states them) which the explanation names, right or wrong. Images of which none is known are "
    "left out. Over explanations that are any: those that repeat answer or question, refuse, cannot be read or are "
    "missing are left out and counted (explanation_participation); no value where these are more than half.",
    "gi-bench, after the failure signatures of arXiv 2511.04384",
    group="explanations",
    comparable=False,
    headline=False,
)

METRICS: list[Metric] = [Metric(_INFO, _statistics)]
