"""Studies from end to end: arms are trained with every seed, run, compared and told."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gi_bench.baselines.studies.definitions import arm, questions, read_studies, with_arms, with_groups
from gi_bench.baselines.studies.running import MadeRuns, make_runs
from gi_bench.baselines.studies.settings import Settings, length
from gi_bench.baselines.studies.workshop import Job, Workshop
from gi_bench.harness.analysis.study import Contrast, read_study
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import Question
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.phantom.suite import PhantomSuite

SETTINGS = Settings("phantom/test", "phantom/train-small", epochs=None, steps=1, beams=1, device="cpu")


class Small(PhantomSuite):
    """A few scenes under the name of a whole split."""


def _few(self: Workshop, name: str) -> Suite:
    return Small("test", 3) if name == "phantom/test" else Small("train", 5)


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workshop, "_load", _few)


@pytest.fixture
def no_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring them takes longer than a training of one step."""
    from gi_bench.baselines.training.gradients import GradientProbe

    monkeypatch.setattr(GradientProbe, "measure", lambda self, network: {})


STUDIES = {
    "rank-sweep", "regularisation", "sam", "negatives", "confidence", "interference", "noise", "explanations",
}  # fmt: skip


def test_every_study_asks_for_arms_and_metrics_that_there_are() -> None:
    metrics = registered("gi_bench.metrics")
    found = questions()
    assert set(found) == STUDIES
    for question in found.values():
        assert set(question.metrics) | {metric for metric, _ in question.tables} <= set(metrics)
        for contrast in question.contrasts:
            assert contrast.metric in metrics
            assert set(contrast.arms) <= set(question.arms)
            assert bool(contrast.first) + bool(contrast.trend) + bool(contrast.interaction) == 1
            assert contrast.margin > 0
            assert bool(contrast.by) == bool(contrast.groups)
        assert question.source
        assert question.shows
        assert question.does_not_show


