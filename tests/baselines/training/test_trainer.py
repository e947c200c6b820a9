"""The Trainer over grouped batches: its loss, its parts, its states."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gi_bench.baselines.florence2.adapters import add_adapter
from gi_bench.baselines.florence2.backbone import Backbone, load_backbone
from gi_bench.baselines.registration import HERE
from gi_bench.baselines.training import fitting, settings
from gi_bench.baselines.training import loop as trainer_module
from gi_bench.baselines.training.features import FeatureFeed, PictureFeed, encode_once
from gi_bench.baselines.training.fitting import Course, by_rate, train
from gi_bench.baselines.training.loop import BatchSet, GroupedNetwork, GroupedTrainer
from gi_bench.baselines.training.mixture import Batch, Mixture, mix
from gi_bench.baselines.training.rows import task_examples
from gi_bench.baselines.training.settings import Running, TrainingSettings, rate_factor
from gi_bench.baselines.training.states import SEAL, last_state
from gi_bench.harness.errors import CheckpointError, DataError, GiBenchError, RunError
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.locked import held_elsewhere

TINY = HERE / "weights" / "tiny-florence2"
TASKS = ("answer", "explain", "ground")
SETTINGS = TrainingSettings(rate=1e-3, vision_share=0.5)


@pytest.fixture(scope="module")
def suite() -> PhantomSuite:
    return PhantomSuite("validation", 12)


@pytest.fixture(scope="module")
def batches(suite: PhantomSuite) -> list[Batch]:
    return mix(task_examples(suite, TASKS), Mixture(12, 4), 0, steps=12)


def _adapted(layers: str = "all", dropout: float = 0.0) -> tuple[Backbone, Any]:
    backbone = load_backbone(TINY)
    torch.manual_seed(0)
    model = add_adapter(backbone.network, backbone.tokenizer, 8, 16, dropout, layers=layers)
    return backbone, model.base_model.model


def _weights(network: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}


def _train(
    suite: PhantomSuite, batches: list[Batch], state: Path, *, running: Running | None = None, dropout: float = 0.0
) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    backbone, network = _adapted(dropout=dropout)
    feed = PictureFeed(suite, backbone.pictures)
    running = running or Running(device="cpu", save_every=1000)
    trained = train(network, backbone.tokenizer, feed, Course(batches, SETTINGS, state, "r"), running=running)
    return _weights(network), trained.history


def test_the_vision_tower_has_its_share_of_the_rate() -> None:
    _, network = _adapted()
    named = {name: one for name, one in GroupedNetwork(network).named_parameters() if one.requires_grad}
    shared = TrainingSettings(rate=4e-3, vision_share=0.125)
    words, vision = by_rate(named, shared)
    assert (words["lr"], vision["lr"]) == (4e-3, 5e-4)
    tower = {id(one) for one in network.model.vision_tower.parameters() if one.requires_grad}
    assert {id(one) for one in vision["params"]} == tower
    assert len(words["params"]) + len(vision["params"]) == len(named)
    (alike,) = by_rate(named, TrainingSettings(rate=4e-3))
    assert len(alike["params"]) == len(named)
    _, language_only = _adapted(layers="language")
    frozen = {name: one for name, one in language_only.named_parameters() if one.requires_grad}
    (alone,) = by_rate(frozen, shared)
    assert alone["lr"] == 4e-3


def test_the_loss_is_that_of_every_row_by_itself(suite: PhantomSuite, batches: list[Batch]) -> None:
    """transformers' own loss, one row at a time and from pixels, token for token."""
    backbone = load_backbone(TINY)
    network, tokenizer = backbone.network, backbone.tokenizer
    feed = PictureFeed(suite, backbone.pictures)
    item = BatchSet([[batches[0]]], tokenizer, feed, TASKS)[0]
    assert len(item["pixels"]) < len(item["at"]), "an image is encoded once"
    item.pop("number"), item.pop("tasks")
    grouped = GroupedNetwork(network).eval()(**item)
    losses, counts = [], []
    for row in batches[0]:
        prompt = tokenizer("<image>" * 37 + "<s>" + row.prompt + "</s>", add_special_tokens=False, return_tensors="pt")
        labels = tokenizer(row.target + "</s>", add_special_tokens=False, return_tensors="pt").input_ids
        with torch.no_grad():
            found = network(
                input_ids=prompt.input_ids, pixel_values=feed.read([row.img_id]),
                attention_mask=prompt.attention_mask, labels=labels,
            )  # fmt: skip
        losses.append(float(found.loss))
        counts.append(labels.shape[1])
    assert grouped["row_losses"].tolist() == pytest.approx(losses, rel=1e-4)
    mean = sum(loss * count for loss, count in zip(losses, counts, strict=True)) / sum(counts)
    assert float(grouped["loss"].detach()) == pytest.approx(mean, rel=1e-4)


