"""The cross test: the wordings of absent things asked where the thing is there, and the other way round.

A model that has learnt which words stand for absent things shows nothing for them on images that have the thing, and
denies what is there. The view keeps images, labels, regions, facts and references of its suite, and swaps the texts of
the two sides: of phrases within their label, of questions within their question classes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from gi_bench.harness.errors import DataError
from gi_bench.harness.reading import asserts
from gi_bench.harness.reading.clauses import clauses
from gi_bench.harness.reading.vocabulary import NAMES_FINDING
from gi_bench.harness.schema import Phrase, Question
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.specs import SuiteSpec
from gi_bench.harness.suites.wordings import Wording, drawn, hand_out, names_in

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIX = "@cross-wording"


class CrossedSuite(Suite):
    """A suite's phrases and questions with the texts of what is there and of what is absent swapped."""

    def __init__(self, suite: Suite) -> None:
        self.name = f"{suite.name}{SUFFIX}"
        self.spec = crossed_spec(suite.name, suite.spec)
        self.has_images, self.is_embedded = suite.has_images, suite.is_embedded
        self._suite = suite
        phrases, left_phrases = crossed(suite.phrases)
        questions, left_questions = crossed_questions(suite.questions)
        if not phrases and not questions:
            raise DataError(
                "no label and no question class has rows both where the thing is there and where it is absent",
                where=suite.name,
                do="give a suite with negatives",
            )
        self.phrases, self.questions = tuple(phrases), tuple(questions)
        own = "the wordings of negatives and positives are swapped within each label and within each question class"
        if left_phrases:
            own += f"; {left_phrases:,} of {len(suite.phrases):,} phrases are left out: their label has no other side, "
            own += "or their image was given every text of it"
        if left_questions:
            own += f"; {left_questions:,} of {len(suite.questions):,} questions are left out: they are not about one "
            own += "finding, have options or no reference, their classes have no other side, or no text of it fits"
        self.note = "; ".join(filter(None, (suite.note, own)))

    def load_image(self, img_id: str) -> Image:
        """The suite's image."""
        return self._suite.load_image(img_id)

    def image_digest(self, img_id: str) -> str:
        """The suite's digest of the image."""
        return self._suite.image_digest(img_id)


def crossed_spec(name: str, spec: SuiteSpec) -> SuiteSpec:
    """What the view of a suite is: how many rows get a text is not published, and nobody learns for it."""
    return replace(
        spec, condition="cross-wording", view_of=name, images=None, questions=None, explanations=None,
        train_suite=None, mask_suite=None, short_train_suite=None,
    )  # fmt: skip


def crossed(phrases: Sequence[Phrase]) -> tuple[list[Phrase], int]:
    """Phrases with the texts of the other side of their label, each about as often as it is used there.

    Returns:
        The rows that got a text, in order and numbered from 0, and how many got none. No image is asked the same twice.
    """
    texts: dict[int, str] = {}
    for label in dict.fromkeys(row.label for row in phrases):
        for negative in (True, False):
            takers = [row for row in phrases if row.label == label and row.is_negative == negative]
            used = Counter(Wording(row.phrase) for row in phrases if row.label == label and row.is_negative != negative)
            if takers and used:
                texts |= _swapped(takers, used, f"{label}\0{negative}")
    kept = [replace(row, phrase=texts[row.index]) for row in phrases if row.index in texts]
    return [replace(row, index=index) for index, row in enumerate(kept)], len(phrases) - len(kept)


def crossed_questions(questions: Sequence[Question]) -> tuple[list[Question], int]:
    """Questions with the texts of the other side of their question classes, each about as often as it is used there.

    Classes, facts, reference and ``is_negative`` stay the row's own: the classes say which facts are asked for, so that
    the reference answers the new text too. Rows about exactly one finding take part, without options, with a
    reference. A text that names a single thing ("tube") goes to rows about that thing, or to images without anything of
    the kind; one that turns the meaning of a bare "yes" or "no" around goes to none.

    Returns:
        As :func:`crossed`.
    """
    about = [row for row in questions if row.finding is not None and row.answer is not None and not row.options]
    present = {(row.img_id, row.finding) for row in about if not row.is_negative}
    groups: dict[tuple[tuple[str, ...], str | None], list[Question]] = {}
    for row in about:
        groups.setdefault((row.question_class, row.finding), []).append(row)
    texts: dict[int, str] = {}
    for (classes, finding), rows in groups.items():
        for negative in (True, False):
            takers = [row for row in rows if row.is_negative == negative]
            used = Counter(
                Wording(row.question, "", names_in(row.question, finding or ""))
                for row in rows
                if row.is_negative != negative
            )
            if takers and used:
                by_index = {row.index: row for row in takers}
                texts |= _swapped(
                    takers,
                    used,
                    f"{classes}\0{finding}\0{negative}",
                    partial(_fits_row, by_index, present),
                )
    kept = [replace(row, question=texts[row.index]) for row in questions if row.index in texts]
    return [replace(row, index=index) for index, row in enumerate(kept)], len(questions) - len(kept)


def _fits_row(rows: Mapping[int, Question], present: set[tuple[str, str | None]], index: int, wording: Wording) -> bool:
    """As :func:`_fits`, of a row by its index."""
    return _fits(rows[index], wording, present)


def _fits(row: Question, wording: Wording, present: set[tuple[str, str | None]]) -> bool:
    """Whether the row's reference answers the text."""
    finding, answer = row.finding or "", row.answer or ""
    own = names_in(row.question, finding)
    if row.is_negative:
        if wording.names != own and (row.img_id, finding) in present:
            return False
    elif not wording.names <= own | names_in(answer, finding):
        return False
    return _said(answer, finding, wording.text) == _said(answer, finding, row.question)


@lru_cache(maxsize=1 << 16)
def _said(answer: str, finding: str, question: str) -> tuple[bool | None, bool]:
    """What a reference says as the answer to a question, and whether the question turns it around.

    "Yes" denies text where it answers "Is the image free of text?"; an answer that names the thing stands by itself.
    """
    noun = NAMES_FINDING.get(finding)
    if noun is None:
        return None, False
    # As a statement: a question by itself says nothing.
    asked = clauses(question.replace("?", "."))
    turned = not noun.search(answer.lower()) and any(part.denies(noun) for part in asked)
    return asserts(answer, finding, question), turned


def _swapped(
    takers: Sequence[Phrase | Question],
    used: Counter[Wording],
    key: str,
    fits: Callable[[int, Wording], bool] = lambda _taker, _text: True,
) -> dict[int, str]:
    """Text of each row by its index, drawn by its image."""
    digests = {row.index: hashlib.sha256(f"{key}\0{row.img_id}\0{_text(row)}".encode()).hexdigest() for row in takers}
    images = {row.index: row.img_id for row in takers}
    order = sorted(digests, key=lambda index: (digests[index], index))
    picked = drawn(used, len(takers), 0.5)
    shuffled = sorted(enumerate(picked), key=lambda pair: hashlib.sha256(f"{key}\0{pair[0]}".encode()).hexdigest())
    given = hand_out([text for _, text in shuffled], order, fits, lambda index: images[index])
    return {index: wording.text for index, wording in given.items()}


def _text(row: Phrase | Question) -> str:
    return row.phrase if isinstance(row, Phrase) else row.question
