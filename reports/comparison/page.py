"""The comparison page, put together from its parts and written as one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gi_bench.harness.analysis.bounds import labels
from gi_bench.harness.analysis.definitions import older_note
from gi_bench.harness.files import write_bytes
from gi_bench.harness.outputs import check_output, is_page
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.store import Run
from gi_bench.reports import bounds, pages
from gi_bench.reports.browser import NO_BROWSER, Browser, build_browser
from gi_bench.reports.comparison.differences import Differences, against_baseline, metrics_of
from gi_bench.reports.comparison.figures import Figure
from gi_bench.reports.comparison.groups import (
    ReplyTable,
    Table,
    class_tables,
    group_tables,
    nowhere_lines,
    reply_tables,
)
from gi_bench.reports.comparison.others import Block, comparable_titles, others
from gi_bench.reports.comparison.pictures import figures
from gi_bench.reports.comparison.provenance import Made, made
from gi_bench.reports.comparison.runs import Given, given_runs
from gi_bench.reports.comparison.signatures import Signature, signatures
from gi_bench.reports.comparison.table import MARKS, Headline, headline_table
from gi_bench.reports.comparison.verdict import Verdict, verdict
from gi_bench.reports.examples import Example, pick_examples, rule_of

# What a page may take, and what the browser of examples gets of it in any case.
_PAGE_BYTES, _BROWSER_BYTES = 14_500_000, 3_000_000
_FEW_ROWS = 500


@dataclass(frozen=True)
class Page:
    """Everything that the template shows.

    Attributes:
        title, suite, fingerprint, created: of the page; the date is that of the newest run.
        counts: rows of the suite that were run.
        runs: what scripts know of the runs.
        numbers: of the runs, by what a table calls them.
        notes: what has to be read first.
        verdict, headline, figures, signatures: in the order of the page.
        browser: every row, to filter and look at.
        examples, examples_rule: images with what every run said of them, where no script runs.
        tables, nowhere: other metrics by group, and those that no run has.
        definitions: of all metrics.
        classes: tables by class.
        ways: floors, ceilings and the share of the way between them.
        replies: what the replies are.
        published: results of others on this suite.
        made: how the runs were made.
        interval_method: how intervals were made.
        marks: what the marks of the table mean.
        small_n: fewer rows than this are few.
        baseline: name of the baseline; empty without one.
    """

    title: str
    suite: str
    fingerprint: str
    created: str
    counts: Mapping[str, int]
    runs: tuple[dict[str, Any], ...]
    numbers: Mapping[str, int]
    notes: tuple[str, ...]
    verdict: Verdict
    headline: Headline
    figures: tuple[Figure, ...]
    signatures: tuple[Signature, ...]
    browser: Browser
    examples: tuple[Example, ...]
    examples_rule: str
    tables: tuple[Table, ...]
    nowhere: tuple[str, ...]
    definitions: tuple[MetricInfo, ...]
    classes: tuple[tuple[str, list[Table]], ...]
    ways: tuple[bounds.Way, ...]
    replies: tuple[ReplyTable, ...]
    published: tuple[Block, ...]
    made: tuple[Made, ...]
    interval_method: str
    baseline: str
    marks: Mapping[str, tuple[str, str]]
    small_n: int = pages.SMALL_N


def _numbers(given: Given) -> dict[str, int]:
    """Numbers of the runs by name, and by the label that shares of the way have."""
    named = zip(labels([entry.run for entry in given.entries]), given.entries, strict=True)
    return {label: entry.number for label, entry in named} | {entry.name: entry.number for entry in given.entries}


def _counts(runs: Sequence[Run]) -> dict[str, int]:
    """Rows of the suite: the most that any run covered (a blind run has no phrases)."""
    found: dict[str, int] = {}
    for run in runs:
        for what, count in asdict(run.manifest.counts).items():
            found[what] = max(count, found.get(what, 0))
    return found


def _notes(given: Given, differences: Differences) -> tuple[str, ...]:
    """What has to be read first: changed files, what the scores say of themselves, old definitions."""
    changed = [note for entry in given.entries for note in entry.run.check_files()]
    told = [
        note
        for entry in given.entries
        for note in (entry.run.digest_note, *entry.run.scores.notes, older_note(entry.run.scores))
    ]
    refused = [differences.note] if differences.note and not differences.found else []
    return tuple(dict.fromkeys(note for note in [*changed, *refused, *told] if note))


def build_page(
    paths: Sequence[Path],
    title: str | None = None,
    baseline: str | None = None,
    *,
    page_dir: Path | None = None,
    pictures_dir: Path | None = None,
) -> Page:
    """Collect everything that the page shows.

    Args:
        paths: folders of finished runs on one suite and the same rows.
        title: of the page; None for one made from suite and runs.
        baseline: see :func:`gi_bench.reports.comparison.runs.given_runs`.
        page_dir, pictures_dir: see :func:`gi_bench.reports.browser.build_browser`.

    Raises:
        GiBenchError: see :func:`gi_bench.reports.comparison.runs.given_runs` and
            :func:`gi_bench.reports.browser.build_browser`.
    """
    given = given_runs(paths, baseline)
    runs = [entry.run for entry in given.entries]
    names = [entry.name for entry in given.entries]
    page = _page(given, title)
    rows = sum(len(run.questions) + len(run.phrases) for run in runs)
    room = _BROWSER_BYTES
    if rows > _FEW_ROWS:  # fewer fit in any case, and to measure costs a whole page
        room = max(room, _PAGE_BYTES - len(render(page).encode("utf-8", errors="backslashreplace")))
    browser = build_browser(runs, names, cap_bytes=room, pictures_dir=pictures_dir, page_dir=page_dir)
    return replace(page, browser=browser)


def _page(given: Given, title: str | None) -> Page:
    """All but the browser, which takes the room that is left."""
    runs = [entry.run for entry in given.entries]
    first, scored = runs[0], given.scored
    notes_of = against_baseline(given)
    shares = bounds.found_shares(runs)
    blocks = others(given)
    examples = pick_examples([entry.run for entry in scored], [entry.name for entry in scored])
    infos = metrics_of(scored)
    return Page(
        title=title or f"{first.suite}: {len(scored)} run{'s' if len(scored) > 1 else ''} compared",
        suite=first.suite,
        fingerprint=first.fingerprint,
        created=max(run.manifest.created for run in runs),
        counts=_counts(runs),
        runs=tuple(given.for_scripts()),
        numbers=_numbers(given),
        notes=_notes(given, notes_of),
        verdict=verdict(given, notes_of, comparable_titles(blocks)),
        headline=headline_table(given, notes_of, bounds.lines(shares)),
        figures=tuple(figures(given)),
        signatures=tuple(signatures(given)),
        browser=NO_BROWSER,
        examples=tuple(examples),
        examples_rule=rule_of(examples),
        tables=tuple(group_tables(scored)),
        nowhere=tuple(nowhere_lines(scored)),
        definitions=tuple(infos.values()),
        classes=tuple(class_tables(scored)),
        ways=tuple(bounds.ways(shares)),
        replies=tuple(reply_tables(scored)),
        published=blocks,
        made=tuple(made(given.entries)),
        interval_method=first.scores.interval_method,
        baseline="" if given.baseline is None else given.baseline.name,
        marks=MARKS,
    )


def render(page: Page) -> str:
    """The page as HTML: one file; nothing is fetched but pictures that lie beside it, where it has such."""
    return pages.render(
        "comparison.html.j2",
        page=page,
        browser=page.browser,
        runs=list(page.runs),
        linked_pictures=page.browser.links_pictures,
    )


def write_report(
    paths: Sequence[Path],
    output: Path,
    title: str | None = None,
    baseline: str | None = None,
    *,
    pictures_dir: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Write the comparison page of some runs.

    Args:
        paths, title, baseline: see :func:`build_page`.
        output: HTML file.
        pictures_dir: folder for the pictures that the page has no room for; None leaves them out.
        tell: gets a line for each thing to know before the page is passed on.

    Raises:
        GiBenchError: the runs cannot be compared, a file cannot be written, or something else than a page of ours is
            there.
    """
    check_output(output, is_page, inputs=paths)
    page = build_page(paths, title, baseline, page_dir=output.parent, pictures_dir=pictures_dir)
    write_bytes(output, render(page).encode("utf-8", errors="backslashreplace"))
    if tell is not None:
        for line in filter(None, (*page.browser.notes, page.browser.warning)):
            tell(line)
    return output


__all__ = ["Page", "build_page", "render", "write_report"]
