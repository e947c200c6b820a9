"""LoRA adapters on a Florence-2 backbone: made for training, saved small, merged for inference."""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.florence2.adapter_config import CONFIG, WEIGHTS, read_config, unusable
from gi_bench.baselines.florence2.backbone import Backbone, check_finite, content_digests, weights_digest
from gi_bench.baselines.florence2.merging import merge
from gi_bench.baselines.florence2.prompts import ANSWER_TOKEN, EXPLAIN_TOKEN
from gi_bench.harness.checking import read_text
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.json_text import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

# Every attention and feed-forward projection, the vision tower's included, as in the paper's code.
TARGET_MODULES = ("qkv", "proj", "fc1", "fc2", "q_proj", "k_proj", "v_proj", "out_proj")
# The same, in the language model only.
_LANGUAGE_MODULES = r".*\blanguage_model\..*\.(fc1|fc2|q_proj|k_proj|v_proj|out_proj)"
DROPOUT = 0.05
CARD = "card.json"
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
    if isinstance(config.target_modules, set):
        config.target_modules = sorted(config.target_modules)  # a set's order differs between processes
    config.save_pretrained(folder)
    (folder / CARD).write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any]:
    """The card beside the weights; empty if there is none (adapters made elsewhere).

    Raises:
        CheckpointError: it is damaged: it says which tokens were added and which backbone the adapter is for.
    """
    path, do = folder / CARD, "put the original back; an adapter that was made elsewhere needs none"
    if not os.path.lexists(path):
        return {}
    content = parse_json(read_text(path, do, CheckpointError), path, do, CheckpointError)
    if not isinstance(content, dict):
        raise CheckpointError("the adapter's card is no object", where=path, do=do)
    return content


def write_training_images(folder: Path, img_ids: Iterable[str]) -> None:
    """Write the list of images that an adapter was trained on, one id a line."""
    (folder / TRAINING_IMAGES).write_text("".join(f"{i}\n" for i in sorted(set(img_ids))), encoding="utf-8")


def read_training_images(folder: Path) -> frozenset[str] | None:
    """Ids of the images that an adapter was trained on; None where the list is not there.

    Raises:
        CheckpointError: it cannot be read.
    """
    path = folder / TRAINING_IMAGES
    if not os.path.lexists(path):
        return None
    return frozenset(read_text(path, "put the original back, or take it away", CheckpointError).split())


@dataclass(frozen=True)
class Adapted:
    """A backbone's network with an adapter merged into it.

    Attributes:
        network: in evaluation mode, of the backbone's dtype.
        digest: of the adapter's weights.
        names: ``native``, or ``microsoft`` for an adapter that was trained on the original repository's code.
        tokenizer: the backbone's, with the tokens that the adapter was trained with.
        files: short SHA-256 of every file of the adapter that decides a prediction, by name.
        rank, alpha: as its configuration says.
        ranks, alphas: those of its modules, smallest first; one each where no pattern changes them.
        added_tokens: tokens that its card says were added.
    """

    network: Any
    digest: str
    names: str
    tokenizer: Any
    files: Mapping[str, str]
    rank: int
    alpha: float
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    added_tokens: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """What the recipe says of the adapter."""
        told: dict[str, Any] = {"rank": self.rank, "alpha": self.alpha}
        if self.ranks not in ((), (self.rank,)):
            told["ranks"] = list(self.ranks)
        if self.alphas not in ((), (float(self.alpha),)):
            told["alphas"] = list(self.alphas)
        if self.added_tokens:
            told["added_tokens"] = list(self.added_tokens)
        return told | {"adapter_digest": self.digest, "adapter_files": dict(self.files)}


def with_adapter(backbone: Backbone, folder: Path) -> Adapted:
    """A copy of the backbone's network with an adapter merged into it.

    The backbone itself stays as it is, so that several variants can share it. Every tensor of the adapter finds its
    place and every place its tensor, and what is merged computes what the adapter computes unmerged; or the adapter is
    refused.

    Raises:
        CheckpointError: the adapter is damaged, was made for another backbone, or is of a kind that is not understood.
    """
    # Before the files are read: what is changed meanwhile is another content the next time.
    digest, files = weights_digest(folder), content_digests(folder, (CONFIG, WEIGHTS))
    card = check_adapter(folder, backbone_digest=backbone.digest)
    config = read_config(folder)
    tensors = _tensors(folder)
    network, tokenizer = copy.deepcopy(backbone.network), backbone.tokenizer
    if added := _added_tokens(card, folder):
        tokenizer = copy.deepcopy(tokenizer)
        add_task_tokens(network, tokenizer, added)
    merged = merge(network, config, tensors, folder, partial(_probe, backbone, folder))
    found = merged.network.eval()
    check_finite(
        found.state_dict().items(),
        f"the adapter merged into the backbone (as {str(found.dtype).removeprefix('torch.')})",
        folder,
        do="use --dtype float32, or train the adapter again",
    )
    return Adapted(
        found,
        digest,
        merged.names,
        tokenizer,
        files,
        config.r,
        config.lora_alpha,
        merged.ranks,
        merged.alphas,
        tuple(added),
    )


