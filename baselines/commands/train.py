"""``gi-bench train``: the commands that made the shipped weights, and make new ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gi_bench.harness.registry import CommandEntry

if TYPE_CHECKING:
    from gi_bench.baselines.registration import VariantRecipe
    from gi_bench.baselines.training.extra_rows import ExtraRows
    from gi_bench.harness.suites.base import Suite


def train(
    model: Annotated[str, typer.Option("--model", "-m", help="A Florence-2 variant, or tiny-florence2, the backbone.")],
    suite: Annotated[str, typer.Option("--suite", "-s", help="Suite to train on.")] = "phantom/train",
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the suite's files.")] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="One side of a split: FILE:train or FILE:test (see gi-bench split).")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="tiny, base, or a backbone's folder or Hub id.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Checkpoint folder (default: where run looks for it)."),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the rows.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps, instead of epochs.")] = None,
    rate: Annotated[float | None, typer.Option("--learning-rate", help="Peak learning rate.")] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            "--weight", help="TASK=W: an epoch takes each row of answer, explain, ground or negative W times."
        ),
    ] = None,
    rows: Annotated[int | None, typer.Option("--batch-rows", min=1, help="Rows of an optimiser step.")] = None,
    rows_per_image: Annotated[
        int | None, typer.Option("--rows-per-image", min=1, help="Rows that share one encoding of their image.")
    ] = None,
    accumulate: Annotated[
        int, typer.Option("--accumulate", min=1, help="Parts that a step's rows are computed in.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of weights and order.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, or float16 or bfloat16 (mixed).")] = "auto",
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Threads of torch on a CPU (default: as many as there are free cores)."),
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Compute activations twice, keep few.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes that decode pictures.")] = 0,
    features: Annotated[
        Path | None, typer.Option("--features", help="Folder for features encoded once; frozen vision towers only.")
    ] = None,
    negatives: Annotated[
        Path | None, typer.Option("--negatives", help="Rows of gi-bench data negatives; for variants with negatives.")
    ] = None,
    explanations: Annotated[
        Path | None, typer.Option("--explanations", help="Rows of gi-bench data explanations.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option("--masks", help="Regions of gi-bench data masks, in the place of the suite's own.")
    ] = None,
    log_to: Annotated[str, typer.Option("--log-to", help="tensorboard, wandb or none.")] = "tensorboard",
    log_dir: Annotated[Path, typer.Option("--log-dir", help="Parent of TensorBoard's folders.")] = Path(
        "runs/training"
    ),
    score_suite: Annotated[
        str | None,
        typer.Option("--score-suite", help="Score the checkpoint on this suite and put the scores into its card."),
    ] = None,
) -> None:
    """Train the adapter of a variant, or the tiny backbone."""
    from gi_bench.baselines.registration import HERE, backbone_source
    from gi_bench.harness.devices import use_threads
    from gi_bench.harness.errors import GiBenchError

    use_threads(threads)

    if model == "tiny-florence2":
        from gi_bench.baselines.training.recipes import train_tiny_backbone

        train_tiny_backbone(output or HERE / "weights" / model, seed=seed, say=typer.echo)
        return
    recipe = _recipe(model, suite, negatives, masks)
    from gi_bench.baselines.training.recipes import Choices, check_place, train_adapter
    from gi_bench.baselines.training.training import Running, check_logger, is_main_process

    check_logger(log_to)
    if rate is not None and not 0 < rate < 1:
        raise GiBenchError("not a learning rate", where=f"--learning-rate {rate:g}", do="give one above 0, e.g. 5e-5")
    choices = Choices(epochs, steps, seed, rate, rows, rows_per_image, _weights(weight, recipe))
    name, source = backbone_source(backbone, suite)
    if output is None and name == "custom":
        raise GiBenchError("no place for the checkpoint of a custom backbone", do="give --output DIR")
    folder = (output or recipe.bundled(name)).resolve()
    check_place(folder)
    running = Running(device, dtype, accumulate, recompute, workers, log_to, log_dir / f"{folder.name}-seed{seed}")
    running.resolved_dtype()  # a wrong device or dtype is told before anything is loaded
    say = typer.echo if is_main_process() else _silent
    from gi_bench.baselines.florence2.backbone import load_backbone

    loaded, extra = _rows(suite, data, split, negatives=negatives, explanations=explanations, masks=masks)
    train_adapter(
        recipe,
        load_backbone(source),
        name,
        loaded,
        folder,
        choices=choices,
        extra=extra,
        running=running,
        features=features,
        command=_typed(),
        say=say,
    )
    say(f"checkpoint: {folder}")
    if score_suite is not None and is_main_process():
        _score(model, folder, score_suite, data, str(source) if name == "custom" else name)


def _silent(line: str) -> None:
    """What the processes besides the first say."""


def _recipe(name: str, suite: str, negatives: Path | None, masks: Path | None) -> VariantRecipe:
    """The variant's recipe, if it can be trained with what was given."""
    from gi_bench.baselines.registration import recipes
    from gi_bench.harness.errors import GiBenchError
    from gi_bench.harness.registry import unknown_name

    known = {one.name: one for one in recipes().values() if one.kind == "florence2" and one.adapter}
    if name not in known:
        raise unknown_name(name, [*known, "tiny-florence2"], "model")
    if known[name].masks == "sam" and masks is None:
        raise GiBenchError(
            f"{name} needs training masks refined by SAM, which are not part of {suite}",
            do="make them with gi-bench data masks --source sam, and give --masks FILE",
        )
    if negatives is not None and not known[name].negatives:
        raise GiBenchError(f"{name} is trained without negatives", do=f"leave --negatives out, or train {name}_neg")
    return known[name]


