"""Metrics of arms, each computed once a run, and their values over seeds and images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gi_bench.harness.analysis.comparing import compute
from gi_bench.harness.analysis.study.deciding import cut
from gi_bench.harness.analysis.study.records import Cell
from gi_bench.harness.errors import RunError
from gi_bench.harness.intervals import rate_interval
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import Floats, SeedEffect, encode, over_seeds, sums_by_image
from gi_bench.harness.store import Run

# Of one seed: how often each image is drawn, (..., images), to the value (...).
Effect = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Column:
    """A metric of one arm on one slice: per seed the sums by image and the function of them."""

    sums: tuple[Floats, ...]
    values: tuple[Callable[[Any], Any], ...]
    images: tuple[str, ...]
    n: int
    least_variance: float

    def effects(self, images: Sequence[str]) -> list[Effect]:
        """One function a seed: weights of ``images`` to values."""
        places = {img_id: place for place, img_id in enumerate(self.images)}
        order = np.array([places.get(img_id, -1) for img_id in images])
        made = []
        for sums, value in zip(self.sums, self.values, strict=True):
            padded = np.concatenate([sums, np.zeros((1, sums.shape[1]))])[order]
            made.append(_weighted(padded, value))
        return made


def _weighted(sums: Floats, value: Callable[[Any], Any]) -> Effect:
    return lambda weights: np.asarray(value(weights @ sums))


class Columns:
    """Metrics of arms, each computed once a run."""

    def __init__(self, opened: Mapping[str, Sequence[Run]], metrics: Mapping[str, Metric]) -> None:
        self._opened, self._metrics = opened, metrics
        self._statistics: dict[tuple[str, str], list[Statistics] | str] = {}
        self._missing: dict[tuple[str, str], list[str]] = {}
        self.infos: dict[str, MetricInfo] = {}
        self.counts = {arm: len(runs) for arm, runs in opened.items()}

    def statistics(self, arm: str, metric: str) -> list[Statistics] | str:
        """A metric of every run of an arm, or why there is none."""
        if (arm, metric) not in self._statistics:
            if metric not in self._metrics:
                raise RunError("unknown metric", where=metric, do="see gi-bench metrics")
            made = [compute(self._metrics[metric], run) for run in self._opened[arm]]
            reasons = [one for one in made if isinstance(one, str)]
            self._statistics[arm, metric] = reasons[0] if reasons else [s for s in made if not isinstance(s, str)]
            if reasons:
                some = f" (in {len(reasons)} of {len(made)} runs)" if len(reasons) < len(made) else ""
                self._missing.setdefault((arm, reasons[0] + some), []).append(metric)
            first = next((s for s in made if not isinstance(s, str)), None)
            if first is not None and not reasons:
                self.infos[metric] = first.info or self._metrics[metric].info
            self.infos.setdefault(metric, self._metrics[metric].info)
        return self._statistics[arm, metric]

    def missing(self) -> list[str]:
        """The metrics that arms have no value of, a sentence an arm and reason."""
        return [f"no {', '.join(metrics)} of {arm}: {reason}" for (arm, reason), metrics in self._missing.items()]

    def column(self, arm: str, metric: str, by: str = "", groups: Sequence[str] = ()) -> Column | None:
        """A metric of an arm on all rows, or on those of some groups; None where it has no row."""
        found = self.statistics(arm, metric)
        if isinstance(found, str):
            return None
        picked = [_rows(one, by, groups) for one in found]
        if not all(len(rows) for rows in picked):
            return None
        images = tuple(dict.fromkeys(one.images[row] for one, rows in zip(found, picked, strict=True) for row in rows))
        sums = []
        for one, rows in zip(found, picked, strict=True):
            codes, count = encode([*images, *(one.images[row] for row in rows)])
            sums.append(sums_by_image(one.sums_of(rows), codes[len(images) :], count))
        least = least_variance(sums) if found[0].is_rate else 0.0
        return Column(tuple(sums), tuple(one.value for one in found), images, len(picked[0]), least)

    def groups(self, arm: str, metric: str, by: str) -> set[str]:
        """The values of a slice that rows of an arm have."""
        found = self.statistics(arm, metric)
        slices = [] if isinstance(found, str) else [one.slices.get(by, ()) for one in found]
        return {value for rows in slices for values in rows for value in values}

    def cells(self, arm: str, metric: str, slice_by: str, resamples: int) -> list[Cell]:
        """A metric of an arm, one cell a value of the slice."""
        found = self.statistics(arm, metric)
        if isinstance(found, str):
            return []
        cells = []
        for value in ["all"] if slice_by == "all" else sorted(self.groups(arm, metric, slice_by)):
            column = self.column(arm, metric, *(("", ()) if slice_by == "all" else (slice_by, (value,))))
            if column is not None:
                effect = over_seeds(
                    column.effects(column.images),
                    len(column.images),
                    resamples=resamples,
                    least_variance=column.least_variance,
                )
                cells.append(Cell(arm, metric, slice_by, value, _within(effect, self.infos[metric]), column.n))
        return cells


def _within(effect: SeedEffect, info: MetricInfo) -> SeedEffect:
    """The interval of a value, cut to what the metric can be."""
    if effect.low is None or effect.high is None:
        return effect
    low, high = cut((effect.low, effect.high), effect.mean, info.low, info.high)
    return replace(effect, low=low, high=high)


def least_variance(sums: Sequence[Floats]) -> float:
    """Variance of a share as its interval has it: no false alarm among few images is no proof of none."""
    found = []
    for by_image in sums:
        rows = by_image[by_image[:, 1] > 0]
        interval = rate_interval(rows)
        if interval is not None:
            share = float(rows[:, 0].sum() / rows[:, 1].sum())
            found.append((max(share - interval[0], interval[1] - share) / 1.96) ** 2)
    return float(np.mean(found)) if found else 0.0


def _rows(statistics: Statistics, by: str, groups: Sequence[str]) -> Any:
    if not by:
        return np.arange(len(statistics.sums))
    wanted = set(groups)
    labels = statistics.slices.get(by, ())
    return np.array([row for row, values in enumerate(labels) if not wanted.isdisjoint(values)], dtype=np.int64)


__all__ = ["Column", "Columns", "Effect", "least_variance"]
