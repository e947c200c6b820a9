"""Stored scores beside today's definitions: which were made by an older one, and which are shown first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gi_bench.harness.intervals import INTERVAL_VERSION
from gi_bench.harness.provenance import is_ours
from gi_bench.harness.schema import MetricInfo, Scores

if TYPE_CHECKING:
    from gi_bench.harness.metrics.base import Metric


def older(scores: Scores, current: Mapping[str, int] | None = None) -> list[str]:
    """Names of metrics whose scores were made by an older definition, in the order stored.

    A metric that is not registered here (a plugin's) is not judged.

    Args:
        scores: stored scores.
        current: versions of today's definitions by metric; None for the registered ones.
    """
    if current is None:
        from gi_bench.harness.registry import registered

        current = {name: metric.info.version for name, metric in registered("gi_bench.metrics").items()}
    return [info.name for info in scores.metrics if info.version < current.get(info.name, 0)]


def metrics_key(metrics: Mapping[str, Metric]) -> list[Any] | None:
    """Plain values that change with the registered metrics; None where one is not this package's.

    What a metric of somebody else rests on is not known: what it makes is made again every time.
    """
    if not all(is_ours(metric.compute) for metric in metrics.values()):
        return None
    return [[name, asdict(metric.info)] for name, metric in metrics.items()]


def has_older_intervals(scores: Scores) -> bool:
    """Whether the intervals, where there are any, were made in an older way than today's."""
    return scores.interval_version < INTERVAL_VERSION and any(one.interval_low is not None for one in scores.scores)


def older_note(scores: Scores, current: Mapping[str, int] | None = None) -> str | None:
    """What has to be said beside such scores; None where every score and interval is up to date."""
    names = older(scores, current)
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    said = [f"scores made by an older definition: {shown}"] if names else []
    if has_older_intervals(scores):
        said.append("intervals made in an older way, which is too narrow for rates near 0 and 1")
    if not said:
        return None
    return f"{scores.variant}: {'; '.join(said)}; gi-bench score RUN makes them by today's, from the stored predictions"


def headlines(infos: Iterable[MetricInfo], current: Mapping[str, bool] | None = None) -> frozenset[str]:
    """Names of the metrics that are shown by default.

    What a metric means is stored with its scores; which ones come first is today's choice. A metric that is not
    registered here (a plugin's) goes by what was stored.

    Args:
        infos: stored descriptions.
        current: today's choice by metric; None for that of the registered ones.
    """
    if current is None:
        from gi_bench.harness.registry import registered

        current = {name: metric.info.headline for name, metric in registered("gi_bench.metrics").items()}
    return frozenset(info.name for info in infos if current.get(info.name, info.headline))
