"""The configuration of a peft adapter: read as data, every key understood or refused by name.

An adapter that was trained on the original repository's code names modules after that code, in its configuration as in
its tensors. Here both become one: the modules of the native network, each with the rank and the alpha that it has.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gi_bench.baselines.florence2 import remote_names
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.files import refuse_pipes

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

# Says where the adapter comes from, or how it was trained; none of it decides what it computes.
_TOLD = frozenset(
    [
        "auto_mapping",
        "base_model_name_or_path",
        "revision",
        "task_type",
        "peft_type",
        "peft_version",
        "inference_mode",
        "lora_dropout",
        "runtime_config",
        "megatron_core",
        "qalora_group_size",
    ]
)
_UNDERSTOOD = frozenset(
    [
        "r",
        "lora_alpha",
        "target_modules",
        "exclude_modules",
        "layers_to_transform",
        "layers_pattern",
        "rank_pattern",
        "alpha_pattern",
        "fan_in_fan_out",
        "bias",
        "use_rslora",
        "use_dora",
        "lora_bias",
        "modules_to_save",
        "trainable_token_indices",
        "target_parameters",
        "ensure_weight_tying",
        "init_lora_weights",
        "loftq_config",
        "eva_config",
        "corda_config",
        "lora_ga_config",
    ]
)
# How the weights began; the adapter's own take their place. Some ways change the backbone's weights too, and of those
# only the ones that give the same every time can be repeated.
_BEGINNINGS = (None, True, False, "gaussian", "orthogonal", "eva")
_REPEATABLE = ("pissa", "olora")
_SETTINGS_OF_BEGINNINGS = frozenset({"loftq_config", "eva_config", "corda_config", "lora_ga_config"})


def unusable(folder: Path, why: str) -> CheckpointError:
    """The error for an adapter that cannot be loaded."""
    return CheckpointError(
        f"cannot load the adapter: {why}", where=folder, do=f"give a peft adapter folder ({CONFIG} and {WEIGHTS})"
    )


def read_config(folder: Path) -> Any:
    """The configuration of an adapter.

    Returns:
        A ``peft.LoraConfig`` of what decides the computation.

    Raises:
        CheckpointError: it is missing or damaged, of another kind than LoRA, or holds a key that is not understood.
    """
    from peft import LoraConfig

    content = _content(folder)
    known = {one.name for one in dataclasses.fields(LoraConfig)}
    kept: dict[str, Any] = {}
    for key, value in sorted(content.items()):
        if key in _TOLD or key in _SETTINGS_OF_BEGINNINGS or _is_off(value):
            continue
        if key not in known or key not in _UNDERSTOOD:
            why = "this version of peft does not know" if key not in known else "cannot be merged into the backbone"
            raise unusable(folder, f"{CONFIG} holds {key} = {json.dumps(value)[:60]}, which {why}")
        kept[key] = value
    kept["init_lora_weights"] = _beginning(content.get("init_lora_weights"), folder)
    _check_numbers(kept, folder)
    try:
        return LoraConfig(**kept, inference_mode=True)
    except (ValueError, TypeError, AttributeError, ImportError, re.error) as error:
        raise unusable(folder, f"{CONFIG}: {(str(error).splitlines() or [''])[0][:200]}") from error


def _is_off(value: Any) -> bool:
    """Whether a key says nothing, as peft writes every key that it knows; a zero is a value."""
    return value is None or value is False or (isinstance(value, (list, dict, str)) and not value)


def _content(folder: Path) -> dict[str, Any]:
    refuse_pipes(folder, CheckpointError)
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise unusable(folder, f"{CONFIG}: {(str(reason).splitlines() or [''])[0][:200]}") from error
    if not isinstance(content, dict):
        raise unusable(folder, f"{CONFIG}: it is no JSON object")
    if content.get("peft_type") != "LORA":
        raise unusable(folder, f"{CONFIG}: peft_type {str(content.get('peft_type'))[:40]!r}, LORA is needed")
    return content


def _beginning(said: Any, folder: Path) -> Any:
    """The start of the weights as far as it decides the computation."""
    if said in _REPEATABLE:
        return said
    if said not in _BEGINNINGS:
        raise unusable(
            folder,
            f"{CONFIG} holds init_lora_weights = {json.dumps(said)[:60]}, which changes the backbone in a way that "
            "cannot be repeated; save it as plain LoRA (path_initial_model_for_weight_conversion of peft)",
        )
    return True


def _check_numbers(kept: Mapping[str, Any], folder: Path) -> None:
    """Refuse ranks and alphas that are none; peft would fail on them far from here, or not at all."""
    named = [("r", kept.get("r")), ("lora_alpha", kept.get("lora_alpha"))]
    for pattern in ("rank_pattern", "alpha_pattern"):
        table = kept.get(pattern) or {}
        if not isinstance(table, dict):
            raise unusable(folder, f"{CONFIG}: {pattern} is no table")
        named += [(f"{pattern} of {key[:80]}", value) for key, value in table.items()]
    for name, value in named:
        is_rank = name == "r" or name.startswith("rank_pattern")
        kinds = int if is_rank else (int, float)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < 1 << 20:
            raise unusable(folder, f"{CONFIG}: {name} is {json.dumps(value)[:40]}, a number above 0 is needed")


def in_native_names(config: Any, network: Any, tensors: Collection[str], folder: Path) -> Any:
    """The configuration of an adapter with the original repository's names, in names of the native network.

    Args:
        config: ``peft.LoraConfig`` in the original names.
        network: the native network.
        tensors: names of the adapter's tensors.
        folder: for the message.

    Raises:
        CheckpointError: it names a module that the native network does not have.
    """
    import torch
    from peft.tuners.tuners_utils import check_target_module_exists

    names = {native: remote_names.remote_name(native) for native, _ in network.named_modules()}
    remote = {native: name for native, name in names.items() if name is not None}
    if config.target_modules == "all-linear":
        linear = {name for name, module in network.named_modules() if isinstance(module, torch.nn.Linear)}
        targets = [native for native in remote if native in linear and native != "lm_head"]
    else:
        # An excluded module is found by an object that is false.
        targets = [native for native, name in remote.items() if bool(check_target_module_exists(config, name))]
    # peft shortens a long list of names as far as the tree allows that it has at hand. A short name may mean more here;
    # what it means more is of a kind that has no tensor at all.
    made = {_kind(name.removeprefix(remote_names.PEFT_PREFIX).partition(".lora_")[0]) for name in tensors}
    targets = [native for native in targets if _kind(remote[native]) in made]
    if config.target_parameters:
        raise unusable(folder, f"{CONFIG} holds target_parameters, with names of the original repository")

    def found(said: Collection[str] | None, key: str) -> list[str]:
        every: list[str] = []
        for one in said or ():
            places = [native for native, name in remote.items() if name.endswith(one)]
            if not places:
                raise unusable(folder, f"{CONFIG}: {key} names {one[:80]}, which this backbone does not have")
            every += places
        return list(dict.fromkeys(every))

    tokens = config.trainable_token_indices
    if isinstance(tokens, list):
        tokens = {"shared": tokens}
    return dataclasses.replace(
        config,
        target_modules=set(targets),
        exclude_modules=None,
        layers_to_transform=None,
        layers_pattern=None,
        rank_pattern=_spelled_out(config.rank_pattern, remote, targets),
        alpha_pattern=_spelled_out(config.alpha_pattern, remote, targets),
        modules_to_save=found(config.modules_to_save, "modules_to_save") or None,
        trainable_token_indices={
            native: indices
            for layer, indices in (tokens or {}).items()
            for native in found([layer], "trainable_token_indices")
        }
        or None,
    )


def _kind(name: str) -> str:
    """A module's name without the numbers of its layers."""
    return re.sub(r"\.\d+(?=\.|$)", ".N", name)


