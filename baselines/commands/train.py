"""``gi-bench train``: the commands that made the shipped weights, and make new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gi_bench.harness.commands.options import complete_suites
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say

if TYPE_CHECKING:
    from gi_bench.baselines.registration import VariantDefinition
    from gi_bench.baselines.training.adapter import Choices
    from gi_bench.baselines.training.extra_rows import ExtraRows
    from gi_bench.baselines.training.settings import Running
    from gi_bench.harness.suites.base import Suite


def _trainable(incomplete: str) -> list[str]:
    """Names for the shell: variants that have an adapter, and the backbone."""
    from gi_bench.baselines.registration import definitions

    names = [one.name for one in definitions().values() if one.kind == "florence2" and one.adapter]
    return [name for name in (*names, "tiny-florence2") if name.startswith(incomplete)]


Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="A Florence-2 variant, or tiny-florence2, the backbone.", autocompletion=_trainable
    ),
]
AllShipped = Annotated[
    bool,
    typer.Option("--all-shipped", help="Make all weights of the package again: the backbone, then every adapter."),
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Adapters at once, with --all-shipped.")]
TrainSuite = Annotated[str, typer.Option("--suite", "-s", help="Suite to train on.", autocompletion=complete_suites)]
Data = Annotated[Path | None, typer.Option("--data", help="Folder with the suite's files.")]
Split = Annotated[
    str | None, typer.Option("--split", help="One side of a split: FILE:train or FILE:test (see gi-bench split).")
]
BackboneName = Annotated[str | None, typer.Option("--backbone", help="tiny, base, or a backbone's folder or Hub id.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Checkpoint folder, or with --all-shipped their parent (default: where run looks)."
    ),
]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the rows.")]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps, instead of epochs.")]
Rate = Annotated[float | None, typer.Option("--learning-rate", help="Peak learning rate.")]
Weights = Annotated[
    list[str] | None,
    typer.Option("--weight", help="TASK=W: an epoch takes each row of answer, explain, ground or negative W times."),
]
Rows = Annotated[int | None, typer.Option("--batch-rows", min=1, help="Rows of an optimiser step.")]
RowsPerImage = Annotated[
    int | None, typer.Option("--rows-per-image", min=1, help="Rows that share one encoding of their image.")
]
Accumulate = Annotated[int, typer.Option("--accumulate", min=1, help="Parts that a step's rows are computed in.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of weights and order.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32, or float16 or bfloat16 (mixed).")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads of torch on a CPU (default: as many as there are free cores)."),
]
Recompute = Annotated[bool, typer.Option("--gradient-checkpointing", help="Compute activations twice, keep few.")]
Workers = Annotated[int, typer.Option("--workers", min=0, help="Processes that decode pictures.")]
Gradients = Annotated[
    bool | None,
    typer.Option(
        "--gradients/--no-gradients",
        help="Log norms and cosines of the tasks' gradients (default: with the tiny backbone; others pay much for it).",
    ),
]
Features = Annotated[
    Path | None, typer.Option("--features", help="Folder for features encoded once; frozen vision towers only.")
]
Negatives = Annotated[
    Path | None, typer.Option("--negatives", help="Rows of gi-bench data negatives; for variants with negatives.")
]
Explanations = Annotated[Path | None, typer.Option("--explanations", help="Rows of gi-bench data explanations.")]
Masks = Annotated[
    Path | None, typer.Option("--masks", help="Regions of gi-bench data masks, in the place of the suite's own.")
]
LogTo = Annotated[str, typer.Option("--log-to", help="tensorboard, wandb or none.")]
LogDir = Annotated[Path, typer.Option("--log-dir", help="Parent of TensorBoard's folders.")]
ScoreSuite = Annotated[
    str | None,
    typer.Option(
        "--score-suite",
        help="Score the checkpoint on this suite and put the scores into its card.",
        autocompletion=complete_suites,
    ),
]


# What may be given with --all-shipped: nothing that decides the weights.
_WITH_ALL = frozenset(
    {"all_shipped", "jobs", "output", "device", "dtype", "threads", "workers", "log_to", "log_dir", "score_suite"}
)
# And with the backbone, whose schooling has settings of its own.
_WITH_BACKBONE = frozenset({"model", "output", "seed", "device", "threads", "workers"})


def train(
    context: typer.Context,
    model: Model = None,
    all_shipped: AllShipped = False,
    jobs: Jobs = 1,
    suite: TrainSuite = "phantom/train",
    data: Data = None,
    split: Split = None,
    backbone: BackboneName = None,
    output: Output = None,
    epochs: Epochs = None,
    steps: Steps = None,
    rate: Rate = None,
    weight: Weights = None,
    rows: Rows = None,
    rows_per_image: RowsPerImage = None,
    accumulate: Accumulate = 1,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    threads: Threads = None,
    recompute: Recompute = False,
    workers: Workers = 0,
    gradients: Gradients = None,
    features: Features = None,
    negatives: Negatives = None,
    explanations: Explanations = None,
    masks: Masks = None,
    log_to: LogTo = "tensorboard",
    log_dir: LogDir = Path("runs/training"),
    score_suite: ScoreSuite = None,
) -> None:
    """Train the adapter of a variant, the tiny backbone, or all that the package ships."""
    from gi_bench.baselines.training.settings import Running
    from gi_bench.harness.devices import use_threads

    wanted = _wanted(context, model)
    use_threads(threads)
    running = Running(device, dtype, accumulate, recompute, workers, log_to, log_dir, gradients=gradients)
    running = replace(running, command=_typed())
    if all_shipped:
        return _train_all(output, running, jobs, score_suite)
    if wanted == "tiny-florence2":
        return _train_backbone(output, seed, running)
    given = {"negatives": negatives, "explanations": explanations, "masks": masks}
    variant = _variant(wanted, suite, given)
    from gi_bench.baselines.registration import backbone_source
    from gi_bench.baselines.training.adapter import Choices, check_place
    from gi_bench.baselines.training.settings import check_logger
    from gi_bench.harness.registry import suite_spec

    check_logger(log_to)
    choices = Choices(epochs, steps, seed, _rate(rate), rows, rows_per_image, _weights(weight, variant))
    name, source = backbone_source(backbone, suite_spec(suite))
    folder = _folder(output, variant, name)
    check_place(folder)
    running = replace(running, log_dir=log_dir / f"{folder.name}-seed{seed}")
    running.resolved_dtype()  # a wrong device or dtype is told before anything is loaded
    place = _Place(folder, name, source)
    return _train(variant, place, choices, running, _Rows(suite, data, split, given, features), score_suite)


@dataclass(frozen=True)
class _Place:
    """Where an adapter goes, and name and source of its backbone."""

    folder: Path
    backbone: str
    source: str | Path


@dataclass(frozen=True)
class _Rows:
    """What the options say of the rows: suite, its data, a side of a split, files with others, folder for features."""

    suite: str
    data: Path | None
    split: str | None
    files: Mapping[str, Path | None]
    features: Path | None


def _train(
    variant: VariantDefinition, place: _Place, choices: Choices, running: Running, rows: _Rows, score_suite: str | None
) -> None:
    """Load what is needed, train, and score."""
    from gi_bench.baselines.florence2.backbone import load_backbone
    from gi_bench.baselines.training import own_masks
    from gi_bench.baselines.training.adapter import Material, train_adapter
    from gi_bench.baselines.training.settings import is_main_process

    tell, folder = say if is_main_process() else _silent, place.folder
    suite, files = _suite(rows), dict(rows.files)
    if variant.masks == "refined" and files["masks"] is None:
        files["masks"] = own_masks.own_masks(suite, folder, running, tell)
    material, backbone = Material(suite, _extra(suite, files), rows.features), load_backbone(place.source)
    train_adapter(variant, backbone, place.backbone, material, folder, choices=choices, running=running, say=tell)
    tell(f"checkpoint: {folder}")
    if not is_main_process():
        return
    own_masks.remove(folder)
    if score_suite is not None:
        from gi_bench.baselines.training.card import score_checkpoint

        backbone_name = str(place.source) if place.backbone == "custom" else place.backbone
        score_checkpoint(variant.name, folder, score_suite, backbone_name, data=rows.data)


def _wanted(context: typer.Context, model: str | None) -> str:
    """The model's name, empty for all that is shipped; options that do not go together are refused."""
    from gi_bench.harness.errors import GiBenchError

    # By name: typer brings a click of its own.
    sources = {name: getattr(context.get_parameter_source(name), "name", "") for name in context.params}
    given = [name for name, source in sources.items() if source == "COMMANDLINE"]
    options = {one.name: one.opts[0] for one in context.command.params}
    if "all_shipped" not in given:
        if "jobs" in given:
            raise GiBenchError("--jobs is for --all-shipped", do="leave it out, or give --all-shipped without --model")
        if not model:
            raise GiBenchError("nothing to train", do="give --model NAME, or --all-shipped (see gi-bench train --help)")
        allowed = _WITH_BACKBONE if model == "tiny-florence2" else frozenset(given)
        what, do = "tiny-florence2 has a schooling of its own", "leave it out, or train a variant"
    else:
        allowed, model = _WITH_ALL, ""
        what, do = "--all-shipped makes the weights as they are shipped", "leave it out, or train one variant"
    if others := [options[name] for name in given if name not in allowed]:
        raise GiBenchError(f"{what}, and takes no {others[0]}", do=f"{do} with --model NAME")
    return model


