"""``gi-bench train``: the commands that made the shipped weights, and make new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.registry import CommandEntry


def train(
    variant: Annotated[str, typer.Argument(help="A Florence-2 variant, or tiny-florence2 for the backbone.")],
    suite: Annotated[str, typer.Option("--suite", "-s", help="Suite to train on.")] = "phantom/train",
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the suite's files.")] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="tiny, base, or a backbone's folder or Hub id.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Checkpoint folder (default: where run looks for it)."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of weights and sampling.")] = 0,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")] = "cpu",
    negatives: Annotated[
        Path | None, typer.Option("--negatives", help="Rows of gi-bench data negatives; for variants with negatives.")
    ] = None,
    explanations: Annotated[
        Path | None, typer.Option("--explanations", help="Rows of gi-bench data explanations.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option("--masks", help="Regions of gi-bench data masks, in the place of the suite's own.")
    ] = None,
    score_suite: Annotated[
        str | None,
        typer.Option("--score-suite", help="Score the checkpoint on this suite and put the scores into its card."),
    ] = None,
) -> None:
    """Train the adapter of a variant, or the tiny backbone."""
    from baselines.registration import HERE, backbone_source, recipes
    from harness.errors import GiBenchError
    from harness.registry import load_suite, unknown_name

    if variant == "tiny-florence2":
        from baselines.florence2.recipes import train_tiny_backbone

        train_tiny_backbone(output or HERE / "weights" / variant, seed=seed, say=typer.echo)
        return
    known = {name: recipe for name, recipe in recipes().items() if recipe.kind == "florence2" and recipe.adapter}
    if variant not in known:
        raise unknown_name(variant, [*known, "tiny-florence2"], "model")
    recipe = known[variant]
    if recipe.masks == "sam" and masks is None:
        raise GiBenchError(
            f"{variant} needs training masks refined by SAM, which are not part of {suite}",
            do="make them with gi-bench data masks --source sam, and give --masks FILE",
        )
    from baselines.florence2.backbone import load_backbone
    from baselines.florence2.recipes import train_adapter

    name, source = backbone_source(backbone, suite)
    if output is None and name == "custom":
        raise GiBenchError("no place for the checkpoint of a custom backbone", do="give --output DIR")
    folder = output or recipe.bundled(name)
    shown = [f"gi-bench train {variant}", f"--suite {suite}" if suite != "phantom/train" else ""]
    shown += [f"--seed {seed}" if seed else "", f"--steps {steps}" if steps else ""]
    if negatives is not None and not recipe.negatives:
        raise GiBenchError(
            f"{variant} is trained without negatives", do=f"leave --negatives out, or train {variant}_neg"
        )
    loaded = load_suite(suite, data)
    extra = None
    given = {"negatives": negatives, "explanations": explanations, "masks": masks}
    if any(given.values()):
        from baselines.florence2.extra_rows import read_extra_rows

        extra = read_extra_rows(loaded, negatives=negatives, explanations=explanations, masks=masks)
        shown += [f"--{what} {path}" for what, path in given.items() if path]
    train_adapter(
        recipe,
        load_backbone(source, device=device),
        name,
        loaded,
        folder,
        steps=steps,
        seed=seed,
        extra=extra,
        command=" ".join(part for part in shown if part),
        say=typer.echo,
    )
    typer.echo(f"checkpoint: {folder}")
    if score_suite is not None:
        _score(variant, folder, score_suite, data, str(source) if name == "custom" else name)


def _score(variant: str, folder: Path, suite: str, data: Path | None, backbone: str) -> None:
    import tempfile

    from baselines.cards import add_scores
    from harness.engine.local import Settings, evaluate

    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings(checkpoint=str(folder), backbone=backbone)
        (run,) = evaluate([variant], suite, data=data, output=scratch, settings=settings, say=typer.echo)
        add_scores(folder, run.scores)
    typer.echo(f"card: {folder / 'README.md'}")


COMMAND: Any = CommandEntry(name="train", summary="Train the adapter of a variant, or the tiny backbone.", app=train)
