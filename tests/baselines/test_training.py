"""The commands that make weights: examples, the loop, the saved checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from baselines.florence2 import prompts
from baselines.florence2.backbone import load_backbone
from baselines.florence2.checkpoints import Checkpoints
from baselines.florence2.examples import NOTHING_THERE, TINY_STYLE, task_examples
from baselines.florence2.locations import decode_mask
from baselines.florence2.pretraining import caption, dense_labels, neutral_examples, shapes_of
from baselines.florence2.prompts import ground_prompt
from baselines.florence2.recipes import train_adapter
from baselines.florence2.training import TrainingSettings, rate_at, sample_batch
from baselines.registration import HERE, recipes
from harness.errors import GiBenchError
from harness.model import Ask, BuildContext
from harness.registry import model_entry
from harness.suites.phantom.facts import Facts
from harness.suites.phantom.suite import PhantomSuite

TINY = HERE / "weights" / "tiny-florence2"


@pytest.fixture(scope="module")
def suite() -> PhantomSuite:
    return PhantomSuite("validation", 40)


def test_examples_follow_the_recipe(suite: PhantomSuite) -> None:
    answers = task_examples(suite, ["answer"])
    assert set(answers.by_task) == {"answer"}
    assert answers.count()["answer"] == len(suite.questions)
    every = task_examples(suite, ["answer", "explain", "ground"], negatives=True)
    assert set(every.by_task) == {"answer", "explain", "ground", "negative"}
    assert "negative" not in task_examples(suite, ["ground"]).by_task
    targets = {target for rows in every.by_task["negative"].values() for _, target in rows}
    assert targets == {NOTHING_THERE}
    for phrase in [p for p in suite.phrases if not p.is_negative][:40]:
        pool = dict(every.by_task["ground"][phrase.img_id])
        mask, warnings = decode_mask(pool[prompts.ground_prompt(phrase.phrase)], 256, 256)
        assert warnings == ()
        assert phrase.region is not None
        reference = phrase.region.mask()
        if phrase.label != "instrument" and reference.sum() > 3000:
            assert (mask & reference).sum() / (mask | reference).sum() > 0.6
    assert TINY_STYLE.corners == 8


def test_a_suite_without_rows_for_a_task_is_told(suite: PhantomSuite) -> None:
    class Bare(PhantomSuite):
        phrases = ()  # type: ignore[assignment]

    with pytest.raises(GiBenchError, match="no training rows for the task ground"):
        task_examples(Bare("validation", 3), ["answer", "ground"])


def test_the_backbone_s_schooling_uses_no_medical_word_for_what_it_sees(suite: PhantomSuite) -> None:
    words = ("polyp", "colitis", "oesophagitis", "z-line", "cecum", "forceps", "snare", "colonoscopy", "lesion")
    examples = neutral_examples(suite)
    for images in examples.by_task.values():
        for rows in images.values():
            for prompt, target in rows:
                assert not any(word in (prompt + target).lower() for word in words)
    facts = Facts(next(suite.scene(i) for i in suite.image_ids if suite.scene(i).polyps))
    assert "bump" in caption(facts)
    assert shapes_of(facts)["polyp"] == "bump"
    assert dense_labels(facts.scene, 6).max() > 0


def test_batches_repeat_and_rates_rise_and_fall(suite: PhantomSuite) -> None:
    examples = task_examples(suite, ["answer"])
    settings = TrainingSettings(steps=100, images=4, rows={"answer": 3}, rate=1e-3)
    draws = [sample_batch(examples, examples.image_ids, settings, np.random.default_rng(1)) for _ in range(2)]
    assert draws[0] == draws[1]
    assert len(draws[0][0]) == 4
    assert len(draws[0][1]) == 12
    rates = [rate_at(step, settings) for step in range(100)]
    assert max(rates) == pytest.approx(1e-3)
    assert rates[0] < rates[5] > rates[50] > rates[99] > 0


def test_a_trained_adapter_runs_and_repeats(suite: PhantomSuite, tmp_path: Path) -> None:
    lines: list[str] = []
    answers = []
    for name in ("a", "b"):
        train_adapter(
            recipes()["multitask_r32"], load_backbone(TINY), "tiny", suite, tmp_path / name,
            steps=12, seed=3, command="gi-bench train multitask_r32", say=lines.append,
        )  # fmt: skip
        model = model_entry("multitask_r32").build(BuildContext(suite=suite, checkpoint=tmp_path / name))
        rows = suite.questions[:20]
        asks = [Ask(q.index, q.img_id, q.question, q.question_class, q.complexity) for q in rows]
        features = dict(
            zip(suite.image_ids[:4], model.encode([suite.load_image(i) for i in suite.image_ids[:4]]), strict=True)
        )
        answers.append([answer.text for answer in model.answer([features[a.img_id] for a in asks], asks)])
    assert answers[0] == answers[1], "equal seeds give equal weights"
    card = json.loads((tmp_path / "a" / "card.json").read_text())
    assert (card["steps"], card["seed"], card["trained_on"]) == (12, 3, suite.name)
    assert card["trained_on_fingerprint"] == suite.fingerprint
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_training_learns(suite: PhantomSuite, tmp_path: Path) -> None:
    """Two hundred steps on a few images bring the loss far down."""
    lines: list[str] = []
    train_adapter(
        recipes()["vqa_only_r128"], load_backbone(TINY), "tiny", suite, tmp_path / "a", steps=400, say=lines.append
    )  # fmt: skip
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in lines if "loss" in line]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.slow
def test_the_shipped_weights_were_trained_on_this_train_split() -> None:
    """Renders all 3,600 training scenes: about two minutes."""
    card = json.loads((HERE / "weights" / "multitask_r128-tiny" / "card.json").read_text())
    assert PhantomSuite("train").fingerprint == card["trained_on_fingerprint"]


def test_the_backbone_s_command_writes_a_loadable_hub_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole recipe on few scenes and steps: the files load as any Florence-2 does."""
    from dataclasses import replace

    import harness.suites.phantom.suite as module
    from baselines.florence2 import recipes as recipes_module

    monkeypatch.setattr(module, "PhantomSuite", lambda split: PhantomSuite(split, 40))
    monkeypatch.setattr(recipes_module, "VISION_STEPS", 3)
    monkeypatch.setattr(recipes_module, "GAP_TEXTS", 50)
    monkeypatch.setattr(recipes_module, "BACKBONE_SETTINGS", replace(recipes_module.BACKBONE_SETTINGS, steps=3))
    recipes_module.train_tiny_backbone(tmp_path / "made", say=lambda line: None)
    made = load_backbone(tmp_path / "made")
    assert "<MedVQA_EXPLAIN>" in made.tokenizer.get_vocab()
    shipped = {path.name for path in TINY.iterdir()} - {"README.md"}
    assert {path.name for path in (tmp_path / "made").iterdir()} == shipped
    card = json.loads((tmp_path / "made" / "card.json").read_text())
    assert card["parameters"] == sum(p.numel() for p in made.network.parameters())


