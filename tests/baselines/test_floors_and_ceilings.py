"""The variants that are no models: what needs no eyes, and what knows the references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gi_bench.baselines.ceilings.facts import build_fact_oracle, facts_of_row
from gi_bench.baselines.ceilings.regions import (
    agreed,
    build_annotator_oracle,
    build_pixel_oracle,
    build_token_oracle,
    through_pixels,
)
from gi_bench.baselines.floors.explanations import build_explanation_prior, build_template_prior
from gi_bench.baselines.floors.regions import build_region_prior, mean_mask, on_grid
from gi_bench.harness.engine.run import Settings, evaluate
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.metrics import text
from gi_bench.harness.model import NOT_COVERED, Ask, BuildContext, GroundAsk, Model
from gi_bench.harness.regions import iou, overlap, united
from gi_bench.harness.registry import load_suite, model_entry, registered
from gi_bench.harness.schema import AtomicPair, Phrase, Question, Region
from gi_bench.harness.store import open_run
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.phantom.suite import PhantomSuite

SIZE = 96


class _Made(Suite):
    """Rows that are given, without images."""

    has_images = False

    def __init__(self, name: str, questions: Sequence[Question] = (), phrases: Sequence[Phrase] = ()) -> None:
        self.name, self.questions, self.phrases = name, questions, phrases


def _box(left: int, top: int, width: int, height: int, label: str = "polyp") -> Region:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[top : top + height, left : left + width] = True
    return Region.from_mask(label, mask)


def _phrases(*rows: tuple[str, Region], text: str = "polyp") -> list[Phrase]:
    return [Phrase(i, img, text, region.label, region, not region.area) for i, (img, region) in enumerate(rows)]


def _show(model: Model, phrase: Phrase) -> tuple[Region, ...]:
    ask = GroundAsk(phrase.img_id, phrase.phrase, phrase.label, SIZE, SIZE, phrase.index)
    return tuple(model.ground([None], [ask])[0].regions)


def _ask(row: Question) -> Ask:
    return Ask(row.index, row.img_id, row.question, row.question_class, row.complexity)


def _iou(shown: Sequence[Region], reference: Region) -> float:
    return iou(*overlap(united(shown, reference.height, reference.width), reference.mask()))


# Regions: the floor


def test_the_mean_mask_is_cut_where_it_fits_best() -> None:
    same = np.stack([on_grid(_box(10, 20, 40, 30))] * 3)
    found = mean_mask(same)
    assert found.iou == 1
    assert _iou([Region.from_mask("polyp", found.at(SIZE, SIZE))], _box(10, 20, 40, 30)) > 0.93
    assert found.at(7, 5).shape == (7, 5)
    assert found.at(1, 1).sum() == 1
    # One wide and two narrow masks of the same left edge: the narrow part is right for two, too little for one.
    masks = np.stack([on_grid(_box(0, 0, width, SIZE)) for width in (24, 24, 96)])
    assert mean_mask(masks).iou == pytest.approx((1 + 1 + 0.25) / 3, abs=0.01)


def test_an_image_s_own_mask_leaves_no_trace() -> None:
    random = np.random.default_rng(0)

    def box() -> Region:
        left, top, width, height = (int(value) for value in random.integers(4, 46, size=4))
        return _box(left, top, width, height)

    rows = [(f"img{i}", box()) for i in range(6)]
    suite = _Made("one", phrases=_phrases(*rows))
    model = build_region_prior(
        "blind_region_prior", BuildContext(suite=suite, train_suite=_Made("two", (), suite.phrases))
    )
    assert model.settings["training_rows_of_asked_images"] == 6
    for i, phrase in enumerate(suite.phrases):
        others = [row for j, row in enumerate(rows) if j != i]
        taught = BuildContext(suite=suite, train_suite=_Made("others", (), _phrases(*others)))
        assert _show(model, phrase) == _show(build_region_prior("blind_region_prior", taught), phrase)


def test_a_label_that_was_never_seen_gets_the_mean_of_all_and_absence_is_not_known() -> None:
    train = _Made("train", (), _phrases(("a", _box(0, 0, 40, 40)), ("b", _box(0, 0, 44, 44, "z-line"))))
    model = build_region_prior("blind_region_prior", BuildContext(suite=_Made("asked"), train_suite=train))
    absent = Phrase(0, "new", "snare", "instrument", _box(0, 0, 0, 0, "instrument"), is_negative=True)
    (shown,) = _show(model, absent)
    assert shown.label == "instrument"
    assert _iou([shown], _box(0, 0, 42, 42)) > 0.8
    assert shown.score is not None
    assert 0.5 < shown.score < 1


def test_a_prior_of_regions_needs_regions() -> None:
    train = _Made("train", (), [Phrase(0, "a", "polyp", "polyp")])
    with pytest.raises(GiBenchError, match="no training region"):
        build_region_prior("blind_region_prior", BuildContext(suite=train, train_suite=train))


def test_the_mean_mask_of_the_other_real_polyps(shared: Path) -> None:
    """309 of 313 images have a phrase; without looking, and without the image's own mask, IoU is .27."""
    data = shared / "data" / "real"
    suite = load_suite("kvasir-vqa-x1/test", data)
    model = build_region_prior("blind_region_prior", BuildContext(suite=suite, train_suite=suite))
    one_each = {p.img_id: p for p in suite.phrases if not p.is_negative and p.region is not None}
    values = []
    for phrase in one_each.values():
        region = phrase.region
        assert region is not None
        ask = GroundAsk(phrase.img_id, phrase.phrase, phrase.label, region.width, region.height)
        values.append(_iou(model.ground([None], [ask])[0].regions, region))
    assert np.mean(values) == pytest.approx(0.267, abs=0.002)