def test_parts_of_a_step_give_the_whole_step_s_weights(
    suite: PhantomSuite, batches: list[Batch], tmp_path: Path
) -> None:
    whole, history = _train(suite, batches[:4], tmp_path / "a")
    parts, in_parts = _train(
        suite, batches[:4], tmp_path / "b", running=Running(device="cpu", accumulate=3, save_every=1000)
    )
    for name, value in whole.items():
        assert torch.allclose(value, parts[name], atol=2e-5), name
    assert in_parts[-1]["loss"] == pytest.approx(history[-1]["loss"], rel=1e-4)
    assert in_parts[-1]["by_task"] == pytest.approx(history[-1]["by_task"], rel=1e-4)
    assert set(history[-1]["by_task"]) == set(TASKS)


def test_gradient_checkpointing_gives_the_same_gradients(suite: PhantomSuite, batches: list[Batch]) -> None:
    gradients = []
    for recompute in (False, True):
        backbone, network = _adapted(dropout=0.05)
        grouped = fitting._grouped(network, Running(recompute=recompute)).train()
        item = BatchSet([[batches[0]]], backbone.tokenizer, PictureFeed(suite, backbone.pictures), TASKS)[0]
        item.pop("number"), item.pop("tasks")
        torch.manual_seed(1)
        grouped(**item)["loss"].backward()
        gradients.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert any(name.startswith("model.vision_tower") for name in gradients[0])
    for name, value in gradients[0].items():
        assert torch.allclose(value, gradients[1][name], atol=1e-6), name


def test_features_are_encoded_once_and_train_as_pixels_do(
    suite: PhantomSuite, batches: list[Batch], tmp_path: Path
) -> None:
    ids = list(suite.image_ids)
    histories = []
    for encoded in (False, True):
        backbone, network = _adapted("language")
        assert not any("vision" in name for name in _weights(network))
        feed = encode_once(backbone, suite, ids, tmp_path) if encoded else PictureFeed(suite, backbone.pictures)
        assert isinstance(feed, FeatureFeed) == encoded
        trained = train(
            network, backbone.tokenizer, feed, Course(batches[:4], SETTINGS, tmp_path / f"s{encoded}", "r"),
            running=Running(device="cpu", save_every=1000),
        )  # fmt: skip
        histories.append(trained.history[-1]["loss"])
    assert histories[0] == pytest.approx(histories[1], rel=1e-4)


