"""Puts the tensors of an adapter in their places in a network and merges them into its weights.

What comes out computes what the adapter computes unmerged. Where weights are shared (the head, the embeddings of
encoder and decoder), a layer with an adapter gets weights of its own first: an update of one would be an update of all.
Adapters that are more than low-rank updates are proved on a made-up picture: unmerged, then merged, and refused where
the two differ.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.baselines.florence2 import remote_names
from gi_bench.baselines.florence2.adapter_config import in_native_names, is_plain, unusable, with_known_patterns
from gi_bench.harness.errors import CheckpointError

# Largest difference of a logit that rounding may make, as a share of the largest logit (at least 1).
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Merged:
    """What became of an adapter.

    Attributes:
        network: with the adapter in its weights, of the precision that it had.
        names: ``native``, or ``microsoft`` for an adapter in the names of the original repository's code.
        ranks, alphas: those that its modules have, smallest first.
    """

    network: Any
    names: str
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]


def merge(network: Any, config: Any, tensors: Mapping[str, Any], folder: Path, probe: Callable[[Any], Any]) -> Merged:
    """Merge an adapter into a network, in place.

    Args:
        network: the backbone's own copy for this adapter.
        config: ``peft.LoraConfig`` as it was read.
        tensors: the adapter's, by name.
        folder: for messages.
        probe: logits of a network for a made-up picture and prompt, to prove what is not plain.

    Raises:
        CheckpointError: a tensor has no place, a place no tensor, or merging would change what the adapter computes.
    """
    from peft import set_peft_model_state_dict

    names = "microsoft" if any(remote_names.is_remote(name) for name in tensors) else "native"
    dtype = network.dtype
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tied weights, which are untied below, and of names that peft looks for
        try:
            config, tensors = _named(config, tensors, names, network, folder)
            model = _wrapped(network, config)
            _account(model, tensors, folder)
            proves = not is_plain(config) or not _is_ordinary(model) or _untie(model, dry=True)
            if proves:
                model = model.float()
            set_peft_model_state_dict(model, {name: value.float() for name, value in tensors.items()})
            expected = probe(model) if proves else None
            ranks, alphas = _measured(model)
            _untie(model)
            merged = model.merge_and_unload()
        except CheckpointError:
            raise
        except Exception as error:  # peft has a kind of its own for nearly everything
            why = (str(error).splitlines() or [""])[0][:200]
            raise unusable(folder, f"peft refuses it on this backbone: {why or type(error).__name__}") from error
    if expected is not None:
        _prove(expected, probe(merged), folder)
    return Merged(merged.to(dtype), names, ranks, alphas)


def _named(
    config: Any, tensors: Mapping[str, Any], names: str, network: Any, folder: Path
) -> tuple[Any, Mapping[str, Any]]:
    """Configuration and tensors in native names."""
    if names == "native":
        return with_known_patterns(config, [name for name, _ in network.named_modules()], folder), tensors
    try:
        return in_native_names(config, network, list(tensors), folder), remote_names.native_tensors(tensors)
    except ValueError as error:
        raise unusable(folder, str(error)) from error


def _wrapped(network: Any, config: Any) -> Any:
    """The network with empty places for the adapter."""
    from peft import PeftModel

    network.requires_grad_(False)
    return PeftModel(network, config).eval()


def _account(model: Any, tensors: Mapping[str, Any], folder: Path) -> None:
    """Refuse an adapter with a tensor too many, too few, or of another shape."""
    from peft import get_peft_model_state_dict

    def shapes(embeddings: bool) -> dict[str, Any]:
        state = get_peft_model_state_dict(model, save_embedding_layers=embeddings)
        return {name: value.shape for name, value in state.items()}

    needed = shapes(embeddings=False)
    # peft stores the embeddings too where their number changed in training, or where it was told to.
    allowed = {**shapes(embeddings=True), **needed}
    left = sorted(set(tensors) - set(allowed))
    empty = sorted(set(needed) - set(tensors))
    if left and model.peft_config["default"].ensure_weight_tying:
        raise unusable(folder, f"its ensure_weight_tying ties {left[0]}, which cannot be repeated on this backbone")
    shaped = sorted(name for name in tensors if name in allowed and allowed[name] != tensors[name].shape)
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


def _measured(model: Any) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Ranks and alphas of the modules, without repetition."""
    from peft.tuners.lora import LoraLayer

    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    ranks = {int(rank) for layer in layers for rank in layer.r.values()}
    alphas = {float(alpha) for layer in layers for alpha in layer.lora_alpha.values()}
    return tuple(sorted(ranks)), tuple(sorted(alphas))


def _untie(model: Any, *, dry: bool = False) -> bool:
    """Give layers with an adapter weights of their own where other layers share them.

    Args:
        dry: only say whether there is one.

    Returns:
        Whether there was one.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    users: dict[int, set[int]] = defaultdict(set)
    for module in model.modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                users[id(parameter)].add(id(module))
    layers = [
        base
        for module in model.modules()
        if isinstance(module, BaseTunerLayer) and hasattr((base := module.get_base_layer()), "_parameters")
    ]
    together = _trained_together(model)
    shared = [
        (base, name, parameter)
        for base in layers
        for name, parameter in base._parameters.items()
        if parameter is not None and len(users[id(parameter)]) > 1 and not users[id(parameter)] <= together
    ]
    if not dry:
        for base, name, parameter in shared:
            base._parameters[name] = torch.nn.Parameter(parameter.detach().clone(), requires_grad=False)
    return bool(shared)


def _trained_together(model: Any) -> set[int]:
    """Layers whose trained tokens are those of the input embeddings: writing them once or often is the same."""
    try:
        from peft.tuners.trainable_tokens.layer import TrainableTokensLayer
    except ImportError:
        return set()
    layers = [module for module in model.modules() if isinstance(module, TrainableTokensLayer)]
    deltas = {id(value) for layer in layers for value in layer.trainable_tokens_delta.values()}
    if len(deltas) != 1:
        return set()
    return {id(layer.get_base_layer()) for layer in layers} - {id(base) for base in _lora_bases(model)}


def _lora_bases(model: Any) -> list[Any]:
    """The layers that have a low-rank update."""
    from peft.tuners.lora import LoraLayer

    return [module.get_base_layer() for module in model.modules() if isinstance(module, LoraLayer)]


def _is_ordinary(model: Any) -> bool:
    """Whether all low-rank updates are of linear layers and convolutions."""
    import torch

    return all(type(base) in (torch.nn.Linear, torch.nn.Conv2d) for base in _lora_bases(model))


def _prove(expected: Any, found: Any, folder: Path) -> None:
    """Refuse merged weights that do not give what the adapter gives unmerged."""
    import torch

    limit = _TOLERANCE * max(1.0, float(expected.abs().max()))
    if not bool(torch.isfinite(expected).all()) or float((expected - found).abs().max()) > limit:
        raise unusable(folder, "merged into the backbone it would not compute what it computes unmerged")
