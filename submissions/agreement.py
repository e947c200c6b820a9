"""Whether two runs are of one model, and that the answers of subtask 2 are those of subtask 1."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gi_bench.harness.errors import UnfitRunError
from gi_bench.harness.schema import Prediction, Question
from gi_bench.harness.store import Run
from gi_bench.submissions.editions import Edition
from gi_bench.submissions.rows import asked_rows, first_of

Rows = list[tuple[Question, Prediction]]
_OF_A_FILE = "predictions of a file"


@dataclass(frozen=True)
class Agreement:
    """What subtask 1 says of the rows that it shares with subtask 2.

    Attributes:
        shared: rows of subtask 2 whose image and question subtask 1 asks too; None where nobody counted them.
        is_checked: whether a run of subtask 1 was at hand.
        replaced: val_id of the rows whose answer was another and is now that of subtask 1.
    """

    shared: int | None
    is_checked: bool
    replaced: tuple[int, ...] = ()

    def lines(self) -> list[str]:
        """What has to be said of it, as sentences without a full stop."""
        if not self.is_checked:
            if self.shared == 0:
                return []
            which = "rows" if self.shared is None else f"{self.shared:,} rows"
            return [f"unchecked: the {which} that subtask 1 asks too have to have its answers (give --task1 RUN1)"]
        found = [f"{self.shared:,} rows are asked by subtask 1 too, and have its answers"]
        if self.replaced:
            found.append(
                f"{len(self.replaced):,} of them were answered differently in this run: answer and confidence are "
                "those of subtask 1, while their explanations and regions were made for the other answer "
                f"(val_id {first_of(self.replaced)})"
            )
        return found


def unchecked(edition: Edition, count: int) -> Agreement:
    """The agreement where no run of subtask 1 is given.

    Args:
        edition: the challenge.
        count: rows of subtask 2.
    """
    own, other = edition.task2, edition.task1
    if own is None or other is None:
        return Agreement(0, is_checked=False)
    same = own.suite == other.suite or (bool(own.sha256) and (own.sha256, own.is_numbered) ==
                                        (other.sha256, other.is_numbered))  # fmt: skip
    return Agreement(count if same else own.shared, is_checked=False)


def with_answers_of(
    rows: Sequence[tuple[Question, Prediction]], task1: Run, edition: Edition
) -> tuple[Rows, Agreement]:
    """The rows with the answers of subtask 1 wherever it asks the same of the same image.

    An image and a question may stand in several rows of subtask 1: any of its answers is right here, and the first is
    taken where none is the one that is there.

    Raises:
        UnfitRunError: the run is not one of the rows of subtask 1, all answered.
        GiBenchError: the edition has no subtask 1.
    """
    said: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for question, prediction in asked_rows(task1, edition, edition.rows_of("task1")):
        said[question.img_id, question.question].append(prediction)
    found: Rows = []
    shared, replaced = 0, []
    for val_id, (question, prediction) in enumerate(rows):
        others = said.get((question.img_id, question.question), [])
        shared += bool(others)
        if others and prediction.answer not in [one.answer for one in others]:
            # Its confidence is one of this answer; the other answer's would say nothing of it.
            prediction = replace(prediction, answer=others[0].answer, confidence=others[0].confidence)
            replaced.append(val_id)
        found.append((question, prediction))
    return found, Agreement(shared, is_checked=True, replaced=tuple(replaced))


def check_same_model(run: Run, other: Run, option: str) -> list[str]:
    """Refuse a run of another model; give what a reader should know of the two.

    Compared are the variant and all that its model says of itself: digests of backbone and adapter, decoding, and
    whatever else decides its predictions.

    Args:
        run: what is submitted.
        other: the run that is used beside it.
        option: through which it was given, for the message.

    Raises:
        UnfitRunError: it is of another model.
    """
    ours, theirs = run.recipe, other.recipe
    do = f"give {option} a run of the same variant, weights and decoding"
    if ours.variant != theirs.variant:
        raise UnfitRunError(
            f"the run is of {theirs.variant}, the submission of {ours.variant}", where=other.path, do=do
        )
    different = _difference(_identity(ours.model), _identity(theirs.model))
    if different is not None:
        key, here, there = different
        raise UnfitRunError(
            f"the run is of another model: its {key} is {there}, that of the submission {here}", where=other.path, do=do
        )
    notes = []
    if ours.model.get("kind") == _OF_A_FILE:
        notes.append(f"that {other.path.name} is of the same model rests on its name: both are files of predictions")
    if ours.dtype != theirs.dtype:
        notes.append(f"{other.path.name} was made in {theirs.dtype}, the submission in {ours.dtype}")
    return notes


def _identity(model: Mapping[str, Any]) -> dict[str, Any]:
    """What tells models apart: a digest rather than a name, and of a file of predictions nothing."""
    found = {key: value for key, value in model.items() if key != "note"}
    if found.get("kind") == _OF_A_FILE:
        return {"kind": _OF_A_FILE}
    for key in [key for key in found if f"{key}_digest" in found]:
        del found[key]
    return found


def _difference(ours: Any, theirs: Any, key: str = "model") -> tuple[str, str, str] | None:
    """The first setting that differs, as both have it."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for name in sorted(ours.keys() | theirs.keys()):
            found = _difference(ours.get(name, "not given"), theirs.get(name, "not given"), str(name))
            if found is not None:
                return found
        return None
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        ours, theirs = list(ours), list(theirs)
    return None if ours == theirs else (key.replace("_", " "), _short(ours), _short(theirs))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:16]}..."


__all__ = ["Agreement", "check_same_model", "unchecked", "with_answers_of"]
