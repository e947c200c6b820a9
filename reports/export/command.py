"""``gi-bench export``: a run in the formats of the Hub, of Inspect and of lm-evaluation-harness."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from gi_bench.harness.commands.options import AcceptChangedOption
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say


class Target(str, Enum):
    """Whose format is written."""

    HUB = "hub"
    INSPECT = "inspect"
    LM_EVAL = "lm-eval"


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run that has scores.")],
    to: Annotated[
        Target,
        typer.Option(
            "--to",
            help="hub: model card with model-index; inspect: log for inspect view; lm-eval: results and samples of "
            "lm-evaluation-harness.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder; what else is in it stays.")],
    dataset_id: Annotated[
        str | None, typer.Option("--dataset-id", help="hub: the rows' data set there, owner/name.")
    ] = None,
    task_id: Annotated[
        str | None,
        typer.Option("--task-id", help="hub: task of that data set's leaderboard; writes .eval_results/*.yaml."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="hub: the leaderboard's number (default: bleu).")
    ] = None,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Write a finished run in the format of another tool."""
    for path in export_run(run, to, output, dataset_id=dataset_id, task_id=task_id, metric=metric):
        say(f"{to.value}: {path}")


def export_run(
    run: Path,
    to: Target,
    output: Path,
    *,
    dataset_id: str | None = None,
    task_id: str | None = None,
    metric: str | None = None,
) -> list[Path]:
    """Write what the command writes.

    Args:
        run: folder of a run that has scores.
        to: whose format.
        output: folder; files in it that gi-bench did not write stay.
        dataset_id: of the rows on the Hub.
        task_id: of that data set's leaderboard.
        metric: the leaderboard's.

    Returns:
        The files.

    Raises:
        GiBenchError: the run cannot be exported, a package is missing, or a file that is not ours is in the way.
    """
    from gi_bench.reports.export.source import read_source
    from gi_bench.reports.export.writing import write_all

    if to is not Target.HUB:
        given = {"--dataset-id": dataset_id, "--task-id": task_id, "--metric": metric}
        for option, value in given.items():
            if value is not None:
                raise GiBenchError(f"{option} is for the Hub", where=f"--to {to.value}", do="leave it out")
    source = read_source(run)
    if to is Target.HUB:
        from gi_bench.reports.export.hub import hub_files

        return write_all(output, hub_files(source, dataset_id, task_id, metric))
    if to is Target.INSPECT:
        from gi_bench.reports.export.inspect_log import inspect_files

        return write_all(output, inspect_files(source))
    from gi_bench.reports.export.lm_eval import lm_eval_files

    return write_all(output, lm_eval_files(source))


COMMAND = CommandEntry(
    name="export",
    summary="Write a run for the Hub, Inspect or lm-evaluation-harness.",
    app=export,
    examples=[
        ("a model card for the Hub", "gi-bench export RUN --to hub -o card"),
        ("a log that inspect view opens", "gi-bench export RUN --to inspect -o logs"),
        ("results and samples of lm-evaluation-harness", "gi-bench export RUN --to lm-eval -o results"),
    ],
)
