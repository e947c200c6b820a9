"""Studies from end to end: arms are trained with every seed, run, compared and told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gi_bench.baselines.registration import definitions
from gi_bench.baselines.studies.definitions import arm, questions
from gi_bench.baselines.studies.running import Settings, Workshop, make_runs
from gi_bench.harness.analysis.study import read_study
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import registered
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.phantom.suite import PhantomSuite

SETTINGS = Settings("phantom/test", "phantom/train-small", epochs=None, steps=1, beams=1, device="cpu")


class Small(PhantomSuite):
    """A few scenes under the name of a whole split."""


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: Workshop, name: str) -> Suite:
        return Small("test", 3) if name == "phantom/test" else Small("train", 5)

    monkeypatch.setattr(Workshop, "_load", load)


def test_every_study_asks_for_arms_and_metrics_that_there_are() -> None:
    metrics = registered("gi_bench.metrics")
    found = questions()
    assert set(found) == {"rank-sweep", "regularisation", "sam", "negatives", "confidence"}
    for question in found.values():
        for name in question.arms:
            assert arm(name).variant in definitions().values()
            assert arm(name).masks in {"suite", "pseudo", "refined"}
        assert set(question.metrics) | {metric for metric, _ in question.tables} <= set(metrics)
        for contrast in question.contrasts:
            assert contrast.metric in metrics
            assert {contrast.first, contrast.second or contrast.first} <= set(question.arms)
            assert contrast.expect in {"greater", "less", "no less", "no more"}
            assert contrast.margin > 0
        assert question.source


def test_arms_that_differ_in_masks_are_trained_on_them(few_images: None, tmp_path: Path) -> None:
    arms = ["multitask_r128_pseudo", "multitask_r128_refined", "multitask_r128", "florence2_zero_shot"]
    runs, masks = make_runs(arms, [0], SETTINGS, tmp_path, say=lambda line: None)
    assert [len(runs[name]) for name in arms] == [1, 1, 1, 1]
    cards = [
        json.loads(next((tmp_path / "adapters").glob(f"{name}-seed0-*/card.json")).read_text()) for name in arms[:3]
    ]
    digests = [card["extra_rows"].get("masks") for card in cards]
    assert digests[2] is None
    assert None not in digests[:2]
    assert digests[0] != digests[1]
    boxes, cut = (masks[f"{name} masks"]["agreement with the suite's own"] for name in ("pseudo", "refined"))
    assert boxes["n"] == cut["n"] > 0
    assert boxes["mean_iou"] < 0.9


def test_a_study_that_was_interrupted_goes_on(
    few_images: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gi_bench.harness.cli import _main

    def study(folder: Path, *more: str) -> int:
        return _main(
            ["study", "negatives", "confidence", "--seeds", "2", "--steps", "1", "--beams", "1", "--device", "cpu",
             "-o", str(folder), *more]
        )  # fmt: skip

    assert study(tmp_path / "whole") == 0
    shown = capsys.readouterr().out
    assert "4 of 4: multitask_r128_neg, seed 1" in shown
    assert "negatives: " in shown
    assert "expected less: " in shown
    real, made = Workshop.make, []

    def stopping(self: Workshop, name: str, seed: int) -> Path:
        made.append((name, seed))
        if len(made) == 3:
            raise KeyboardInterrupt
        return real(self, name, seed)

    monkeypatch.setattr(Workshop, "make", stopping)
    assert study(tmp_path / "cut") == 130
    monkeypatch.setattr(Workshop, "make", real)
    trained: list[str] = []
    checkpoint = Workshop._checkpoint
    monkeypatch.setattr(
        Workshop, "_checkpoint", lambda self, one, seed: trained.append(one.name) or checkpoint(self, one, seed)
    )
    capsys.readouterr()
    assert study(tmp_path / "cut", "--json") == 0
    assert len(trained) == 2, "the finished two are taken"
    told = capsys.readouterr()
    assert "4 of 4: multitask_r128_neg, seed 1" in told.err
    studies = json.loads(told.out)["studies"]
    assert [Path(one["path"]).parent.name for one in studies] == ["negatives", "confidence"]
    assert all(Path(one["report"]).is_file() for one in studies)
    assert all(one["study"] == json.loads(Path(one["path"]).read_text(encoding="utf-8")) for one in studies)
    (whole,), (cut,) = (list((tmp_path / name).iterdir()) for name in ("whole", "cut"))
    for name in ("negatives", "confidence"):
        assert (whole / name / "study.json").read_bytes() == (cut / name / "study.json").read_bytes()
    answered = read_study(whole / "negatives")
    assert answered.seeds == (0, 1)
    assert len(answered.runs["multitask_r128"]) == 2
    # After one step hardly an answer can be read: a rate that it has no value of is said to have none.
    valued = [one for one in answered.findings if np.isfinite(one.effect.mean)]
    assert {one.contrast.metric for one in valued} >= {"region_iou", "region_false_positive_rate"}
    assert all(len(one.effect.by_seed) == 2 for one in valued)
    assert "+nan" not in shown
    assert "not comparable" in answered.notes[0]


def test_other_rows_or_recipes_are_other_experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def places(few: Suite) -> list[str]:
        monkeypatch.setattr(Workshop, "_load", lambda self, name: few)
        workshop = Workshop(SETTINGS, tmp_path, lambda line: None)
        return [workshop._place(arm(name), 0) for name in ("multitask_r128", "multitask_r32", "multitask_r128_pseudo")]

    first, second = places(Small("test", 3)), places(Small("test", 4))
    assert first == places(Small("test", 3))
    assert not set(first) & set(second)
    assert len({place.rpartition("-")[2] for place in first}) == 3


def test_an_error_in_one_process_ends_them_all(tmp_path: Path) -> None:
    import time

    settings = Settings("phantom/no-such", "phantom/train-small", epochs=None, steps=1, device="cpu")
    start = time.monotonic()
    arms = ["multitask_r128", "multitask_r32", "vqa_only_r32"]
    with pytest.raises(GiBenchError, match="unknown suite"):
        make_runs(arms, [0, 1], settings, tmp_path, jobs=2, say=lambda line: None)
    assert time.monotonic() - start < 300
    assert not list((tmp_path / "adapters").glob("*"))


def test_settings_name_the_folder(tmp_path: Path) -> None:
    folder = SETTINGS.folder(tmp_path)
    assert folder.name.startswith("phantom-test-")
    assert Settings("phantom/test", "phantom/train").folder(tmp_path) != folder
    assert str(tmp_path) not in json.dumps(SETTINGS.describe())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rank"], "did you mean rank-sweep?"),
        (["sam", "--seeds", "0"], "see gi-bench study --help"),
        (["sam", "-s", "phantom/tests"], "unknown suite"),
        (["sam", "--explanations", "no-such.jsonl"], "no file with explanations (no-such.jsonl)"),
    ],
)
def test_wrong_commands_are_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from gi_bench.harness.cli import _main

    assert _main(["study", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_seeds_are_needed(tmp_path: Path) -> None:
    with pytest.raises(GiBenchError, match="needs seeds"):
        make_runs(["multitask_r128"], [], SETTINGS, tmp_path)


def test_two_at_once_do_not_work_on_one_study(
    few_images: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gi_bench.harness.cli import _main
    from tests.locked import held_elsewhere

    with held_elsewhere(SETTINGS.folder(tmp_path)):
        code = _main(["study", "confidence", "--steps", "1", "--beams", "1", "--device", "cpu", "-o", str(tmp_path)])
    told = capsys.readouterr().err
    assert (code, told.count("\n")) == (2, 1)
    assert "is working on these studies" in told
    assert not list(tmp_path.rglob("adapters"))
