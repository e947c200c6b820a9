"""How the shipped weights are made: the tiny backbone, then one adapter a variant.

Everything is fixed by the recipe and the seed; ``gi-bench train`` is the command line of this module.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.florence2.adapters import CARD, add_adapter, save_adapter, trainable_count, write_training_images
from baselines.florence2.checkpoints import Checkpoints
from baselines.florence2.examples import TINY_STYLE, TargetStyle, task_examples
from baselines.florence2.extra_rows import ExtraRows
from baselines.florence2.training import Losses, PictureFeed, Report, TrainingSettings, train
from baselines.registration import VariantRecipe
from harness.store import write_bytes

if TYPE_CHECKING:
    from baselines.florence2.backbone import Backbone
    from harness.suites.base import Suite

Say = Callable[[str], None]

LOG = "training.jsonl"
TINY_NAME = "tiny-florence2"
VISION_STEPS = 500
VISION_RATE = 2e-3
BACKBONE_SETTINGS = TrainingSettings(
    steps=2400,
    images=16,
    rows={"caption": 1, "query": 2, "segment": 1, "detect": 1, "gap": 1},
    rate=6e-4,
)
GAP_TEXTS = 30_000

# Rows per image and batch, by task; a task that a variant is not trained on has no examples.
_ADAPTER_ROWS = {"answer": 4, "explain": 1, "ground": 2, "negative": 1}


@dataclass(frozen=True)
class AdapterDefaults:
    """Settings of an adapter's training that depend on the size of the backbone."""

    steps: int
    images: int
    rate: float
    style: TargetStyle


TINY_DEFAULTS = AdapterDefaults(steps=1200, images=16, rate=1e-3, style=TINY_STYLE)
# The paper: learning rate 5e-5, effective batch of 12; polygons at Florence-2's own resolution.
BASE_DEFAULTS = AdapterDefaults(steps=12_000, images=3, rate=5e-5, style=TargetStyle())


def _reporter(say: Say, steps: int) -> Callable[[int, float, float], None]:
    def report(step: int, loss: float, seconds: float) -> None:
        if step % 200 == 0 or step == steps:
            say(f"step {step}/{steps}, loss {loss:.4f}, {seconds:.0f} s")

    return report


def _task_reporter(say: Say, steps: int, log: Path | None = None) -> Report:
    """Tells of every 200th step, and writes every report as a line of JSON, tasks apart."""
    plain = _reporter(say, steps)

    def report(step: int, losses: Losses, seconds: float) -> None:
        plain(step, losses.mean(), seconds)
        if log is not None:
            row = {"step": step, "loss": losses.mean(), "by_task": losses.by_task()}
            log.parent.mkdir(parents=True, exist_ok=True)
            earlier = [line for line in _lines(log) if json.loads(line)["step"] < step]
            write_bytes(log, "".join(f"{line}\n" for line in [*earlier, json.dumps(row)]).encode("utf-8"))

    return report


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def train_tiny_backbone(folder: Path, *, seed: int = 0, say: Say = print) -> None:
    """Train the tiny backbone on neutral tasks of ``phantom/train`` and save it in the Hub layout.

    The vision tower learns shapes and places first, alone; then everything learns captions, detection,
    segmentation, short queries and gap filling. Weights are saved in float16.
    """
    import time

    import torch

    from baselines.florence2 import pretraining, tiny
    from baselines.florence2.backbone import PictureSettings
    from harness.suites.phantom.suite import PhantomSuite

    start = time.perf_counter()
    suite = PhantomSuite("train")
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
    tokenizer = tiny.build_tokenizer(texts + neutral)
    order = np.random.default_rng(seed).permutation(len(texts))[:GAP_TEXTS]
    pretraining.gap_examples([texts[i] for i in order], suite.image_ids, seed, examples)
    folder.mkdir(parents=True, exist_ok=True)
    tiny.write_processor_configs(folder)
    torch.manual_seed(seed)
    network = tiny.build_model(tokenizer)
    feed = PictureFeed(suite, PictureSettings.read(folder))
    say("vision tower: dense shapes and attributes")
    pretraining.train_vision(
        network,
        suite,
        feed,
        steps=VISION_STEPS,
        rate=VISION_RATE,
        seed=seed,
        report=_reporter(say, VISION_STEPS),
    )
    say("whole network: neutral tasks")
    train(
        network,
        tokenizer,
        feed,
        examples,
        BACKBONE_SETTINGS,
        report=_task_reporter(say, BACKBONE_SETTINGS.steps),
    )
    save_backbone(network, tokenizer, folder)
    card = {
        "name": TINY_NAME,
        "parameters": sum(p.numel() for p in network.parameters()),
        "seed": seed,
        "trained_on": suite.name,
        "command": f"gi-bench train {TINY_NAME}",
        "seconds": round(time.perf_counter() - start),
        "vision_steps": VISION_STEPS,
        "steps": BACKBONE_SETTINGS.steps,
        "examples": examples.count(),
    }
    (folder / CARD).write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")


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


