"""``gi-bench leaderboard``: all runs below some folders, ranked suite by suite."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gi_bench.harness.commands.options import JsonOption, PluginOption, complete_metrics, load_plugins
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text

if TYPE_CHECKING:
    from gi_bench.harness.outputs import IsOurs
    from gi_bench.reports.leaderboard.entries import Board

ENDINGS = (".html", ".md", ".csv", ".json")


def leaderboard(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders that hold runs, at any depth.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File that ends in .html, .md, .csv or .json (default: leaderboard.html in DIR)."
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            help="Metric that ranks (default: BLEU, or IoU where nothing was answered).",
            autocompletion=complete_metrics,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of permutations and resamples.")] = 0,
    as_json: JsonOption = False,
    plugin: PluginOption = None,
) -> None:
    """Rank all runs below some folders, one table a suite, with what others published on the same rows.

    A rank is a range: runs that paired, corrected tests cannot tell apart share it. Runs of different suites, and
    runs of a part of one, are never ranked together.

    Example: gi-bench leaderboard runs/ -o board.html
    """
    load_plugins(plugin)
    from gi_bench.harness.outputs import without_own_files

    folders = without_own_files(folders, partial(say, err=as_json))
    if as_json and output is None:
        from gi_bench.reports.leaderboard.board import build_board
        from gi_bench.reports.leaderboard.texts import json_board

        say_text(json_board(build_board(folders, metric, seed=seed)).rstrip("\n"))
        return
    written, board = write_board(folders, output, metric, seed=seed)
    if as_json:
        from gi_bench.reports.leaderboard.texts import json_board

        say_text(json_board(board).rstrip("\n"))
        return
    names = [section.name for section in board.sections]
    for section in board.sections:
        named = section.name if names.count(section.name) == 1 else f"{section.name} {section.fingerprint[:8]}"
        runs = f"{section.ranked_count} run{'' if section.ranked_count == 1 else 's'} ranked by {section.metric.title}"
        without = f", {len(section.unranked)} without a rank" if section.unranked else ""
        say(f"{named}: {runs}{without}")
        for entry in section.unranked:
            say(f"  without a rank: {entry.name}: {entry.reason}")
    for one in board.left_out:
        say(f"left out: {one.place}: {one.reason}")
    say(f"leaderboard: {written}")


def write_board(
    folders: list[Path], output: Path | None = None, metric: str | None = None, *, seed: int = 0
) -> tuple[Path, Board]:
    """Write a leaderboard.

    Args:
        folders: hold runs at any depth.
        output: file that ends in ``.html``, ``.md``, ``.csv`` or ``.json``; None for ``leaderboard.html`` in the first
            folder.
        metric: name of the metric that ranks; None for the suite's own.
        seed: of permutations and resamples.

    Returns:
        The file, and what stands in it.

    Raises:
        GiBenchError: the ending is another, a file that is none of ours is there, or nothing can be ranked.
    """
    from gi_bench.harness.files import write_bytes
    from gi_bench.harness.outputs import check_output

    if output is None:
        output = (folders[0] if folders else Path()) / "leaderboard.html"
    render, is_ours = _format(output)
    check_output(output, is_ours)
    from gi_bench.reports.leaderboard.board import build_board

    board = build_board(folders, metric, seed=seed)
    write_bytes(output, render(board).encode("utf-8", errors="backslashreplace"))
    return output, board


def _format(output: Path) -> tuple[Callable[[Board], str], IsOurs]:
    """What makes a file of this ending, and what tells one of ours."""
    from gi_bench.harness.outputs import is_page, json_with
    from gi_bench.reports.leaderboard import texts

    ending = output.suffix.lower()
    if ending == ".html":
        from gi_bench.reports.leaderboard.page import html_board

        return html_board, is_page
    if ending == ".md":
        return texts.markdown, _begins_with(texts.MARK)
    if ending == ".csv":
        return texts.csv_board, _begins_with(",".join(texts.CSV_COLUMNS))
    if ending == ".json":
        return texts.json_board, json_with("leaderboard", "suites", "left_out")
    raise GiBenchError(
        f"no leaderboard is written as {ending!r}" if ending else "the output has no ending",
        where=output,
        do=f"let the file end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}",
    )


def _begins_with(first: str) -> IsOurs:
    def is_ours(path: Path) -> bool:
        with path.open("rb") as stream:
            return stream.read(len(first.encode())) == first.encode()

    return is_ours


COMMAND = CommandEntry(
    name="leaderboard",
    summary="Rank all runs below some folders, one table a suite.",
    app=leaderboard,
    examples=[
        ("one page, a tab for each suite", "gi-bench leaderboard runs -o board.html"),
        ("ranked by another metric, for a README", "gi-bench leaderboard runs --metric rougeL -o board.md"),
    ],
)