def _train_all(output: Path | None, running: Running, jobs: int, score_suite: str | None) -> None:
    """Everything in float32, if nothing else is said: also on a GPU, as the shipped weights are."""
    from gi_bench.baselines.training.settings import check_logger
    from gi_bench.baselines.training.shipped import Shipping, train_all_shipped
    from gi_bench.harness.registry import suite_spec

    check_logger(running.log_to)
    if score_suite is not None:
        suite_spec(score_suite)
    running = replace(running, dtype="float32" if running.dtype == "auto" else running.dtype)
    running.resolved_dtype()
    shipping = Shipping(running=running, jobs=jobs, score_suite=score_suite)
    train_all_shipped(shipping if output is None else replace(shipping, parent=output), say=say)


def _train_backbone(output: Path | None, seed: int, running: Running) -> None:
    from gi_bench.baselines.registration import HERE
    from gi_bench.baselines.training.tiny.schooling import TINY_NAME, train_tiny_backbone

    place = output or HERE / "weights" / TINY_NAME
    train_tiny_backbone(place, seed=seed, device=running.resolved_device(), workers=running.workers, say=say)


def _folder(output: Path | None, variant: VariantDefinition, backbone: str) -> Path:
    """Where the checkpoint goes: where the user says, or where ``gi-bench run`` looks for it."""
    from gi_bench.harness.errors import GiBenchError

    if output is None and backbone == "custom":
        raise GiBenchError("no place for the checkpoint of a custom backbone", do="give --output DIR")
    return (output or variant.bundled(backbone)).resolve()