def test_phantom_s_z_line_needs_the_least_looking() -> None:
    """It lies in the same place in a third of its pixels; other things do not."""
    suite, train = load_suite("phantom/test"), load_suite("phantom/train-small")
    model = build_region_prior("blind_region_prior", BuildContext(suite=suite, train_suite=train))
    by_label: dict[str, list[float]] = {}
    for phrase in suite.phrases:
        if not phrase.is_negative and phrase.region is not None:
            ask = GroundAsk(phrase.img_id, phrase.phrase, phrase.label, 256, 256)
            value = _iou(model.ground([None], [ask])[0].regions, phrase.region)
            by_label.setdefault(phrase.label, []).append(value)
    assert np.mean(by_label["z-line"]) == pytest.approx(0.283, abs=0.003)
    assert np.mean([value for values in by_label.values() for value in values]) == pytest.approx(0.135, abs=0.003)


# Explanations: the floors


def _row(index: int, img: str, question: str, answer: str, explanation: str | None, value: str = "1") -> Question:
    pair = AtomicPair("What color is the abnormality? If more than one separate with ;", value)
    return Question(
        index, img, question, answer, ("abnormality_color",), 1, (pair,), explanation, wants_explanation=True
    )


TAUGHT = [
    _row(0, "a", "Which colour?", "pink", "It is pink.", "pink"),
    _row(1, "b", "Which colour?", "red", "It is red.", "red"),
    _row(2, "c", "Which colour is it?", "red", "It is red.", "red"),
    _row(3, "d", "Which colour is it?", "red seen", "It looks red.", "red"),
]


def test_the_most_frequent_explanation_of_the_classes() -> None:
    context = BuildContext(suite=_Made("asked", TAUGHT), train_suite=_Made("taught", TAUGHT))
    model = build_explanation_prior("blind_explanation", context)
    assert [found.text for found in model.explain([None], [_ask(TAUGHT[0])], ["pink"])] == ["It is red."]
    # Without its own row "It is red." is no more frequent than the others: the first of them is taken.
    assert [found.text for found in model.explain([None], [_ask(TAUGHT[1])], ["red"])] == ["It is pink."]
    assert model.tasks == {"answer", "explain"}
    bare = _Made("bare", [replace(row, explanation=None) for row in TAUGHT])
    with pytest.raises(GiBenchError, match="blind_explanation_template"):
        build_explanation_prior("blind_explanation", replace(context, train_suite=bare))


def test_the_template_holds_the_blind_answer_and_the_most_frequent_fact() -> None:
    bare = _Made("bare", [replace(row, explanation=None) for row in TAUGHT])
    model = build_template_prior("blind_explanation_template", BuildContext(suite=bare, train_suite=bare))
    new = _ask(_row(9, "new", "Which colour?", "?", None))
    (answer,) = model.answer([None], [new])
    (found,) = model.explain([None], [new], [answer.text])
    assert answer.text == "pink", "a tie of two rows with this question: the first"
    assert "pink" in found.text.lower()
    assert "red in colour" in found.text or "colours are red" in found.text


# Answers: the ceiling


