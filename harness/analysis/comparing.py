"""Runs against a baseline run, metric by metric: differences with intervals and corrected p-values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from gi_bench.harness.analysis.equivalence import Margins, check_margins, equivalence_p, margin_of
from gi_bench.harness.analysis.families import family
from gi_bench.harness.analysis.kept import statistics_of
from gi_bench.harness.errors import RunError
from gi_bench.harness.metric_settings import MetricSettings
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.permutation import draws_needed
from gi_bench.harness.registry import registered, unknown_name
from gi_bench.harness.schema import MetricInfo, Phrase, Question
from gi_bench.harness.statistics import Difference, Floats, encode, holm, paired, sums_by_image
from gi_bench.harness.store import Run, open_run

RESAMPLES = 2_000
LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """One run against the baseline on one metric.

    Attributes:
        metric: what was compared.
        run, baseline: names of the variants (with folders where two runs are of one variant).
        found: difference run minus baseline, its interval and its p-value.
        n: rows of the run that the metric rests on.
        adjusted: p-value after Holm's correction over the whole table.
        baseline_n: rows of the baseline that the metric rests on.
        values: of the run and of the baseline.
        margin: below which a difference does not matter, in the metric's units; None where none was given.
        equivalence: p-value of a difference of the margin or more, after Holm's correction; None without a margin.
    """

    metric: MetricInfo
    run: str
    baseline: str
    found: Difference
    n: int
    adjusted: float
    baseline_n: int = 0
    values: tuple[float, float] = (float("nan"), float("nan"))
    margin: float | None = None
    equivalence: float | None = None

    @property
    def equivalent(self) -> bool | None:
        """Whether a difference of the margin or more is ruled out at the 5 % level; None without a margin."""
        return None if self.equivalence is None else self.equivalence < LEVEL

    @property
    def at_floor(self) -> bool:
        """Whether the p-value is an upper bound: no permutation that was drawn is as extreme as what was observed."""
        return not self.found.exact and self.found.swaps > 0 and self.found.p <= self.found.smallest * (1 + 1e-9)

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` (or ``different``) or ``undecided`` at the 5 % level after correction."""
        # Written so that what is not a number decides nothing.
        if not self.adjusted < LEVEL or not abs(self.found.difference) > 0:
            return "undecided"
        if not self.metric.ranked:
            return "different"
        return "better" if (self.found.difference > 0) == self.metric.higher_is_better else "worse"


def _check(runs: Sequence[Run]) -> None:
    """Refuse runs that were changed, lack predictions, or are of other rows than the first."""
    for run in runs:
        run.check_files()
        check_predictions(run)
        check_same_rows(runs[0], run)


def compare_runs(
    paths: Sequence[Run | Path | str],
    *,
    names: Sequence[str] | None = None,
    everything: bool = False,
    resamples: int | None = None,
    seed: int = 0,
    metrics: Mapping[str, Metric] | None = None,
    settings: MetricSettings | None = None,
    margin: Margins | None = None,
) -> tuple[list[Comparison], dict[str, str]]:
    """Compare every run with the first one.

    Args:
        paths: run folders on the same suite; the first is the baseline.
        names: metrics to compare; None for one a question (:func:`gi_bench.harness.analysis.families.family`).
        everything: all metrics that say something of their own instead.
        resamples: bootstrap resamples and permutations, each; None for 2,000 resamples and as many permutations as a
            table of this size needs.
        seed: seed of both.
        metrics: metrics by name; None for all registered ones.
        settings: encoders and judges.
        margin: below which a difference does not matter: one number for metrics from 0 to 1 (stretched for others), or
            by metric in its units; None for no verdict of equivalence.

    Returns:
        The table, by metric and then run, and why metrics are missing.

    Raises:
        GiBenchError: fewer than two runs, other suites, other rows, an unknown metric, or no margin.
    """
    check_margins(margin)
    runs = [open_run(path) for path in paths]
    if settings is not None:
        runs = [replace(run, settings=settings) for run in runs]
    if len(runs) < 2:
        raise RunError("one run has nothing to be compared with", do="give two run folders or more")
    _check(runs)
    chosen = _chosen(metrics, names, everything)
    _check_used(margin, chosen)
    labels = _labels(runs)
    permutations = resamples or draws_needed(len(chosen) * (len(runs) - 1))
    drawing = _Drawing(resamples or RESAMPLES, permutations, seed)
    found: list[Comparison] = []
    missing: dict[str, str] = {}
    for name, metric in chosen.items():
        base = compute(metric, runs[0])
        if isinstance(base, str):
            missing[f"{name} of {labels[0]}"] = base
            continue
        for label, run in zip(labels[1:], runs[1:], strict=True):
            other = compute(metric, run)
            compared = other if isinstance(other, str) else _compared(metric, other, base, drawing, margin)
            if isinstance(compared, str):
                missing[f"{name} of {label}"] = compared
            else:
                found.append(replace(compared, run=label, baseline=labels[0]))
    return _adjusted(found), missing


