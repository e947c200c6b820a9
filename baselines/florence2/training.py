"""The training loop that backbone and adapters share: one picture, many prompts.

A batch takes some images, encodes each once, and puts several prompts of several tasks to it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.florence2.backbone import PictureSettings
from baselines.florence2.checkpoints import Checkpoints
from baselines.florence2.examples import Examples
from harness.errors import GiBenchError

if TYPE_CHECKING:
    import torch

    from harness.suites.base import Suite


# Steps between two reports. States are kept at multiples of it, so that a resumed training reports the same means.
REPORT_EVERY = 50


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one training run.

    Attributes:
        steps: optimiser steps.
        images: images a batch.
        rows: prompts per image and batch, by task.
        rate: peak learning rate.
        warmup: share of the steps with rising rate.
        decay: weight decay.
        seed: of sampling and initial weights.
    """

    steps: int
    images: int
    rows: Mapping[str, int]
    rate: float
    warmup: float = 0.06
    decay: float = 0.01
    seed: int = 0


class PictureFeed:
    """Pictures of a suite at the backbone's size; small ones are kept in memory."""

    def __init__(self, suite: Suite, settings: PictureSettings, keep: bool | None = None) -> None:
        self._suite, self._settings = suite, settings
        self._keep = settings.width * settings.height <= 128 * 128 if keep is None else keep
        self._kept: dict[str, Any] = {}

    def pixels(self, img_ids: Sequence[str]) -> torch.Tensor:
        """Normalised pixels (n, 3, height, width)."""
        import torch

        return torch.from_numpy(self._settings.normalise(np.stack([self._picture(i) for i in img_ids])))

    def _picture(self, img_id: str) -> Any:
        if img_id in self._kept:
            return self._kept[img_id]
        picture = self._settings.resize(self._suite.load_image(img_id))
        if self._keep:
            self._kept[img_id] = picture
        return picture


def rate_at(step: int, settings: TrainingSettings) -> float:
    """Learning rate: linear warm-up, then a cosine down to a twentieth of the peak."""
    warm = max(1, int(settings.steps * settings.warmup))
    if step < warm:
        return settings.rate * (step + 1) / warm
    progress = (step - warm) / max(1, settings.steps - warm)
    return settings.rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))


def sample_batch(
    examples: Examples, images: Sequence[str], settings: TrainingSettings, random: np.random.Generator
) -> tuple[list[str], list[int], list[str], list[str], list[str]]:
    """Draw a batch.

    Returns:
        image ids; and per row the position of its image, the prompt, the target and the task.
    """
    chosen = [images[i] for i in random.choice(len(images), min(settings.images, len(images)), replace=False)]
    at: list[int] = []
    asked: list[str] = []
    wanted: list[str] = []
    tasks: list[str] = []
    for position, img_id in enumerate(chosen):
        for task, count in settings.rows.items():
            pool = examples.by_task.get(task, {}).get(img_id, ())
            for row in random.permutation(len(pool))[:count]:
                at.append(position)
                asked.append(pool[row][0])
                wanted.append(pool[row][1])
                tasks.append(task)
    return chosen, at, asked, wanted, tasks


