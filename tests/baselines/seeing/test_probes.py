"""Linear probes: they find what is there, nothing where there is nothing, and no place that is always the same."""

from __future__ import annotations

import numpy as np
import pytest

from gi_bench.baselines.seeing import probes
from gi_bench.baselines.seeing.probes import Features, pool, probe_cells, probe_presence
from gi_bench.baselines.seeing.truth import Truth

WIDTH = 12


def _made(count: int, seed: int, *, signal: float, share: float = 0.4, fixed: bool = False) -> tuple[Features, Truth]:
    """Images of noise in which a finding adds ``signal`` to one feature of its cell."""
    random = np.random.default_rng(seed)
    ids = tuple(f"{seed}-{number}" for number in range(count))
    cells = random.normal(size=(count, 9, WIDTH))
    cells += np.arange(9)[None, :, None]  # every place has a brightness of its own, as Florence-2's features have
    present, placed = {}, {}
    for number, img_id in enumerate(ids):
        present[img_id] = bool(random.random() < share)
        if present[img_id]:
            cell = 4 if fixed else int(random.integers(9))
            placed[img_id] = np.arange(9) == cell
            cells[number, cell, 3] += signal
    whole = np.concatenate([cells.mean(axis=1), cells.max(axis=1)], axis=1)
    return Features(ids, whole, cells), Truth({"polyp": present}, {"polyp": placed})


def test_what_is_in_the_features_is_found_and_what_is_not_is_chance() -> None:
    for signal, least, most in ((30.0, 0.97, 1.0), (0.0, 0.35, 0.65)):
        train, test = _made(200, 1, signal=signal), _made(150, 2, signal=signal)
        for probe in (probe_presence, probe_cells):
            found = probe(*train, *test)
            assert found is not None
            assert least <= found.value <= most, (signal, probe.__name__)
            assert 0 <= found.low <= found.value <= found.high <= 1
            assert found.by_finding == {"polyp": pytest.approx(found.value)}
            if not signal:
                assert found.low < 0.5 < found.high


def test_a_place_that_is_always_the_same_is_no_sight() -> None:
    """The place in the frame is in the features, and the finding always lies in one cell: a prior, not a probe."""
    train, test = _made(200, 1, signal=0.0, fixed=True), _made(150, 2, signal=0.0, fixed=True)
    found = probe_cells(*train, *test)
    assert found is not None
    assert 0.35 < found.value < 0.65


def test_areas_are_those_of_scikit_learn_with_and_without_weights() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    for _ in range(20):
        scores, positive = np.round(random.normal(size=40), 1), random.random(40) < 0.3
        known = random.random(40) < 0.8
        if not (0 < positive[known].sum() < known.sum()):
            continue
        assert probes.area_under_curve(scores[known], positive[known]) == pytest.approx(
            roc_auc_score(positive[known], scores[known])
        )
        counts = random.integers(1, 4, size=(3, 40)).astype(float)
        area = probes._weighted_area(known, positive, scores)(counts)
        for row in range(3):
            expected = roc_auc_score(positive[known], scores[known], sample_weight=counts[row][known])
            assert area[row] == pytest.approx(expected)


def test_findings_with_too_few_images_are_named_and_not_guessed() -> None:
    train, known = _made(60, 1, signal=9.0)
    test, wanted = _made(60, 2, signal=9.0)
    rare = {img_id: number < probes.LEAST - 1 for number, img_id in enumerate(test.img_ids)}
    both = Truth(
        {**wanted.present, "cecum": rare, "z-line": dict.fromkeys(test.img_ids, False)}, {**wanted.cells, "cecum": {}}
    )
    taught = Truth({**known.present, "cecum": {i: k % 2 == 0 for k, i in enumerate(train.img_ids)}}, known.cells)
    found, placed = probe_presence(train, taught, test, both), probe_cells(train, taught, test, both)
    assert found is not None
    assert placed is not None
    assert (tuple(found.by_finding), found.left_out) == (("polyp",), ("cecum", "z-line"))
    assert (tuple(placed.by_finding), placed.left_out) == (("polyp",), ("cecum",))
    assert probe_presence(train, Truth({}, {}), test, Truth({}, {})) is None
    assert probe_cells(train, Truth({}, {}), test, Truth({}, {})) is None


def test_constant_features_tell_nothing_and_do_not_break() -> None:
    train, known = _made(40, 1, signal=0.0)
    flat = Features(train.img_ids, np.full_like(train.whole, 3.1), np.full_like(train.cells, 3.1))
    for probe in (probe_presence, probe_cells):
        found = probe(flat, known, flat, known)
        assert found is not None
        assert found.value == pytest.approx(0.5)


@pytest.mark.parametrize("side", [3, 6, 7, 24])
def test_features_are_pooled_by_the_cell_in_which_a_place_has_its_middle(side: int) -> None:
    """24 is the side of Florence-2-base's grid; the first token, a mean over all, takes no part."""
    features = np.zeros((1 + side * side, 4), dtype=np.float32)
    features[0] = 1e6
    middle = (np.arange(side) + 0.5) / side
    rows, columns = np.floor(middle * 3), np.floor(middle * 3)
    features[1:, 0] = (rows[:, None] * 3 + columns[None, :]).reshape(-1)
    whole, cells = pool(features)
    assert cells[:, 0].tolist() == list(range(9))
    assert whole.shape == (8,)
    assert whole[4] == 8


def test_places_that_are_no_square_are_refused() -> None:
    with pytest.raises(ValueError, match="12 places are no square"):
        pool(np.zeros((13, 4), dtype=np.float32))