def test_rows_of_files_are_trained_on(suite: PhantomSuite, tmp_path: Path) -> None:
    from baselines.florence2.extra_rows import read_extra_rows
    from harness.cli import _main

    image = suite.image_ids[0]
    negatives, explanations = tmp_path / "n.jsonl", tmp_path / "e.jsonl"
    row = {"img_id": image, "question": "Is there a tube?", "answer": "no tubes visible", "phrase": "tube"}
    negatives.write_text(json.dumps(row) + "\n" + json.dumps({**row, "phrase": ""}) + "\n")
    explanations.write_text(json.dumps({"img_id": image, "question": "Why?", "explanation": "A red bump is seen."}))
    extra = read_extra_rows(suite, negatives=negatives, explanations=explanations)
    tasks = ["answer", "explain", "ground"]
    plain = task_examples(suite, tasks, negatives=True).count()
    found = task_examples(suite, tasks, negatives=True, extra=extra)
    assert found.count() == {
        **plain, "answer": plain["answer"] + 2, "explain": plain["explain"] + 1, "negative": plain["negative"] + 1
    }  # fmt: skip
    assert (ground_prompt("tube"), NOTHING_THERE) in found.by_task["negative"][image]
    assert task_examples(suite, tasks, extra=extra).count()["answer"] == plain["answer"], "not without negatives"
    masks = tmp_path / "m.parquet"
    assert _main(["data", "masks", "--source", "box", "-s", "phantom/validation", "-o", str(masks)]) == 0
    with pytest.raises(GiBenchError, match="not in the training suite"):
        read_extra_rows(PhantomSuite("validation", 2), masks=masks)
    whole = PhantomSuite("validation")
    boxes = read_extra_rows(whole, masks=masks)
    assert task_examples(whole, ["ground"]).by_task != task_examples(whole, ["ground"], extra=boxes).by_task
    for content, message in (
        ("{", "not JSON"),
        (json.dumps({"img_id": image}), "a row without"),
        (json.dumps({**row, "img_id": "../x"}), "not in the training suite"),
        (json.dumps({**row, "answer": " "}), "empty text"),
        ("", "holds no negatives"),
    ):
        negatives.write_text(content)
        with pytest.raises(GiBenchError, match=message):
            read_extra_rows(suite, negatives=negatives, explanations=None)
    assert _main(["train", "multitask_r32", "--negatives", str(negatives), "-o", str(tmp_path / "x")]) == 2


