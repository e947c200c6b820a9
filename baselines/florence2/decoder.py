"""Florence-2's text decoder, one token a call, with what beams of one prompt share computed once.

The weights are the network's own modules; only the order of the work differs from ``transformers``: keys and
values of the encoder's output are projected once a prompt and read by all its beams (the library repeats encoder
output, keys and values for every beam), and the cache of the decoder's own tokens is written in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_GROWTH = 64


@dataclass
class Memory:
    """What the decoder sees of some prompts.

    Attributes:
        keys, values: one tensor (n, heads, tokens, head width) a layer.
        mask: added to the attention scores, (n, 1, 1, tokens); None if no prompt is padded.
    """

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    mask: torch.Tensor | None

    def select(self, kept: torch.Tensor) -> Memory:
        """The memory of some of the prompts."""
        mask = None if self.mask is None else self.mask[kept]
        return Memory([k[kept] for k in self.keys], [v[kept] for v in self.values], mask)


class Cache:
    """Keys and values of the decoder's own tokens: (layers, rows, heads, length, head width), grown in place."""

    def __init__(self, layers: int, rows: int, heads: int, width: int, like: torch.Tensor, limit: int) -> None:
        self.limit = limit
        self.length = 0
        shape = (layers, rows, heads, min(_GROWTH, limit), width)
        self.keys, self.values = like.new_empty(shape), like.new_empty(shape)

    def make_room(self) -> None:
        """Make sure that one more token fits."""
        import torch

        room = self.keys.shape[3]
        if self.length < room:
            return
        more = min(room, self.limit - room)
        extra = self.keys.new_empty((*self.keys.shape[:3], more, self.keys.shape[4]))
        self.keys = torch.cat([self.keys, extra], dim=3)
        self.values = torch.cat([self.values, torch.empty_like(extra)], dim=3)

    def reorder(self, rows: torch.Tensor) -> None:
        """Give every row the history of another (or drop rows)."""
        kept = self.length
        if len(rows) == self.keys.shape[1]:
            self.keys[:, :, :, :kept] = self.keys[:, rows, :, :kept]
            self.values[:, :, :, :kept] = self.values[:, rows, :, :kept]
        else:
            self.keys, self.values = self.keys[:, rows], self.values[:, rows]


class StepDecoder:
    """The decoder of one network; see :meth:`remember` and :meth:`step`."""

    def __init__(self, network: Any) -> None:
        self._head = network.get_output_embeddings()
        self._decoder = network.model.language_model.decoder
        first = self._decoder.layers[0].self_attn
        self._heads, self._width = first.num_heads, first.head_dim

    def remember(self, hidden: torch.Tensor, mask: torch.Tensor) -> Memory:
        """Project the encoder's output once for all layers.

        Args:
            hidden: (n, tokens, model width).
            mask: (n, tokens), 1 where there is a token.
        """
        import torch

        keys, values = [], []
        for layer in self._decoder.layers:
            attention = layer.encoder_attn
            keys.append(self._split(attention.k_proj(hidden)))
            values.append(self._split(attention.v_proj(hidden)))
        added = None
        if not bool(mask.all()):
            lowest = torch.finfo(hidden.dtype).min
            added = (1 - mask[:, None, None, :].to(hidden.dtype)) * lowest
        return Memory(keys, values, added)

    def cache(self, rows: int, limit: int) -> Cache:
        """An empty cache for that many rows and at most ``limit`` tokens."""
        like = self._decoder.layers[0].self_attn.k_proj.weight
        return Cache(len(self._decoder.layers), rows, self._heads, self._width, like, limit)

    def step(self, tokens: torch.Tensor, memory: Memory, cache: Cache) -> torch.Tensor:
        """Logits after one more token.

        Args:
            tokens: (n, beams) the last token of every hypothesis.
            memory: of the n prompts.
            cache: of the n x beams hypotheses; the token is added to it.

        Returns:
            float32 logits of shape (n, beams, vocabulary).
        """
        import torch

        attend = torch.nn.functional.scaled_dot_product_attention
        count, beams = tokens.shape
        decoder, at = self._decoder, cache.length
        cache.make_room()
        state = decoder.embed_tokens(tokens.reshape(-1))
        state = state + decoder.embed_positions.weight[at + decoder.embed_positions.offset]
        state = decoder.layernorm_embedding(state)
        for number, layer in enumerate(decoder.layers):
            own = layer.self_attn
            cache.keys[number, :, :, at] = own.k_proj(state).view(-1, self._heads, self._width)
            cache.values[number, :, :, at] = own.v_proj(state).view(-1, self._heads, self._width)
            query = own.q_proj(state).view(-1, self._heads, 1, self._width)
            seen = attend(query, cache.keys[number, :, :, : at + 1], cache.values[number, :, :, : at + 1])
            state = layer.self_attn_layer_norm(state + own.out_proj(seen.reshape(count * beams, -1)))
            cross = layer.encoder_attn
            query = cross.q_proj(state).view(count, beams, self._heads, self._width).transpose(1, 2)
            seen = attend(query, memory.keys[number], memory.values[number], attn_mask=memory.mask)
            seen = seen.transpose(1, 2).reshape(count * beams, -1)
            state = layer.encoder_attn_layer_norm(state + cross.out_proj(seen))
            widened = layer.fc2(layer.activation_fn(layer.fc1(state)))
            state = layer.final_layer_norm(state + widened)
        cache.length = at + 1
        logits: torch.Tensor = self._head(state).float()
        return logits.view(count, beams, -1)

    def _split(self, projected: torch.Tensor) -> torch.Tensor:
        count, tokens, _ = projected.shape
        return projected.view(count, tokens, self._heads, self._width).transpose(1, 2)
