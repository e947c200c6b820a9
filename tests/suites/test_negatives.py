"""Negatives never contradict the facts of their image, are balanced, repeat, and are read as denials."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.reading import asserts
from harness.registry import load_suite
from harness.schema import AtomicPair
from harness.suites.negatives import THINGS, make_negatives, stated
from harness.suites.phantom.suite import PhantomSuite
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
    made, counts = make_negatives(SimpleNamespace(questions=rows), 5)  # type: ignore[arg-type]
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
    found = _check(SUITE, 0.3)
    assert set(found) == {"polyp", "abnormality", "instrument", "landmark", "text", "box artifact"}
    assert max(found.values()) <= 2 * min(found.values())
    again, _ = make_negatives(SimpleNamespace(questions=list(reversed(SUITE.questions))), 0.3, seed=1)  # type: ignore[arg-type]
    assert again == make_negatives(SUITE, 0.3, seed=1)[0], "whatever the order of rows"
    assert again != make_negatives(SUITE, 0.3, seed=2)[0]


def test_every_wording_is_read_as_a_denial() -> None:
    made, _ = make_negatives(SUITE, 100)
    assert {one.thing for one in made} == {thing.name for thing in THINGS}
    for one in made:
        assert asserts(one.answer, one.finding, one.question) is False, one


def test_negatives_of_the_real_rows_agree_with_their_facts(shared: Path) -> None:
    suite = load_suite("kvasir-vqa-x1/test", shared / "data/kvasir-vqa-x1")
    found = _check(suite, 0.5)
    assert sum(found.values()) > 7000


def test_the_command_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from harness.cli import _main

    out = tmp_path / "neg.jsonl"
    assert _main(["data", "negatives", "-s", "phantom/validation", "--ratio", "0.1", "-o", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == round(0.1 * len(SUITE.questions))
    assert set(rows[0]) == {"img_id", "thing", "finding", "label", "question", "answer", "phrase"}
    assert "made" in capsys.readouterr().out
    assert _main(["data", "negatives", "-s", "phantom/validation", "--ratio", "0", "-o", str(out)]) == 2
