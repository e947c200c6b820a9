"""``gi-bench seeing``: whether a network has lost its sight, the format of regions, or the words for a place."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gi_bench.harness.commands.options import JsonOption, ThreadsOption, complete_models, complete_suites
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text

if TYPE_CHECKING:
    from gi_bench.baselines.seeing.asking import Asked
    from gi_bench.harness.terminal_table import Table


def seeing(
    model: Annotated[
        list[str],
        typer.Option("--model", "-m", help="Florence-2 variant; repeat for several.", autocompletion=complete_models),
    ],
    suite: Annotated[
        str, typer.Option("--suite", "-s", help="Suite to look at.", autocompletion=complete_suites)
    ] = "phantom",
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the suite's files.")] = None,
    train_suite: Annotated[
        str | None,
        typer.Option(
            "--train-suite",
            help="Suite that probes and floors learn from (default: the suite's own; phantom's small one).",
            autocompletion=complete_suites,
        ),
    ] = None,
    train_data: Annotated[
        Path | None, typer.Option("--train-data", help="Folder of the --train-suite, where it is not --data.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=10, help="Images looked at; half as many again teach the probes.")
    ] = 200,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", help="Adapter folder or Hub id instead of the registered one.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="tiny, base, or a backbone's folder or Hub id.")
    ] = None,
    beams: Annotated[int | None, typer.Option("--beams", min=1, help="Beam count; 1 is greedy.")] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option("--dtype", help="float32, float16, bfloat16 or auto.")] = "float32",
    output: Annotated[Path, typer.Option("--output", "-o", help="Where what is found is kept.")] = Path("runs/seeing"),
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell lost sight from a forgotten format and from missing words, before and after training."""
    from gi_bench.baselines.seeing.asking import Request, ask_all

    request = Request(
        models=tuple(dict.fromkeys(model)),
        suite=suite,
        data=data,
        train_suite=train_suite,
        train_data=train_data,
        limit=limit,
        checkpoint=checkpoint,
        backbone=backbone,
        beams=beams,
        device=device,
        dtype=dtype,
        threads=threads,
    )
    asked = ask_all(request, output, partial(say, err=True))
    if as_json:
        say_text(_as_json(asked))
    else:
        _tell(asked)


def _tell(asked: Asked) -> None:
    from gi_bench.harness.analysis.seeing import read_seeing, what_fell
    from gi_bench.harness.terminal_table import say_table, say_wrapped

    for name in asked.models:
        readings = read_seeing(asked.rows, name)
        say_table(_table(asked, name))
        for one in readings:
            say_wrapped(f"{one.part}: {one.state}. {one.why[:1].upper()}{one.why[1:]}.")
        say_wrapped(f"{name}: {what_fell(readings)}.")
        say("")
    for note in asked.notes:
        say_wrapped(note)


def _table(asked: Asked, name: str) -> Table:
    """One network: what it shows, the backbone before training, and somebody who never looks."""
    from gi_bench.harness.analysis.seeing import BACKBONE, BLIND
    from gi_bench.harness.schema import WAYS_OF_SEEING
    from gi_bench.harness.terminal_table import Column, Table

    found = {(row.arm, row.what): row for row in asked.rows}
    rows = []
    for what in WAYS_OF_SEEING:
        own, before, blind = (found.get((arm, what)) for arm in (name, BACKBONE, BLIND))
        if own is None:
            continue
        floor = ".50" if what.startswith("probe") else "" if blind is None else _number(blind.value)
        rows.append(
            (
                what,
                "" if before is None else _number(before.value),
                _number(own.value),
                f"[{_number(own.low)}, {_number(own.high)}]",
                floor,
                str(own.n),
            )
        )
    heads = ("", "backbone", "trained", "95 %", "blind", "n")
    columns = [Column(head, right=bool(place)) for place, head in enumerate(heads)]
    return Table(columns, rows, title=f"{name} on {asked.suite} (probes learn from {asked.train_suite})")


def _number(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def _as_json(asked: Asked) -> str:
    from dataclasses import asdict

    from gi_bench.harness.analysis.seeing import read_seeing, what_fell

    readings = {name: read_seeing(asked.rows, name) for name in asked.models}
    content = {
        "suite": asked.suite,
        "fingerprint": asked.fingerprint,
        "train_suite": asked.train_suite,
        "sample": asdict(asked.sample),
        "rows": [asdict(row) for row in asked.rows],
        "by_finding": asked.by_finding,
        "models": [
            {"model": name, "what_fell": what_fell(found), "readings": [asdict(one) for one in found]}
            for name, found in readings.items()
        ],
        "notes": asked.notes,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


COMMAND = CommandEntry(
    name="seeing",
    summary="Tell lost sight from a forgotten format and from missing words.",
    app=seeing,
    examples=[
        ("has training on answers alone cost sight, or only the format", "gi-bench seeing -m vqa_only_r128"),
        ("a quick look at two variants", "gi-bench seeing -m multitask_r32 -m multitask_r128 --limit 60"),
        ("for a script", "gi-bench seeing -m multitask_r128 --json | jq -r '.models[].what_fell'"),
    ],
)
