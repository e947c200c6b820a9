"""Adapters with the module names of microsoft/Florence-2-base, loaded into the native class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gi_bench.baselines.florence2 import base, remote_names
from gi_bench.baselines.florence2.adapters import with_adapter
from gi_bench.baselines.florence2.backbone import Backbone, load_backbone
from gi_bench.baselines.registration import HERE, definitions
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.model import BuildContext
from gi_bench.harness.registry import model_entry
from gi_bench.harness.suites.phantom.suite import PhantomSuite

TINY = HERE / "weights" / "tiny-florence2"


def pairs(depths: list[int], encoder: int, decoder: int) -> dict[str, str]:
    """Original module -> native module, written out layer by layer from the two module trees."""
    found = {}
    for stage, depth in enumerate(depths):
        for number in range(depth):
            old, new = f"vision_tower.blocks.{stage}.{number}", f"model.vision_tower.blocks.{stage}.{number}"
            for block, attention in (("spatial_block", "window_attn"), ("channel_block", "channel_attn")):
                found[f"{old}.{block}.{attention}.fn.qkv"] = f"{new}.{block}.{attention}.qkv"
                found[f"{old}.{block}.{attention}.fn.proj"] = f"{new}.{block}.{attention}.proj"
                found[f"{old}.{block}.ffn.fn.net.fc1"] = f"{new}.{block}.ffn.fc1"
                found[f"{old}.{block}.ffn.fn.net.fc2"] = f"{new}.{block}.ffn.fc2"
    for part, layers, attentions in (
        ("encoder", encoder, ["self_attn"]),
        ("decoder", decoder, ["self_attn", "encoder_attn"]),
    ):
        for number in range(layers):
            old, new = f"language_model.model.{part}.layers.{number}", f"model.language_model.{part}.layers.{number}"
            for attention in attentions:
                for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    found[f"{old}.{attention}.{projection}"] = f"{new}.{attention}.{projection}"
            for layer in ("fc1", "fc2"):
                found[f"{old}.{layer}"] = f"{new}.{layer}"
    return found


def skeleton(names: dict[str, str], network: Any) -> Any:
    """Linear layers of the native shapes in a module tree with the original names."""
    import torch

    root = torch.nn.Module()
    for old, new in names.items():
        *path, leaf = old.split(".")
        parent = root
        for step in path:
            if not hasattr(parent, step):
                parent.add_module(step, torch.nn.Module())
            parent = getattr(parent, step)
        shape = network.get_submodule(new).weight.shape
        parent.add_module(leaf, torch.nn.Linear(shape[1], shape[0]))
    return root


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone(TINY)


@pytest.fixture(scope="module")
def published(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter as the authors' script makes it: peft on the original names, saved by peft."""
    import torch
    from peft import LoraConfig, get_peft_model

    names = pairs([1, 1, 1, 1], 2, 2)
    torch.manual_seed(0)
    config = LoraConfig(r=128, lora_alpha=256, lora_dropout=0.05, bias="none", target_modules=list(names),
                        task_type="FEATURE_EXTRACTION")  # fmt: skip
    model = get_peft_model(skeleton(names, backbone.network), config)
    for name, value in model.named_parameters():
        if "lora_" in name:
            value.data = torch.randn_like(value) * 0.02
    folder = tmp_path_factory.mktemp("published")
    model.save_pretrained(folder)
    content = json.loads((folder / "adapter_config.json").read_text())
    content["base_model_name_or_path"] = "microsoft/Florence-2-base"
    content["auto_mapping"] = {"base_model_class": "Florence2ForConditionalGeneration",
                               "parent_library": "transformers_modules.microsoft.modeling_florence2"}  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(content))
    return folder


def test_every_tensor_lands_where_it_belongs(backbone: Backbone, published: Path) -> None:
    from safetensors.torch import load_file

    names = pairs([1, 1, 1, 1], 2, 2)
    tensors = load_file(published / "adapter_model.safetensors")
    assert len(tensors) == 2 * len(names)
    assert all(remote_names.is_remote(name) for name in tensors)
    adapted = with_adapter(backbone, published)
    assert adapted.names == "microsoft"
    before, after = backbone.network.state_dict(), adapted.network.state_dict()
    for old, new in names.items():
        a = tensors[f"base_model.model.{old}.lora_A.weight"]
        b = tensors[f"base_model.model.{old}.lora_B.weight"]
        expected = before[f"{new}.weight"] + 256 / 128 * (b @ a)
        assert (after[f"{new}.weight"] - expected).abs().max() < 1e-5, new
    changed = {f"{new}.weight" for new in names.values()}
    for name, value in before.items():
        assert name in changed or (after[name] == value).all(), name


