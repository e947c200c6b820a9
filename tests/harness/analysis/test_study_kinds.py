"""Contrasts that are no plain differences (trends, interactions, groups), and what a study is told besides its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.harness.analysis.study import (
    ArmMade,
    Contrast,
    GradientPair,
    Making,
    Question,
    Seeing,
    Study,
    answer,
    by_today,
    contrast_name,
    decide,
    gradients_by_arm,
    made_notes,
    read_study,
    seeing_sentences,
    seen_by_arm,
    study_lines,
    write_study,
)
from gi_bench.harness.analysis.study.deciding import decided, weights
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.metrics.base import Metric
from gi_bench.harness.registry import registered
from gi_bench.harness.statistics import SeedEffect
from tests.run_folders import write_run

STORED = Path(__file__).parents[2] / "data" / "study-rule2"
# Wrong answers among 12, by seed; arms in the order of a trend, and as a 2 x 2 (neither, one, other, both).
WRONG = {"r1": (6, 5, 7), "r2": (4, 5, 3), "r4": (3, 1, 2), "r8": (0, 1, 0)}


@pytest.fixture(scope="module")
def metrics() -> dict[str, Metric]:
    return {"exact_match": registered("gi_bench.metrics")["exact_match"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("runs")
    return {arm: [_run(folder, arm, seed, count) for seed, count in enumerate(counts)] for arm, counts in WRONG.items()}


def _run(folder: Path, arm: str, seed: int, wrong: int) -> Path:
    """Of 12 questions the first ``wrong`` get a wrong answer."""
    return write_run(
        folder / f"{arm}-{seed}", variant=arm, answer=lambda q: "red" if q.index < wrong else q.answer, explain=_nothing
    )


def _nothing(question: Any) -> None:
    return None


def _asked(*contrasts: Contrast, arms: Sequence[str] = tuple(WRONG), **changes: Any) -> Question:
    made = Question("made", "Made", "More is better.", "nowhere", dict.fromkeys(arms, "an arm"), contrasts, ())
    return replace(made, **changes)


def _answer(
    runs: Mapping[str, Sequence[Path]], metrics: Mapping[str, Metric], *contrasts: Contrast, **options: Any
) -> Study:
    return answer(_asked(*contrasts, arms=tuple(runs)), runs, (0, 1, 2), metrics=metrics, resamples=100, **options)


def _values() -> dict[str, np.ndarray]:
    return {arm: 1 - np.array(counts) / 12 for arm, counts in WRONG.items()}


# Kinds of contrasts


def test_a_trend_is_the_least_squares_slope_for_each_step(
    runs: dict[str, list[Path]], metrics: dict[str, Metric]
) -> None:
    arms = ("r1", "r2", "r4", "r8")
    three, four = Contrast("exact_match", trend=arms[:3]), Contrast("exact_match", trend=arms)
    study = _answer(runs, metrics, three, four, Contrast("exact_match", trend=arms[::-1], expect="less"))
    for finding, names in zip(study.findings, (arms[:3], arms, arms[::-1]), strict=True):
        values = np.array([_values()[arm] for arm in names])
        slopes = np.polyfit(np.arange(len(names)), values, 1)[0]
        assert finding.effect.by_seed == pytest.approx(slopes)
        assert finding.effect.mean == pytest.approx(slopes.mean())
        assert finding.by_arm == pytest.approx(values.mean(axis=1))
        assert finding.values == pytest.approx((values[-1].mean(), values[0].mean()))
        assert finding.effect.low is not None
        assert finding.effect.low < finding.effect.mean
        assert finding.power is not None
        assert finding.power.room is not None
    up, down = study.findings[1], study.findings[2]
    assert down.effect.mean == pytest.approx(-up.effect.mean)
    assert down.verdict == up.verdict
    assert up.power is not None
    assert up.power.room == pytest.approx((1 - _values()["r1"].mean()) / 3)


def test_a_trend_of_three_arms_is_half_the_difference_of_its_ends(
    runs: dict[str, list[Path]], metrics: dict[str, Metric]
) -> None:
    study = _answer(
        runs, metrics, Contrast("exact_match", trend=("r1", "r2", "r4")), Contrast("exact_match", "r4", "r1")
    )
    slope, ends = (finding.effect for finding in study.findings)
    assert slope.mean == pytest.approx(ends.mean / 2)
    assert slope.error == pytest.approx(ends.error / 2) if ends.error else False
    assert slope.p == pytest.approx(ends.p)


def test_an_interaction_is_a_difference_of_differences(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    study = _answer(runs, metrics, Contrast("exact_match", interaction=("r1", "r2", "r4", "r8")))
    (found,) = study.findings
    neither, one, other, both = _values().values()
    assert found.effect.by_seed == pytest.approx((both - other) - (one - neither))
    assert found.values == pytest.approx((both.mean(), (one + other - neither).mean()))
    assert found.values[0] - found.values[1] == pytest.approx(found.effect.mean)
    swapped = _answer(runs, metrics, Contrast("exact_match", interaction=("r1", "r4", "r2", "r8"))).findings[0]
    assert swapped.effect.by_seed == pytest.approx(found.effect.by_seed), "no factor is the first"


def test_an_arm_without_training_stands_in_trends_too(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    given = {**runs, "r1": runs["r1"][:1]}
    study = _answer(given, metrics, Contrast("exact_match", trend=("r1", "r2", "r4")))
    expected = [(_values()["r4"][seed] - _values()["r1"][0]) / 2 for seed in range(3)]
    assert study.findings[0].effect.by_seed == pytest.approx(expected)


def test_a_group_and_several_groups(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    one = Contrast("exact_match", "r8", "r1", by="question_class", group="polyp_count")
    both = replace(one, group=("polyp_count", "instrument_count"))
    typo = replace(one, group=("polyp_count", "polyp_cuont"))
    nowhere = replace(one, group="elsewhere")
    study = _answer(runs, metrics, one, both, typo, nowhere, Contrast("exact_match", "r8", "r1"))
    effects = [finding.effect for finding in study.findings]
    polyps = {arm: np.array([(count + 1) // 2 for count in counts]) / 6 for arm, counts in WRONG.items()}
    assert effects[0].by_seed == pytest.approx(polyps["r1"] - polyps["r8"])
    assert effects[1] == effects[4], "both groups are all rows"
    assert effects[2] == effects[0]
    assert study.findings[3].verdict == "undecided"
    assert np.isnan(effects[3].mean)
    assert [note for note in study.notes if "no row" in note] == [
        "exact_match: no row with question_class polyp_cuont",
        "exact_match: no row with question_class elsewhere",
    ]


def test_a_trend_within_a_group(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    sloping = Contrast("exact_match", trend=("r1", "r2", "r4"), by="question_class", group="instrument_count")
    right = {arm: 1 - np.array([count // 2 for count in counts]) / 6 for arm, counts in WRONG.items()}
    found = _answer(runs, metrics, sloping).findings[0]
    assert found.effect.by_seed == pytest.approx((right["r4"] - right["r1"]) / 2)
    assert found.by_arm == pytest.approx([right[arm].mean() for arm in ("r1", "r2", "r4")])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "names either first"),
        ({"second": "b"}, "names either first"),
        ({"first": "a", "trend": ("a", "b", "c")}, "names either first"),
        ({"trend": ("a", "b", "c"), "interaction": ("a", "b", "c", "d")}, "names either first"),
        ({"trend": ("a", "b")}, "three or more"),
        ({"trend": ("a", "b", "a")}, "each once"),
        ({"interaction": ("a", "b", "c")}, "four arms"),
        ({"interaction": ("a", "b", "c", "c")}, "four arms"),
        ({"trend": ("a", "b", "c"), "against": 0.5}, "against"),
        ({"first": "a", "second": "b", "against": 0.5}, "against"),
        ({"first": "a", "by": "label"}, "go together"),
        ({"first": "a", "group": "polyp"}, "go together"),
        ({"first": "a", "by": "label", "group": ()}, "go together"),
        ({"first": "a", "margin": -0.1}, "margin"),
        ({"first": "a", "margin": float("nan")}, "margin"),
    ],
)
def test_a_contrast_of_no_kind_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Contrast("made", **wrong)


def test_a_contrast_in_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    from gi_bench.harness.checking import read_checked

    path = tmp_path / "question.toml"
    asked = 'name = "a"\ntitle = "a"\nclaim = "a"\nsource = "a"\nmetrics = []\narms = {}\n'
    path.write_text(f'{asked}[[contrasts]]\nmetric = "bleu"\ntrend = ["a", "b"]\n', encoding="utf-8")
    with pytest.raises(GiBenchError, match=r"contrasts\.0: trend names three or more arms") as caught:
        read_checked(path, Question)
    assert "\n" not in caught.value.line()
    more = 'trend = ["a", "b", "c"]\nby = "label"\ngroup = ["x", "y"]\n'
    path.write_text(f'{asked}[[contrasts]]\nmetric = "bleu"\n{more}', encoding="utf-8")
    assert read_checked(path, Question).contrasts[0].groups == ("x", "y")


def test_weights_of_a_trend_are_those_of_least_squares() -> None:
    random = np.random.default_rng(4)
    for count in (3, 4, 5, 7):
        values = random.random(count)
        found = weights(Contrast("made", trend=tuple(map(str, range(count)))))
        assert np.dot(found, values) == pytest.approx(np.polyfit(np.arange(count), values, 1)[0])


def test_verdicts_of_trends_know_what_is_left() -> None:
    """From .04 a rate can fall by .02 for each of two steps, whatever margin is asked."""
    falling = Contrast("rate", trend=("a", "b", "c"), expect="less", margin=0.03)
    sure = SeedEffect(-0.02, -0.025, -0.015, 1e-6, (-0.02,) * 3, 100)
    assert decide(falling, (0.0, 0.04), sure, 1e-6)[0] == "supported"
    assert decide(falling, (0.5, 0.54), sure, 1e-6)[0] == "not supported", "a margin of .03 is excluded"
    nothing = SeedEffect(0.0, -0.001, 0.001, 1.0, (0.0,) * 3, 100)
    assert decide(falling, (0.0, 0.0), nothing, 1.0) == (
        "undecided", "both ends stand at 0: there is nothing left to fall",
    )  # fmt: skip
    both = Contrast("rate", interaction=("a", "b", "c", "d"))
    assert decide(both, (1.0, 1.0), nothing, 1.0)[0] == "undecided"
    assert decide(both, (0.9, 0.6), replace(sure, mean=0.3, low=0.2, high=0.4), 1e-6)[0] == "supported"
    assert decide(both, (0.9, 1.3), replace(sure, mean=-0.4, low=-0.5, high=-0.3), 1e-6)[0] == "not supported"


def test_fewer_than_three_seeds_give_no_verdict_of_any_kind(
    runs: dict[str, list[Path]], metrics: dict[str, Metric]
) -> None:
    kinds = (Contrast("exact_match", trend=("r1", "r2", "r4")), Contrast("exact_match", interaction=tuple(WRONG)))
    two = {arm: paths[:2] for arm, paths in runs.items()}
    study = answer(_asked(*kinds), two, (0, 1), metrics=metrics, resamples=50)
    assert [one.verdict for one in study.findings] == ["no verdict"] * 2
    assert [one.power for one in study.findings] == [None] * 2


def test_intervals_of_slopes_stay_where_slopes_can_be(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    (made,) = _answer(runs, metrics, Contrast("exact_match", trend=("r1", "r2", "r4"))).findings
    wide = replace(made, effect=replace(made.effect, low=-3.0, high=3.0, error=2.0))
    (found,) = decided([wide], {"exact_match": metrics["exact_match"].info}, dict.fromkeys(WRONG, 3), 3)
    assert (found.effect.low, found.effect.high) == (-0.5, 0.5)


def test_names_of_contrasts() -> None:
    assert contrast_name(Contrast("m", "a", against=0.5)) == "a - 0.5"
    assert contrast_name(Contrast("m", interaction=("a", "b", "c", "d"))) == "(d - c) - (b - a)"


# What a study is told besides its runs


def _made(steps: int = 9, answers: int = 100) -> ArmMade:
    return ArmMade(steps, {"answer": answers, "ground": 50}, 20, 1234, 5.5)


def _seeing(arm: str, what: Any, *values: float, half: float = 0.02) -> list[Seeing]:
    if not arm:
        return [Seeing("", None, what, values[0], values[0] - half, values[0] + half, 100)]
    return [Seeing(arm, seed, what, value, value - half, value + half, 100) for seed, value in enumerate(values)]


SEEN = (
    *_seeing("", "place in words", 0.1),
    *_seeing("", "region as written", 0.4),
    *_seeing("", "region, locations forced", 0.45),
    *_seeing("", "probe: presence", 0.8),
    *_seeing("", "probe: cell", 0.7),
    *_seeing("r1", "place in words", 0.8, 0.82, 0.78),
    *_seeing("r1", "region as written", 0.03, 0.02, 0.04),
    *_seeing("r1", "region, locations forced", 0.44, 0.46, 0.45),
    *_seeing("r1", "probe: presence", 0.8, 0.81, 0.79),
    *_seeing("r1", "probe: cell", 0.71, 0.7, 0.69),
    *_seeing("r2", "region as written", 0.03, 0.02, 0.04),
    *_seeing("r2", "region, locations forced", 0.03, 0.05, 0.04),
    *_seeing("r2", "probe: presence", 0.8, 0.81, 0.79),
    *_seeing("r2", "probe: cell", 0.71, 0.7, 0.69),
    *_seeing("r4", "probe: cell", 0.5, 0.51, 0.49),
    *_seeing("r8", "place in words", 0.8, 0.9),
)
PAIRS = tuple(
    GradientPair(arm, seed, "answer", "ground", cosine + seed / 100, 0.25, 7, 1.5, 3.0)
    for arm, cosine in (("r1", -0.3), ("r2", 0.3), ("r4", -0.01))
    for seed in range(3)
)


@pytest.fixture(scope="module")
def told(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> Study:
    made = {"r1": _made(), "r2": _made(12), "r4": _made(answers=101), "r8": _made(answers=150)}
    return _answer(runs, metrics, Contrast("exact_match", "r8", "r1"), making=Making({}, made, SEEN, PAIRS))


def test_what_a_study_is_told_survives_its_file(told: Study, tmp_path: Path) -> None:
    asked = replace(told.question, shows=("That more is better.",), does_not_show=("Why.", "For whom."))
    nan = float("nan")
    study = replace(told, question=asked, seeing=(*SEEN, Seeing("r8", 0, "probe: cell", nan, nan, nan, 0)))
    study = replace(study, gradients=(GradientPair("r8", 0, "answer", "", nan, nan, 7, 1.5, nan),))
    again = read_study(write_study(tmp_path, study))
    assert again.made == study.made
    assert again.question == asked
    assert again.seeing[:-1] == SEEN
    assert np.isnan([again.seeing[-1].value, again.gradients[0].cosine, again.gradients[0].second_norm]).all()
    assert again.findings == study.findings
    lines = study_lines(again)
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    for part in (
        "80 % of such studies find a difference of", "can show: That more is better.", "cannot show: Why.",
        "the arms differ in steps: r1 9, r2 12, r4 9, r8 9", "r1: the format fell",
        "trained r1: 9 steps, rows: 100 answer, 50 ground; 1,234 parameters",
    ):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    "damage",
    [
        {"made": {"r1": {"steps": 1}}},
        {"made": []},
        {"seeing": [{"arm": "r1"}]},
        {"seeing": ["text"]},
        {"gradients": 3},
        {"gradients": [[]]},
        {"gradients": [{"arm": "r1", "cosine": 0, "negative_share": 0, "first_norm": 1, "second_norm": 1}]},
    ],
)
def test_damaged_measurements_are_refused(told: Study, tmp_path: Path, damage: dict[str, Any]) -> None:
    path = write_study(tmp_path, told)
    content = {**json.loads(path.read_text(encoding="utf-8")), **damage, "digest": ""}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunError) as caught:
        read_study(path)
    assert str(path) in caught.value.line()


def test_arms_that_the_study_lacks_are_refused(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    for given, what in (
        ({"made": {"r9": _made()}}, "the training of r9"),
        ({"seeing": _seeing("r9", "probe: cell", 0.1)}, "seeing of r9"),
        ({"gradients": (replace(PAIRS[0], arm="r9"),)}, "gradients of r9"),
    ):
        with pytest.raises(RunError, match=what):
            _answer(runs, metrics, making=Making(**given))
    with pytest.raises(RunError, match="a contrast over r9"):
        _answer(runs, metrics, Contrast("exact_match", trend=("r1", "r2", "r9")))


def test_differences_of_the_trainings_are_said(told: Study) -> None:
    assert made_notes(told) == [
        "the arms differ in steps: r1 9, r2 12, r4 9, r8 9",
        "the arms differ in answer rows: r1 100, r2 100, r4 101, r8 150",
    ]
    equal = {"r1": _made(), "r2": _made(answers=101), "r4": ArmMade(9, {"answer": 100}, 20, 5, 1.0)}
    assert made_notes(replace(told, made=equal)) == [], "a task more is what arms are to differ in"
    assert made_notes(replace(told, made={})) == []


def test_arms_with_equal_trainings_are_told_together(told: Study) -> None:
    lines = " ".join(" ".join(study_lines(replace(told, made={"r1": _made(), "r2": _made()}))).split())
    assert "trained r1, r2: 9 steps, rows: 100 answer, 50 ground; 1,234 parameters" in lines
    assert "trained" not in " ".join(study_lines(replace(told, made={})))


def test_which_of_the_three_fell(told: Study) -> None:
    changes = {(one.arm, one.what): one.change for one in seen_by_arm(told)}
    assert changes["r1", "region as written"] == "fell"
    assert changes["r1", "region, locations forced"] == "no clear change"
    assert changes["r1", "place in words"] == "rose"
    assert changes["r4", "probe: cell"] == "fell"
    assert changes["r8", "place in words"] == "not judged", "two seeds"
    found = dict(line.split(": ", 1) for line in seeing_sentences(told))
    assert found["r1"] == (
        "the format fell: regions as written did, and those of decoding forced to locations did not; "
        "rose: place in words"
    )
    assert found["r2"].startswith(
        "regions fell even where decoding is forced to locations, while no fall of the features is shown"
    )
    assert found["r4"].startswith("the features fell (probe: cell)")
    assert "not judged" in found["r8"]


def test_an_interval_that_is_wide_shows_no_fall(told: Study) -> None:
    unsure = tuple(replace(one, low=one.value - 0.5, high=one.value + 0.5) for one in SEEN)
    assert {one.change for one in seen_by_arm(replace(told, seeing=unsure))} <= {"no clear change", "not judged"}
    assert seeing_sentences(replace(told, seeing=unsure))[0].startswith("r1: no fall is shown")
    spread = (*_seeing("", "probe: cell", 0.7), *_seeing("r1", "probe: cell", 0.2, 0.6, 0.7))
    (_, after) = seen_by_arm(replace(told, seeing=spread))
    assert after.change == "no clear change", "seeds differ"
    assert seeing_sentences(replace(told, seeing=())) == []


def test_seeing_over_seeds_by_hand(told: Study) -> None:
    found = {(one.arm, one.what): one.effect for one in seen_by_arm(told)}
    one = found["r1", "place in words"]
    assert one.mean == pytest.approx(0.8)
    assert one.error == pytest.approx(np.sqrt((0.02 / 1.96) ** 2 + 0.02**2 / 3))
    before = found["", "place in words"]
    assert (before.low, before.high) == pytest.approx((0.08, 0.12))


def test_gradients_over_seeds(told: Study) -> None:
    found = {one.arm: one for one in gradients_by_arm(told)}
    assert [found[arm].reading for arm in ("r1", "r2", "r4")] == ["against each other", "along each other", "neither"]
    assert found["r1"].cosine.mean == pytest.approx(-0.29)
    half = 4.3027 * 0.01 / np.sqrt(3)
    assert (found["r1"].cosine.low, found["r1"].cosine.high) == pytest.approx((-0.29 - half, -0.29 + half), abs=1e-4)
    assert (found["r1"].negative_share, found["r1"].norms) == (0.25, (1.5, 3.0))
    (two,) = gradients_by_arm(replace(told, gradients=PAIRS[:2]))
    assert (two.reading, two.cosine.low) == ("not judged", None)


# Stored studies


def test_a_stored_study_of_before_is_read_and_says_what_it_could_have_found(tmp_path: Path) -> None:
    """Written before contrasts had kinds and studies said what trainings took."""
    old = read_study(STORED)
    assert old.verdict == "undecided"
    assert (old.findings[1].contrast.by, old.findings[1].contrast.groups) == ("question_class", ("polyp_count",))
    assert old.question.contrasts[0].groups == ()
    assert (old.made, old.seeing, old.gradients) == ({}, (), ())
    new = by_today(old)
    assert [one.verdict for one in new.findings] == [one.verdict for one in old.findings]
    assert all(one.power is not None for one in new.findings)
    assert [replace(one, power=None) for one in new.findings] == list(old.findings)
    assert by_today(new) is new
    assert read_study(write_study(tmp_path, new)) == new


@pytest.mark.parametrize(
    "damage", [{"error": -1.0}, {"error": 1e300}, {"by_seed": [None, 0.5, 0.5]}, {"freedom": None}, {"mean": None}]
)
def test_numbers_that_no_effect_has_tell_no_power(tmp_path: Path, damage: dict[str, Any]) -> None:
    content = json.loads((STORED / "study.json").read_text(encoding="utf-8"))
    content["findings"][0]["effect"].update(damage)
    if "mean" in damage:
        content["findings"][0]["values"] = [None, 0.5]
    (tmp_path / "study.json").write_text(json.dumps({**content, "digest": ""}), encoding="utf-8")
    study = by_today(read_study(tmp_path))
    assert study.findings[0].power is None
    assert study.findings[1].power is not None
    assert study_lines(study)
