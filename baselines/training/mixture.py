"""From rows of several tasks to batches: which rows a training sees, in which order, beside which others.

Rows of one image stand side by side in a batch, so that one encoding of the image serves them all. The order depends
on rows, settings and seed alone: a resumed training, one with gradient accumulation and one on two GPUs take the same
rows in the same step.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise

import numpy as np

from gi_bench.baselines.training.rows import Examples
from gi_bench.harness.errors import GiBenchError


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt with its target."""

    img_id: str
    task: str
    prompt: str
    target: str


# The rows of one optimiser step, those of one image side by side.
Batch = tuple[Row, ...]


@dataclass(frozen=True)
class Mixture:
    """How rows of several tasks become batches.

    Attributes:
        rows: rows of an optimiser step, at most: the effective batch.
        rows_per_image: rows that share one encoding of their image, at most.
        weights: by task, how many times an epoch takes each of its rows; .5 takes half of them, 1 where not named.
    """

    rows: int = 12
    rows_per_image: int = 4
    weights: Mapping[str, float] = field(default_factory=dict)


def mix(examples: Examples, mixture: Mixture, seed: int, *, epochs: int = 1, steps: int | None = None) -> list[Batch]:
    """The batches of a whole training.

    Args:
        examples: rows by task and image.
        mixture: sizes and weights.
        seed: of the order, and of the choice where a weight is no whole number.
        epochs: passes over the rows; not used where ``steps`` is given.
        steps: exactly so many batches, of as many epochs as that takes.

    Raises:
        GiBenchError: the weights leave no row.
    """
    epoch_count = epochs if steps is None else None
    found = list(islice(_batches(examples, mixture, seed, epoch_count), steps))
    if not found:
        raise GiBenchError("the weights of the tasks leave no row to train on", do="give one of them a weight above 0")
    return found


def _batches(examples: Examples, mixture: Mixture, seed: int, epochs: int | None) -> Iterator[Batch]:
    epoch = 0
    while epochs is None or epoch < epochs:
        random = np.random.default_rng([seed, epoch])
        size = min(mixture.rows_per_image, mixture.rows)
        groups = _groups(_epoch_rows(examples, mixture.weights, random), size, random)
        if not groups:
            return
        yield from _fill(groups, mixture.rows)
        epoch += 1


def _epoch_rows(examples: Examples, weights: Mapping[str, float], random: np.random.Generator) -> dict[str, list[Row]]:
    """The rows of one epoch by image: each of a task's rows as often as its weight says."""
    found: dict[str, list[Row]] = defaultdict(list)
    for task in sorted(examples.by_task):
        rows = [
            Row(img_id, task, prompt, target)
            for img_id, pairs in sorted(examples.by_task[task].items())
            for prompt, target in pairs
        ]
        whole, part = divmod(weights.get(task, 1.0), 1.0)
        drawn = random.permutation(len(rows))[: round(part * len(rows))]
        for row in [*rows * int(whole), *(rows[i] for i in sorted(drawn))]:
            found[row.img_id].append(row)
    return found


def _groups(rows: Mapping[str, Sequence[Row]], size: int, random: np.random.Generator) -> list[Batch]:
    """Rows of one image in groups of about equal, at most ``size`` rows; all groups in random order."""
    found: list[Batch] = []
    for img_id in sorted(rows):
        shuffled = [rows[img_id][i] for i in random.permutation(len(rows[img_id]))]
        count = -(-len(shuffled) // size)
        found.extend(tuple(shuffled[i::count]) for i in range(count))
    return [found[i] for i in random.permutation(len(found))]


def _fill(groups: Sequence[Batch], rows: int) -> Iterator[Batch]:
    """Batches of whole groups with at most ``rows`` rows: of the groups that still fit always the next in order."""
    queues: dict[int, deque[int]] = defaultdict(deque)
    for position, group in enumerate(groups):
        queues[len(group)].append(position)
    batch: list[Row] = []
    while any(queues.values()):
        room = rows - len(batch)
        fitting = [queue for size, queue in queues.items() if queue and size <= room]
        if not fitting:
            yield tuple(batch)
            batch = []
            continue
        batch.extend(groups[min(fitting, key=lambda queue: queue[0]).popleft()])
    if batch:
        yield tuple(batch)


def share(batches: Sequence[Batch], parts: int) -> list[list[Batch]]:
    """Every batch in ``parts`` parts of about equal size; rows keep their order, so that few images are cut apart.

    A batch with fewer rows than parts, which an epoch's last may be, joins the one before it.

    Args:
        batches: as :func:`mix` gives them.
        parts: processes times batches that are accumulated.

    Raises:
        GiBenchError: the first batch has fewer rows than parts.
    """
    found: list[Batch] = []
    for batch in batches:
        if len(batch) >= parts:
            found.append(batch)
        elif found:
            found[-1] += batch
        else:
            raise GiBenchError(
                f"a batch of {len(batch)} rows cannot be shared by {parts} (processes times accumulation)",
                do="give fewer processes, a smaller --accumulate or a larger --batch-rows",
            )
    shared = []
    for batch in found:
        bounds = [i * len(batch) // parts for i in range(parts + 1)]
        shared.append([batch[low:high] for low, high in pairwise(bounds)])
    return shared