def _spelled_out(pattern: Mapping[str, Any], names: Mapping[str, str], targets: Collection[str]) -> dict[str, Any]:
    """A pattern of ranks or alphas as one entry a native module, matched by the names it was written for."""
    found = {}
    for native in targets:
        key = next((key for key in pattern if _matches(key, [names[native]])), None)  # the first, as peft takes it
        if key is not None:
            found[re.escape(native)] = pattern[key]
    return found


def with_known_patterns(config: Any, modules: Collection[str], folder: Path) -> Any:
    """A configuration in native names, whose patterns of ranks and alphas may name modules as the original does.

    Args:
        config: ``peft.LoraConfig``.
        modules: native names of all modules.
        folder: for the message.

    Raises:
        CheckpointError: a pattern names nothing in either naming: its rank or alpha would be lost.
    """
    changed = {}
    for kind in ("rank_pattern", "alpha_pattern"):
        table: dict[str, Any] = {}
        for key, value in getattr(config, kind).items():
            if _matches(key, modules):
                table[key] = value
                continue
            places = [one for one in modules if (name := remote_names.remote_name(one)) and _matches(key, [name])]
            if not places:
                raise unusable(folder, f"{CONFIG}: {kind} names {key[:80]}, which this backbone does not have")
            table.update((re.escape(one), value) for one in places)
        changed[kind] = table
    return dataclasses.replace(config, **changed)


def _matches(key: str, names: Collection[str]) -> bool:
    pattern = re.compile(rf"(.*\.)?({key})$")  # as peft matches
    return any(pattern.match(name) for name in names)


def is_plain(config: Any) -> bool:
    """Whether an adapter is low-rank updates alone, as they are made for years: sums that need no proof."""
    return not (
        config.use_dora
        or config.lora_bias
        or config.bias != "none"
        or config.modules_to_save
        or config.target_parameters
        or config.ensure_weight_tying
        or config.fan_in_fan_out
        or config.init_lora_weights is not True
    )
