"""Florence-2 checkpoints with random weights in the exact layout of the Hub, for tests and benchmarks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gi_bench.baselines.florence2 import base
from gi_bench.baselines.training.tiny import architecture as tiny

BART_VOCABULARY = 50_265
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def base_tokenizer(texts: Iterable[str]) -> Any:
    """A tokenizer with Florence-2-base's ids: 50,265 of BART's, 1,024 added ones, the image token.

    BART's own merges are not to be had offline: they are learned from ``texts`` and the vocabulary is filled up.
    """
    from tokenizers import AddedToken, Tokenizer

    learned = json.loads(tiny.build_tokenizer(texts, vocab_size=3000).backend_tokenizer.to_str())
    vocabulary = learned["model"]["vocab"]
    for number in range(len(vocabulary), BART_VOCABULARY):
        vocabulary[f"<unused{number}>"] = number
    learned["added_tokens"] = [token for token in learned["added_tokens"] if token["id"] < 5]
    tokenizer = Tokenizer.from_str(json.dumps(learned))
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in tiny.FLORENCE_TOKENS])
    tokenizer.add_special_tokens([AddedToken(tiny.IMAGE_TOKEN, special=True, normalized=False)])
    assert tokenizer.token_to_id(tiny.IMAGE_TOKEN) == base.IMAGE_TOKEN_ID
    return tiny.in_florence_s_wrapper(tokenizer, 1024)


def random_network(config: Any, *, seed: int = 0, spread: float = 0.08, talkative: bool = True) -> Any:
    """A network with random weights.

    Args:
        spread: standard deviation of the language model's weights.
        talkative: silence the end token, so that replies run to the limit; random weights would otherwise
            repeat the token that starts the decoder, which is the end token, at once.
    """
    import torch
    from transformers import Florence2ForConditionalGeneration

    # The usual spread of 0.02 makes every reply the same: attention is flat and the prompt is averaged away.
    # Beyond 0.04 the vision tower amplifies the rounding of a float32 a thousandfold and equality means nothing.
    config.text_config.init_std, config.vision_config.initializer_range = spread, min(spread, 0.04)
    torch.manual_seed(seed)
    network = Florence2ForConditionalGeneration(config).eval()
    if talkative:
        with torch.no_grad():
            network.get_input_embeddings().weight[[0, 1, 2]] = 0.0
    return network


def write_layout(folder: Path, network: Any, tokenizer: Any, configs: Mapping[str, Any], **saving: Any) -> None:
    """Save config, tokenizer, safetensors and processor files as on the Hub."""
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(folder, **saving)
    tokenizer.save_pretrained(folder)
    for name, content in configs.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def cache_folder(cache: Path, repo: str, kind: str = "models") -> Path:
    """An empty snapshot of ``repo`` in a Hugging Face cache; fill it with the repository's files."""
    root = cache / f"{kind}--{repo.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    snapshot = root / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    return snapshot
