"""Structured correctness: the atomic value that an answer states against the atomic answer of the dataset.

Overlap metrics forgive what a clinician would not: "no polyp" and "one polyp" share most of their words. Here every
answer is read once per question class that its question asks about (:mod:`gi_bench.harness.reading`), and the value is
compared with ``original[].a``. What cannot be read is wrong, and its share is a score of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.reading.readers import read
from gi_bench.harness.reading.values import SHAPES, Value, atomic_value
from gi_bench.harness.schema import MetricInfo

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

# (value read or None, atomic value, question class) -> (points in [0, 1], weight)
Points = Callable[[Value | None, Value, str], tuple[float, float]]


def partial(found: Value, wanted: Value, slug: str) -> float:
    """Partial credit in [0, 1]: intersection over union of grid cells, F1 of other sets, else equality.

    Two empty sets ("none") agree fully.
    """
    if not isinstance(found, frozenset) or not isinstance(wanted, frozenset):
        return float(found == wanted)
    if not found and not wanted:
        return 1.0
    both = len(found & wanted)
    if SHAPES[slug] == "cells":
        return both / len(found | wanted)
    return 2 * both / (len(found) + len(wanted))


def _exact(found: Value | None, wanted: Value, slug: str) -> tuple[float, float]:
    return float(found == wanted), 1.0


def _partial(found: Value | None, wanted: Value, slug: str) -> tuple[float, float]:
    return (0.0 if found is None else partial(found, wanted, slug)), 1.0


def _coverage(found: Value | None, wanted: Value, slug: str) -> tuple[float, float]:
    return float(found is not None), 1.0


def _when_read(found: Value | None, wanted: Value, slug: str) -> tuple[float, float]:
    return float(found == wanted), float(found is not None)


@dataclass(frozen=True)
class _Facts:
    """The atomic facts that a run was asked for.

    Attributes:
        found: (value read from the answer, value wanted, question class) of each.
        images, classes, complexities: of its question.
        counts: what could not be scored.
    """

    found: tuple[tuple[Value | None, Value, str], ...]
    images: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    complexities: tuple[tuple[str, ...], ...]
    counts: dict[str, int]


def _facts(run: Run) -> _Facts:
    found, images, classes, complexities = [], [], [], []
    unknown = missing = 0
    for question in run.questions:
        prediction = run.predictions.get(("question", question.index))
        answer = prediction.answer if prediction is not None else None
        missing += bool(question.original) and answer is None
        for slug, pair in zip(question.question_class, question.original, strict=False):
            wanted = atomic_value(slug, pair.answer)
            if wanted is None:
                unknown += 1
                continue
            found.append((read(answer or "", slug, question.question_class), wanted, slug))
            images.append(question.img_id)
            classes.append((slug,))
            complexities.append((str(question.complexity),))
    counts = {"atomic answer not readable": unknown, "missing prediction": missing}
    return _Facts(tuple(found), tuple(images), tuple(classes), tuple(complexities), counts)


def structured(run: Run, points: Points) -> Statistics | str:
    """One row per atomic fact asked for, sliced by its question class and by the complexity of its question."""
    if not any(p.kind == "question" and p.answer is not None for p in run.predictions.values()):
        return "the run answered no question"
    facts = run.once("atomic facts", _facts)
    if not facts.found:
        return "the suite has no atomic answers"
    return Statistics(
        sums=np.array([points(*fact) for fact in facts.found], dtype=np.float64),
        images=facts.images,
        slices={"question_class": facts.classes, "complexity": facts.complexities},
        counts=facts.counts,
    )


_READER = (
    "Over atomic facts, n of which a question of complexity n asks for. Values are read by rules from the free text; "
    "the official references themselves, read so, state 88 % of their facts and are exact in 96 % of those."
)
_DEFINED: tuple[tuple[str, str, str, Points], ...] = (
    ("fact_accuracy", "fact accuracy", "Share of atomic facts that the answer states exactly.", _exact),
    (
        "fact_score",
        "fact score",
        "Mean credit per atomic fact: 1 or 0 for counts and words, F1 for sets, intersection over union for grid "
        "cells, 0 where nothing can be read.",
        _partial,
    ),
    ("fact_coverage", "facts stated", "Share of atomic facts of which the answer states a readable value.", _coverage),
    ("fact_precision", "facts right where stated", "Share of readable values that are exactly right.", _when_read),
)


def _metric(name: str, title: str, definition: str, points: Points) -> Metric:
    info = MetricInfo(
        name,
        title,
        f"{definition} {_READER}",
        "gi-bench",
        group="facts",
        comparable=False,
        headline=name == "fact_accuracy",
        version=2,
    )
    return Metric(info, lambda run: structured(run, points))


METRICS: list[Metric] = [_metric(*row) for row in _DEFINED]
