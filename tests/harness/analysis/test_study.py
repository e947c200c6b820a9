"""Studies: verdicts and their boundaries, answers from run folders, ``study.json``, and intervals over seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.harness.analysis.study import (
    STUDY,
    Contrast,
    Finding,
    Making,
    Question,
    Study,
    answer,
    by_today,
    decide,
    read_study,
    seed_note,
    study_lines,
    whole_verdict,
    write_study,
)
from gi_bench.harness.errors import RunError
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import SeedEffect, over_seeds, student_quantile, student_tail
from tests.benchmarks import studies as simulation
from tests.run_folders import questions, write_run

GREATER = Contrast("exact_match", "a", "b", "greater")
LESS = Contrast("exact_match", "a", "b", "less")
NO_LESS = Contrast("exact_match", "a", "b", "no less")


def _effect(mean: float, low: float | None, high: float | None) -> SeedEffect:
    return SeedEffect(mean, low, high, 0.5, (mean,), 10)


# Verdicts


@pytest.mark.parametrize(
    ("contrast", "interval", "adjusted", "verdict", "why"),
    [
        (GREATER, (0.05, 0.02, 0.08), 0.0499, "supported", "greater, p 0.0499 after Holm"),
        (GREATER, (0.05, 0.02, 0.08), 0.05, "undecided", "neither excluded nor shown"),
        (GREATER, (0.004, 0.001, 0.007), 0.01, "not supported", "differs from 0, but a difference of 0.01 is excluded"),
        (GREATER, (0.002, 0.001, 0.003), 1e-6, "not supported", "differs from 0, but a difference of 0.01 is excluded"),
        (GREATER, (0.008, 0.002, 0.014), 0.01, "undecided", "differs from 0, but a difference of 0.01 is neither"),
        (GREATER, (0.01, 0.002, 0.018), 0.01, "supported", "greater"),
        (LESS, (-0.002, -0.003, -0.001), 1e-6, "not supported", "differs from 0, but a difference of 0.01 is excluded"),
        (LESS, (-0.008, -0.014, -0.002), 0.01, "undecided", "differs from 0"),
        (GREATER, (-0.001, -0.011, 0.009), 0.9, "not supported", "a difference of 0.01 is excluded"),
        (GREATER, (0.001, -0.008, 0.01), 0.9, "undecided", "neither excluded nor shown"),
        (GREATER, (-0.01, -0.02, 0.0), 0.04, "not supported", "a difference of 0.01 is excluded"),
        (GREATER, (-0.05, -0.08, -0.02), 0.001, "not supported", "the other way"),
        (GREATER, (0.0, 0.0, 0.0), 1.0, "not supported", "a difference of 0.01 is excluded"),
        (LESS, (-0.05, -0.08, -0.02), 0.0499, "supported", "less, p 0.0499 after Holm"),
        (LESS, (-0.05, -0.08, -0.02), 0.05, "undecided", "neither excluded nor shown"),
        (LESS, (0.001, -0.009, 0.011), 0.9, "not supported", "a difference of 0.01 is excluded"),
        (LESS, (-0.001, -0.01, 0.008), 0.9, "undecided", "neither excluded nor shown"),
        (LESS, (0.05, 0.02, 0.08), 0.001, "not supported", "the other way"),
        (NO_LESS, (0.0, -0.0099, 0.0099), 1.0, "supported", "a loss of 0.01 is excluded"),
        (NO_LESS, (0.0, -0.01, 0.01), 0.001, "undecided", "neither excluded nor shown"),
        (NO_LESS, (-0.02, -0.03, -0.01), 0.001, "undecided", "neither excluded nor shown"),
        (NO_LESS, (-0.02, -0.03, -0.0101), 0.9, "not supported", "the loss is larger than 0.01"),
        (NO_LESS, (0.05, 0.02, 0.08), 0.9, "supported", "a loss of 0.01 is excluded"),
    ],
)
def test_verdicts_and_their_boundaries(
    contrast: Contrast, interval: tuple[float, float, float], adjusted: float, verdict: str, why: str
) -> None:
    found, said = decide(contrast, (0.3, 0.2), _effect(*interval), adjusted)
    assert found == verdict
    assert why in said


def test_the_margin_is_the_contrasts_own() -> None:
    effect = _effect(0.01, -0.01, 0.03)
    assert decide(GREATER, (0.3, 0.2), effect, 0.3)[0] == "undecided"
    assert decide(replace(GREATER, margin=0.05), (0.3, 0.2), effect, 0.3) == (
        "not supported", "a difference of 0.05 is excluded",
    )  # fmt: skip
    assert decide(replace(NO_LESS, margin=0.05), (0.3, 0.2), effect, 0.3)[0] == "supported"


@pytest.mark.parametrize("contrast", [GREATER, LESS, NO_LESS])
@pytest.mark.parametrize("bounds", [(None, None), (None, 0.2), (0.1, None)])
def test_without_an_interval_nothing_is_decided(contrast: Contrast, bounds: tuple[float | None, float | None]) -> None:
    verdict, why = decide(contrast, (0.9, 0.1), _effect(0.8, *bounds), 0.0001)
    assert verdict == "undecided"
    assert "no interval" in why


def test_a_rate_at_0_has_nothing_left_to_fall() -> None:
    excluded = _effect(0.0, -0.001, 0.001)
    verdict, why = decide(LESS, (0.0, 0.0), excluded, 1.0)
    assert (verdict, why) == ("undecided", "both stand at 0: there is nothing left to fall")
    verdict, why = decide(GREATER, (1.0, 1.0), excluded, 1.0)
    assert (verdict, why) == ("undecided", "both stand at 1: there is nothing left to rise")
    assert decide(GREATER, (100.0, 100.0), excluded, 1.0, limits=(0.0, 100.0))[0] == "undecided"
    assert decide(LESS, (-1.0, -1.0), excluded, 1.0, limits=(-1.0, 1.0))[0] == "undecided"
    assert decide(LESS, (0.001, 0.001), excluded, 1.0)[0] == "undecided", "a fall of all that is left is possible"
    assert decide(LESS, (0.01, 0.0), excluded, 1.0)[0] == "not supported", "what rises from 0 does not fall"
    assert decide(GREATER, (0.0, 0.0), excluded, 1.0)[0] == "not supported", "only what was to fall"
    assert decide(NO_LESS, (0.0, 0.0), excluded, 1.0)[0] == "supported"


def test_less_than_the_margin_is_left_to_fall() -> None:
    """A false-positive rate of .045 cannot fall by .05, but it can fall to 0."""
    fall = replace(LESS, margin=0.05)
    assert decide(fall, (0.0, 0.045), _effect(-0.045, -0.052, -0.038), 1e-6)[0] == "supported"
    assert decide(fall, (0.0, 0.045), _effect(-0.045, -0.045, -0.045), 0.0)[0] == "supported"
    assert decide(fall, (0.001, 0.045), _effect(-0.044, -0.051, -0.037), 1e-6)[0] == "supported", "nearly to 0"
    verdict, why = decide(fall, (0.03, 0.045), _effect(-0.015, -0.02, -0.01), 1e-6)
    assert (verdict, why) == (
        "not supported",
        "it differs from 0, but a difference of 0.045, all that is left, is excluded",
    )
    assert decide(fall, (0.0, 0.045), _effect(-0.045, -0.1, 0.01), 0.3)[0] == "undecided"
    rise = replace(GREATER, margin=0.05)
    assert decide(rise, (1.0, 0.97), _effect(0.03, 0.02, 0.04), 1e-6)[0] == "supported"
    assert decide(rise, (0.98, 0.97), _effect(0.01, 0.005, 0.015), 1e-6)[0] == "not supported"


@pytest.mark.parametrize("expect", ["greater", "less", "no less", "no more"])
def test_two_seeds_give_no_verdict(expect: Any) -> None:
    two = SeedEffect(0.3, 0.2, 0.4, 1e-9, (0.29, 0.31), 100)
    verdict, why = decide(replace(GREATER, expect=expect), (0.5, 0.2), two, 1e-9)
    assert (verdict, "fewer than 3 seeds" in why) == ("no verdict", True)
    one = SeedEffect(0.3, 0.2, 0.4, 1e-9, (0.3,), 100)
    assert decide(replace(GREATER, expect=expect), (0.5, 0.2), one, 1e-9, seeds=1)[0] == "no verdict"
    assert decide(replace(GREATER, expect=expect), (0.5, 0.2), one, 1e-9)[0] != "no verdict", "nothing was trained"
    nothing = replace(one, mean=float("nan"), low=None, high=None)
    assert decide(replace(GREATER, expect=expect), (0.5, 0.2), nothing, 1.0, seeds=1)[0] == "no verdict"
    assert decide(replace(GREATER, expect=expect), (0.5, 0.2), nothing, 1.0, seeds=3)[0] == "undecided"


def test_no_contrast_is_both() -> None:
    """Over a grid of effects and intervals: supported never where the interval excludes the margin."""
    for mean in np.linspace(-0.03, 0.03, 25):
        for half in (0.0, 0.001, 0.004, 0.009, 0.03):
            for base in (0.005, 0.02, 0.5):
                p = 0.001 if abs(mean) > half else 0.5
                effect = _effect(float(mean), float(mean - half), float(mean + half))
                values = (base + float(mean), base)
                less, greater = decide(LESS, values, effect, p)[0], decide(GREATER, values, effect, p)[0]
                if mean + half < 0.01 - 1e-9:
                    assert greater == "not supported"
                if greater == "supported":
                    assert mean >= 0.01 - 1e-9
                    assert less == "not supported"
                if less == "supported":
                    assert greater == "not supported"


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([], "undecided"),
        (["supported"], "supported"),
        (["supported", "supported"], "supported"),
        (["supported", "undecided"], "undecided"),
        (["undecided", "not supported"], "not supported"),
        (["supported", "not supported", "supported"], "not supported"),
        (["no verdict", "undecided", "supported"], "no verdict"),
        (["no verdict", "not supported"], "not supported"),
    ],
)
def test_a_claim_holds_if_all_of_its_contrasts_do(verdicts: list[Any], whole: str) -> None:
    findings = [Finding(GREATER, "t", (0.0, 0.0), _effect(0, 0, 0), 1.0, one, "") for one in verdicts]
    assert whole_verdict(findings) == whole


# Answers from run folders


def _runs(folder: Path, arm: str, wrong: Sequence[int], **options: Any) -> list[Path]:
    """One run a seed of 12 questions; the first ``wrong`` of them get a wrong answer."""
    return [
        write_run(
            folder / f"{arm}-{seed}",
            variant=arm,
            answer=lambda q, count=count: "red" if q.index < count else q.answer,
            **options,
        )
        for seed, count in enumerate(wrong)
    ]


def _question(*contrasts: Contrast, arms: Sequence[str] = ("good", "poor"), **changes: Any) -> Question:
    asked: dict[str, Any] = {
        "name": "made", "title": "Made", "claim": "Good is better.", "source": "nowhere",
        "arms": {arm: f"about {arm}" for arm in arms}, "contrasts": contrasts, "metrics": ("exact_match",),
    }  # fmt: skip
    return Question(**{**asked, **changes})


@pytest.fixture(scope="module")
def metrics() -> dict[str, Metric]:
    found = registered("gi_bench.metrics")
    return {name: found[name] for name in ("exact_match", "region_iou", "answer_false_positive_rate")}


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, list[Path]]:
    return {"good": _runs(tmp_path, "good", (0, 2)), "poor": _runs(tmp_path, "poor", (8, 6))}


def test_an_answer_over_two_seeds_by_hand(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    asked = _question(
        Contrast("exact_match", "good", "poor"),
        Contrast("exact_match", "poor", "good"),
        tables=(("exact_match", "question_class"),),
    )
    study = answer(asked, runs, (3, 5), metrics=metrics, resamples=200, making=Making({"steps": 9}), base=tmp_path)
    first, second = study.findings
    assert first.effect.by_seed == pytest.approx((8 / 12, 4 / 12))
    assert first.effect.mean == pytest.approx(6 / 12)
    assert first.values == pytest.approx((11 / 12, 5 / 12))
    assert first.effect.images == 6
    assert first.effect.low is not None
    assert first.effect.high is not None
    assert first.effect.low < 0.5 < first.effect.high
    assert first.title == metrics["exact_match"].info.title
    assert second.effect.by_seed == pytest.approx((-8 / 12, -4 / 12))
    assert (second.effect.low, second.effect.high) == pytest.approx((-first.effect.high, -first.effect.low))
    assert first.adjusted == pytest.approx(min(1.0, 2 * first.effect.p)), "Holm over two equal p-values"
    assert study.verdict == whole_verdict(study.findings)
    cells = {(cell.arm, cell.slice_value): cell for cell in study.cells}
    assert len(cells) == len(study.cells) == 6
    assert cells["good", "all"].effect.by_seed == pytest.approx((1.0, 10 / 12))
    assert cells["good", "all"].n == 12
    assert cells["poor", "polyp_count"].effect.by_seed == pytest.approx((2 / 6, 3 / 6))
    assert (cells["poor", "polyp_count"].n, cells["poor", "polyp_count"].effect.images) == (6, 6)
    assert (study.suite, study.fingerprint, study.seeds) == ("made/test", "f" * 64, (3, 5))
    assert study.runs == {"good": ("good-0", "good-1"), "poor": ("poor-0", "poor-1")}
    assert study.notes == ("made for tests",)
    assert [info.name for info in study.metrics] == ["exact_match"]
    assert study.settings == {"steps": 9}


def test_the_interval_holds_seeds_and_images(metrics: dict[str, Metric], tmp_path: Path) -> None:
    """Two seeds 1/6 apart: their variance alone is (1/6)**2 / 4, so the interval is wider than t(1) of it by little."""
    runs = {"good": _runs(tmp_path, "good", (0, 2)), "fixed": _runs(tmp_path, "fixed", (0, 0))}
    study = answer(_question(arms=tuple(runs)), runs, (0, 1), metrics=metrics, resamples=500)
    good, fixed = (cell.effect for cell in study.cells)
    assert good.low is not None
    assert good.high is not None
    half = good.mean - good.low
    assert good.high == 1.0, "cut to what the metric can be"
    by_seeds, by_images = (1 / 12) ** 2, 5 / 36 / 6 / 4
    freedom = (by_seeds + by_images) ** 2 / (by_seeds**2 + by_images**2 / 5)
    assert half == pytest.approx(student_quantile(0.05, freedom) * (by_seeds + by_images) ** 0.5, rel=0.1)
    assert fixed.high == 1.0
    assert fixed.low is not None
    assert 0.4 < fixed.low < 1.0, "six images that are all right do not prove that every image is"


def test_a_contrast_on_a_slice_and_one_with_a_number(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    asked = _question(
        Contrast("exact_match", "good", "poor", by="question_class", group="polyp_count"),
        Contrast("exact_match", "poor", against=0.25, expect="less"),
        Contrast("exact_match", "good", "poor", by="question_class", group="no_such_class"),
    )
    sliced, numbered, nowhere = answer(asked, runs, (0, 1), metrics=metrics, resamples=100).findings
    assert sliced.effect.by_seed == pytest.approx((4 / 6, 5 / 6 - 3 / 6))
    assert sliced.values == pytest.approx((11 / 12, 5 / 12))
    assert numbered.effect.by_seed == pytest.approx((4 / 12 - 0.25, 6 / 12 - 0.25))
    assert numbered.values == pytest.approx((5 / 12, 0.25))
    assert nowhere.verdict == "no verdict", "two seeds"
    assert nowhere.effect.low is None


def test_an_arm_with_one_run_stands_against_every_seed(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    runs = {**runs, "blind": _runs(tmp_path, "blind", (9,))}
    asked = _question(
        Contrast("exact_match", "good", "blind"), Contrast("exact_match", "blind", "poor"), arms=tuple(runs)
    )
    study = answer(asked, runs, (0, 1), metrics=metrics, resamples=100)
    assert study.findings[0].effect.by_seed == pytest.approx((9 / 12, 7 / 12))
    assert study.findings[1].effect.by_seed == pytest.approx((-1 / 12, -3 / 12))
    assert next(cell for cell in study.cells if cell.arm == "blind").effect.by_seed == pytest.approx((3 / 12,))


def test_one_run_an_arm_has_an_interval_over_images(metrics: dict[str, Metric], tmp_path: Path) -> None:
    runs = {"good": _runs(tmp_path, "good", (2,)), "poor": _runs(tmp_path, "poor", (8,))}
    (finding,) = answer(_question(Contrast("exact_match", "good", "poor")), runs, (0,), metrics=metrics).findings
    assert finding.effect.low is not None
    assert finding.effect.low < finding.effect.mean == pytest.approx(0.5)


def test_what_a_run_has_not_has_no_verdict_and_is_said(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    runs = {**runs, "poor": _runs(tmp_path / "regionless", "poor", (0, 0), ground=lambda p: None)}
    asked = _question(Contrast("region_iou", "good", "poor"), metrics=("exact_match", "region_iou"))
    study = answer(asked, runs, (0, 1), metrics=metrics, resamples=100)
    assert study.verdict == study.findings[0].verdict == "no verdict"
    assert np.isnan(study.findings[0].values).all()
    assert any(note.startswith("region_iou of poor: ") for note in study.notes)
    assert any("region_iou of poor: " in line for line in study_lines(study))
    assert {cell.arm for cell in study.cells if cell.metric == "region_iou"} == {"good"}


def test_runs_that_cannot_be_one_study(runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path) -> None:
    asked = _question(Contrast("exact_match", "good", "poor"))

    def ask(question: Question, given: Mapping[str, Sequence[Path]]) -> Study:
        return answer(question, given, (0, 1), metrics=metrics, resamples=10)

    other = _runs(tmp_path / "other", "poor", (8, 6), fingerprint="e" * 64)
    with pytest.raises(RunError, match="two suites"):
        ask(asked, {**runs, "poor": [runs["poor"][0], other[1]]})
    with pytest.raises(RunError, match="no run of poor"):
        ask(asked, {"good": runs["good"]})
    with pytest.raises(RunError, match="no run of good, poor"):
        ask(asked, {"good": [], "poor": []})
    with pytest.raises(RunError, match="3 runs of poor for 2 seeds"):
        ask(asked, {**runs, "poor": _runs(tmp_path / "three", "poor", (1, 2, 3))})
    with pytest.raises(RunError, match="a run of poor is there twice"):
        ask(asked, {**runs, "poor": [runs["poor"][0]] * 2})
    with pytest.raises(RunError, match="a seed is there twice"):
        answer(asked, runs, (0, 0), metrics=metrics, resamples=10)
    with pytest.raises(ValueError, match="expect is one of greater, less"):
        Contrast("exact_match", "good", "poor", expect="bigger")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="unknown metric"):
        ask(_question(Contrast("blue", "good", "poor")), runs)
    with pytest.raises(RunError):
        ask(asked, {**runs, "poor": [tmp_path / "nowhere", tmp_path / "nowhere"]})


def test_a_contrast_over_an_arm_that_the_study_lacks(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    with pytest.raises(RunError, match="fair"):
        answer(_question(Contrast("exact_match", "good", "fair")), runs, (0, 1), metrics=metrics, resamples=10)


def test_an_arm_has_one_run_or_one_a_seed(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    """Two finished runs of three would else pass for three seeds."""
    with pytest.raises(RunError, match="seeds"):
        answer(_question(Contrast("exact_match", "good", "poor")), runs, (0, 1, 2), metrics=metrics, resamples=10)


def test_runs_over_other_rows_are_refused(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    short = _runs(tmp_path / "short", "poor", (8, 6), rows=questions(8))
    with pytest.raises(RunError, match="rows"):
        answer(_question(Contrast("exact_match", "good", "poor")), {**runs, "poor": short}, (0, 1), metrics=metrics)


def test_runs_outside_of_the_base_have_a_path(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    base = runs["good"][0].parent / "study"
    study = answer(_question(), runs, (0, 1), metrics=metrics, resamples=10, base=base)
    assert [Path(path).name for path in study.runs["good"]] == ["good-0", "good-1"]


def test_a_definition_that_depends_on_settings_is_the_one_used(runs: dict[str, list[Path]]) -> None:
    """A metric's statistics may replace its description: which encoder or judge was used."""
    general = MetricInfo("made", "made", "Some encoder.", "nowhere")

    def compute(run: Any) -> Statistics:
        ids = ("a", "b")
        return Statistics(np.ones((2, 2)), ids, {}, info=replace(general, definition="Encoder X.", comparable=False))

    asked = _question(Contrast("made", "good", "poor", "no less"), metrics=("made",))
    study = answer(asked, runs, (0, 1), metrics={"made": Metric(general, compute)}, resamples=10)
    assert [info.definition for info in study.metrics] == ["Encoder X."]


