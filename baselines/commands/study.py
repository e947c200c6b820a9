"""``gi-bench study``: experiments over the variants that one command repeats."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gi_bench.harness.commands.options import AcceptChangedOption, JsonOption, complete_suites
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text

if TYPE_CHECKING:
    from gi_bench.harness.analysis.study import Study


def _studies(incomplete: str) -> list[str]:
    """Names of studies for the shell."""
    from gi_bench.baselines.studies.definitions import questions

    return [name for name in (*questions(), "all") if name.startswith(incomplete)]


def study(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="rank-sweep, regularisation, sam, negatives, confidence, or all.",
            autocompletion=_studies,
        ),
    ],
    suite: Annotated[
        str, typer.Option("--suite", "-s", help="Suite to run on.", autocompletion=complete_suites)
    ] = "phantom/test",
    train_suite: Annotated[
        str | None,
        typer.Option(
            "--train-suite",
            help="Suite to train on (default: the suite's own; phantom's small one).",
            autocompletion=complete_suites,
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the suites' files.")] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="tiny, base, or a backbone's folder or Hub id.")
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds", min=1, help="Trainings of every arm, with seeds 0, 1, ...; fewer than 3 give no verdict."
        ),
    ] = 3,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the training rows.")] = 1,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps, instead of epochs.")] = None,
    rows: Annotated[int | None, typer.Option("--batch-rows", min=1, help="Rows of an optimiser step.")] = None,
    beams: Annotated[int | None, typer.Option("--beams", min=1, help="Beam count; 1 is greedy.")] = None,
    explanations: Annotated[
        Path | None, typer.Option("--explanations", help="Rows of gi-bench data explanations, for suites without.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Trainings at once; they share the cores.")] = 1,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    output: Annotated[Path, typer.Option("--output", "-o", help="Parent of the studies' folders.")] = Path(
        "runs/studies"
    ),
    as_json: JsonOption = False,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Train and run the arms of studies over several seeds, and write a page about each."""
    from gi_bench.baselines.studies.definitions import arm, questions
    from gi_bench.baselines.studies.running import Settings, make_runs
    from gi_bench.harness.analysis.study import answer
    from gi_bench.harness.locks import holding

    chosen = _chosen(names)
    trained_on = _train_suite(suite, train_suite, data)
    _check_explanations(explanations)
    settings = Settings(
        suite=suite,
        train_suite=trained_on,
        data=data,
        backbone=backbone,
        epochs=epochs if steps is None else None,
        steps=steps,
        rows=rows,
        device=device,
        beams=beams,
        explanations=explanations,
    )
    folder = settings.folder(output)
    arms = list(dict.fromkeys(one for name in chosen for one in questions()[name].arms))
    told = []
    with holding(folder, what="is working on these studies"):
        runs, masks = make_runs(arms, range(seeds), settings, folder, jobs=jobs, say=partial(say, err=as_json))
        for name in chosen:
            own = any(arm(one).masks != "suite" for one in questions()[name].arms)
            made = settings.describe() | (masks if own else {})
            answered = answer(questions()[name], runs, range(seeds), settings=made, base=folder)
            told.append(_tell(folder / name, answered, aloud=not as_json))
    if as_json:
        say_text(json.dumps({"studies": told}, indent=1, ensure_ascii=False, allow_nan=False))


def _tell(folder: Path, answered: Study, *, aloud: bool) -> dict[str, Any]:
    """Write a study, and say what came out of it; gives the same as plain values."""
    from gi_bench.harness.analysis.study import study_lines, write_study

    written = write_study(folder, answered)
    made = _after_study(folder)
    if aloud:
        for line in [*study_lines(answered), *(f"{what}: {path}" for what, path in made)]:
            say(line)
    report = next((str(path) for what, path in made if what == "report"), None)
    # What was written has no number that JSON lacks.
    return {"path": str(written), "report": report, "study": json.loads(written.read_text(encoding="utf-8"))}


def _check_explanations(path: Path | None) -> None:
    from gi_bench.harness.errors import GiBenchError

    if path is not None and not path.is_file():
        raise GiBenchError("no file with explanations", where=path, do="make one with gi-bench data explanations")


def _chosen(names: list[str]) -> list[str]:
    """Studies by name, once each; ``all`` are all."""
    from gi_bench.baselines.studies.definitions import questions
    from gi_bench.harness.registry import unknown_name

    known = questions()
    for name in names:
        if names != ["all"] and name not in known:
            raise unknown_name(name, known, "study", listed_by="gi-bench study --help")
    return list(known) if names == ["all"] else list(dict.fromkeys(names))


def _train_suite(suite: str, wanted: str | None, data: Path | None) -> str:
    """The suite to train on: the user's, or the suite's own, a short one where there is one."""
    from gi_bench.harness.errors import GiBenchError
    from gi_bench.harness.registry import load_suite

    opened = load_suite(suite, data)
    found = wanted or opened.spec.short_train_suite or opened.train_suite
    if found is None:
        raise GiBenchError(f"{suite} has no training suite", do="give --train-suite SUITE")
    return found


def _after_study(folder: Path) -> list[tuple[str, Path]]:
    """What the other rooms make of a study: its page."""
    from gi_bench.harness.registry import registered

    hooks = [entry.after_study for entry in registered("gi_bench.commands").values()]
    return [made for hook in hooks if hook is not None for made in hook(folder)]


COMMAND: Any = CommandEntry(
    name="study",
    summary="Train and compare variants over seeds to test a claim.",
    app=study,
    examples=[
        ("does more rank help, over three seeds", "gi-bench study rank-sweep"),
        (
            "two studies of fifty steps each, to see that all works",
            "gi-bench study rank-sweep negatives --seeds 1 --steps 50",
        ),
        ("the verdict, for a script", "gi-bench study negatives --json | jq -r '.studies[0].study.findings[].verdict'"),
    ],
)