def _check_used(margin: Margins | None, chosen: Mapping[str, Metric]) -> None:
    """Refuse a margin without effect, and one as wide as its metric, with which every two runs are equivalent."""
    for name, value in margin.items() if isinstance(margin, Mapping) else ():
        if name in chosen:
            info = chosen[name].info
            if value >= info.high - info.low:
                raise RunError(
                    f"a margin as wide as the metric, which goes from {info.low:g} to {info.high:g}: any two runs "
                    "would be equivalent",
                    where=f"--margin {name}={value:g}",
                    do="give a difference that would not matter, in the metric's units",
                )
        elif name:
            known = registered("gi_bench.metrics")
            if name not in known:
                raise unknown_name(name, known, "metric")
            raise RunError(
                "a margin for a metric that is not compared", where=name, do=f"add --metric {name}, or --all"
            )


def _compared(
    metric: Metric, other: Statistics, base: Statistics, drawing: _Drawing, margin: Margins | None
) -> Comparison | str:
    """One comparison without the runs' names and before correction, or why there is none."""
    info = other.info or metric.info
    drawing = replace(drawing, margin=margin_of(info, margin), span=info.high - info.low)
    compared = _compare(other, base, drawing)
    if isinstance(compared, str):
        return compared
    difference, values, equivalence = compared
    return Comparison(
        info, "", "", difference, len(other.sums), 1.0, len(base.sums), values, drawing.margin, equivalence
    )


def _adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with their p-values after Holm's correction over the table: of both tests, each by itself."""
    different = holm([one.found.p for one in found])
    equal = holm([float("nan") if one.equivalence is None else one.equivalence for one in found])
    return [
        replace(one, adjusted=p, equivalence=None if one.equivalence is None else q)
        for one, p, q in zip(found, different, equal, strict=True)
    ]


@dataclass(frozen=True)
class _Drawing:
    """How a difference is resampled and tested."""

    resamples: int
    permutations: int
    seed: int
    margin: float | None = None
    span: float = 1.0


def _chosen(
    metrics: Mapping[str, Metric] | None, names: Sequence[str] | None, everything: bool
) -> Mapping[str, Metric]:
    if metrics is None:
        metrics = registered("gi_bench.metrics")
    for name in names or ():
        if name not in metrics:
            raise unknown_name(name, metrics, "metric")
    wanted = list(dict.fromkeys(names)) if names else family(metrics, everything=everything)[0]
    return {name: metrics[name] for name in wanted}


def compute(metric: Metric, run: Run) -> Statistics | str:
    """A metric's statistics of a run, or why there are none; a plugin's metric may fail without costing the others."""
    try:
        made = statistics_of(metric, run)
        if isinstance(made, str):
            return made
        if not isinstance(made, Statistics) or made.sums.ndim != 2 or len(made.sums) != len(made.images):
            return "the metric gives no row of sums for each of its images"
    except RunError:
        raise  # a damaged run is no fault of the metric
    except Exception as error:
        return f"the metric failed: {type(error).__name__}: {error}"
    return made


def difference_of(
    first: Statistics, second: Statistics, resamples: int, permutations: int, seed: int
) -> tuple[Difference, tuple[float, float]] | str:
    """The difference of two runs and their values, or why they cannot be compared."""
    compared = _compare(first, second, _Drawing(resamples, permutations, seed))
    return compared if isinstance(compared, str) else compared[:2]


