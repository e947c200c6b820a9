"""``gi-bench run``: variants on a suite, scored, with what other packages make of finished runs."""

from __future__ import annotations

import json
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gi_bench.harness.commands.options import (
    AcceptChangedOption,
    JsonOption,
    PluginOption,
    ThreadsOption,
    complete_models,
    complete_suites,
    load_plugins,
)
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text

if TYPE_CHECKING:
    from gi_bench.harness.engine.run import Finished
    from gi_bench.harness.schema import Task


ModelOption = Annotated[
    list[str],
    typer.Option("--model", "-m", help="Model variant; repeat to run several.", autocompletion=complete_models),
]
SuiteOption = Annotated[str, typer.Option("--suite", "-s", help="Suite to run on.", autocompletion=complete_suites)]
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
TrainSuiteOption = Annotated[
    str | None,
    typer.Option("--train-suite", help="Suite that blind priors learn from.", autocompletion=complete_suites),
]
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
EverythingOption = Annotated[
    bool, typer.Option("--all", help="Print all metrics with intervals and n, instead of one table.")
]
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
    as_json: JsonOption = False,
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
        say=partial(say, err=as_json),
    )
    if as_json:
        say_text(_as_json(finished))
    else:
        _tell(finished, everything=everything, bounds=bounds)


def _tell(finished: list[Finished], *, everything: bool, bounds: bool) -> None:
    """The scores, and what the other rooms make of finished runs; the report is the last line."""
    from gi_bench.harness.analysis.summary import say_scores

    paths = [entry.path for entry in finished]
    say_scores([entry.scores for entry in finished], say, everything=everything)
    if everything or bounds:
        for line in _bounds(paths):
            say(line)
    say(f"run: {paths[0]}" if len(paths) == 1 else f"runs: {len(paths)} folders in {paths[0].parent}")
    made = _after_run(paths)
    for what, path in made:
        more = sum(name == what for name, _ in made) - 1
        if not more:
            say(f"{what}: {path}")
        elif (what, path) == next(one for one in made if one[0] == what):
            say(f"{what}: {path} (likewise for {more} more)")


def _as_json(finished: list[Finished]) -> str:
    """All that a machine wants of the call: runs with their scores, and what was made of them."""
    from gi_bench.harness.analysis.summary import scores_content

    paths = [entry.path for entry in finished]
    made = [{"what": what, "path": str(path)} for what, path in _after_run(paths)]
    report = next((one["path"] for one in made if one["what"] == "report"), None)
    runs = [
        {"path": str(entry.path), "seconds": round(entry.seconds, 3), **scores_content(entry.scores)}
        for entry in finished
    ]
    content = {"runs": runs, "report": report, "made": made}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def _bounds(paths: list[Path]) -> list[str]:
    """The share of the way from floor to ceiling, where there are bounds among the runs or beside them."""
    from gi_bench.harness.analysis.bounds import bound_lines, shares

    return bound_lines(shares(paths))


def _after_run(paths: list[Path]) -> list[tuple[str, Path | str]]:
    """What the other rooms make of finished runs: the report, and the command that submits."""
    from gi_bench.harness.registry import registered

    made: list[tuple[str, Path | str]] = []
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
    examples=[
        (
            "a model and a blind prior on the embedded suite, and a page over both",
            "gi-bench run -m blind_question_prior -m multitask_r128",
        ),
        ("floors and ceilings too, on the first 200 questions", "gi-bench run -m multitask_r128 --bounds --limit 200"),
        (
            "the official 1,500 rows, with an adapter of your own",
            "gi-bench run -m multitask_r128 -s medico2025-task1 --checkpoint DIR",
        ),
        (
            "a model of your own, for a script",
            "gi-bench run --plugin my_model.py -m parrot --json | jq .runs[0].scores.bleu",
        ),
    ],
)