def batch_loss(
    network: Any, tokenizer: Any, pixels: Any, at: Any, asked: Any, wanted: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of the targets, with every image encoded once.

    Returns:
        The mean over all tokens, and, without gradient, (rows,) the mean over each row's tokens.
    """
    import torch

    device = pixels.device
    features = network.get_image_features(pixels).pooler_output[torch.tensor(at, device=device)]
    bos, eos = tokenizer.bos_token, tokenizer.eos_token
    text = tokenizer(
        [bos + prompt + eos for prompt in asked], add_special_tokens=False, padding=True, return_tensors="pt"
    ).to(device)
    target = tokenizer(
        [reply + eos for reply in wanted], add_special_tokens=False, padding=True, return_tensors="pt"
    ).to(device)
    embedded = network.get_input_embeddings()(text.input_ids)
    seen = torch.ones(features.shape[:2], dtype=text.attention_mask.dtype, device=device)
    labels = target.input_ids.masked_fill(target.attention_mask == 0, -100)
    output = network(
        inputs_embeds=torch.cat([features.to(embedded.dtype), embedded], dim=1),
        attention_mask=torch.cat([seen, text.attention_mask], dim=1),
        labels=labels,
    )
    with torch.no_grad():
        logits = output.logits.detach().float().transpose(1, 2)
        tokens = torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="none")
        rows = tokens.sum(dim=1) / (labels != -100).sum(dim=1)
    loss: torch.Tensor = output.loss
    return loss, rows


@dataclass
class Losses:
    """Losses since the last report: of batches, and of rows by task."""

    batches: list[float] = field(default_factory=list)
    rows: dict[str, list[float]] = field(default_factory=dict)

    def add(self, loss: float, rows: Sequence[float], tasks: Sequence[str]) -> None:
        """Add one batch."""
        self.batches.append(loss)
        for value, task in zip(rows, tasks, strict=True):
            self.rows.setdefault(task, []).append(value)

    def mean(self) -> float:
        """Mean over batches."""
        return sum(self.batches) / len(self.batches)

    def by_task(self) -> dict[str, float]:
        """Mean over rows, by task."""
        return {task: sum(values) / len(values) for task, values in sorted(self.rows.items())}


Report = Callable[[int, Losses, float], None]


def train(
    network: Any,
    tokenizer: Any,
    feed: PictureFeed,
    examples: Examples,
    settings: TrainingSettings,
    *,
    report: Report | None = None,
    device: str = "cpu",
    checkpoints: Checkpoints | None = None,
) -> float:
    """Train the network's trainable parameters in place.

    Args:
        report: called every :data:`REPORT_EVERY` steps with (step, losses since the last call, seconds so far).
        checkpoints: where the state is kept and taken up again; None keeps none.

    Returns:
        Seconds taken, of this process.

    Raises:
        GiBenchError: the loss is not a number; the last state is kept.
        CheckpointError: the state belongs to another recipe.
        RunError: the state cannot be written.
    """
    import torch

    torch.manual_seed(settings.seed)
    random = np.random.default_rng(settings.seed)
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    parameters = list(named.values())
    optimiser = torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=settings.decay, betas=(0.9, 0.98))
    images = examples.image_ids
    network.train()
    start, losses = time.perf_counter(), Losses()
    done = checkpoints.load(named, optimiser, random) if checkpoints is not None else 0
    for step in range(done, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, settings)
        img_ids, at, asked, wanted, tasks = sample_batch(examples, images, settings, random)
        if at:
            loss, rows = batch_loss(network, tokenizer, feed.pixels(img_ids).to(device), at, asked, wanted)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise _not_a_number(step, img_ids, rows.tolist(), tasks, checkpoints)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            losses.add(value, rows.tolist(), tasks)
        last = step + 1 == settings.steps
        if report is not None and losses.batches and ((step + 1) % REPORT_EVERY == 0 or last):
            report(step + 1, losses, time.perf_counter() - start)
            losses = Losses()
        if checkpoints is not None and (step + 1) % checkpoints.every == 0 and not last:
            checkpoints.save(step + 1, named, optimiser, random)
    network.eval()
    return time.perf_counter() - start


def _not_a_number(
    step: int, img_ids: Sequence[str], rows: Sequence[float], tasks: Sequence[str], checkpoints: Checkpoints | None
) -> GiBenchError:
    bad = sorted({task for value, task in zip(rows, tasks, strict=True) if not math.isfinite(value)})
    kept = f"; the state of step {step // checkpoints.every * checkpoints.every} is kept" if checkpoints else ""
    return GiBenchError(
        f"the loss is not a number at step {step + 1}, task {', '.join(bad) or 'unknown'}{kept}",
        where=f"images {', '.join(img_ids[:8])}",
        do="look at these rows, or lower the learning rate",
    )
