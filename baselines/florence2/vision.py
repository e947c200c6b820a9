"""The vision tower for inference: the network's own weights, with pixels kept channels-last from end to end.

``transformers`` keeps feature maps channels-first for the convolutions and turns them over for every attention and
feed-forward layer; at 768 x 768 pixels a third of the time goes into those copies, into additions on strided tensors
and into activations that fall out of the cache. Here a map is (n, height, width, channels) throughout, additions
happen in place, and a feed-forward layer runs over slices of tokens that stay in the cache. Sums are the same; only
the order in which they are rounded may differ, by the last digits of a float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Floats of a feed-forward slice on a CPU: 8 MB, the fastest of 0.25 to 64 MB where it was measured.
_SLICE_FLOATS = 1 << 21


def encode_pixels(network: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Image features as :meth:`get_image_features` gives them.

    Args:
        network: ``Florence2ForConditionalGeneration`` in evaluation mode.
        pixels: (n, 3, height, width), normalised.

    Returns:
        (n, image tokens, width of the language model).
    """
    tower = network.model.vision_tower
    state = pixels.permute(0, 2, 3, 1).to(tower.convs[0].conv.weight.dtype)
    for embed, blocks in zip(tower.convs, tower.blocks, strict=True):
        state = _embed(embed, state)
        for block in blocks:
            state = _half(block.spatial_block, state, _window_attention)
            state = _half(block.channel_block, state, _channel_attention)
    features: torch.Tensor = network.model.multi_modal_projector(state.permute(0, 3, 1, 2))
    return features


def _embed(embed: Any, state: torch.Tensor) -> torch.Tensor:
    if embed.pre_norm:
        state = embed.norm(state)
    state = _convolve(embed.conv, state)
    return state if embed.pre_norm else embed.norm(state)


def _convolve(conv: Any, state: torch.Tensor) -> torch.Tensor:
    import torch

    weight = conv.weight.contiguous(memory_format=torch.channels_last)
    found = torch.nn.functional.conv2d(
        state.permute(0, 3, 1, 2), weight, conv.bias, conv.stride, conv.padding, groups=conv.groups
    )
    return found.permute(0, 2, 3, 1).contiguous()


def _half(block: Any, state: torch.Tensor, attend: Any) -> torch.Tensor:
    """One block: convolution, attention, convolution, feed-forward, each added to what came in."""
    state = _convolve(block.conv1, state).add_(state)
    state = attend(block, block.norm1(state)).add_(state)
    state = _convolve(block.conv2, state).add_(state)
    return _feed_forward(block.ffn, block.norm2(state)).add_(state)


def _feed_forward(layer: Any, state: torch.Tensor) -> torch.Tensor:
    import torch

    if state.device.type != "cpu":
        found: torch.Tensor = layer(state)
        return found
    rows = state.view(-1, state.shape[-1])
    out = torch.empty_like(rows)
    size = max(64, _SLICE_FLOATS // layer.fc1.out_features)
    for start in range(0, len(rows), size):
        out[start : start + size] = layer(rows[start : start + size])
    return out.view(state.shape)


def _window_attention(block: Any, state: torch.Tensor) -> torch.Tensor:
    """Attention inside windows of ``window_size`` squared tokens."""
    import torch

    layer = block.window_attn
    count, height, width, channels = state.shape
    side, heads = layer.window_size, layer.num_heads
    down, right = -height % side, -width % side
    padded = torch.nn.functional.pad(state, (0, 0, 0, right, 0, down)) if down or right else state
    rows, columns = (height + down) // side, (width + right) // side
    windows = padded.view(count, rows, side, columns, side, channels).permute(0, 1, 3, 2, 4, 5)
    qkv = layer.qkv(windows.reshape(-1, side * side, channels))
    query, key, value = qkv.view(-1, side * side, 3, heads, channels // heads).permute(2, 0, 3, 1, 4)
    seen = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=layer.scale)
    seen = layer.proj(seen.transpose(1, 2).reshape(-1, side * side, channels))
    seen = seen.view(count, rows, columns, side, side, channels).permute(0, 1, 3, 2, 4, 5)
    merged = seen.reshape(count, height + down, width + right, channels)
    cropped: torch.Tensor = merged[:, :height, :width].contiguous()
    return cropped


def _channel_attention(block: Any, state: torch.Tensor) -> torch.Tensor:
    """Attention between channels of a group: tokens are what is summed over."""
    import torch

    layer = block.channel_attn
    count, height, width, channels = state.shape
    tokens, groups = height * width, layer.groups
    qkv = layer.qkv(state.view(count, tokens, channels)).view(count, tokens, 3, groups, channels // groups)
    query, key, value = qkv.permute(2, 0, 3, 4, 1)  # (n, groups, channels of a group, tokens)
    weights = torch.softmax((query @ key.transpose(-1, -2)) * tokens**-0.5, dim=-1)
    seen = (weights @ value).permute(0, 3, 1, 2).reshape(count, tokens, channels)
    found: torch.Tensor = layer.proj(seen)
    return found.view(state.shape)