def _rate(given: float | None) -> float | None:
    from gi_bench.harness.errors import GiBenchError

    if given is not None and not 0 < given < 1:
        raise GiBenchError("not a learning rate", where=f"--learning-rate {given:g}", do="give one above 0, e.g. 5e-5")
    return given


def _silent(line: str) -> None:
    """What the processes besides the first say."""


def _variant(name: str, suite: str, given: Mapping[str, Path | None]) -> VariantDefinition:
    """The variant, if it can be trained with the files that were given: each has rows of a task of its own."""
    from gi_bench.baselines.registration import definitions
    from gi_bench.harness.errors import GiBenchError
    from gi_bench.harness.registry import unknown_name

    known = {one.name: one for one in definitions().values() if one.kind == "florence2" and one.adapter}
    if name not in known and name in definitions():
        raise GiBenchError(f"{name} has nothing that is trained", do=f"train one of {', '.join(known)}")
    if name not in known:
        raise unknown_name(name, [*known, "tiny-florence2"], "model")
    if known[name].masks == "sam" and given["masks"] is None:
        raise GiBenchError(
            f"{name} needs training masks refined by SAM, which are not part of {suite}",
            do="make them with gi-bench data masks --source sam, and give --masks FILE",
        )

    def takes(one: VariantDefinition) -> dict[str, bool]:
        return {"negatives": one.negatives, "explanations": "explain" in one.train, "masks": "ground" in one.train}

    for what, path in given.items():
        if path is not None and not takes(known[name])[what]:
            others = ", ".join(one.name for one in known.values() if takes(one)[what])
            raise GiBenchError(f"{name} is trained without {what}", do=f"leave --{what} out, or train one of {others}")
    return known[name]


def _weights(given: list[str] | None, variant: VariantDefinition) -> dict[str, float]:
    """Weights by task, of the tasks that the variant is trained on."""
    from gi_bench.harness.errors import GiBenchError

    found = {}
    tasks = (*variant.train, *(["negative"] if variant.negatives else []))
    for text in given or ():
        task, _, number = text.partition("=")
        try:
            found[task] = float(number)
            fits = task in tasks and 0 <= found[task] <= 100
        except ValueError:
            fits = False
        if not fits:
            raise GiBenchError(
                f"not a weight of {variant.name}",
                where=f"--weight {text}",
                do=f"give one of {', '.join(tasks)}, =, and 0 to 100",
            )
    return found


def _suite(rows: _Rows) -> Suite:
    """The suite, or one side of a split of it."""
    from gi_bench.harness.registry import load_suite

    loaded = load_suite(rows.suite, rows.data)
    if rows.split is None:
        return loaded
    from gi_bench.harness.suites.splits.suite import split_side

    return split_side(loaded, rows.split)


def _extra(suite: Suite, files: Mapping[str, Path | None]) -> ExtraRows | None:
    """The rows of files."""
    if not any(files.values()):
        return None
    from gi_bench.baselines.training.extra_rows import read_extra_rows

    return read_extra_rows(suite, **files)


def _typed() -> str:
    """The command as it was typed, for the card."""
    import shlex
    import sys

    return shlex.join(["gi-bench", *sys.argv[1:]])


COMMAND: Any = CommandEntry(
    name="train",
    summary="Train the adapter of a variant, the tiny backbone, or all that is shipped.",
    app=train,
    examples=[
        ("an adapter of the tiny backbone again", "gi-bench train -m multitask_r64 -o DIR"),
        ("all weights of the package again", "gi-bench train --all-shipped -o DIR"),
        (
            "Florence-2-base on real rows",
            "gi-bench train -m multitask_r128 -s kvasir-vqa-x1/train --backbone base -o DIR",
        ),
    ],
)
