"""Module names of ``microsoft/Florence-2-base`` (foreign code) in terms of the native class.

Adapters trained on the original repository name their modules after its code, which we never run. The two networks
are the same; only the wrappers differ. The correspondence was read from the module trees of both: the original wraps
every residual branch in a pre-normalisation (``window_attn.norm`` and ``window_attn.fn``), a depth-wise convolution
in ``fn.dw``, a feed-forward layer in ``fn.net``, and keeps the language model under ``language_model.model``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")

PEFT_PREFIX = "base_model.model."
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^language_model\.model\.", "model.language_model."),
        (r"^language_model\.lm_head\b", "lm_head"),
        (r"^image_proj_norm\b", "model.multi_modal_projector.image_proj_norm"),
        (r"^image_projection$", "model.multi_modal_projector.image_projection"),
        (r"^image_pos_embed\b", "model.multi_modal_projector.image_position_embed"),
        (r"^visual_temporal_embed\b", "model.multi_modal_projector.visual_temporal_embed"),
        (r"^vision_tower\.convs\.(\d+)\.proj\b", r"model.vision_tower.convs.\1.conv"),
        (r"^vision_tower\.", "model.vision_tower."),
        (r"\.(conv[12])\.fn\.dw\b", r".\1"),
        (r"\.(?:window|channel)_attn\.norm\b", ".norm1"),
        (r"\.((?:window|channel)_attn)\.fn\.(qkv|proj)\b", r".\1.\2"),
        (r"\.ffn\.norm\b", ".norm2"),
        (r"\.ffn\.fn\.net\.(fc[12])\b", r".ffn.\1"),
    )
)
_REMOTE = re.compile(r"^(?:vision_tower\.|language_model\.|image_proj|image_pos_embed|visual_temporal_embed)")


def is_remote(name: str) -> bool:
    """Whether a module or tensor name (with or without peft's prefix) is one of the original repository."""
    return _REMOTE.match(name.removeprefix(PEFT_PREFIX)) is not None


def native_name(name: str) -> str:
    """The native name of a module or tensor; peft's prefix and suffixes (``.lora_A.weight``) are kept.

    >>> native_name("vision_tower.blocks.0.0.spatial_block.window_attn.fn.qkv")
    'model.vision_tower.blocks.0.0.spatial_block.window_attn.qkv'
    >>> native_name("base_model.model.language_model.model.encoder.layers.3.fc1.lora_A.weight")
    'base_model.model.model.language_model.encoder.layers.3.fc1.lora_A.weight'
    """
    prefix = PEFT_PREFIX if name.startswith(PEFT_PREFIX) else ""
    bare = name.removeprefix(prefix)
    for pattern, replacement in _RULES:
        bare = pattern.sub(replacement, bare)
    return prefix + bare


# The way back, for what a configuration says of modules by name; every name survives the round trip.
_BACK: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^model\.language_model\.", "language_model.model."),
        (r"^lm_head\b", "language_model.lm_head"),
        (r"^model\.multi_modal_projector\.image_proj_norm\b", "image_proj_norm"),
        (r"^model\.multi_modal_projector\.image_position_embed\b", "image_pos_embed"),
        (r"^model\.multi_modal_projector\.visual_temporal_embed\b", "visual_temporal_embed"),
        (r"^model\.vision_tower\.convs\.(\d+)\.conv\b", r"vision_tower.convs.\1.proj"),
        (r"^model\.vision_tower\.", "vision_tower."),
        (r"(_block)\.(conv[12])\b", r"\1.\2.fn.dw"),
        (r"\.spatial_block\.norm1\b", ".spatial_block.window_attn.norm"),
        (r"\.channel_block\.norm1\b", ".channel_block.channel_attn.norm"),
        (r"\.((?:window|channel)_attn)\.(qkv|proj)\b", r".\1.fn.\2"),
        (r"\.norm2\b", ".ffn.norm"),
        (r"\.ffn\.(fc[12])\b", r".ffn.fn.net.\1"),
    )
)


def remote_name(native: str) -> str | None:
    """The original name of a native module; None for one that the original does not have as a module.

    >>> remote_name("model.vision_tower.blocks.0.0.spatial_block.window_attn.qkv")
    'vision_tower.blocks.0.0.spatial_block.window_attn.fn.qkv'
    >>> remote_name("model.multi_modal_projector.image_projection") is None  # a bare parameter there
    True
    """
    name = native
    for pattern, replacement in _BACK:
        name = pattern.sub(replacement, name)
    return name if is_remote(name) and native_name(name) == native else None


def native_names(names: Iterable[str]) -> dict[str, str]:
    """Original name -> native name.

    Raises:
        ValueError: two originals have one native name (then a tensor would be lost).
    """
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in names:
        native = native_name(name)
        if native in taken:
            raise ValueError(f"{name} and {taken[native]} are both {native}")
        taken[native] = name
        found[name] = native
    return found


def native_tensors(tensors: Mapping[str, T]) -> dict[str, T]:
    """Tensors under their native names, none dropped and none doubled."""
    return {native: tensors[name] for name, native in native_names(tensors).items()}
