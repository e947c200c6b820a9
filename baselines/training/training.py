"""One training of a network on fixed batches: its settings, what it runs on, and the call itself."""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gi_bench.baselines.training.features import Feed
from gi_bench.baselines.training.mixture import Batch, share
from gi_bench.baselines.training.states import last_state, read_weights
from gi_bench.harness.devices import choose_device, choose_dtype
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.files import read_json

if TYPE_CHECKING:
    from transformers import TrainingArguments

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
    """

    rate: float
    warmup: float = 0.1
    schedule: Literal["linear", "cosine"] = "linear"
    decay: float = 0.0
    beta2: float = 0.999
    seed: int = 0


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
    """

    device: str = "auto"
    dtype: str = "auto"
    accumulate: int = 1
    recompute: bool = False
    workers: int = 0
    log_to: str = "none"
    log_dir: Path | None = None
    save_every: int = 2 * REPORT_EVERY

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
        dtype = choose_dtype(self.dtype, device, exact=True)
        if dtype == "float16" and device == "cpu":
            raise GiBenchError("float16 trains on GPUs only", where="--dtype float16", do="use bfloat16 or float32")
        return dtype


@dataclass(frozen=True)
class Trained:
    """What a training left besides the weights.

    Attributes:
        history: a row every :data:`REPORT_EVERY` steps: step, loss, losses by task, learning rate, gradient norm.
        seconds: of this process; less than the whole where it was resumed.
    """

    history: list[dict[str, Any]]
    seconds: float


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


def train(
    network: Any,
    tokenizer: Any,
    feed: Feed,
    batches: Sequence[Batch],
    settings: TrainingSettings,
    *,
    state: Path,
    recipe: str,
    running: Running | None = None,
    report: Callable[[dict[str, Any], float], None] | None = None,
) -> Trained:
    """Train a network's trainable parameters in place.

    Under ``accelerate launch`` every process calls this with the same arguments; the rows of an optimiser step are
    shared among them.

    Args:
        network: Florence-2, with or without LoRA modules in it.
        tokenizer: the network's.
        feed: pixels, or features where the vision tower is frozen.
        batches: rows of each optimiser step.
        settings: what decides the weights.
        state: folder where the state is kept and taken up again.
        recipe: digest of everything that decides the weights; another recipe's state is refused.
        running: what to run on.
        report: called by the main process with a row of the history and the seconds so far.

    Raises:
        GiBenchError: the loss is not a number (the last state is kept), or the device is not there.
        CheckpointError: the state is damaged or belongs to another recipe.
        RunError: the state cannot be written.
    """
    import torch

    running = running or Running()
    arguments = _arguments(settings, running, state, len(batches))
    shared = share(batches, arguments.world_size * running.accumulate)
    arguments.max_steps = steps = len(shared)
    last = last_state(state, recipe)
    if last is not None and int(read_json(last / "trainer_state.json")["global_step"]) == steps:
        read_weights(_grouped(network, running), last)
        arguments.distributed_state.wait_for_everyone()
        network.eval()
        return Trained(_history(read_json(last / "trainer_state.json")["log_history"]), 0.0)
    from transformers.trainer_callback import PrinterCallback

    from gi_bench.baselines.training.loop import BatchSet, GroupedTrainer

    start = time.perf_counter()
    tasks = sorted({row.task for batch in batches for row in batch})
    trainer = GroupedTrainer(
        model=_grouped(network, running),
        args=arguments,
        train_dataset=BatchSet(shared, tokenizer, feed, tasks),
        optimiser=lambda parameters: torch.optim.AdamW(
            parameters, lr=settings.rate, weight_decay=settings.decay, betas=(0.9, settings.beta2)
        ),
        factor=lambda step: rate_factor(step, steps, settings),
        recipe=recipe,
        tasks=tasks,
        callbacks=_callbacks(running, arguments, start, report),
    )
    trainer.remove_callback(PrinterCallback)
    try:
        trainer.train(resume_from_checkpoint=str(last) if last is not None else None)
    except GiBenchError as error:
        if not error.what.startswith("Caught "):
            raise
        # A worker's error comes with its traceback as text; the last line is the error's own.
        raise type(error)(error.what.strip().splitlines()[-1].partition(": ")[2]) from None
    trainer.accelerator.wait_for_everyone()
    network.eval()
    return Trained(_history(trainer.state.log_history), time.perf_counter() - start)


def _arguments(settings: TrainingSettings, running: Running, state: Path, steps: int) -> TrainingArguments:
    import torch
    from transformers import TrainingArguments
    from transformers.utils import logging

    logging.set_verbosity_error()
    device, dtype = running.resolved_device(), running.resolved_dtype()
    arguments = TrainingArguments(
        output_dir=str(state),
        max_steps=steps,
        per_device_train_batch_size=1,  # an item is a whole part of a batch
        gradient_accumulation_steps=running.accumulate,
        learning_rate=settings.rate,
        max_grad_norm=1.0,
        seed=settings.seed,
        use_cpu=device == "cpu",
        fp16=dtype == "float16",
        bf16=dtype == "bfloat16",
        logging_steps=REPORT_EVERY,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=running.save_every,
        save_total_limit=2,  # the one before stays until the next is sealed
        report_to=["wandb"] if running.log_to == "wandb" else [],
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_num_workers=running.workers,
        dataloader_pin_memory=device == "cuda",
        ddp_find_unused_parameters=False,
    )
    # accelerate's own configuration would win over a dtype of float32.
    arguments.mixed_precision = {"float16": "fp16", "bfloat16": "bf16"}.get(dtype, "no")
    if device == "cuda" and arguments.world_size == 1:
        # One process drives one GPU; DataParallel would cut through our batches.
        arguments._n_gpu = 1
        torch.cuda.set_device(0)
    return arguments


def _grouped(network: Any, running: Running) -> Any:
    """The network behind the interface of the Trainer, on the CPU; the Trainer moves it."""
    from gi_bench.baselines.training.loop import GroupedNetwork, recompute_activations

    if running.recompute:
        recompute_activations(network)
    return GroupedNetwork(network)


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


def _callbacks(
    running: Running,
    arguments: TrainingArguments,
    start: float,
    report: Callable[[dict[str, Any], float], None] | None,
) -> list[Any]:
    from transformers import TrainerCallback

    class Reporting(TrainerCallback):  # type: ignore[misc]
        """Logs the last step too, and hands the main process's rows on."""

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
            if state.global_step == state.max_steps:
                control.should_log = True
            return control

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if report is not None and state.is_world_process_zero and "loss" in (logs or {}):
                report(_history(state.log_history)[-1], time.perf_counter() - start)

    found: list[Any] = [Reporting()]
    if running.log_to == "tensorboard" and arguments.process_index == 0:
        from tensorboardX import SummaryWriter
        from transformers.integrations import TensorBoardCallback

        folder = running.log_dir or Path(arguments.output_dir)
        try:
            found.append(TensorBoardCallback(SummaryWriter(str(folder))))
        except OSError as error:
            raise RunError(
                f"cannot write TensorBoard's files: {error.strerror}",
                where=folder,
                do="give --log-dir, or --log-to none",
            ) from error
    return found


def _history(log: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the Trainer's log that hold a loss."""
    return [
        {
            "step": row["step"],
            "loss": row["loss"],
            "by_task": {name[5:]: value for name, value in row.items() if name.startswith("loss/")},
            "learning_rate": row["learning_rate"],
            # Not finite where loss scaling skipped the step.
            "grad_norm": row["grad_norm"] if math.isfinite(row.get("grad_norm", math.nan)) else None,
        }
        for row in log
        if "loss" in row
    ]
