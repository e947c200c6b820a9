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
    everything: Annotated[
        bool, typer.Option("--all", help="All metrics that say something of their own, instead of one a question.")
    ] = False,
    margin: Annotated[
        list[str] | None,
        typer.Option(
            "--margin",
            metavar="[METRIC=]NUMBER",
            help="Difference that would not matter: say where runs are equivalent. 0.02 holds for metrics from 0 to 1 "
            "and is stretched for others; METRIC=NUMBER is in the metric's units; repeatable.",
        ),
    ] = None,
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
    from gi_bench.harness.analysis.comparison_table import compare_in_table
    from gi_bench.harness.analysis.comparison_text import comparison_json, say_comparison
    from gi_bench.harness.analysis.equivalence import read_margins
    from gi_bench.harness.outputs import without_own_files
    from gi_bench.harness.registry import registered, unknown_name
    from gi_bench.harness.store import open_run

    if metric and everything:
        raise GiBenchError("--metric and --all exclude each other", do="give one of them")
    known = registered("gi_bench.metrics")
    for name in metric or ():
        if name not in known:
            raise unknown_name(name, known, "metric")
    margins = read_margins(margin, list(known))
    folders = without_own_files(runs, partial(say, err=as_json))
    _refuse_repeated(folders)
    table = compare_in_table(
        [open_run(path) for path in folders],
        {name: known[name] for name in metric} if metric else None,
        everything=everything,
        resamples=resamples,
        seed=seed,
        margin=margins,
    )
    if as_json:
        say_text(comparison_json(table.comparisons, table.not_computed, table.notes, table.left_out))
    else:
        say_comparison(table.comparisons, table.not_computed, table.notes, table.left_out, say)


def _refuse_repeated(folders: list[Path]) -> None:
    """Refuse a run that is given twice.

    Raises:
        GiBenchError: it is, whatever it is called.
    """
    seen = set()
    for path in folders:
        place = path.resolve()
        if place in seen:
            raise GiBenchError(
                "the same run is given twice, and a run does not differ from itself",
                where=path,
                do="give each run once",
            )
        seen.add(place)


COMMAND = CommandEntry(
    name="compare",
    summary="Tell which differences between runs are real.",
    app=compare,
    order=60,
    examples=[
        ("is the second better than the first", "gi-bench compare runs/S/blind-1a2b3c4d runs/S/mine-5e6f7a8b"),
        ("one metric, chosen beforehand, costs the least power", "gi-bench compare BASELINE RUN --metric bleu"),
        ("are they as good as equal, within .02", "gi-bench compare BASELINE RUN --margin 0.02"),
        ("the verdicts, for a script", "gi-bench compare A B --json | jq -r '.comparisons[].verdict'"),
    ],
)
