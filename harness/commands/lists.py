"""``gi-bench models``, ``gi-bench suites`` and ``gi-bench metrics``: what there is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gi_bench.harness.commands.options import JsonOption, PluginOption, load_plugins
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text


def models(as_json: JsonOption = False, plugin: PluginOption = None) -> None:
    """List the registered model variants."""
    load_plugins(plugin)

    def details(entry: Any) -> Mapping[str, Any]:
        declared: dict[str, Any] = {
            "role": entry.role,
            "needs_image": entry.needs_image,
            "needs_train_suite": entry.learns_from or False,
            "bounds": list(entry.bounded_tasks),
        }
        return {
            "name": entry.name, "summary": entry.summary, "tasks": list(entry.tasks), **declared, **entry.details
        }  # fmt: skip

    _list("gi_bench.models", as_json, details)


suites_app = typer.Typer(invoke_without_command=True, help="List the registered suites, or export one's rows.")


@suites_app.callback()
def suites(context: typer.Context, as_json: JsonOption = False, plugin: PluginOption = None) -> None:
    """List the registered suites, or export one's rows."""
    load_plugins(plugin)
    if context.invoked_subcommand is not None:
        return

    def details(entry: Any) -> Mapping[str, Any]:
        told = {"name": entry.name, "summary": entry.summary, "needs_data": entry.needs_data}
        return told | {"spec": asdict(entry.spec)}

    _list("gi_bench.suites", as_json, details)


@suites_app.command("export")
def export_suite(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Suite whose rows are written.")],
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
    _list("gi_bench.metrics", as_json, lambda entry: entry.details)


def _list(group: str, as_json: bool, details: Callable[[Any], Mapping[str, Any]]) -> None:
    from gi_bench.harness.registry import registered

    entries = registered(group)
    if as_json:
        say_text(json.dumps([details(entry) for entry in entries.values()], indent=1, ensure_ascii=False))
        return
    width = max((len(name) for name in entries), default=0)
    for name, entry in entries.items():
        say(f"{name:<{width}}  {entry.summary}")


COMMANDS = [
    CommandEntry("models", "List the registered model variants.", models, order=20),
    CommandEntry("suites", "List the registered suites, or export one's rows.", suites_app, order=30),
    CommandEntry("metrics", "List the registered metrics with their definitions.", metrics, order=40),
]
