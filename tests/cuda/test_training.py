"""Training on a GPU: every precision learns, a killed training ends with the same bytes, what was trained runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gi_bench.baselines.florence2.backbone import load_backbone
from gi_bench.baselines.registration import HERE, definitions
from gi_bench.baselines.training import settings
from gi_bench.baselines.training.adapter import Choices, Material, train_adapter
from gi_bench.baselines.training.settings import Running
from gi_bench.harness.engine.run import Settings, evaluate
from gi_bench.harness.store import open_run
from gi_bench.harness.suites.phantom.suite import PhantomSuite

TINY = HERE / "weights" / "tiny-florence2"
GPU = Running(device="cuda", dtype="float32")


@pytest.fixture(scope="session")
def lessons() -> PhantomSuite:
    return PhantomSuite("train", 60)


@pytest.fixture(scope="module", autouse=True)
def _often() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "REPORT_EVERY", 10)
        yield


@pytest.fixture(scope="module")
def cpu_loss(lessons: PhantomSuite, tmp_path_factory: pytest.TempPathFactory) -> float:
    """The last loss of the same training on the CPU."""
    log = _train(lessons, tmp_path_factory.mktemp("cpu") / "adapter", Running(device="cpu"))
    return float(log[-1]["loss"])


def _train(
    lessons: PhantomSuite, folder: Path, running: Running = GPU, variant: str = "multitask_r32", **material: Any
) -> list[dict[str, Any]]:
    """The adapter in ``folder``, and the rows of its log."""
    choices = Choices(steps=40, rows=16, seed=1)
    train_adapter(
        definitions()[variant], load_backbone(TINY), "tiny", Material(lessons, **material), folder,
        choices=choices, running=replace(running, save_every=20), say=lambda line: None,
    )  # fmt: skip
    log = (folder / "training.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, log) if "loss" in row]


def _weights(folder: Path) -> bytes:
    return (folder / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_every_precision_learns_as_the_cpu_does(
    lessons: PhantomSuite, cpu_loss: float, tmp_path: Path, dtype: str
) -> None:
    log = _train(lessons, tmp_path / "gpu", replace(GPU, dtype=dtype))
    assert log[-1]["loss"] < log[0]["loss"]
    # Dropout draws otherwise on a GPU, and float16 skips its first steps while the scale of the loss is found.
    assert log[-1]["loss"] == pytest.approx(cpu_loss, rel=0.15)
    card = json.loads((tmp_path / "gpu" / "card.json").read_text(encoding="utf-8"))
    assert card["dtype"] == dtype


def test_what_was_trained_runs(lessons: PhantomSuite, tmp_path: Path) -> None:
    _train(lessons, tmp_path / "adapter", replace(GPU, dtype="auto"))
    asked = Settings(checkpoint=str(tmp_path / "adapter"), device="cuda")
    (finished,) = evaluate(["multitask_r32"], PhantomSuite("test", 10), output=tmp_path / "runs", settings=asked)
    assert open_run(finished.path).manifest.complete


def test_the_same_training_gives_the_same_bytes_also_after_a_kill(
    lessons: PhantomSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _train(lessons, tmp_path / "whole")
    again = _train(lessons, tmp_path / "again")
    assert _weights(tmp_path / "whole") == _weights(tmp_path / "again")
    assert whole == again

    from gi_bench.baselines.training.loop import GroupedTrainer

    real, steps = GroupedTrainer.training_step, 0

    def killed(self: Any, *given: Any, **named: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > 33:
            raise KeyboardInterrupt
        return real(self, *given, **named)

    monkeypatch.setattr(GroupedTrainer, "training_step", killed)
    with pytest.raises(KeyboardInterrupt):
        _train(lessons, tmp_path / "cut")
    monkeypatch.setattr(GroupedTrainer, "training_step", real)
    _train(lessons, tmp_path / "cut")
    assert _weights(tmp_path / "cut") == _weights(tmp_path / "whole")


def test_parts_of_a_step_and_activations_computed_twice_change_little(lessons: PhantomSuite, tmp_path: Path) -> None:
    plain = _train(lessons, tmp_path / "plain")
    parts = _train(lessons, tmp_path / "parts", replace(GPU, accumulate=3))
    twice = _train(lessons, tmp_path / "twice", replace(GPU, recompute=True))
    assert parts[-1]["loss"] == pytest.approx(plain[-1]["loss"], rel=0.1)
    assert twice[-1]["loss"] == pytest.approx(plain[-1]["loss"], rel=0.1)


def test_features_are_encoded_once_on_the_gpu(lessons: PhantomSuite, tmp_path: Path) -> None:
    frozen = "multitask_r128_frozen"
    pixels = _train(lessons, tmp_path / "pixels", variant=frozen)
    features = _train(lessons, tmp_path / "kept", variant=frozen, features=tmp_path / "features")
    assert features[-1]["loss"] == pytest.approx(pixels[-1]["loss"], rel=0.02)


def test_gradients_are_measured_and_change_no_weight(lessons: PhantomSuite, tmp_path: Path) -> None:
    _train(lessons, tmp_path / "with", replace(GPU, gradients=True))
    _train(lessons, tmp_path / "without", replace(GPU, gradients=False))
    assert _weights(tmp_path / "with") == _weights(tmp_path / "without")
    text = (tmp_path / "with" / "training.jsonl").read_text(encoding="utf-8")
    assert "cosine" in text
