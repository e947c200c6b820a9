from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from gi_bench.harness.errors import DataError
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.phantom import pins
from gi_bench.harness.suites.phantom.facts import ABSENT_ANSWERS, Facts
from gi_bench.harness.suites.phantom.render import render
from gi_bench.harness.suites.phantom.scene import make_scene
from gi_bench.harness.suites.phantom.shapes import (
    axes,
    field_mask,
    grid_cells,
    patch_relative,
    polyp_shape,
    region_masks,
)
from gi_bench.harness.suites.phantom.suite import SPLIT_SIZES, PhantomSuite, suites
from gi_bench.harness.taxonomy import GRID_CELLS, QUESTION_CLASSES

# Changes only with PHANTOM_VERSION: every published phantom score rests on it.
TEST_FINGERPRINT = "272ee9994d184d7a9bad238e09a6cb1439e9e9486ccfd7356d03d0788286b520"


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


@pytest.fixture
def unpinned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The code without its table: everything is drawn and hashed."""
    monkeypatch.setenv(pins.VARIABLE, "off")
    pins._table.cache_clear()
    yield
    pins._table.cache_clear()


def test_the_table_belongs_to_the_code() -> None:
    assert json.loads(pins.TABLE.read_text())["sources"] == pins.sources_digest(), "run python -m tools.pin_phantom"
    for entry in suites():
        suite = entry.open(None)
        assert suite.known_fingerprint == suite.fingerprint


def test_pinned_pictures_are_what_is_drawn(unpinned: None) -> None:
    drawn = {img_id: PhantomSuite(split).image_digest(img_id)
             for split, size in SPLIT_SIZES.items()
             for img_id in (PhantomSuite(split).image_id(i) for i in (0, 7, size // 2, size - 1))}  # fmt: skip
    os.environ.pop(pins.VARIABLE)
    pins._table.cache_clear()
    for img_id, digest in drawn.items():
        assert PhantomSuite(img_id.split("-")[1]).image_digest(img_id) == digest


@pytest.mark.parametrize("split", ["validation", "test"])
def test_pinned_fingerprints_follow_from_rows_and_pictures(split: str) -> None:
    suite = PhantomSuite(split)
    assert suite.questions
    assert suite.phrases
    assert Suite.fingerprint.func(suite) == suite.known_fingerprint  # type: ignore[attr-defined]


@pytest.mark.slow(reason="renders 320 pictures: half a minute")
def test_the_pinned_fingerprint_is_that_of_everything_drawn(unpinned: None) -> None:
    suite = PhantomSuite("test")
    assert suite.known_fingerprint is None
    assert suite.fingerprint == TEST_FINGERPRINT


def test_what_is_drawn_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from gi_bench.harness.suites.phantom import render as rendering
    from gi_bench.harness.suites.phantom import rows

    suite = PhantomSuite("validation")
    monkeypatch.setattr(rendering, "render", lambda scene: render(scene) ^ np.uint8(1))
    with pytest.raises(DataError, match=f"the picture {suite.image_ids[3]}: drawn otherwise .*GI_BENCH_PINS=off"):
        suite.load_image(suite.image_ids[3])
    suite_rows = PhantomSuite("train", 2).questions
    monkeypatch.setattr(rows, "make_questions", lambda scenes: suite_rows[:-1])
    with pytest.raises(DataError, match="the questions of phantom/validation: drawn otherwise"):
        _ = suite.questions


def test_other_rows_have_no_pinned_fingerprint() -> None:
    class Fewer(PhantomSuite):
        phrases = ()  # type: ignore[assignment]

    replaced = PhantomSuite("validation")
    replaced.__dict__["phrases"] = ()
    pinned = PhantomSuite("validation").fingerprint
    assert Fewer("validation").known_fingerprint is replaced.known_fingerprint is None
    assert Fewer("validation").fingerprint == replaced.fingerprint != pinned
    assert PhantomSuite("validation", 5).known_fingerprint is None


def test_regions_are_computed_where_they_lie_only() -> None:
    """A round object drawn near its place equals one drawn over the whole grid."""
    checked = 0
    for number in range(80):
        scene = make_scene("train", number)
        x, y = axes(96)
        for patch in scene.patches:
            mask = (patch_relative(patch, x, y) < 1) & field_mask(x, y)
            assert not (region_masks(replace(scene, box=None, instruments=()), 96)[scene.abnormality] ^ mask).any()
            checked += 1
        if scene.polyps:
            shapes = [polyp_shape(polyp, x, y) for polyp in scene.polyps]
            mask = np.any([shape.head | shape.stalk for shape in shapes], axis=0) & field_mask(x, y)
            assert not (region_masks(replace(scene, box=None, instruments=()), 96)["polyp"] ^ mask).any()
            checked += 1
    assert checked > 30
