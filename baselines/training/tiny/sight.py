"""The tiny backbone's vision tower learns to see before the network learns to speak: a dense auxiliary task."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gi_bench.baselines.training.features import PictureFeed
from gi_bench.baselines.training.tiny.lessons import LOOKS, Thing, things
from gi_bench.harness.suites.phantom.scene import Scene

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gi_bench.harness.suites.phantom.suite import PhantomSuite

_IMAGES = 64
_FINE = 8


def attribute_vector(scene: Scene, seen: list[Thing]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the auxiliary head has to tell of a whole picture: 0/1 for each attribute."""
    looks = [thing.look for thing in seen]
    flags = [
        scene.procedure == "colonoscopy", scene.text is not None, scene.box == "green", scene.box == "black",
        *(look in looks for look in LOOKS),
        *(sum(looks.count(look) for look in LOOKS[:3]) >= count for count in (2, 3)),
    ]  # fmt: skip
    return np.array(flags, dtype=np.float32)


def dense_labels(seen: list[Thing], cells: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Class of every cell of a (cells x cells) grid: 0 for none, else 1 + position of the look.

    Args:
        seen: things with masks of ``_FINE`` pixels a cell.
    """
    grid = np.zeros((cells, cells), dtype=np.int64)
    best = np.full((cells, cells), 0.12)
    for thing in seen:
        share = thing.mask.reshape(cells, _FINE, cells, _FINE).mean(axis=(1, 3))
        grid = np.where(share > best, 1 + LOOKS.index(thing.look), grid)
        best = np.maximum(best, share)
    return grid


def train_sight(
    network: Any,
    suite: PhantomSuite,
    feed: PictureFeed,
    *,
    steps: int,
    rate: float,
    seed: int,
    device: str = "cpu",
    report: Callable[[int, float, float], None] | None = None,
) -> None:
    """Train the vision tower alone with two auxiliary heads, in place; the network is on the CPU again afterwards."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    tower = network.model.vision_tower
    ids = list(suite.image_ids)
    with torch.no_grad():
        shape = tower(feed.read(ids[:1])).last_hidden_state.shape
    width, cells = int(shape[1]), int(shape[-1])
    attributes, dense = _answers(suite, cells)
    heads = nn.ModuleList([nn.Conv2d(width, 1 + len(LOOKS), 1), nn.Linear(2 * width, attributes.shape[1])])
    parameters = [*tower.parameters(), *heads.parameters()]
    tower.to(device).train()
    heads.to(device)
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    start, losses = time.perf_counter(), []
    for step in range(steps):
        rows = random.choice(len(ids), min(_IMAGES, len(ids)), replace=False)
        # Mirrored scenes are scenes, too: what is learnt by heart otherwise is the place of every thing.
        mirrored = [axis for axis in (-1, -2) if random.random() < 0.5]
        pixels, cells_wanted = feed.read([ids[i] for i in rows]).flip(mirrored), dense[rows].flip(mirrored)
        seen = tower(pixels.to(device)).last_hidden_state
        loss = _loss(heads, seen, cells_wanted.to(device), attributes[rows].to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.detach())
        if report is not None and (step + 1) % 50 == 0:
            report(step + 1, float(torch.stack(losses).mean()), time.perf_counter() - start)
            losses = []
    tower.to("cpu").eval()


def _answers(suite: PhantomSuite, cells: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Attributes (images, flags) and cells' classes (images, cells, cells) of a split."""
    import torch

    attributes, dense = [], []
    for img_id in suite.image_ids:
        scene = suite.scene(img_id)
        seen = things(scene, cells * _FINE)
        attributes.append(attribute_vector(scene, seen))
        dense.append(dense_labels(seen, cells))
    return torch.from_numpy(np.stack(attributes)), torch.from_numpy(np.stack(dense))


def _loss(heads: nn.ModuleList, seen: torch.Tensor, dense: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the cells, and of the attributes from the pooled cells."""
    import torch
    from torch.nn import functional

    pooled = torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], dim=1)
    loss = functional.cross_entropy(heads[0](seen), dense)
    return loss + functional.binary_cross_entropy_with_logits(heads[1](pooled), attributes)