def test_one_or_two_seeds_give_no_verdict_and_say_so(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    asked = _question(Contrast("exact_match", "good", "poor"), Contrast("exact_match", "good", "poor", "no less"))
    for count in (1, 2):
        given = {arm: paths[:count] for arm, paths in runs.items()}
        study = answer(asked, given, tuple(range(count)), metrics=metrics, resamples=100)
        assert [one.verdict for one in study.findings] == ["no verdict"] * 2
        assert study.verdict == "no verdict"
        assert study.findings[0].effect.low is not None, "the interval over images is still there"
        lines = study_lines(study)
        assert "made: no verdict" in lines
        assert any(line.startswith(f"  {count} seed") and "hold for other" in line for line in lines)
        assert max(map(len, lines)) <= 80
        content = json.loads(write_study(tmp_path / str(count), study).read_text(encoding="utf-8"))
        assert content["verdict"] == "no verdict"
        assert "fewer than 3 seeds" in content["findings"][0]["why"]


def test_three_seeds_against_an_arm_without_training(metrics: dict[str, Metric], tmp_path: Path) -> None:
    runs = {"good": _runs(tmp_path, "good", (0, 1, 0)), "blind": _runs(tmp_path, "blind", (12,))}
    runs |= {"fixed": _runs(tmp_path, "fixed", (0,))}
    asked = _question(
        Contrast("exact_match", "good", "blind"), Contrast("exact_match", "fixed", "blind"),
        Contrast("exact_match", "good", against=0.2), arms=tuple(runs),
    )  # fmt: skip
    study = answer(asked, runs, (0, 1, 2), metrics=metrics, resamples=100)
    assert [one.verdict for one in study.findings] == ["supported"] * 3
    assert len(study.findings[0].effect.by_seed) == 3
    assert seed_note(study) is None
    untrained = {arm: runs[arm] for arm in ("fixed", "blind")}
    asked = _question(Contrast("exact_match", "fixed", "blind"), arms=tuple(untrained))
    assert answer(asked, untrained, (), metrics=metrics, resamples=100).verdict == "supported", "nothing was trained"
    assert answer(asked, untrained, (0,), metrics=metrics, resamples=100).verdict == "no verdict"


def test_intervals_of_contrasts_stay_where_differences_can_be(metrics: dict[str, Metric], tmp_path: Path) -> None:
    runs = {"good": _runs(tmp_path, "good", (0, 1, 0)), "poor": _runs(tmp_path, "poor", (12, 12, 11))}
    asked = _question(
        Contrast("exact_match", "good", "poor"), Contrast("exact_match", "poor", "good"),
        Contrast("exact_match", "good", against=0.5), Contrast("exact_match", "poor", against=0.5),
    )  # fmt: skip
    found = answer(asked, runs, (0, 1, 2), metrics=metrics, resamples=100).findings
    assert [one.effect.high for one in found] == [1.0, pytest.approx(-found[0].effect.low), 0.5, found[3].effect.high]
    assert found[1].effect.low == -1.0
    assert found[3].effect.low == -0.5
    for one in found:
        assert one.simultaneous is not None
        assert -1.0 <= one.simultaneous[0] <= one.effect.low <= one.effect.mean
        assert one.effect.mean <= one.effect.high <= one.simultaneous[1] <= 1.0


def test_intervals_that_decide_hold_for_all_contrasts_together(metrics: dict[str, Metric], tmp_path: Path) -> None:
    runs = {"good": _runs(tmp_path, "good", (3, 4, 5)), "poor": _runs(tmp_path, "poor", (4, 4, 6))}
    one = Contrast("exact_match", "good", "poor")
    alone = answer(_question(one), runs, (0, 1, 2), metrics=metrics, resamples=300).findings[0]
    four = answer(_question(*[one] * 4), runs, (0, 1, 2), metrics=metrics, resamples=300).findings[0]
    effect = alone.effect
    assert alone.simultaneous == pytest.approx((effect.low, effect.high))
    assert effect.error is not None
    assert effect.freedom is not None
    half = student_quantile(0.05 / 4, effect.freedom) * effect.error
    assert four.simultaneous == pytest.approx((effect.mean - half, effect.mean + half))
    assert (four.effect.low, four.effect.high) == (effect.low, effect.high), "shown is the 95 % interval"


def test_studies_refuse_other_references_and_survive_a_metric_that_fails(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    rows = [replace(questions()[0], answer="two polyps"), *questions()[1:]]
    other = _runs(tmp_path / "other", "poor", (8, 6), rows=rows)
    with pytest.raises(RunError, match="references of the runs differ"):
        answer(_question(), {**runs, "poor": other}, (0, 1), metrics=metrics)

    def fail(run: Any) -> Statistics:
        raise KeyError("what")

    broken = Metric(MetricInfo("broken", "broken", "Made.", "nowhere"), fail)
    asked = _question(Contrast("broken", "good", "poor"), metrics=("exact_match", "broken"))
    study = answer(asked, runs, (0, 1), metrics={**metrics, "broken": broken}, resamples=50)
    assert study.findings[0].effect.low is None
    assert any("KeyError" in note for note in study.notes)


def test_verdicts_of_an_older_rule_are_made_anew(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    """A file of the first rule names no rule, no standard errors and no simultaneous intervals."""
    runs = {"good": _runs(tmp_path, "good", (3, 4, 5)), "poor": _runs(tmp_path, "poor", (4, 4, 6))}
    one = Contrast("exact_match", "good", "poor")
    study = answer(_question(*[one] * 4), runs, (0, 1, 2), metrics=metrics, resamples=300)
    path = write_study(tmp_path, study)
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["rule_version"], content["digest"]  # files of that rule hold none
    for finding in content["findings"]:
        del finding["simultaneous"], finding["effect"]["error"], finding["effect"]["freedom"]
        finding["verdict"] = "supported"
    content["verdict"] = "supported"
    path.write_text(json.dumps(content), encoding="utf-8")
    old = read_study(path)
    assert (old.rule_version, old.verdict) == (1, "supported")
    new = by_today(old)
    assert [a.verdict for a in new.findings] == [a.verdict for a in study.findings]
    assert new.findings[0].simultaneous == pytest.approx(study.findings[0].simultaneous, rel=1e-3)
    assert new.verdict == study.verdict != "supported"
    assert "made by an older rule" in new.notes[-1]
    assert f"supported, now {study.verdict}" in new.notes[-1]
    assert by_today(study) is study


# study.json


@pytest.fixture
def study(runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path) -> Study:
    return answer(
        _question(
            Contrast("exact_match", "good", "poor"),
            Contrast("exact_match", "good", "poor", "no less", by="question_class", group="none"),
            tables=(("exact_match", "question_class"),),
        ),
        runs, (3, 5), metrics=metrics, resamples=50, making=Making({"steps": 9, "ranks": [1, 2]}), base=tmp_path,
    )  # fmt: skip


def _plain(study: Study) -> str:
    """All fields as text, in which NaN equals NaN."""
    return json.dumps(asdict(study), sort_keys=True)


def test_a_study_survives_its_file(study: Study, tmp_path: Path) -> None:
    assert "NaN" in _plain(study)
    path = write_study(tmp_path / "made", study)
    assert path == tmp_path / "made" / STUDY
    assert "NaN" not in path.read_text(encoding="utf-8")
    for place in (path, path.parent):
        assert _plain(read_study(place)) == _plain(study)
    finite = replace(study, findings=study.findings[:1])
    write_study(tmp_path / "finite", finite)
    assert read_study(tmp_path / "finite") == finite


def test_nan_by_seed_survives(study: Study, tmp_path: Path) -> None:
    effect = SeedEffect(float("nan"), None, None, 1.0, (0.5, float("nan")), 3)
    cells = (replace(study.cells[0], effect=effect),)
    again = read_study(write_study(tmp_path / "made", replace(study, cells=cells))).cells[0].effect
    assert np.isnan(again.mean)
    assert again.by_seed[0] == 0.5
    assert np.isnan(again.by_seed[1])
    assert (again.low, again.high, again.p, again.images) == (None, None, 1.0, 3)


def test_arms_keep_their_order(study: Study, tmp_path: Path) -> None:
    arms = {"rank_8": "small", "rank_16": "middle", "rank_128": "large", "blind": "none"}
    write_study(tmp_path, replace(study, question=replace(study.question, arms=arms)))
    assert list(read_study(tmp_path).question.arms) == list(arms)


def _without(*keys: Any) -> Callable[[Any], None]:
    def damage(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return damage


def _with(value: Any, *keys: Any) -> Callable[[Any], None]:
    def damage(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_without("question"), id="no question"),
        pytest.param(_without("question", "claim"), id="no claim"),
        pytest.param(_without("question", "contrasts", 0, "metric"), id="contrast without metric"),
        pytest.param(_without("cells", 0, "n"), id="cell without n"),
        pytest.param(_without("cells", 0, "effect", "by_seed"), id="effect without seeds"),
        pytest.param(_without("findings", 0, "contrast"), id="finding without contrast"),
        pytest.param(_without("findings", 0, "verdict"), id="finding without verdict"),
        pytest.param(_without("metrics", 0, "definition"), id="metric without definition"),
        pytest.param(_without("fingerprint"), id="no fingerprint"),
        pytest.param(_without("schema_version"), id="no version"),
        pytest.param(_with(1, "schema_version"), id="other version"),
        pytest.param(_with("text", "question"), id="question is text"),
        pytest.param(_with([["exact_match"]], "question", "tables"), id="table without slice"),
        pytest.param(_with({"more": 1}, "question", "contrasts", 0), id="unknown contrast"),
        pytest.param(_with([0.1, 0.2, 0.3], "findings", 0, "values"), id="three values"),
        pytest.param(_with(None, "findings", 0, "effect"), id="effect is null"),
        pytest.param(_with("many", "cells", 0, "effect", "images"), id="images is text"),
        pytest.param(_with(7, "cells"), id="cells is a number"),
        pytest.param(_with(None, "notes"), id="notes is null"),
        pytest.param(_with(1, "unknown field"), id="unknown field"),
        pytest.param(_with(["good-0"], "runs"), id="runs is a list"),
        pytest.param(_with("low", "cells", 0, "effect", "low"), id="bound is text"),
        pytest.param(_with("high", "findings", 0, "effect", "high"), id="bound of a finding is text"),
        pytest.param(_with(None, "findings", 0, "adjusted"), id="p is null"),
        pytest.param(_with("perhaps", "verdict"), id="unknown verdict"),
        pytest.param(_with(["good", "poor"], "question", "arms"), id="arms is a list"),
    ],
)
def test_a_damaged_study_is_refused(study: Study, tmp_path: Path, damage: Callable[[Any], None]) -> None:
    path = write_study(tmp_path / "made", study)
    content = json.loads(path.read_text(encoding="utf-8"))
    damage(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunError) as caught:
        read_study(path)
    assert str(path) in caught.value.line()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\x00", '{"schema_version": 2}'])
def test_what_is_no_study_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / STUDY).write_text(text, encoding="utf-8")
    with pytest.raises(RunError):
        read_study(tmp_path)


def test_a_missing_study_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / STUDY, tmp_path / "nowhere"):
        with pytest.raises(RunError, match="not found"):
            read_study(path)


