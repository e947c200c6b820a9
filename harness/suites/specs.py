"""What a suite is, declared: whatever the harness does for one suite and not for another rests on this record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gi_bench.harness.schema import Question

Subtask = Literal["", "task1", "task2"]
Condition = Literal["", "augmented", "cross-wording", "split side"]


@dataclass(frozen=True)
class Subset:
    """The first rows of a split in a shuffled order, or the rows that they leave.

    Attributes:
        questions: how many rows are the first.
        seed: of ``numpy.random.default_rng(seed).permutation(rows)``, which is the order of
            ``datasets.Dataset.shuffle(seed)``.
        complexity: only rows of this complexity are shuffled; None for all.
        is_rest: whether the subset is what the first rows leave, in the split's own order.
        digest: SHA-256 of the subset's rows as in :func:`rows_digest`; empty if it is not pinned.
        is_numbered: whether the digest is over the row numbers too.
    """

    questions: int
    seed: int
    complexity: int | None = None
    is_rest: bool = False
    digest: str = ""
    is_numbered: bool = False


@dataclass(frozen=True)
class SuiteSpec:
    """What a suite is. A plugin's suite without a spec is none of the things below.

    Attributes:
        family: suites that are made alike, e.g. ``phantom``; decides which backbone is the suite's own.
        split: ``train``, ``validation``, ``test`` or a part of one; empty if the suite is no split.
        edition: year of the challenge whose rows these are; None if they are no challenge's.
        subtask: the subtask whose files the rows are numbered for; empty if none.
        subset: how the rows are chosen from the split; None for all.
        is_hidden: whether the rows come without references.
        asks_explanations: whether rows may want an explanation.
        is_embedded: comes with the package, so that its numbers have to repeat everywhere.
        images, questions, explanations: published numbers of images, questions and questions that want an explanation;
            None where they are not published.
        train_suite: name of the suite that priors learn from; None if there is none.
        mask_suite: the one that priors of regions learn from, where all masks of ``train_suite`` take long to make.
        short_train_suite: the one for trainings that are repeated many times, where ``train_suite`` takes long.
        condition: what was done to the suite that this is a view of; empty if it is no view.
        view_of: name of that suite.
    """

    family: str = ""
    split: str = ""
    edition: int | None = None
    subtask: Subtask = ""
    subset: Subset | None = None
    is_hidden: bool = False
    asks_explanations: bool = True
    is_embedded: bool = False
    images: int | None = None
    questions: int | None = None
    explanations: int | None = None
    train_suite: str | None = None
    mask_suite: str | None = None
    short_train_suite: str | None = None
    condition: Condition = ""
    view_of: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the suite is a whole split with references."""
        return bool(self.split) and self.subset is None and not self.is_hidden

    def has_all(self, questions: Sequence[Question]) -> bool:
        """Whether these are all of the suite's rows: by their digest where it is pinned, else by their number.

        False where neither is known, so that nothing is taken for the official rows by its name.
        """
        subset = self.subset
        if subset is not None and subset.digest:
            return rows_digest(questions, is_numbered=subset.is_numbered) == subset.digest
        return self.questions is not None and len(questions) == self.questions


def rows_digest(questions: Sequence[Question], *, is_numbered: bool) -> str:
    """SHA-256 of the lines ``img_id<TAB>question``, joined by newlines; numbered: with ``index<TAB>`` in front."""
    lines = (f"{q.index}\t{q.img_id}\t{q.question}" if is_numbered else f"{q.img_id}\t{q.question}" for q in questions)
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()
