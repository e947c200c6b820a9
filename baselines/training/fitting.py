"""One training of a network on fixed batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.training import settings as settings_module
from gi_bench.baselines.training.features import Feed
from gi_bench.baselines.training.gradients import GradientProbe, nested
from gi_bench.baselines.training.mixture import Batch, share
from gi_bench.baselines.training.settings import Running, TrainingSettings, rate_factor
from gi_bench.baselines.training.states import last_state, read_weights, threads_of
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.files import read_json

if TYPE_CHECKING:
    from torch import nn
    from transformers import TrainingArguments

# A row of the history, and the seconds so far.
Report = Callable[[dict[str, Any], float], None]


@dataclass(frozen=True)
class Trained:
    """What a training left besides the weights.

    Attributes:
        history: a row every :data:`REPORT_EVERY` steps: step, loss, losses by task, learning rate, gradient norm, and
            how the tasks' gradients agree where that is measured; then the first row is of step 0 and holds that alone.
        seconds: of this process; less than the whole where it was resumed.
    """

    history: list[dict[str, Any]]
    seconds: float


@dataclass(frozen=True)
class Course:
    """What a training goes through, and where it is kept on the way.

    Attributes:
        batches: rows of each optimiser step.
        settings: what decides the weights besides them.
        state: folder where the state is kept and taken up again.
        bound: digest of everything that decides the weights; a state with another one is refused.
    """

    batches: Sequence[Batch]
    settings: TrainingSettings
    state: Path
    bound: str


def train(
    network: Any,
    tokenizer: Any,
    feed: Feed,
    course: Course,
    *,
    running: Running | None = None,
    report: Report | None = None,
) -> Trained:
    """Train a network's trainable parameters in place.

    Under ``accelerate launch`` every process calls this with the same arguments; the rows of an optimiser step are
    shared among them.

    Args:
        network: Florence-2, with or without LoRA modules in it.
        tokenizer: the network's.
        feed: pixels, or features where the vision tower is frozen.
        course: rows, settings and state.
        running: what to run on.
        report: called by the main process with a row of the history and the seconds so far.

    Raises:
        GiBenchError: the loss is not a number (the last state is kept), or the device is not there.
        CheckpointError: the state is damaged or belongs to another training.
        RunError: the state cannot be written.
    """
    running = running or Running()
    arguments = _arguments(course.settings, running, course.state, len(course.batches))
    shared = share(course.batches, arguments.world_size * running.accumulate)
    arguments.max_steps = len(shared)
    last = last_state(course.state, course.bound)
    if last is not None and int(read_json(last / "trainer_state.json")["global_step"]) == len(shared):
        read_weights(_grouped(network, running), last)
        arguments.distributed_state.wait_for_everyone()
        network.eval()
        return Trained(_history(read_json(last / "trainer_state.json")["log_history"]), 0.0)
    from gi_bench.baselines.training.loop import BatchSet

    start = time.perf_counter()
    tasks = sorted({row.task for batch in course.batches for row in batch})
    rows = BatchSet(shared, tokenizer, feed, tasks, course.settings.loss_weights)
    callbacks = _callbacks(running, arguments, start, report)
    probe = None
    if running.gradients:
        seed, recompute = course.settings.seed, running.recompute
        probe = GradientProbe(rows.parts, tokenizer, feed, seed, recompute=recompute)
    trainer = _trainer(_grouped(network, running), arguments, rows, course, tasks, callbacks, probe)
    try:
        with threads_of(last):
            trainer.train(resume_from_checkpoint=str(last) if last is not None else None)
    except GiBenchError as error:
        raise of_worker(error) from error.__cause__
    trainer.accelerator.wait_for_everyone()
    network.eval()
    return Trained(_history(trainer.state.log_history), time.perf_counter() - start)


def _trainer(
    network: Any,
    arguments: TrainingArguments,
    rows: Any,
    course: Course,
    tasks: Sequence[str],
    callbacks: list[Any],
    gradients: GradientProbe | None,
) -> Any:
    """The Trainer of a grouped network, with AdamW and the schedule of the settings."""
    import torch
    from transformers.trainer_callback import PrinterCallback

    from gi_bench.baselines.training.loop import GroupedTrainer

    settings = course.settings
    trainer = GroupedTrainer(
        model=network,
        args=arguments,
        train_dataset=rows,
        optimiser=lambda parameters: torch.optim.AdamW(
            by_rate(parameters, settings), lr=settings.rate, weight_decay=settings.decay, betas=(0.9, settings.beta2)
        ),
        factor=lambda step: rate_factor(step, arguments.max_steps, settings),
        training=course.bound,
        tasks=list(tasks),
        gradients=gradients,
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def by_rate(parameters: Mapping[str, nn.Parameter], settings: TrainingSettings) -> list[dict[str, Any]]:
    """Parameters in the optimiser's groups: the vision tower's apart where they have a rate of their own.

    Args:
        parameters: the trainable ones by name.
        settings: with the rate and the vision tower's share of it.
    """
    if settings.vision_share == 1:
        return [{"params": list(parameters.values())}]
    groups = [
        {"params": [one for name, one in parameters.items() if (".vision_tower." in name) is seeing], "lr": rate}
        for seeing, rate in ((False, settings.rate), (True, settings.vision_share * settings.rate))
    ]
    return [group for group in groups if group["params"]]


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
        logging_steps=settings_module.REPORT_EVERY,
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


def _callbacks(
    running: Running,
    arguments: TrainingArguments,
    start: float,
    report: Report | None,
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
    """Rows of the Trainer's log that hold a loss or gradients."""
    rows = [{"step": row["step"], **_losses(row), **nested(row)} for row in log]
    return [row for row in rows if len(row) > 1]


def _losses(row: dict[str, Any]) -> dict[str, Any]:
    """What a row of the Trainer's log says of the loss; nothing where it holds none."""
    if "loss" not in row:
        return {}
    return {
        "loss": row["loss"],
        "by_task": {name[5:]: value for name, value in row.items() if name.startswith("loss/")},
        "learning_rate": row["learning_rate"],
        # Not finite where loss scaling skipped the step.
        "grad_norm": row["grad_norm"] if math.isfinite(row.get("grad_norm", math.nan)) else None,
    }


def of_worker(error: GiBenchError) -> GiBenchError:
    """An error as it was raised, also where a process that decodes pictures raised it.

    torch's DataLoader hands such an error over as text: it makes the same type anew from "Caught KIND in DataLoader
    worker process N.", the traceback and, last, the error's own line. Nothing but this text tells it from an error of
    this process.
    """
    if not error.what.startswith("Caught "):
        return error
    return type(error)(error.what.strip().splitlines()[-1].partition(": ")[2])