def test_facts_are_worded_as_another_image_s_row_words_them() -> None:
    asked = _Made("asked", [_row(0, "a", "Which colour is it?", "?", None, "red")])
    model = build_fact_oracle("oracle_facts", BuildContext(suite=asked, train_suite=_Made("taught", TAUGHT)))
    (answer,) = model.answer([None], [_ask(asked.questions[0])])
    assert (answer.text, answer.confidence) == ("red", 0.5), "the same question has two wordings: the first"
    other = _Made("asked", [_row(0, "a", "Colour?", "?", None, "red")])
    model = build_fact_oracle("oracle_facts", BuildContext(suite=other, train_suite=_Made("taught", TAUGHT)))
    (answer,) = model.answer([None], [_ask(other.questions[0])])
    assert (answer.text, answer.confidence) == ("red", pytest.approx(2 / 3)), "nobody asked so: the mode of all"
    (why,) = model.explain([None], [_ask(other.questions[0])], [answer.text])
    assert why.text == "It is red."


def test_a_row_that_no_other_image_words_is_not_covered() -> None:
    suite = _Made("asked", TAUGHT)
    model = build_fact_oracle("oracle_facts", BuildContext(suite=suite, train_suite=suite))
    own, donated = model.answer([None, None], [_ask(TAUGHT[0]), _ask(TAUGHT[1])])
    assert own.warnings == (NOT_COVERED,), "only its own image is pink"
    assert donated.text == "red"
    assert not donated.warnings
    lonely = _Made("lonely", TAUGHT[:1])
    with pytest.raises(GiBenchError, match="no training row of another image"):
        build_fact_oracle("oracle_facts", BuildContext(suite=lonely, train_suite=lonely))
    hidden = _Made("hidden", [replace(row, original=()) for row in TAUGHT])
    with pytest.raises(GiBenchError, match="atomic facts"):
        build_fact_oracle("oracle_facts", BuildContext(suite=hidden, train_suite=suite))


def test_the_order_of_facts_is_part_of_them() -> None:
    first, second = AtomicPair("one", "1"), AtomicPair("two", "2")
    row = Question(0, "a", "?", "x", ("polyp_count", "text_presence"), 2, (first, second))
    turned = replace(row, index=1, img_id="b", original=(second, first))
    assert facts_of_row(row) != facts_of_row(turned)
    with pytest.raises(GiBenchError, match="no training row of another image"):
        build_fact_oracle("oracle_facts", BuildContext(suite=_Made("a", [row]), train_suite=_Made("b", [turned])))


def _ceiling_bleu(suite: Suite, train: Suite) -> tuple[int, float]:
    model = build_fact_oracle("oracle_facts", BuildContext(suite=suite, train_suite=train))
    answers = model.answer([None] * len(suite.questions), [_ask(row) for row in suite.questions])
    pairs = [
        (answer.text, row.answer or "")
        for answer, row in zip(answers, suite.questions, strict=True)
        if NOT_COVERED not in answer.warnings
    ]
    return len(pairs), text.corpus_scores(pairs)["bleu"]


def test_no_seeing_gets_beyond_this_on_the_official_1500_rows(shared: Path) -> None:
    data = shared / "data" / "kvasir-vqa-x1"
    count, bleu = _ceiling_bleu(load_suite("medico2025-task1", data), load_suite("kvasir-vqa-x1/test", data))
    assert count == 1092
    assert bleu == pytest.approx(0.4719, abs=0.001)


def test_phantom_s_ceiling_of_answers() -> None:
    count, bleu = _ceiling_bleu(load_suite("phantom/test"), load_suite("phantom/train"))
    assert count == pytest.approx(2759, abs=5)
    assert bleu == pytest.approx(0.461, abs=0.002)


# Regions: the ceilings


def test_the_reference_through_tokens_and_pixels() -> None:
    suite = PhantomSuite("validation", 12)
    for build, least, most in ((build_token_oracle, 0.7, 0.9), (build_pixel_oracle, 0.93, 0.99)):
        model = build("oracle", BuildContext(suite=suite))
        values = []
        for phrase in suite.phrases:
            assert phrase.region is not None
            ask = GroundAsk(phrase.img_id, phrase.phrase, phrase.label, 256, 256, phrase.index)
            (found,) = model.ground([None], [ask])
            if phrase.is_negative:
                assert found.regions == ()
            else:
                values.append(_iou(found.regions, phrase.region))
                assert found.confidence == pytest.approx(values[-1], abs=1e-6), "it knows how good its region is"
        assert least < np.mean(values) < most, build.__name__


