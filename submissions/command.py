"""``gi-bench submit``: a challenge's folders out of a finished run, their check, and the way to the Hub."""

from __future__ import annotations

from pathlib import Path

import typer

from gi_bench.harness.registry import CommandEntry
from gi_bench.submissions.commands import handing_in, writing
from gi_bench.submissions.commands.agreement import agreement

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
for command, summary in (
    (writing.info, "Write a team.toml to fill in."),
    (writing.task1, "Write the repository of subtask 1."),
    (writing.task2, "Write the folder of subtask 2."),
    (agreement, "Hold what the script of subtask 1 answered elsewhere against the run."),
    (handing_in.check, "Check a submission's folder, of any team."),
    (handing_in.pack, "Check a submission's folder and write it as a ZIP."),
    (handing_in.push, "Check a submission's folder and put it onto the Hub."),
):
    app.command(command.__name__, help=summary)(command)


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
    name="submit",
    summary="Write, check and send a challenge's files.",
    app=app,
    after_run=after_run,
    examples=[
        ("who submits, to fill in", "gi-bench submit info -o team.toml"),
        ("the repository of subtask 1", "gi-bench submit task1 RUN --info team.toml --repo USER/NAME -o task1"),
        ("the folder of subtask 2", "gi-bench submit task2 RUN --info team.toml --repo USER/NAME -o task2"),
        ("what the organisers will look at, before they do", "gi-bench submit check task1"),
        ("what its script answered on another machine", "gi-bench submit agreement RUN predictions_1.json"),
        ("one file to hand in", "gi-bench submit pack task2 -o task2.zip"),
        ("onto the Hub", "gi-bench submit push task1 --repo USER/NAME"),
    ],
)
