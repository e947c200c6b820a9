"""``gi-bench submit``: a challenge's folders out of a finished run, their check, and the way to the Hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from gi_bench.harness.commands.options import load_plugins
from gi_bench.harness.registry import CommandEntry

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
InfoOption = Annotated[Path, typer.Option("--info", help="team.toml: who submits (see gi-bench submit info).")]
RepoOption = Annotated[str, typer.Option("--repo", help="Hub id that it will be pushed to: user/name.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")]
EditionOption = Annotated[
    str | None, typer.Option("--edition", help="Challenge (default: the one whose rows the run has).")
]
EditionsOption = Annotated[Path | None, typer.Option("--editions", help="TOML file with more editions.")]
CheckpointOption = Annotated[
    str | None, typer.Option("--checkpoint", help="Adapter's folder or Hub id, if the run was given one.")
]
BackboneOption = Annotated[str | None, typer.Option("--backbone", help="Backbone, if the run was given one.")]
LicenceOption = Annotated[str, typer.Option("--license", help="Licence of the weights (default: their card's).")]
PluginOption = Annotated[list[Path] | None, typer.Option("--plugin", help="Python file with the run's model.")]
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def check_repository(text: str) -> str:
    """A Hub id of a repository.

    Raises:
        GiBenchError: it is none.
    """
    from gi_bench.harness.errors import GiBenchError

    if not _REPOSITORY.fullmatch(text):
        raise GiBenchError("not a repository of the Hub", where=f"--repo {text}", do="give it as user/name")
    return text


@app.command("info", help="Write a team.toml to fill in.")
def _info(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("team.toml"),
) -> None:
    from gi_bench.harness.errors import GiBenchError
    from gi_bench.harness.files import write_bytes
    from gi_bench.submissions.info import EXAMPLE

    if output.exists():
        raise GiBenchError("the file is there already", where=output, do="choose another --output")
    write_bytes(output, EXAMPLE.encode("utf-8"))
    typer.echo(f"fill in: {output}")


@app.command("task1", help="Write the repository of subtask 1: script, weights, card, predictions.")
def _task1(
    run: RunArgument,
    info: InfoOption,
    repo: RepoOption,
    output: OutputOption,
    edition: EditionOption = None,
    editions: EditionsOption = None,
    checkpoint: CheckpointOption = None,
    backbone: BackboneOption = None,
    licence: LicenceOption = "",
    plugin: PluginOption = None,
) -> None:
    load_plugins(plugin)
    from gi_bench.harness.store import open_run
    from gi_bench.submissions import task1
    from gi_bench.submissions.editions import edition_of
    from gi_bench.submissions.info import Team

    opened = open_run(run)
    wanted = task1.Wanted(
        edition_of(opened.suite, "task1", edition, editions),
        Team.read(info),
        check_repository(repo),
        checkpoint,
        backbone,
        licence,
    )
    for line in task1.write(opened, output, wanted):
        typer.echo(line)


@app.command("task2", help="Write the folder of subtask 2: rows, pictures of regions, how they were made.")
def _task2(
    run: RunArgument,
    info: InfoOption,
    repo: RepoOption,
    output: OutputOption,
    first: Annotated[
        Path | None, typer.Option("--task1", help="The model's run of subtask 1, whose answers are taken over.")
    ] = None,
    calibrate_on: Annotated[
        Path | None, typer.Option("--calibrate-on", help="The model's run on other rows, to calibrate confidences.")
    ] = None,
    calibration: Annotated[str, typer.Option("--calibration", help="isotonic or temperature.")] = "isotonic",
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with the images (default: the Hub's cache, small pictures).")
    ] = None,
    edition: EditionOption = None,
    editions: EditionsOption = None,
    checkpoint: CheckpointOption = None,
    backbone: BackboneOption = None,
    licence: LicenceOption = "",
    plugin: PluginOption = None,
) -> None:
    load_plugins(plugin)
    from gi_bench.harness.store import open_run
    from gi_bench.submissions import task2
    from gi_bench.submissions.calibration import method_named
    from gi_bench.submissions.editions import edition_of
    from gi_bench.submissions.info import Team

    method = method_named(calibration)
    opened = open_run(run)
    wanted = task2.Wanted(
        edition_of(opened.suite, "task2", edition, editions),
        Team.read(info),
        check_repository(repo),
        open_run(first) if first is not None else None,
        open_run(calibrate_on) if calibrate_on is not None else None,
        method,
        data,
        task2.Weights(checkpoint, backbone, licence),
    )
    for line in task2.write(opened, output, wanted):
        typer.echo(line)


def after_run(paths: list[Path]) -> list[tuple[str, str]]:
    """The command that makes a submission of each run that is on a challenge's rows."""
    from gi_bench.harness.errors import GiBenchError
    from gi_bench.harness.store import open_run
    from gi_bench.submissions.editions import editions

    lines = []
    asked = {table.suite: task for one in editions().values()
             for task, table in (("task2", one.task2), ("task1", one.task1)) if table is not None}  # fmt: skip
    for path in paths:
        try:
            run = open_run(path)
        except GiBenchError:
            continue
        task = asked.get(run.suite)
        if task is not None and run.role == "model" and run.recipe.limit is None:
            lines.append(("submit with", f"gi-bench submit {task} {path} --info team.toml --repo USER/NAME -o DIR"))
    return lines


COMMAND = CommandEntry(
    name="submit", summary="Write, check and send a challenge's files.", app=app, after_run=after_run
)