def _weights(given: list[str] | None, recipe: VariantRecipe) -> dict[str, float]:
    """Weights by task, of the tasks that the variant is trained on."""
    from gi_bench.harness.errors import GiBenchError

    found = {}
    tasks = (*recipe.train, *(["negative"] if recipe.negatives else []))
    for text in given or ():
        task, _, number = text.partition("=")
        try:
            found[task] = float(number)
            fits = task in tasks and 0 <= found[task] <= 100
        except ValueError:
            fits = False
        if not fits:
            raise GiBenchError(
                f"not a weight of {recipe.name}",
                where=f"--weight {text}",
                do=f"give one of {', '.join(tasks)}, =, and 0 to 100",
            )
    return found


def _rows(suite: str, data: Path | None, split: str | None, **files: Path | None) -> tuple[Suite, ExtraRows | None]:
    """The suite, or one side of a split of it, and the rows of files."""
    from gi_bench.harness.registry import load_suite

    loaded = load_suite(suite, data)
    if split is not None:
        from gi_bench.harness.suites.splits.suite import split_side

        loaded = split_side(loaded, split)
    if not any(files.values()):
        return loaded, None
    from gi_bench.baselines.training.extra_rows import read_extra_rows

    return loaded, read_extra_rows(loaded, **files)


def _typed() -> str:
    """The command as it was typed, for the card."""
    import shlex
    import sys

    return shlex.join(["gi-bench", *sys.argv[1:]])


def _score(variant: str, folder: Path, suite: str, data: Path | None, backbone: str) -> None:
    import tempfile

    from gi_bench.baselines.training.card import add_scores
    from gi_bench.harness.engine.run import Settings, evaluate

    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings(checkpoint=str(folder), backbone=backbone)
        (run,) = evaluate([variant], suite, data=data, output=scratch, settings=settings, say=typer.echo)
        add_scores(folder, run.scores)
    typer.echo(f"card: {folder / 'README.md'}")


COMMAND: Any = CommandEntry(name="train", summary="Train the adapter of a variant, or the tiny backbone.", app=train)
