"""``gi-bench compare``: which differences between runs are real."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gi_bench.harness.commands.options import (
    AcceptChangedOption,
    JsonOption,
    PluginOption,
    complete_metrics,
    load_plugins,
)
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="BASELINE RUN...", help="Run folders; the first is the baseline.")
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Metric to compare; repeatable.", autocompletion=complete_metrics),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All metrics, not only the headline ones.")] = False,
    resamples: Annotated[
        int | None,
        typer.Option(
            "--resamples",
            min=100,
            help="Resamples and permutations (default: 2000, and as many permutations as the table needs).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of both.")] = 0,
    as_json: JsonOption = False,
    plugin: PluginOption = None,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Compare runs with a baseline run: paired intervals over images, permutation tests, Holm's correction."""
    load_plugins(plugin)
    from gi_bench.harness.analysis.comparing import compare_runs, comparison_json, comparison_lines, run_notes
    from gi_bench.harness.outputs import without_own_files
    from gi_bench.harness.store import open_run

    if metric and everything:
        raise GiBenchError("--metric and --all exclude each other", do="give one of them")
    opened = [open_run(path) for path in without_own_files(runs, partial(say, err=as_json))]
    found, missing = compare_runs(opened, names=metric, everything=everything, resamples=resamples, seed=seed)
    notes = run_notes(opened)
    if as_json:
        say_text(comparison_json(found, missing, notes))
        return
    for line in comparison_lines(found, missing, notes):
        say(line)


COMMAND = CommandEntry(
    name="compare",
    summary="Compare runs with a baseline run: paired intervals over images, permutation tests, Holm's correction.",
    app=compare,
    order=60,
)
