from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from gi_bench.harness.suites.phantom.facts import ABSENT_ANSWERS, Facts
from gi_bench.harness.suites.phantom.render import render
from gi_bench.harness.suites.phantom.scene import make_scene
from gi_bench.harness.suites.phantom.shapes import grid_cells, region_masks
from gi_bench.harness.suites.phantom.suite import SPLIT_SIZES, PhantomSuite, suites
from gi_bench.harness.taxonomy import GRID_CELLS, QUESTION_CLASSES

# Changes only with PHANTOM_VERSION: every published phantom score rests on it.
TEST_FINGERPRINT = "82408f588b889cd877bf85e23668a02b8a6ef92d407220eee50188f623093818"


@pytest.fixture(scope="module")
def test_split() -> PhantomSuite:
    return PhantomSuite("test")


def test_the_test_split_is_fixed_and_large_enough(test_split: PhantomSuite) -> None:
    assert len(test_split.image_ids) == SPLIT_SIZES["test"] >= 300
    assert len(test_split.questions) >= 3000
    assert test_split.fingerprint == TEST_FINGERPRINT


def test_rows_have_the_real_dataset_s_shape(test_split: PhantomSuite) -> None:
    assert {slug for row in test_split.questions for slug in row.question_class} == set(QUESTION_CLASSES)
    assert {row.complexity for row in test_split.questions} == {1, 2, 3}
    for index, row in enumerate(test_split.questions):
        assert row.index == index
        assert row.complexity == len(row.question_class) == len(row.original)
        assert [pair.question for pair in row.original] == [
            QUESTION_CLASSES[slug].atomic_question for slug in row.question_class
        ]
        assert row.answer
        assert row.question
        assert (row.explanation is not None) == (row.complexity == 1) == row.wants_explanation
    wordings = Counter(
        len({r.question for r in test_split.questions if r.question_class == (slug,)}) for slug in QUESTION_CLASSES
    )
    assert min(wordings) >= 2, "every class has several paraphrases"


def test_negatives_deny_and_their_regions_are_empty(test_split: PhantomSuite) -> None:
    negatives = [row for row in test_split.questions if row.is_negative]
    assert len(negatives) > 300
    for row in negatives:
        assert row.complexity == 1
        assert row.original[0].answer in ABSENT_ANSWERS
    phrases = [phrase for phrase in test_split.phrases if phrase.is_negative]
    assert len(phrases) == 2 * len(test_split.image_ids)
    for phrase in test_split.phrases:
        assert phrase.region is not None
        assert (phrase.region.area == 0) == phrase.is_negative
        truth = region_masks(test_split.scene(phrase.img_id), 256)
        assert (phrase.label in truth and truth[phrase.label].any()) != phrase.is_negative


def test_splits_share_no_image() -> None:
    suites = [PhantomSuite(split, 40) for split in SPLIT_SIZES]
    ids = [set(suite.image_ids) for suite in suites]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]
    assert not ids[1] & ids[2]
    digests = [suite.image_digest(img_id) for suite in suites for img_id in suite.image_ids]
    assert len(set(digests)) == len(digests)


def test_a_scene_repeats_byte_for_byte_and_seeds_differ() -> None:
    assert make_scene("test", 3) == make_scene("test", 3)
    assert make_scene("test", 3) != make_scene("test", 4) != make_scene("train", 4)
    assert np.array_equal(render(make_scene("test", 3)), render(make_scene("test", 3)))


def test_pictures_show_what_the_masks_say() -> None:
    """The painted object differs in colour from the same place without it."""
    checked = 0
    for number in range(60):
        scene = make_scene("validation", number)
        masks = region_masks(scene, 256)
        if "polyp" not in masks or scene.polyps[0].color == "pink":
            continue
        picture = render(scene).astype(float)
        inside = picture[masks["polyp"]].mean(axis=0)
        ring = np.asarray(masks["polyp"])
        grown = np.zeros_like(ring)
        for dy in range(-12, 13, 4):
            for dx in range(-12, 13, 4):
                grown |= np.roll(np.roll(ring, dy, 0), dx, 1)
        outside = picture[grown & ~ring].mean(axis=0)
        assert np.abs(inside - outside).max() > 12, scene.key
        checked += 1
    assert checked >= 8


def test_occluders_do_not_belong_to_a_region() -> None:
    for number in range(200):
        masks = region_masks(make_scene("train", number), 96)
        if "instrument" in masks:
            for label, mask in masks.items():
                if label != "instrument":
                    assert not (mask & masks["instrument"]).any()
            return
    pytest.fail("no scene with an instrument")


def test_atomic_answers_use_the_dataset_s_vocabulary() -> None:
    vocabulary = {
        "polyp_size": {"none", "<5mm", "5-10mm", "11-20mm", ">20mm"},
        "polyp_type": {"none", "paris ip", "paris is", "paris iia"},
        "procedure_type": {"colonoscopy", "gastroscopy"},
        "text_presence": {"yes", "no"},
        "polyp_removal_status": {"no", "not relevant"},
    }
    for number in range(120):
        facts = Facts(make_scene("train", number))
        for slug, values in vocabulary.items():
            assert facts.atomic(slug) in values
        for slug in ("abnormality_location", "landmark_location", "instrument_location"):
            assert set(facts.atomic(slug).split("; ")) <= {*GRID_CELLS, "none"}
        assert 0 <= int(facts.atomic("polyp_count")) <= 3


def test_grid_cells_of_known_masks() -> None:
    mask = np.zeros((90, 90), dtype=bool)
    mask[5:20, 5:20] = True
    assert grid_cells(mask) == (0,)
    mask[:] = False
    mask[40:50, 20:70] = True
    assert grid_cells(mask) == (3, 4, 5) or grid_cells(mask) == (4,)
    mask[:] = True
    assert len(grid_cells(mask)) == 1, "no cell holds a fifth: the fullest one stands"


def test_the_small_training_suite_is_the_first_part_of_train() -> None:
    entries = {entry.name: entry for entry in suites()}
    small = entries["phantom/train-small"].open(None)
    assert small.name == "phantom/train-small"
    assert len(small.image_ids) == 600
    few = PhantomSuite("train", 2)
    assert small.image_ids[:2] == few.image_ids
    assert tuple(small.questions[:20]) == tuple(few.questions)
    assert "600 images" in entries["phantom/train-small"].summary
