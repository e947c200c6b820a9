"""``gi-bench audit``: images that sets share, and what words alone tell of negatives."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gi_bench.harness.commands.options import JsonOption, SuitesDataOption
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text


def audit(
    sets: Annotated[
        list[str] | None,
        typer.Argument(metavar="SET...", help="Suite, CSV, Parquet, list of ids, or split.json:train; all pairs."),
    ] = None,
    train: Annotated[list[str] | None, typer.Option("--train", help="Training set; repeat to join several.")] = None,
    test: Annotated[list[str] | None, typer.Option("--test", help="Test set; repeat to join several.")] = None,
    data: SuitesDataOption = None,
    train_data: Annotated[
        Path | None, typer.Option("--train-data", help="Folder of the --train suites, where it is not --data.")
    ] = None,
    images: Annotated[Path | None, typer.Option("--images", help="Folder with <img_id>.jpg of all sets.")] = None,
    near: Annotated[
        bool | None,
        typer.Option("--near-duplicates/--no-near-duplicates", help="Compare pixels too (default: if there are any)."),
    ] = None,
    distance: Annotated[int, typer.Option("--distance", min=0, max=20, help="Bits of 64 that may differ.")] = 6,
    allow: Annotated[int, typer.Option("--allow", min=0, help="Shared images and near-duplicates that pass.")] = 0,
    disjoint: Annotated[
        Path | None,
        typer.Option("--disjoint", help="Split file to write: its test side is the --test images without a leak."),
    ] = None,
    wording: Annotated[
        bool, typer.Option("--wording", help="How far words alone tell the negatives of each suite given.")
    ] = False,
    negatives: Annotated[
        Path | None, typer.Option("--negatives", help="With --wording: a file of gi-bench data negatives.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find images that sets share, across tasks, and near-duplicate frames. Exit code 1 if there are any.

    With --wording instead: how far words alone tell negatives from positives; exit code 0 whatever it finds.
    """
    if wording or negatives is not None:
        if not wording or not sets or len(sets) != 1 or train or test:
            raise GiBenchError("--wording audits one suite", do="gi-bench audit SUITE --wording [--negatives FILE]")
        _audit_wording(sets[0], data, negatives, as_json)
        return
    from gi_bench.harness.audit.leaks import SetNames, find_leaks, leak_lines

    named = SetNames(tuple(sets or ()), tuple(train or ()), tuple(test or ()), data, train_data)
    if disjoint is not None and not train:
        raise GiBenchError(
            "--disjoint needs a training and a test side", where=disjoint, do="give --train SET and --test SET"
        )
    if disjoint is not None:
        from gi_bench.harness.outputs import check_output, json_with

        check_output(disjoint, json_with("format", "fingerprint", "sides"))
    leaks = find_leaks(named, images=images, near=near, distance=distance)
    if disjoint is not None:
        leaks.disjoint_split().write(disjoint)
    if as_json:
        say_text(json.dumps({**leaks.plain(), "clean": leaks.count <= allow}, indent=1))
    else:
        for line in leak_lines(leaks):
            say(line)
        if disjoint is not None:
            say(f"split: {disjoint}")
    if leaks.count > allow:
        raise typer.Exit(1)


def _audit_wording(name: str, data: Path | None, negatives: Path | None, as_json: bool) -> None:
    from gi_bench.harness.audit.wording import report_lines, wording_report
    from gi_bench.harness.registry import load_suite

    suite = load_suite(name, data)
    report = wording_report(suite, negatives)
    if as_json:
        content = {"suite": suite.name, "fingerprint": suite.fingerprint, **asdict(report)}
        say_text(json.dumps(content, indent=1))
        return
    for line in report_lines(report):
        say(line)


COMMAND = CommandEntry(
    "audit",
    "Find images that sets share, and near-duplicate frames.",
    audit,
    examples=[
        ("images that two sets share", "gi-bench audit phantom/train phantom/test"),
        (
            "a training set against a test set, and the test images that are left",
            "gi-bench audit --train mine.csv --test medico2025-task1 --disjoint clean.json",
        ),
        ("whether words alone tell what is absent", "gi-bench audit phantom/test --wording"),
    ],
)
