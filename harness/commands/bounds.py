"""``gi-bench bounds``: how far runs have come from floor to ceiling."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gi_bench.harness.commands.options import AcceptChangedOption, JsonOption
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text


def bounds(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders on one suite; floors and ceilings beside them are found."),
    ],
    everything: Annotated[bool, typer.Option("--all", help="All metrics, not only the headline ones.")] = False,
    resamples: Annotated[int, typer.Option("--resamples", min=100, help="Bootstrap resamples.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the resampling.")] = 0,
    as_json: JsonOption = False,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """The share of the way from what never looks to what knows the references, with intervals."""
    from dataclasses import asdict

    from gi_bench.harness.analysis.bounds import bound_lines, shares
    from gi_bench.harness.errors import GiBenchError
    from gi_bench.harness.outputs import without_own_files

    runs = without_own_files(runs, partial(say, err=as_json))
    found = shares(runs, resamples=resamples, seed=seed, everything=everything)
    if not found:
        raise GiBenchError(
            "no floor and no ceiling bounds a model here",
            where=", ".join(map(str, runs)),
            do="give runs of models, and make the bounds beside them with gi-bench run --bounds",
        )
    if as_json:
        say_text(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False))
        return
    for line in bound_lines(found):
        say(line)


COMMAND = CommandEntry(
    name="bounds",
    summary="Tell how far runs have come from floor to ceiling.",
    app=bounds,
    examples=[
        ("after gi-bench run --bounds", "gi-bench bounds runs/phantom-test/multitask_r128-9b702b32"),
        ("all metrics of all runs of a suite", "gi-bench bounds --all runs/phantom-test/*"),
    ],
)
