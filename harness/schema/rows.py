"""What is asked of a model: the tasks, and a suite's questions and phrases with their references."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gi_bench.harness.schema.region import Region
from gi_bench.harness.schema.version import ADDED

Task = Literal["answer", "explain", "ground"]
TASKS: tuple[Task, ...] = ("answer", "ground", "explain")
Kind = Literal["question", "phrase"]


@dataclass(frozen=True, slots=True)
class AtomicPair:
    """One atomic question with its atomic answer, as in Kvasir-VQA-x1's ``original``."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Question:
    """One row to answer. Its key inside a suite is ``index``: (img_id, question) is not unique.

    Attributes:
        index: position in the suite, from 0.
        img_id: image id; never used as a path.
        question: the text put to the model.
        answer: reference answer; None on hidden sets.
        question_class: 1 to 3 slugs of :data:`gi_bench.harness.taxonomy.QUESTION_CLASSES`.
        complexity: 1 to 3; number of atomic questions merged into this one.
        original: atomic pairs in the order of ``question_class``.
        explanation: reference explanation, where the suite has one.
        is_negative: the finding asked about is absent, so that the right answer denies it.
        finding: the finding asked about where the row is about exactly one; else None.
        wants_explanation: the suite asks for an explanation (and a visual one) of this row.
        options: the answers to choose from, in the order in which they are put; empty for an open question.
        also_accepted: reference answers that are as right as ``answer``; empty where it is the only one.
    """

    index: int
    img_id: str
    question: str
    answer: str | None
    question_class: tuple[str, ...]
    complexity: int
    original: tuple[AtomicPair, ...] = ()
    explanation: str | None = None
    is_negative: bool = False
    finding: str | None = None
    wants_explanation: bool = False
    options: tuple[str, ...] = field(default=(), metadata=ADDED)
    also_accepted: tuple[str, ...] = field(default=(), metadata=ADDED)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A referring phrase of one image, with the region it refers to.

    Attributes:
        index: position among the suite's phrases, from 0.
        img_id: image id.
        phrase: the text put to the model.
        label: class of the region: ``polyp``, ``instrument``, ``z-line``, ...
        region: reference region; None if the suite has no mask for it.
        is_negative: nothing in the image fits the phrase; the right region is empty.
    """

    index: int
    img_id: str
    phrase: str
    label: str
    region: Region | None = None
    is_negative: bool = False
