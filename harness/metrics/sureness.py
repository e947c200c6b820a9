"""Answers with what the model says of how sure it is, and whether they are right.

An answer is right if it states every atomic fact that its question asks for
(:mod:`gi_bench.harness.metrics.correctness`), or, where a suite has no atomic answers, if it equals the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gi_bench.harness.metrics.text import exact_match
from gi_bench.harness.reading.readers import read
from gi_bench.harness.reading.values import atomic_value
from gi_bench.harness.schema import Prediction, Question

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

Floats = npt.NDArray[np.float64]


def is_right(answer: str, question: Question) -> bool | None:
    """Whether an answer states every atomic fact asked for, or equals the reference; None without either."""
    facts = [
        (slug, atomic_value(slug, pair.answer))
        for slug, pair in zip(question.question_class, question.original, strict=False)
    ]
    facts = [(slug, wanted) for slug, wanted in facts if wanted is not None]
    if facts:
        return all(read(answer, slug, question.question_class) == wanted for slug, wanted in facts)
    return None if question.answer is None else bool(exact_match(answer, question.answer))


@dataclass(frozen=True)
class Judged:
    """Answers with a confidence.

    Attributes:
        confidence: (n,) in [0, 1].
        right: (n,) 0 or 1.
        images, classes: image and question classes of each row.
        counts: rows left out, by reason.
        said: what each answer says, equal where two answers say the same; empty where nobody asks.
    """

    confidence: Floats
    right: Floats
    images: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    counts: dict[str, int]
    said: tuple[Hashable, ...] = ()


# What a model may say of how sure it is, each made a number in [0, 1] that rises with it.
MEASURES: dict[str, Callable[[Prediction], float | None]] = {
    "confidence": lambda said: said.confidence,
    "log_prob": lambda said: None if said.log_prob is None else float(np.exp(said.log_prob)),
    "margin": lambda said: said.margin,
    "entropy": lambda said: None if said.entropy is None else 1 - said.entropy,
}


def _answered(run: Run) -> tuple[list[tuple[Question, Prediction, bool]], int]:
    """Answers that are right or wrong, in the order of the suite, and how many predictions are missing."""
    rows, missing = [], 0
    for question in run.questions:
        prediction = run.predictions.get(("question", question.index))
        if prediction is None or prediction.answer is None:
            missing += 1
        elif (right := is_right(prediction.answer, question)) is not None:
            rows.append((question, prediction, right))
    return rows, missing


def judged(run: Run, measure: str = "confidence") -> Judged | str:
    """The run's answers with a measure of how sure it is and whether they are right, or why there are none.

    Args:
        run: the run.
        measure: one of :data:`MEASURES`.
    """
    if not any(MEASURES[measure](said) is not None for said in run.predictions.values()) and _some_answer(run):
        return f"the run gives no {measure} for answers"  # before all answers are read
    answered, missing = run.once("answers right or wrong", _answered)
    none, outside = f"no {measure}", f"{measure} outside its range"
    counts = {none: 0, outside: 0, "missing prediction": missing}
    values, kept = [], []
    for row in answered:
        value = MEASURES[measure](row[1])
        if value is None:
            counts[none] += 1
        elif not 0.0 <= value <= 1.0:  # NaN as well
            counts[outside] += 1
        else:
            values.append((value, row[2]))
            kept.append(row)
    if not kept:
        if counts[outside]:
            return f"no {measure} of the run is in its range ({counts[outside]} outside)"
        return f"the run gives no {measure} for answers" if counts[none] else "no answer can be judged"
    table = np.array(values, dtype=np.float64)
    return Judged(
        table[:, 0],
        table[:, 1],
        tuple(question.img_id for question, _, _ in kept),
        tuple(question.question_class for question, _, _ in kept),
        counts,
        tuple(_said(prediction.answer or "", question) for question, prediction, _ in kept),
    )


def _some_answer(run: Run) -> bool:
    """Whether some answer can be judged for sure."""
    for question in run.questions:
        prediction = run.predictions.get(("question", question.index))
        if question.answer is not None and prediction is not None and prediction.answer is not None:
            return True
    return False


def _said(answer: str, question: Question) -> Hashable:
    """What an answer says: the values read from it, or its words where none can be read."""
    values = tuple(read(answer, slug, question.question_class) for slug in question.question_class)
    return values if any(value is not None for value in values) else " ".join(answer.casefold().split())


__all__ = ["MEASURES", "Judged", "is_right", "judged"]