def test_an_interrupted_encoding_goes_on(suite: PhantomSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gi_bench.baselines.florence2 import vision

    backbone, ids = load_backbone(TINY), list(suite.image_ids)
    encode_once(backbone, suite, ids, tmp_path / "whole")
    real, calls = vision.encode_pixels, []

    def stopping(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(vision, "encode_pixels", stopping)
    with pytest.raises(KeyboardInterrupt):
        encode_once(backbone, suite, ids, tmp_path / "cut")
    assert not list((tmp_path / "cut").glob("*.features"))
    encode_once(backbone, suite, ids, tmp_path / "cut")
    assert len(calls) == 6 + 1 + len(ids) - 4, "the four that were there are not encoded again"
    encode_once(backbone, suite, ids, tmp_path / "cut")
    (whole,), (cut,) = (list((tmp_path / name).glob("*.features")) for name in ("whole", "cut"))
    assert whole.name == cut.name
    assert whole.read_bytes() == cut.read_bytes()
    other = replace(backbone, pictures=replace(backbone.pictures, mean=(0.1, 0.2, 0.3)))
    encode_once(other, suite, ids, tmp_path / "cut")
    assert len(list((tmp_path / "cut").glob("*.features"))) == 2, "other pictures are other features"
    with (
        held_elsewhere(tmp_path / "cut", next((tmp_path / "cut").glob("*.features")).with_suffix(".lock").name),
        pytest.raises(RunError, match="another process encodes these images"),
    ):
        [encode_once(one, suite, ids, tmp_path / "cut") for one in (backbone, other)]
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot keep the image features"):
        encode_once(backbone, suite, ids, tmp_path / "file")


class KilledError(Exception):
    pass


def _killing(real: Callable[..., Any], at: int) -> Callable[..., Any]:
    calls: list[int] = []

    def compute(self: Any, *arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == at:
            raise KilledError
        return real(self, *arguments, **named)

    return compute


def test_a_killed_training_ends_with_the_same_weights_and_log(
    suite: PhantomSuite, batches: list[Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "REPORT_EVERY", 2)
    running = Running(device="cpu", save_every=4)
    whole, history = _train(suite, batches, tmp_path / "whole", running=running, dropout=0.05)
    assert [row["step"] for row in history] == [2, 4, 6, 8, 10, 12]
    real = GroupedTrainer.compute_loss
    monkeypatch.setattr(GroupedTrainer, "compute_loss", _killing(real, 8))
    with pytest.raises(KilledError):
        _train(suite, batches, tmp_path / "cut", running=running, dropout=0.05)
    assert last_state(tmp_path / "cut", "r") == tmp_path / "cut" / "checkpoint-4"
    # A state that was being written when the machine went down.
    (tmp_path / "cut" / "checkpoint-6").mkdir()
    (tmp_path / "cut" / "checkpoint-6" / "trainer_state.json").write_text("{")
    counted: list[int] = []

    def counting(self: Any, *arguments: Any, **named: Any) -> Any:
        counted.append(1)
        return real(self, *arguments, **named)

    monkeypatch.setattr(GroupedTrainer, "compute_loss", counting)
    resumed, again = _train(suite, batches, tmp_path / "cut", running=running, dropout=0.05)
    assert len(counted) == 8, "goes on from step 4"
    assert again == history
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    counted.clear()
    finished, at_the_end = _train(suite, batches, tmp_path / "cut", running=running, dropout=0.05)
    assert not counted, "a training that was over is only read"
    assert at_the_end == history
    assert all(torch.equal(value, finished[name]) for name, value in whole.items())


def test_states_are_sealed_bound_and_checked(suite: PhantomSuite, batches: list[Batch], tmp_path: Path) -> None:
    _train(suite, batches[:2], tmp_path, running=Running(device="cpu", save_every=1))
    state = last_state(tmp_path, "r")
    assert state is not None
    assert not [p for p in state.iterdir() if p.name == "training_args.bin"], "nothing that has to be unpickled"
    with pytest.raises(CheckpointError, match="another training"):
        last_state(tmp_path, "other")
    (state / "optimizer.pt").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match=r"damaged .*checkpoint-2.*; delete it to go on from the one before"):
        last_state(tmp_path, "r")
    (state / SEAL).write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        last_state(tmp_path, "r")
    (state / SEAL).unlink()
    assert last_state(tmp_path, "r") == tmp_path / "checkpoint-1"
    assert not state.exists()


def test_a_full_disk_keeps_the_state_before(
    suite: PhantomSuite, batches: list[Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = trainer_module.write_weights, []

    def full(model: Any, folder: Path) -> None:
        calls.append(1)
        real(model, folder)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainer_module, "write_weights", full)
    with pytest.raises(RunError, match=r"cannot keep the state of the training: .*No space left.*make room"):
        _train(suite, batches[:3], tmp_path, running=Running(device="cpu", save_every=1))
    assert last_state(tmp_path, "r") == tmp_path / "checkpoint-1"


def test_a_loss_that_is_no_number_names_its_batch(
    suite: PhantomSuite, batches: list[Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = GroupedNetwork.forward, []

    def spoiled(self: Any, **arguments: Any) -> Any:
        calls.append(1)
        found = real(self, **arguments)
        if len(calls) == 6:
            found["loss"] = found["loss"] * float("nan")
            found["row_losses"][0] = float("nan")
        return found

    monkeypatch.setattr(GroupedNetwork, "forward", spoiled)
    first = batches[5][0]
    with pytest.raises(
        GiBenchError, match=rf"not a number at step 6, task {first.task}; the state of step 4 is kept .*{first.img_id}"
    ):
        _train(suite, batches, tmp_path, running=Running(device="cpu", save_every=2))
    assert last_state(tmp_path, "r") == tmp_path / "checkpoint-4"


def test_schedules_rise_and_fall() -> None:
    from transformers import get_linear_schedule_with_warmup

    settings = TrainingSettings(rate=1.0, warmup=0.1)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_linear_schedule_with_warmup(optimiser, 10, 100)
    for step in range(100):
        assert rate_factor(step, 100, settings) == pytest.approx(theirs.get_last_lr()[0])
        optimiser.step()
        theirs.step()
    cosine = [rate_factor(s, 100, TrainingSettings(rate=1.0, warmup=0.06, schedule="cosine")) for s in range(100)]
    assert max(cosine) == 1.0
    assert cosine[0] < cosine[5] > cosine[50] > cosine[99] > 0.05


def test_a_region_outside_its_image_is_refused(suite: PhantomSuite) -> None:
    pictures = load_backbone(TINY).pictures
    image = suite.image_ids[0]
    PictureFeed(suite, pictures, {image: {(512, 512), (256, 256)}}).check([image])
    with pytest.raises(DataError, match=rf"a region of 640 x 512 pixels lies outside its image of 256 x 256 \({image}"):
        PictureFeed(suite, pictures, {image: {(512, 512), (512, 640)}}).check([image])


@pytest.mark.parametrize(
    ("running", "message"),
    [
        (Running(device="cuda:1"), "unknown device .*CUDA_VISIBLE_DEVICES"),
        (Running(device="cpu", dtype="float16"), "float16 trains on GPUs only"),
        (Running(device="cpu", dtype="int8"), "unknown dtype"),
    ],
)
def test_wrong_devices_and_dtypes_are_told(running: Running, message: str) -> None:
    with pytest.raises(GiBenchError, match=message):
        running.resolved_dtype()


def test_precision_is_mixed_on_gpus_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Running(device="cpu").resolved_dtype() == "float32"
    monkeypatch.setattr(settings, "choose_device", lambda wanted: "cuda")
    for has, dtype in ((True, "bfloat16"), (False, "float16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True, has=has: has)
        assert Running().resolved_dtype() == dtype
    assert Running(dtype="float32").resolved_dtype() == "float32"


def test_bfloat16_trains_on_a_cpu(suite: PhantomSuite, batches: list[Batch], tmp_path: Path) -> None:
    exact, exactly = _train(suite, batches[:2], tmp_path / "a")
    mixed, history = _train(
        suite, batches[:2], tmp_path / "b", running=Running(device="cpu", dtype="bfloat16", save_every=1000)
    )
    assert all(value.dtype == torch.float32 for value in mixed.values())
    assert history[-1]["loss"] == pytest.approx(exactly[-1]["loss"], rel=0.05)
    assert any(not torch.equal(value, exact[name]) for name, value in mixed.items())


def test_tensorboard_gets_the_losses_by_task(suite: PhantomSuite, batches: list[Batch], tmp_path: Path) -> None:
    running = Running(device="cpu", save_every=1000, log_to="tensorboard", log_dir=tmp_path / "board")
    _train(suite, batches[:2], tmp_path / "state", running=running)
    (events,) = (tmp_path / "board").glob("events*")
    content = events.read_bytes()
    for task in TASKS:
        assert f"train/loss/{task}".encode() in content


def test_a_dtype_is_not_overruled_by_accelerate_s_configuration(
    suite: PhantomSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    arguments = fitting._arguments(SETTINGS, Running(device="cpu", dtype="float32"), tmp_path, 3)
    assert arguments.mixed_precision == "no"


def test_a_worker_s_error_is_one_line(suite: PhantomSuite, batches: list[Batch], tmp_path: Path) -> None:
    backbone, network = _adapted()
    image = batches[0][0].img_id
    feed = PictureFeed(suite, backbone.pictures, {image: {(10, 90)}})
    running = Running(device="cpu", workers=1, save_every=1000)
    with pytest.raises(DataError) as caught:
        train(network, backbone.tokenizer, feed, Course(batches[:2], SETTINGS, tmp_path, "r"), running=running)
    assert caught.value.line().startswith("a region of 90 x 10 pixels lies outside")
    assert "Traceback" not in caught.value.line()


@pytest.mark.slow(reason="starts three processes that train")
def test_two_processes_take_the_same_steps(tmp_path: Path) -> None:
    """``accelerate launch`` with two CPU processes: rows of a step are shared, losses are those of one process."""
    import subprocess
    import sys

    losses = []
    for name, head in (
        ("one", [sys.executable]),
        ("two", [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2",
                 "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]),
    ):  # fmt: skip
        command = ["-m", "gi_bench.harness.cli", "train", "--model", "vqa_only_r32", "--suite", "phantom/validation",
                   "--steps", "6", "--device", "cpu", "--log-to", "none", "-o", str(tmp_path / name)]  # fmt: skip
        done = subprocess.run([*head, *command], capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("checkpoint:") == 1, "one process speaks"
        lines = (tmp_path / name / "training.jsonl").read_text().splitlines()
        losses.append(json.loads(lines[-1])["loss"])
    # Dropout differs between one process and two.
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
