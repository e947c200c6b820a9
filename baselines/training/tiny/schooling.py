"""How the shipped tiny backbone is made: sight first, then Florence-2's own tasks, on scenes of none of the splits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.florence2.adapters import CARD
from gi_bench.baselines.training.adapter import alone, check_place
from gi_bench.baselines.training.features import PictureFeed
from gi_bench.baselines.training.fitting import Course, train
from gi_bench.baselines.training.mixture import Batch
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
INQUIRY_SCENES = 2400
INQUIRY_STEPS = 1000
INQUIRY_SETTINGS = TrainingSettings(rate=6e-4, warmup=0.06, schedule="cosine", decay=0.01, beta2=0.98)
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
    from transformers import Florence2ForConditionalGeneration

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
    batches = lessons.draw_batches(examples, lessons.FIRST, BACKBONE_STEPS, BACKBONE_SETTINGS.seed)
    state = folder.with_name(f".{folder.name}.state")
    _learn(network, tokenizer, feed, _Part(batches, BACKBONE_SETTINGS, state / "1", seed), running, say)
    save_backbone(network.to("cpu"), tokenizer, fresh)
    say("whole network: inquiries")
    # It goes on from what was saved: weights of half the precision.
    network = Florence2ForConditionalGeneration.from_pretrained(fresh, dtype=torch.float32)
    asked = lessons.inquiries(PhantomSuite(SCHOOL, INQUIRY_SCENES))
    batches = lessons.draw_batches(asked, lessons.SECOND, INQUIRY_STEPS, INQUIRY_SETTINGS.seed)
    _learn(network, tokenizer, feed, _Part(batches, INQUIRY_SETTINGS, state / "2", seed), running, say)
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
        "inquiry_steps": INQUIRY_STEPS,
        "examples": examples.count() | asked.count(),
    }
    write_json(fresh / CARD, card)
    place_folder(fresh, folder)
    remove_folder(state)


@dataclass(frozen=True)
class _Part:
    """A part of the schooling: its batches and settings, where its state is kept, and the seed of it all."""

    batches: Sequence[Batch]
    settings: TrainingSettings
    state: Path
    seed: int


def _learn(network: Any, tokenizer: Any, feed: PictureFeed, part: _Part, running: Running, say: Say) -> None:
    bound = bound_digest({"seed": part.seed, "training": asdict(part.settings)}, part.batches)
    course = Course(part.batches, part.settings, part.state, bound)
    train(network, tokenizer, feed, course, running=running, report=row_reporter(say, len(part.batches)))


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
