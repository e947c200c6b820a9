"""``gi-bench review``: sheets for experts, and what their ratings say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gi_bench.harness.commands.options import AcceptChangedOption, JsonOption
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text

app = typer.Typer(no_args_is_help=True, help="Sheets on which experts rate explanations, and what their ratings say.")


@app.command()
def explanations(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs on the same questions, mixed.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write.")],
    sample: Annotated[int, typer.Option("--sample", min=1, help="Questions to draw; each is shown once a run.")] = 100,
    stratify: Annotated[
        str, typer.Option("--stratify", help="question_class, complexity or none: of what to draw as many each.")
    ] = "question_class",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of draw and order.")] = 0,
    key: Annotated[Path | None, typer.Option("--key", help="Key to write (default: the page's, .key.json).")] = None,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Write a blind sheet on which experts rate explanations, and its key."""
    from gi_bench.harness.outputs import without_own_files
    from gi_bench.reports.review.sheet import write_explanation_sheet

    made = write_explanation_sheet(
        without_own_files(runs, say), output, key_path=key, sample=sample, stratify=stratify, seed=seed
    )
    for note in made.notes:
        say(f"note: {note}")
    say(f"sheet: {made.page} ({made.items:,} items, {made.questions:,} questions)")
    say(f"key: {made.key} (keep it from the raters; gi-bench review score needs it)")


@app.command()
def score(
    ratings: Annotated[
        list[Path], typer.Argument(metavar="CSV...", help="Ratings saved from one sheet, a file or more a rater.")
    ],
    key: Annotated[Path, typer.Option("--key", help="The sheet's .key.json.")],
    run: Annotated[
        list[Path] | None, typer.Option("--run", help="Where a run of the sheet is now; repeatable.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file to write: all numbers.")] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=100, help="Bootstrap resamples.")] = 1000,
    everything: Annotated[bool, typer.Option("--all", help="Print classes without a value, too.")] = False,
    as_json: JsonOption = False,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Mean ratings with intervals, differences of runs, agreement of raters, correlation with confidence and scores."""
    from gi_bench.harness.analysis.review import review_json, review_lines, score_review
    from gi_bench.harness.files import write_bytes
    from gi_bench.harness.outputs import check_output, json_with

    if output is not None:
        check_output(output, json_with("sheet", "raters", "correlations"), inputs=[*ratings, key])
    found = score_review(ratings, key, moved=run or (), resamples=resamples)
    if output is not None:
        write_bytes(output, review_json(found).encode("utf-8", errors="backslashreplace") + b"\n")
    if as_json:
        say_text(review_json(found))
    else:
        for line in review_lines(found, everything=everything):
            say(line)
    if output is not None:
        say(f"review: {output}", err=as_json)


COMMAND: Any = CommandEntry(
    name="review",
    summary="Sheets on which experts rate explanations, and what their ratings say.",
    app=app,
    order=75,
)
