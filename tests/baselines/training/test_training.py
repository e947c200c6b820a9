"""The commands that make weights: examples, the loop, the saved checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gi_bench.baselines.florence2 import prompts
from gi_bench.baselines.florence2.backbone import load_backbone
from gi_bench.baselines.florence2.locations import TINY_STYLE, decode_mask
from gi_bench.baselines.florence2.prompts import NOTHING_THERE, ground_prompt
from gi_bench.baselines.registration import HERE, definitions
from gi_bench.baselines.training.adapter import Choices, Material, train_adapter
from gi_bench.baselines.training.rows import Examples, check_examples, task_examples
from gi_bench.baselines.training.settings import Running
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.model import Ask, BuildContext
from gi_bench.harness.registry import model_entry
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.locked import held_elsewhere

TINY = HERE / "weights" / "tiny-florence2"
CPU = Running(device="cpu")


@pytest.fixture(scope="module")
def suite() -> PhantomSuite:
    return PhantomSuite("validation", 40)


def test_examples_follow_the_variant(suite: PhantomSuite) -> None:
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


def test_a_trained_adapter_runs_and_repeats(suite: PhantomSuite, tmp_path: Path) -> None:
    lines: list[str] = []
    answers = []
    for name in ("a", "b"):
        train_adapter(
            definitions()["multitask_r32"], load_backbone(TINY), "tiny", Material(suite), tmp_path / name,
            choices=Choices(steps=12, seed=3, rows=16), running=replace(CPU, command="gi-bench train"),
            say=lines.append,
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
    assert (card["steps"], card["training"]["seed"], card["trained_on"]) == (12, 3, suite.name)
    assert (tmp_path / "a" / "adapter_model.safetensors").read_bytes() == (
        tmp_path / "b" / "adapter_model.safetensors"
    ).read_bytes()
    assert card["trained_on_fingerprint"] == suite.fingerprint
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow(reason="trains for minutes; a dozen steps are a quick test")
def test_a_minute_of_training_beats_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss falls, the adapter loads, and answers and regions of a run are better than without training."""
    from gi_bench.harness.cli import _main
    from gi_bench.harness.engine.run import Settings, evaluate

    class Few(PhantomSuite):
        def __init__(self) -> None:
            super().__init__("train", 250)

    monkeypatch.setattr("gi_bench.baselines.training.settings.REPORT_EVERY", 10)
    train_adapter(
        definitions()["multitask_r32"], load_backbone(TINY), "tiny", Material(Few()), tmp_path / "a",
        choices=Choices(steps=150, rows=32), running=CPU, say=lambda line: None,
    )  # fmt: skip
    losses = [row["loss"] for row in _losses(tmp_path / "a")]
    assert losses[-1] < 0.7 * losses[0]  # type: ignore[operator]
    test = PhantomSuite("validation")
    settings = Settings(checkpoint=str(tmp_path / "a"), beams=1)
    (run,) = evaluate(["multitask_r32"], test, output=tmp_path / "runs", settings=settings)
    (prior,) = evaluate(["blind_class_prior"], test, output=tmp_path / "runs")
    (untrained,) = evaluate(["florence2_zero_shot"], test, output=tmp_path / "runs", settings=Settings(beams=1))

    def low(finished: object, metric: str) -> float:
        return finished.scores.find(metric).interval_low  # type: ignore[attr-defined,no-any-return]

    def high(finished: object, metric: str) -> float:
        return finished.scores.find(metric).interval_high  # type: ignore[attr-defined,no-any-return]

    assert low(run, "rougeL") > high(prior, "rougeL")
    assert low(run, "region_iou") > high(untrained, "region_iou")
    assert _main(["report", str(run.path), "-o", str(tmp_path / "report.html")]) == 0


@pytest.mark.slow(reason="paints all 3,600 training scenes")
def test_the_shipped_weights_were_trained_on_this_train_split() -> None:
    card = json.loads((HERE / "weights" / "multitask_r128-tiny" / "card.json").read_text())
    assert PhantomSuite("train").fingerprint == card["trained_on_fingerprint"]


