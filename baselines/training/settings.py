"""What decides a training's weights, what it runs on, and what it tells."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gi_bench.harness.devices import choose_device, choose_dtype
from gi_bench.harness.errors import GiBenchError

# Steps between two reports. States are kept at multiples of it, so that a resumed training reports the same means.
REPORT_EVERY = 50
LOGGERS = ("tensorboard", "wandb", "none")


@dataclass(frozen=True)
class TrainingSettings:
    """What decides the weights, besides rows and their order.

    Attributes:
        rate: peak learning rate.
        warmup: share of the steps with rising rate.
        schedule: ``linear`` falls to 0 (the paper's), ``cosine`` to a twentieth of the peak.
        decay: weight decay of AdamW.
        beta2: second moment's decay of AdamW.
        seed: of initial weights and dropout.
        vision_share: what the learning rate is multiplied by for the vision tower's weights.
        dropout: of the inputs of the LoRA weights, 0 to 1; .05 is the paper's.
        loss_weights: by task, what the loss of its tokens is multiplied by; 1 where not named.
    """

    rate: float
    warmup: float = 0.1
    schedule: Literal["linear", "cosine"] = "linear"
    decay: float = 0.0
    beta2: float = 0.999
    seed: int = 0
    vision_share: float = 1.0
    dropout: float = 0.05
    loss_weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """What a training runs on, and what it tells.

    Attributes:
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: ``float32``, or ``float16`` (with loss scaling, on a GPU) or ``bfloat16`` for mixed precision; ``auto``
            takes bfloat16 on a GPU that has it, float16 on any other (T4), float32 on a CPU.
        accumulate: parts that an optimiser step's rows are computed in, one after the other.
        recompute: compute activations anew in the backward pass instead of keeping them (gradient checkpointing).
        workers: processes that decode pictures.
        log_to: ``tensorboard``, ``wandb`` or ``none``.
        log_dir: folder of TensorBoard's files.
        save_every: steps between two states, a multiple of :data:`REPORT_EVERY`.
        command: what the user typed, for the card.
        gradients: whether norms and cosines of the tasks' gradients are measured on fixed rows wherever losses are
            logged; it changes no weight. None leaves it to the training: adapters of the tiny backbone, where it is
            cheap, and nothing else.
    """

    device: str = "auto"
    dtype: str = "auto"
    accumulate: int = 1
    recompute: bool = False
    workers: int = 0
    log_to: str = "none"
    log_dir: Path | None = None
    save_every: int = 2 * REPORT_EVERY
    command: str = ""
    gradients: bool | None = None

    def resolved_device(self) -> str:
        """``cpu`` or ``cuda``.

        Raises:
            GiBenchError: there is no such device.
        """
        if self.device not in ("auto", "cpu", "cuda"):
            raise GiBenchError(
                "unknown device", where=f"--device {self.device}", do="use auto, cpu or cuda; choose a GPU with "
                "CUDA_VISIBLE_DEVICES",
            )  # fmt: skip
        return choose_device(self.device)

    def resolved_dtype(self) -> str:
        """``float32``, ``float16`` or ``bfloat16``.

        Raises:
            GiBenchError: it is another one, or float16 on a CPU.
        """
        device = self.resolved_device()
        # Mixed precision pays on a GPU only.
        dtype = choose_dtype(self.dtype, device, exact=device == "cpu")
        if dtype == "float16" and device == "cpu":
            raise GiBenchError("float16 trains on GPUs only", where="--dtype float16", do="use bfloat16 or float32")
        return dtype


def rate_factor(step: int, steps: int, settings: TrainingSettings) -> float:
    """What the peak learning rate is multiplied by at a step: linear warm-up, then the schedule."""
    if settings.schedule == "cosine":
        warm = max(1, int(steps * settings.warmup))
        if step < warm:
            return (step + 1) / warm
        progress = (step - warm) / max(1, steps - warm)
        return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress))
    warm = math.ceil(steps * settings.warmup)
    if step < warm:
        return step / warm
    return max(0.0, (steps - step) / max(1, steps - warm))


def check_logger(log_to: str) -> None:
    """Refuse a logger that is not known or not installed.

    Raises:
        GiBenchError: see above.
    """
    if log_to not in LOGGERS:
        raise GiBenchError(f"unknown logger {log_to!r}", where="--log-to", do=f"use one of {', '.join(LOGGERS)}")
    if log_to == "wandb" and importlib.util.find_spec("wandb") is None:
        raise GiBenchError("W&B is not installed", where="--log-to wandb", do="pip install wandb, or use tensorboard")


def is_main_process() -> bool:
    """Whether this process may write files: the only one, or the first of those that ``accelerate launch`` started."""
    return os.environ.get("RANK", "0") == "0"
