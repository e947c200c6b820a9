"""The ceiling over scores of answers: it knows every fact, and words it as another image's row does.

``oracle_facts`` reads the atomic facts of the row it is asked about, which no model may see. Its answer is the most
frequent one of training rows of other images with the same facts in the same order: of those with the same question,
where there are any. Whoever sees everything and words it so reaches its score, and no better seeing raises it. Rows
whose facts no other image's row states are not covered: they are no part of its run.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from gi_bench.baselines.floors.answers import ModalTexts, rows_digest
from gi_bench.baselines.floors.teaching import teacher_of
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.model import NOT_COVERED, Answer, Ask, BuildContext, Feature, GroundAsk, Grounding
from gi_bench.harness.schema import Question, Task

Facts = tuple[tuple[str, str], ...]


def facts_of_row(row: Question) -> Facts:
    """The row's atomic questions with their answers, in the order in which the question asks for them."""
    return tuple((pair.question, pair.answer) for pair in row.original)


class FactOracle:
    """Words what it knows of a row; see :class:`gi_bench.harness.model.Model`.

    Args:
        facts: by index of the row.
        answers, explanations: texts of training rows by (facts, question) and by facts; without explanations the
            oracle explains nothing.
        explained: rows that want an explanation.
        keys: key of the image by index of the row.
        settings: what the recipe says.
    """

    needs_image = False
    batch_size = 4096

    def __init__(
        self,
        facts: Mapping[int, Facts],
        answers: ModalTexts,
        explanations: ModalTexts | None,
        explained: frozenset[int],
        keys: Mapping[int, str],
        settings: Mapping[str, Any],
    ) -> None:
        self._facts, self._answers, self._explanations = facts, answers, explanations
        self._explained, self._keys, self.settings = explained, keys, settings
        self.tasks: frozenset[Task] = frozenset({"answer"} if explanations is None else {"answer", "explain"})

    def encode(self, images: Sequence[Any]) -> Sequence[Feature]:
        """Never called: the oracle does not look."""
        return [None] * len(images)

    def _said(self, texts: ModalTexts, ask: Ask) -> tuple[str, float] | None:
        facts, image = self._facts.get(ask.index), self._keys[ask.index]
        if not facts:
            return None
        return texts.best((facts, ask.question), image) or texts.best(facts, image)

    def covers(self, ask: Ask) -> bool:
        """Whether another image's row words what is asked for."""
        if self._said(self._answers, ask) is None:
            return False
        wanted = self._explanations is not None and ask.index in self._explained
        return not wanted or (self._explanations is not None and self._said(self._explanations, ask) is not None)

    def answer(self, features: Sequence[Feature], asks: Sequence[Ask]) -> list[Answer]:
        """The wording of another image's row, with its share among such rows as confidence."""
        found = []
        for ask in asks:
            said = self._said(self._answers, ask) if self.covers(ask) else None
            found.append(Answer("", None, warnings=(NOT_COVERED,)) if said is None else Answer(*said))
        return found

    def explain(self, features: Sequence[Feature], asks: Sequence[Ask], answers: Sequence[str]) -> list[Answer]:
        """The explanation of another image's row with the same facts."""
        found = []
        for ask in asks:
            said = self._said(self._explanations, ask) if self._explanations is not None and self.covers(ask) else None
            found.append(Answer("", None) if said is None else Answer(*said))
        return found

    def ground(self, features: Sequence[Feature], asks: Sequence[GroundAsk]) -> Sequence[Grounding]:
        """Never called: the task is not listed."""
        raise GiBenchError("an oracle of facts shows no regions")

    def close(self) -> None:
        """Nothing to give back."""


def build_fact_oracle(kind: str, context: BuildContext) -> FactOracle:
    """Make the oracle from the facts of the suite's rows and the wordings of the training rows.

    Raises:
        GiBenchError: the suite has no atomic facts, or no training row has the facts of any of its rows.
    """
    teacher, suite = teacher_of(kind, context), context.suite
    facts = {row.index: facts_of_row(row) for row in suite.questions if row.original}
    if not facts:
        raise GiBenchError(f"{kind} needs atomic facts, and no row has any", where=suite.name)
    donors = [row for row in teacher.suite.questions if row.answer and row.original]
    answers = _texts((row, teacher.key(row.img_id), row.answer or "") for row in donors)
    explained = [row for row in donors if row.explanation]
    digest = rows_digest(
        (row.img_id, row.question, row.answer or "", row.explanation or "", repr(facts_of_row(row))) for row in donors
    )
    oracle = FactOracle(
        facts,
        answers,
        _texts((row, teacher.key(row.img_id), row.explanation or "") for row in explained) if explained else None,
        frozenset(row.index for row in suite.questions if row.wants_explanation),
        {row.index: teacher.key(row.img_id) for row in suite.questions},
        {"role": "ceiling", **teacher.settings(kind, donors, "rows", digest)},
    )
    asks = (Ask(q.index, q.img_id, q.question, q.question_class, q.complexity) for q in suite.questions)
    if not any(oracle.covers(ask) for ask in asks):
        raise GiBenchError(
            f"{kind}: no training row of another image has the facts of any row",
            where=teacher.suite.name,
            do="give --train-suite with more rows",
        )
    return oracle


def _texts(rows: Any) -> ModalTexts:
    keyed: list[tuple[Hashable, str, str]] = []
    for row, image, text in rows:
        facts = facts_of_row(row)
        keyed += [((facts, row.question), image, text), (facts, image, text)]
    return ModalTexts(keyed)
