"""From rows of several tasks to batches: which rows a training sees, in which order, beside which others.

Rows of one image stand side by side in a batch, so that one encoding of the image serves them all. The order depends
on rows, settings and seed alone: a resumed training, one with gradient accumulation and one on two GPUs take the same
rows in the same step.

Trainings that are compared have to differ in one thing: with an anchor, one task's rows alone decide the steps, and the
other tasks' rows join the steps of their images. Whatever tasks are added, the anchor's rows are the same ones in the
same steps, and so are those of every other task.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from zlib import crc32

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
        rows: rows of an optimiser step, at most: the effective batch; with an anchor, rows of the anchor.
        rows_per_image: rows that share one encoding of their image, at most; with an anchor, rows of the anchor.
        weights: by task, how many times an epoch takes each of its rows; .5 takes half of them, 1 where not named.
        anchor: the task whose rows decide the steps; empty mixes all alike.
        epoch_rows: with an anchor, by task how many rows an epoch takes, in the place of its weight.
    """

    rows: int = 12
    rows_per_image: int = 4
    weights: Mapping[str, float] = field(default_factory=dict)
    anchor: str = ""
    epoch_rows: Mapping[str, int] = field(default_factory=dict)


def mix(
    examples: Examples,
    mixture: Mixture,
    seed: int,
    *,
    epochs: int = 1,
    steps: int | None = None,
    without: Collection[str] = (),
) -> list[Batch]:
    """The batches of a whole training.

    Args:
        examples: rows by task and image.
        mixture: sizes and weights.
        seed: of the order, and of the choice where a weight is no whole number.
        epochs: passes over the rows; not used where ``steps`` is given.
        steps: exactly so many batches, of as many epochs as that takes.
        without: tasks that are not trained; an anchor among them decides the steps all the same.

    Raises:
        GiBenchError: the weights leave no row, or there is none of the anchor.
    """
    epoch_count = epochs if steps is None else None
    found = list(islice(_batches(examples, mixture, seed, epoch_count, without), steps))
    if not found:
        raise GiBenchError("the weights of the tasks leave no row to train on", do="give one of them a weight above 0")
    return found


def _batches(
    examples: Examples, mixture: Mixture, seed: int, epochs: int | None, without: Collection[str]
) -> Iterator[Batch]:
    epoch = 0
    while epochs is None or epoch < epochs:
        made = (_anchored if mixture.anchor else _mixed)(examples, mixture, seed, epoch, without)
        if not made:
            return
        yield from made
        epoch += 1


def _mixed(examples: Examples, mixture: Mixture, seed: int, epoch: int, without: Collection[str] = ()) -> list[Batch]:
    """An epoch of all tasks alike."""
    random = np.random.default_rng([seed, epoch])
    size = min(mixture.rows_per_image, mixture.rows)
    kept = {task: images for task, images in examples.by_task.items() if task not in without}
    groups = _groups(_epoch_rows(kept, mixture.weights, random), size, random)
    return list(_fill(groups, mixture.rows))


def _anchored(examples: Examples, mixture: Mixture, seed: int, epoch: int, without: Collection[str]) -> list[Batch]:
    """An epoch whose steps are those of the anchor alone; rows of other tasks join the steps of their images."""
    anchor = mixture.anchor
    steps = _mixed(Examples({anchor: examples.by_task.get(anchor, {})}), replace(mixture, weights={}), seed, epoch)
    if not steps:
        raise GiBenchError(f"no rows of {anchor}, which decide the steps", do="train on a suite that has some")
    joined = [[] if anchor in without else list(step) for step in steps]
    for task in sorted(set(examples.by_task) - {anchor, *without}):
        # Drawn by themselves: which other tasks there are makes no difference to them.
        random = np.random.default_rng([seed, epoch, crc32(task.encode())])
        rows = _task_rows(task, examples.by_task[task], _wanted(task, examples, mixture), random)
        for step, more in zip(joined, _joining(rows, steps, random), strict=True):
            step.extend(more)
    found = [_by_image(step, rows) for step, rows in zip(steps, joined, strict=True)]
    return [step for step in found if step]


def _by_image(step: Batch, rows: Sequence[Row]) -> Batch:
    """Rows in the order of the images of the anchor's step; those of other images come last."""
    places = {img_id: place for place, img_id in enumerate(dict.fromkeys(row.img_id for row in step))}
    return tuple(sorted(rows, key=lambda row: (places.get(row.img_id, len(places)), row.img_id)))


def _wanted(task: str, examples: Examples, mixture: Mixture) -> float:
    """How many times an epoch takes each row of a task."""
    if task not in mixture.epoch_rows:
        return mixture.weights.get(task, 1.0)
    return mixture.epoch_rows[task] / max(1, sum(map(len, examples.by_task[task].values())))


def _joining(rows: Sequence[Row], steps: Sequence[Batch], random: np.random.Generator) -> list[list[Row]]:
    """Rows by step: each in one of its image's, in turns; no step is left without one.

    Rows of images that no step shows are left out.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for number, step in enumerate(steps):
        for img_id in dict.fromkeys(row.img_id for row in step):
            places[img_id].append(number)
    found: list[list[Row]] = [[] for _ in steps]
    taken: dict[str, int] = defaultdict(int)
    for row in (rows[i] for i in random.permutation(len(rows))):
        if row.img_id in places:
            own = places[row.img_id]
            found[own[taken[row.img_id] % len(own)]].append(row)
            taken[row.img_id] += 1
    for step_rows in found:
        if not step_rows and any(found):
            richest = max(found, key=len)
            # Where rows are fewer than steps, one is taken twice.
            step_rows.append(richest.pop() if len(richest) > 1 else richest[0])
    return found


def _epoch_rows(
    by_task: Mapping[str, Mapping[str, Sequence[tuple[str, str]]]],
    weights: Mapping[str, float],
    random: np.random.Generator,
) -> dict[str, list[Row]]:
    """The rows of one epoch by image: each of a task's rows as often as its weight says."""
    found: dict[str, list[Row]] = defaultdict(list)
    for task in sorted(by_task):
        for row in _task_rows(task, by_task[task], weights.get(task, 1.0), random):
            found[row.img_id].append(row)
    return found


def _task_rows(
    task: str, images: Mapping[str, Sequence[tuple[str, str]]], weight: float, random: np.random.Generator
) -> list[Row]:
    """A task's rows in an epoch, each as often as the weight says."""
    rows = [Row(img_id, task, prompt, target) for img_id, pairs in sorted(images.items()) for prompt, target in pairs]
    whole, part = divmod(weight, 1.0)
    drawn = random.permutation(len(rows))[: round(part * len(rows))]
    return [*rows * int(whole), *(rows[i] for i in sorted(drawn))]


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
