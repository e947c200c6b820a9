"""The tiny backbone is schooled on other scenes, in other words and on other tasks than the suite trains and tests."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gi_bench.baselines.florence2 import prompts
from gi_bench.baselines.florence2.locations import decode_mask
from gi_bench.baselines.training.rows import Examples
from gi_bench.baselines.training.tiny import lessons, sight
from gi_bench.harness.suites.phantom import language
from gi_bench.harness.suites.phantom.suite import SCHOOL, SPLIT_SIZES, PhantomSuite

SCENES = 60


@pytest.fixture(scope="module")
def school() -> PhantomSuite:
    return PhantomSuite(SCHOOL, SCENES)


@pytest.fixture(scope="module")
def taught(school: PhantomSuite) -> Examples:
    found = lessons.lessons(school)
    lessons.word_lists(language.vocabulary(), school.image_ids, 100, 0, found)
    found.by_task |= lessons.inquiries(school).by_task
    return found


def _rows(examples: Examples) -> list[tuple[str, str, str]]:
    return [(task, *pair) for task, images in examples.by_task.items() for rows in images.values() for pair in rows]


def test_no_scene_of_the_schooling_is_in_a_split(school: PhantomSuite) -> None:
    keys = {school.scene(img_id).key for img_id in school.image_ids}
    for split in SPLIT_SIZES:
        suite = PhantomSuite(split)
        assert not set(suite.image_ids) & set(school.image_ids)
        assert not {suite.scene(img_id).key for img_id in suite.image_ids} & keys


def test_no_sentence_of_the_schooling_is_one_of_the_suite(taught: Examples) -> None:
    suites = [PhantomSuite(split, 60) for split in SPLIT_SIZES]
    texts = {
        text.lower()
        for suite in suites
        for texts in (
            *((row.question, row.answer, row.explanation) for row in suite.questions),
            *((phrase.phrase,) for phrase in suite.phrases),
        )
        for text in texts
        if text
    }
    parts = {part.strip() for _, prompt, target in _rows(taught) for part in (prompt, target)}
    assert not {part.lower() for part in parts} & texts


def test_no_task_of_the_schooling_is_one_of_the_suite_s(taught: Examples) -> None:
    ours = (prompts.answer_prompt(""), prompts.explain_prompt(""), prompts.ground_prompt("x").split("x")[0])
    assert not set(taught.by_task) & {"answer", "explain", "ground", "negative"}
    for _, prompt, _ in _rows(taught):
        assert not any(prompt.startswith(one.split(" ")[0] + " ") and "with mask" in prompt for one in ours)
        assert not any(token in prompt for token in prompts.TASK_TOKENS)


def test_what_is_seen_has_no_medical_name_and_no_place_of_the_suite(taught: Examples) -> None:
    words = (
        "polyp",
        "colitis",
        "oesophagitis",
        "z-line",
        "cecum",
        "pylorus",
        "ileum",
        "forceps",
        "snare",
        "colonoscopy",
    )
    places = ("upper-", "lower-", "center-")
    for task, prompt, target in _rows(taught):
        if task != "words":
            assert not any(word in (prompt + target).lower() for word in (*words, *places)), (prompt, target)


def test_outlines_and_boxes_are_those_of_the_things(school: PhantomSuite, taught: Examples) -> None:
    checked = 0
    for img_id in school.image_ids[:20]:
        seen = lessons.things(school.scene(img_id))
        outlines = dict(taught.by_task["outline"].get(img_id, ()))
        for thing in seen:
            box = lessons._box(thing.mask)
            assert len(re.findall("<loc_", box)) == 4
            if thing.mask.sum() > 600 and lessons.OUTLINE_PROMPT + box in outlines:
                mask, warnings = decode_mask(outlines[lessons.OUTLINE_PROMPT + box], 128, 128)
                assert warnings == ()
                checked += (mask & thing.mask).sum() / (mask | thing.mask).sum() > 0.6
    assert checked > 10


def test_cells_are_told_by_look(school: PhantomSuite) -> None:
    scene = next(s for s in map(school.scene, school.image_ids) if s.polyps and max(p.radius for p in s.polyps) > 0.1)
    seen = lessons.things(scene, 6 * 8)
    grid = sight.dense_labels(seen, 6)
    polyp = lessons._POLYPS[scene.polyps[0].paris]
    assert 1 + lessons.LOOKS.index(polyp) in grid
    assert sight.attribute_vector(scene, seen)[4 + lessons.LOOKS.index(polyp)] == 1


def test_batches_repeat(taught: Examples) -> None:
    batches = lessons.draw_batches(taught, lessons.FIRST, 5, 1)
    assert batches == lessons.draw_batches(taught, lessons.FIRST, 5, 1)
    assert batches != lessons.draw_batches(taught, lessons.FIRST, 5, 2)
    for batch in batches:
        assert len({row.img_id for row in batch}) == 32
        counts = [sum(row.task == task for row in batch) for task in ("caption", "detail", "detect")]
        assert counts[:2] == [32, 32]
        assert counts[2] <= 32


def test_inquiries_are_answered_by_what_is_there(school: PhantomSuite) -> None:
    asked = lessons.inquiries(school)
    for img_id in school.image_ids[:30]:
        seen = [thing.look for thing in lessons.things(school.scene(img_id))]
        replies = dict(asked.by_task["inquiry"][img_id]) | dict(asked.by_task["vain inquiry"].get(img_id, ()))
        for look in lessons.LOOKS:
            count = seen.count(look)
            assert replies[f"count {look} ?"] == ("none", "single", "pair", "trio", "more")[min(count, 4)]
            assert (replies[f"spots {look} ?"] == "nowhere") == (count == 0)
        traced = {prompt.removeprefix("trace ") for prompt, _ in asked.by_task["trace"].get(img_id, ())}
        assert traced <= set(seen)


def test_word_lists_hold_every_word() -> None:
    found = Examples()
    lessons.word_lists(["red", "polyp", "two"], ["a", "b"], 40, 0, found)
    lists = [target for _, _, target in _rows(found)]
    assert {word for text in lists for word in text.split()} == {"red", "polyp", "two"}
    assert np.mean([len(text.split()) for text in lists]) > 3
