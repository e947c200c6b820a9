"""Whether a run's rows are those that an edition asks for."""

from __future__ import annotations

from collections.abc import Sequence

from gi_bench.harness.errors import UnfitRunError
from gi_bench.harness.registry import stored_spec
from gi_bench.harness.schema import Prediction, Question
from gi_bench.harness.store import Run
from gi_bench.harness.suites.specs import rows_digest
from gi_bench.submissions.editions import Edition, Rows


def asked_rows(run: Run, edition: Edition, table: Rows) -> list[tuple[Question, Prediction]]:
    """The run's questions in the edition's order, each with its answered prediction.

    Raises:
        UnfitRunError: the run is of other rows or cut short, rows are missing, answers are empty, or it is no model's.
    """
    if run.role == "ceiling":
        raise UnfitRunError(
            f"{run.variant} knows the references: it is no model, and no submission",
            where=run.path,
            do="submit the run of a model",
        )
    again = f"run the variant with -s {table.suite}"
    if run.recipe.limit is not None:
        raise UnfitRunError(f"the run was cut short with --limit {run.recipe.limit}", where=run.path,
                            do=f"{again} and without --limit")  # fmt: skip
    condition = stored_spec(run.suite).condition
    if condition in ("augmented", "cross-wording"):
        raise UnfitRunError(f"the run on {run.suite} is not of the rows as {edition.title} asks them: {condition}",
                            where=run.path, do=again)  # fmt: skip
    questions = list(run.questions)
    if table.rows is not None and len(questions) != table.rows:
        raise UnfitRunError(
            f"the run on {run.suite} has {len(questions):,} questions, {edition.title} asks {table.rows:,}",
            where=run.path,
            do=again,
        )
    if table.sha256:
        if rows_digest(questions, is_numbered=table.is_numbered) != table.sha256:
            raise UnfitRunError(f"the run on {run.suite} is not of the rows that {edition.title} asks",
                                where=run.path, do=again)  # fmt: skip
    elif run.suite != table.suite:
        raise UnfitRunError(f"the run is of {run.suite}, {edition.title} asks {table.suite}",
                            where=run.path, do=again)  # fmt: skip
    return answered(run, questions)


def answered(run: Run, questions: list[Question]) -> list[tuple[Question, Prediction]]:
    """The questions with their predictions, none without an answer.

    Raises:
        UnfitRunError: there is no question, or answers are missing or empty; the message names the first rows.
    """
    if not questions:
        raise UnfitRunError("the run has no questions", where=run.path, do="run a suite of the challenge")
    rows = [(question, run.predictions.get(("question", question.index))) for question in questions]
    empty = [q.index for q, p in rows if p is None or p.answer is None or not p.answer.strip()]
    if empty:
        raise UnfitRunError(
            f"{len(empty)} of {len(rows)} questions have no answer (rows {first_of(empty)})",
            where=run.path,
            do="finish the run, or use a model that answers every question",
        )
    return [(question, prediction) for question, prediction in rows if prediction is not None]


def first_of(numbers: Sequence[int]) -> str:
    """The first five numbers of rows, for a message.

    >>> first_of([3, 4, 5, 6, 7, 8])
    '3, 4, 5, 6, 7, ...'
    """
    return ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")


__all__ = ["answered", "asked_rows", "first_of"]
