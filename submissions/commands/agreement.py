"""``gi-bench submit agreement``: what a script answers elsewhere, beside the run that it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gi_bench.harness.commands.options import AcceptChangedOption
from gi_bench.harness.terminal import say, say_text

if TYPE_CHECKING:
    from gi_bench.harness.store import Run
    from gi_bench.submissions.script_output import Comparison


def agreement(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run that the script was made from.")],
    output: Annotated[Path, typer.Argument(metavar="FILE", help="predictions_1.json that the script wrote.")],
    first: Annotated[int, typer.Option("--first", min=0, help="How many rows that differ are shown.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all rows that differ.")] = False,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Tell how many answers of the script are those of the run: on a GPU or in half precision single ones differ."""
    from gi_bench.harness.store import open_run
    from gi_bench.submissions.script_output import compare_answers

    opened = open_run(run)
    notes = [f"note: {note}" for note in opened.check_files()]
    found = compare_answers(opened, output)
    if as_json:
        say_text(json.dumps({**asdict(found), "share": found.share}, indent=1, ensure_ascii=False))
        return
    for line in [*notes, *_lines(opened, found, first)]:
        say(line)


def _lines(run: Run, found: Comparison, first: int) -> Iterator[str]:
    share = f"{found.share:.4f}"
    if found.interval is not None:
        share += f" (95 % interval {found.interval[0]:.4f} to {found.interval[1]:.4f}, by images)"
    yield f"equal answers: {found.equal:,} of {found.rows:,}, {share}"
    if found.rows < found.asked:
        yield f"note: the file has {found.rows:,} of the run's {found.asked:,} rows"
    yield f"run: {run.manifest.hardware.gpu_name}, {run.recipe.dtype}; script: {found.device or 'does not say where'}"
    for one in found.differences[:first]:
        yield f"row {one.index}, {one.img_id}: {one.question}"
        yield f"  run:    {one.run}"
        yield f"  script: {one.script}"
    if len(found.differences) > first:
        yield f"and {len(found.differences) - first:,} more (--first N, --json)"


__all__ = ["agreement"]