# Student's t, and intervals over seeds


def _quadrature(t: float, freedom: float) -> float:
    """Two-sided p-value by Gauss-Legendre quadrature of cos(u) ** (freedom - 1): how stored intervals were made."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    edge = float(np.arctan(t / np.sqrt(freedom)))

    def integral(low: float) -> float:
        middle, half = (low + np.pi / 2) / 2, (np.pi / 2 - low) / 2
        return float(half * (weights * np.cos(middle + half * nodes) ** (freedom - 1)).sum())

    return integral(edge) / integral(0.0)


def test_students_t_equals_its_integral() -> None:
    """Fractions below 5 degrees of freedom are beyond the quadrature, not beyond SciPy."""
    for freedom in (1.0, 2.0, 3.0, 5.0, 7.37, 10.5, 39.0, 79.0, 100.0, 199.0, 299.0, 361.8, 400.0):
        for t in (0.0, 0.1, 0.7, 1.0, 1.96, 3.0, 4.3):
            assert student_tail(t, freedom) == pytest.approx(_quadrature(t, freedom), rel=1e-12), (t, freedom)
            assert student_tail(-t, freedom) == student_tail(t, freedom)
        for p in (0.9, 0.5, 0.1, 0.05, 0.0125, 0.01, 0.001):
            assert _quadrature(student_quantile(p, freedom), freedom) == pytest.approx(p, rel=1e-12), (p, freedom)


def test_students_t_against_scipy() -> None:
    from scipy.stats import t as reference

    for freedom in (1.0, 1.3, 2.0, 2.7, 5.0, 10.5, 39.0, 100.0, 299.0, 400.0):
        for t in (0.0, 1e-6, 0.1, 0.7, 1.0, 1.96, 3.0, 4.3, 10.0, 63.7):
            assert student_tail(t, freedom) == pytest.approx(2 * reference.sf(t, freedom), rel=1e-12), (t, freedom)
        for p in (1.0, 0.9, 0.5, 0.1, 0.05, 0.01, 0.001, 1e-6):
            # Of SciPy's own releases some are off by 4e-9.
            assert student_quantile(p, freedom) == pytest.approx(reference.isf(p / 2, freedom), rel=1e-8, abs=1e-15)


def test_many_degrees_of_freedom_count_as_400() -> None:
    from scipy.stats import t as reference

    for freedom in (401.0, 1e4, 1e9, float("inf")):
        assert student_tail(2.0, freedom) == student_tail(2.0, 400.0)
        assert student_tail(2.0, freedom) == pytest.approx(2 * reference.sf(2.0, freedom), rel=0.02)
        assert student_tail(2.0, freedom) >= 2 * reference.sf(2.0, freedom)
    assert student_tail(2.0, 0.2) == student_tail(2.0, 1.0)


def _means(rows: np.ndarray) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Per seed (a row of images) the weighted mean."""
    return [lambda weights, row=row: weights @ row / weights.sum(axis=-1) for row in rows]


