"""The comparison page: what several runs on one suite score, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gi_bench.harness.analysis.bounds import labels
from gi_bench.harness.analysis.definitions import headlines, older_note
from gi_bench.harness.analysis.summary import told_by_words
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.files import write_bytes
from gi_bench.harness.outputs import check_output, is_page
from gi_bench.harness.registry import stored_spec
from gi_bench.harness.schema import REPLY_STATES, MetricInfo, Score
from gi_bench.harness.store import Run, open_run
from gi_bench.reports import bounds, charts
from gi_bench.reports.examples import Example, pick_examples, rule_of
from gi_bench.reports.pages import SMALL_N, environment
from gi_bench.reports.published import PublishedResult, published

_GROUPS = (
    ("answers", "Answers"),
    ("facts", "Facts"),
    ("regions", "Regions"),
    ("negatives", "Absent findings"),
    ("explanations", "Explanations"),
    ("confidence", "Confidence"),
)
_SLICES = (
    ("question_class", "question class"),
    ("complexity", "complexity"),
    ("label", "region label"),
    ("finding", "finding"),
    ("training", "images seen in training"),
)
_CHARTED = ("bleu", "rougeL", "meteor")


@dataclass(frozen=True)
class Cell:
    """One number of a table, ready to show."""

    value: str
    interval: str = ""
    n: int = 0
    images: int = 0
    best: bool = False
    small: bool = False
    reason: str = ""
    way: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a head of metrics or variants.

    ``more`` holds the columns that stand in a fold below it.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    arrows: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()
    more: Table | None = None


@dataclass(frozen=True)
class ReplyTable:
    """What the replies of all runs to one task are.

    Attributes:
        task: answers, regions or explanations.
        rows: a run with its counts, in the order of :data:`REPLY_STATES`, and the share that states or denies.
        by_class: the same for every run and question class or region label: (run, class), counts, share.
    """

    task: str
    rows: tuple[tuple[str, tuple[int, ...], str], ...]
    by_class: tuple[tuple[str, str, tuple[int, ...], str], ...]


@dataclass
class Page:
    """Everything that the template shows."""

    title: str
    suite: str
    fingerprint: str
    counts: Mapping[str, int]
    created: str
    notes: tuple[str, ...]
    interval_method: str
    tables: list[Table] = field(default_factory=list)
    definitions: list[MetricInfo] = field(default_factory=list)
    charts: list[tuple[str, str]] = field(default_factory=list)
    details: list[tuple[str, list[Table]]] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    examples_rule: str = ""
    recipes: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    published: list[PublishedResult] = field(default_factory=list)
    counted: list[tuple[str, list[tuple[str, int]]]] = field(default_factory=list)
    small_n: int = SMALL_N
    replies: list[ReplyTable] = field(default_factory=list)
    ways: list[bounds.Way] = field(default_factory=list)


def load_runs(paths: Sequence[Path]) -> list[Run]:
    """Open runs that may stand beside each other.

    Raises:
        GiBenchError: no run given, a folder is not a run or has no scores, or the suites differ.
    """
    if not paths:
        raise GiBenchError("no run given", do="give at least one folder that gi-bench run wrote")
    runs = [open_run(path) for path in dict.fromkeys(Path(path) for path in paths)]
    first = runs[0]
    for run in runs:
        _ = run.scores
        if run.fingerprint != first.fingerprint:
            raise GiBenchError(
                f"runs on different suites cannot be compared: {run.suite} {run.fingerprint[:12]} "
                f"and {first.suite} {first.fingerprint[:12]}",
                where=run.path,
                do="make one report a suite",
            )
    return runs


def names_of(runs: Sequence[Run]) -> list[str]:
    """Names of the columns: the variant, with the folder's ending where a variant occurs twice; bounds are marked."""
    return [bounds.marked(name, run) for name, run in zip(labels(runs), runs, strict=True)]


def _metrics(runs: Sequence[Run]) -> dict[str, MetricInfo]:
    return {info.name: info for run in runs for info in run.scores.metrics}


