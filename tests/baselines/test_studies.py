"""Studies from end to end: arms are trained with every seed, run, compared and told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gi_bench.baselines.studies.definitions import arm
from gi_bench.baselines.studies.running import make_runs
from gi_bench.baselines.studies.settings import Settings
from gi_bench.baselines.studies.workshop import Job, Workshop
from gi_bench.harness.analysis.study import read_study
from tests.baselines.small_studies import SETTINGS, Small, write_explanations


@pytest.fixture
def no_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring them takes longer than a training of one step."""
    from gi_bench.baselines.training.gradients import GradientProbe

    monkeypatch.setattr(GradientProbe, "measure", lambda self, network: {})


def test_arms_that_differ_in_masks_are_trained_on_them(few_images: None, tmp_path: Path) -> None:
    arms = ["multitask_r128_refined", "noise_large", "multitask_r128"]
    said: list[str] = []
    found = make_runs(arms, [0], replace(SETTINGS, seeing=True), tmp_path, say=said.append)
    assert [len(found.runs[name]) for name in arms] == [1] * 3
    cards = [json.loads(next((tmp_path / "adapters").glob(f"{name}-seed0-*/card.json")).read_text()) for name in arms]
    refined, noise, none = (card["extra_rows"].get("masks") for card in cards)
    assert none is None
    assert len(refined) == 64
    assert noise == "noise:large, seed 0"
    boxes, cut, noisy = (
        found.masks[name]["agreement with the suite's own"] for name in ("pseudo", "refined", "noise:large")
    )
    assert boxes["n"] == cut["n"] > 0
    assert noisy["mean_iou"] < boxes["mean_iou"] < 0.9
    assert found.frequencies.keys() >= {"polyp"}
    about = [line for line in said if line.startswith("about ")]
    assert len(about) == 1
    assert about[0].endswith("for 3 trainings and 3 runs")
    assert said.index(about[0]) < said.index(next(line for line in said if line.startswith("1 of 3")))
    masks = [line for line in said if line.startswith("making ")]
    assert [line.split(",")[0] for line in masks] == [
        "making pseudo masks (filled boxes)",
        "making refined masks (GrabCut)",
    ]
    assert all("not in the estimate" in line for line in masks)
    made = found.outcome.made
    assert set(made) == set(arms)
    assert len({one.rows["answer"] for one in made.values()}) == 1
    assert {one.steps for one in made.values()} == {1}
    assert sum("not looked at" in line for line in said) == 4, "five images teach no probe: said, and left out"
    assert found.outcome.seeing == ()
    pairs = {(one.arm, one.first, one.second) for one in found.outcome.gradients}
    assert {(name, "answer", "ground") for name in arms} < pairs
    assert len(found.outcome.of(["noise_large"]).gradients) == len(pairs) / 3


def test_all_arms_take_the_same_answers_in_the_same_steps(few_images: None, tmp_path: Path) -> None:
    """What reaches the network, caught where a training begins: steps and rows of every kind of arm."""
    from gi_bench.baselines.training import adapter as training

    class CaughtError(Exception):
        """The batches are there; nothing has to be trained."""

    arms = [
        "vqa_only_r32", "vqa_only_r128", "answer_explain", "answer_ground", "multitask_r128", "multitask_r128_neg",
        "multitask_r128_tokens", "explain_only", "ground_only", "ground_fourfold", "noise_large",
        "explanations_template", "explanations_thin1",
    ]  # fmt: skip
    settings = Settings("phantom/test", "phantom/train-small", epochs=None, steps=9, rows=12, device="cpu")
    workshop = Workshop(settings, tmp_path, lambda line: None)
    found: dict[str, list[tuple[tuple[str, str, str], ...]]] = {}
    real = training.mix
    for name in arms:

        def caught(*given: object, _name: str = name, **named: object) -> object:
            batches = real(*given, **named)  # type: ignore[arg-type]
            found[_name] = [tuple((row.task, row.img_id, row.prompt) for row in batch) for batch in batches]
            raise CaughtError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "mix", caught)
            with pytest.raises(CaughtError):
                workshop.train(Job(name, 0), tmp_path / name)

    def of(name: str, task: str) -> list[list[tuple[str, str, str]]]:
        return [[row for row in batch if row[0] == task] for batch in found[name]]

    assert {len(batches) for batches in found.values()} == {9}
    whole = {task: of("multitask_r128", task) for task in ("answer", "explain", "ground")}
    assert all(any(steps) for steps in whole.values())
    for name in arms:
        trained = arm(name).variant.train
        if "answer" in trained:
            assert of(name, "answer") == whole["answer"], name
        for task in set(whole) - set(trained):
            assert not any(of(name, task))
        thinner = arm(name).noise is not None or arm(name).explanations != "suite"
        for task in set(trained) - {"answer"}:
            if not thinner:
                assert of(name, task) == whole[task], (name, task)

    def count(name: str, task: str) -> int:
        return sum(map(len, of(name, task)))

    # Where rows are missing, others are taken more often: the same number within what nine steps can be off.
    assert count("noise_large", "ground") == pytest.approx(count("multitask_r128", "ground"), abs=9)
    assert count("explanations_thin1", "explain") == pytest.approx(count("multitask_r128", "explain"), abs=9)
    assert count("explanations_template", "explain") == count("multitask_r128", "explain")
    assert any(of("multitask_r128_neg", "negative"))