def train_adapter(
    recipe: VariantRecipe,
    backbone: Backbone,
    backbone_name: str,
    suite: Suite,
    folder: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    extra: ExtraRows | None = None,
    command: str = "",
    say: Say = print,
) -> None:
    """Train a variant's LoRA adapter and save it with its card.

    Args:
        recipe: which tasks, rank, negatives.
        backbone: loaded in float32; its network is wrapped and not usable afterwards.
        backbone_name: as in ``variants.toml``.
        suite: training rows and images.
        folder: where the adapter goes; replaced as a whole when training is over. Until then the state is kept beside
            it, and the same call goes on from there.
        steps: optimiser steps, None for the recipe's own.
        extra: negatives and explanations besides the suite's own rows.
        command: what the user typed, for the card.

    Raises:
        GiBenchError: the suite lacks rows for one of the recipe's tasks.
    """
    import torch

    small = backbone.pictures.width <= 128
    defaults = TINY_DEFAULTS if small else BASE_DEFAULTS
    examples = task_examples(suite, recipe.train, negatives=recipe.negatives, style=defaults.style, extra=extra)
    settings = TrainingSettings(
        steps=steps or defaults.steps,
        images=defaults.images,
        rows=_ADAPTER_ROWS,
        rate=defaults.rate,
        seed=seed,
    )
    torch.manual_seed(seed)
    model = add_adapter(backbone.network, backbone.tokenizer, recipe.rank, recipe.alpha)
    say(f"{recipe.name}: {trainable_count(model):,} trainable parameters, {examples.count()}")
    card = _card(recipe, backbone, backbone_name, suite, settings)
    bound = card | {"examples": examples.count(), "extra_rows": dict(extra.files) if extra is not None else {}}
    digest = hashlib.sha256(json.dumps(bound, sort_keys=True).encode("utf-8")).hexdigest()
    checkpoints = Checkpoints(folder.with_name(f".{folder.name}.state"), digest)
    log = checkpoints.folder / LOG
    seconds = train(
        model.base_model.model,
        backbone.tokenizer,
        PictureFeed(suite, backbone.pictures),
        examples,
        settings,
        report=_task_reporter(say, settings.steps, log),
        device=backbone.device,
        checkpoints=checkpoints,
    )
    card |= {
        "examples": examples.count(),
        **({"extra_rows": dict(extra.files)} if extra is not None else {}),
        "trainable_parameters": trainable_count(model),
        "seconds": round(seconds),
        "command": command,
    }
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    save_adapter(model, fresh, card)
    write_training_images(fresh, (img_id for images in examples.by_task.values() for img_id in images))
    log.replace(fresh / LOG)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    checkpoints.clear()


def _card(
    recipe: VariantRecipe, backbone: Backbone, backbone_name: str, suite: Suite, settings: TrainingSettings
) -> dict[str, Any]:
    """What decides an adapter's weights."""
    return {
        "variant": recipe.name,
        "backbone": backbone_name,
        "backbone_digest": backbone.digest,
        "rank": recipe.rank,
        "alpha": recipe.alpha,
        "tasks": list(recipe.train),
        "negatives": recipe.negatives,
        "masks": recipe.masks,
        "seed": settings.seed,
        "steps": settings.steps,
        "images_per_step": settings.images,
        "learning_rate": settings.rate,
        "trained_on": suite.name,
        "trained_on_fingerprint": suite.fingerprint,
    }
