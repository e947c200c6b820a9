"""``gi-bench run``: variants on a suite, scored, with what other packages make of finished runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gi_bench.harness.commands.options import AcceptChangedOption, PluginOption, ThreadsOption, load_plugins
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say

if TYPE_CHECKING:
    from gi_bench.harness.schema import Task


ModelOption = Annotated[list[str], typer.Option("--model", "-m", help="Model variant; repeat to run several.")]
SuiteOption = Annotated[str, typer.Option("--suite", "-s", help="Suite to run on.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder with the suite's files.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Parent of the run folders.")]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N questions.")]
TasksOption = Annotated[
    str | None, typer.Option("--tasks", help="Comma list of answer, ground, explain (default: all).")
]
BatchSizeOption = Annotated[str, typer.Option("--batch-size", help="Micro-batch: a number or auto.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
DtypeOption = Annotated[str, typer.Option("--dtype", help="auto, float32, float16 or bfloat16.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
BeamsOption = Annotated[int | None, typer.Option("--beams", min=1, help="Beam count; 1 is greedy.")]
CheckpointOption = Annotated[
    str | None,
    typer.Option("--checkpoint", help="Adapter folder or Hub id instead of the registered one."),
]
BackboneOption = Annotated[str | None, typer.Option("--backbone", help="tiny, base, or a backbone's folder or Hub id.")]
TrainSuiteOption = Annotated[str | None, typer.Option("--train-suite", help="Suite that blind priors learn from.")]
TrainDataOption = Annotated[
    Path | None, typer.Option("--train-data", help="Folder of the --train-suite, where it is not --data.")
]
TrainingImagesOption = Annotated[
    Path | None,
    typer.Option("--training-images", help="Ids of the model's training images: scores for seen and unseen apart."),
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="One side of a split: FILE:train or FILE:test (see gi-bench split).")
]
EverythingOption = Annotated[bool, typer.Option("--all", help="Print all metrics, not only the headline ones.")]
BoundsOption = Annotated[
    bool, typer.Option("--bounds", help="Also run the floors and ceilings of these tasks that there are.")
]
IgnoreRulesOption = Annotated[
    bool,
    typer.Option(
        "--ignore-generation-config",
        help="Go on without the decoding rules that a checkpoint brings along (generation_config.json).",
    ),
]


def run(
    model: ModelOption,
    suite: SuiteOption = "phantom",
    data: DataOption = None,
    output: OutputOption = Path("runs"),
    limit: LimitOption = None,
    tasks: TasksOption = None,
    batch_size: BatchSizeOption = "auto",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    seed: SeedOption = 0,
    beams: BeamsOption = None,
    checkpoint: CheckpointOption = None,
    backbone: BackboneOption = None,
    train_suite: TrainSuiteOption = None,
    train_data: TrainDataOption = None,
    training_images: TrainingImagesOption = None,
    split: SplitOption = None,
    everything: EverythingOption = False,
    bounds: BoundsOption = False,
    threads: ThreadsOption = None,
    ignore_generation_config: IgnoreRulesOption = False,
    accept_changed: AcceptChangedOption = False,
    plugin: PluginOption = None,
) -> None:
    """Run model variants on a suite: predictions, scores and report."""
    load_plugins(plugin)
    from gi_bench.harness.engine.run import Settings, evaluate

    settings = Settings(
        tasks=_tasks(tasks),
        limit=limit,
        batch_size=_batch_size(batch_size),
        device=device,
        dtype=dtype,
        seed=seed,
        checkpoint=checkpoint,
        backbone=backbone,
        beams=beams,
        training_images=training_images,
        split=split,
        bounds=bounds,
        threads=threads,
        ignore_generation_config=ignore_generation_config,
        accept_changed=accept_changed,
        command=shlex.join(["gi-bench", *sys.argv[1:]]),
    )
    finished = evaluate(
        model,
        suite,
        data=data,
        train_suite=train_suite,
        train_data=train_data,
        output=output,
        settings=settings,
        say=say,
    )
    from gi_bench.harness.analysis.summary import score_lines

    for line in score_lines([entry.scores for entry in finished], everything=everything):
        say(line)
    for line in _bounds([entry.path for entry in finished]):
        say(line)
    for what, path in _after_run([entry.path for entry in finished]):
        say(f"{what}: {path}")


def _bounds(paths: list[Path]) -> list[str]:
    """The share of the way from floor to ceiling, where there are bounds among the runs or beside them."""
    from gi_bench.harness.analysis.bounds import bound_lines, shares

    return bound_lines(shares(paths))


def _after_run(paths: list[Path]) -> list[tuple[str, Path | str]]:
    """What the other rooms make of finished runs: the report, and the command that submits."""
    from gi_bench.harness.registry import registered

    made: list[tuple[str, Path | str]] = [("run", path) for path in paths]
    # From the last name to the first, so that the report, which users want most, is the last line.
    for entry in reversed(registered("gi_bench.commands").values()):
        if entry.after_run is not None:
            made.extend(entry.after_run(paths))
    return made


def _tasks(text: str | None) -> tuple[Task, ...] | None:
    from gi_bench.harness.registry import unknown_name
    from gi_bench.harness.schema import TASKS

    if text is None:
        return None
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in TASKS:
            raise unknown_name(name, TASKS, "task")
    if not wanted:
        raise GiBenchError("no task given", where="--tasks", do=f"use any of {', '.join(TASKS)}")
    return tuple(task for task in TASKS if task in wanted)


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise GiBenchError("not a batch size", where=f"--batch-size {text}", do="use auto or a number from 1")
    return int(text)


COMMAND = CommandEntry(
    name="run",
    summary="Run model variants on a suite: predictions, scores and report.",
    app=run,
    order=10,
)
