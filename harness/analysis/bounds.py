"""Floors and ceilings: how far a run has come from what needs no eyes to what better eyes could reach.

A floor is a run that never looks, a ceiling one that knows the references; both say so in their manifests. For a metric
the share of the way is (value - floor) / (ceiling - floor), all three on the same rows: those that model, floor and
ceiling cover. What that is and is not stands in docs/metrics.md. Reads run folders only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness import provenance
from gi_bench.harness.analysis.definitions import metrics_key
from gi_bench.harness.analysis.kept import statistics_of
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import LEVEL, Bootstrap, encode, shared_bootstrap, sums_by_image
from gi_bench.harness.store import Run, made_parts, open_run

# Confidences have no floor and ceiling of this kind: what they are worth is a question of their ranking.
GROUPS = ("answers", "facts", "regions", "negatives", "explanations")
# A ceiling with fewer rows than this share of the widest one's is no ceiling for the suite, but for a corner of it.
_WIDE = 0.9

# A rate of one kind of error is 0 for whoever says always the same, without looking.
_ONE_SIDED = "one constant reply reaches it"

Floats = npt.NDArray[np.float64]
Keys = frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Share:
    """How far one run has come on one metric.

    Attributes:
        metric, title: of the metric.
        higher_is_better: its direction.
        run: name of the run.
        value: of the run on the shared rows; None if it has none.
        floor, floor_value: the best run that never looks, and its value on the same rows.
        ceiling, ceiling_value: the tightest run that knows the references, and its value on the same rows.
        share: 0 at the floor, 1 at the ceiling; None where ``reason`` says why not.
        low, high: 95 % interval of the share, paired bootstrap over images.
        n: rows of the metric among the shared rows.
        images: distinct images among them.
        reason: why there is no share; empty if there is one.
    """

    metric: str
    title: str
    higher_is_better: bool
    run: str
    value: float | None = None
    floor: str | None = None
    floor_value: float | None = None
    ceiling: str | None = None
    ceiling_value: float | None = None
    share: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    images: int = 0
    reason: str = ""


def bounds_beside(paths: Sequence[Path | str]) -> list[Path]:
    """Folders of floors and ceilings that lie beside some runs and bound them: same suite, same rows, finished.

    Args:
        paths: run folders; those among them that are bounds are not repeated.

    Raises:
        RunError: one of them is no run.
    """
    runs = [open_run(path) for path in paths]
    known = {run.path.resolve() for run in runs}
    wanted = {_rows_of(run) for run in runs}
    found: dict[Path, Path] = {}
    for parent in dict.fromkeys(run.path.resolve().parent for run in runs):
        for manifest in sorted(parent.glob("*/manifest.json")):
            folder = manifest.parent
            if folder.resolve() in known:
                continue
            try:
                run = open_run(folder)
            except GiBenchError:  # another version's, or damaged: no business of these runs
                continue
            if run.role != "model" and run.manifest.complete and _rows_of(run) in wanted:
                found[folder.resolve()] = folder
    return list(found.values())


def _rows_of(run: Run) -> tuple[str, object]:
    return run.fingerprint, run.recipe.limit


class _Bounded:
    """Runs on one suite, restricted to the rows that they share, with their statistics made once."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.models = [run for run in runs if run.role == "model"]
        # The simplest comes first among equals: a floor of explanations answers as a floor of answers does.
        floors = [run for run in runs if run.role == "floor"]
        self.floors = sorted(floors, key=lambda run: (len(run.recipe.tasks), run.variant))
        self.ceilings = [run for run in runs if run.role == "ceiling"]
        self.names = dict(zip((run.path for run in runs), labels(runs), strict=True))
        self._covered: dict[Path, Keys] = {}
        self._restricted: dict[tuple[Path, Keys], Run] = {}
        self._made: dict[tuple[str, Path, Keys | None], Statistics | str] = {}

    def covered(self, run: Run) -> Keys:
        """Rows that a run covers."""
        if run.path not in self._covered:
            keys = [("question", q.index) for q in run.questions] + [("phrase", p.index) for p in run.phrases]
            self._covered[run.path] = frozenset(keys)
        return self._covered[run.path]

    def statistics(self, metric: Metric, run: Run, rows: Keys | None = None) -> Statistics | str:
        """What a metric makes of a run, on all rows or on some; a string says why not."""
        key = (metric.name, run.path, rows)
        if key not in self._made:
            chosen = run
            if rows is not None and not self.covered(run) <= rows:
                chosen = self._restricted.setdefault((run.path, rows), run.restricted(rows))
                self._made[key] = _compute(metric, chosen)
            else:
                self._made[key] = self._made.get((metric.name, run.path, None)) or _compute(metric, run)
        return self._made[key]

    def ceiling(self, metric: Metric, model: Run) -> Run | None:
        """The tightest of the ceilings that cover about as many of the metric's rows as the widest."""
        found = []
        for run in (run for run in self.ceilings if _rows_of(run) == _rows_of(model)):
            made = self.statistics(metric, run)
            if not isinstance(made, str) and len(made.sums):
                found.append((len(made.sums), _value(made), run))
        widest = max((n for n, _, _ in found), default=0)
        wide = [(value, run) for n, value, run in found if n >= _WIDE * widest and np.isfinite(value)]
        if not wide:
            return None
        return (min if metric.info.higher_is_better else max)(wide, key=lambda one: one[0])[1]

    def floor(self, metric: Metric, model: Run, rows: Keys) -> tuple[Run, Statistics] | None:
        """The best of the floors on some rows; the first one among equals."""
        found = []
        for run in (run for run in self.floors if _rows_of(run) == _rows_of(model)):
            made = self.statistics(metric, run, rows)
            if not isinstance(made, str) and len(made.sums) and np.isfinite(_value(made)):
                found.append((_value(made), run, made))
        if not found:
            return None
        best = (max if metric.info.higher_is_better else min)(found, key=lambda one: one[0])
        return best[1], best[2]