def _losses(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_killed_training_goes_on_with_the_same_losses_and_weights(
    suite: PhantomSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import baselines.florence2.training as training

    class KilledError(Exception):
        pass

    def run(folder: Path, steps: int = 24) -> None:
        train_adapter(
            recipes()["multitask_r32"], load_backbone(TINY), "tiny", suite, folder, steps=steps, say=lambda line: None
        )

    monkeypatch.setattr(
        "baselines.florence2.recipes.Checkpoints", lambda folder, recipe: Checkpoints(folder, recipe, every=10)
    )
    monkeypatch.setattr(training, "REPORT_EVERY", 5)
    run(tmp_path / "whole")
    real, calls = training.batch_loss, []

    def killing(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 15:
            raise KilledError
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "batch_loss", killing)
    with pytest.raises(KilledError):
        run(tmp_path / "killed")
    assert (tmp_path / ".killed.state" / "state.pt").is_file()
    assert not (tmp_path / "killed").exists(), "nothing half-written"
    with pytest.raises(GiBenchError, match="another recipe"):
        run(tmp_path / "killed", steps=12)
    calls.clear()
    monkeypatch.setattr(training, "batch_loss", lambda *a: calls.append(1) or real(*a))  # type: ignore[func-returns-value]
    run(tmp_path / "killed")
    assert len(calls) == 14, "goes on from step 10"
    assert _losses(tmp_path / "killed") == _losses(tmp_path / "whole")
    for name in ("adapter_model.safetensors", "adapter_config.json", "training_images.txt"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert set(_losses(tmp_path / "whole")[-1]["by_task"]) == {"answer", "explain", "ground"}  # type: ignore[call-overload]
    assert not (tmp_path / ".killed.state").exists()


def test_a_loss_that_is_no_number_stops_and_names_its_batch(
    suite: PhantomSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import baselines.florence2.training as training

    monkeypatch.setattr(
        "baselines.florence2.recipes.Checkpoints", lambda folder, recipe: Checkpoints(folder, recipe, every=10)
    )
    real, calls = training.batch_loss, []

    def spoiled(*arguments: object) -> object:
        calls.append(1)
        loss, rows = real(*arguments)  # type: ignore[arg-type]
        return (loss * float("nan"), rows * float("nan")) if len(calls) == 13 else (loss, rows)

    monkeypatch.setattr(training, "batch_loss", spoiled)
    with pytest.raises(GiBenchError, match=r"not a number at step 13, task .*the state of step 10 is kept .*images "):
        train_adapter(
            recipes()["vqa_only_r32"],
            load_backbone(TINY),
            "tiny",
            suite,
            tmp_path / "a",
            steps=16,
            say=lambda line: None,
        )
    assert (tmp_path / ".a.state" / "state.pt").is_file()
    (tmp_path / ".a.state" / "state.pt").write_bytes(b"damaged")
    monkeypatch.setattr(training, "batch_loss", real)
    with pytest.raises(GiBenchError, match="damaged"):
        train_adapter(
            recipes()["vqa_only_r32"],
            load_backbone(TINY),
            "tiny",
            suite,
            tmp_path / "a",
            steps=16,
            say=lambda line: None,
        )
