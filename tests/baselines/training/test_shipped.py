"""``gi-bench train --all-shipped``: what is made, kept and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gi_bench.baselines.registration import HERE, definitions
from gi_bench.baselines.training import shipped
from gi_bench.baselines.training.settings import Running
from gi_bench.baselines.training.shipped import Shipping, estimate, shipped_variants, train_all_shipped
from gi_bench.harness.errors import GiBenchError

CPU = Running(device="cpu", dtype="float32")


def test_what_is_called_shipped_is_shipped() -> None:
    adapters = {name for name, one in definitions().items() if one.kind == "florence2" and one.adapter}
    there = {name for name in adapters if (definitions()[name].bundled("tiny") / "card.json").is_file()}
    assert set(shipped_variants()) == there
    assert adapters - there == {"multitask_r128_sam"}


def test_all_weights_stay_under_40_mb() -> None:
    assert sum(path.stat().st_size for path in (HERE / "weights").rglob("*") if path.is_file()) < 40e6


def _store(parent: Path, name: str, **card: object) -> None:
    (parent / name).mkdir(parents=True)
    (parent / name / "card.json").write_text(json.dumps(card))
    (parent / name / "a.safetensors").write_bytes(b"weights")


def test_the_estimate_is_of_the_same_device(tmp_path: Path) -> None:
    assert "not known" in estimate(tmp_path, ["a", "b"], "cpu", 1)
    _store(tmp_path, "tiny-florence2", seconds=600)
    _store(tmp_path, "a-tiny", seconds=1200, device="cpu")
    told = estimate(tmp_path, ["a", "b"], "cpu", 1)
    assert told.startswith("about 50 min 00 s:"), "what is not stored takes as long as the others' mean"
    assert "less with 3 at once" in estimate(tmp_path, ["a", "b"], "cpu", 3)
    assert "not known" in estimate(tmp_path, ["a", "b"], "cuda", 1)
    _store(tmp_path / "other", "tiny-florence2", seconds=600, device="cuda")
    _store(tmp_path / "other", "a-tiny", seconds=1200, device="cpu")
    told = estimate(tmp_path / "other", ["a", "b"], "cpu", 1)
    assert told.startswith("about 40 min 00 s for the adapters:")
    assert told.endswith("the stored backbone was not made on cpu")


def test_what_fails_costs_the_others_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def train(name: str, shipping: Shipping, say: object) -> str:
        if name == "vqa_only_r64":
            raise GiBenchError("no memory")
        made.append(name)
        return "trained"

    monkeypatch.setattr(shipped, "_train", train)
    monkeypatch.setattr(shipped, "_backbone", lambda shipping, say: None)
    with pytest.raises(
        GiBenchError,
        match=rf"1 of {len(shipped_variants())} trainings failed, the first of them vqa_only_r64: no memory",
    ):
        train_all_shipped(Shipping(tmp_path, CPU), say=lambda line: None)
    assert [*made[:1], "vqa_only_r64", *made[1:]] == shipped_variants()


def test_a_backbone_with_the_same_steps_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gi_bench.baselines.training.tiny import schooling

    calls: list[Path] = []
    monkeypatch.setattr(schooling, "train_tiny_backbone", lambda folder, **named: calls.append(folder))
    steps = {"vision_steps": schooling.SIGHT_STEPS, "steps": schooling.BACKBONE_STEPS}
    steps["inquiry_steps"] = schooling.INQUIRY_STEPS
    _store(tmp_path, schooling.TINY_NAME, seed=0, **steps)
    shipped._backbone(Shipping(tmp_path, CPU), lambda line: None)
    assert calls == []
    (tmp_path / schooling.TINY_NAME / "card.json").write_text(json.dumps({"seed": 1, **steps}))
    shipped._backbone(Shipping(tmp_path, CPU), lambda line: None)
    assert calls == [tmp_path / schooling.TINY_NAME]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--all-shipped", "-m", "multitask_r32"], "takes no --model"),
        (["--all-shipped", "--suite", "phantom/train"], "takes no --suite"),
        (["--all-shipped", "--epochs", "2"], "takes no --epochs"),
        (["--all-shipped", "--no-gradients"], "takes no --gradients"),
        (["--all-shipped", "--device", "tpu"], "unknown device"),
        (["--all-shipped", "--log-to", "paper"], "unknown logger"),
        (["--all-shipped", "--score-suite", "fantom"], "unknown suite"),
        (["-m", "tiny-florence2", "--steps", "2"], "takes no --steps"),
        (["-m", "tiny-florence2", "--suite", "phantom/train"], "takes no --suite"),
        (["-m", "tiny-florence2", "--dtype", "float16"], "takes no --dtype"),
        (["-m", "vqa_only_r32", "--explanations", "e.jsonl"], "vqa_only_r32 is trained without explanations"),
        (["-m", "vqa_only_r32", "--masks", "m.parquet"], "vqa_only_r32 is trained without masks"),
        (["-m", "vqa_only_r32", "--negatives", "n.jsonl"], "or train one of multitask_r128_neg"),
        (["-m", "multitask_r32", "--jobs", "2"], "--jobs is for --all-shipped"),
        ([], "nothing to train"),
    ],
)
def test_what_does_not_go_together_is_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from gi_bench.harness.cli import _main

    assert _main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