def test_a_larger_backbone_sees_and_writes_more() -> None:
    suite = PhantomSuite("validation", 4)
    phrase = next(p for p in suite.phrases if not p.is_negative)
    ask = GroundAsk(phrase.img_id, phrase.phrase, phrase.label, 256, 256, phrase.index)
    for build in (build_token_oracle, build_pixel_oracle):
        tiny, base = (
            build("oracle", BuildContext(suite=suite, backbone=name)).ground([None], [ask])[0].confidence
            for name in ("tiny", "base")
        )
        assert tiny is not None
        assert base is not None
        assert tiny < base
    with pytest.raises(GiBenchError, match="in which size"):
        build_pixel_oracle("oracle", BuildContext(suite=suite, backbone="/nowhere"))


def test_what_is_smaller_than_a_pixel_is_lost() -> None:
    dot = np.zeros((400, 400), dtype=bool)
    dot[200, 200] = True
    assert not through_pixels(dot, 96).any()


def test_the_mask_that_agrees_best_with_all_annotators() -> None:
    masks = [_box(0, 0, width, 40).mask() for width in (30, 40, 44)]
    assert (agreed(masks) == masks[1]).all()
    small, large, elsewhere = _box(10, 10, 30, 30), _box(10, 10, 36, 30), _box(60, 60, 20, 20)
    phrases = [
        Phrase(0, "a", "polyp", "polyp", small),
        Phrase(1, "a", "the polyp", "polyp", large),
        Phrase(2, "a", "another polyp", "polyp", elsewhere),
        Phrase(3, "b", "polyp", "polyp", small),
    ]
    model = build_annotator_oracle("oracle_annotators", BuildContext(suite=_Made("two", (), phrases)))
    asks = [GroundAsk(p.img_id, p.phrase, p.label, SIZE, SIZE, p.index) for p in phrases]
    found = model.ground([None] * 4, asks)
    assert found[0].regions == found[1].regions, "one thing, drawn twice"
    assert found[0].confidence == pytest.approx((1 + 30 / 36) / 2)
    assert [NOT_COVERED in one.warnings for one in found] == [False, False, True, True]
    with pytest.raises(GiBenchError, match="several annotators"):
        build_annotator_oracle("oracle_annotators", BuildContext(suite=PhantomSuite("validation", 3)))


# All of them, as a user runs them


def test_roles_stand_in_registry_and_manifest_and_bounds_run_along(tmp_path: Path) -> None:
    roles = {name: entry.role for name, entry in registered("gi_bench.models").items()}
    floors = {name for name, role in roles.items() if role == "floor"}
    ceilings = {name for name, role in roles.items() if role == "ceiling"}
    assert floors == {name for name in roles if name.startswith("blind_")}
    assert ceilings == {name for name in roles if name.startswith("oracle_")}
    assert model_entry("multitask_r128").role == "model"
    lines: list[str] = []
    suite = PhantomSuite("validation", 6)
    settings = Settings(bounds=True, tasks=("ground",), device="cpu")
    finished = evaluate(["blind_region_prior"], suite, output=tmp_path, settings=settings, say=lines.append)
    made = {open_run(one.path).variant: open_run(one.path).role for one in finished}
    assert made == {
        "blind_region_prior": "floor", "oracle_region_pixels": "ceiling", "oracle_region_tokens": "ceiling",
    }  # fmt: skip
    assert any("oracle_annotators left out" in line for line in lines)
    scores = finished[0].scores
    rate = scores.find("region_false_positive_rate")
    assert rate is not None
    assert rate.value == 1, "it cannot know what is absent"


def test_bounds_are_those_of_the_tasks_at_hand(tmp_path: Path) -> None:
    """No floor of explanations where nothing is explained: its answers are those of the floor of answers."""
    suite = _Made("asked", TAUGHT)
    suite.train_suite = "asked"
    settings = Settings(bounds=True, tasks=("answer",), device="cpu")
    finished = evaluate(["blind_question_prior"], suite, output=tmp_path, settings=settings)
    made = [open_run(one.path).variant for one in finished]
    assert made == ["blind_question_prior", "blind_class_prior", "blind_constant", "oracle_facts"]
    bare = _Made("bare", [replace(row, explanation=None) for row in TAUGHT])
    bare.train_suite = "bare"
    with pytest.raises(GiBenchError, match="nothing for the task explain here"):
        evaluate(["oracle_facts"], bare, output=tmp_path, settings=Settings(tasks=("explain",), device="cpu"))
