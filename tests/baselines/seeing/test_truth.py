"""What probes have to tell, from regions and from atomic answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from gi_bench.baselines.seeing.truth import cells_of, truth_of
from gi_bench.harness.schema import AtomicPair, Phrase, Question, Region
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.phantom.facts import Facts
from gi_bench.harness.suites.phantom.shapes import region_masks
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from gi_bench.harness.taxonomy import GRID_CELLS, QUESTION_CLASSES


class Rows(Suite):
    """Rows without pictures."""

    def __init__(self, questions: tuple[Question, ...] = (), phrases: tuple[Phrase, ...] = ()) -> None:
        self.name, self.questions, self.phrases = "rows", questions, phrases


def _question(index: int, img_id: str, **answers: str) -> Question:
    pairs = tuple(AtomicPair(QUESTION_CLASSES[slug].atomic_question, answer) for slug, answer in answers.items())
    return Question(index, img_id, "?", None, tuple(answers), len(answers), pairs)


def _phrase(index: int, img_id: str, label: str, mask: Any, *, negative: bool = False) -> Phrase:
    return Phrase(index, img_id, label, label, Region.from_mask(label, mask), is_negative=negative)


def test_of_a_rendered_suite_everything_visible_is_known_and_all_else_is_absent() -> None:
    suite = PhantomSuite("validation", 20)
    truth = truth_of(suite, suite.image_ids)
    for img_id in suite.image_ids:
        facts = Facts(suite.scene(img_id))
        for label, present in truth.present.items():
            assert present[img_id] is (label in facts.cells), (img_id, label)
        for label in facts.cells:
            mask = region_masks(facts.scene, 256)[label]
            assert np.array_equal(truth.cells[label][img_id], cells_of(mask))
    # The words' facts are cut from a coarser mask: here and there a cell at the threshold differs.
    pairs = [
        (frozenset(np.array(GRID_CELLS)[truth.cells[label][img_id]]), frozenset(cells))
        for img_id in suite.image_ids
        for label, cells in Facts(suite.scene(img_id)).cells.items()
    ]
    assert sum(ours == theirs for ours, theirs in pairs) > 0.8 * len(pairs)


def test_only_images_that_are_asked_for_are_told_of() -> None:
    suite = PhantomSuite("validation", 6)
    truth = truth_of(suite, suite.image_ids[:2])
    assert {img_id for known in truth.present.values() for img_id in known} == set(suite.image_ids[:2])


def test_elsewhere_a_finding_is_absent_only_where_a_row_says_so() -> None:
    mask, empty = np.zeros((30, 60), dtype=bool), np.zeros((30, 60), dtype=bool)
    mask[:10, 40:] = True
    suite = Rows(
        questions=(
            _question(0, "b", instrument_presence="polyp snare; tube"),
            _question(1, "c", instrument_presence="none", landmark_location="lower-left; center"),
            _question(2, "d", instrument_presence="tube", polyp_count="0"),
            _question(3, "a", polyp_count="0", instrument_location="somewhere"),
        ),
        phrases=(
            _phrase(0, "a", "polyp", mask),
            # A phrase that is wrong of its polyp does not take the polyp away.
            _phrase(1, "a", "polyp", empty, negative=True),
            _phrase(2, "b", "polyp", empty, negative=True),
        ),
    )
    truth = truth_of(suite, ["a", "b", "c", "d"])
    assert truth.present["polyp"] == {"a": True, "b": False, "d": False}
    assert truth.present["polyp snare"] == {"b": True, "c": False, "d": False}
    assert truth.present["tube"] == {"b": True, "c": False, "d": True}
    assert truth.present["landmark"] == {"c": True}
    assert "instrument" not in truth.present
    assert truth.cells["polyp"]["a"].nonzero()[0].tolist() == [2]
    assert truth.cells["landmark"]["c"].nonzero()[0].tolist() == [4, 6]


def test_regions_of_one_finding_are_united_over_phrases() -> None:
    first, second = np.zeros((30, 30), dtype=bool), np.zeros((30, 30), dtype=bool)
    first[:10, :10] = second[20:, 20:] = True
    truth = truth_of(Rows(phrases=(_phrase(0, "a", "polyp", first), _phrase(1, "a", "polyp", second))), ["a"])
    assert truth.cells["polyp"]["a"].nonzero()[0].tolist() == [0, 8]