def test_the_mapping_covers_florence_2_base_and_loses_nothing() -> None:
    import torch
    from transformers import Florence2ForConditionalGeneration

    names = pairs([1, 1, 9, 1], 6, 6)
    assert len(names) == 192
    assert {old: remote_names.native_name(old) for old in names} == names
    with torch.device("meta"):
        network = Florence2ForConditionalGeneration(base.base_config())
    linear = {name for name, module in network.named_modules() if isinstance(module, torch.nn.Linear)}
    rest = linear - set(names.values())
    # In the original the image projection is a bare parameter, which LoRA does not reach.
    assert rest == {"model.multi_modal_projector.image_projection", "lm_head"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("vision_tower.convs.2.proj.weight", "model.vision_tower.convs.2.conv.weight"),
        ("vision_tower.convs.2.norm.bias", "model.vision_tower.convs.2.norm.bias"),
        ("vision_tower.blocks.2.8.channel_block.conv1.fn.dw.weight",
         "model.vision_tower.blocks.2.8.channel_block.conv1.weight"),
        ("vision_tower.blocks.0.0.spatial_block.window_attn.norm.weight",
         "model.vision_tower.blocks.0.0.spatial_block.norm1.weight"),
        ("vision_tower.blocks.0.0.channel_block.ffn.norm.bias",
         "model.vision_tower.blocks.0.0.channel_block.norm2.bias"),
        ("language_model.model.shared.weight", "model.language_model.shared.weight"),
        ("language_model.lm_head.weight", "lm_head.weight"),
        ("image_projection", "model.multi_modal_projector.image_projection"),
        ("image_pos_embed.row_embeddings.weight",
         "model.multi_modal_projector.image_position_embed.row_embeddings.weight"),
        ("base_model.model.vision_tower.blocks.0.0.spatial_block.ffn.fn.net.fc1.lora_A.weight",
         "base_model.model.model.vision_tower.blocks.0.0.spatial_block.ffn.fc1.lora_A.weight"),
    ],
)  # fmt: skip
def test_other_tensors_of_the_original(old: str, new: str) -> None:
    assert remote_names.native_name(old) == new
    assert remote_names.is_remote(old)
    assert not remote_names.is_remote(new)


@pytest.mark.parametrize("damage", ["drop", "add", "shape"])
def test_a_tensor_too_few_too_many_or_misshapen_is_refused(
    backbone: Backbone, published: Path, tmp_path: Path, damage: str
) -> None:
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "adapter"
    shutil.copytree(published, folder)
    tensors = load_file(folder / "adapter_model.safetensors")
    first = sorted(tensors)[0]
    if damage == "drop":
        del tensors[first]
    elif damage == "add":
        tensors["base_model.model.vision_tower.blocks.7.0.spatial_block.ffn.fn.net.fc1.lora_A.weight"] = torch.ones(
            2, 2
        )
    else:
        tensors[first] = torch.ones(128, 3)
    save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="made for another backbone"):
        with_adapter(backbone, folder)


def test_another_rank_runs_and_is_told(published: Path) -> None:
    suite = PhantomSuite("validation", 1)
    model = model_entry("multitask_r32").build(BuildContext(suite=suite, checkpoint=published))
    assert (model.settings["rank"], model.settings["alpha"]) == (128, 256)
    assert model.settings["note"] == "the adapter has rank 128 and alpha 256, multitask_r32 has 6 and 12"


def test_the_original_s_prompt_keeps_its_two_spaces(published: Path) -> None:
    suite = PhantomSuite("validation", 1)
    model = model_entry("multitask_r128").build(BuildContext(suite=suite, checkpoint=published))
    assert model.settings["decoding"]["microsoft_prompts"] is True
    from gi_bench.baselines.florence2.prompts import ground_prompt

    assert ground_prompt("pink polyp", microsoft=True) == "Locate  pink polyp in the image with mask"


def test_the_published_checkpoint_is_recorded_with_its_caveat() -> None:
    variant = definitions()["multitask_r128"]
    assert variant.published == "peeache/FL2_VQA_MIX_128_256"
    assert "test rows" in variant.published_note
