"""``gi-bench models``, ``gi-bench suites`` and ``gi-bench metrics``: what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gi_bench.harness.commands.options import JsonOption, PluginOption, complete_suites, load_plugins
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text
from gi_bench.harness.terminal_table import Column, Table, on_terminal, say_table, say_wrapped

# Of metrics, in the order in which a reader asks.
GROUPS = ("answers", "facts", "regions", "negatives", "explanations", "confidence")


def models(as_json: JsonOption = False, plugin: PluginOption = None) -> None:
    """List the registered model variants."""
    load_plugins(plugin)

    def details(entry: Any) -> Mapping[str, Any]:
        """What --json tells of a model."""
        declared: dict[str, Any] = {
            "role": entry.role,
            "needs_image": entry.needs_image,
            "needs_train_suite": entry.learns_from or False,
            "bounds": list(entry.bounded_tasks),
        }
        return {
            "name": entry.name, "summary": entry.summary, "tasks": list(entry.tasks), **declared,
            "state": dict(_state(entry)), **entry.details,
        }  # fmt: skip

    entries = _entries("gi_bench.models", as_json, details)
    if entries is None:
        return
    terminal = on_terminal()
    rows: list[list[str]] = []
    for name, entry in entries.items():
        state = _state(entry)
        shown = [state.get(world, "-") for world in _WORLDS]
        if not terminal:
            shown = [f"{world}:{one}" for world, one in zip(_WORLDS, shown, strict=True)]
        rows.append([name, *shown, entry.summary])
    columns = [Column("model"), *(Column(world) for world in _WORLDS), Column("what it is", wrap=True)]
    say_table(Table(columns, rows), head=terminal)
    if terminal:
        say()
        for line in _STATES:
            say_wrapped(line)


# Backbones, and with them worlds, that a model can run on.
_WORLDS = ("tiny", "base")
_STATES = (
    "tiny: the small backbone of the package, for phantom. base: Florence-2-base, for real images, whose data it needs "
    "too (gi-bench suites).",
    "ready: runs now. training: make its weights first, with gi-bench train -m NAME. weights: give --checkpoint DIR. "
    "Hub: weights come from the Hugging Face Hub, once. data: give --data DIR with rows or masks to learn from. "
    "-: nobody said.",
    "More models come with --plugin FILE.",
)


def _state(entry: Any) -> Mapping[str, str]:
    """What an entry says of itself; a plugin's may fail, and costs the others nothing."""
    try:
        return {str(world): str(state) for world, state in entry.state().items()} if entry.state is not None else {}
    except Exception:
        return {}


suites_app = typer.Typer(invoke_without_command=True, help="List the registered suites, or export one's rows.")


@suites_app.callback()
def suites(context: typer.Context, as_json: JsonOption = False, plugin: PluginOption = None) -> None:
    """List the registered suites, or export one's rows."""
    load_plugins(plugin)
    if context.invoked_subcommand is not None:
        return

    def details(entry: Any) -> Mapping[str, Any]:
        """What --json tells of a suite."""
        told = {"name": entry.name, "summary": entry.summary, "needs_data": entry.needs_data}
        return told | {"spec": asdict(entry.spec)}

    entries = _entries("gi_bench.suites", as_json, details)
    if entries is not None:
        rows = [[name, _without_place(entry), _place(entry)] for name, entry in entries.items()]
        if on_terminal():
            say_table(Table([Column("suite"), Column("what it is", wrap=True), Column("images", wrap=False)], rows))
        else:
            say_table(
                Table([Column(""), Column("")], [[name, entry.summary] for name, entry in entries.items()]), head=False
            )


def _place(entry: Any) -> str:
    """Where a suite's files come from, in a word."""
    return "--data DIR" if entry.needs_data else "embedded"


def _without_place(entry: Any) -> str:
    """A summary without the place at its end, which has a column of its own."""
    return re.sub(r" \((?:embedded|[^()]*--data DIR)\)$", "", str(entry.summary))


@suites_app.command("export")
def export_suite(
    suite: Annotated[
        str, typer.Argument(metavar="SUITE", help="Suite whose rows are written.", autocompletion=complete_suites)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSONL file to write; - is standard output.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with the suite's files; images are not needed.")
    ] = None,
) -> None:
    """Write a suite's rows in order as JSONL: index, img_id, question, reference, classes, complexity."""
    from gi_bench.harness.outputs import check_output, lines_with
    from gi_bench.harness.registry import load_suite
    from gi_bench.harness.suites.export import export_rows

    if str(output) != "-":
        check_output(output, lines_with("index", "img_id", "question", "question_class"))
    count = export_rows(load_suite(suite, data), output)
    say(f"{count} rows: {output}", err=str(output) == "-")


def metrics(as_json: JsonOption = False, plugin: PluginOption = None) -> None:
    """List the registered metrics with their definitions."""
    load_plugins(plugin)
    entries = _entries("gi_bench.metrics", as_json, lambda entry: entry.details)
    if entries is None:
        return
    groups = [*GROUPS, *sorted({entry.info.group for entry in entries.values()} - set(GROUPS))]
    ordered = sorted(entries.values(), key=lambda entry: (groups.index(entry.info.group), entry.name))
    rows: list[list[str]] = []
    sections: list[tuple[int, str]] = []
    last = None
    terminal = on_terminal()
    for entry in ordered:
        if entry.info.group != last:
            last = entry.info.group
            sections.append((len(rows), str(last)))
        rows.append([entry.name, entry.summary] if terminal else [entry.name, entry.info.group, entry.summary])
    columns = [Column("metric"), *([] if terminal else [Column("group")]), Column("definition", wrap=True)]
    say_table(Table(columns, rows, sections=sections if terminal else ()), head=False)


def _entries(group: str, as_json: bool, details: Callable[[Any], Mapping[str, Any]]) -> dict[str, Any] | None:
    """Registered entries, or None where they were printed as JSON."""
    from gi_bench.harness.registry import registered

    entries = registered(group)
    if not as_json:
        return entries
    say_text(json.dumps([details(entry) for entry in entries.values()], indent=1, ensure_ascii=False))
    return None


COMMANDS = [
    CommandEntry(
        "models",
        "List the model variants, and which of them can run now.",
        models,
        order=20,
        examples=[
            ("what runs on the embedded suite without training", "gi-bench models | grep tiny:ready"),
            ("with those of a plugin", "gi-bench models --plugin my_model.py"),
        ],
    ),
    CommandEntry(
        "suites",
        "List the suites, or export one's rows.",
        suites_app,
        order=30,
        examples=[
            ("what there is, for a script", "gi-bench suites --json | jq -r '.[].name'"),
            ("a suite's questions and references", "gi-bench suites export phantom/test -o rows.jsonl"),
        ],
    ),
    CommandEntry(
        "metrics",
        "List the metrics with their definitions.",
        metrics,
        order=40,
        examples=[
            ("what a metric means", "gi-bench metrics | grep '^region_iou '"),
            ("those that run prints", "gi-bench metrics --json | jq -r '.[] | select(.headline).name'"),
        ],
    ),
]
