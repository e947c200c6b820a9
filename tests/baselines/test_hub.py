"""The real track from the Hub's own layout: a cache folder, HF_HUB_OFFLINE=1, nothing but ids on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gi_bench.baselines.florence2 import base
from gi_bench.baselines.florence2.adapters import add_adapter, save_adapter
from gi_bench.baselines.florence2.backbone import load_backbone
from gi_bench.baselines.training.tiny import architecture as tiny
from tests.command_line import CommandLine
from tests.florence_layout import COMMIT, base_tokenizer, cache_folder, random_network, write_layout

BACKBONE = "florence-community/Florence-2-base"
ADAPTER = "peeache/FL2_VQA_MIX_128_256"
DATASET = "SimulaMet/Kvasir-VQA-x1"
QUESTIONS = ("How many polyps are in the image?", "Is there any text in the image?", "What is the size of the polyp?")
CLASSES = ("polyp_count", "text_presence", "polyp_size")
ATOMIC = ("How many polyps are in the image?", "Is there text?", "What is the size of the polyp?")
ANSWERS = ("one polyp identified", "no text visible", "polyp of 5 to 10 millimeters")

Run = Callable[..., subprocess.CompletedProcess[str]]


def small_config(tokenizer: Any) -> Any:
    """Florence-2-base, but narrow: every file and module that the real one has, 3 million parameters."""
    config = tiny.build_model(tokenizer).config
    config.text_config.no_repeat_ngram_size = None
    return config


def write_dataset(folder: Path, images: int) -> None:
    rows = []
    (folder / "images").mkdir()
    for number in range(images):
        img_id = f"cl8k2u1test{number:04d}"
        random = np.random.default_rng(number)
        pixels = random.integers(0, 255, size=(60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{img_id}.jpg")
        for question, slug, atomic, answer in zip(QUESTIONS, CLASSES, ATOMIC, ANSWERS, strict=True):
            rows.append({
                "img_id": img_id, "complexity": 1, "question": question, "answer": answer,
                "original": json.dumps([{"q": atomic, "a": "1"}]), "question_class": [slug],
                "image": f"https://huggingface.co/datasets/{DATASET}/resolve/main/images/{img_id}.jpg",
            })  # fmt: skip
    (folder / "data").mkdir()
    for split in ("train", "test"):
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{split}-00000-of-00001.parquet")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face cache with backbone (three shards and their index), adapter of rank 128, dataset."""
    import torch

    root = tmp_path_factory.mktemp("hub")
    tokenizer = tiny.build_tokenizer([*QUESTIONS, *ANSWERS], vocab_size=400)
    snapshot = cache_folder(root, BACKBONE)
    network = random_network(small_config(tokenizer), talkative=False)
    write_layout(snapshot, network, tokenizer, tiny.processor_configs(), max_shard_size="4MB")
    assert len(list(snapshot.glob("*.safetensors"))) > 1
    backbone = load_backbone(snapshot)
    torch.manual_seed(1)
    adapter = add_adapter(backbone.network, tokenizer, 128, 256)
    save_adapter(adapter, cache_folder(root, ADAPTER), {})
    (root / f"models--{ADAPTER.replace('/', '--')}" / "snapshots" / COMMIT / "card.json").unlink()
    write_dataset(cache_folder(root, DATASET, "datasets"), images=4)
    return root


