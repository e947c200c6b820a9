"""LoRA adapters on a Florence-2 backbone: made for training, saved small, merged for inference."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.florence2.backbone import Backbone, weights_digest
from baselines.florence2.prompts import ANSWER_TOKEN, EXPLAIN_TOKEN
from harness.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Every attention and feed-forward projection, the vision tower's included, as in the paper's code.
TARGET_MODULES = ("qkv", "proj", "fc1", "fc2", "q_proj", "k_proj", "v_proj", "out_proj")
DROPOUT = 0.05
CARD = "card.json"


def new_task_tokens(tokenizer: Any) -> list[int]:
    """Ids of the task tokens that the tokenizer knows as single tokens; their embeddings are trained."""
    known = tokenizer.get_added_vocab()
    return [known[token] for token in (ANSWER_TOKEN, EXPLAIN_TOKEN) if token in known]


def add_adapter(network: Any, tokenizer: Any, rank: int, alpha: int, dropout: float = DROPOUT) -> Any:
    """Wrap a network with fresh trainable LoRA weights; everything else is frozen.

    Args:
        network: the backbone's network; its modules are replaced in place.
        rank, alpha: of the low-rank update (scaled by alpha / rank).

    Returns:
        The peft model.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(TARGET_MODULES),
        trainable_token_indices={"shared": new_task_tokens(tokenizer)} if new_task_tokens(tokenizer) else None,
        task_type="FEATURE_EXTRACTION",
    )
    return get_peft_model(network, config)


def save_adapter(model: Any, folder: Path, card: Mapping[str, Any]) -> None:
    """Write adapter weights (float16 safetensors), their config and the card."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in sorted(get_peft_model_state_dict(model).items())
    }
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_model.safetensors").chmod(0o644)
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


def with_adapter(backbone: Backbone, folder: Path) -> tuple[Any, str]:
    """A copy of the backbone's network with an adapter merged into it.

    The backbone itself stays as it is, so that several variants can share it.

    Returns:
        The merged network in evaluation mode and the adapter's digest.

    Raises:
        CheckpointError: the adapter is damaged, or was made for another backbone.
    """
    from peft import PeftModel

    digest = weights_digest(folder)
    made_for = read_card(folder).get("backbone_digest")
    if made_for is not None and made_for != backbone.digest:
        raise CheckpointError(
            f"the adapter was trained on backbone {made_for}, not on {backbone.digest}",
            where=folder,
            do="give the backbone that it belongs to with --backbone",
        )
    try:
        with warnings.catch_warnings():
            # peft asks transformers for a name that it has renamed; nothing that a user could act on.
            warnings.simplefilter("ignore", FutureWarning)
            model = PeftModel.from_pretrained(copy.deepcopy(backbone.network), folder, is_trainable=False)
            merged = model.merge_and_unload()
    except Exception as error:
        first = (str(error).splitlines() or [""])[0][:200]
        raise CheckpointError(
            f"cannot load the adapter: {type(error).__name__}: {first}",
            where=folder,
            do="give a peft adapter folder (adapter_config.json and adapter_model.safetensors)",
        ) from error
    return merged.to(backbone.network.dtype).eval(), digest


def trainable_count(model: Any) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


__all__: Sequence[str] = [
    "CARD",
    "TARGET_MODULES",
    "add_adapter",
    "new_task_tokens",
    "read_card",
    "save_adapter",
    "trainable_count",
    "with_adapter",
]