def _draw(random: np.random.Generator, seed_sd: float, image_sd: float, rest_sd: float, truth: float) -> np.ndarray:
    """(3 seeds, 40 images) of one crossed design."""
    by_seed = random.normal(0, seed_sd, size=(3, 1))
    return truth + by_seed + random.normal(0, image_sd, size=(1, 40)) + random.normal(0, rest_sd, size=(3, 40))


@pytest.mark.parametrize(
    ("seed_sd", "image_sd", "rest_sd"), [(0.03, 0.15, 0.05), (0.05, 0.05, 0.02), (0.005, 0.2, 0.1)]
)
def test_intervals_over_seeds_cover_the_truth(seed_sd: float, image_sd: float, rest_sd: float) -> None:
    random = np.random.default_rng(11)
    trials, truth = 400, 0.1
    covered = false_alarms = 0
    for trial in range(trials):
        rows = _draw(random, seed_sd, image_sd, rest_sd, truth)
        found = over_seeds(_means(rows), 40, resamples=200, seed=trial)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
        null = over_seeds(_means(rows - truth), 40, resamples=200, seed=trial)
        false_alarms += null.p < 0.05
    assert 0.93 <= covered / trials <= 0.995
    assert false_alarms == trials - covered, "the p-value of 0 and the interval tell the same"


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("seed_sd", [0.0, 0.02, 0.1])
def test_intervals_cover_in_the_published_simulation(seeds: int, seed_sd: float) -> None:
    """docs/studies.md has the figures of many more trials."""
    assert 0.89 <= simulation.coverage(simulation.Design(seeds, 20, seed_sd), 150, resamples=100) <= 1.0


