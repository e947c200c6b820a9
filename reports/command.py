"""``gi-bench report``: one HTML page over one or more runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.registry import CommandEntry


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs on one suite.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML file (default: report.html beside the first run).")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="Title of the page.")] = None,
) -> None:
    """Write a comparison page of runs."""
    from reports.comparison import write_report

    typer.echo(f"report: {write_report(runs, output or _default(runs), title)}")


def _default(runs: list[Path]) -> Path:
    return runs[0].parent / "report.html"


def after_run(paths: list[Path]) -> list[tuple[str, Path]]:
    """One page over the runs of one call, beside them."""
    from reports.comparison import write_report

    return [("report", write_report(paths, _default(paths)))]


COMMAND = CommandEntry(
    name="report", summary="Write one HTML page that compares runs.", app=report, after_run=after_run
)
