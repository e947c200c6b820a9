"""LoRA adapters on a Florence-2 backbone: made for training, saved small, merged for inference."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.florence2 import remote_names
from gi_bench.baselines.florence2.backbone import Backbone, weights_digest
from gi_bench.baselines.florence2.prompts import ANSWER_TOKEN, EXPLAIN_TOKEN
from gi_bench.harness.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Every attention and feed-forward projection, the vision tower's included, as in the paper's code.
TARGET_MODULES = ("qkv", "proj", "fc1", "fc2", "q_proj", "k_proj", "v_proj", "out_proj")
# The same, in the language model only.
_LANGUAGE_MODULES = r".*\blanguage_model\..*\.(fc1|fc2|q_proj|k_proj|v_proj|out_proj)"
DROPOUT = 0.05
CARD = "card.json"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
TRAINING_IMAGES = "training_images.txt"


def new_task_tokens(tokenizer: Any) -> list[int]:
    """Ids of the task tokens that the tokenizer knows as single tokens; their embeddings are trained."""
    known = tokenizer.get_added_vocab()
    return [known[token] for token in (ANSWER_TOKEN, EXPLAIN_TOKEN) if token in known]


def add_task_tokens(network: Any, tokenizer: Any, tokens: Sequence[str] = (ANSWER_TOKEN, EXPLAIN_TOKEN)) -> list[str]:
    """Make tokens single ones, in place; new embeddings start as the mean of all others.

    Args:
        network: grows where its embedding has no row to spare.
        tokenizer: learns the tokens.
        tokens: what to add; those that the tokenizer has already are left alone.

    Returns:
        The tokens that were added.
    """
    import torch
    from tokenizers import AddedToken

    new = [token for token in tokens if token not in tokenizer.get_vocab()]
    if not new:
        return []
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in new])
    table = network.get_input_embeddings().weight
    mean = table.detach().float().mean(dim=0)
    if len(tokenizer) > len(table):
        network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        for token in new:
            place = tokenizer.convert_tokens_to_ids(token)
            network.get_input_embeddings().weight[place] = mean.to(table.dtype)
    return new


def add_adapter(
    network: Any, tokenizer: Any, rank: int, alpha: int, dropout: float = DROPOUT, *, layers: str = "all"
) -> Any:
    """Wrap a network with fresh trainable LoRA weights; everything else is frozen.

    Args:
        network: the backbone's network; its modules are replaced in place.
        rank, alpha: of the low-rank update (scaled by alpha / rank).
        layers: ``all`` linear layers, or those of the ``language`` model only.

    Returns:
        The peft model.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=_LANGUAGE_MODULES if layers == "language" else list(TARGET_MODULES),
        trainable_token_indices={"shared": new_task_tokens(tokenizer)} if new_task_tokens(tokenizer) else None,
        task_type="FEATURE_EXTRACTION",
    )
    with warnings.catch_warnings():
        # peft asks transformers for a name that it has renamed; nothing that a user could act on.
        warnings.simplefilter("ignore")
        return get_peft_model(network, config)


def save_adapter(model: Any, folder: Path, card: Mapping[str, Any]) -> None:
    """Write adapter weights (float16 safetensors), their config and the card."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in sorted(get_peft_model_state_dict(model, save_embedding_layers=False).items())
    }
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)
    config = model.peft_config["default"]
    config.base_model_name_or_path = str(card.get("backbone", ""))
    config.inference_mode = True
    config.save_pretrained(folder)
    (folder / CARD).write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any]:
    """The card beside the weights; empty if there is none (adapters made elsewhere)."""
    try:
        content = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_training_images(folder: Path, img_ids: Iterable[str]) -> None:
    """Write the list of images that an adapter was trained on, one id a line."""
    (folder / TRAINING_IMAGES).write_text("".join(f"{i}\n" for i in sorted(set(img_ids))), encoding="utf-8")


def read_training_images(folder: Path) -> frozenset[str] | None:
    """Ids of the images that an adapter was trained on; None where the list is not there."""
    try:
        return frozenset((folder / TRAINING_IMAGES).read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        return None


@dataclass(frozen=True)
class Adapted:
    """A backbone's network with an adapter merged into it.

    Attributes:
        network: in evaluation mode, of the backbone's dtype.
        digest: of the adapter's weights.
        names: ``native``, or ``microsoft`` for an adapter that was trained on the original repository's code.
        tokenizer: the backbone's, with the tokens that the adapter was trained with.
    """

    network: Any
    digest: str
    names: str
    tokenizer: Any


def with_adapter(backbone: Backbone, folder: Path, *, rank: int | None = None) -> Adapted:
    """A copy of the backbone's network with an adapter merged into it.

    The backbone itself stays as it is, so that several variants can share it. Every tensor of the adapter finds its
    place and every place its tensor, or the adapter is refused.

    Args:
        rank: refuse adapters of another rank; None takes any.

    Raises:
        CheckpointError: the adapter is damaged, or was made for another backbone or rank.
    """
    from safetensors.torch import load_file

    digest = weights_digest(folder)
    card = read_card(folder)
    made_for = card.get("backbone_digest")
    if made_for is not None and made_for != backbone.digest:
        raise CheckpointError(
            f"the adapter was trained on backbone {made_for}, not on {backbone.digest}",
            where=folder,
            do="give the backbone that it belongs to with --backbone",
        )
    config = _read_config(folder, rank)
    try:
        tensors = load_file(folder / WEIGHTS)
    except Exception as error:  # safetensors has its own kinds for missing, cut and foreign files
        raise _unusable(folder, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}") from error
    names = "microsoft" if any(remote_names.is_remote(name) for name in tensors) else "native"
    if names == "microsoft":
        try:
            tensors = remote_names.native_tensors(tensors)
        except ValueError as error:
            raise _unusable(folder, str(error)) from error
        config.target_modules = {_module(name) for name in tensors}
    network, tokenizer = copy.deepcopy(backbone.network), backbone.tokenizer
    if added := _added_tokens(card, folder):
        tokenizer = copy.deepcopy(tokenizer)
        add_task_tokens(network, tokenizer, added)
    merged = _merge(network, folder, config, tensors)
    return Adapted(merged.to(backbone.network.dtype).eval(), digest, names, tokenizer)


def _added_tokens(card: Mapping[str, Any], folder: Path) -> list[str]:
    """Tokens that the adapter's card says were added; only our own task tokens are."""
    added = card.get("added_tokens") or []
    if not isinstance(added, list) or not set(added) <= {ANSWER_TOKEN, EXPLAIN_TOKEN}:
        raise _unusable(folder, f"{CARD} names tokens that are no task tokens")
    return added


