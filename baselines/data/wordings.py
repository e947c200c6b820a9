"""Explanations with less in them: one sentence for all, or a few wordings for each thing that is explained."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from gi_bench.baselines.data.explanations import from_template
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.schema import Question

# Image id, question, explanation: what a training row is made of.
ExplainedRow = tuple[str, str, str]


def templated(questions: Sequence[Question]) -> list[ExplainedRow]:
    """The explained rows with the same sentence everywhere, which holds the answer and nothing else."""
    return [
        (row.img_id, row.question, from_template(row.answer, {}, bytes(3)))
        for row in questions
        if row.explanation and row.answer
    ]


def thinned(questions: Sequence[Question], wordings: int) -> list[ExplainedRow]:
    """The explained rows whose explanation is one of the most frequent wordings of what is explained.

    What is explained is the question's class with its atomic answer. No row gets another row's explanation, which
    might be wrong of its image: rows with a rarer wording are left out.

    Args:
        questions: rows, those without explanation among them.
        wordings: kept of each class and answer; of equally frequent ones those that sort first.

    Raises:
        GiBenchError: fewer than one.
    """
    if wordings < 1:
        raise GiBenchError("no wordings are left", where=f"thin:{wordings}", do="keep one or more")
    groups: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for row in questions:
        if row.explanation:
            groups[_explained(row)][row.explanation] += 1
    kept = {
        key: {text for text, _ in sorted(texts.items(), key=lambda pair: (-pair[1], pair[0]))[:wordings]}
        for key, texts in groups.items()
    }
    return [
        (row.img_id, row.question, row.explanation)
        for row in questions
        if row.explanation and row.explanation in kept[_explained(row)]
    ]


def _explained(row: Question) -> tuple[str, ...]:
    return (*row.question_class, *(pair.answer for pair in row.original))
