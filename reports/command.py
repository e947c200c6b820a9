"""``gi-bench report``: one HTML page over one or more runs, or about one study."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gi_bench.harness import provenance
from gi_bench.harness.commands.options import AcceptChangedOption, JsonOption
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import CommandEntry, registered
from gi_bench.harness.terminal import say, say_text


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of finished runs on one suite, or the folder of one study."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="HTML file (default: report.html beside the first run, study.html in a study)."
        ),
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="Title of the page.")] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="Run that the others are held against: its name, variant or folder (default: the first that learnt to "
            "answer only, or else the first).",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", metavar="DIR", help="Folder for the pictures that the page has no room for."),
    ] = None,
    as_json: JsonOption = False,
    accept_changed: AcceptChangedOption = False,
) -> None:
    """Write a comparison page of runs, or the page of a study."""
    from gi_bench.harness.outputs import without_own_files

    aside = partial(say, err=as_json)
    given = without_own_files(runs, aside)
    page = write_page(given, output, title, baseline, pictures_dir=pictures, tell=aside)
    if as_json:
        say_text(json.dumps({"report": str(page), "runs": [str(path) for path in given]}, indent=1, ensure_ascii=False))
    else:
        say(f"report: {page}")


def write_page(
    runs: list[Path],
    output: Path | None = None,
    title: str | None = None,
    baseline: str | None = None,
    *,
    pictures_dir: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Write the page that the command makes of some folders.

    Args:
        runs: folders of runs on one suite, or the folder (or ``study.json``) of one study.
        output: HTML file; None for ``report.html`` beside the first run, ``study.html`` in a study.
        title: of the page; None for its own.
        baseline: name, variant or folder of the run that the others are held against; None for the page's choice.
        pictures_dir: folder for the pictures that the page has no room for.
        tell: gets a line for each thing to know before the page is passed on.

    Returns:
        The file.

    Raises:
        GiBenchError: the runs cannot be compared, or the file cannot be written.
    """
    if not runs:
        raise GiBenchError("no run given", do="give at least one folder that gi-bench run wrote")
    studies = [path for path in runs if _is_study(path)]
    if studies and len(runs) > 1:
        raise GiBenchError("a study has a page of its own", where=studies[0], do="give its folder alone, without runs")
    if studies and pictures_dir is not None:
        raise GiBenchError("a study shows no pictures of images", where="--pictures", do="leave it out")
    if studies and baseline is not None:
        raise GiBenchError("a study names its own baseline", where="--baseline", do="leave it out")
    if studies:
        from gi_bench.reports.study import write_study_report

        return write_study_report(studies[0], output or _study_page(studies[0]), title)
    from gi_bench.reports.comparison import write_report

    page = output or _default(runs)
    return write_report(runs, page, title, baseline, pictures_dir=pictures_dir, tell=tell)


def _is_study(path: Path) -> bool:
    """Whether a path is a study's folder or its file."""
    from gi_bench.harness.analysis.study import STUDY

    return path.is_file() if path.name == STUDY else (path / STUDY).is_file()


def _default(runs: list[Path]) -> Path:
    return runs[0].parent / "report.html"


def _study_page(path: Path) -> Path:
    return (path if path.is_dir() else path.parent) / "study.html"


def after_run(paths: list[Path]) -> list[tuple[str, Path]]:
    """One page over the runs of one call, beside them; not rendered again where it would be the same."""
    page = _default(paths)
    made_from = _made_from(paths)
    if made_from is None or not provenance.is_current([page], made_from):
        from gi_bench.reports.comparison import write_report

        write_report(paths, page)
        if made_from is not None:
            provenance.remember([page], made_from)
    return [("report", page)]


def _made_from(paths: list[Path]) -> str | None:
    """Digest of all that a page over some runs shows; None where that is not known."""
    from gi_bench.harness.analysis.bounds import bounds_beside
    from gi_bench.harness.analysis.definitions import metrics_key
    from gi_bench.harness.store import open_run, pictures_path, run_parts

    known = metrics_key(registered("gi_bench.metrics"))
    if known is None:
        return None
    runs = [*paths, *bounds_beside(paths)]
    pictures = {pictures_path(path, open_run(path).fingerprint) for path in paths}
    content = [provenance.content_of(run_parts(run)) for run in runs]
    return provenance.digest_of("report", content, provenance.content_of(sorted(pictures)), known)


def after_study(folder: Path) -> list[tuple[str, Path]]:
    """The page of a study, in its folder."""
    from gi_bench.reports.study import write_study_report

    return [("report", write_study_report(folder, _study_page(folder)))]


COMMAND = CommandEntry(
    name="report",
    summary="Write one HTML page that compares runs, or tells of a study.",
    app=report,
    after_run=after_run,
    after_study=after_study,
    examples=[
        ("all runs of a suite on one page", "gi-bench report runs/phantom-test/* -o page.html"),
        ("the page of a study", "gi-bench report runs/studies/FOLDER/rank-sweep"),
    ],
)