def _best(scores: Sequence[Score | None], info: MetricInfo) -> float | None:
    """The best of the values that rest on enough rows; None where there are not two of them to choose from."""
    known = [score.value for score in scores if score is not None and score.value is not None and score.n >= SMALL_N]
    if len(known) < 2 or not info.ranked:
        return None
    return max(known) if info.higher_is_better else min(known)


def _cell(score: Score | None, best: float | None, reason: str = "") -> Cell:
    if score is None or score.value is None:
        return Cell("not computed" if score is None else "no value", reason=reason)
    interval = (
        f"{score.interval_low:.3f} to {score.interval_high:.3f}"
        if score.interval_low is not None and score.interval_high is not None
        else "no interval"
    )
    return Cell(
        value=f"{score.value:.4f}",
        interval=interval,
        n=score.n,
        images=score.image_count,
        best=best is not None and score.n >= SMALL_N and round(score.value, 4) == round(best, 4),
        small=score.n < SMALL_N,
    )


def _head_note(info: MetricInfo) -> str:
    """What stands below a metric's name: its direction, and whether it is the challenge's."""
    direction = "higher is better" if info.higher_is_better else "lower is better"
    direction = direction if info.ranked else "neither direction is better"
    return direction if info.comparable else f"{direction}; gi-bench's own, not comparable with published numbers"


def _table(
    title: str,
    infos: Sequence[MetricInfo],
    runs: Sequence[Run],
    names: Sequence[str],
    ways: Mapping[tuple[str, str], str],
) -> Table:
    """A row per run, a column per metric; ``ways`` is what stands below a value."""
    found = {info.name: [run.scores.find(info.name) for run in runs] for info in infos}
    best = {info.name: _best(found[info.name], info) for info in infos}
    reasons: dict[str, list[str]] = {}
    rows = []
    for i, (run, name) in enumerate(zip(runs, names, strict=True)):
        cells = []
        for info in infos:
            reason = run.scores.not_computed.get(info.name, "")
            if reason and name not in reasons.setdefault(reason, []):
                reasons[reason].append(name)
            cell = _cell(found[info.name][i], best[info.name], reason)
            score = found[info.name][i]
            words = told_by_words(score, run.scores) if score is not None and score.value is not None else ""
            below = [ways.get((info.name, name), ""), words]
            cells.append(replace(cell, way="; ".join(filter(None, below))))
        rows.append((name, tuple(cells)))
    arrows = tuple(_head_note(info) for info in infos)
    footnotes = tuple(f"{', '.join(who)}: {reason}" for reason, who in reasons.items())
    return Table(title, tuple(info.title for info in infos), tuple(rows), arrows, footnotes)


def _comparison_tables(runs: Sequence[Run], names: Sequence[str], ways: Mapping[tuple[str, str], str]) -> list[Table]:
    """One table a group: the headline metrics, and below them the others."""
    tables = []
    shown = headlines(_metrics(runs).values())
    for group, title in _GROUPS:
        infos = [info for info in _metrics(runs).values() if info.group == group]
        first = [info for info in infos if info.name in shown]
        others = [info for info in infos if info.name not in shown]
        if infos:
            more = _table(f"{title}: {len(others)} more metrics", others, runs, names, ways) if others else None
            table = _table(title, first, runs, names, ways) if first else Table(title, (), ())
            tables.append(replace(table, more=more))
    nowhere: dict[str, list[str]] = {}
    for run in runs:
        for name, reason in run.scores.not_computed.items():
            if name not in _metrics(runs) and name not in nowhere.setdefault(reason, []):
                nowhere[reason].append(name)
    if nowhere:
        notes = tuple(f"{', '.join(sorted(names))}: {reason}" for reason, names in sorted(nowhere.items()))
        tables.append(Table("Not computed for any run", (), (), (), notes))
    return tables


