"""Runs against a baseline run, metric by metric: differences with intervals and corrected p-values."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from gi_bench.harness.analysis.kept import statistics_of
from gi_bench.harness.errors import RunError
from gi_bench.harness.metric_settings import MetricSettings
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.permutation import draws_needed
from gi_bench.harness.schema import MetricInfo, Phrase, Question
from gi_bench.harness.statistics import Difference, Floats, encode, holm, paired, sums_by_image
from gi_bench.harness.store import Run, open_run

RESAMPLES = 2_000
_LEVEL = 0.05
_WIDTH = 80


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
    """

    metric: MetricInfo
    run: str
    baseline: str
    found: Difference
    n: int
    adjusted: float
    baseline_n: int = 0
    values: tuple[float, float] = (float("nan"), float("nan"))

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` (or ``different``) or ``undecided`` at the 5 % level after correction."""
        # Written so that what is not a number decides nothing.
        if not self.adjusted < _LEVEL or not abs(self.found.difference) > 0:
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
) -> tuple[list[Comparison], dict[str, str]]:
    """Compare every run with the first one.

    Args:
        paths: run folders on the same suite; the first is the baseline.
        names: metrics to compare; None for the headline metrics.
        everything: all metrics instead.
        resamples: bootstrap resamples and permutations, each; None for 2,000 resamples and as many permutations as a
            table of this size needs.
        seed: seed of both.
        metrics: metrics by name; None for all registered ones.
        settings: encoders and judges.

    Returns:
        The table, by metric and then run, and why metrics are missing.

    Raises:
        RunError: fewer than two runs, other suites, other rows, or an unknown metric.
    """
    runs = [open_run(path) for path in paths]
    if settings is not None:
        runs = [replace(run, settings=settings) for run in runs]
    if len(runs) < 2:
        raise RunError("one run has nothing to be compared with", do="give two run folders or more")
    _check(runs)
    chosen = _chosen(metrics, names, everything)
    labels = _labels(runs)
    permutations = resamples or draws_needed(len(chosen) * (len(runs) - 1))
    found: list[Comparison] = []
    missing: dict[str, str] = {}
    for name, metric in chosen.items():
        base = compute(metric, runs[0])
        for label, run in zip(labels[1:], runs[1:], strict=True):
            if isinstance(base, str):
                missing[f"{name} of {labels[0]}"] = base
                continue
            other = compute(metric, run)
            if isinstance(other, str):
                missing[f"{name} of {label}"] = other
                continue
            compared = difference_of(other, base, resamples or RESAMPLES, permutations, seed)
            if isinstance(compared, str):
                missing[f"{name} of {label}"] = compared
                continue
            difference, values = compared
            info = other.info or metric.info
            found.append(Comparison(info, label, labels[0], difference, len(other.sums), 1.0, len(base.sums), values))
    adjusted = holm([one.found.p for one in found])
    return [replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True)], missing


def _chosen(
    metrics: Mapping[str, Metric] | None, names: Sequence[str] | None, everything: bool
) -> Mapping[str, Metric]:
    if metrics is None:
        from gi_bench.harness.registry import registered

        metrics = registered("gi_bench.metrics")
    unknown = sorted(set(names or ()) - set(metrics))
    if unknown:
        raise RunError("unknown metric", where=", ".join(unknown), do="see gi-bench metrics")
    if names:
        return {name: metric for name, metric in metrics.items() if name in names}
    return {name: metric for name, metric in metrics.items() if everything or metric.info.headline}


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
    try:
        return _difference(first, second, resamples, permutations, seed)
    except Exception as error:  # the value function may be a plugin's
        return f"the metric failed: {type(error).__name__}: {error}"


def _difference(
    first: Statistics, second: Statistics, resamples: int, permutations: int, seed: int
) -> tuple[Difference, tuple[float, float]] | str:
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
    found = paired(
        sums_by_image(first.sums, a, count),
        sums_by_image(theirs, b, count),
        first.value,
        resamples=resamples,
        permutations=permutations,
        seed=seed,
    )
    # Where sums are only close to the value (grouped confidences), the difference shown is that of the scores.
    return replace(found, difference=values[0] - values[1]), values


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
            raise RunError(
                f"runs over different rows cannot be compared: {len(theirs)} {what} and {len(ours)}, or in another "
                "order",
                where=run.path,
                do="use the same --limit",
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


def cautions(found: Sequence[Comparison]) -> list[str]:
    """What limits the table: p-values that cannot get small enough, and draws without a value."""
    notes = []
    narrow = [one for one in found if one.found.smallest * len(found) >= _LEVEL]
    few = [one for one in narrow if one.found.exact]
    if few:
        smallest = max(one.found.smallest for one in few)
        alike = "all" if len(few) == len(found) else f"{len(few)}"
        notes.append(
            f"{alike} of {len(found)} comparisons rest on so few images that differ that no p-value could be small "
            f"enough (the smallest possible is up to {smallest:.2g}, and Holm multiplies it by up to {len(found)}): "
            "compare fewer metrics, on more images"
        )
    drawn = [one for one in narrow if not one.found.exact]
    if drawn:
        smallest = max(one.found.smallest for one in drawn)
        notes.append(
            f"the table is too wide for its permutations: no p-value is below {smallest:.2g}, and Holm multiplies the "
            f"smallest by {len(found)}; give --resamples {draws_needed(len(found))} or more, leave --resamples out, or "
            "choose fewer metrics with --metric"
        )
    for one in found:
        if one.found.valueless_swaps:
            notes.append(
                f"{one.metric.name} of {one.run}: {one.found.valueless_swaps} of {one.found.swaps} permutations have "
                "no value and count as extreme"
            )
        if one.found.valueless_draws:
            kept = "no interval is given" if one.found.low is None else "the interval leaves them out"
            notes.append(f"{one.metric.name} of {one.run}: {one.found.valueless_draws} resamples have no value; {kept}")
    return notes


def comparison_lines(found: Sequence[Comparison], missing: Mapping[str, str], notes: Sequence[str] = ()) -> list[str]:
    """The table for the terminal, 80 columns wide."""
    said = [*notes, *cautions(found)]
    tail = [line for note in said for line in _wrapped(f"note: {note}")]
    tail += [line for name, reason in missing.items() for line in _wrapped(f"not computed: {name}: {reason}")]
    if not found:
        return ["nothing could be compared", *tail]
    head = (
        f"difference to {found[0].baseline} [95 % interval], p by swapping the runs image by image, and p after Holm "
        f"over {len(found)} comparison{'s' if len(found) > 1 else ''}"
    )
    lines = ["", *_wrapped(head, indent=""), ""]
    last = ""
    for one in found:
        if one.metric.name != last:
            last = one.metric.name
            worse = "" if one.metric.higher_is_better or not one.metric.ranked else " (lower is better)"
            lines.append(one.metric.title + worse)
        lines += [*_wrapped(f"  {one.run}", indent="    "), *_numbers(one)]
    return [*lines, "", *tail]


def _numbers(one: Comparison) -> list[str]:
    low, high = one.found.low, one.found.high
    interval = f" [{low:+.3f}, {high:+.3f}]" if low is not None and high is not None else " (no interval)"
    rows = f"n {one.n}" if one.n == one.baseline_n else f"n {one.n} and {one.baseline_n}"
    return [
        f"    {one.found.difference:+.4f}{interval}  p {_p(one.found.p)}  Holm {_p(one.adjusted)}  {one.verdict}",
        f"    {rows}, {one.found.images} image{'s' if one.found.images != 1 else ''}",
    ]


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else f"{value:.0e}"


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=indent, break_on_hyphens=False) or [""]


def comparison_json(found: Sequence[Comparison], missing: Mapping[str, str], notes: Sequence[str] = ()) -> str:
    """The table as JSON; what is not a finite number is null."""
    rows = [{**asdict(one), "verdict": one.verdict} for one in found]
    content = {"comparisons": rows, "not_computed": dict(missing), "notes": [*notes, *cautions(found)]}
    return json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
