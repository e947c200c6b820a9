"""A backbone is whole and plain, or it is refused; what decides its replies is in the recipe."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gi_bench.baselines.florence2.backbone import PictureSettings, check_backbone, load_backbone
from gi_bench.baselines.florence2.decoding import generate
from gi_bench.baselines.florence2.rules import checkpoint_rules
from gi_bench.baselines.registration import HERE, definitions
from gi_bench.harness.errors import CheckpointError, GiBenchError, RunError
from gi_bench.harness.model import BuildContext
from gi_bench.harness.registry import model_entry
from gi_bench.harness.suites.phantom.suite import PhantomSuite

TINY = HERE / "weights" / "tiny-florence2"
# What florence-community/Florence-2-base brings along.
FLORENCE = {
    "_from_model_config": True, "bos_token_id": 0, "decoder_start_token_id": 2, "early_stopping": True,
    "eos_token_id": 2, "forced_bos_token_id": 0, "forced_eos_token_id": 2, "no_repeat_ngram_size": 3, "num_beams": 3,
    "pad_token_id": 1, "transformers_version": "4.57.0",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(TINY, tmp_path / "backbone")


def _weights(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


NAME = "model.language_model.encoder.layers.1.fc1.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop(NAME), f"1 weights are missing, first {NAME}"),
        (lambda t: t.update({"encoder.fc1": t.pop(NAME)}), f"1 weights are missing, first {NAME}"),
        (lambda t: t.update({"extra.weight": t[NAME].clone()}), "1 weights have no place in the network, first extra"),
        (lambda t: t.update({NAME: t[NAME][:5].clone()}), "cannot load the backbone|another shape"),
        (lambda t: t[NAME].fill_(float("nan")), f"NaN or infinity, first in {NAME}"),
        (lambda t: t[NAME][0].fill_(float("inf")), f"NaN or infinity, first in {NAME}"),
    ],
)
def test_weights_that_do_not_fill_the_network_are_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    _weights(folder, change)
    with pytest.raises(CheckpointError, match=words):
        load_backbone(folder)
    assert capfd.readouterr().err == "", "the library's table is not printed beside the one line"


def test_an_adapter_in_the_backbone_s_folder_is_refused(folder: Path) -> None:
    adapter = definitions()["multitask_r32"].bundled("tiny")
    shutil.copy(adapter / "adapter_config.json", folder)
    with pytest.raises(CheckpointError, match="an adapter beside the backbone"):
        load_backbone(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", {"height": 10**6, "width": 10**6}),
        ("size", {"height": 0, "width": 96}),
        ("size", {"shortest_edge": 96}),
        ("size", 96),
        ("image_mean", [0.5]),
        ("image_std", [0.0, 1.0, 1.0]),
        ("image_std", [float("nan")] * 3),
        ("resample", 17),
        ("do_center_crop", True),
        ("do_normalize", False),
        ("rescale_factor", 1.0),
    ],
)
def test_picture_settings_that_are_not_ours_are_refused(folder: Path, key: str, value: Any) -> None:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(CheckpointError, match="cannot read the picture settings"):
        PictureSettings.read(folder)


def test_florence_2_s_own_rules_are_kept_to() -> None:
    rules = checkpoint_rules(FLORENCE, Path())
    assert rules.of_search() == {"forced_first": 0, "forced_last": 2, "no_repeat": 3, "length_penalty": 1.0}
    assert rules.beams == 3
    assert checkpoint_rules({**FLORENCE, "length_penalty": 2}, Path()).length_penalty == 2.0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("repetition_penalty", 1.3),
        ("min_length", 5),
        ("min_new_tokens", 1),
        ("suppress_tokens", [7]),
        ("begin_suppress_tokens", [7]),
        ("bad_words_ids", [[7]]),
        ("early_stopping", False),
        ("early_stopping", "never"),
        ("do_sample", True),
        ("num_beam_groups", 3),
        ("exponential_decay_length_penalty", [5, 1.1]),
        ("forced_decoder_ids", [[1, 2]]),
        ("renormalize_logits", True),
        ("num_return_sequences", 2),
        ("a_rule_of_tomorrow", 3),
        ("num_beams", 0),
        ("length_penalty", "long"),
        ("no_repeat_ngram_size", -1),
        ("forced_bos_token_id", [1]),
    ],
)
def test_other_rules_are_refused_by_name_or_ignored_aloud(key: str, value: Any) -> None:
    content = {**FLORENCE, key: value}
    with pytest.raises(CheckpointError, match=key) as refused:
        checkpoint_rules(content, Path())
    assert "--ignore-generation-config" in refused.value.do
    rules = checkpoint_rules(content, Path(), ignore=True)
    assert rules.of_search() == checkpoint_rules({}, Path()).of_search()
    assert rules.ignored is not None
    assert key in rules.ignored or value == "long"


@pytest.mark.parametrize(
    "neutral",
    [
        {"repetition_penalty": 1.0, "min_length": 0, "num_beam_groups": 1, "diversity_penalty": 0.0, "top_k": 50},
        {"do_sample": False, "temperature": 0.7, "suppress_tokens": None, "bad_words_ids": [], "max_length": 20},
        {"num_return_sequences": 1, "use_cache": True, "output_scores": True, "encoder_no_repeat_ngram_size": 0},
    ],
)
def test_rules_that_change_nothing_are_no_rules(neutral: dict[str, Any]) -> None:
    assert checkpoint_rules({**FLORENCE, **neutral}, Path()) == checkpoint_rules(FLORENCE, Path())


def test_the_rules_of_a_folder_reach_search_and_recipe(folder: Path) -> None:
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**FLORENCE, "num_beams": 2}))
    context = BuildContext(suite=PhantomSuite("validation", 1), backbone=folder)
    told = model_entry("florence2_zero_shot").build(context).settings["decoding"]
    assert (told["beams"], told["forced_first"], told["no_repeat"]) == (2, 0, 3)
    path.write_text(json.dumps({**FLORENCE, "repetition_penalty": 1.5}))
    entry = model_entry("florence2_zero_shot")
    assert entry.check is not None
    with pytest.raises(CheckpointError, match=r"repetition_penalty = 1\.5"):
        entry.check(context)
    context.ignore_rules = True
    settings = entry.build(context).settings
    assert settings["decoding"]["beams"] == 3
    assert settings["decoding"]["no_repeat"] == 0
    assert "repetition_penalty" in settings["decoding"]["ignored_rules"]
    assert "rules of the checkpoint were ignored" in settings["note"]


@pytest.mark.parametrize(
    ("key", "value"), [("eos_token_id", 7), ("eos_token_id", [2, 7]), ("decoder_start_token_id", 0)]
)
def test_other_tokens_at_the_ends_are_refused(folder: Path, key: str, value: Any) -> None:
    (folder / "generation_config.json").write_text(json.dumps({key: value}))
    with pytest.raises(CheckpointError, match=f"{key} is"):
        load_backbone(folder)


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": \xff}', "[" * 100_000])
def test_a_damaged_file_of_rules_is_one_line(folder: Path, text: str) -> None:
    (folder / "generation_config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match="cannot be kept to"):
        check_backbone(folder)


def test_a_reply_of_no_tokens_has_no_confidence() -> None:
    import torch

    backbone = load_backbone(TINY)
    with torch.no_grad():  # the end token is all that the head can say
        head = backbone.network.get_output_embeddings()
        head.weight = torch.nn.Parameter(torch.zeros_like(head.weight))
        head.bias = torch.nn.Parameter(torch.zeros(len(head.weight)).index_fill(0, torch.tensor([2]), 9.0))
    features = torch.zeros(1, 37, 128)
    (reply,) = generate(backbone.network, backbone.tokenizer, features, ["wall"], max_new_tokens=5, beams=2)
    assert (reply.text, reply.token_count) == ("", 1)
    assert (reply.confidence, reply.log_prob, reply.margin, reply.entropy) == (None,) * 4
    with torch.no_grad():
        head.weight.fill_(float("nan"))
    with pytest.raises(RunError, match="NaN or infinity instead of probabilities"):
        generate(backbone.network, backbone.tokenizer, features, ["wall"], max_new_tokens=5)


FILES = ("config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")


def test_every_file_that_decides_a_reply_is_in_the_recipe(folder: Path, tmp_path: Path) -> None:
    adapter = shutil.copytree(definitions()["multitask_r32"].bundled("tiny"), tmp_path / "adapter")
    suite = PhantomSuite("validation", 1)

    def settings() -> dict[str, Any]:
        # Trained on the shipped backbone by its card, which is of weights alone.
        return dict(
            model_entry("multitask_r32").build(BuildContext(suite, backbone=folder, checkpoint=adapter)).settings
        )

    before = settings()
    assert {*FILES, "model.safetensors"} <= before["backbone_files"].keys()
    for name in FILES:  # a blank line is another content, and leaves the file readable
        (folder / name).write_text((folder / name).read_text() + " \n")
    config = adapter / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"lora_alpha": 32}))
    after = settings()
    assert {
        name for name in before["backbone_files"] if before["backbone_files"][name] != after["backbone_files"][name]
    } == set(FILES)
    assert before["adapter_files"]["adapter_config.json"] != after["adapter_files"]["adapter_config.json"]
    assert (before["alpha"], after["alpha"], after["rank"]) == (12, 32, 6)
    assert before["backbone_digest"] == after["backbone_digest"]
    card = json.loads((adapter / "card.json").read_text()) | {"added_tokens": ["<MedVQA>"]}
    (adapter / "card.json").write_text(json.dumps(card))
    assert settings()["added_tokens"] == ["<MedVQA>"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('kind = "prior"', 'kind = "pror"', "kind: input should be"),
        ("rank = 32", 'rank = "32"', "rank: input should be a valid integer"),
        ("rank = 32", "ranks = 32", "did you mean 'rank'"),
        ("rank = 64\n", "", "has no rank"),
        ('masks = "sam"', 'masks = "smm"', "masks: input should be"),
        ('layers = "language"', 'layers = "langage"', "layers: input should be"),
        ('train = ["answer"]', 'train = ["anser"]', "train.0: input should be"),
        ("[backbones.tiny]", "[backbone.tiny]", "did you mean 'backbones'"),
        ("default = true", "", "no backbone is the default"),
        ("summary = ", "summary ", "cannot read TOML"),
        ("pixels = 96", "pixels = 0", "sees 0 pixels"),
    ],
)
def test_a_typo_in_the_variants_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, words: str
) -> None:
    from gi_bench.baselines import registration

    text = (HERE / "variants.toml").read_text()
    assert old in text
    (tmp_path / "variants.toml").write_text(text.replace(old, new))
    monkeypatch.setattr(registration, "HERE", tmp_path)
    registration._content.cache_clear()
    try:
        with pytest.raises(GiBenchError, match=words) as found:
            registration.variants()
        assert "variants.toml" in found.value.where
    finally:
        registration._content.cache_clear()
