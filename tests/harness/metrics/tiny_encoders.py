"""Tiny random text encoders in the Hub's layout, and what tests of several files ask of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gi_bench.harness.encoders import Checkpoint, find_checkpoint
from gi_bench.harness.metrics.base import Statistics

PAIRS = [
    ("one polyp in the colon", "two polyps in the colon"),
    ("", "one polyp"),
    ("   ", "one polyp"),
    ("one polyp", ""),
    ("no instruments", "no instruments"),
    ("  a red  polyp ", "a red polyp"),
    ("naïve 息肉 🙂 polyp", "polyp 息肉"),
    ("polyp " * 60, "a red polyp " * 40),
    ("[SEP]", "no polyp"),
    ("one polyp in the colon", "two polyps in the colon"),
]
WORDS = ["one", "two", "no", "a", "red", "polyp", "polyps", "instruments", "in", "the", "colon", "visible", "image"]
TEXTS = ["one polyp in the colon", "a red polyp, two polyps", "no instruments visible in the image"] * 10


def write_bert(folder: Path, kind: str = "BertModel", seed: int = 0, **options: Any) -> Path:
    """A random BERT of 3 layers, 32 wide and long, whose words are letters and ``WORDS``."""
    import torch
    import transformers
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    letters = list("abcdefghijklmnopqrstuvwxyz")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters), *WORDS]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(words))}
    inner = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    tokenizer = transformers.BertTokenizerFast(tokenizer_object=inner, model_max_length=32, **special)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=32, pad_token_id=0, initializer_range=0.2, **options,
    )  # fmt: skip
    getattr(transformers, kind)(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_roberta(folder: Path) -> Path:
    """A random RoBERTa of 3 layers, 32 wide and long, with a byte-level vocabulary of ``TEXTS``."""
    import torch
    import transformers
    from tokenizers import ByteLevelBPETokenizer

    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(TEXTS, vocab_size=340, special_tokens=special, show_progress=False)
    folder.mkdir(parents=True)
    bpe.save_model(str(folder))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": 32, "tokenizer_class": "RobertaTokenizer"}), encoding="utf-8"
    )
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        vocab_size=340, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=34, type_vocab_size=1, initializer_range=0.2,
    )  # fmt: skip
    transformers.RobertaModel(config).save_pretrained(folder)
    return folder


def checkpoint(folder: Path) -> Checkpoint:
    """A folder as the encoders take it."""
    return find_checkpoint(str(folder), folder.parent, "fetch it")


def computed(result: Statistics | str) -> Statistics:
    """What a metric gave; an error where it gave a reason instead."""
    assert not isinstance(result, str), result
    return result
