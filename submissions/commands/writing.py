"""``gi-bench submit info``, ``task1`` and ``task2``: folders out of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gi_bench.harness.commands.options import AcceptChangedOption, load_plugins
from gi_bench.harness.terminal import say

if TYPE_CHECKING:
    from gi_bench.harness.store import Run
    from gi_bench.harness.suites.specs import Subtask
    from gi_bench.submissions.wanted import Wanted, Weights

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


def _changes(*runs: Run | None) -> list[str]:
    """What was accepted of runs that are not as they were written.

    Raises:
        ChangedError: a file was changed, and that is not accepted.
    """
    return [f"note: {note}" for run in runs if run is not None for note in run.check_files()]


def _wanted(
    run: Run, task: Subtask, edition: tuple[str | None, Path | None], team: Path, repo: str, weights: Weights
) -> Wanted:
    """What both subtasks want to know beside the run; ``edition`` is its name and the user's own table of editions."""
    from gi_bench.submissions.editions import edition_of
    from gi_bench.submissions.info import Team
    from gi_bench.submissions.wanted import Wanted, check_repository

    return Wanted(edition_of(run.suite, task, *edition), Team.read(team), check_repository(repo), weights)


def info(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("team.toml"),
) -> None:
    """Write a team.toml to fill in."""
    from gi_bench.harness.errors import GiBenchError
    from gi_bench.harness.files import write_bytes
    from gi_bench.submissions.info import EXAMPLE

    if output.exists():
        raise GiBenchError("the file is there already", where=output, do="choose another --output")
    write_bytes(output, EXAMPLE.encode("utf-8"))
    say(f"fill in: {output}")


def task1(
    run: RunArgument,
    team: InfoOption,
    repo: RepoOption,
    output: OutputOption,
    edition: EditionOption = None,
    editions: EditionsOption = None,
    checkpoint: CheckpointOption = None,
    backbone: BackboneOption = None,
    licence: LicenceOption = "",
    plugin: PluginOption = None,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Write the repository of subtask 1: script, weights, card, predictions."""
    load_plugins(plugin)
    from gi_bench.harness.store import open_run
    from gi_bench.submissions import task1 as submission
    from gi_bench.submissions.wanted import Weights

    opened = open_run(run)
    wanted = _wanted(opened, "task1", (edition, editions), team, repo, Weights(checkpoint, backbone, licence))
    for line in [*_changes(opened), *submission.write(opened, output, wanted)]:
        say(line)


def task2(
    run: RunArgument,
    team: InfoOption,
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
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Write the folder of subtask 2: rows, pictures of regions, how they were made."""
    load_plugins(plugin)
    from gi_bench.harness.store import open_run
    from gi_bench.submissions import task2 as submission
    from gi_bench.submissions.calibration import method_named
    from gi_bench.submissions.wanted import Weights

    method = method_named(calibration)
    opened = open_run(run)
    base = _wanted(opened, "task2", (edition, editions), team, repo, Weights(checkpoint, backbone, licence))
    wanted = submission.Explained(
        base.edition,
        base.team,
        base.repository,
        base.weights,
        open_run(first) if first is not None else None,
        open_run(calibrate_on) if calibrate_on is not None else None,
        method,
        data,
    )
    for line in [*_changes(opened, wanted.task1, wanted.calibrate_on), *submission.write(opened, output, wanted)]:
        say(line)