@pytest.fixture
def process(cache: Path, tmp_path: Path) -> Run:
    """The command line in a process of its own, offline."""

    def run(*arguments: str, hub: Path = cache) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(hub)}
        return subprocess.run(
            [sys.executable, "-m", "gi_bench.harness.cli", *arguments], cwd=tmp_path, env=environment,
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip

    return run


@pytest.fixture
def gi_bench(gi_bench: CommandLine, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line in this process, offline."""
    gi_bench.offline(cache)
    monkeypatch.chdir(tmp_path)
    return gi_bench


def test_the_whole_path_by_hub_id(process: Run, tmp_path: Path) -> None:
    """Suite, backbone and the authors' checkpoint by their ids: predictions, scores, report, submission."""
    done = process("run", "--model", "multitask_r128", "--suite", "kvasir-vqa-x1/test", "--dtype", "float32")
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = (tmp_path / "runs" / "kvasir-vqa-x1-test").glob("multitask_r128-*")
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["complete"]
    assert manifest["peak_memory_mb"] > 100
    settings = manifest["recipe"]["model"]
    assert settings["backbone"] == "base"
    assert settings["decoding"]["beams"] == 3
    assert "test rows" in settings["note"]
    scores = json.loads((run / "scores.json").read_text())
    assert next(s["n"] for s in scores["scores"] if s["metric"] == "bleu") == 12
    assert any("test rows" in note for note in scores["notes"])
    assert any("subset of 12 rows" in note for note in scores["notes"])
    assert (run.parent / "report.html").exists() or list(tmp_path.rglob("report.html"))
    table = pq.read_table(sorted((run / "predictions").glob("*.parquet"))[0])
    for name in ("confidence", "log_prob", "margin", "entropy"):
        assert all(value is not None for value in table[name].to_pylist()), name


def test_greedy_is_an_option_and_part_of_the_recipe(gi_bench: CommandLine, tmp_path: Path) -> None:
    done = gi_bench("run", "-m", "florence2_zero_shot", "-s", "kvasir-vqa-x1/test", "--beams", "1", "--tasks", "answer")
    assert done.returncode == 0, done.stderr[-2000:]
    (manifest,) = (json.loads(path.read_text()) for path in tmp_path.rglob("manifest.json"))
    assert manifest["recipe"]["model"]["decoding"]["beams"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-m", "multitask_r128", "--checkpoint", "nobody/nothing"), "not in the cache and HF_HUB_OFFLINE is set"),
        (("-m", "florence2_zero_shot", "--backbone", "nobody/nothing"), "cannot get the backbone"),
        (("-m", "florence2_zero_shot", "--backbone", f"{BACKBONE}@no-such-revision"), "cannot get the backbone"),
        (("-m", "multitask_r32", "--checkpoint", ADAPTER), None),
        (
            (
                "-m",
                "multitask_r32",
            ),
            "gi-bench train --model multitask_r32",
        ),
        (("-m", "multitask_r128", "--backbone", "tiny"), None),
    ],
)
def test_what_cannot_be_had_is_one_line(gi_bench: CommandLine, arguments: tuple[str, ...], message: str | None) -> None:
    done = gi_bench("run", "-s", "kvasir-vqa-x1/test", "--tasks", "answer", *arguments)
    if message is None:
        assert done.returncode == 0
        return
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in done.stderr


def test_a_dataset_that_is_not_there_is_one_line(gi_bench: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    gi_bench.offline(tmp_path / "empty")
    done = gi_bench("run", "-m", "blind_constant", "-s", "medico2025-task1")
    assert done.returncode == 2
    assert f"cannot get the dataset {DATASET}" in done.stderr
    assert done.stderr.count("error:") == 1


def _failure(kind: str) -> Exception:
    from huggingface_hub import errors

    refusal = getattr(errors, kind)
    found: Exception = refusal.__new__(refusal)  # making one properly takes a response of the Hub's HTTP client
    return found


@pytest.mark.parametrize(
    ("kind", "words"),
    [("GatedRepoError", "gated"), ("RevisionNotFoundError", "revision"), ("RepositoryNotFoundError", "does not exist")],
)
def test_refusals_of_the_hub_say_what_to_do(kind: str, words: str) -> None:
    from gi_bench.harness.hub import hub_failure

    what, do = hub_failure(_failure(kind), "owner/name")
    assert words in what
    assert do


@pytest.mark.parametrize("damage", ["shard", "tokenizer", "remote code", "architecture"])
def test_damaged_checkpoints_are_one_line(cache: Path, tmp_path: Path, damage: str) -> None:
    import shutil

    from gi_bench.harness.errors import CheckpointError

    folder = tmp_path / "backbone"
    shutil.copytree(cache / f"models--{BACKBONE.replace('/', '--')}" / "snapshots" / COMMIT, folder)
    config = json.loads((folder / "config.json").read_text())
    if damage == "shard":
        sorted(folder.glob("*.safetensors"))[0].unlink()
        message = "1 weight files are missing"
    elif damage == "tokenizer":
        content = json.loads((folder / "tokenizer.json").read_text())
        content["added_tokens"] = [t for t in content["added_tokens"] if not t["content"].startswith("<loc_")]
        (folder / "tokenizer.json").write_text(json.dumps(content))
        message = "no location tokens"
    elif damage == "remote code":
        config["auto_map"] = {"AutoModel": "modeling_florence2.Florence2ForConditionalGeneration"}
        message = "architecture remote code"
    else:
        config["architectures"] = ["BertModel"]
        message = "architecture BertModel"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        load_backbone(folder)


@pytest.mark.slow(reason="a full-size network; a narrow one takes the same path in a quick test")
def test_the_whole_path_at_full_size(process: Run, tmp_path: Path) -> None:
    """Florence-2-base with random weights, rank 128 on all 192 linear modules, by Hub id, in bfloat16 if there is."""
    import torch

    root = tmp_path / "hub"
    tokenizer = base_tokenizer([*QUESTIONS, *ANSWERS])
    snapshot = cache_folder(root, BACKBONE)
    network = random_network(base.base_config())
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(0.231e9, rel=0.01)
    write_layout(
        snapshot, network, tokenizer, tiny.processor_configs(base.IMAGE_SIZE, base.IMAGE_TOKENS), max_shard_size="300MB"
    )
    backbone = load_backbone(snapshot)
    torch.manual_seed(1)
    save_adapter(add_adapter(backbone.network, tokenizer, 128, 256), cache_folder(root, ADAPTER), {})
    del backbone, network
    write_dataset(cache_folder(root, DATASET, "datasets"), images=2)
    done = process("run", "-m", "multitask_r128", "-s", "kvasir-vqa-x1/test", "--tasks", "answer", hub=root)
    assert done.returncode == 0, done.stderr[-2000:]
    (manifest,) = (json.loads(path.read_text()) for path in tmp_path.rglob("manifest.json"))
    assert manifest["complete"]
    assert manifest["recipe"]["dtype"] in {"float32", "bfloat16", "float16"}