def reply_tables(runs: Sequence[Run], names: Sequence[str]) -> list[ReplyTable]:
    """States of the replies of every run, one table a task; runs scored before states were counted are left out."""
    tables = []
    for task in ("answers", "regions", "explanations"):
        rows, by_class = [], []
        for run, name in zip(runs, names, strict=True):
            for value, counts in run.scores.states.get(task, {}).items():
                found = tuple(int(counts.get(state, 0)) for state in REPLY_STATES)
                part = counts.get("stated", 0) + counts.get("denied", 0)
                share = f"{100 * part / max(1, sum(found)):.1f} %"
                if value == "all":
                    rows.append((name, found, share))
                else:
                    by_class.append((name, value, found, share))
        if rows:
            tables.append(ReplyTable(task, tuple(rows), tuple(sorted(by_class, key=lambda row: row[1]))))
    return tables


def _detail_tables(runs: Sequence[Run], names: Sequence[str]) -> list[tuple[str, list[Table]]]:
    """Per slice kind, one table a metric: a row per slice value, a column per run."""
    sections = []
    for slice_by, title in _SLICES:
        tables = []
        for info in _metrics(runs).values():
            by_value: dict[str, dict[int, Score]] = {}
            for i, run in enumerate(runs):
                for score in run.scores.scores:
                    if score.metric == info.name and score.slice_by == slice_by:
                        by_value.setdefault(score.slice_value, {})[i] = score
            if not by_value:
                continue
            rows = []
            for value in sorted(by_value):
                scores = [by_value[value].get(i) for i in range(len(runs))]
                best = _best(scores, info)
                rows.append((value, tuple(_cell(score, best) for score in scores)))
            arrow = "" if info.higher_is_better or not info.ranked else " (lower is better)"
            tables.append(Table(info.title + arrow, tuple(names), tuple(rows)))
        if tables:
            sections.append((title, tables))
    return sections


def _charts(runs: Sequence[Run], names: Sequence[str]) -> list[tuple[str, str]]:
    """Charts as (alternative text, data URI)."""
    infos = _metrics(runs)
    found: list[tuple[str, str | None]] = []

    def overall(wanted: Sequence[str]) -> list[tuple[str, str, Score]]:
        return [
            (infos[metric].title, name, score)
            for metric in wanted
            if metric in infos
            for name, run in zip(names, runs, strict=True)
            if (score := run.scores.find(metric)) is not None
        ]

    found.append(("Answers: BLEU, ROUGE-L and METEOR of every run", charts.interval_chart(overall(_CHARTED), names)))
    by_class = [
        (name, score)
        for name, run in zip(names, runs, strict=True)
        for score in run.scores.scores
        if score.metric == "rougeL" and score.slice_by == "question_class"
    ]
    found.append(("ROUGE-L by question class", charts.heat_map(by_class, names, "ROUGE-L")))
    by_label = [
        (name, score)
        for name, run in zip(names, runs, strict=True)
        for score in run.scores.scores
        if score.metric == "region_iou" and score.slice_by == "label"
    ]
    found.append(("IoU by region label", charts.heat_map(by_label, names, "IoU")))
    negatives = [info.name for info in infos.values() if info.group == "negatives" and not info.higher_is_better]
    found.append(("Error rates on absent findings", charts.interval_chart(overall(negatives), names)))
    found.append(("Share of wrong answers among the most confident ones, by coverage", _risk_coverage(runs, names)))
    return [(text, uri) for text, uri in found if uri is not None]


def _risk_coverage(runs: Sequence[Run], names: Sequence[str]) -> str | None:
    """Risk-coverage curves of the runs whose confidence is not constant."""
    from gi_bench.harness.metrics.calibration import risk_coverage
    from gi_bench.harness.metrics.sureness import judged

    curves = []
    for run, name in zip(runs, names, strict=True):
        if run.scores.find("confidence_aurc") is None:
            continue
        found = judged(run)
        if not isinstance(found, str):
            coverage, risk = risk_coverage(found.confidence, found.right)
            curves.append((name, coverage.tolist(), risk.tolist()))
    return charts.line_chart(curves, "coverage", "share of wrong answers")


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [row for key in value for row in _flat(f"{prefix}.{key}" if prefix else str(key), value[key])]
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    return [(prefix.replace("_", " "), "none" if value is None else str(value))]


