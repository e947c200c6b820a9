"""How the shipped tiny backbone is made: shapes and places first, then neutral tasks of ``phantom/train``."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gi_bench.baselines.florence2.adapters import CARD
from gi_bench.baselines.training.adapter import alone, check_place
from gi_bench.baselines.training.features import PictureFeed
from gi_bench.baselines.training.fitting import Course, train
from gi_bench.baselines.training.progress import Say, bound_digest, row_reporter, step_reporter
from gi_bench.baselines.training.rows import Examples
from gi_bench.baselines.training.settings import Running, TrainingSettings
from gi_bench.baselines.training.tiny import architecture
from gi_bench.harness.files import write_json
from gi_bench.harness.placing import place_folder, remove_folder
from gi_bench.harness.terminal import say as say_line

TINY_NAME = "tiny-florence2"
VISION_STEPS = 500
VISION_RATE = 2e-3
BACKBONE_STEPS = 2400
BACKBONE_SETTINGS = TrainingSettings(rate=6e-4, warmup=0.06, schedule="cosine", decay=0.01, beta2=0.98)
GAP_TEXTS = 30_000

_MARKS = frozenset({"config.json", CARD})
_OURS = frozenset(
    {
        *("config.json", "generation_config.json", "model.safetensors", CARD, "README.md"),
        *("preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"),
    }
)


def train_tiny_backbone(folder: Path, *, seed: int = 0, say: Say = say_line) -> None:
    """Train the tiny backbone on neutral tasks of ``phantom/train`` and save it in the Hub layout.

    The vision tower learns shapes and places first, alone; then everything learns captions, detection,
    segmentation, short queries and gap filling. Weights are saved in float16.
    """
    check_place(folder, _MARKS, _OURS)
    with alone(folder):
        _train(folder, seed, say)


def _train(folder: Path, seed: int, say: Say) -> None:
    import torch

    from gi_bench.baselines.florence2.backbone import PictureSettings
    from gi_bench.baselines.training.tiny import pretraining
    from gi_bench.harness.suites.phantom.suite import PhantomSuite

    start = time.perf_counter()
    suite = PhantomSuite("train")
    examples, tokenizer = _schooling(suite, seed)
    fresh = folder.with_name(f".{folder.name}.new")
    fresh.mkdir(parents=True, exist_ok=True)
    architecture.write_processor_configs(fresh)
    torch.manual_seed(seed)
    network = architecture.build_model(tokenizer)
    feed = PictureFeed(suite, PictureSettings.read(fresh))
    say("vision tower: dense shapes and attributes")
    pretraining.train_vision(
        network,
        suite,
        feed,
        steps=VISION_STEPS,
        rate=VISION_RATE,
        seed=seed,
        report=step_reporter(say, VISION_STEPS),
    )
    say("whole network: neutral tasks")
    batches = pretraining.draw_batches(examples, BACKBONE_STEPS, BACKBONE_SETTINGS.seed)
    state = folder.with_name(f".{folder.name}.state")
    bound = bound_digest({"seed": seed, "training": asdict(BACKBONE_SETTINGS)}, batches)
    course = Course(batches, BACKBONE_SETTINGS, state, bound)
    train(network, tokenizer, feed, course, running=Running(device="cpu"), report=row_reporter(say, BACKBONE_STEPS))
    save_backbone(network, tokenizer, fresh)
    card = {
        "name": TINY_NAME,
        "parameters": sum(p.numel() for p in network.parameters()),
        "seed": seed,
        "trained_on": suite.name,
        "command": f"gi-bench train --model {TINY_NAME}",
        "seconds": round(time.perf_counter() - start),
        "vision_steps": VISION_STEPS,
        "steps": BACKBONE_STEPS,
        "examples": examples.count(),
    }
    write_json(fresh / CARD, card)
    place_folder(fresh, folder)
    remove_folder(state)


def _schooling(suite: Any, seed: int) -> tuple[Examples, Any]:
    """The tiny backbone's neutral examples, and a tokenizer made from them and from the suite's texts."""
    from gi_bench.baselines.training.tiny import pretraining

    texts = [text for row in suite.questions for text in (row.question, row.answer, row.explanation) if text] + [
        phrase.phrase for phrase in suite.phrases
    ]
    examples = pretraining.neutral_examples(suite)
    neutral = [
        text
        for images in examples.by_task.values()
        for rows in images.values()
        for row in rows
        for text in row
        if "<loc" not in text
    ]
    tokenizer = architecture.build_tokenizer(texts + neutral)
    order = np.random.default_rng(seed).permutation(len(texts))[:GAP_TEXTS]
    pretraining.gap_examples([texts[i] for i in order], suite.image_ids, seed, examples)
    return examples, tokenizer


def save_backbone(network: Any, tokenizer: Any, folder: Path) -> None:
    """Save network (float16 safetensors) and tokenizer in the Hub layout."""
    import copy

    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    copy.deepcopy(network).to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)
