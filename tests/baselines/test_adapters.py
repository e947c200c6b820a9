"""What loads is the adapter: merged it computes what peft computes unmerged, or it is refused by name."""

from __future__ import annotations

import copy
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from gi_bench.baselines.florence2 import remote_names
from gi_bench.baselines.florence2.adapters import with_adapter
from gi_bench.baselines.florence2.backbone import Backbone, load_backbone
from gi_bench.baselines.registration import HERE
from gi_bench.harness.errors import CheckpointError

TINY = HERE / "weights" / "tiny-florence2"
LANGUAGE = "model.language_model."
ATTENTION = ["q_proj", "v_proj"]

KINDS: dict[str, dict[str, Any]] = {
    "stabilised": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {r"encoder\.layers\.\d+\..*v_proj": 40}},
    "patterns of whole paths": {
        "rank_pattern": {f"{LANGUAGE}encoder.layers.0.self_attn.q_proj": 3},
        "alpha_pattern": {f"{LANGUAGE}decoder.layers.1.encoder_attn.v_proj": 40},
    },
    "decomposed": {"use_dora": True, "target_modules": ["q_proj", "qkv"]},
    "head": {"target_modules": ["lm_head", "fc1"]},
    "embeddings": {"target_modules": ["shared"]},
    "every shared layer": {"target_modules": ["lm_head", "shared", "embed_tokens"]},
    "saved head": {"modules_to_save": ["lm_head"]},
    "saved embeddings, tied": {"modules_to_save": ["shared"], "ensure_weight_tying": True},
    "saved by its whole path": {"modules_to_save": [f"{LANGUAGE}encoder.layers.0.fc1"]},
    "all biases": {"bias": "all"},
    "own bias": {"lora_bias": True},
    "trained tokens": {"trainable_token_indices": {"shared": [5, 1924]}},
    "trained tokens, two layers": {"trainable_token_indices": {"shared": [5], "lm_head": [7]}},
    "some layers": {"layers_to_transform": [0], "exclude_modules": r".*encoder_attn.*"},
    "turned": {"fan_in_fan_out": True, "target_modules": "all-linear"},
    "principal": {"init_lora_weights": "pissa", "target_modules": ["v_proj"]},
}


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone(TINY)


def _logits(backbone: Backbone, network: Any) -> Any:
    """Of a picture, a prompt and a reply, with the tokens of the tests in them."""
    import torch

    random = torch.Generator().manual_seed(1)
    pixels = torch.randn((1, 3, 96, 96), generator=random)
    text = torch.tensor([[0, 5, 7, 900, 1500, 1924, 1925, 2]])
    image = torch.full((1, 37), network.config.image_token_id)
    with torch.inference_mode():
        return network(
            input_ids=torch.cat([image, text], 1), pixel_values=pixels, decoder_input_ids=text, use_cache=False
        ).logits