def test_the_backbone_s_command_writes_a_loadable_hub_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole training on few scenes and steps: the files load as any Florence-2 does."""
    import gi_bench.harness.suites.phantom.suite as module
    from gi_bench.baselines.training.tiny import schooling

    monkeypatch.setattr(module, "PhantomSuite", lambda split, count=40: PhantomSuite(split, 40))
    monkeypatch.setattr(schooling, "SIGHT_STEPS", 3)
    monkeypatch.setattr(schooling, "WORD_LISTS", 50)
    monkeypatch.setattr(schooling, "BACKBONE_STEPS", 3)
    monkeypatch.setattr(schooling, "INQUIRY_STEPS", 2)
    schooling.train_tiny_backbone(tmp_path / "made", say=lambda line: None)
    made = load_backbone(tmp_path / "made")
    assert "<MedVQA_EXPLAIN>" not in made.tokenizer.get_vocab(), "task tokens are text to the backbone"
    shipped = {path.name for path in TINY.iterdir()} - {"README.md"}
    assert {path.name for path in (tmp_path / "made").iterdir()} == shipped
    card = json.loads((tmp_path / "made" / "card.json").read_text())
    assert card["parameters"] == sum(p.numel() for p in made.network.parameters())


def test_rows_of_files_are_trained_on(suite: PhantomSuite, tmp_path: Path) -> None:
    from gi_bench.baselines.training.extra_rows import read_extra_rows
    from gi_bench.harness.cli import _main

    image = suite.image_ids[0]
    negatives, explanations = tmp_path / "n.jsonl", tmp_path / "e.jsonl"
    row = {"img_id": image, "question": "Is there a tube?", "answer": "no tubes visible", "phrase": "tube"}
    only_phrase = {**row, "question": "", "answer": "", "phrase": "one tube"}
    negatives.write_text("\n".join(json.dumps(one) for one in (row, {**row, "phrase": ""}, only_phrase)))
    explanations.write_text(json.dumps({"img_id": image, "question": "Why?", "explanation": "A red bump is seen."}))
    extra = read_extra_rows(suite, negatives=negatives, explanations=explanations)
    tasks = ["answer", "explain", "ground"]
    plain = task_examples(suite, tasks, negatives=True).count()
    found = task_examples(suite, tasks, negatives=True, extra=extra)
    assert found.count() == {
        **plain, "denial": 2, "explain": plain["explain"] + 1, "negative": plain["negative"] + 2
    }  # fmt: skip
    assert (ground_prompt("tube"), NOTHING_THERE) in found.by_task["negative"][image]
    assert (ground_prompt("one tube"), NOTHING_THERE) in found.by_task["negative"][image], "a phrase without a question"
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
        (json.dumps({"img_id": image}), "the key 'question' is missing"),
        (json.dumps({**row, "img_id": "../x"}), "not in the training suite"),
        (json.dumps({**row, "answer": " "}), "empty text"),
        (json.dumps({**row, "answer": ""}), "empty text"),
        (json.dumps({**row, "question": "", "answer": "", "phrase": ""}), "empty text"),
        ("", "holds no negatives"),
    ):
        negatives.write_text(content)
        with pytest.raises(GiBenchError, match=message):
            read_extra_rows(suite, negatives=negatives, explanations=None)
    assert _main(["train", "--model", "multitask_r32", "--negatives", str(negatives), "-o", str(tmp_path / "x")]) == 2


def _losses(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums are split among threads, so that their number shows in the weights."""
    own = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(own)


