"""Masks that are wrong on purpose, and explanations with less in them."""

from __future__ import annotations

import numpy as np
import pytest

from gi_bench.baselines.data.masks.levels import LEVELS
from gi_bench.baselines.data.masks.making import agreement, reference_masks
from gi_bench.baselines.data.masks.noise import moved, noisy_masks, radius_of, resized
from gi_bench.baselines.data.wordings import templated, thinned
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.schema import Region
from gi_bench.harness.suites.phantom.suite import PhantomSuite

Masks = dict[tuple[str, str], Region]


@pytest.fixture(scope="module")
def suite() -> PhantomSuite:
    return PhantomSuite("train", 80)


def _by_key(suite: PhantomSuite, level: str, seed: int = 0) -> Masks:
    return {(one.img_id, one.region.label): one.region for one in noisy_masks(suite, level, seed)}


def test_each_level_is_further_from_the_truth(suite: PhantomSuite) -> None:
    truth = {(one.img_id, one.region.label): one.region for one in reference_masks(suite)}
    found = {level: _by_key(suite, level) for level in LEVELS}
    agreed = [agreement(masks, truth)["mean_iou"] for masks in found.values()]
    assert 1 > agreed[0] > agreed[1] + 0.1 > agreed[2] + 0.2
    assert len(truth) >= len(found["small"]) > len(found["medium"]) > len(found["large"]) > len(truth) / 2
    # What is missing at one level is missing at those above it.
    assert set(found["large"]) < set(found["medium"]) < set(truth)
    assert all(region.area for masks in found.values() for region in masks.values())
    assert all((r.height, r.width) == (truth[key].height, truth[key].width) for key, r in found["large"].items())


def test_noise_depends_on_the_seed_and_on_nothing_else(suite: PhantomSuite) -> None:
    assert _by_key(suite, "medium") == _by_key(suite, "medium")
    assert _by_key(suite, "medium") != _by_key(suite, "medium", 1)
    with pytest.raises(GiBenchError, match=r"unknown level of noise \(huge\).*small, medium, large"):
        _by_key(suite, "huge")


def test_masks_move_and_change_size_but_never_vanish() -> None:
    mask = np.zeros((40, 60), dtype=bool)
    mask[10:20, 30:40] = True
    aside = moved(mask, 1.0, 0.0)
    distance = np.nonzero(aside)[1].mean() - np.nonzero(mask)[1].mean()
    assert distance == pytest.approx(radius_of(mask), abs=0.5)
    assert aside.sum() == mask.sum()
    assert moved(mask, 50.0, 1.0).any(), "its middle stays in the picture"
    assert resized(mask, 0.3).sum() > mask.sum() > resized(mask, -0.3).sum() > 0
    assert resized(mask, -5.0).any()
    dot = np.zeros((5, 5), dtype=bool)
    dot[2, 2] = True
    assert resized(dot, -2.0).any()
    assert moved(dot, 0.1, 0.3).sum() == 1


def test_few_wordings_are_the_most_frequent_ones_and_nobody_elses(suite: PhantomSuite) -> None:
    own = {(row.img_id, row.question): row.explanation for row in suite.questions if row.explanation}
    few, more = thinned(suite.questions, 1), thinned(suite.questions, 3)
    assert all(own[img_id, question] == text for img_id, question, text in more)
    assert len({text for *_, text in few}) < len({text for *_, text in more}) < len(set(own.values()))
    groups = {
        (*row.question_class, *(pair.answer for pair in row.original)) for row in suite.questions if row.explanation
    }
    assert len({text for *_, text in few}) <= len(groups)
    assert set(few) < set(more)
    assert len(thinned(suite.questions, 10**6)) == len([row for row in suite.questions if row.explanation])
    with pytest.raises(GiBenchError, match="no wordings"):
        thinned(suite.questions, 0)


def test_a_template_says_the_answer_and_no_more(suite: PhantomSuite) -> None:
    rows = templated(suite.questions)
    answers = {(row.img_id, row.question): row.answer for row in suite.questions}
    assert len(rows) == sum(row.explanation is not None for row in suite.questions)
    left = {text.lower().replace((answers[img, asked] or "").rstrip(".").lower(), "") for img, asked, text in rows}
    assert len(left) == 1