def _recipe(run: Run) -> list[tuple[str, str]]:
    manifest = run.manifest
    rows = [("folder", run.path.name), ("recipe digest", manifest.recipe_digest)]
    recipe = {key: value for key, value in asdict(run.recipe).items() if key not in {"fingerprint", "suite"}}
    rows += _flat("", dict(sorted(recipe.items())))
    measured = {
        "created": manifest.created,
        "device": manifest.device,
        "batch_size": manifest.batch_size,
        "seconds": manifest.seconds,
        "peak_memory_mb": manifest.peak_memory_mb,
    }
    rows += _flat("", {key: value for key, value in measured.items() if value is not None})
    rows += _flat("hardware", {key: value for key, value in asdict(manifest.hardware).items() if value is not None})
    rows += _flat("system", manifest.system)
    return rows + _flat("packages", manifest.packages)


def _published(runs: Sequence[Run]) -> list[PublishedResult]:
    """Published results for this suite, where all of its official rows were run."""
    spec = stored_spec(runs[0].suite)
    # A ceiling has its own rows: those that it has a word on.
    if not all(spec.has_all(run.questions) for run in runs if run.role != "ceiling"):
        return []
    return [one for one in published() if spec in map(stored_spec, one.suites)]


def _counts(runs: Sequence[Run]) -> dict[str, int]:
    """Rows of the suite: the most that any run covered (a blind run has no phrases)."""
    found: dict[str, int] = {}
    for run in runs:
        for what, count in asdict(run.manifest.counts).items():
            found[what] = max(count, found.get(what, 0))
    return found


def build_page(paths: Sequence[Path], title: str | None = None) -> Page:
    """Collect everything that the page shows.

    Raises:
        GiBenchError: see :func:`load_runs`.
    """
    given = load_runs(paths)
    runs, found = bounds.without_ceilings(given), bounds.found_shares(given)
    names = names_of(runs)
    first = runs[0]
    told = (
        note
        for run in given
        for note in (*run.check_files(), run.digest_note, *run.scores.notes, older_note(run.scores))
    )
    notes = tuple(dict.fromkeys(note for note in told if note))
    examples = pick_examples(runs, names)
    return Page(
        title=title or f"{first.suite}: {len(runs)} run{'s' if len(runs) > 1 else ''} compared",
        suite=first.suite,
        fingerprint=first.fingerprint,
        counts=_counts(runs),
        created=max(run.manifest.created for run in runs),
        notes=notes,
        interval_method=first.scores.interval_method,
        tables=_comparison_tables(runs, names, bounds.lines(found)),
        definitions=list(_metrics(runs).values()),
        charts=_charts(runs, names),
        details=_detail_tables(runs, names),
        examples=examples,
        examples_rule=rule_of(examples),
        recipes=[(name, _recipe(run)) for name, run in zip(names_of(given), given, strict=True)],
        published=_published(runs),
        replies=reply_tables(runs, names),
        counted=[(name, sorted(run.scores.counts.items())) for name, run in zip(names, runs, strict=True)],
        ways=bounds.ways(found),
    )


def render(page: Page) -> str:
    """The page as HTML: one file, no script, nothing fetched."""
    return environment().get_template("comparison.html.j2").render(page=page)


def write_report(paths: Sequence[Path], output: Path, title: str | None = None) -> Path:
    """Write the comparison page of some runs.

    Raises:
        GiBenchError: the runs cannot be compared, the file cannot be written, or something else than a page of ours is
            there.
    """
    check_output(output, is_page, inputs=paths)
    write_bytes(output, render(build_page(paths, title)).encode("utf-8", errors="backslashreplace"))
    return output


__all__ = ["Page", "build_page", "load_runs", "render", "write_report"]