def _unusable(folder: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"cannot load the adapter: {why}",
        where=folder,
        do=f"give a peft adapter folder ({CONFIG} and {WEIGHTS})",
    )


def _module(name: str) -> str:
    """``base_model.model.a.b.lora_A.weight`` -> ``a.b``."""
    return name.removeprefix(remote_names.PEFT_PREFIX).rsplit(".lora_", 1)[0]


def _read_config(folder: Path, rank: int | None) -> Any:
    """The adapter's peft configuration, read as data."""
    from peft import LoraConfig

    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if content.get("peft_type") != "LORA":
            raise ValueError(f"peft_type {content.get('peft_type')!r}, LORA is needed")
        known = {f.name for f in dataclasses.fields(LoraConfig)}
        kept = {key: value for key, value in content.items() if key in known and value is not None}
        for key in ("auto_mapping", "peft_type", "eva_config", "corda_config"):
            kept.pop(key, None)
        kept["inference_mode"] = True
        config = LoraConfig(**kept)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _unusable(folder, f"{CONFIG}: {(str(error).splitlines() or [''])[0][:200]}") from error
    if rank is not None and config.r != rank:
        raise CheckpointError(
            f"the adapter has rank {config.r}, the variant rank {rank}",
            where=folder,
            do="choose the variant of that rank (list them with: gi-bench models), or another --checkpoint",
        )
    return config


def _merge(network: Any, folder: Path, config: Any, tensors: Mapping[str, Any]) -> Any:
    """Put every tensor in its place in the network, and merge."""
    import torch
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    other = "the adapter was made for another backbone"
    do = "give the backbone that it belongs to with --backbone"
    try:
        with warnings.catch_warnings():
            # peft asks transformers for a name that it has renamed; nothing that a user could act on.
            warnings.simplefilter("ignore")
            model = get_peft_model(network, config)
            places = {name: value.shape for name, value in get_peft_model_state_dict(model).items()}
            _account(places, {name: value.shape for name, value in tensors.items()}, folder)
            exact = {name: value.to(torch.float32) for name, value in tensors.items()}
            set_peft_model_state_dict(model, exact)
            return model.merge_and_unload()
    except CheckpointError:
        raise
    except Exception as error:
        first = (str(error).splitlines() or [""])[0][:200]
        raise CheckpointError(f"{other}: {first}", where=folder, do=do) from error


def _account(places: Mapping[str, Any], tensors: Mapping[str, Any], folder: Path) -> None:
    """Refuse an adapter with a tensor too many, too few, or of another shape."""
    left = sorted(set(tensors) - set(places))
    empty = sorted(set(places) - set(tensors))
    shaped = sorted(name for name in places if name in tensors and places[name] != tensors[name])
    for found, what in (
        (left, "tensors have no place in this backbone"),
        (empty, "places of this backbone have no tensor"),
        (shaped, "tensors have another shape than this backbone's"),
    ):
        if found:
            raise CheckpointError(
                f"the adapter was made for another backbone: {len(found)} of {len(tensors)} {what}, first {found[0]}",
                where=folder,
                do="give the backbone that it belongs to with --backbone",
            )


def trainable_count(model: Any) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


__all__: Sequence[str] = [
    "CARD",
    "TARGET_MODULES",
    "Adapted",
    "add_adapter",
    "add_task_tokens",
    "new_task_tokens",
    "read_card",
    "read_training_images",
    "save_adapter",
    "trainable_count",
    "with_adapter",
    "write_training_images",
]