def test_what_arms_see_is_kept(
    few_images: None, no_gradients: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gi_bench.baselines.seeing.looking import Seen, Sight
    from gi_bench.baselines.seeing.measures import Measured

    looked: list[object] = []

    def look(self: Sight, model: object, run: object = None) -> Seen:
        looked.append(run)
        return Seen(words=Measured(0.5, 0.4, 0.6, 7))

    monkeypatch.setattr(Sight, "look", look)
    settings = replace(SETTINGS, seeing=True)
    for count in (3, 3):
        found = make_runs(["vqa_only_r32"], [0, 1], settings, tmp_path, say=lambda line: None)
        assert [(one.arm, one.seed, one.value) for one in found.outcome.seeing] == [
            ("", None, 0.5), ("vqa_only_r32", 0, 0.5), ("vqa_only_r32", 1, 0.5),
        ]  # fmt: skip
        assert len(looked) == count, "once each"
    assert [run is None for run in looked] == [True, False, False], "arms' own answers count"


def test_a_weight_multiplies_a_task_s_loss(few_images: None, no_gradients: None, tmp_path: Path) -> None:
    workshop = Workshop(SETTINGS, tmp_path, lambda line: None)
    cards = {}
    for name in ("multitask_r128", "ground_fourfold"):
        workshop.train(Job(name, 0), tmp_path / name)
        cards[name] = json.loads((tmp_path / name / "card.json").read_text())
    logs = [json.loads((tmp_path / name / "training.jsonl").read_text().splitlines()[-1]) for name in cards]
    assert cards["ground_fourfold"]["training"]["loss_weights"] == {"ground": 4.0}
    assert logs[0]["by_task"] == pytest.approx(logs[1]["by_task"]), "tasks' losses are told as they are"
    assert logs[1]["loss"] > logs[0]["loss"]


def test_a_part_of_a_study(
    few_images: None, no_gradients: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gi_bench.harness.cli import _main

    base = ["study", "explanations", "--seeds", "1", "--steps", "1", "--beams", "1", "--device", "cpu", "--limit", "2",
            "--train-limit", "3", "--no-seeing", "-o", str(tmp_path)]  # fmt: skip
    assert _main([*base, "--arms", "answer_ground,explanations_thin1"]) == 0
    shown = capsys.readouterr().out
    assert "for 2 trainings and 2 runs" in shown
    (folder,) = tmp_path.iterdir()
    answered = read_study(folder / "explanations")
    assert set(answered.question.arms) == {"answer_ground", "explanations_thin1"}
    assert any("not all arms were made" in note for note in answered.notes)
    manifest = json.loads(next(folder.glob("runs/answer_ground/**/manifest.json")).read_text())
    assert manifest["recipe"]["limit"] == 20, "two images of ten questions"
    assert manifest["recipe"]["model"]["trained_on"] == ["answer", "ground"]
    card = json.loads(next((folder / "adapters").glob("answer_ground-*/card.json")).read_text())
    assert card["images_seen"] <= 3
    assert card["trained_on"].endswith(", first 3 images")
    # An expert's file is an arm of its own, and makes no other arm anew.
    suite = Small("train", 5)
    seen, unseen = suite.image_ids[0], suite.image_ids[4]
    rows = [row for row in suite.questions if row.img_id == seen][:4]
    # The whole suite's file serves a part of the suite, too.
    rows += [row for row in suite.questions if row.img_id == unseen][:2]
    file = write_explanations(tmp_path.parent / "experts.jsonl", rows)
    more = ["--arms", "answer_ground", "--arms", "explanations_file", "--explanations", str(file)]
    assert _main([*base, *more]) == 0
    shown = capsys.readouterr().out
    assert "for 1 training and 1 run (1 is there already)" in shown
    assert read_study(folder / "explanations").made["explanations_file"].rows["explain"] > 0
    card = json.loads(next((folder / "adapters").glob("explanations_file-*/card.json")).read_text())
    assert card["examples"]["explain"] == 4


def test_a_study_that_was_interrupted_goes_on(
    few_images: None,
    no_gradients: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from gi_bench.harness.cli import _main

    def study(folder: Path, *more: str) -> int:
        return _main(
            ["study", "negatives", "confidence", "--seeds", "2", "--steps", "1", "--beams", "1", "--device", "cpu",
             "--no-seeing", "-o", str(folder), *more]
        )  # fmt: skip

    assert study(tmp_path / "whole") == 0
    shown = capsys.readouterr().out
    assert "4 of 4: multitask_r128_neg, seed 1" in shown
    assert "negatives: " in shown
    assert "expected less: " in shown
    real, made = Workshop.make, []

    def stopping(self: Workshop, job: Job) -> Path:
        made.append(job)
        if len(made) == 3:
            raise KeyboardInterrupt
        return real(self, job)

    monkeypatch.setattr(Workshop, "make", stopping)
    assert study(tmp_path / "cut") == 130
    monkeypatch.setattr(Workshop, "make", real)
    trained: list[str] = []
    checkpoint = Workshop._checkpoint
    monkeypatch.setattr(Workshop, "_checkpoint", lambda self, job: trained.append(job.arm) or checkpoint(self, job))
    capsys.readouterr()
    assert study(tmp_path / "cut", "--json") == 0
    assert len(trained) == 2, "the finished two are taken"
    told = capsys.readouterr()
    assert "4 of 4: multitask_r128_neg, seed 1" in told.err
    assert "for 2 trainings and 2 runs (2 are there already)" in told.err
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
    assert {one.contrast.metric for one in valued} >= {"region_iou"}
    assert all(len(one.effect.by_seed) == 2 for one in valued)
    assert "+nan" not in shown
    assert "not comparable" in answered.notes[0]
