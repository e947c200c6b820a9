"""Generation from features that were encoded once, with a confidence out of the same pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

TOP_K = 5


@dataclass(frozen=True, slots=True)
class Generated:
    """Output of one prompt.

    Attributes:
        text: decoded tokens without begin, end and padding.
        confidence: mean probability mass of the k = 5 likeliest tokens over the decoding steps, in [0, 1]:
            the score that the paper submits. None if nothing was generated.
        token_count: generated tokens, the end token included.
    """

    text: str
    confidence: float | None
    token_count: int


class _TopKMass:
    """A logits processor that only looks: it notes the top-k mass of every row at every step."""

    def __init__(self) -> None:
        self.masses: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        probabilities = torch.softmax(scores.float(), dim=-1)
        self.masses.append(probabilities.topk(min(TOP_K, scores.shape[-1]), dim=-1).values.sum(-1).cpu())
        return scores


def encode_prompts(
    network: Any, tokenizer: Any, features: torch.Tensor, prompts: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the language encoder once over image features and prompts.

    Args:
        features: (n, image tokens, width), one entry a prompt.

    Returns:
        Hidden states (n, tokens, width) and the attention mask (n, tokens).
    """
    import torch

    text = tokenizer(
        [tokenizer.bos_token + prompt + tokenizer.eos_token for prompt in prompts],
        add_special_tokens=False,
        padding=True,
        padding_side="right",
        return_tensors="pt",
    ).to(features.device)
    embedded = network.get_input_embeddings()(text.input_ids)
    seen = torch.ones(features.shape[:2], dtype=text.attention_mask.dtype, device=features.device)
    mask = torch.cat([seen, text.attention_mask], dim=1)
    hidden = network.get_encoder()(
        inputs_embeds=torch.cat([features.to(embedded.dtype), embedded], dim=1), attention_mask=mask
    )
    return hidden.last_hidden_state, mask


def generate(
    network: Any,
    tokenizer: Any,
    features: torch.Tensor,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    beams: int = 1,
) -> list[Generated]:
    """Generate one reply a prompt, without sampling.

    Args:
        features: image features (n, image tokens, width), one entry a prompt.
        prompts: n prompts.
        max_new_tokens: longest reply.
        beams: 1 for greedy search.
    """
    import torch
    from transformers import LogitsProcessorList
    from transformers.modeling_outputs import BaseModelOutput

    watch = _TopKMass()
    with torch.inference_mode():
        hidden, mask = encode_prompts(network, tokenizer, features, prompts)
        output = network.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
            attention_mask=mask,
            num_beams=beams,
            do_sample=False,
            early_stopping=beams > 1,
            max_new_tokens=max_new_tokens,
            length_penalty=1.0,
            no_repeat_ngram_size=0,
            logits_processor=LogitsProcessorList([watch]),
            return_dict_in_generate=True,
            output_scores=beams > 1,
        )
    masses = torch.stack(watch.masses, dim=1)
    return [_read(tokenizer, output, masses, row, beams) for row in range(len(prompts))]


def _read(tokenizer: Any, output: Any, masses: torch.Tensor, row: int, beams: int) -> Generated:
    ids = output.sequences[row].tolist()[1:]  # the first token starts the decoder
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    length = ids.index(eos) + 1 if eos in ids else len(ids)
    while length and ids[length - 1] == pad:
        length -= 1
    rows = [row] * length
    if beams > 1:
        # Which beam each token of the winner came from; the history may be shorter by the forced end.
        rows = [i for i in output.beam_indices[row].tolist() if i >= 0][:length]
    taken = [float(masses[i, step]) for step, i in enumerate(rows)]
    kept = [i for i in ids[:length] if i not in (eos, pad, tokenizer.bos_token_id)]
    text = tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    confidence = min(1.0, sum(taken) / len(taken)) if taken else None
    return Generated(text.strip(), confidence, length)