def _saved(network: Any, folder: Path, **config: Any) -> Path:
    """An adapter with random weights, as peft saves it."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(network, LoraConfig(**{"r": 8, "lora_alpha": 16, "target_modules": ATTENTION, **config}))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data.add_(torch.randn_like(parameter) * 0.05)
        model.peft_config["default"].base_model_name_or_path = None  # peft would look for it on the Hub
        model.base_model.model.name_or_path = ""
        model.save_pretrained(folder)
    return folder


def _unmerged(backbone: Backbone, folder: Path) -> Any:
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _logits(backbone, PeftModel.from_pretrained(copy.deepcopy(backbone.network), folder).eval())


@pytest.mark.parametrize("kind", KINDS)
def test_merged_equals_unmerged(backbone: Backbone, tmp_path: Path, kind: str) -> None:
    folder = _saved(copy.deepcopy(backbone.network), tmp_path, **KINDS[kind])
    expected, found = _unmerged(backbone, folder), _logits(backbone, with_adapter(backbone, folder).network)
    assert (expected - found).abs().max() < 1e-4
    assert (found - _logits(backbone, backbone.network)).abs().max() > 0.05, "and it is another network"


def test_patterns_in_the_original_s_names_reach_their_modules(backbone: Backbone, tmp_path: Path) -> None:
    """peft on a tree with the names of microsoft/Florence-2-base; the sums are done here by hand."""
    import torch
    from safetensors.torch import load_file

    natives = [n for n, m in backbone.network.named_modules() if isinstance(m, torch.nn.Linear) and "_proj" in n]
    names = {native: remote for native in natives if (remote := remote_names.remote_name(native))}
    root = torch.nn.Module()
    for native, remote in names.items():
        *path, leaf = remote.split(".")
        place = root
        for step in path:
            if not hasattr(place, step):
                place.add_module(step, torch.nn.Module())
            place = getattr(place, step)
        shape = backbone.network.get_submodule(native).weight.shape
        place.add_module(leaf, torch.nn.Linear(shape[1], shape[0]))
    root.config, root.base_model = None, root  # type: ignore[assignment]
    layer = "language_model.model.encoder.layers.0.self_attn"
    ranks, alphas = {f"{layer}.q_proj": 3}, {r"decoder\.layers\.1\..*v_proj": 40}
    del root.config, root.base_model
    folder = _saved(root, tmp_path, rank_pattern=ranks, alpha_pattern=alphas)
    adapted = with_adapter(backbone, folder)
    assert (adapted.names, adapted.rank, adapted.ranks, adapted.alphas) == ("microsoft", 8, (3, 8), (16.0, 40.0))
    tensors = load_file(folder / "adapter_model.safetensors")
    for native, remote in names.items():
        if remote.rpartition(".")[2] not in ATTENTION:
            continue
        first, second = (tensors[f"base_model.model.{remote}.lora_{one}.weight"] for one in "AB")
        alpha = 40 if "decoder.layers.1" in remote and remote.endswith("v_proj") else 16
        expected = backbone.network.get_submodule(native).weight + alpha / len(first) * (second @ first)
        assert (adapted.network.get_submodule(native).weight - expected).abs().max() < 1e-5, native
    # Converted by somebody: tensors in native names, patterns still in those of the original.
    from safetensors.torch import save_file

    save_file(remote_names.native_tensors(tensors), folder / "adapter_model.safetensors")
    again = with_adapter(backbone, folder)
    assert (again.names, again.ranks, again.alphas) == ("native", (3, 8), (16.0, 40.0))
    assert (_logits(backbone, again.network) - _logits(backbone, adapted.network)).abs().max() < 1e-5


def test_names_of_both_trees_are_a_round_trip(backbone: Backbone) -> None:
    found = [native for native, _ in backbone.network.named_modules() if remote_names.remote_name(native)]
    assert len({remote_names.remote_name(native) for native in found}) == len(found) > 200
    assert all(remote_names.native_name(remote_names.remote_name(native) or "") == native for native in found)


@pytest.fixture(scope="module")
def plain(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _saved(copy.deepcopy(backbone.network), tmp_path_factory.mktemp("plain"))


def _edited(plain: Path, folder: Path, **keys: Any) -> Path:
    shutil.copytree(plain, folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    return folder


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("use_sparse_magic", True, "use_sparse_magic = true, which this version of peft does not know"),
        ("use_qalora", True, "use_qalora = true"),
        ("megatron_config", {"tensor_parallel": 2}, "megatron_config"),
        ("layer_replication", [[0, 1]], "layer_replication"),
        ("alora_invocation_tokens", [1], "alora_invocation_tokens"),
        ("arrow_config", {"top_k": 2}, "arrow_config"),
        ("init_lora_weights", "pissa_niter_4", "init_lora_weights"),
        ("init_lora_weights", "loftq", "init_lora_weights"),
        ("peft_type", "IA3", "'IA3', LORA is needed"),
        ("alpha_pattern", {"no_such_layer": 3}, "alpha_pattern names no_such_layer"),
        ("rank_pattern", {"q_proj": 4}, "another shape"),
        ("r", 0, "r is 0"),
        ("lora_alpha", "16", 'lora_alpha is "16"'),
        ("r", True, "r is true"),
        ("target_modules", None, "peft refuses"),
        ("target_modules", ["no_such_layer"], "cannot load the adapter|peft"),
        ("target_modules", "(", "cannot load the adapter"),
        ("modules_to_save", ["lm_head"], "places of this backbone have no tensor"),
    ],
)
def test_what_is_not_understood_is_named(
    backbone: Backbone, plain: Path, tmp_path: Path, key: str, value: Any, words: str
) -> None:
    with pytest.raises(CheckpointError, match=words.replace("(", r"\(") if "|" not in words else words):
        with_adapter(backbone, _edited(plain, tmp_path / "a", **{key: value}))


def test_unknown_keys_that_are_off_do_no_harm(backbone: Backbone, plain: Path, tmp_path: Path) -> None:
    folder = _edited(plain, tmp_path / "a", use_sparse_magic=False, sparse_config=None, peft_version="9.0")
    assert with_adapter(backbone, folder).rank == 8


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(backbone: Backbone, plain: Path, tmp_path: Path, value: float) -> None:
    from safetensors.torch import load_file, save_file

    folder = _edited(plain, tmp_path / "a")
    tensors = load_file(folder / "adapter_model.safetensors")
    name = sorted(tensors)[3]
    tensors[name][0, 0] = value
    save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=f"NaN or infinity, first in {name}"):
        with_adapter(backbone, folder)