def test_verdicts_are_seldom_wrong_with_four_contrasts() -> None:
    design = simulation.Design(3, 40, 0.0)
    for expect, truth, wrong in simulation.WRONG:
        assert simulation.wrong_verdicts(design, expect, truth, wrong, 60, resamples=60) <= 0.1, (expect, wrong)


def test_one_seed_alone_covers_too_little() -> None:
    """Why several seeds are trained: an interval over images alone misses what another seed would give."""
    random = np.random.default_rng(12)
    found = [
        over_seeds(_means(_draw(random, 0.05, 0.05, 0.02, 0.1)[:1]), 40, resamples=200, seed=i) for i in range(200)
    ]
    covered = [one.low is not None and one.high is not None and one.low <= 0.1 <= one.high for one in found]
    assert np.mean(covered) < 0.6


def test_an_effect_over_seeds_by_hand() -> None:
    found = over_seeds(_means(np.array([[0.2] * 8, [0.4] * 8, [0.6] * 8])), 8, resamples=50)
    error = 0.2 / 3**0.5
    assert found.by_seed == pytest.approx((0.2, 0.4, 0.6))
    assert found.mean == pytest.approx(0.4)
    # All images agree, so that two degrees of freedom of the seeds remain: t = 4.303.
    assert (found.low, found.high) == pytest.approx((0.4 - 4.3027 * error, 0.4 + 4.3027 * error), abs=1e-4)
    # Two-sided p of t with two degrees of freedom: 1 - t / sqrt(2 + t**2).
    t = 0.4 / error
    assert found.p == pytest.approx(1 - t / (2 + t * t) ** 0.5)


