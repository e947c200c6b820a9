"""How an adapter is made: everything is fixed by the variant's definition and the seed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.florence2.adapter_config import CONFIG, WEIGHTS
from gi_bench.baselines.florence2.adapters import (
    CARD,
    TRAINING_IMAGES,
    add_adapter,
    add_task_tokens,
    save_adapter,
    trainable_count,
    write_training_images,
)
from gi_bench.baselines.florence2.locations import TINY_STYLE, TargetStyle
from gi_bench.baselines.registration import VariantDefinition
from gi_bench.baselines.training.card import write_readme
from gi_bench.baselines.training.extra_rows import ExtraRows
from gi_bench.baselines.training.features import Feed, PictureFeed, encode_once
from gi_bench.baselines.training.fitting import Course, Trained, train
from gi_bench.baselines.training.mixture import Batch, Mixture, mix
from gi_bench.baselines.training.progress import Say, bound_digest, row_reporter
from gi_bench.baselines.training.rows import Examples, check_examples, task_examples
from gi_bench.baselines.training.settings import Running, TrainingSettings, is_main_process
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.files import write_bytes
from gi_bench.harness.locks import holding
from gi_bench.harness.placing import ENDING, place_folder, remove_folder, sweep
from gi_bench.harness.terminal import say as say_line

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gi_bench.baselines.florence2.backbone import Backbone
    from gi_bench.harness.suites.base import Suite

LOG = "training.jsonl"
# What a checkpoint of ours consists of.
_OURS = frozenset({CONFIG, CARD, WEIGHTS, TRAINING_IMAGES, LOG, "README.md"})


@dataclass(frozen=True)
class AdapterDefaults:
    """Settings of an adapter's training that depend on the size of the backbone."""

    epochs: int
    mixture: Mixture
    settings: TrainingSettings
    style: TargetStyle
    # Optimiser steps, instead of epochs, where the user gives neither.
    steps: int | None = None