_Compared = tuple[Difference, tuple[float, float], float | None]


def _compare(first: Statistics, second: Statistics, drawing: _Drawing) -> _Compared | str:
    """The difference of two runs, their values and the p-value of equivalence, or why they cannot be compared."""
    try:
        return _difference(first, second, drawing)
    except Exception as error:  # the value function may be a plugin's
        return f"the metric failed: {type(error).__name__}: {error}"


def _difference(first: Statistics, second: Statistics, drawing: _Drawing) -> _Compared | str:
    values = whole(first), whole(second)
    for value, made, which in zip(values, (first, second), ("run", "baseline"), strict=True):
        if not np.isfinite(value):
            reason = "no value" if np.isnan(value) else "an infinite value"
            return f"the {which} has {reason} (n {len(made.sums)})"
    theirs = _with_columns_of(first, second)
    if isinstance(theirs, str):
        return theirs
    # Rows are summed by image first: the runs need the same images, not the same readable rows.
    images = [*dict.fromkeys((*first.images, *second.images))]
    codes, count = encode([*images, *first.images, *second.images])
    a, b = codes[count : count + len(first.images)], codes[count + len(first.images) :]
    sums = sums_by_image(first.sums, a, count), sums_by_image(theirs, b, count)
    found = paired(
        *sums, first.value, resamples=drawing.resamples, permutations=drawing.permutations, seed=drawing.seed
    )
    equivalence = None
    if drawing.margin is not None:
        equivalence = equivalence_p(
            *sums, first.value, drawing.margin, span=drawing.span, resamples=drawing.resamples, seed=drawing.seed
        )
    # Where sums are only close to the value (grouped confidences), the difference shown is that of the scores.
    return replace(found, difference=values[0] - values[1]), values, equivalence


def whole(statistics: Statistics) -> float:
    """The score over all rows, as ``scores.json`` has it."""
    if statistics.point is not None and len(statistics.sums):
        return float(statistics.point(np.arange(len(statistics.sums))))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(statistics.value(statistics.sums.sum(axis=0)))


def _with_columns_of(first: Statistics, second: Statistics) -> Floats | str:
    """The second run's sums in the first one's columns, or why the columns do not mean the same.

    Swapping an image between runs moves its sums from one to the other: a column has to mean the same in both, and
    both runs' functions have to make the same of it.
    """
    sums, ours, theirs = second.sums, first.columns, second.columns
    if ours is None and theirs is None and (first.point is not None or second.point is not None):
        return "each run groups its values in levels of its own, which cannot be swapped"
    if ours != theirs:
        if ours is None or theirs is None or not _one_each(first) or not _one_each(second) or set(ours) != set(theirs):
            return "the columns of the runs' sums do not mean the same (levels of their own, or other labels)"
        places = {meaning: place for place, meaning in enumerate(theirs)}
        sums = sums[:, [places[meaning] for meaning in ours]]
    if first.sums.shape[1] != sums.shape[1]:
        return f"the runs have {first.sums.shape[1]} and {sums.shape[1]} columns of sums, which cannot be swapped"
    if first.value is not second.value:
        with np.errstate(divide="ignore", invalid="ignore"):
            as_ours, as_theirs = first.value(sums.sum(axis=0)), second.value(second.sums.sum(axis=0))
        if not np.isclose(as_ours, as_theirs, rtol=1e-9, atol=1e-12):
            return "the metric makes different things of the runs' sums: its settings differ between them"
    return sums


def _one_each(statistics: Statistics) -> bool:
    """Whether every column of the sums has a meaning of its own, so that columns can be put in another order."""
    meanings = statistics.columns or ()
    return len(set(meanings)) == len(meanings) == int(statistics.sums.shape[1])


