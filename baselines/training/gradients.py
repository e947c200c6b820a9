"""How the tasks' gradients agree: norms and cosines on fixed rows, before, during and after a training.

The rows are drawn once, from the seed, and as far as possible of the same images for every task, so that two tasks
differ in what is asked and not in what is seen. The measurement leaves the training as it is: no dropout is drawn, no
gradient is left at a parameter.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gi_bench.baselines.training.mixture import Batch, Row
from gi_bench.harness.checking import checked, read_text
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.json_text import parse_json
from gi_bench.harness.schema import GradientPair

if TYPE_CHECKING:
    import torch

    from gi_bench.baselines.training.features import Feed

# Rows of each task; fewer where the training has fewer.
FIXED_ROWS = 16
# Keys of the Trainer's log, which has no nesting.
_NORM, _COSINE = "gradients/norm/", "gradients/cosine/"
# Parts of the fixed rows where activations are recomputed in training to save memory: here they are kept.
_SMALL = 4


def fixed_rows(batches: Sequence[Batch], seed: int, count: int = FIXED_ROWS) -> dict[str, list[Row]]:
    """Some rows of every task of a training.

    Args:
        batches: of the training.
        seed: of the choice.
        count: rows a task, at most.

    Returns:
        By task, one row an image: of images that have rows of most tasks first, in an order drawn from the seed that
        is the same for all tasks. More rows of an image only where the images are fewer than ``count``.
    """
    by_task: dict[str, dict[str, set[Row]]] = defaultdict(lambda: defaultdict(set))
    for row in (row for batch in batches for row in batch):
        by_task[row.task][row.img_id].add(row)
    img_ids = sorted({img_id for images in by_task.values() for img_id in images})
    random = np.random.default_rng([seed, len(img_ids)])
    drawn = [img_ids[i] for i in random.permutation(len(img_ids))]
    drawn.sort(key=lambda img_id: -sum(img_id in images for images in by_task.values()))
    return {task: _of_task(by_task[task], drawn, random, count) for task in sorted(by_task)}


def _of_task(
    images: Mapping[str, set[Row]], drawn: Sequence[str], random: np.random.Generator, count: int
) -> list[Row]:
    """Rows of one task: one of each image in order, then a second of each, until they are enough."""
    pools = []
    for img_id in drawn:
        rows = sorted(images.get(img_id, ()), key=lambda row: (row.prompt, row.target))
        pools.append([rows[i] for i in random.permutation(len(rows))])
        if sum(map(bool, pools)) == count:
            break
    deepest = max(map(len, pools))
    return [pool[depth] for depth in range(deepest) for pool in pools if depth < len(pool)][:count]


class GradientProbe:
    """Measures the gradients of a training's tasks on fixed rows."""

    def __init__(
        self, parts: Sequence[Batch], tokenizer: Any, feed: Feed, seed: int, *, recompute: bool = False
    ) -> None:
        """Draw the rows.

        Args:
            parts: what the training computes at once; the fixed rows are cut so that they need no more memory.
            tokenizer: the network's.
            feed: the training's.
            seed: of the choice.
            recompute: whether the training keeps no activations; the measurement keeps those of a few rows.
        """
        images = 1 if recompute else max(len({row.img_id for row in part}) for part in parts)
        size = _SMALL if recompute else max(map(len, parts))
        self._parts = {task: _cut(rows, images, size) for task, rows in fixed_rows(parts, seed).items()}
        self._tokenizer, self._feed = tokenizer, feed

    def measure(self, network: Any) -> dict[str, float]:
        """Norms and cosines over the trainable parameters, as keys of the Trainer's log.

        In float32 whatever the training computes in, with the loss that the training has: the mean over target tokens.
        What is not finite is left out.

        Args:
            network: a :class:`~gi_bench.baselines.training.loop.GroupedNetwork`, not wrapped for several processes.
        """
        import torch

        parameters = [p for p in network.parameters() if p.requires_grad]
        with undisturbed(network, parameters[0].device), torch.enable_grad():
            found = {task: self._gradient(network, parameters, task) for task in self._parts}
        norms = {task: math.sqrt(_product(gradient, gradient)) for task, gradient in found.items()}
        logged = {_NORM + task: norm for task, norm in norms.items()}
        for first, second in combinations(sorted(found), 2):
            if both := norms[first] * norms[second]:
                logged[f"{_COSINE}{first}-{second}"] = _product(found[first], found[second]) / both
        return {name: float(f"{value:.6g}") for name, value in logged.items() if math.isfinite(value)}

    def _gradient(self, network: Any, parameters: Sequence[torch.Tensor], task: str) -> list[torch.Tensor]:
        """The gradient of one task's loss, parameter by parameter."""
        import torch

        from gi_bench.baselines.training.loop import IGNORED, BatchSet

        items = BatchSet([self._parts[task]], self._tokenizer, self._feed, [task])
        inputs = [items[number] for number in range(len(items))]
        tokens = sum(int((one["labels"] != IGNORED).sum()) for one in inputs)
        device = parameters[0].device
        total = [torch.zeros_like(p) for p in parameters]
        for one in inputs:
            moved = {name: value.to(device) for name, value in one.items() if name not in ("number", "tasks")}
            # Not network(...): accelerate puts mixed precision around that.
            with torch.autocast(device.type, enabled=False):
                loss = type(network).forward(network, **moved, num_items_in_batch=tokens)["loss"]
            # Unlike backward(), it leaves nothing at the parameters and wakes no hook of several processes.
            for sum_so_far, part in zip(total, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
                if part is not None:
                    sum_so_far += part
        return total


def _cut(rows: Sequence[Row], images: int, size: int) -> list[Batch]:
    """Rows in parts of at most ``images`` images and ``size`` rows, in their order."""
    found: list[list[Row]] = []
    for row in rows:
        if found and len(found[-1]) < size and len({one.img_id for one in found[-1]} | {row.img_id}) <= images:
            found[-1].append(row)
        else:
            found.append([row])
    return [tuple(part) for part in found]


def _product(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> float:
    import torch

    return float(torch.stack([(a * b).sum(dtype=torch.float64) for a, b in zip(first, second, strict=True)]).sum())


@contextmanager
def undisturbed(network: Any, device: torch.device) -> Iterator[None]:
    """Evaluation mode for a while; afterwards modes and random generators are what they were."""
    import torch

    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def nested(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row of the Trainer's log holds of :meth:`GradientProbe.measure`, as ``training.jsonl`` has it."""
    norms = {name[len(_NORM) :]: value for name, value in row.items() if name.startswith(_NORM)}
    pairs = {name[len(_COSINE) :]: value for name, value in row.items() if name.startswith(_COSINE)}
    cosines = {name.replace("-", "|"): value for name, value in pairs.items()}
    return {"gradients": {"norms": norms, "cosines": cosines}} if norms else {}


@dataclass(frozen=True)
class _Measured:
    """``gradients`` of a row of ``training.jsonl``."""

    norms: Mapping[str, float]
    cosines: Mapping[str, float]


def gradient_summary(folder: Path, arm: str, seed: int) -> list[GradientPair]:
    """How the tasks' gradients agreed over the training of an adapter, pair by pair.

    Args:
        folder: the adapter's, with ``training.jsonl``.
        arm, seed: what the records name it.

    Returns:
        One record a pair of tasks, sorted; none for a single task, and where nothing was measured or the adapter was
        made elsewhere.

    Raises:
        CheckpointError: the log is damaged.
    """
    path = folder / "training.jsonl"
    if not path.exists():
        return []
    do = "train the adapter again, or take the log away"
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for number, line in enumerate(read_text(path, do, CheckpointError).splitlines(), 1):
        where = f"{path}:{number}"
        row = parse_json(line, where, do, CheckpointError)
        if not isinstance(row, dict):
            raise CheckpointError("a row of the log is no object", where=where, do=do)
        if "gradients" not in row:
            continue
        one = checked(row["gradients"], _Measured, where, do=do, error=CheckpointError)
        for pair, cosine in one.cosines.items():
            first, _, second = pair.partition("|")
            if not {first, second} <= one.norms.keys():
                raise CheckpointError(f"a cosine of {pair!r} without their norms", where=where, do=do)
            found[first, second].append((cosine, one.norms[first], one.norms[second]))
    return [_pair(arm, seed, *tasks, np.array(rows)) for tasks, rows in sorted(found.items())]


def _pair(arm: str, seed: int, first: str, second: str, rows: np.ndarray[Any, Any]) -> GradientPair:
    """A pair's record from (steps, 3): cosine and both norms."""
    cosine, first_norm, second_norm = rows.mean(axis=0).tolist()
    negative = float((rows[:, 0] < 0).mean())
    return GradientPair(arm, seed, first, second, cosine, negative, len(rows), first_norm, second_norm)