# Side of the square in which a tiny backbone sees pictures, at most.
TINY_PIXELS = 128
# Every variant takes the same number of steps, whatever it is trained on; a pass over phantom/train would leave little
# for a better variant to gain.
TINY_DEFAULTS = AdapterDefaults(
    epochs=1,
    mixture=Mixture(rows=16, rows_per_image=8, weights={"explain": 0.4, "ground": 0.8, "negative": 0.8}),
    # No dropout: so few steps teach nothing by heart, and drawing it takes a sixth of the time on a CPU.
    # The vision tower sees already; at the whole rate it forgets what it sees before the words are learnt.
    settings=TrainingSettings(
        rate=3e-3, warmup=0.06, schedule="cosine", decay=0.01, beta2=0.98, vision_share=0.125, dropout=0.0
    ),
    style=TINY_STYLE,
    steps=2400,
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
        loss_weights: by task, what its loss is multiplied by.
        anchor: the task whose rows alone decide the steps, see :class:`Mixture`; also where it is not trained on.
        epoch_rows: with an anchor, by task how many rows an epoch takes.
    """

    epochs: int | None = None
    steps: int | None = None
    seed: int = 0
    rate: float | None = None
    rows: int | None = None
    rows_per_image: int | None = None
    weights: Mapping[str, float] | None = None
    loss_weights: Mapping[str, float] | None = None
    anchor: str = ""
    epoch_rows: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Material:
    """What an adapter is trained on.

    Attributes:
        suite: training rows and images.
        extra: negatives, explanations and masks besides the suite's own rows.
        features: folder for image features that are encoded once; only where the vision tower is frozen.
    """

    suite: Suite
    extra: ExtraRows | None = None
    features: Path | None = None


def train_adapter(
    variant: VariantDefinition,
    backbone: Backbone,
    backbone_name: str,
    material: Material,
    folder: Path,
    *,
    choices: Choices | None = None,
    running: Running | None = None,
    say: Say = say_line,
) -> None:
    """Train a variant's LoRA adapter and save it with its card.

    Args:
        variant: which tasks, rank, layers, negatives.
        backbone: loaded in float32 on the CPU; its network is wrapped and not usable afterwards.
        backbone_name: as in ``variants.toml``.
        material: rows, images and features.
        folder: where the adapter goes; replaced as a whole when training is over. Until then the state is kept beside
            it, and the same call goes on from there.
        choices: what differs from the backbone's defaults.
        running: device, precision, accumulation, logging.
        say: called with lines for the user.

    Raises:
        GiBenchError: the suite lacks rows for one of the variant's tasks, a row cannot be trained on, or the loss is
            not a number.
    """
    running, choices, folder = running or Running(), choices or Choices(), folder.resolve()
    check_place(folder)
    defaults = _chosen(defaults_for(backbone.pictures.width), choices)
    tiny = backbone.pictures.width <= TINY_PIXELS
    running = replace(running, gradients=tiny if running.gradients is None else running.gradients)
    positions = backbone.network.config.text_config.max_position_embeddings
    examples = _examples(variant, material, defaults, positions, say)
    added = add_task_tokens(backbone.network, backbone.tokenizer) if variant.task_tokens == "added" else []
    check_examples(examples, backbone.tokenizer, positions, backbone.image_tokens)
    batches, count = _batches(examples, variant, defaults, choices)
    whole = sum(p.numel() for p in backbone.network.parameters())
    feed, model = _network(variant, backbone, backbone_name, material, examples, defaults.settings, running, say)
    say(f"{trainable_count(model):,} trainable parameters, {len(batches):,} steps")
    say(f"rows: {', '.join(f'{number:,} {task}' for task, number in count.items())}")
    card = {
        **_recipe(variant, backbone, backbone_name, material.suite, defaults),
        "steps": len(batches),
        "dtype": running.resolved_dtype(),
        "added_tokens": added,
        "examples": count,
        **_rows(batches, material.extra),
    }
    state = _state(folder)
    bound = bound_digest(card | {"pictures": asdict(backbone.pictures)}, batches)
    with alone(folder):
        course, report = Course(batches, defaults.settings, state, bound), row_reporter(say, len(batches))
        trained = train(model.base_model.model, backbone.tokenizer, feed, course, running=running, report=report)
        if is_main_process():
            card |= _size(trainable_count(model), whole) | _told(running, trained)
            _save(model, folder, card, batches, trained)
            remove_folder(state)


def adapter_recipe(
    variant: VariantDefinition, backbone: Backbone, backbone_name: str, suite: Suite, choices: Choices | None = None
) -> dict[str, Any]:
    """What :func:`train_adapter` would write into the card of what decides the weights, besides extra rows."""
    defaults = _chosen(defaults_for(backbone.pictures.width), choices or Choices())
    return _recipe(variant, backbone, backbone_name, suite, defaults)


def defaults_for(pixels: int) -> AdapterDefaults:
    """The defaults of a backbone by the side of the square in which it sees pictures."""
    return TINY_DEFAULTS if pixels <= TINY_PIXELS else BASE_DEFAULTS


def clean_beside(folder: Path) -> None:
    """Take away what a training that was killed after its last step left beside its checkpoint.

    Raises:
        GiBenchError: another process trains into the folder.
    """
    folder = folder.resolve()
    with alone(folder):
        sweep(folder)
        remove_folder(_state(folder))


def _state(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.state")


def _examples(
    variant: VariantDefinition, material: Material, defaults: AdapterDefaults, positions: int, say: Say
) -> Examples:
    """Rows of the variant's tasks; images without any and regions that do not fit are said."""
    suite = material.suite
    tasks = list(dict.fromkeys([*variant.train, *([defaults.mixture.anchor] if defaults.mixture.anchor else [])]))
    # A start and an end token stand around every target.
    style = replace(defaults.style, room=positions - 2)
    found = task_examples(suite, tasks, negatives=variant.negatives, style=style, extra=material.extra)
    if without := len(set(suite.image_ids) - set(found.image_ids)):
        say(f"{without} of {len(suite.image_ids)} images have no row for {', '.join(tasks)}: left out")
    if found.cut:
        img_id, label = min(found.cut)
        how_many = "1 region has" if len(found.cut) == 1 else f"{len(found.cut):,} regions have"
        room = f"more parts than {positions - 2} tokens can outline"
        say(f"{how_many} {room}, the first is {label} in {img_id}: the smallest parts are left out")
    return found


def _network(
    variant: VariantDefinition,
    backbone: Backbone,
    backbone_name: str,
    material: Material,
    examples: Examples,
    settings: TrainingSettings,
    running: Running,
    say: Say,
) -> tuple[Feed, Any]:
    """What the network is fed with, and the network with its fresh adapter."""
    import torch

    torch.manual_seed(settings.seed)
    feed = _feed(variant, backbone, material, examples, running, say)
    rank, alpha = variant.rank_on(backbone_name), variant.alpha_on(backbone_name)
    dropout = settings.dropout
    return feed, add_adapter(backbone.network, backbone.tokenizer, rank, alpha, dropout, layers=variant.layers)


def alone(folder: Path) -> AbstractContextManager[None]:
    """The lock on the place of a checkpoint, held by the process that writes it; it lies beside, as the state does."""
    from contextlib import nullcontext

    if not is_main_process():
        return nullcontext()
    return holding(folder.parent, name=f".{folder.name}.lock{ENDING}", what=f"trains into {folder.name}")


def check_place(folder: Path, marks: frozenset[str] = frozenset({CONFIG, CARD}), ours: frozenset[str] = _OURS) -> None:
    """Refuse to replace what is no checkpoint of ours, and make the folder above.

    Args:
        folder: where the checkpoint goes.
        marks: files by which one of ours is known.
        ours: all that it may hold.

    Raises:
        GiBenchError: the place is a file, holds other things than a checkpoint that was trained here, or cannot be
            written.
    """
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if folder.is_file() or folder.is_symlink() or (there and not marks <= there):
        raise GiBenchError(
            "the output is there and is no checkpoint of gi-bench train", where=folder, do="choose another --output"
        )
    if strange := sorted(there - ours):
        raise GiBenchError(
            f"the output holds what gi-bench train did not write, which would be lost: {strange[0]}",
            where=folder,
            do="choose another --output, or move it away",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent):
            pass
    except OSError as error:
        raise GiBenchError(
            f"cannot write there: {error.strerror}", where=folder, do="choose another --output"
        ) from error


def _batches(
    examples: Examples, variant: VariantDefinition, defaults: AdapterDefaults, choices: Choices
) -> tuple[list[Batch], dict[str, int]]:
    """The batches, and how many rows there are of each task; an anchor that is not trained on is in neither."""
    unseen = {choices.anchor} - set(variant.train)
    steps = choices.steps or (defaults.steps if choices.epochs is None else None)
    batches = mix(examples, defaults.mixture, choices.seed, epochs=defaults.epochs, steps=steps, without=unseen)
    return batches, {task: number for task, number in examples.count().items() if task not in unseen}


def _size(trainable: int, backbone: int) -> dict[str, Any]:
    """Parameters that are trained, and their share of the backbone's."""
    return {"trainable_parameters": trainable, "share_of_backbone": round(trainable / backbone, 4)}


def _told(running: Running, trained: Trained) -> dict[str, Any]:
    """What the training took, and on what."""
    device, seconds = running.resolved_device(), round(trained.seconds, 1)
    return {"seconds": seconds, "device": device, "command": running.command}


def _rows(batches: list[Batch], extra: ExtraRows | None) -> dict[str, Any]:
    """Rows of each task that the batches hold, over all epochs, their images, and the files that rows are from."""
    rows = [row for batch in batches for row in batch]
    by_task = Counter(row.task for row in rows)
    return {
        "rows_seen": dict(sorted(by_task.items())),
        "images_seen": len({row.img_id for row in rows}),
        "extra_rows": dict(extra.files) if extra is not None else {},
    }


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
            anchor=choices.anchor,
            epoch_rows=dict(choices.epoch_rows or {}),
        ),
        settings=replace(settings, rate=choices.rate or settings.rate, loss_weights=dict(choices.loss_weights or {})),
    )