def _compute(metric: Metric, run: Run) -> Statistics | str:
    try:
        return statistics_of(metric, run)
    except Exception as error:  # a metric of a plugin must not cost the other metrics
        return f"{type(error).__name__}: {error}"


def _value(statistics: Statistics) -> float:
    if statistics.point is not None:
        return float(statistics.point(np.arange(len(statistics.sums))))
    return float(statistics.value(statistics.sums.sum(axis=0)))


def labels(runs: Sequence[Run]) -> list[str]:
    """Names of runs: the variant, with the folder's ending where a variant occurs twice."""
    variants = [run.variant for run in runs]
    return [
        run.variant if variants.count(run.variant) == 1 else f"{run.variant} ({run.path.name.rpartition('-')[2]})"
        for run in runs
    ]


def shares(
    paths: Sequence[Path | str],
    *,
    resamples: int = 1000,
    seed: int = 0,
    metrics: Mapping[str, Metric] | None = None,
    everything: bool = False,
) -> list[Share]:
    """The share of the way from floor to ceiling of every model among some runs.

    Args:
        paths: run folders on one suite; floors and ceilings beside them are found (:func:`bounds_beside`).
        resamples: bootstrap resamples.
        seed: of the resampling.
        metrics: metrics by name, all of them shown; None for the registered ones.
        everything: all registered metrics that rank, not only the headline ones.

    Returns:
        By metric, then model. Metrics that a model does not have on the shared rows are left out, and everything where
        there is neither a floor nor a ceiling.

    Raises:
        RunError: a folder is not a run, or the suites differ.
    """
    given = [open_run(path) for path in dict.fromkeys(Path(path) for path in paths)]
    for run in given:
        if run.fingerprint != given[0].fingerprint:
            raise RunError(
                f"runs on different suites have no common floor: {run.suite} {run.fingerprint[:12]} and "
                f"{given[0].suite} {given[0].fingerprint[:12]}",
                where=run.path,
                do="give runs of one suite",
            )
    paths = [run.path for run in given] + bounds_beside([run.path for run in given])
    if metrics is None:
        return list(_kept(tuple((path, _state(path)) for path in paths), resamples, seed, everything))
    return _made(paths, metrics, resamples, seed, everything=True)


