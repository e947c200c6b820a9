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
    from gi_bench.baselines.studies.running import MadeRuns
    from gi_bench.baselines.studies.settings import Settings
    from gi_bench.harness.analysis.study import Question, Study


def _studies(incomplete: str) -> list[str]:
    """Names of studies for the shell."""
    from gi_bench.baselines.studies.definitions import questions

    return [name for name in (*questions(), "all") if name.startswith(incomplete)]


def _arm_names(incomplete: str) -> list[str]:
    """Names of arms for the shell."""
    from gi_bench.baselines.studies.definitions import questions

    found = dict.fromkeys(name for question in questions().values() for name in question.arms)
    return [name for name in found if name.startswith(incomplete)]


Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME...",
        help="rank-sweep, regularisation, sam, negatives, confidence, interference, noise, explanations, or all.",
        autocompletion=_studies,
    ),
]
SuiteName = Annotated[str, typer.Option("--suite", "-s", help="Suite to run on.", autocompletion=complete_suites)]
TrainSuite = Annotated[
    str | None,
    typer.Option(
        "--train-suite",
        help="Suite to train on (default: the suite's own; phantom's small one).",
        autocompletion=complete_suites,
    ),
]
Data = Annotated[Path | None, typer.Option("--data", help="Folder with the suites' files.")]
BackboneName = Annotated[str | None, typer.Option("--backbone", help="tiny, base, or a backbone's folder or Hub id.")]
Seeds = Annotated[
    int,
    typer.Option("--seeds", min=1, help="Trainings of every arm, with seeds 0, 1, ...; fewer than 3 give no verdict."),
]
Arms = Annotated[
    list[str] | None,
    typer.Option(
        "--arms",
        help="Only these arms (repeat, or separate by commas); contrasts that lack one are left out.",
        autocompletion=_arm_names,
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Run on the suite's first N images only.")]
TrainLimit = Annotated[
    int | None, typer.Option("--train-limit", min=1, help="Train on the training suite's first N images only.")
]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the training answers (default: 1).")]
Steps = Annotated[
    int | None,
    typer.Option("--steps", min=1, help="Optimiser steps, instead of epochs (default on embedded suites: 240)."),
]
Rows = Annotated[
    int | None,
    typer.Option(
        "--batch-rows", min=1, help="Answers of an optimiser step (default: 16 on embedded suites); others join."
    ),
]
Beams = Annotated[int | None, typer.Option("--beams", min=1, help="Beam count; 1 is greedy.")]
Explanations = Annotated[
    Path | None,
    typer.Option(
        "--explanations",
        help="Rows of gi-bench data explanations: for suites without, and for an arm of the study explanations.",
    ),
]
Sight = Annotated[
    bool, typer.Option("--seeing/--no-seeing", help="Measure what each arm still sees, apart from how it says it.")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Trainings at once; they share the cores.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Parent of the studies' folders.")]


def study(
    names: Names,
    suite: SuiteName = "phantom/test",
    train_suite: TrainSuite = None,
    data: Data = None,
    backbone: BackboneName = None,
    seeds: Seeds = 3,
    arms: Arms = None,
    limit: Limit = None,
    train_limit: TrainLimit = None,
    epochs: Epochs = None,
    steps: Steps = None,
    rows: Rows = None,
    beams: Beams = None,
    explanations: Explanations = None,
    seeing: Sight = True,
    jobs: Jobs = 1,
    device: Device = "auto",
    output: Output = Path("runs/studies"),
    as_json: JsonOption = False,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Train and run the arms of studies over several seeds, and write a page about each."""
    from gi_bench.baselines.studies.settings import Settings, length

    _check_explanations(explanations)
    chosen = _chosen(names)
    asked, notes = _asked(chosen, arms, explanations)
    trained_on = _train_suite(suite, train_suite, data)
    passes, count = length(epochs, steps, trained_on)
    settings = Settings(
        suite=suite,
        train_suite=trained_on,
        data=data,
        backbone=backbone,
        epochs=passes,
        steps=count,
        rows=rows,
        device=device,
        beams=beams,
        explanations=explanations,
        limit=limit,
        train_limit=train_limit,
        seeing=seeing,
    )
    written = _made(asked, notes, settings, range(seeds), settings.folder(output), jobs, as_json)
    if as_json:
        say_text(json.dumps({"studies": written}, indent=1, ensure_ascii=False, allow_nan=False))


def _made(
    asked: list[Question],
    notes: dict[str, list[str]],
    settings: Settings,
    seeds: range,
    folder: Path,
    jobs: int,
    as_json: bool,
) -> list[dict[str, Any]]:
    """Train and run what the studies need, then answer them; what each came to, as plain values."""
    from gi_bench.baselines.studies.running import make_runs
    from gi_bench.harness.analysis.study import check_place
    from gi_bench.harness.locks import holding

    with holding(folder, what="is working on these studies"):
        for question in asked:
            check_place(folder / question.name)
        wanted = list(dict.fromkeys(one for question in asked for one in question.arms))
        made = make_runs(wanted, seeds, settings, folder, jobs=jobs, say=partial(say, err=as_json))
        written = []
        for question in asked:
            answered = _answered(question, made, seeds, settings, folder, notes.get(question.name, []))
            written.append(_tell(folder / question.name, answered, aloud=not as_json))
    return written


def _asked(
    chosen: list[str], arms: list[str] | None, explanations: Path | None
) -> tuple[list[Question], dict[str, list[str]]]:
    """The studies with the arms that are made, and by study what is said of those that are not."""
    from gi_bench.baselines.studies.definitions import arm, questions, with_arms
    from gi_bench.harness.errors import GiBenchError
    from gi_bench.harness.registry import unknown_name

    whole = [questions()[name] for name in chosen]
    every = list(dict.fromkeys(one for question in whole for one in question.arms))
    wanted = [name.strip() for text in arms or () for name in text.split(",") if name.strip()]
    if arms and not wanted:
        raise GiBenchError("no arm is named", where="--arms", do=f"name some of {', '.join(every)}")
    for name in wanted:
        if name not in every:
            raise unknown_name(name, every, "arm")
        if explanations is None and arm(name).explanations == "file":
            raise GiBenchError(f"{name} is trained on your explanations", do="give --explanations FILE")
    made = wanted or [name for name in every if explanations is not None or arm(name).explanations != "file"]
    found, notes = [], {}
    for question in whole:
        kept, said = with_arms(question, made)
        if kept.arms:
            found.append(kept)
            notes[question.name] = said
    return found, notes


def _answered(
    question: Question, made: MadeRuns, seeds: range, settings: Settings, folder: Path, notes: list[str]
) -> Study:
    """What the runs say of a study."""
    from dataclasses import replace

    from gi_bench.baselines.studies.definitions import arm, with_groups
    from gi_bench.harness.analysis.study import Making, answer

    grouped, said = with_groups(question, made.frequencies)
    own = {arm(name).masks for name in question.arms}
    masks = {name: told for name, told in made.masks.items() if name in own}
    left = made.outcome.of(list(question.arms))
    told = settings.describe() | ({"masks": masks} if masks else {})
    making = Making(told, left.made, left.seeing, left.gradients)
    answered = answer(grouped, made.runs, seeds, base=folder, making=making)
    return replace(answered, notes=(*answered.notes, *notes, *said))


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
            "two studies of fifty steps each on forty images, to see that all works",
            "gi-bench study rank-sweep negatives --seeds 1 --steps 50 --limit 40",
        ),
        (
            "one arm after another, on several machines",
            "gi-bench study noise --arms noise_small,noise_large",
        ),
        ("the verdict, for a script", "gi-bench study negatives --json | jq -r '.studies[0].study.findings[].verdict'"),
    ],
)
