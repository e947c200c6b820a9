"""The tiny Florence-2 of the embedded suite: the ordinary classes with a small config and our own tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.florence2.base import DECODER_TOKENS, TOKENS

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import Florence2ForConditionalGeneration, PreTrainedTokenizerFast

IMAGE_SIZE = 96
IMAGE_TOKEN = "<image>"
_BASIC = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
# The tokens that Florence-2 adds to BART's vocabulary.
FLORENCE_TOKENS = (
    "<od>", "</od>", "<ocr>", "</ocr>", *(f"<loc_{i}>" for i in range(1000)), "<cap>", "</cap>", "<ncap>",
    "</ncap>", "<dcap>", "</dcap>", "<grounding>", "</grounding>", "<seg>", "</seg>", "<sep>", "<region_cap>",
    "</region_cap>", "<region_to_desciption>", "</region_to_desciption>", "<proposal>", "</proposal>", "<poly>",
    "</poly>", "<and>",
)  # fmt: skip
# Places in the vocabulary without a meaning. The tasks' own tokens are plain text to the backbone, as they are to
# Florence-2-base; variants with task_tokens = "added" bring theirs along.
_RESERVED = ("<reserved_0>", "<reserved_1>", "<reserved_2>")


def build_tokenizer(texts: Iterable[str], vocab_size: int = 900) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on ``texts``, with Florence-2's added tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(_BASIC),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    added = [*FLORENCE_TOKENS, *_RESERVED, IMAGE_TOKEN]
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in added[:-1]])
    tokenizer.add_special_tokens([AddedToken(IMAGE_TOKEN, special=True, normalized=False)])
    return in_florence_s_wrapper(tokenizer, 256)


def in_florence_s_wrapper(tokenizer: Tokenizer, max_length: int) -> PreTrainedTokenizerFast:
    """The tokenizer class of transformers with the special tokens of Florence-2's checkpoints."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=max_length,
        extra_special_tokens={"image_token": IMAGE_TOKEN},
        clean_up_tokenization_spaces=False,
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> Florence2ForConditionalGeneration:
    """The network with random weights (2.2 million parameters); seed torch before calling."""
    from transformers import BartConfig, Florence2Config, Florence2ForConditionalGeneration
    from transformers.models.florence2 import Florence2VisionConfig

    # The usual deviation of 0.02 suits widths near 1,000; at width 128 it silences the image for thousands
    # of steps, so the spread is 1/sqrt(width).
    spread = 0.08
    vision = Florence2VisionConfig(
        depths=[1, 1, 1, 1],
        patch_stride=[4, 2, 2, 1],
        patch_padding=[3, 1, 1, 1],
        patch_size=[7, 3, 3, 3],
        embed_dim=[32, 48, 96, 128],
        num_heads=[2, 3, 6, 8],
        num_groups=[2, 3, 6, 8],
        window_size=6,
        drop_path_rate=0.0,
        projection_dim=128,
        max_position_embeddings=50,
        initializer_range=spread,
    )
    text = BartConfig(
        vocab_size=len(tokenizer),
        d_model=128,
        encoder_layers=2,
        decoder_layers=2,
        encoder_ffn_dim=512,
        decoder_ffn_dim=512,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        max_position_embeddings=256,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        init_std=spread,
        **DECODER_TOKENS,
    )
    config = Florence2Config(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        **TOKENS,
    )
    return Florence2ForConditionalGeneration(config)


def processor_configs(side: int = IMAGE_SIZE, image_tokens: int = 37) -> dict[str, dict[str, Any]]:
    """The processor's files of the Hub layout, by file name, for pictures of ``side`` x ``side`` pixels."""
    image = {
        "do_resize": True,
        "size": {"height": side, "width": side},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "do_center_crop": False,
        "do_convert_rgb": True,
        "image_seq_length": image_tokens,
        "image_processor_type": "CLIPImageProcessor",
    }
    return {
        "preprocessor_config.json": image,
        "processor_config.json": {"processor_class": "Florence2Processor"},
    }


def write_processor_configs(folder: Path) -> None:
    """Write :func:`processor_configs` into a checkpoint folder."""
    for name, content in processor_configs().items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
