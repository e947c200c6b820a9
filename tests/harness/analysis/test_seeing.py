"""Which of three fell: from rows of an arm, the backbone and the floors."""

from __future__ import annotations

import pytest

from gi_bench.harness.analysis.seeing import BACKBONE, BLIND, mean_over_seeds, read_seeing, what_fell
from gi_bench.harness.schema import WAYS_OF_SEEING, Seeing, WayOfSeeing

FLOORS = {"place in words": 0.1, "region as written": 0.15, "region, locations forced": 0.15}
SEES = {
    "place in words": 0.6,
    "region as written": 0.5,
    "region, locations forced": 0.51,
    "probe: presence": 0.95,
    "probe: cell": 0.9,
}


def _rows(arm: str, values: dict[str, float], seed: int | None = 0, half: float = 0.04) -> list[Seeing]:
    ways: list[WayOfSeeing] = [what for what in WAYS_OF_SEEING if what in values]
    return [
        Seeing(arm, seed, what, values[what], max(0.0, values[what] - half), min(1.0, values[what] + half), 100)
        for what in ways
    ]


def _states(values: dict[str, float], before: dict[str, float] = SEES) -> dict[str, str]:
    rows = [
        *_rows("arm", SEES | values),
        *_rows(BACKBONE, before, None),
        *_rows(BLIND, FLOORS, None),
    ]
    return {one.part: one.state for one in read_seeing(rows, "arm")}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ("held", "held", "held")),
        ({"probe: cell": 0.7}, ("fell", "held", "held")),
        ({"probe: presence": 0.8}, ("fell", "held", "held")),
        ({"probe: cell": 0.88}, ("held", "held", "held")),  # within what the images leave open
        ({"region as written": 0.1}, ("held", "fell", "held")),
        ({"region as written": 0.0, "region, locations forced": 0.03}, ("held", "fell", "held")),
        ({"region as written": 0.48}, ("held", "held", "held")),
        ({"place in words": 0.09}, ("held", "held", "fell")),
        (
            {
                "place in words": 0.1,
                "region as written": 0.1,
                "region, locations forced": 0.12,
                "probe: presence": 0.5,
                "probe: cell": 0.51,
            },
            ("fell", "not there", "not there"),
        ),
    ],
)
def test_each_part_is_judged_by_what_the_others_still_show(
    values: dict[str, float], expected: tuple[str, str, str]
) -> None:
    assert _states(values) == dict(zip(("features", "format", "words"), expected, strict=True))


@pytest.mark.parametrize(
    "before",
    [
        {"probe: presence": 0.95, "probe: cell": 0.9},
        SEES | {"place in words": 0.0, "region as written": 0.0, "region, locations forced": 0.04},
        SEES | {"place in words": 0.12, "region as written": 0.17},  # not above the floor by more than chance
    ],
)
def test_what_was_not_there_before_training_did_not_fall(before: dict[str, float]) -> None:
    """A backbone that was never taught to answer has no words to lose."""
    values = {"place in words": 0.09, "region as written": 0.1}
    assert _states(values, before) == {"features": "held", "format": "lacking", "words": "lacking"}
    assert _states(values) == {"features": "held", "format": "fell", "words": "fell"}


def test_a_small_loss_is_none_however_sure_it_is() -> None:
    rows = [*_rows("arm", {"probe: cell": 0.985}, half=0.001), *_rows(BACKBONE, {"probe: cell": 0.999}, None, 0.001)]
    assert [one.state for one in read_seeing(rows, "arm")] == ["held"]


def test_one_right_place_of_ten_is_not_above_a_floor_of_none() -> None:
    rows = [
        Seeing("arm", 0, "place in words", 0.1, 0.005, 0.53, 10),
        Seeing(BLIND, None, "place in words", 0.0, 0.0, 0.31, 10),
    ]
    assert [one.state for one in read_seeing(rows, "arm")] == ["not there"]


def test_what_was_not_measured_is_not_judged() -> None:
    assert read_seeing([], "arm") == ()
    assert [one.part for one in read_seeing(_rows("arm", {"place in words": 0.5}), "arm")] == ["words"]
    nothing = Seeing("arm", 0, "place in words", float("nan"), float("nan"), float("nan"), 0)
    assert read_seeing([nothing], "arm") == ()
    other = _rows("other", SEES)
    assert read_seeing(other, "arm") == ()


def test_of_several_seeds_the_mean_counts() -> None:
    rows = [*_rows("arm", {"probe: cell": 0.8}, 0), *_rows("arm", {"probe: cell": 0.6}, 1)]
    found = mean_over_seeds(rows, "arm", "probe: cell")
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.7, 0.66, 0.74))


def test_sentences_name_what_fell_first_and_hold_the_numbers() -> None:
    arm, floors = _rows("arm", SEES | {"region as written": 0.02}), _rows(BLIND, FLOORS, None)
    readings = read_seeing([*arm, *floors, *_rows(BACKBONE, SEES, None)], "arm")
    assert what_fell(readings) == "the format fell, the features and the words held"
    assert what_fell(read_seeing([*arm, *floors], "arm")) == "the format is lacking, the features and the words held"
    assert ".02 as written and .51 forced, .15 without looking" in readings[1].why
    assert what_fell([]) == ""
