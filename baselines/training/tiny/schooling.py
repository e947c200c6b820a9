"""How the shipped tiny backbone is made: sight first, then Florence-2's own tasks, on scenes of none of the splits."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from gi_bench.harness.suites.phantom.suite import PhantomSuite

TINY_NAME = "tiny-florence2"
SIGHT_STEPS = 800
SIGHT_RATE = 2e-3
BACKBONE_STEPS = 2000
BACKBONE_SETTINGS = TrainingSettings(rate=8e-4, warmup=0.06, schedule="cosine", decay=0.01, beta2=0.98)
WORD_LISTS = 20_000

_MARKS = frozenset({"config.json", CARD})
_OURS = frozenset(
    {
        *("config.json", "generation_config.json", "model.safetensors", CARD, "README.md"),
        *("preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"),
    }
)


def train_tiny_backbone(
    folder: Path, *, seed: int = 0, device: str = "cpu", workers: int = 0, say: Say = say_line
) -> None:
    """Train the tiny backbone on scenes that are in no split and save it in the Hub layout.

    The vision tower learns looks and places first, alone; then everything learns captions, detection, kinds and
    outlines of regions, and words. Weights are saved in float16.

    Args:
        folder: where it goes.
        seed: of weights, order and words.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: processes that prepare batches.
        say: called with lines for the user.
    """
    check_place(folder, _MARKS, _OURS)
    with alone(folder):
        _train(folder, seed, Running(device=device, dtype="float32", workers=workers), say)


def _train(folder: Path, seed: int, running: Running, say: Say) -> None:
    import torch

    from gi_bench.baselines.florence2.backbone import PictureSettings
    from gi_bench.baselines.training.tiny import lessons, sight
    from gi_bench.harness.suites.phantom.suite import SCHOOL, PhantomSuite

    start = time.perf_counter()
    suite = PhantomSuite(SCHOOL)
    examples, tokenizer = _schooling(suite, seed)
    fresh = folder.with_name(f".{folder.name}.new")
    fresh.mkdir(parents=True, exist_ok=True)
    architecture.write_processor_configs(fresh)
    torch.manual_seed(seed)
    network = architecture.build_model(tokenizer)
    feed = PictureFeed(suite, PictureSettings.read(fresh))
    say("vision tower: looks and places")
    sight.train_sight(
        network,
        suite,
        feed,
        steps=SIGHT_STEPS,
        rate=SIGHT_RATE,
        seed=seed,
        device=running.resolved_device(),
        report=step_reporter(say, SIGHT_STEPS),
    )
    say("whole network: captions, regions and words")
    batches = lessons.draw_batches(examples, BACKBONE_STEPS, BACKBONE_SETTINGS.seed)
    state = folder.with_name(f".{folder.name}.state")
    bound = bound_digest({"seed": seed, "training": asdict(BACKBONE_SETTINGS)}, batches)
    course = Course(batches, BACKBONE_SETTINGS, state, bound)
    train(network, tokenizer, feed, course, running=running, report=row_reporter(say, BACKBONE_STEPS))
    save_backbone(network.to("cpu"), tokenizer, fresh)
    card = {
        "name": TINY_NAME,
        "parameters": sum(p.numel() for p in network.parameters()),
        "seed": seed,
        "trained_on": f"{len(suite.image_ids)} scenes of none of the splits",
        "command": f"gi-bench train --model {TINY_NAME}",
        "device": running.resolved_device(),
        "seconds": round(time.perf_counter() - start),
        "vision_steps": SIGHT_STEPS,
        "steps": BACKBONE_STEPS,
        "examples": examples.count(),
    }
    write_json(fresh / CARD, card)
    place_folder(fresh, folder)
    remove_folder(state)


def _schooling(suite: PhantomSuite, seed: int) -> tuple[Examples, Any]:
    """The lessons, and a tokenizer made from them and from the words of the suites to come."""
    from gi_bench.baselines.training.tiny import lessons
    from gi_bench.harness.suites.phantom.language import vocabulary

    examples = lessons.lessons(suite)
    lessons.word_lists(vocabulary(), suite.image_ids, WORD_LISTS, seed, examples)
    texts = [
        text
        for images in examples.by_task.values()
        for rows in images.values()
        for row in rows
        for text in row
        if "<loc" not in text
    ]
    return examples, architecture.build_tokenizer(texts)


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