def _state(path: Path) -> tuple[int, ...]:
    """Changes when a run does."""
    files = [path / "manifest.json", *sorted((path / "predictions").glob("*.parquet"))]
    return tuple(file.stat().st_mtime_ns for file in files)


@lru_cache(maxsize=4)
def _kept(
    runs: tuple[tuple[Path, tuple[int, ...]], ...], resamples: int, seed: int, everything: bool
) -> tuple[Share, ...]:
    """The terminal and the page of one call show the same shares: they are made once, and once for unchanged runs."""
    from gi_bench.harness.registry import registered

    paths, metrics = [path for path, _ in runs], registered("gi_bench.metrics")
    known = metrics_key(metrics)
    if known is None:
        return tuple(_made(paths, metrics, resamples, seed, everything))
    content = [provenance.content_of(made_parts(path)) for path in paths]
    key = provenance.digest_of("shares", content, known, resamples, seed, everything)
    kept = provenance.recall(key)
    if kept is None:
        kept = [asdict(share) for share in _made(paths, metrics, resamples, seed, everything)]
        provenance.keep(key, kept)
    return tuple(Share(**share) for share in kept)


def _made(
    paths: Sequence[Path], metrics: Mapping[str, Metric], resamples: int, seed: int, everything: bool
) -> list[Share]:
    bounded = _Bounded([open_run(path) for path in paths])
    if not bounded.floors and not bounded.ceilings:
        return []
    bootstrap = shared_bootstrap(resamples, seed)
    found = []
    for metric in sorted(metrics.values(), key=lambda metric: _place(metric.info.group)):
        info = metric.info
        if info.group in GROUPS and info.ranked and (everything or info.headline):
            found += _of_metric(metric, bounded, bootstrap)
    return found


def _place(group: str) -> int:
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _of_metric(metric: Metric, bounded: _Bounded, bootstrap: Bootstrap) -> list[Share]:
    found = []
    for model in bounded.models:
        ceiling = bounded.ceiling(metric, model)
        rows = bounded.covered(model)
        if ceiling is not None:
            rows &= bounded.covered(ceiling)
        own = bounded.statistics(metric, model, rows)
        if not isinstance(own, str) and len(own.sums):
            found.append(_share(metric, bounded, model, own, ceiling, rows, bootstrap))
    return found