def check_adapter(folder: Path, *, backbone_digest: str | None = None) -> dict[str, Any]:
    """Everything that can be seen of an adapter without its backbone's weights.

    Args:
        folder: of the adapter.
        backbone_digest: of the backbone that it is for; None where that is not known yet.

    Returns:
        Its card.

    Raises:
        CheckpointError: files are missing or damaged, or it was made for another backbone.
    """
    from safetensors import safe_open

    card = read_card(folder)
    made_for = card.get("backbone_digest")
    if made_for is not None and backbone_digest not in (None, made_for):
        raise CheckpointError(
            f"the adapter was trained on backbone {str(made_for)[:64]}, not on {backbone_digest}",
            where=folder,
            do="give the backbone that it belongs to with --backbone",
        )
    _added_tokens(card, folder)
    read_training_images(folder)
    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as stream:
            if not stream.keys():
                raise ValueError(f"{WEIGHTS} holds no tensor")
    except Exception as error:  # safetensors has its own kinds for missing, cut and foreign files
        raise unusable(folder, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}") from error
    return card


def _tensors(folder: Path) -> dict[str, Any]:
    """The adapter's tensors.

    Raises:
        CheckpointError: damaged, or with a tensor that holds NaN or infinity.
    """
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Any] = load_file(folder / WEIGHTS)
    except Exception as error:
        raise unusable(folder, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}") from error
    check_finite(sorted(tensors.items()), "the adapter", folder)
    return tensors


def _probe(backbone: Backbone, folder: Path, network: Any) -> Any:
    """Logits for a made-up picture and all kinds of tokens, the same every time: (1, tokens, vocabulary).

    Args:
        backbone: whose size of pictures and image tokens they are for.
        folder: for messages.
        network: the copy of the backbone's network, with the adapter beside or in its weights.
    """
    import torch

    random = torch.Generator().manual_seed(0)
    config = backbone.network.config
    device, dtype = next(network.parameters()).device, next(network.parameters()).dtype
    size = (1, 3, backbone.pictures.height, backbone.pictures.width)
    pixels = torch.randn(size, generator=random).to(device, dtype)
    vocabulary = network.get_input_embeddings().weight.shape[0]
    others = torch.arange(3, vocabulary)
    others = others[others != config.image_token_id]
    chosen = others[torch.randperm(len(others), generator=random)[:32]]
    # The last of a vocabulary are those that were added, and trained.
    text = torch.cat([torch.tensor([0]), chosen, others[-8:], torch.tensor([2])])[None].to(device)
    picture = torch.full((1, backbone.image_tokens), config.image_token_id, device=device)
    with torch.inference_mode():
        found = network(
            input_ids=torch.cat([picture, text], dim=1), pixel_values=pixels, decoder_input_ids=text, use_cache=False
        )
    return found.logits.float()


def _added_tokens(card: Mapping[str, Any], folder: Path) -> list[str]:
    """Tokens that the adapter's card says were added; only our own task tokens are."""
    added = card.get("added_tokens") or []
    known = {ANSWER_TOKEN, EXPLAIN_TOKEN}
    if not isinstance(added, list) or not all(isinstance(one, str) and one in known for one in added):
        raise unusable(folder, f"{CARD} names tokens that are no task tokens")
    return added


def trainable_count(model: Any) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


__all__: Sequence[str] = [
    "CARD",
    "CONFIG",
    "TARGET_MODULES",
    "Adapted",
    "add_adapter",
    "add_task_tokens",
    "check_adapter",
    "new_task_tokens",
    "read_card",
    "read_training_images",
    "save_adapter",
    "trainable_count",
    "with_adapter",
    "write_training_images",
]
