"""The architecture of Florence-2-base, without its weights: for plans, tests and benchmarks.

The figures are those of ``florence-community/Florence-2-base``: DaViT-B (depths 1/1/9/1, widths 128 to 1024,
windows of 12) on 768 x 768 pixels, a BART of 6 + 6 layers of width 768, 577 image tokens, 0.23 billion
parameters. Its vocabulary is BART's 50,265 entries with Florence-2's own 1,024 and the image token, padded to a
multiple of 64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import Florence2Config

IMAGE_SIZE = 768
IMAGE_TOKENS = 577
IMAGE_TOKEN_ID = 51_289
VOCAB_SIZE = 51_328
# BART's special tokens, and what its decoder makes of them.
TOKENS: dict[str, Any] = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
DECODER_TOKENS = {**TOKENS, "decoder_start_token_id": 2, "forced_bos_token_id": None, "forced_eos_token_id": None}


def base_config() -> Florence2Config:
    """The configuration of Florence-2-base."""
    from transformers import BartConfig, Florence2Config
    from transformers.models.florence2 import Florence2VisionConfig

    vision = Florence2VisionConfig(projection_dim=768)
    text = BartConfig(
        vocab_size=VOCAB_SIZE,
        d_model=768,
        encoder_layers=6,
        decoder_layers=6,
        encoder_ffn_dim=3072,
        decoder_ffn_dim=3072,
        encoder_attention_heads=12,
        decoder_attention_heads=12,
        max_position_embeddings=1024,
        **DECODER_TOKENS,
    )
    return Florence2Config(
        vision_config=vision,
        text_config=text,
        image_token_id=IMAGE_TOKEN_ID,
        **TOKENS,
    )
