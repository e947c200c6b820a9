"""How the tasks' gradients agree: on the same rows always, and without a trace in the training."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gi_bench.baselines.florence2.adapters import add_adapter
from gi_bench.baselines.florence2.backbone import Backbone, load_backbone
from gi_bench.baselines.registration import HERE, definitions
from gi_bench.baselines.training import settings
from gi_bench.baselines.training.adapter import Choices, Material, train_adapter
from gi_bench.baselines.training.features import PictureFeed, encode_once
from gi_bench.baselines.training.fitting import Course, train
from gi_bench.baselines.training.gradients import GradientProbe, fixed_rows, gradient_summary
from gi_bench.baselines.training.loop import BatchSet, GroupedNetwork
from gi_bench.baselines.training.mixture import Batch, Mixture, Row, mix
from gi_bench.baselines.training.rows import task_examples
from gi_bench.baselines.training.settings import Running, TrainingSettings
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.suites.phantom.suite import PhantomSuite

TINY = HERE / "weights" / "tiny-florence2"
TASKS = ("answer", "explain", "ground")
CPU = Running(device="cpu", save_every=1000)


@pytest.fixture(scope="module")
def suite() -> PhantomSuite:
    return PhantomSuite("validation", 12)


@pytest.fixture(scope="module")
def batches(suite: PhantomSuite) -> list[Batch]:
    return mix(task_examples(suite, TASKS), Mixture(12, 4), 0, steps=6)


def _adapted(layers: str = "all") -> tuple[Backbone, Any]:
    backbone = load_backbone(TINY)
    torch.manual_seed(0)
    model = add_adapter(backbone.network, backbone.tokenizer, 4, 8, layers=layers)
    return backbone, model.base_model.model


def _trained(
    suite: PhantomSuite, batches: list[Batch], state: Path, running: Running
) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]], torch.Tensor]:
    backbone, network = _adapted()
    course = Course(batches, TrainingSettings(rate=1e-3), state, "r")
    trained = train(network, backbone.tokenizer, PictureFeed(suite, backbone.pictures), course, running=running)
    return (
        {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad},
        trained.history,
        torch.get_rng_state(),
    )


def test_the_rows_are_fixed_and_of_the_same_images() -> None:
    def row(image: int, task: str, number: int) -> Row:
        return Row(f"i{image:02}", task, f"{task} {number}", "yes")

    rows = [row(image, "answer", number) for image in range(30) for number in range(3)]
    rows += [row(image, "ground", 0) for image in range(10)] + [
        row(image, "explain", n) for image in (3, 4) for n in (0, 1)
    ]
    found = fixed_rows([tuple(rows[i : i + 5]) for i in range(0, len(rows), 5)], 0, 16)
    assert found == fixed_rows([tuple(rows)], 0, 16), "how rows are batched does not matter"
    assert found == fixed_rows([tuple(rows[::-1] + rows)], 0, 16), "nor their order, nor how often a row comes"
    assert found != fixed_rows([tuple(rows)], 1, 16)
    assert {task: len(picked) for task, picked in found.items()} == {"answer": 16, "explain": 4, "ground": 10}
    images = {task: [one.img_id for one in picked] for task, picked in found.items()}
    assert len(set(images["answer"])) == 16, "one row an image where there are enough"
    assert images["answer"][:2] == images["ground"][:2] == images["explain"][:2] == images["explain"][2:]
    assert images["answer"][:10] == images["ground"]
    assert all(one.task == task for task, picked in found.items() for one in picked)


def test_norms_and_cosines_are_those_of_backward(suite: PhantomSuite, batches: list[Batch]) -> None:
    backbone, network = _adapted()
    feed = PictureFeed(suite, backbone.pictures)
    for p in network.parameters():
        if p.requires_grad:
            torch.nn.init.normal_(p, std=0.05)
    grouped = GroupedNetwork(network)
    measured = GradientProbe(batches, backbone.tokenizer, feed, 0).measure(grouped)
    in_small_parts = GradientProbe(batches, backbone.tokenizer, feed, 0, recompute=True).measure(grouped)
    assert in_small_parts == pytest.approx(measured, rel=1e-3, abs=1e-5)
    flat = {}
    for task, rows in fixed_rows(batches, 0).items():
        item = BatchSet([[tuple(rows)]], backbone.tokenizer, feed, TASKS)[0]
        item.pop("number"), item.pop("tasks")
        grouped.zero_grad()
        grouped.eval()(**item)["loss"].backward()
        flat[task] = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]).double()
    assert measured.keys() == {
        *(f"gradients/norm/{task}" for task in TASKS),
        *(f"gradients/cosine/{pair}" for pair in ("answer-explain", "answer-ground", "explain-ground")),
    }
    for task in TASKS:
        assert measured[f"gradients/norm/{task}"] == pytest.approx(float(flat[task].norm()), rel=1e-3)
    for pair in ("answer-explain", "answer-ground", "explain-ground"):
        a, b = (flat[task] for task in pair.split("-"))
        assert measured[f"gradients/cosine/{pair}"] == pytest.approx(float(a @ b / a.norm() / b.norm()), abs=1e-3)


def test_a_training_that_is_measured_is_the_same_bit_for_bit(
    suite: PhantomSuite, batches: list[Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "REPORT_EVERY", 2)
    for accumulate, dtype, recompute, steps in ((1, "float32", False, 4), (2, "bfloat16", True, 2)):
        running, some = replace(CPU, accumulate=accumulate, dtype=dtype, recompute=recompute), batches[:steps]
        plain, history, state = _trained(suite, some, tmp_path / f"plain{accumulate}", running)
        running = replace(running, gradients=True)
        watched, rows, same = _trained(suite, some, tmp_path / f"watched{accumulate}", running)
        assert all(torch.equal(value, watched[name]) for name, value in plain.items())
        assert torch.equal(state, same), "nothing was drawn"
        assert [row["step"] for row in rows] == list(range(0, steps + 1, 2))
        assert [{k: v for k, v in row.items() if k != "gradients"} for row in rows[1:]] == history
        assert rows[0].keys() == {"step", "gradients"}
        for row in rows:
            assert row["gradients"]["norms"].keys() == set(TASKS)
            assert row["gradients"]["cosines"].keys() == {"answer|explain", "answer|ground", "explain|ground"}
            assert all(-1 <= value <= 1 for value in row["gradients"]["cosines"].values())
        assert rows[0]["gradients"] != rows[1]["gradients"]


def test_measuring_leaves_modes_and_gradients(suite: PhantomSuite, batches: list[Batch]) -> None:
    backbone, network = _adapted("language")
    grouped = GroupedNetwork(network).train()
    modes = [module.training for module in grouped.modules()]
    assert set(modes) == {True, False}, "the frozen tower is in evaluation mode"
    probe = GradientProbe(batches, backbone.tokenizer, PictureFeed(suite, backbone.pictures), 0)
    state = torch.get_rng_state()
    first, second = probe.measure(grouped), probe.measure(grouped)
    assert first == second
    assert [module.training for module in grouped.modules()] == modes
    assert all(p.grad is None for p in grouped.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_features_give_the_gradients_of_pixels(suite: PhantomSuite, batches: list[Batch], tmp_path: Path) -> None:
    found = []
    for encoded in (False, True):
        backbone, network = _adapted("language")
        feed = (
            encode_once(backbone, suite, suite.image_ids, tmp_path)
            if encoded
            else PictureFeed(suite, backbone.pictures)
        )
        found.append(GradientProbe(batches, backbone.tokenizer, feed, 0).measure(GroupedNetwork(network)))
    assert found[0] == pytest.approx(found[1], rel=1e-3, abs=1e-4)


def test_gradients_that_are_no_numbers_are_left_out(suite: PhantomSuite, batches: list[Batch]) -> None:
    backbone, network = _adapted()
    probe = GradientProbe(batches, backbone.tokenizer, PictureFeed(suite, backbone.pictures), 0)
    with torch.no_grad():
        next(p for p in network.parameters() if p.requires_grad).fill_(math.nan)
    assert probe.measure(GroupedNetwork(network)) == {}


def test_adapters_say_how_their_tasks_agreed(
    suite: PhantomSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "REPORT_EVERY", 2)

    def made(name: str, gradients: bool | None = None) -> Path:
        running = replace(
            CPU, save_every=2, gradients=gradients, log_to="tensorboard", log_dir=tmp_path / f"{name}-log"
        )
        train_adapter(
            definitions()[name], load_backbone(TINY), "tiny", Material(suite), tmp_path / f"{name}{gradients}",
            choices=Choices(steps=4, rows=16), running=running, say=lambda line: None,
        )  # fmt: skip
        return tmp_path / f"{name}{gradients}"

    several = made("multitask_r32")
    rows = [json.loads(line) for line in (several / "training.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 2, 4]
    summary = gradient_summary(several, "multitask_r32", 3)
    assert [(one.first, one.second) for one in summary] == [
        ("answer", "explain"),
        ("answer", "ground"),
        ("explain", "ground"),
    ]
    for one in summary:
        assert (one.arm, one.seed) == ("multitask_r32", 3)
        cosines = [row["gradients"]["cosines"][f"{one.first}|{one.second}"] for row in rows]
        assert (one.n, one.negative_share) == (3, sum(cosine < 0 for cosine in cosines) / 3)
        assert one.cosine == pytest.approx(sum(cosines) / 3)
        assert one.first_norm == pytest.approx(sum(row["gradients"]["norms"][one.first] for row in rows) / 3)
    (events,) = (tmp_path / "multitask_r32-log").glob("events*")
    content = events.read_bytes()
    for name in (*(f"norm/{task}" for task in TASKS), "cosine/answer-ground"):
        assert content.count(f"train/gradients/{name}".encode()) == 3, "before the first step, and every two"
    alone = made("vqa_only_r32")
    rows = [json.loads(line) for line in (alone / "training.jsonl").read_text().splitlines()]
    assert [row["gradients"]["cosines"] for row in rows] == [{}, {}, {}]
    assert all(row["gradients"]["norms"].keys() == {"answer"} for row in rows)
    assert gradient_summary(alone, "a", 0) == []
    unwatched = made("vqa_only_r32", gradients=False)
    assert gradient_summary(unwatched, "a", 0) == gradient_summary(tmp_path / "none", "a", 0) == []
    lines = (unwatched / "training.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4]


@pytest.mark.parametrize(
    "line",
    [
        "{", "[1]", '{"gradients": 1}', '{"gradients": {"norms": {"a": 1}}}',
        '{"gradients": {"norms": {"a": 1}, "cosines": {"a|b": 0.5}}}',
        '{"gradients": {"norms": {"a": 1, "b": 2}, "cosines": {"a|b": "0"}}}',
        '{"gradients": {"norms": {"a": NaN, "b": 2}, "cosines": {"a|b": 0}}}', "\udcff",
    ],
)  # fmt: skip
def test_a_damaged_log_is_told(line: str, tmp_path: Path) -> None:
    good = '{"step": 0, "gradients": {"norms": {"a": 1, "b": 2}, "cosines": {"a|b": -0.5}}}\n'
    path = tmp_path / "training.jsonl"
    path.write_text(good, encoding="utf-8")
    (one,) = gradient_summary(tmp_path, "a", 0)
    assert (one.cosine, one.negative_share, one.n, one.first_norm, one.second_norm) == (-0.5, 1, 1, 1, 2)
    path.write_bytes((good + line).encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"training\.jsonl"):
        gradient_summary(tmp_path, "a", 0)