def test_a_killed_command_goes_on_and_ends_byte_identical(
    suite: PhantomSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    """Also where more cores are free than when it began."""
    import gi_bench.baselines.training.settings as training
    from gi_bench.baselines.training.loop import GroupedTrainer

    monkeypatch.setattr(training, "REPORT_EVERY", 3)

    def run(folder: Path, steps: int = 8) -> None:
        train_adapter(
            definitions()["multitask_r32"], load_backbone(TINY), "tiny", Material(suite), folder,
            choices=Choices(steps=steps, rows=16), running=Running(device="cpu", save_every=3), say=lambda line: None,
        )  # fmt: skip

    run(tmp_path / "whole")
    real, calls = GroupedTrainer.compute_loss, []

    def killing(self: object, *arguments: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(GroupedTrainer, "compute_loss", killing)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed")
    assert not (tmp_path / "killed").exists(), "nothing half-written"
    with pytest.raises(GiBenchError, match="another training"):
        run(tmp_path / "killed", steps=5)
    torch.set_num_threads(2)
    run(tmp_path / "killed")
    assert torch.get_num_threads() == 2, "the next training has its own"
    assert len(calls) == 6 + 5, "goes on from step 3"
    for name in ("adapter_model.safetensors", "adapter_config.json", "training_images.txt", "training.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not (tmp_path / ".killed.state").exists()


def _example(task: str, prompt: str, target: str) -> Examples:
    found = Examples()
    found.add(task, "image7", prompt, target)
    return found


def test_rows_that_cannot_be_trained_on_are_refused() -> None:
    tokenizer = load_backbone(TINY).tokenizer
    check_examples(_example("answer", prompts.answer_prompt("a < b?"), "no <5 mm polyp"), tokenizer, 256, 37)
    check_examples(_example("ground", prompts.ground_prompt("polyp"), "<loc_1><loc_999>"), tokenizer, 256, 37)
    for example, message in (
        (_example("answer", prompts.answer_prompt("Where?"), "at <loc_5>"), r"control token <loc_5> .*image7: at"),
        (_example("explain", prompts.explain_prompt("Why? </s>"), "red"), "control token </s>"),
        (_example("negative", prompts.ground_prompt("<MedVQA> tube"), "none"), "control token <MedVQA>"),
        (
            _example("answer", prompts.answer_prompt("Why?"), "red bump " * 300),
            "tokens in the task answer, the network",
        ),
        (_example("answer", prompts.answer_prompt("red bump " * 110), "yes"), "the network takes 217"),
    ):
        with pytest.raises(GiBenchError, match=message):
            check_examples(example, tokenizer, 256, 37)


def test_a_state_is_bound_to_every_row() -> None:
    from gi_bench.baselines.training.mixture import Row
    from gi_bench.baselines.training.progress import bound_digest

    batches = [(Row("i", "answer", "a", "b"), Row("i", "answer", "c", "d"))]
    assert bound_digest({"seed": 0}, batches) == bound_digest({"seed": 0}, list(batches))
    for other in ([batches[0][::-1]], [(batches[0][0],)], [(Row("i", "answer", "a", "x"), batches[0][1])]):
        assert bound_digest({"seed": 0}, other) != bound_digest({"seed": 0}, batches)
    assert bound_digest({"seed": 1}, batches) != bound_digest({"seed": 0}, batches)


def test_two_trainings_into_one_folder_are_refused(suite: PhantomSuite, tmp_path: Path) -> None:
    with (
        held_elsewhere(tmp_path, ".a.lock.gi-bench"),
        pytest.raises(GiBenchError, match="another process trains into"),
    ):
        train_adapter(
            definitions()["vqa_only_r32"], load_backbone(TINY), "tiny", Material(suite), tmp_path / "a",
            choices=Choices(steps=1, rows=16), running=CPU, say=lambda line: None,
        )  # fmt: skip


def test_masks_of_a_file_replace_all_of_their_label(suite: PhantomSuite) -> None:
    """Else a variant trained on pseudo-masks would learn true ones where none was made."""
    from gi_bench.baselines.training.extra_rows import ExtraRows

    some = next(p for p in suite.phrases if p.label == "polyp" and p.region is not None and not p.is_negative)
    assert some.region is not None
    extra = ExtraRows(masks={(some.img_id, "polyp"): some.region})
    found = task_examples(suite, ["ground"], extra=extra).by_task["ground"]
    plain = task_examples(suite, ["ground"]).by_task["ground"]
    polyps = {p.img_id for p in suite.phrases if p.label == "polyp" and not p.is_negative}
    assert any(found.get(img_id) != plain[img_id] for img_id in polyps - {some.img_id})
    assert found[some.img_id] == plain[some.img_id]
    others = set(plain) - polyps
    assert others
    assert all(found[img_id] == plain[img_id] for img_id in others)


def test_images_without_rows_are_counted(tmp_path: Path) -> None:
    class Gaps(PhantomSuite):
        @property
        def questions(self):  # type: ignore[no-untyped-def,override]
            return [q for q in super().questions if q.img_id != self.image_ids[1]]

    suite = Gaps("validation", 6)
    suite.image_ids = PhantomSuite("validation", 6).image_ids  # type: ignore[misc]
    lines: list[str] = []
    train_adapter(
        definitions()["vqa_only_r32"], load_backbone(TINY), "tiny", Material(suite), tmp_path / "a",
        choices=Choices(steps=1, rows=16), running=CPU, say=lines.append,
    )  # fmt: skip
    assert "1 of 6 images have no row for answer: left out" in lines
    assert len((tmp_path / "a" / "training_images.txt").read_text().split()) <= 5


def test_the_frozen_variant_trains_on_features_and_runs(suite: PhantomSuite, tmp_path: Path) -> None:
    frozen = definitions()["multitask_r128_frozen"]
    lines: list[str] = []
    train_adapter(
        frozen, load_backbone(TINY), "tiny", Material(suite, features=tmp_path / "features"), tmp_path / "a",
        choices=Choices(steps=2, rows=16), running=CPU, say=lines.append,
    )  # fmt: skip
    assert len(list((tmp_path / "features").glob("*.features"))) == 1
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert "vision" not in json.dumps(config["target_modules"])
    model = model_entry(frozen.name).build(BuildContext(suite=suite, checkpoint=tmp_path / "a"))
    feature = model.encode([suite.load_image(suite.image_ids[0])])
    row = suite.questions[0]
    assert model.answer(feature, [Ask(0, row.img_id, row.question, row.question_class, 1)])[0].text
    with pytest.raises(GiBenchError, match="trains the vision tower"):
        train_adapter(
            definitions()["multitask_r128"], load_backbone(TINY), "tiny",
            Material(suite, features=tmp_path / "features"), tmp_path / "b",
            choices=Choices(steps=2, rows=16), running=CPU, say=lines.append,
        )  # fmt: skip


def test_task_tokens_are_added_trained_and_loaded(suite: PhantomSuite, tmp_path: Path) -> None:
    """On a backbone whose tokenizer does not know them, as Florence-2-base's."""
    from gi_bench.baselines.florence2.adapters import with_adapter
    from gi_bench.baselines.training.tiny import architecture as tiny
    from tests.florence_layout import random_network, write_layout

    texts = [text for row in suite.questions for text in (row.question, row.answer or "")]
    tokenizer = tiny.build_tokenizer(texts, 400)
    assert not set(prompts.TASK_TOKENS) & set(tokenizer.get_vocab())
    network = random_network(tiny.build_model(tokenizer).config, talkative=False)
    write_layout(tmp_path / "backbone", network, tokenizer, tiny.processor_configs())
    for name, added in (("multitask_r128", []), ("multitask_r128_tokens", ["<MedVQA>", "<MedVQA_EXPLAIN>"])):
        backbone = load_backbone(tmp_path / "backbone")
        train_adapter(
            definitions()[name], backbone, "custom", Material(suite), tmp_path / name,
            choices=Choices(steps=2, rows=16), running=CPU, say=lambda line: None,
        )  # fmt: skip
        assert json.loads((tmp_path / name / "card.json").read_text())["added_tokens"] == added
        plain = load_backbone(tmp_path / "backbone")
        rows = len(plain.network.get_input_embeddings().weight)
        adapted = with_adapter(plain, tmp_path / name)
        single = len(adapted.tokenizer("<MedVQA>", add_special_tokens=False)["input_ids"]) == 1
        assert single == bool(added)
        assert len(plain.network.get_input_embeddings().weight) == rows, "the shared backbone stays as it is"
        assert "<MedVQA>" not in plain.tokenizer.get_vocab()
        if added:
            table = adapted.network.get_input_embeddings().weight.detach()
            new = table[adapted.tokenizer.convert_tokens_to_ids("<MedVQA>")]
            mean = plain.network.get_input_embeddings().weight.detach().mean(dim=0)
            assert not new.allclose(mean, atol=1e-6), "its embedding was trained"
            assert new.allclose(mean, atol=1e-2)
        context = BuildContext(suite=suite, checkpoint=tmp_path / name, backbone=tmp_path / "backbone")
        model = model_entry(name).build(context)
        feature = model.encode([suite.load_image(suite.image_ids[0])])
        row = suite.questions[0]
        model.answer(feature, [Ask(0, row.img_id, row.question, row.question_class, 1)])
    card = tmp_path / "multitask_r128_tokens" / "card.json"
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "added_tokens": ["<loc_1>"]}))
    with pytest.raises(GiBenchError, match="no task tokens"):
        with_adapter(load_backbone(tmp_path / "backbone"), tmp_path / "multitask_r128_tokens")