def _feed(
    variant: VariantDefinition, backbone: Backbone, material: Material, examples: Examples, running: Running, say: Say
) -> Feed:
    """Pixels, or features encoded once where nothing of the vision tower is trained and a folder is given."""
    suite, features = material.suite, material.features
    if features is not None and variant.layers != "language":
        raise GiBenchError(
            f"{variant.name} trains the vision tower: its features change with every step",
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
    place_folder(fresh, folder)


def _recipe(
    variant: VariantDefinition, backbone: Backbone, backbone_name: str, suite: Suite, defaults: AdapterDefaults
) -> dict[str, Any]:
    """What decides an adapter's weights, besides its rows."""
    return {
        "variant": variant.name,
        "backbone": backbone_name,
        "backbone_digest": backbone.digest,
        "rank": variant.rank_on(backbone_name),
        "rank_of_variant": variant.rank,
        "alpha": variant.alpha_on(backbone_name),
        "layers": variant.layers,
        "task_tokens": variant.task_tokens,
        "tasks": list(variant.train),
        "negatives": variant.negatives,
        "masks": variant.masks,
        "mixture": asdict(defaults.mixture),
        "training": asdict(defaults.settings),
        "trained_on": suite.name,
        "trained_on_fingerprint": suite.fingerprint,
    }