def check_same_rows(first: Run, run: Run) -> None:
    """Refuse to compare runs that were not asked the same things, or are held against other references.

    A run without the ground task holds no phrase; that of the other is then left to the metrics, which say so.

    Raises:
        RunError: another suite, other rows, or other references.
    """
    if run.fingerprint != first.fingerprint:
        raise RunError(
            f"runs on different suites cannot be compared: {run.suite} {run.fingerprint[:12]} and "
            f"{first.suite} {first.fingerprint[:12]}",
            where=run.path,
        )
    pairs: list[tuple[str, Sequence[Question | Phrase], Sequence[Question | Phrase]]]
    pairs = [("questions", first.questions, run.questions)]
    if first.phrases and run.phrases:
        pairs.append(("phrases", first.phrases, run.phrases))
    for what, ours, theirs in pairs:
        if [row.index for row in ours] != [row.index for row in theirs]:
            limits = [str(one.recipe.limit or "none") for one in (run, first)]
            told = f" (--limit {limits[0]} and {limits[1]})" if limits[0] != limits[1] else ""
            same = "" if len(theirs) != len(ours) else ", in another order"
            raise RunError(
                f"runs over different rows cannot be compared: {len(theirs)} {what} and {len(ours)}{same}{told}",
                where=run.path,
                do="make both with the same --limit and --split",
            )
        for a, b in zip(ours, theirs, strict=True):
            if a != b:
                differ = [one.name for one in fields(a) if getattr(a, one.name) != getattr(b, one.name)]
                raise RunError(
                    f"the references of the runs differ: {', '.join(differ)} of {what[:-1]} {a.index}",
                    where=run.path,
                    do="run both with one version of gi-bench on one suite",
                )


def check_predictions(run: Run) -> None:
    """Refuse predictions that belong to no row of the run: edited, or copied from another.

    Raises:
        RunError: a prediction for a row that the run does not have, or for another image.
    """
    rows = {("question", q.index): q.img_id for q in run.questions} | {
        ("phrase", p.index): p.img_id for p in run.phrases
    }
    for (kind, index), prediction in run.predictions.items():
        if rows.get((kind, index)) != prediction.img_id:
            raise RunError(
                f"a prediction that fits no row: {kind} {index} of image {prediction.img_id}",
                where=run.path,
                do="put the run's own predictions back, or delete this part of them and run the same command again",
            )


def run_notes(paths: Sequence[Run | Path | str]) -> list[str]:
    """What has to be said of runs before their numbers: unfinished, without some predictions, or given twice."""
    runs = [open_run(path) for path in paths]
    notes = []
    for label, run in zip(_labels(runs), runs, strict=True):
        notes += run.check_files()
        rows = [("question", q.index) for q in run.questions] + [("phrase", p.index) for p in run.phrases]
        without = sum(row not in run.predictions for row in rows)
        if not run.manifest.complete:
            notes.append(f"{label} is not finished: {without} of {len(rows)} predictions are missing")
        elif without:
            notes.append(f"{label} lacks {without} of {len(rows)} predictions")
    tasks = {label: run.recipe.tasks for label, run in zip(_labels(runs), runs, strict=True)}
    if len(set(tasks.values())) > 1:
        notes.append("the runs have different tasks: " + "; ".join(f"{a}: {', '.join(b)}" for a, b in tasks.items()))
    places = [run.path.resolve() for run in runs]
    for place in dict.fromkeys(place for place in places if places.count(place) > 1):
        notes.append(f"{place.name} is given more than once: a run does not differ from itself")
    for label, run, place in zip(_labels(runs)[1:], runs[1:], places[1:], strict=True):
        if place != places[0] and run.predictions == runs[0].predictions:
            notes.append(f"{label} holds the same predictions as {_labels(runs)[0]}: a copy, or a model that equals it")
    return notes


def _labels(runs: Sequence[Run]) -> list[str]:
    """Variants; where several runs are of one, with their folders, and with the whole path where those agree too."""
    variants = [run.variant for run in runs]
    folders = [(run.variant, run.path.resolve().name) for run in runs]
    places = [{r.path.resolve() for r, f in zip(runs, folders, strict=True) if f == folder} for folder in folders]
    made = []
    for run, (variant, folder), same in zip(runs, folders, places, strict=True):
        if variants.count(variant) == 1:
            made.append(variant)
        else:
            made.append(f"{variant} ({folder})" if len(same) == 1 else f"{variant} ({run.path})")
    return made
