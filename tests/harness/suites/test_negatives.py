"""Negatives never contradict the facts of their image, are balanced, repeat, and are read as denials."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gi_bench.harness.reading import asserts
from gi_bench.harness.registry import load_suite
from gi_bench.harness.schema import AtomicPair, Phrase
from gi_bench.harness.suites.negatives import THINGS, make_negatives, stated
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.run_folders import questions

SUITE = PhantomSuite("validation")


def _row(img_id: str, slug: str, answer: str) -> Any:
    return replace(
        questions(1)[0], img_id=img_id, question_class=(slug,), original=(AtomicPair("q", answer),), answer="x"
    )


@pytest.mark.parametrize(
    ("slug", "answer", "there", "absent"),
    [
        ("polyp_count", "0", set(), {"polyp"}),
        ("polyp_count", "2", {"polyp"}, set()),
        ("polyp_removal_status", "not relevant", set(), set()),
        ("instrument_presence", "none", set(),
         {"instrument", "tube", "biopsy forceps", "polyp snare", "metal clip"}),
        ("instrument_presence", "tube", {"tube", "instrument"}, {"biopsy forceps", "polyp snare", "metal clip"}),
        ("instrument_count", "1", {"instrument"}, set()),
        ("abnormality_presence", "polyp", {"polyp"}, {"sign of ulcerative colitis", "sign of oesophagitis"}),
        ("finding_presence", "no", set(), {"polyp", "sign of ulcerative colitis", "sign of oesophagitis"}),
        ("landmark_presence", "z-line", {"z-line", "anatomical landmark"}, {"cecum", "pylorus"}),
        ("text_presence", "yes", {"text overlay"}, set()),
        ("box_artifact_presence", "no", set(), {"box artifact"}),
        ("procedure_type", "colonoscopy", set(), set()),
    ],
)  # fmt: skip
def test_what_a_fact_says(slug: str, answer: str, there: set[str], absent: set[str]) -> None:
    assert stated([_row("a", slug, answer)])["a"] == (there, absent)


def test_contradictory_facts_make_nothing() -> None:
    rows = [_row("a", "polyp_count", "0"), _row("a", "polyp_size", "5-10mm")]
    made, counts = make_negatives(SimpleNamespace(questions=rows, phrases=()), 5)  # type: ignore[arg-type]
    assert made == []
    assert counts["contradictory facts left out"] == 1


def _contradicts(thing: str, facts: list[tuple[str, str]]) -> bool:
    """Written a second time, from the atomic answers alone."""
    text = {
        "polyp": "polyp",
        "sign of ulcerative colitis": "ulcerative colitis",
        "sign of oesophagitis": "oesophagitis",
    }
    for slug, answer in facts:
        positive = answer.lower() not in {"none", "no", "0", "not relevant"}
        if thing in text and slug == "abnormality_presence" and text[thing] in answer:
            return True
        if thing == "polyp" and slug in {"polyp_count", "polyp_size", "polyp_type"} and positive:
            return True
        if thing in answer.split("; ") and slug in {"instrument_presence", "landmark_presence"}:
            return True
        if thing == "instrument" and slug.startswith("instrument_") and positive:
            return True
        if thing == "anatomical landmark" and slug.startswith("landmark_") and positive:
            return True
        if (thing, slug, answer) in {
            ("text overlay", "text_presence", "yes"),
            ("box artifact", "box_artifact_presence", "yes"),
        }:
            return True
    return False


def _check(suite: Any, ratio: float) -> Counter[str]:
    made, counts = make_negatives(suite, ratio, seed=1)
    facts: dict[str, list[tuple[str, str]]] = {}
    for row in suite.questions:
        pairs = zip(row.question_class, (p.answer for p in row.original), strict=True)
        facts.setdefault(row.img_id, []).extend(pairs)
    assert counts["made"] == len(made) > 0
    assert len({(one.img_id, one.thing) for one in made}) == len(made)
    for one in made:
        assert not _contradicts(one.thing, facts[one.img_id]), one
        assert bool(one.phrase) == bool(one.label)
    return Counter(one.finding for one in made)


def test_negatives_of_phantom_agree_with_its_facts_and_are_balanced() -> None:
    found = _check(SUITE, 0.1)
    assert set(found) == {"polyp", "abnormality", "instrument", "landmark", "text", "box artifact"}
    assert max(found.values()) <= 2 * min(found.values())
    turned: Any = SimpleNamespace(questions=SUITE.questions[::-1], phrases=SUITE.phrases[::-1])
    again, _ = make_negatives(turned, 0.3, seed=1)
    assert again == make_negatives(SUITE, 0.3, seed=1)[0], "whatever the order of rows"
    assert again != make_negatives(SUITE, 0.3, seed=2)[0]


def test_every_wording_is_read_as_a_denial() -> None:
    made, _ = make_negatives(SUITE, 100)
    assert {one.thing for one in made} == {thing.name for thing in THINGS}
    for one in made:
        assert bool(one.question) == bool(one.answer)
        assert not one.question or asserts(one.answer, one.finding, one.question) is False, one


def _check_words(suite: Any, ratio: float) -> dict[str, int]:
    """Every text of a negative is one of a present thing, as often as there; returns the number of phrases by label."""
    made, _ = make_negatives(suite, ratio)
    present: dict[str, list[str]] = defaultdict(list)
    for phrase in suite.phrases:
        if not phrase.is_negative:
            present[phrase.label].append(phrase.phrase)
    absent: dict[str, list[str]] = defaultdict(list)
    for one in made:
        if one.phrase:
            absent[one.label].append(one.phrase)
    for label, texts in absent.items():
        assert set(texts) <= set(present[label]), "a negative in words that no present thing has"
        used, share = Counter(texts), len(texts) / len(present[label])
        if label != "instrument":  # "tube" also fits where another instrument is there: its share may be larger
            for text, count in Counter(present[label]).items():
                assert abs(used[text] - count * share) < 1.001, (label, text)
    positive_questions = {q.question for q in suite.questions if q.complexity == 1 and not q.is_negative}
    assert {one.question for one in made if one.question} <= positive_questions
    assert len({(one.img_id, one.finding, one.question) for one in made if one.question}) == sum(
        bool(one.question) for one in made
    ), "no image is asked the same twice"
    return {label: len(texts) for label, texts in absent.items()}


def test_negatives_have_the_words_of_present_things() -> None:
    whole = PhantomSuite("train", 300)
    found = _check_words(whole, 0.3)
    assert set(found) == {"polyp", "ulcerative colitis", "oesophagitis", "z-line", "cecum", "pylorus", "instrument"}
    assert _check_words(SUITE, 100).keys() == found.keys()


def test_negatives_of_a_real_folder_have_the_words_of_present_things(shared: Path) -> None:
    test = load_suite("kvasir-vqa-x1/test", shared / "data/real")
    assert _check_words(test, 0.3)["polyp"] == 65, "the frames without a polyp"
    train = load_suite("kvasir-vqa-x1/train", shared / "data/real-train")
    made, counts = make_negatives(train, 0.2)
    assert not any(one.phrase for one in made), "no image without a polyp, and no phrases of other labels"
    assert counts["with a phrase"] == 0
    assert counts["with a question only, its label has no phrase"] > 100
    denied = {q.answer for q in train.questions if q.is_negative}
    assert sum(one.answer in denied for one in made) > 0.95 * len(made), "in the words of real denials"


def test_a_text_that_names_a_thing_is_asked_where_that_thing_is_absent() -> None:
    base = questions(1)[0]
    rows = [
        replace(base, img_id="a", question_class=("instrument_presence",), original=(AtomicPair("q", "polyp snare"),),
                question="Is a snare visible?", answer="a snare", finding="instrument", is_negative=False),
        replace(base, img_id="b", question_class=("instrument_presence",), original=(AtomicPair("q", "tube"),),
                question="Which instruments are visible?", answer="a tube", finding="instrument", is_negative=False),
    ]  # fmt: skip
    phrases = [Phrase(0, "a", "snare", "instrument"), Phrase(1, "b", "one instrument", "instrument")]
    made, counts = make_negatives(SimpleNamespace(questions=rows, phrases=phrases), 100)  # type: ignore[arg-type]
    assert [(one.img_id, one.thing, one.question, one.phrase) for one in made] == [
        ("b", "polyp snare", "Is a snare visible?", "snare")
    ], "nothing general is asked where another instrument is, and no text names tube, clip or forceps"
    assert made[0].answer == "no polyp snares visible", "the suite never denies an instrument"
    assert counts["absent, but the suite has no words for it"] == 5


def test_a_lesion_of_another_kind_is_no_absence_of_abnormality() -> None:
    base = questions(1)[0]
    asked = {"question_class": ("abnormality_presence",), "finding": "abnormality", "complexity": 1}
    rows = [
        replace(base, img_id="a", **asked, original=(AtomicPair("q", "polyp"),), question="What is abnormal?",
                answer="a polyp", is_negative=False),
        replace(base, img_id="b", **asked, original=(AtomicPair("q", "hemorrhoids"),), question="What is abnormal?",
                answer="hemorrhoids", is_negative=False),
        replace(base, img_id="c", **asked, original=(AtomicPair("q", "none"),), question="What is abnormal?",
                answer="no abnormality", is_negative=True),
        replace(base, img_id="d", question_class=("polyp_count",), finding="polyp", original=(AtomicPair("q", "0"),),
                question="How many polyps?", answer="no polyps", is_negative=True),
    ]  # fmt: skip
    made, _ = make_negatives(SimpleNamespace(questions=rows, phrases=()), 100)  # type: ignore[arg-type]
    assert {(one.img_id, one.question, one.answer) for one in made} == {("c", "What is abnormal?", "no abnormality")}


def test_negatives_of_the_real_rows_agree_with_their_facts(shared: Path) -> None:
    suite = load_suite("kvasir-vqa-x1/test", shared / "data/kvasir-vqa-x1")
    found = _check(suite, 0.5)
    assert sum(found.values()) > 7000


def test_the_command_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gi_bench.harness.cli import _main

    out = tmp_path / "neg.jsonl"
    assert _main(["data", "negatives", "-s", "phantom/validation", "--ratio", "0.1", "-o", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == round(0.1 * len(SUITE.questions))
    assert set(rows[0]) == {"img_id", "thing", "finding", "label", "question", "answer", "phrase"}
    assert "made" in capsys.readouterr().out
    assert _main(["data", "negatives", "-s", "phantom/validation", "--ratio", "0", "-o", str(out)]) == 2
