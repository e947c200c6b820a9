"""Generation from features that were encoded once, with four confidences out of the same pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.florence2.decoder import StepDecoder
from gi_bench.baselines.florence2.rules import CheckpointRules
from gi_bench.baselines.florence2.search import Rules, confidences, search, token_log_probs

if TYPE_CHECKING:
    import torch

    from gi_bench.baselines.florence2.grammar import RegionGrammar


@dataclass(frozen=True, slots=True)
class Generated:
    """Output of one prompt.

    Attributes:
        text: decoded tokens without begin, end and padding.
        confidence: mean probability mass of the k = 5 likeliest tokens over the decoding steps, in [0, 1]:
            the score that the paper submits.
        log_prob: mean log-probability of the generated tokens, at most 0.
        margin: mean difference between the two largest probabilities, in [0, 1].
        entropy: mean entropy of the tokens' distributions over that of a uniform one, in [0, 1].
        token_count: generated tokens, the end token included.
        token_log_probs: log-probability of each of them, at most 0.

    A reply without a token beside begin, end and padding says nothing: its four confidences are None.
    """

    text: str
    confidence: float | None
    log_prob: float | None
    margin: float | None
    entropy: float | None
    token_count: int
    token_log_probs: tuple[float, ...]


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
    checkpoint_rules: CheckpointRules = CheckpointRules(),  # noqa: B008 -- frozen
    grammar: RegionGrammar | None = None,
) -> list[Generated]:
    """Generate one reply a prompt, without sampling.

    Args:
        features: image features (n, image tokens, width), one entry a prompt.
        prompts: n prompts.
        max_new_tokens: longest reply.
        beams: 1 for greedy search.
        checkpoint_rules: what the checkpoint decides of the search.
        grammar: what every reply has to be; None for any text.
    """
    import torch

    room = network.config.text_config.max_position_embeddings - 1
    rules = Rules(
        beams=beams,
        limit=min(max_new_tokens, room),
        start=network.config.text_config.decoder_start_token_id,
        end=tokenizer.eos_token_id,
        grammar=grammar,
        **checkpoint_rules.of_search(),
    )
    decoder = StepDecoder(network)
    with torch.inference_mode():
        memory = decoder.remember(*encode_prompts(network, tokenizer, features, prompts))
        found = search(decoder, memory, rules)
    dropped = {tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.bos_token_id}
    replies = []
    for hypothesis in found:
        kept = [token for token in hypothesis.tokens if token not in dropped]
        text = tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        sure: tuple[float | None, float | None, float | None, float | None] = (None, None, None, None)
        if kept:
            sure = confidences(hypothesis)
        replies.append(Generated(text.strip(), *sure, len(hypothesis.tokens), token_log_probs(hypothesis)))
    return replies
