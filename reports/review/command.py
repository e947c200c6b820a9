"""``gi-bench review``: sheets for experts, and what their ratings say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gi_bench.harness.commands.options import AcceptChangedOption, JsonOption
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text

if TYPE_CHECKING:
    from gi_bench.harness.suites.base import Suite

_SUMMARY = "Sheets on which experts rate explanations or masks."
app = typer.Typer(no_args_is_help=True, help=_SUMMARY)


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
def masks(
    table: Annotated[Path, typer.Argument(metavar="MASKS", help="Parquet file of gi-bench data masks.")],
    suite: Annotated[str, typer.Option("--suite", "-s", help="Suite whose images they lie on.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write.")],
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the suite's files.")] = None,
    share: Annotated[float, typer.Option("--share", min=0.0, max=1.0, help="Share of every label's masks.")] = 0.05,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the draw.")] = 0,
) -> None:
    """Write a sheet on which an expert accepts or rejects masks; gi-bench data review counts what it saves."""
    from gi_bench.harness.registry import load_suite
    from gi_bench.reports.review.masks import write_mask_sheet

    shown, whole = write_mask_sheet(table, load_suite(suite, data), output, share=share, seed=seed)
    say(f"sheet: {output} ({shown:,} of {whole:,} masks)")


def after_masks(table: Path, suite: Suite, sheet: Path) -> list[tuple[str, Path]]:
    """The sheet of ``gi-bench data masks --sheet``."""
    from gi_bench.reports.review.masks import write_mask_sheet

    write_mask_sheet(table, suite, sheet)
    return [("sheet", sheet)]


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
    everything: Annotated[bool, typer.Option("--all", help="Print strata and classes of few items, too.")] = False,
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
    summary=_SUMMARY,
    app=app,
    after_masks=after_masks,
    order=75,
    examples=[
        ("two runs, mixed and blind", "gi-bench review explanations runs/S/one runs/S/two --sample 100 -o sheet.html"),
        ("what the raters say", "gi-bench review score anna.csv ben.csv --key sheet.key.json -o review.json"),
        ("masks to accept or reject", "gi-bench review masks masks.parquet -s phantom/train -o masks.html"),
    ],
)
