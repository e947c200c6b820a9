"""How the shipped weights are made: the tiny backbone, then one adapter a variant.

Everything is fixed by the recipe and the seed; ``gi-bench train`` is the command line of this module.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gi_bench.baselines.florence2.adapters import (
    CARD,
    CONFIG,
    add_adapter,
    add_task_tokens,
    save_adapter,
    trainable_count,
    write_training_images,
)
from gi_bench.baselines.registration import VariantRecipe
from gi_bench.baselines.training.card import write_readme
from gi_bench.baselines.training.extra_rows import ExtraRows
from gi_bench.baselines.training.features import Feed, PictureFeed, encode_once, exclusive
from gi_bench.baselines.training.mixture import Batch, Mixture, mix
from gi_bench.baselines.training.rows import TINY_STYLE, Examples, TargetStyle, check_examples, task_examples
from gi_bench.baselines.training.training import Running, Trained, TrainingSettings, is_main_process, train
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.files import write_bytes

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gi_bench.baselines.florence2.backbone import Backbone
    from gi_bench.harness.suites.base import Suite

Say = Callable[[str], None]

LOG = "training.jsonl"
TINY_NAME = "tiny-florence2"
VISION_STEPS = 500
VISION_RATE = 2e-3
BACKBONE_STEPS = 2400
BACKBONE_SETTINGS = TrainingSettings(rate=6e-4, warmup=0.06, schedule="cosine", decay=0.01, beta2=0.98)
GAP_TEXTS = 30_000


@dataclass(frozen=True)
class AdapterDefaults:
    """Settings of an adapter's training that depend on the size of the backbone."""

    epochs: int
    mixture: Mixture
    settings: TrainingSettings
    style: TargetStyle


TINY_DEFAULTS = AdapterDefaults(
    epochs=2,
    mixture=Mixture(rows=64, rows_per_image=8, weights={"explain": 0.625, "ground": 1.25, "negative": 1.25}),
    settings=TrainingSettings(rate=1e-3, warmup=0.06, schedule="cosine", decay=0.01, beta2=0.98),
    style=TINY_STYLE,
)
# The paper: learning rate 5e-5, warm-up over a tenth, linear decay, effective batch of 12, one epoch; polygons at
# Florence-2's own resolution.
BASE_DEFAULTS = AdapterDefaults(epochs=1, mixture=Mixture(), settings=TrainingSettings(rate=5e-5), style=TargetStyle())


@dataclass(frozen=True)
class Choices:
    """What a user may set otherwise than the defaults; None and empty leave them.

    Attributes:
        epochs: passes over the rows.
        steps: optimiser steps, instead of epochs.
        seed: of rows' order, initial weights and dropout.
        rate: peak learning rate.
        rows: rows of an optimiser step.
        rows_per_image: rows that share one encoding, at most.
        weights: by task, how many times an epoch takes each row.
    """

    epochs: int | None = None
    steps: int | None = None
    seed: int = 0
    rate: float | None = None
    rows: int | None = None
    rows_per_image: int | None = None
    weights: Mapping[str, float] | None = None


def _reporter(say: Say, steps: int) -> Callable[[int, float, float], None]:
    def report(step: int, loss: float, seconds: float) -> None:
        if step % 200 == 0 or step == steps:
            say(f"step {step}/{steps}, loss {loss:.4f}, {seconds:.0f} s")

    return report


def _row_reporter(say: Say, steps: int) -> Callable[[dict[str, Any], float], None]:
    plain = _reporter(say, steps)
    return lambda row, seconds: plain(row["step"], row["loss"], seconds)