def test_arms_of_a_study_differ_in_one_thing() -> None:
    """Two arms of a study that share all else; what may differ at once is said by the study's own design."""
    arms = {name for question in questions().values() for name in question.arms}
    trained = [arm(name) for name in sorted(arms) if arm(name).variant.adapter]
    assert len(trained) <= 26
    recipes = [(one.variant, one.masks, one.explanations, tuple(one.weights.items())) for one in trained]
    assert len(set(map(str, recipes))) == len(recipes), "no two arms are the same training"
    whole = arm("multitask_r128")
    for name in ("noise_small", "ground_quarter", "explanations_thin1", "multitask_r128_pseudo"):
        one = arm(name)
        same = [one.variant == whole.variant, one.masks == whole.masks, one.explanations == whole.explanations,
                one.weights == whole.weights]  # fmt: skip
        assert sum(same) == 3, name


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[arms.a]\nvariant = "multitask_r128"\nmask = "suite"', "mask"),
        ('[arms.a]\nvariant = "multitask_r128"\nmasks = "noise:huge"', "arms.a.masks is noise:huge"),
        ('[arms.a]\nvariant = "multitask_r128"\nexplanations = "thin:0"', "arms.a.explanations is thin:0"),
        ('[arms.a]\nvariant = "multitask_r128"\nexplanations = "thin"', "arms.a.explanations is thin"),
        ('[arms.a]\nvariant = "vqa_only_r32"\nweights = {ground = 2.0}', "arms.a.weights.ground is 2"),
        ('[arms.a]\nvariant = "multitask_r128"\nweights = {ground = 0.0}', "above 0"),
        ('[arms.a]\nvariant = "multitask_r12"', "multitask_r12, which is no variant"),
        ('[arms.a]\nvariant = "multitask_r128"\ntrain = ["ansver"]', "train"),
    ],
)
def test_wrong_arms_are_told(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "studies.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GiBenchError) as told:
        read_studies(path)
    assert message in str(told.value)
    assert str(path) in str(told.value)


def test_a_study_of_some_arms_says_what_it_leaves_out() -> None:
    question, notes = with_arms(questions()["noise"], ["multitask_r128", "noise_small"])
    assert list(question.arms) == ["multitask_r128", "noise_small"]
    assert not question.contrasts
    assert notes == [
        "not all arms were made: without noise_medium, noise_large; 4 of 4 contrasts lack one and are left out"
    ]
    assert with_arms(question, ["multitask_r128", "noise_small"]) == (question, [])


def test_rare_labels_are_those_below_the_mean() -> None:
    question, notes = with_groups(questions()["noise"], {"polyp": 50, "instrument": 40, "z-line": 4, "ileum": 2})
    groups = {contrast.groups for contrast in question.contrasts}
    assert groups == {(), ("ileum", "z-line"), ("instrument", "polyp")}
    assert "rare ileum 2, z-line 4; common instrument 40, polyp 50" in notes[0]
    even, notes = with_groups(questions()["noise"], {"polyp": 5, "instrument": 5})
    assert all(contrast.groups in {(), ("instrument", "polyp")} for contrast in even.contrasts)
    assert len(even.contrasts) == len(question.contrasts) - 1
    assert "none, left out" in notes[0]
    plain = questions()["confidence"]
    assert with_groups(plain, {"polyp": 5}) == (plain, [])
    assert isinstance(plain.contrasts[0], Contrast)


def test_an_estimate_counts_what_is_left_and_who_shares_the_work() -> None:
    from gi_bench.baselines.studies.timing import Estimate

    seconds = {Job("multitask_r128", seed): 60.0 for seed in range(6)}
    left = Estimate(trainings=5, runs=6, done=3, seconds=seconds)
    assert left.line(1) == "about 6 min 00 s for 5 trainings and 6 runs (3 are there already)"
    assert left.line(3) == "about 2 min 00 s for 5 trainings and 6 runs (3 are there already), 3 at once"
    assert left.line(4).startswith("about 2 min 00 s"), "the second round does not fill all processes"
    assert left.line(100).startswith("about 1 min 00 s")
    assert Estimate(0, 0, 1, {}).line(2) == "1 run, nothing is left to do"


def test_a_suite_is_cut_by_images() -> None:
    from gi_bench.baselines.studies.first_images import FirstImages, question_limit

    suite = Small("train", 4)
    assert [question_limit(suite, images) for images in (1, 3, 4, 9)] == [10, 30, 40, 40]
    first = FirstImages(suite, 2)
    assert first.image_ids == suite.image_ids[:2]
    assert [row.index for row in first.phrases] == list(range(len(first.phrases)))
    assert first.questions == suite.questions[:20]
    assert first.fingerprint != suite.fingerprint
    assert first.fingerprint == FirstImages(suite, 2).fingerprint
    first.questions = ()
    with pytest.raises(GiBenchError, match="no questions by which it could be cut"):
        question_limit(first, 1)


def test_rendered_pictures_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gi_bench.baselines.florence2.backbone import PictureSettings
    from gi_bench.baselines.studies.pictures import share_pictures
    from gi_bench.baselines.training.features import PictureFeed

    settings = PictureSettings(24, 24, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 3)
    suite = Small("train", 2)
    plain = PictureFeed(suite, settings).read(suite.image_ids).numpy()
    share_pictures(tmp_path, suite, settings)
    (path,) = tmp_path.iterdir()
    kept = path.read_bytes()
    rendered: list[str] = []
    real = Small.load_image
    monkeypatch.setattr(Small, "load_image", lambda self, img_id: rendered.append(img_id) or real(self, img_id))
    share_pictures(tmp_path, Small("train", 2), settings)
    assert not rendered
    assert np.array_equal(PictureFeed(Small("train", 2), settings).read(suite.image_ids).numpy(), plain)
    path.write_bytes(kept[:100])
    share_pictures(tmp_path, Small("train", 2), settings)
    assert rendered == list(suite.image_ids), "what was cut off is made again"
    assert path.read_bytes() == kept
    path.write_bytes(kept[:-40] + b"\0" + kept[-39:])
    share_pictures(tmp_path, Small("train", 2), settings)
    assert path.read_bytes() == kept, "what was changed as well"


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
    file = _explained(tmp_path.parent / "experts.jsonl", rows)
    more = ["--arms", "answer_ground", "--arms", "explanations_file", "--explanations", str(file)]
    assert _main([*base, *more]) == 0
    shown = capsys.readouterr().out
    assert "for 1 training and 1 run (1 is there already)" in shown
    assert read_study(folder / "explanations").made["explanations_file"].rows["explain"] > 0
    card = json.loads(next((folder / "adapters").glob("explanations_file-*/card.json")).read_text())
    assert card["examples"]["explain"] == 4


def _explained(path: Path, rows: Sequence[Question]) -> Path:
    """A file with an expert's explanation of each row."""
    made = [
        {"img_id": row.img_id, "question": row.question, "explanation": f"An expert says so, {row.index}."}
        for row in rows
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return path


@pytest.mark.parametrize("study", ["rank-sweep", "sam", "explanations"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\x00", "is not UTF-8"),
        (b"rank,steps\n1,2\n", "a line that is not JSON"),
        (b'{"img_id": "no-such", "question": "q", "explanation": "e"}\n', "is not in the training suite"),
        (b"\n", "the file holds no explanations"),
        (None, "explains none of the 3 images"),
    ],
)
def test_wrong_explanations_are_refused_before_anything_is_trained(
    study: str,
    content: bytes | None,
    message: str,
    few_images: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also where no arm of the study takes them."""
    from gi_bench.harness.cli import _main

    file = tmp_path / "experts.jsonl"
    if content is None:
        suite = Small("train", 5)
        _explained(file, [row for row in suite.questions if row.img_id == suite.image_ids[4]])
    else:
        file.write_bytes(content)
    out = tmp_path / "out"
    assert (
        _main(["study", study, "--steps", "1", "--train-limit", "3", "--explanations", str(file), "-o", str(out)]) == 2
    )
    assert message in capsys.readouterr().err
    assert not list(out.glob("*/adapters"))


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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study of two seeds, with masks and looks."""
    from gi_bench.baselines.seeing.looking import Seen, Sight
    from gi_bench.baselines.seeing.measures import Measured

    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workshop, "_load", _few)
        patch.setattr(Sight, "look", lambda self, model, run=None: Seen(words=Measured(0.5, 0.4, 0.6, 7)))
        _make(folder)
    return folder


def _make(folder: Path) -> MadeRuns:
    arms, settings = ["vqa_only_r32", "multitask_r128_pseudo"], replace(SETTINGS, seeing=True)
    return make_runs(arms, [0, 1], settings, folder, say=lambda line: None)


@pytest.mark.parametrize(
    ("pattern", "change", "told"),
    [
        ("adapters/vqa_only_r32-seed0-*/card.json", "{}", "changed after it was made"),
        ("adapters/vqa_only_r32-seed0-*/training.jsonl", None, "a file of the study is missing"),
        ("adapters/vqa_only_r32-seed0-*/card.json", None, "a file of the study is missing"),
        ("adapters/vqa_only_r32-seed1-*/adapter_model.safetensors", "x", "changed after it was made"),
        ("adapters/vqa_only_r32-seed0-*.sealed.json", "[1]", "which is made again"),
        ("masks/pseudo-*.parquet", "x", "changed after it was made"),
        ("seeing/vqa_only_r32-seed0-*.json", '{"words": null, "digest": ""}', "changed after it was made"),
        ("seeing/backbone-*.json", "[]", "delete it, and it is made again"),
    ],
)
def test_a_changed_file_of_a_study_is_refused(
    pattern: str, change: str | None, told: str, finished: Path, few_images: None, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(finished, folder)
    (path,) = folder.glob(pattern)
    if change is None:
        path.unlink()
    else:
        path.write_text(change, encoding="utf-8")
    with pytest.raises(GiBenchError) as error:
        _make(folder)
    assert path.name in str(error.value)
    assert told in str(error.value)


@pytest.mark.parametrize(
    "noted", [b"\xb5\xff", b"a" * 5000, b"a\0b", b"../elsewhere", b"vqa_only_r32-seed1", b"pseudo"]
)
def test_a_note_of_another_run_is_not_taken(noted: bytes, finished: Path, few_images: None, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(finished, folder)
    (place,) = (folder / "finished").glob("vqa_only_r32-seed0-*")
    own = place.read_bytes()
    other = next((one for one in (folder / "finished").iterdir() if noted.decode("latin-1") in one.name), None)
    place.write_bytes(noted if other is None else other.read_bytes())
    found = _make(folder)
    assert place.read_bytes() == own
    assert found.runs["vqa_only_r32"][0] == folder / own.decode().strip()


def test_other_rows_or_recipes_are_other_experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def places(few: Suite) -> list[str]:
        monkeypatch.setattr(Workshop, "_load", lambda self, name: few)
        workshop = Workshop(SETTINGS, tmp_path, lambda line: None)
        return [workshop.place(arm(name), 0) for name in ("multitask_r128", "multitask_r32", "multitask_r128_pseudo")]

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
    assert Settings("phantom/test", "phantom/train-small", limit=3).folder(tmp_path) != folder
    assert length(None, None, "phantom/train-small") == (None, 240)
    assert length(2, None, "phantom/train-small") == (2, None)
    assert length(2, 7, "phantom/train-small") == (None, 7)
    assert length(None, None, "kvasir-vqa-x1/train") == (1, None)
    assert str(tmp_path) not in json.dumps(SETTINGS.describe())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rank"], "did you mean rank-sweep?"),
        (["sam", "--seeds", "0"], "see gi-bench study --help"),
        (["sam", "-s", "phantom/tests"], "unknown suite"),
        (["sam", "--arms", "multitask_r18"], "did you mean multitask_r128 or"),
        (["sam", "--arms", ", "], "no arm is named (--arms)"),
        (["explanations", "--arms", "explanations_file"], "give --explanations FILE"),
        (["sam", "--limit", "0"], "--limit"),
        (["sam", "--explanations", "no-such.jsonl"], "no file with explanations (no-such.jsonl)"),
    ],
)
def test_wrong_commands_are_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from gi_bench.harness.cli import _main

    assert _main(["study", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_suite_without_references_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = Small("test", 3)
    hidden.questions = tuple(replace(row, answer=None) for row in hidden.questions)  # type: ignore[misc]
    hidden.phrases = ()  # type: ignore[misc]
    monkeypatch.setattr(Workshop, "_load", lambda self, name: hidden)
    with pytest.raises(GiBenchError, match="no references to score by"):
        make_runs(["multitask_r128"], [0], SETTINGS, tmp_path, say=lambda line: None)
    assert not list(tmp_path.iterdir())


def test_products_are_reproducible_before_the_first_training(
    few_images: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed study did first must not show in its last digits: the libraries are told once, at the start."""
    from gi_bench.baselines.studies import running

    told: list[str] = []
    monkeypatch.setattr(running, "use_threads", lambda wanted=None: told.append(f"threads {wanted}"))
    monkeypatch.setattr(running, "_check", lambda workshop, arms: told.append("work"))
    monkeypatch.setattr(running, "Thread", lambda **_: threading.Thread(target=lambda: None))
    monkeypatch.setattr(running, "estimate", lambda *_: (_ for _ in ()).throw(GiBenchError("enough")))
    with pytest.raises(GiBenchError, match="enough"):
        make_runs(["vqa_only_r32"], [0], SETTINGS, tmp_path, say=lambda line: None)
    monkeypatch.setattr(running, "_workshop", None)
    running._start(SETTINGS, tmp_path, 1)
    assert told == ["threads None", "work", "threads 1"]


def test_seeds_are_needed(tmp_path: Path) -> None:
    with pytest.raises(GiBenchError, match="needs seeds"):
        make_runs(["multitask_r128"], [], SETTINGS, tmp_path)


def test_two_at_once_do_not_work_on_one_study(
    few_images: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gi_bench.harness.cli import _main
    from tests.locked import held_elsewhere

    with held_elsewhere(SETTINGS.folder(tmp_path)):
        code = _main(
            [
                "study",
                "confidence",
                "--steps",
                "1",
                "--beams",
                "1",
                "--device",
                "cpu",
                "--no-seeing",
                "-o",
                str(tmp_path),
            ]
        )
    told = capsys.readouterr().err
    assert (code, told.count("\n")) == (2, 1)
    assert "is working on these studies" in told
    assert not list(tmp_path.rglob("adapters"))
