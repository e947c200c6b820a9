"""Training masks that a variant makes for itself: filled boxes of the suite's regions, refined by GrabCut.

GrabCut stands in for SAM where SAM's weights cannot be had; the variant says so in its name and card.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gi_bench.baselines.training.progress import Say
from gi_bench.baselines.training.settings import Running

if TYPE_CHECKING:
    from gi_bench.harness.suites.base import Suite


def own_masks(suite: Suite, checkpoint: Path, running: Running, say: Say) -> Path:
    """The masks for a training, made where they are not there; they lie beside its state and go with it.

    Args:
        suite: training suite; its own regions give the boxes.
        checkpoint: folder that the training writes.
        running: device; under ``accelerate launch`` the first process makes the masks, the others wait.
        say: called with lines for the user.

    Raises:
        DataError: the suite has no region.
    """
    from accelerate import PartialState

    path = place(checkpoint)
    at = PartialState(cpu=running.resolved_device() == "cpu", timeout=timedelta(hours=12))
    with at.main_process_first():
        if at.is_main_process:
            _make(suite, path, say)
    return path


def place(checkpoint: Path) -> Path:
    """Where the masks of a training lie until it is over."""
    return checkpoint.with_name(f".{checkpoint.name}.masks.parquet")


def _make(suite: Suite, path: Path, say: Say) -> None:
    """Always anew: it takes a minute, and masks of another suite's or an earlier version's images would not show it."""
    from gi_bench.baselines.data.masks.making import box_masks, refined_masks, write_masks
    from gi_bench.baselines.data.masks.refining import GrabCut

    say("making masks: filled boxes, refined by GrabCut")
    boxes = {(one.img_id, one.region.label): one.region for one in box_masks(suite)}
    counts = Counter[str]()
    made = write_masks(path, refined_masks(suite, boxes, GrabCut(), "refine", counts))
    say(f"{made} masks; of {counts['input kept']} the box stays")
