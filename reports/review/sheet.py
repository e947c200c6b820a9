"""The sheet on which experts rate explanations: one blind page, and its key in a file beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gi_bench.harness.analysis.comparing import check_predictions, check_same_rows
from gi_bench.harness.analysis.review.key import (
    CRITERIA,
    RATING_COLUMNS,
    SHEET_KEYS,
    KeyItem,
    SheetKey,
    key_runs,
    read_key,
    write_key,
)
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.files import write_bytes
from gi_bench.harness.outputs import check_output, is_page, json_with
from gi_bench.harness.registry import stored_spec
from gi_bench.harness.store import Run, open_run
from gi_bench.reports import pages
from gi_bench.reports.review.items import Item, make_items, naming, sheet_digest
from gi_bench.reports.review.sampling import STRATIFY, Candidates, candidates, draw, mixed

_LARGE_BYTES = 15_000_000
# What the numbers mean, for every criterion.
SCALE = ("not at all", "a little", "half", "mostly", "fully")


@dataclass(frozen=True)
class Made:
    """A written sheet: page, key, digest, number of questions and items, and what has to be said of them."""

    page: Path
    key: Path
    digest: str
    questions: int
    items: int
    notes: tuple[str, ...]


def write_explanation_sheet(
    runs: Sequence[Run | Path | str],
    output: Path,
    *,
    key_path: Path | None = None,
    sample: int = 100,
    stratify: str = "question_class",
    seed: int = 0,
) -> Made:
    """Write a sheet and its key.

    Args:
        runs: runs that explained the same questions; with several, every question is shown once for each.
        output: HTML file.
        key_path: JSON file; None for the page's name with ``.key.json``.
        sample: questions at most.
        stratify: ``question_class``, ``complexity`` or ``none``.
        seed: of draw and order.

    Raises:
        GiBenchError: the runs cannot be shown together, nothing of them can be shown, or something else is in the
            places of the files.
    """
    if stratify not in STRATIFY:
        raise GiBenchError(f"unknown strata {stratify!r}", do=f"--stratify is one of {', '.join(STRATIFY)}")
    if sample < 1:
        raise GiBenchError("a sheet without questions", do="give --sample a number above 0")
    key_path = key_path or output.with_suffix(".key.json")
    opened = _opened(runs)
    inputs = [run.path for run in opened]
    check_output(output, is_page, inputs=[*inputs, key_path])
    check_output(key_path, json_with(*SHEET_KEYS), inputs=inputs)
    pool = candidates(opened)
    drawn = draw(pool, sample, stratify, opened[0].fingerprint, seed)
    order = mixed(drawn, opened, seed)
    items = make_items(order, opened, pool.pictures)
    digest = sheet_digest(items)
    _keep_other_keys(key_path, digest)
    content = render_sheet(items, digest, opened[0].suite)
    key = SheetKey(
        sheet=digest,
        suite=opened[0].suite,
        fingerprint=opened[0].fingerprint,
        runs=key_runs(opened, key_path),
        items=tuple(KeyItem(number, run, question.index) for number, (run, question) in enumerate(order, 1)),
        stratify=stratify,
        seed=seed,
        left_out=pool.left_out,
    )
    write_key(key_path, key)
    write_bytes(output, content.encode("utf-8", errors="backslashreplace"))
    notes = [*_notes(opened, pool, items, len(drawn), sample), *_mailing_notes(opened[0].suite, content)]
    return Made(output, key_path, digest, len(drawn), len(items), tuple(notes))


def _opened(runs: Sequence[Run | Path | str]) -> list[Run]:
    """The runs, on the same rows, none of them twice.

    Raises:
        GiBenchError: no run, one that was changed, one twice, or runs on different rows.
    """
    opened = [open_run(run) for run in runs]
    if not opened:
        raise GiBenchError("no run given", do="give one or two folders that gi-bench run wrote")
    for run in opened:
        run.check_files(beside_scores=True)
        check_predictions(run)
        check_same_rows(opened[0], run)
        if not run.manifest.complete:
            raise RunError(
                "the run is not finished: ratings of a sheet could not be held against what it becomes",
                where=run.path,
                do="finish it with the same gi-bench run",
            )
    contents = [run.made_from for run in opened]
    if len(set(contents)) < len(contents):
        raise RunError(
            "the same run is given twice: nothing could tell its items apart",
            where=", ".join(str(run.path) for run in opened),
            do="give different runs",
        )
    return opened


def _keep_other_keys(path: Path, digest: str) -> None:
    """Refuse to write over the key of another sheet, without which its ratings mean nothing.

    Raises:
        RunError: such a key is there.
    """
    if not path.exists():
        return
    try:
        there = read_key(path).sheet
    except GiBenchError:
        there = ""
    if there != digest:
        raise RunError(
            "the key of another sheet is there, without which ratings of that sheet could not be read",
            where=path,
            do="choose another --output, or move sheet and key away",
        )


def _notes(runs: Sequence[Run], pool: Candidates, items: Sequence[Item], drawn: int, sample: int) -> list[str]:
    notes = [f"left out: {count:,} questions {reason}" for reason, count in pool.left_out.items()]
    if drawn < sample:
        notes.append(f"{drawn:,} questions can be shown, and --sample asks for {sample:,}")
    hidden = sum(question.answer is None for question in runs[0].questions)
    if hidden:
        notes.append(
            f"the suite hides {hidden:,} of {len(runs[0].questions):,} references: ratings rest on the picture alone, "
            "and no score of these rows can be held against them"
        )
    told = naming(runs, items)
    if told:
        notes.append(f"{told:,} items hold the name of a run as a word of their text; it is left there")
    return notes


def _mailing_notes(suite: str, content: str) -> Iterator[str]:
    """What has to be thought of before a page is passed on."""
    if not stored_spec(suite).is_embedded:
        yield f"the page holds images of {suite}: see that their terms and your ethics board let you pass them on"
    if len(content) > _LARGE_BYTES:
        yield f"the page has {len(content) / 1e6:.0f} MB, too many for most mailboxes: take a smaller --sample"


def render_sheet(items: Sequence[Item], digest: str, suite: str) -> str:
    """The page as HTML."""
    return pages.render(
        "explanation_review.html.j2",
        items=items,
        suite=suite,
        criteria=CRITERIA,
        scale=SCALE,
        sheet={"digest": digest, "items": len(items), "criteria": list(CRITERIA), "columns": list(RATING_COLUMNS)},
    )


__all__ = ["Made", "render_sheet", "write_explanation_sheet"]
