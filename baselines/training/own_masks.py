"""Training masks that a variant makes for itself: filled boxes of the suite's regions, refined by GrabCut.

GrabCut stands in for SAM where SAM's weights cannot be had; the variant says so in its name and card.
"""

from __future__ import annotations

import hashlib
import json
import re
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

    path = place(checkpoint, suite)
    at = PartialState(cpu=running.resolved_device() == "cpu", timeout=timedelta(hours=12))
    with at.main_process_first():
        if at.is_main_process and not path.is_file():
            remove(checkpoint)
            _make(suite, path, say)
    return path


def place(checkpoint: Path, suite: Suite) -> Path:
    """Where the masks of a training lie until it is over; those of other images or another method lie elsewhere."""
    import cv2

    from gi_bench.baselines.data.masks.refining import GrabCut

    one = GrabCut()
    made_by = json.dumps([suite.fingerprint, one.name, dict(one.details), cv2.__version__], sort_keys=True)
    digest = hashlib.sha256(made_by.encode("utf-8")).hexdigest()[:12]
    return checkpoint.with_name(f"{_start(checkpoint)}{digest}.parquet")


def remove(checkpoint: Path) -> None:
    """Take away the masks of a training that is over, and those that it can no longer use."""
    ours = re.compile(re.escape(_start(checkpoint)) + r"[0-9a-f]{12}\.parquet")
    for path in checkpoint.parent.iterdir() if checkpoint.parent.is_dir() else ():
        if ours.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _start(checkpoint: Path) -> str:
    return f".{checkpoint.name}.masks-"


def _make(suite: Suite, path: Path, say: Say) -> None:
    from gi_bench.baselines.data.masks.making import box_masks, refined_masks, write_masks
    from gi_bench.baselines.data.masks.refining import GrabCut

    boxes = {(one.img_id, one.region.label): one.region for one in box_masks(suite)}
    say(f"making {len(boxes):,} masks: filled boxes, refined by GrabCut")
    counts = Counter[str]()
    made = write_masks(path, refined_masks(suite, boxes, GrabCut(), "refine", counts), say)
    say(f"{made:,} masks; {counts['input kept']:,} of them stay boxes")