def test_cards_hold_scores_as_the_hub_reads_them(suite: PhantomSuite, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    from gi_bench.baselines.training.card import add_scores, write_readme
    from gi_bench.harness.schema import Score, Scores

    card = {"variant": "multitask_r32", "backbone": "base", "trained_on": "kvasir-vqa-x1/train", "rank": 32}
    (tmp_path / "card.json").write_text(json.dumps(card))
    write_readme(tmp_path)
    assert ModelCard.load(tmp_path / "README.md").data.eval_results is None
    score = Score("bleu", "all", "all", 0.45, 1500, 1236, 0.43, 0.47, 0.95)
    scores = Scores("medico2025-task1", "f" * 64, "multitask_r32", "d", "bootstrap", (), (score,), notes=("a note",))
    add_scores(tmp_path, scores)
    read = ModelCard.load(tmp_path / "README.md")
    (result,) = read.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_type) == ("bleu", 0.45, "medico2025-task1")
    assert result.metric_args == {"n": 1500, "low": 0.43, "high": 0.47, "slice": "all"}
    assert read.data.base_model == "florence-community/Florence-2-base"
    assert "| bleu | all | 0.45 | 0.43 to 0.47 | 1500 |" in read.text
    assert "A note." in read.text
    assert "rendered scenes" not in read.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "multitask_r23"], "did you mean"),
        (["--model", "blind_constant"], "blind_constant has nothing that is trained"),
        (["--model", "florence2_zero_shot"], "train one of vqa_only_r"),
        (["--model", "multitask_r128_sam"], "masks refined by SAM"),
        (["--model", "multitask_r32", "--weight", "answer"], "not a weight of multitask_r32 (--weight answer)"),
        (["--model", "multitask_r32", "--weight", "answers=1"], "not a weight of multitask_r32"),
        (["--model", "vqa_only_r32", "--weight", "ground=1"], "give one of answer, ="),
        (["--model", "multitask_r32", "-o", "baselines"], "is no checkpoint"),
        (["--model", "multitask_r32", "-o", "README.md/a"], "cannot write there"),
        (["--model", "multitask_r32", "--weight", "answer=-1"], "not a weight"),
        (["--model", "multitask_r32", "--learning-rate", "5"], "not a learning rate"),
        (["--model", "multitask_r32", "--log-to", "wandb"], "pip install wandb"),
        (["--model", "multitask_r32", "--log-to", "paper"], "unknown logger"),
        (["--model", "multitask_r32", "--device", "tpu"], "unknown device"),
        (["--model", "multitask_r32", "--dtype", "float16", "--device", "cpu"], "float16 trains on GPUs only"),
        (["multitask_r32"], "see gi-bench train --help"),
    ],
)
def test_wrong_commands_are_told_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from gi_bench.harness.cli import _main

    assert _main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
