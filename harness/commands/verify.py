"""``gi-bench verify``: a run's numbers computed again by the field's own implementations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gi_bench.harness.commands.options import AcceptChangedOption, JsonOption
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text


def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a scored run.")],
    summary: Annotated[bool, typer.Option("--summary", help="One line a metric instead of one a number.")] = False,
    bertscore_model: Annotated[
        str, typer.Option("--bertscore-model", help="Encoder that the run's BERTScore was made with.")
    ] = "roberta-large",
    as_json: JsonOption = False,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="Python file with METRICS that the run was scored with.")
    ] = None,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Compute a run's scores again with the field's own libraries. Exit code 1 if a number differs."""
    from gi_bench.harness.analysis.verify import verification_json, verification_lines, verify_run
    from gi_bench.harness.metric_settings import MetricSettings
    from gi_bench.harness.registry import load_plugin

    for path in plugin or ():
        load_plugin(path)
    found = verify_run(run, settings=MetricSettings(bertscore_model=bertscore_model))
    if as_json:
        say_text(verification_json(found))
    else:
        for line in verification_lines(found, summary=summary):
            say(line)
    if not found.holds:
        raise typer.Exit(1)


COMMAND = CommandEntry(
    name="verify",
    summary="Compute a run's scores again with the field's own libraries.",
    app=verify,
    examples=[
        ("one line a metric", "gi-bench verify --summary runs/phantom-test/RUN"),
        ("the numbers that differ, for a script", "gi-bench verify --json RUN"),
    ],
)
