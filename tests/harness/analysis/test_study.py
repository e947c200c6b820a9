"""Studies: answers from run folders, and runs that give none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.harness.analysis.study import (
    Contrast,
    Making,
    Question,
    Study,
    answer,
    seed_note,
    study_lines,
    whole_verdict,
    write_study,
)
from gi_bench.harness.errors import RunError
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import student_quantile
from tests.harness.analysis.study_cases import asked_about, write_seeds
from tests.run_folders import questions


def test_an_answer_over_two_seeds_by_hand(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    asked = asked_about(
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
    runs = {"good": write_seeds(tmp_path, "good", (0, 2)), "fixed": write_seeds(tmp_path, "fixed", (0, 0))}
    study = answer(asked_about(arms=tuple(runs)), runs, (0, 1), metrics=metrics, resamples=500)
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
    asked = asked_about(
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
    runs = {**runs, "blind": write_seeds(tmp_path, "blind", (9,))}
    asked = asked_about(
        Contrast("exact_match", "good", "blind"), Contrast("exact_match", "blind", "poor"), arms=tuple(runs)
    )
    study = answer(asked, runs, (0, 1), metrics=metrics, resamples=100)
    assert study.findings[0].effect.by_seed == pytest.approx((9 / 12, 7 / 12))
    assert study.findings[1].effect.by_seed == pytest.approx((-1 / 12, -3 / 12))
    assert next(cell for cell in study.cells if cell.arm == "blind").effect.by_seed == pytest.approx((3 / 12,))


def test_one_run_an_arm_has_an_interval_over_images(metrics: dict[str, Metric], tmp_path: Path) -> None:
    runs = {"good": write_seeds(tmp_path, "good", (2,)), "poor": write_seeds(tmp_path, "poor", (8,))}
    (finding,) = answer(asked_about(Contrast("exact_match", "good", "poor")), runs, (0,), metrics=metrics).findings
    assert finding.effect.low is not None
    assert finding.effect.low < finding.effect.mean == pytest.approx(0.5)


def test_what_a_run_has_not_has_no_verdict_and_is_said(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    runs = {**runs, "poor": write_seeds(tmp_path / "regionless", "poor", (0, 0), ground=lambda p: None)}
    shown = ("exact_match", "region_iou", "region_dice")
    asked = asked_about(Contrast("region_iou", "good", "poor"), metrics=shown)
    study = answer(asked, runs, (0, 1), metrics=metrics, resamples=100)
    assert study.verdict == study.findings[0].verdict == "no verdict"
    assert np.isnan(study.findings[0].values).all()
    (note,) = (note for note in study.notes if " of poor: " in note)
    assert note.startswith("no region_iou, region_dice of poor: "), "one reason, one note"
    assert any("no region_iou, region_dice of poor: " in line for line in study_lines(study))
    assert {cell.arm for cell in study.cells if cell.metric == "region_iou"} == {"good"}


def test_runs_that_cannot_be_one_study(runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path) -> None:
    asked = asked_about(Contrast("exact_match", "good", "poor"))

    def ask(question: Question, given: Mapping[str, Sequence[Path]]) -> Study:
        return answer(question, given, (0, 1), metrics=metrics, resamples=10)

    other = write_seeds(tmp_path / "other", "poor", (8, 6), fingerprint="e" * 64)
    with pytest.raises(RunError, match="two suites"):
        ask(asked, {**runs, "poor": [runs["poor"][0], other[1]]})
    with pytest.raises(RunError, match="no run of poor"):
        ask(asked, {"good": runs["good"]})
    with pytest.raises(RunError, match="no run of good, poor"):
        ask(asked, {"good": [], "poor": []})
    with pytest.raises(RunError, match="3 runs of poor for 2 seeds"):
        ask(asked, {**runs, "poor": write_seeds(tmp_path / "three", "poor", (1, 2, 3))})
    with pytest.raises(RunError, match="a run of poor is there twice"):
        ask(asked, {**runs, "poor": [runs["poor"][0]] * 2})
    with pytest.raises(RunError, match="a seed is there twice"):
        answer(asked, runs, (0, 0), metrics=metrics, resamples=10)
    with pytest.raises(ValueError, match="expect is one of greater, less"):
        Contrast("exact_match", "good", "poor", expect="bigger")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="unknown metric"):
        ask(asked_about(Contrast("blue", "good", "poor")), runs)
    with pytest.raises(RunError):
        ask(asked, {**runs, "poor": [tmp_path / "nowhere", tmp_path / "nowhere"]})


def test_a_contrast_over_an_arm_that_the_study_lacks(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    with pytest.raises(RunError, match="fair"):
        answer(asked_about(Contrast("exact_match", "good", "fair")), runs, (0, 1), metrics=metrics, resamples=10)


def test_an_arm_has_one_run_or_one_a_seed(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    """Two finished runs of three would else pass for three seeds."""
    with pytest.raises(RunError, match="seeds"):
        answer(asked_about(Contrast("exact_match", "good", "poor")), runs, (0, 1, 2), metrics=metrics, resamples=10)


def test_runs_over_other_rows_are_refused(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    short = write_seeds(tmp_path / "short", "poor", (8, 6), rows=questions(8))
    with pytest.raises(RunError, match="rows"):
        answer(asked_about(Contrast("exact_match", "good", "poor")), {**runs, "poor": short}, (0, 1), metrics=metrics)


def test_runs_outside_of_the_base_have_a_path(runs: dict[str, list[Path]], metrics: dict[str, Metric]) -> None:
    base = runs["good"][0].parent / "study"
    study = answer(asked_about(), runs, (0, 1), metrics=metrics, resamples=10, base=base)
    assert [Path(path).name for path in study.runs["good"]] == ["good-0", "good-1"]


def test_a_definition_that_depends_on_settings_is_the_one_used(runs: dict[str, list[Path]]) -> None:
    """A metric's statistics may replace its description: which encoder or judge was used."""
    general = MetricInfo("made", "made", "Some encoder.", "nowhere")

    def compute(run: Any) -> Statistics:
        ids = ("a", "b")
        return Statistics(np.ones((2, 2)), ids, {}, info=replace(general, definition="Encoder X.", comparable=False))

    asked = asked_about(Contrast("made", "good", "poor", "no less"), metrics=("made",))
    study = answer(asked, runs, (0, 1), metrics={"made": Metric(general, compute)}, resamples=10)
    assert [info.definition for info in study.metrics] == ["Encoder X."]