def train_tiny_backbone(folder: Path, *, seed: int = 0, say: Say = print) -> None:
    """Train the tiny backbone on neutral tasks of ``phantom/train`` and save it in the Hub layout.

    The vision tower learns shapes and places first, alone; then everything learns captions, detection,
    segmentation, short queries and gap filling. Weights are saved in float16.
    """
    import time

    import torch

    from gi_bench.baselines.florence2.backbone import PictureSettings
    from gi_bench.baselines.training.tiny import architecture as tiny
    from gi_bench.baselines.training.tiny import pretraining
    from gi_bench.harness.suites.phantom.suite import PhantomSuite

    start = time.perf_counter()
    suite = PhantomSuite("train")
    examples, tokenizer = _schooling(suite, seed)
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
    batches = pretraining.draw_batches(examples, BACKBONE_STEPS, BACKBONE_SETTINGS.seed)
    train(
        network,
        tokenizer,
        feed,
        batches,
        BACKBONE_SETTINGS,
        state=folder.with_name(f".{folder.name}.state"),
        recipe=_bound({"seed": seed, "training": asdict(BACKBONE_SETTINGS)}, batches),
        running=Running(device="cpu"),
        report=_row_reporter(say, BACKBONE_STEPS),
    )
    save_backbone(network, tokenizer, folder)
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
    (folder / CARD).write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(folder.with_name(f".{folder.name}.state"), ignore_errors=True)


def _schooling(suite: Any, seed: int) -> tuple[Examples, Any]:
    """The tiny backbone's neutral examples, and a tokenizer made from them and from the suite's texts."""
    from gi_bench.baselines.training.tiny import architecture as tiny
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
    tokenizer = tiny.build_tokenizer(texts + neutral)
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


def train_adapter(
    recipe: VariantRecipe,
    backbone: Backbone,
    backbone_name: str,
    suite: Suite,
    folder: Path,
    *,
    choices: Choices | None = None,
    extra: ExtraRows | None = None,
    running: Running | None = None,
    features: Path | None = None,
    command: str = "",
    say: Say = print,
) -> None:
    """Train a variant's LoRA adapter and save it with its card.

    Args:
        recipe: which tasks, rank, layers, negatives.
        backbone: loaded in float32 on the CPU; its network is wrapped and not usable afterwards.
        backbone_name: as in ``variants.toml``.
        suite: training rows and images.
        folder: where the adapter goes; replaced as a whole when training is over. Until then the state is kept beside
            it, and the same call goes on from there.
        choices: what differs from the backbone's defaults.
        extra: negatives, explanations and masks besides the suite's own rows.
        running: device, precision, accumulation, logging.
        features: folder for image features that are encoded once; only where the vision tower is frozen.
        command: what the user typed, for the card.

    Raises:
        GiBenchError: the suite lacks rows for one of the recipe's tasks, a row cannot be trained on, or the loss is
            not a number.
    """
    import torch

    running, choices, folder = running or Running(), choices or Choices(), folder.resolve()
    check_place(folder)
    defaults = _chosen(TINY_DEFAULTS if backbone.pictures.width <= 128 else BASE_DEFAULTS, choices)
    examples = task_examples(suite, recipe.train, negatives=recipe.negatives, style=defaults.style, extra=extra)
    if without := len(set(suite.image_ids) - set(examples.image_ids)):
        say(f"{without} of {len(suite.image_ids)} images have no row for {', '.join(recipe.train)}: left out")
    added = add_task_tokens(backbone.network, backbone.tokenizer) if recipe.task_tokens == "added" else []
    positions = backbone.network.config.text_config.max_position_embeddings
    check_examples(examples, backbone.tokenizer, positions, backbone.image_tokens)
    batches = mix(examples, defaults.mixture, choices.seed, epochs=defaults.epochs, steps=choices.steps)
    torch.manual_seed(choices.seed)
    feed = _feed(recipe, backbone, suite, examples, features, running, say)
    model = add_adapter(backbone.network, backbone.tokenizer, recipe.rank, recipe.alpha, layers=recipe.layers)
    say(f"{recipe.name}: {trainable_count(model):,} trainable parameters, {examples.count()}, {len(batches)} steps")
    card = {
        **_card(recipe, backbone, backbone_name, suite, defaults),
        "steps": len(batches),
        "dtype": running.resolved_dtype(),
        "added_tokens": added,
        "examples": examples.count(),
        "extra_rows": dict(extra.files) if extra is not None else {},
    }
    state = folder.with_name(f".{folder.name}.state")
    with _alone(state):
        trained = train(
            model.base_model.model,
            backbone.tokenizer,
            feed,
            batches,
            defaults.settings,
            state=state,
            recipe=_bound(card | {"pictures": asdict(backbone.pictures)}, batches),
            running=running,
            report=_row_reporter(say, len(batches)),
        )
        if is_main_process():
            count = trainable_count(model)
            card |= {"trainable_parameters": count, "seconds": round(trained.seconds), "command": command}
            _save(model, folder, card, batches, trained)
            shutil.rmtree(state, ignore_errors=True)


