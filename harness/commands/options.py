"""Options that several commands have, and what the shell completes of names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gi_bench.harness.terminal import clean


def _names(group: str, incomplete: str) -> list[tuple[str, str]]:
    """Registered names that begin so, with a word on each; whatever fails, a shell is told nothing."""
    from gi_bench.harness.registry import registered

    try:
        entries = registered(group)
    except Exception:
        return []
    return [
        (name, clean(" ".join(str(entry.summary).split())[:60]))
        for name, entry in entries.items()
        if name.startswith(incomplete) and name.isprintable()
    ]


def complete_models(incomplete: str) -> list[tuple[str, str]]:
    """Names of models for the shell."""
    return _names("gi_bench.models", incomplete)


def complete_suites(incomplete: str) -> list[tuple[str, str]]:
    """Names of suites for the shell."""
    return _names("gi_bench.suites", incomplete)


def complete_metrics(incomplete: str) -> list[tuple[str, str]]:
    """Names of metrics for the shell."""
    return _names("gi_bench.metrics", incomplete)


PluginOption = Annotated[
    list[Path] | None, typer.Option("--plugin", help="Python file with MODELS, SUITES or METRICS.")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads of torch on a CPU (default: as many as there are free cores)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document; all else goes to stderr.")]
SuitesDataOption = Annotated[Path | None, typer.Option("--data", help="Folder with the suites' files.")]


def _accept(wanted: bool) -> bool:
    """Tell the store, which opens the runs of every command."""
    if wanted:
        from gi_bench.harness.store import accept_changes

        accept_changes()
    return wanted


AcceptChangedOption = Annotated[
    bool,
    typer.Option(
        "--accept-changed",
        callback=_accept,
        help="Go on with files of a run that are missing or were changed, or that other code began, and say so.",
    ),
]


def load_plugins(plugins: list[Path] | None) -> None:
    """Register what the files given by ``--plugin`` declare."""
    from gi_bench.harness.registry import load_plugin

    for path in plugins or ():
        load_plugin(path)
