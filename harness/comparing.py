"""Runs against a baseline run, metric by metric: differences with intervals and corrected p-values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import RunError
from harness.metrics.base import Metric, Statistics
from harness.metrics.settings import MetricSettings
from harness.schema import MetricInfo
from harness.statistics import Difference, encode, holm, paired, sums_by_image
from harness.store import Run, open_run


@dataclass(frozen=True)
class Comparison:
    """One run against the baseline on one metric.

    Attributes:
        metric: what was compared.
        run, baseline: names of the variants (folder names where two runs are of one variant).
        found: difference run minus baseline, its interval and its p-value.
        n: rows of the run that the metric rests on.
        adjusted: p-value after Holm's correction over the whole table.
    """

    metric: MetricInfo
    run: str
    baseline: str
    found: Difference
    n: int
    adjusted: float

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` (or ``different``) or ``undecided`` at the 5 % level after correction."""
        if self.adjusted >= 0.05 or self.found.difference == 0:
            return "undecided"
        if not self.metric.ranked:
            return "different"
        return "better" if (self.found.difference > 0) == self.metric.higher_is_better else "worse"


def compare_runs(
    paths: Sequence[Path | str],
    *,
    names: Sequence[str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    metrics: Mapping[str, Metric] | None = None,
    settings: MetricSettings | None = None,
) -> tuple[list[Comparison], dict[str, str]]:
    """Compare every run with the first one.

    Args:
        paths: run folders on the same suite; the first is the baseline.
        names: metrics to compare; None for the groups answers, facts, regions and negatives.
        resamples: bootstrap resamples and permutations, each.
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
    _check(runs)
    if metrics is None:
        from harness.registry import registered

        metrics = registered("gi_bench.metrics")
    unknown = sorted(set(names or ()) - set(metrics))
    if unknown:
        raise RunError("unknown metric", where=", ".join(unknown), do="see gi-bench metrics")
    chosen = {
        name: metric
        for name, metric in metrics.items()
        if (name in names if names else metric.info.group in ("answers", "facts", "regions", "negatives"))
    }
    found: list[Comparison] = []
    missing: dict[str, str] = {}
    labels = _labels(runs)
    for name, metric in chosen.items():
        computed = [metric.compute(run) for run in runs]
        base = computed[0]
        for label, other in zip(labels[1:], computed[1:], strict=True):
            if isinstance(base, str) or isinstance(other, str):
                missing[f"{name} of {labels[0] if isinstance(base, str) else label}"] = str(
                    base if isinstance(base, str) else other
                )
                continue
            difference = _difference(other, base, resamples, seed)
            found.append(Comparison(metric.info, label, labels[0], difference, len(other.sums), difference.p))
    adjusted = holm([one.found.p for one in found])
    return [replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True)], missing


def _difference(first: Statistics, second: Statistics, resamples: int, seed: int) -> Difference:
    """Rows are summed by image first: the runs need the same images, not the same readable rows."""
    images = [*dict.fromkeys((*first.images, *second.images))]
    codes, count = encode([*images, *first.images, *second.images])
    a, b = codes[count : count + len(first.images)], codes[count + len(first.images) :]
    return paired(
        sums_by_image(first.sums, a, count),
        sums_by_image(second.sums, b, count),
        first.value,
        resamples=resamples,
        seed=seed,
    )


def _check(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise RunError("one run has nothing to be compared with", do="give two run folders or more")
    first = runs[0]
    for run in runs[1:]:
        if run.fingerprint != first.fingerprint:
            raise RunError(
                f"runs on different suites cannot be compared: {run.suite} {run.fingerprint[:12]} and "
                f"{first.suite} {first.fingerprint[:12]}",
                where=run.path,
            )
        if [q.index for q in run.questions] != [q.index for q in first.questions]:
            raise RunError("runs over different rows cannot be compared", where=run.path, do="use the same --limit")


def _labels(runs: Sequence[Run]) -> list[str]:
    variants = [run.variant for run in runs]
    return [
        run.variant if variants.count(run.variant) == 1 else f"{run.variant} ({run.path.resolve().name})"
        for run in runs
    ]


def comparison_lines(found: Sequence[Comparison], missing: Mapping[str, str]) -> list[str]:
    """The table for the terminal, 100 columns wide."""
    if not found:
        return ["nothing could be compared", *(f"not computed: {name}: {reason}" for name, reason in missing.items())]
    width = max(len(one.run) for one in found)
    lines = [
        "",
        f"difference to {found[0].baseline} [95 % interval], p by permutation over images, p after Holm over "
        f"{len(found)} comparisons",
        "",
    ]
    last = ""
    for one in found:
        if one.metric.name != last:
            last = one.metric.name
            lines.append(one.metric.title + ("" if one.metric.higher_is_better else " (lower is better)"))
        low, high = one.found.low, one.found.high
        interval = f" [{low:+.3f}, {high:+.3f}]" if low is not None and high is not None else ""
        lines.append(
            f"  {one.run:<{width}}  {one.found.difference:+.4f}{interval}  p {one.found.p:.4f}  "
            f"Holm {one.adjusted:.4f}  {one.verdict}  n {one.n}, {one.found.images} images"
        )
    return [*lines, "", *(f"not computed: {name}: {reason}" for name, reason in missing.items())]