def test_one_or_two_seeds_give_no_verdict_and_say_so(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    asked = asked_about(Contrast("exact_match", "good", "poor"), Contrast("exact_match", "good", "poor", "no less"))
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
    runs = {"good": write_seeds(tmp_path, "good", (0, 1, 0)), "blind": write_seeds(tmp_path, "blind", (12,))}
    runs |= {"fixed": write_seeds(tmp_path, "fixed", (0,))}
    asked = asked_about(
        Contrast("exact_match", "good", "blind"), Contrast("exact_match", "fixed", "blind"),
        Contrast("exact_match", "good", against=0.2), arms=tuple(runs),
    )  # fmt: skip
    study = answer(asked, runs, (0, 1, 2), metrics=metrics, resamples=100)
    assert [one.verdict for one in study.findings] == ["supported"] * 3
    assert len(study.findings[0].effect.by_seed) == 3
    assert seed_note(study) is None
    untrained = {arm: runs[arm] for arm in ("fixed", "blind")}
    asked = asked_about(Contrast("exact_match", "fixed", "blind"), arms=tuple(untrained))
    assert answer(asked, untrained, (), metrics=metrics, resamples=100).verdict == "supported", "nothing was trained"
    assert answer(asked, untrained, (0,), metrics=metrics, resamples=100).verdict == "no verdict"


def test_intervals_of_contrasts_stay_where_differences_can_be(metrics: dict[str, Metric], tmp_path: Path) -> None:
    runs = {"good": write_seeds(tmp_path, "good", (0, 1, 0)), "poor": write_seeds(tmp_path, "poor", (12, 12, 11))}
    asked = asked_about(
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
    runs = {"good": write_seeds(tmp_path, "good", (3, 4, 5)), "poor": write_seeds(tmp_path, "poor", (4, 4, 6))}
    one = Contrast("exact_match", "good", "poor")
    alone = answer(asked_about(one), runs, (0, 1, 2), metrics=metrics, resamples=300).findings[0]
    four = answer(asked_about(*[one] * 4), runs, (0, 1, 2), metrics=metrics, resamples=300).findings[0]
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
    other = write_seeds(tmp_path / "other", "poor", (8, 6), rows=rows)
    with pytest.raises(RunError, match="references of the runs differ"):
        answer(asked_about(), {**runs, "poor": other}, (0, 1), metrics=metrics)

    def fail(run: Any) -> Statistics:
        raise KeyError("what")

    broken = Metric(MetricInfo("broken", "broken", "Made.", "nowhere"), fail)
    asked = asked_about(Contrast("broken", "good", "poor"), metrics=("exact_match", "broken"))
    study = answer(asked, runs, (0, 1), metrics={**metrics, "broken": broken}, resamples=50)
    assert study.findings[0].effect.low is None
    assert any("KeyError" in note for note in study.notes)
