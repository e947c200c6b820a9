"""``score``, ``compare`` and ``report`` as plain functions over runs; the other verbs live in the harness.

A run is given as what :func:`gi_bench.open_run` or :func:`gi_bench.evaluate` gave, or as its folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from gi_bench.harness.analysis.comparison_table import ComparisonTable, compare_in_table
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.metric_settings import MetricSettings
from gi_bench.harness.metrics.base import Metric
from gi_bench.harness.registry import registered, unknown_name
from gi_bench.harness.schema import Scores
from gi_bench.harness.store import Run, open_run

RunLike = Run | PathLike[str] | str
Metrics = Iterable[str | Metric] | str | Metric


def score(
    run: RunLike,
    *,
    metrics: Metrics | None = None,
    resamples: int = 1000,
    seed: int = 0,
    settings: MetricSettings | None = None,
) -> Scores:
    """Score a run's stored predictions, without its model and images.

    Args:
        run: a run, its folder, or what ``evaluate`` gave.
        metrics: names of registered metrics, or ``Metric`` objects; nothing is written then. None for all registered
            ones, which are written into the run's ``scores.json``.
        resamples: bootstrap resamples; 0 leaves the intervals out.
        seed: of the resampling.
        settings: encoders and judges; None for the run's own, or the defaults, which need no network.

    Returns:
        Every score with its definition, n and interval; ``scores.to_frame()`` has one row each.

    Raises:
        GiBenchError: not a run, damaged predictions, or an unknown metric.
    """
    _check(resamples, seed)
    opened = _opened(run, settings)
    if metrics is not None:
        return score_run(opened, resamples=resamples, seed=seed, metrics=_by_name(metrics), write=False)
    _whole(opened, "scores.json")
    found = score_run(opened, resamples=resamples, seed=seed)
    if isinstance(run, Run):
        run.__dict__["scores"] = found  # read before, they would be those of before
    return found


def compare(
    runs: Iterable[RunLike] | RunLike,
    *,
    baseline: RunLike | None = None,
    metrics: Metrics | None = None,
    everything: bool = False,
    resamples: int | None = None,
    seed: int = 0,
    settings: MetricSettings | None = None,
    margin: float | Mapping[str, float] | None = None,
) -> ComparisonTable:
    """Compare runs on one suite with a baseline: paired differences, intervals, corrected p-values.

    Args:
        runs: runs, or their folders.
        baseline: a run, its folder, or the variant of one of ``runs``; None for the first of them.
        metrics: names of registered metrics, or ``Metric`` objects; None for one a question.
        everything: all registered metrics that say something of their own instead.
        resamples: bootstrap resamples and permutations, at least 100; None for 2,000 resamples and as many permutations
            as the table needs.
        seed: of both.
        settings: encoders and judges; None for those of each run.
        margin: a difference that would not matter, to say which runs are equivalent: one number for metrics from 0 to 1
            (stretched for others), or by metric in its own units.

    Returns:
        The table; ``str(table)`` is what ``gi-bench compare`` prints, ``table.to_frame()`` a frame.

    Raises:
        GiBenchError: fewer than two runs, other suites or rows, an unknown metric or baseline.
    """
    _check(resamples, seed, least=100)
    if metrics is not None and everything:
        raise GiBenchError("metrics and everything exclude each other", do="give one of them")
    opened = [_opened(run, settings) for run in _several(runs)]
    if baseline is not None:
        first = _baseline(baseline, opened, settings)
        opened = [first, *(run for run in opened if run.path.resolve() != first.path.resolve())]
    chosen = None if metrics is None else _by_name(metrics)
    return compare_in_table(opened, chosen, everything=everything, resamples=resamples, seed=seed, margin=margin)


def report(
    runs: Iterable[RunLike] | RunLike,
    output: PathLike[str] | str | None = None,
    *,
    title: str | None = None,
    baseline: str | None = None,
) -> Path:
    """Write one HTML page over scored runs of one suite, or about a study.

    Args:
        runs: runs, their folders, or the folder of one study.
        output: HTML file; None for ``report.html`` beside the first run, ``study.html`` in a study.
        title: of the page; None for one made from the suite and the number of runs.
        baseline: name, variant or folder of the run that the others are held against; None for the first that learnt
            to answer only, or else the first.

    Returns:
        The file.

    Raises:
        GiBenchError: runs without scores, of different suites or over different rows, no run of the baseline's name,
            or a file that cannot be written.
    """
    from gi_bench.reports.command import write_page

    folders = []
    for run in _several(runs):
        if isinstance(run, Run):
            _whole(run, "a page")
        folders.append(_folder(run))
    return write_page(folders, None if output is None else Path(output), title, baseline)


def _several(runs: Iterable[RunLike] | RunLike) -> Sequence[RunLike]:
    """Runs as a list; one alone is a list of one."""
    if isinstance(runs, (str, Run, PathLike)):
        return [runs]
    try:
        return list(runs)
    except TypeError as error:
        raise RunError("no runs", where=repr(runs), do="give run folders, or what open_run or evaluate gave") from error


def _folder(run: RunLike) -> Path:
    try:
        return Path(run)
    except TypeError as error:
        raise RunError("not a run", where=repr(run), do="give a folder, or what open_run or evaluate gave") from error


def _opened(run: RunLike, settings: MetricSettings | None) -> Run:
    """The run, with other settings where they are given; what it remembers was made with its own."""
    opened = run if isinstance(run, Run) else open_run(_folder(run))
    return opened if settings is None else replace(opened, settings=settings, memo={})


def _whole(run: Run, what: str) -> None:
    if run.only is not None:
        raise RunError(
            f"{what} is about all rows of a run, and this one is restricted to some",
            where=run.path,
            do="give the whole run, or metrics=[...] to score these rows",
        )


def _baseline(wanted: RunLike, runs: Sequence[Run], settings: MetricSettings | None) -> Run:
    """The baseline: the one run of that variant, or the run in that folder."""
    if not isinstance(wanted, str) or (Path(wanted) / "manifest.json").is_file():
        return _opened(wanted, settings)
    found = [run for run in runs if run.variant == wanted]
    if len(found) == 1:
        return found[0]
    raise RunError(
        f"{len(found)} runs are of the variant {wanted!r}" if found else f"no run is of the variant {wanted!r}",
        where="baseline",
        do=f"give a folder, or one of {', '.join(dict.fromkeys(run.variant for run in runs))}",
    )


def _by_name(metrics: Metrics) -> dict[str, Metric]:
    """Metrics by name, registered ones where only a name is given."""
    found: dict[str, Metric] = {}
    known: dict[str, Any] = registered("gi_bench.metrics")
    for one in [metrics] if isinstance(metrics, (str, Metric)) else metrics:
        if isinstance(one, str) and one not in known:
            raise unknown_name(one, known, "metric")
        metric = known[one] if isinstance(one, str) else one
        if not isinstance(metric, Metric):
            raise GiBenchError("not a metric", where=repr(one), do="give a registered name or a gi_bench.Metric")
        if found.setdefault(metric.name, metric) is not metric:
            raise GiBenchError("two metrics have one name", where=metric.name, do="give each a name of its own")
    if not found:
        raise GiBenchError("no metric given", where="metrics", do="give a name, or None for all")
    return found


def _check(resamples: int | None, seed: int, least: int = 0) -> None:
    if resamples is not None and resamples < least:
        raise GiBenchError("too few resamples", where=f"resamples={resamples}", do=f"give {least} or more")
    if seed < 0:
        raise GiBenchError("a seed is no negative number", where=f"seed={seed}", do="give 0 or more")
