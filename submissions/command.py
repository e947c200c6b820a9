"""``gi-bench submit``: challenge files out of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gi_bench.harness.commands.options import AcceptChangedOption
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say

if TYPE_CHECKING:
    from gi_bench.harness.suites.specs import Subtask

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="Folder (default: RUN/submission).")]
TeamOption = Annotated[str, typer.Option("--team", help="Team name.")]
NamesOption = Annotated[str, typer.Option("--participants", help="Names of the participants.")]
AffiliationsOption = Annotated[str, typer.Option("--affiliations", help="Affiliations.")]
EmailOption = Annotated[list[str] | None, typer.Option("--email", help="Contact address; repeat for more.")]
CountryOption = Annotated[str, typer.Option("--country", help="Country.")]
NotesOption = Annotated[str, typer.Option("--notes", help="Notes to the organisers.")]


def _write(task: Subtask, path: Path, output: Path | None, team: Any) -> Path:
    from gi_bench.harness.store import open_run
    from gi_bench.submissions import task1, task2
    from gi_bench.submissions.info import remark_for

    run = open_run(path)
    for note in run.check_files():
        say(f"note: {note}")
    write = task1.write if task == "task1" else task2.write
    written = write(run, output or path / "submission", team)
    remark = remark_for(run, task)
    if remark:
        say(f"note: {remark}; the organisers cannot use it")
    say(f"{task}: {written}")
    return written


@app.command("task1", help="Write predictions_1.json of subtask 1.")
def _task1(
    run: RunArgument,
    output: OutputOption = None,
    team: TeamOption = "",
    participants: NamesOption = "",
    affiliations: AffiliationsOption = "",
    email: EmailOption = None,
    country: CountryOption = "",
    notes: NotesOption = "",
    accept_changed: AcceptChangedOption = False,
) -> None:
    from gi_bench.submissions.info import Team

    _write("task1", run, output, Team(participants, affiliations, tuple(email or ()), team, country, notes))


@app.command("task2", help="Write submission_task2.jsonl and visuals/ of subtask 2.")
def _task2(
    run: RunArgument,
    output: OutputOption = None,
    team: TeamOption = "",
    participants: NamesOption = "",
    affiliations: AffiliationsOption = "",
    email: EmailOption = None,
    country: CountryOption = "",
    notes: NotesOption = "",
    accept_changed: AcceptChangedOption = False,
) -> None:
    from gi_bench.submissions.info import Team

    _write("task2", run, output, Team(participants, affiliations, tuple(email or ()), team, country, notes))


def after_run(paths: list[Path]) -> list[tuple[str, Path]]:
    """Write what each run is fit for: subtask 1 if it answered, subtask 2 if it also explained.

    What lies there already and would be the same is not written again.
    """
    from gi_bench.harness import provenance
    from gi_bench.harness.store import run_parts

    made = []
    for path in paths:
        folder = path / "submission"
        made_from = provenance.digest_of("submission", provenance.content_of(run_parts(path)))
        written = provenance.recall(made_from) if provenance.is_current([folder], made_from) else None
        if written is None:
            written = _written(path, folder)
            provenance.keep(made_from, written)
            provenance.remember([folder], made_from)
        made += [(what, folder / name) for what, name in written]
    return made


def _written(path: Path, folder: Path) -> list[tuple[str, str]]:
    """Write the files of one run: what each is, and its name."""
    from gi_bench.harness.errors import UnfitRunError
    from gi_bench.harness.store import open_run
    from gi_bench.submissions import task1, task2
    from gi_bench.submissions.info import Team

    written = []
    for what, module in (("submission, subtask 1", task1), ("submission, subtask 2", task2)):
        try:
            written.append((what, module.write(open_run(path), folder, Team()).name))
        except UnfitRunError:
            continue
    return written


COMMAND = CommandEntry(name="submit", summary="Write the challenge's submission files.", app=app, after_run=after_run)
