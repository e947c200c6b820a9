from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from baselines.priors import PriorModel, build_prior
from harness.errors import GiBenchError
from harness.model import Ask, BuildContext
from harness.registry import load_suite
from harness.schema import Question
from harness.suites.phantom.suite import PhantomSuite


def _row(img: str, question: str, answer: str, *classes: str) -> Question:
    return Question(0, img, question, answer, classes, len(classes))


def _ask(img: str, question: str, *classes: str) -> Ask:
    return Ask(0, img, question, classes, len(classes))


ROWS = [
    _row("a", "Q1", "x", "polyp_count"),
    _row("b", "Q1", "y", "polyp_count"),
    _row("b", "Q2", "y", "polyp_count"),
    _row("c", "Q3", "z", "text_presence", "polyp_count"),
    _row("c", "Q3", "z", "text_presence", "polyp_count"),
    _row("c", "Q4", "z", "text_presence"),
]


def _answer(kind: str, ask: Ask, rows: Sequence[Question] = ROWS, *, leave: bool = False) -> tuple[str, float | None]:
    (found,) = PriorModel(kind, rows, leave_image_out=leave, source="t").answer([None], [ask])
    return found.text, found.confidence


def test_most_frequent_answers_and_fall_backs() -> None:
    assert _answer("blind_constant", _ask("n", "?", "polyp_count")) == ("z", 0.5)
    assert _answer("blind_class_prior", _ask("n", "?", "polyp_count")) == ("y", pytest.approx(2 / 3))
    assert _answer("blind_class_prior", _ask("n", "?", "polyp_size")) == ("z", 0.5), "unknown class: constant"
    assert _answer("blind_question_prior", _ask("n", "Q1", "polyp_count")) == ("x", 0.5), "a tie: first seen"
    assert _answer("blind_question_prior", _ask("n", "new", "polyp_count"))[0] == "y", "unknown question: class"


def test_classes_are_a_set() -> None:
    assert _answer("blind_class_prior", _ask("n", "?", "polyp_count", "text_presence")) == ("z", 1.0)


def test_left_out_images_do_not_vote() -> None:
    assert _answer("blind_question_prior", _ask("a", "Q1", "polyp_count"), leave=True) == ("y", 1.0)
    assert _answer("blind_question_prior", _ask("c", "Q3", "text_presence", "polyp_count"), leave=True)[0] == "y"
    assert _answer("blind_constant", _ask("c", "?", "text_presence"), leave=True) == ("y", pytest.approx(2 / 3))


def test_a_prior_without_training_rows_is_told() -> None:
    suite = PhantomSuite("validation", 2)
    with pytest.raises(GiBenchError, match="needs training rows"):
        build_prior("blind_constant", BuildContext(suite=suite))
    model = build_prior("blind_constant", BuildContext(suite=suite, train_suite=PhantomSuite("train", 5)))
    assert model.settings["training_rows"] == 50
    assert model.settings["leave_image_out"] is False


def test_the_published_floors_of_the_official_1500_rows(shared: Path) -> None:
    """CHALLENGE's blind floors, from the other 14,455 rows of the test split."""
    from harness.metrics import text

    data = shared / "data" / "kvasir-vqa-x1"
    suite, train = load_suite("medico2025-task1", data), load_suite("medico2025-task1/rest", data)
    expected = {
        "blind_question_prior": (0.2816, 0.5818, 0.3751, 0.5313, 0.5503),
        "blind_class_prior": (0.2281, 0.5281, 0.3127, 0.4631, 0.4969),
    }
    asks = [Ask(q.index, q.img_id, q.question, q.question_class, q.complexity) for q in suite.questions]
    references = [q.answer or "" for q in suite.questions]
    for kind, values in expected.items():
        model = build_prior(kind, BuildContext(suite=suite, train_suite=train))
        answers = [answer.text for answer in model.answer([None] * len(asks), asks)]
        found = tuple(text.corpus_scores(list(zip(answers, references, strict=True))).values())
        assert found == pytest.approx(values, abs=0.002), kind