def test_effects_without_spread_or_value() -> None:
    nothing = over_seeds(_means(np.zeros((3, 5))), 5, resamples=20)
    assert (nothing.mean, nothing.low, nothing.high, nothing.p) == (0.0, 0.0, 0.0, 1.0)
    alone = over_seeds(_means(np.array([[0.3]])), 1)
    assert (alone.mean, alone.low, alone.high, alone.p) == (0.3, None, None, 1.0)
    valueless = over_seeds(_means(np.array([[np.nan] * 4, [0.1] * 4])), 4, resamples=20)
    assert (valueless.low, valueless.high, valueless.p) == (None, None, 1.0)
    assert np.isnan(valueless.mean)
    with pytest.raises(ValueError, match="no seed"):
        over_seeds([], 3)


def test_rounding_is_no_difference() -> None:
    """0.1 + 0.2 - 0.3 is 6e-17 in every image: without spread this must not pass for a sure difference."""
    found = over_seeds(_means(np.full((3, 10), 0.1 + 0.2 - 0.3)), 10, resamples=50)
    assert decide(GREATER, (0.3, 0.3), found, found.p)[0] != "supported"


def test_no_false_alarm_among_few_images_is_no_proof_of_none() -> None:
    """Rates at 0 have no spread over images; the interval is at least as wide as Wilson's."""
    from gi_bench.harness.analysis.study.columns import least_variance
    from gi_bench.harness.statistics import wilson

    none = np.stack([np.zeros(6), np.ones(6)], axis=1)
    least = least_variance([none, none])
    found = over_seeds(_means(np.zeros((3, 6))), 6, resamples=50, least_variance=least)
    bound = wilson(0, 6)
    assert bound is not None
    assert found.high is not None
    assert found.high > bound[1] / 2
    more = Contrast("rate", "a", "b", "no more", 0.02)
    assert decide(more, (0.0, 0.0), found, found.p)[0] == "undecided"
    many = np.stack([np.zeros(2000), np.ones(2000)], axis=1)
    sure = over_seeds(_means(np.zeros((3, 2000))), 2000, resamples=50, least_variance=least_variance([many, many]))
    assert decide(more, (0.0, 0.0), sure, sure.p)[0] == "supported"


def test_no_more_is_no_less_the_other_way() -> None:
    rising = over_seeds(_means(np.full((3, 50), 0.1) + np.linspace(-0.001, 0.001, 50)), 50, resamples=100)
    assert decide(Contrast("rate", "a", "b", "no more", 0.02), (0.2, 0.1), rising, rising.p)[0] == "not supported"
    assert decide(Contrast("rate", "a", "b", "no less", 0.02), (0.2, 0.1), rising, rising.p)[0] == "supported"