def _share(
    metric: Metric,
    bounded: _Bounded,
    model: Run,
    own: Statistics,
    ceiling: Run | None,
    rows: Keys,
    bootstrap: Bootstrap,
) -> Share:
    info = metric.info
    told: dict[str, Any] = {"metric": info.name, "title": info.title, "higher_is_better": info.higher_is_better}
    told["run"] = bounded.names[model.path]
    floor = bounded.floor(metric, model, rows)
    top = None if ceiling is None else bounded.statistics(metric, ceiling, rows)
    top = None if isinstance(top, str) else top
    told |= {"value": _finite(_value(own)), "n": len(own.sums), "images": len(set(own.images))}
    if floor is not None:
        told |= {"floor": bounded.names[floor[0].path], "floor_value": _value(floor[1])}
    if ceiling is not None and top is not None:
        told |= {"ceiling": bounded.names[ceiling.path], "ceiling_value": _finite(_value(top))}
    missing = [name for name, there in (("floor", floor), ("ceiling", top)) if there is None]
    if missing or floor is None or top is None:
        return Share(**told, reason=f"no {' and no '.join(missing)} among the runs has this metric")
    return Share(**told, **_way(info, own, floor[1], top, bootstrap))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _way(info: MetricInfo, own: Statistics, floor: Statistics, ceiling: Statistics, bootstrap: Bootstrap) -> Any:
    """Share and interval, or the reason why there is none."""
    three = (own, floor, ceiling)
    value, low, high = (_value(one) for one in three)
    sign = 1.0 if info.higher_is_better else -1.0
    if not np.isfinite([value, low, high]).all():
        return {"reason": "one of the three has no value on the shared rows"}
    if info.group == "negatives":
        return {"reason": _ONE_SIDED}
    if sign * (high - low) <= 0:
        return {"reason": "the floor reaches the ceiling"}
    drawn = _drawn(three, bootstrap)
    if drawn is None:
        return {"reason": "too few images for an interval"}
    ways = drawn[:, 2] - drawn[:, 1]
    if not np.quantile(sign * ways, (1 - LEVEL) / 2) > 0:
        return {"reason": "floor and ceiling cannot be told apart"}
    # What a resample without any way gives is no share; the quantile above keeps such resamples below 2.5 %.
    apart = sign * ways > 0
    ratios = (drawn[apart, 0] - drawn[apart, 1]) / ways[apart]
    bounds = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"share": (value - low) / (high - low), "low": float(bounds[0]), "high": float(bounds[1])}


def _drawn(three: Sequence[Statistics], bootstrap: Bootstrap) -> Floats | None:
    """(resamples, 3) values on the same resampled images; rows without a value are left out; None for one image."""
    images = [*dict.fromkeys(img_id for one in three for img_id in one.images)]
    if len(images) < 2 or bootstrap.resamples < 1:
        return None
    codes, count = encode([*images, *(img_id for one in three for img_id in one.images)])
    by_image, at = [], count
    for one in three:
        by_image.append(sums_by_image(one.sums, codes[at : at + len(one.images)], count))
        at += len(one.images)
    values: list[Callable[[Any], Any]] = [one.value for one in three]
    found = [value(bootstrap.sums(sums)) for value, sums in zip(values, by_image, strict=True)]
    drawn = np.stack(found, axis=1)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    return drawn if len(drawn) else None


def bound_lines(found: Sequence[Share]) -> list[str]:
    """The shares for the terminal, 80 columns wide; nothing for none."""
    if not found:
        return []
    width = max(len(one.run) for one in found)
    lines = ["share of the way from floor to ceiling [95 % interval], on shared rows", ""]
    if not any(one.ceiling for one in found):
        return [*lines[:1], "  no ceiling among the runs: gi-bench run --bounds makes floors and ceilings", ""]
    last: tuple[object, ...] = ()
    for one in found:
        head = (one.metric, one.floor, one.ceiling, one.floor_value, one.ceiling_value)
        if head != last:
            last = head
            lines.append(one.title + ("" if one.higher_is_better else " (lower is better)"))
            lines.append(f"  floor {_bound(one.floor, one.floor_value)}")
            lines.append(f"  ceiling {_bound(one.ceiling, one.ceiling_value)}, n {one.n}")
        value = "no value" if one.value is None else f"{one.value:.4f}"
        lines.append(f"  {one.run:<{width}}  {value}  {share_text(one)}")
    return [*lines, ""]


def _bound(name: str | None, value: float | None) -> str:
    return "none" if name is None else f"{'no value' if value is None else f'{value:.4f}'}  {name}"


def share_text(one: Share) -> str:
    """The share with its interval in per cent, or why there is none."""
    if one.share is None:
        return f"no share: {one.reason}"
    interval = "" if one.low is None or one.high is None else f" [{_percent(one.low)}, {_percent(one.high)}]"
    return f"{_percent(one.share)} %{interval}"


def _percent(share: float) -> str:
    """A share in whole per cent, without a sign on zero."""
    return f"{round(100 * share):d}"


__all__ = [
    "Share",
    "bound_lines",
    "bounds_beside",
    "labels",
    "share_text",
    "shares",
]