def _bound(what: Mapping[str, Any], batches: Sequence[Batch]) -> str:
    """Digest of all that decides the weights: the recipe, and every row in its order."""
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode("utf-8"))
    for batch in batches:
        digest.update(json.dumps([astuple(row) for row in batch]).encode("utf-8"))
    return digest.hexdigest()


def _alone(state: Path) -> AbstractContextManager[None]:
    """The lock on a training's state, held by the process that writes it."""
    from contextlib import nullcontext

    return exclusive(state / "lock", "trains into this folder") if is_main_process() else nullcontext()


def check_place(folder: Path) -> None:
    """Refuse to replace what is no checkpoint, and make the folder above.

    Raises:
        GiBenchError: the place is a file, a folder of other things, or cannot be written.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG).is_file()):
        raise GiBenchError("the output is there and is no checkpoint", where=folder, do="choose another --output")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent):
            pass
    except OSError as error:
        raise GiBenchError(
            f"cannot write there: {error.strerror}", where=folder, do="choose another --output"
        ) from error


def _chosen(defaults: AdapterDefaults, choices: Choices) -> AdapterDefaults:
    mixture, settings = defaults.mixture, replace(defaults.settings, seed=choices.seed)
    return replace(
        defaults,
        epochs=choices.epochs or defaults.epochs,
        mixture=replace(
            mixture,
            rows=choices.rows or mixture.rows,
            rows_per_image=choices.rows_per_image or mixture.rows_per_image,
            weights={**mixture.weights, **(choices.weights or {})},
        ),
        settings=replace(settings, rate=choices.rate or settings.rate),
    )


def _feed(
    recipe: VariantRecipe,
    backbone: Backbone,
    suite: Suite,
    examples: Examples,
    features: Path | None,
    running: Running,
    say: Say,
) -> Feed:
    """Pixels, or features encoded once where nothing of the vision tower is trained and a folder is given."""
    if features is not None and recipe.layers != "language":
        raise GiBenchError(
            f"{recipe.name} trains the vision tower: its features change with every step",
            where="--features",
            do="leave it out, or train a variant whose vision tower is frozen",
        )
    pictures = PictureFeed(suite, backbone.pictures, examples.sizes)
    pictures.check(suite.image_ids if suite.is_embedded else examples.image_ids)
    if features is None:
        return pictures
    from accelerate import PartialState

    dtype = "float32" if running.resolved_dtype() == "float32" else "float16"
    # The other processes wait for the first one, which encodes.
    place = PartialState(cpu=running.resolved_device() == "cpu", timeout=timedelta(hours=12))
    backbone.device = str(place.device)
    backbone.network.to(place.device)
    with place.main_process_first():
        return encode_once(backbone, suite, examples.image_ids, features, dtype=dtype, say=say)


def _save(model: Any, folder: Path, card: dict[str, Any], batches: list[Batch], trained: Trained) -> None:
    """Put adapter, card, log and list of images in place, all at once."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    save_adapter(model, fresh, card)
    write_readme(fresh)
    write_training_images(fresh, (row.img_id for batch in batches for row in batch))
    lines = (json.dumps(row, sort_keys=True, allow_nan=False) + "\n" for row in trained.history)
    write_bytes(fresh / LOG, "".join(lines).encode("utf-8"))
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _card(
    recipe: VariantRecipe, backbone: Backbone, backbone_name: str, suite: Suite, defaults: AdapterDefaults
) -> dict[str, Any]:
    """What decides an adapter's weights, besides its rows."""
    return {
        "variant": recipe.name,
        "backbone": backbone_name,
        "backbone_digest": backbone.digest,
        "rank": recipe.rank,
        "alpha": recipe.alpha,
        "layers": recipe.layers,
        "task_tokens": recipe.task_tokens,
        "tasks": list(recipe.train),
        "negatives": recipe.negatives,
        "masks": recipe.masks,
        "mixture": asdict(defaults.mixture),
        "training": asdict(defaults.settings),
        "trained_on": suite.name,
        "trained_on_fingerprint": suite.fingerprint,
    }
