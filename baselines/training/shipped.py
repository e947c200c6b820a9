"""All shipped weights made again: the tiny backbone first, then the adapters of every variant that is shipped.

A checkpoint that is there and was made as it would be made now is kept; what was cut off goes on from its state.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

from gi_bench.baselines.registration import HERE, definitions
from gi_bench.baselines.training.progress import Say
from gi_bench.baselines.training.settings import Running
from gi_bench.harness.engine.progress import duration
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.terminal import say as say_line
from gi_bench.harness.terminal_table import wrapped

BACKBONE, SUITE = "tiny", "phantom/train"


@dataclass(frozen=True)
class Shipping:
    """How the shipped weights are made.

    Attributes:
        parent: folder of the checkpoints; the package's own if it is where ``gi-bench run`` looks for them.
        running: device, precision, logging; the same for all.
        jobs: adapters at once, in processes that share the cores and the GPU.
        score_suite: suite on which each adapter is scored for its card; None for no scores.
    """

    parent: Path = HERE / "weights"
    running: Running = field(default_factory=lambda: Running(dtype="float32"))
    jobs: int = 1
    score_suite: str | None = None


def shipped_variants() -> list[str]:
    """Names of the variants whose weights for the tiny backbone come with the package."""
    return [one.name for one in definitions().values() if one.shipped]


def train_all_shipped(shipping: Shipping, *, say: Say = say_line) -> list[Path]:
    """Make the backbone and all shipped adapters, except those that are there as they would be made now.

    Returns:
        The checkpoints' folders.

    Raises:
        GiBenchError: the backbone's training failed, or, after all others are made, an adapter's.
    """
    from gi_bench.baselines.training.tiny.schooling import TINY_NAME

    start, names = time.perf_counter(), shipped_variants()
    shipping = replace(shipping, parent=shipping.parent.resolve())
    device = shipping.running.resolved_device()
    say(f"the backbone and {len(names)} adapters into {shipping.parent}")
    for line in wrapped(estimate(HERE / "weights", names, device, shipping.jobs)):
        say(line)
    _backbone(shipping, say)
    failed: dict[str, GiBenchError] = {}
    for number, (name, outcome) in enumerate(_made(names, shipping, say), 1):
        if isinstance(outcome, GiBenchError):
            failed[name] = outcome
        say(f"{number} of {len(names)}: {name}, {outcome if isinstance(outcome, str) else 'failed'}")
    folders = [shipping.parent / TINY_NAME, *(_folder(shipping, name) for name in names)]
    size = sum(path.stat().st_size for folder in folders for path in folder.glob("*"))
    say(f"{len(names) - len(failed)} adapters in {duration(time.perf_counter() - start)}, {size / 1e6:.1f} MB in all")
    for name, error in failed.items():
        raise RunError(
            f"{len(failed)} of {len(names)} trainings failed, the first of them {name}: {error.what}",
            where=error.where,
            do=error.do or "give the same command again: what is finished is kept",
        ) from error
    return folders


def estimate(stored: Path, names: Sequence[str], device: str, jobs: int) -> str:
    """A line on how long it takes, out of what the cards of stored checkpoints say that it took.

    Args:
        stored: folder of checkpoints.
        names: variants that are made.
        device: ``cpu`` or ``cuda``; times on the other one do not count.
        jobs: trainings at once.
    """
    from gi_bench.baselines.training.tiny.schooling import TINY_NAME

    times = {}
    for folder in (TINY_NAME, *(f"{name}-{BACKBONE}" for name in names)):
        card = _card(stored / folder)
        if isinstance(card.get("seconds"), (int, float)) and card.get("device", "cpu") == device:
            times[folder] = float(card["seconds"])
    backbone = times.pop(TINY_NAME, None)
    if not times:
        return f"how long it takes on {device} is not known: no stored adapter was made on it"
    mean = sum(times.values()) / len(times)
    adapters = sum(times.get(f"{name}-{BACKBONE}", mean) for name in names)
    # At once on one device they share it: together they take about as long, and never longer than one after another.
    shared = "" if jobs == 1 else f" one after another; less with {jobs} at once"
    took = (
        f"an adapter {duration(min(times.values()))} to {duration(max(times.values()))} on {device} when they were made"
    )
    if backbone is None:
        return (
            f"about {duration(adapters)} for the adapters{shared}: {took}; the stored backbone was not made on {device}"
        )
    return f"about {duration(backbone + adapters)}{shared}: the backbone took {duration(backbone)}, {took}"


def _folder(shipping: Shipping, name: str) -> Path:
    return shipping.parent / f"{name}-{BACKBONE}"


def _card(folder: Path) -> dict[str, Any]:
    """The card of a whole checkpoint; empty where there is none that can be read."""
    from gi_bench.baselines.florence2.adapters import read_card

    try:
        return read_card(folder) if any(folder.glob("*.safetensors")) else {}
    except GiBenchError:
        return {}


def _backbone(shipping: Shipping, say: Say) -> None:
    """The tiny backbone, trained if it is not there with the steps that it would be trained for."""
    from gi_bench.baselines.training.tiny import schooling

    folder = shipping.parent / schooling.TINY_NAME
    steps = {"vision_steps": schooling.SIGHT_STEPS, "steps": schooling.BACKBONE_STEPS}
    recipe = {"seed": 0, **steps, "inquiry_steps": schooling.INQUIRY_STEPS}
    if recipe.items() <= _card(folder).items():
        say("the backbone is there")
        return
    running = shipping.running
    schooling.train_tiny_backbone(folder, device=running.resolved_device(), workers=running.workers, say=say)


def _made(names: Sequence[str], shipping: Shipping, say: Say) -> Iterator[tuple[str, str | GiBenchError]]:
    """Every adapter with what became of it, as they finish."""
    if shipping.jobs == 1 or len(names) == 1:
        for name in names:
            yield name, _one(name, shipping, say)
        return
    jobs = min(shipping.jobs, len(names))
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start, (threads,)) as pool:
        waiting = {pool.submit(_one, name, shipping, partial(_say_of, name)): name for name in names}
        try:
            for future in as_completed(waiting):
                broken = future.exception()
                if isinstance(broken, Exception):
                    yield waiting[future], RunError(f"its process ended: {str(broken)[:120]}")
                else:
                    yield waiting[future], future.result()
        except BaseException:
            for process in list(pool._processes.values()):
                process.terminate()
            raise


def _start(threads: int) -> None:
    """A worker that ends with its parent, or it would train on beside the next call."""
    from gi_bench.harness.devices import use_threads

    use_threads(threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _say_of(name: str, line: str) -> None:
    say_line(f"{name}: {line.removeprefix(f'{name}: ')}")


def _one(name: str, shipping: Shipping, say: Say) -> str | GiBenchError:
    """Train one adapter, or keep it; an error is given back, so that the others are still made."""
    try:
        return _train(name, shipping, say)
    except GiBenchError as error:
        return error


def _train(name: str, shipping: Shipping, say: Say) -> str:
    from gi_bench.baselines.florence2.backbone import load_backbone
    from gi_bench.baselines.training import own_masks
    from gi_bench.baselines.training.adapter import Material, adapter_recipe, clean_beside, train_adapter
    from gi_bench.baselines.training.extra_rows import read_extra_rows
    from gi_bench.baselines.training.tiny.schooling import TINY_NAME
    from gi_bench.harness.registry import load_suite

    start, variant, folder = time.perf_counter(), definitions()[name], _folder(shipping, name)
    suite, backbone = load_suite(SUITE), load_backbone(shipping.parent / TINY_NAME)
    if _same(adapter_recipe(variant, backbone, BACKBONE, suite), _card(folder)):
        clean_beside(folder)
        own_masks.remove(folder)
        return "is there"
    command = f"gi-bench train --model {name}"
    board = shipping.running.log_dir
    running = replace(
        shipping.running,
        command=command + (f" --score-suite {shipping.score_suite}" if shipping.score_suite else ""),
        log_dir=None if board is None else board / f"{folder.name}-seed0",
    )
    extra = None
    if variant.masks == "refined":
        extra = read_extra_rows(suite, masks=own_masks.own_masks(suite, folder, running, say))
    train_adapter(variant, backbone, BACKBONE, Material(suite, extra), folder, running=running, say=say)
    own_masks.remove(folder)
    if shipping.score_suite is not None:
        from gi_bench.baselines.training.card import score_checkpoint

        score_checkpoint(
            name, folder, shipping.score_suite, str(shipping.parent / TINY_NAME), device=running.resolved_device()
        )
    return f"trained in {duration(time.perf_counter() - start)}"


def _same(recipe: Mapping[str, Any], card: Mapping[str, Any]) -> bool:
    """Whether a card says of a checkpoint what it would be made by now, as JSON has it."""
    import json

    return bool(json.loads(json.dumps(dict(recipe))).items() <= card.items()) if card else False
