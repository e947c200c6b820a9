"""Stored scores beside today's definitions: which were made by an older one, and which are shown first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.schema import MetricInfo, Scores


def older(scores: Scores, current: Mapping[str, int] | None = None) -> list[str]:
    """Names of metrics whose scores were made by an older definition, in the order stored.

    A metric that is not registered here (a plugin's) is not judged.

    Args:
        scores: stored scores.
        current: versions of today's definitions by metric; None for the registered ones.
    """
    if current is None:
        from harness.registry import registered

        current = {name: metric.info.version for name, metric in registered("gi_bench.metrics").items()}
    return [info.name for info in scores.metrics if info.version < current.get(info.name, 0)]


def older_note(scores: Scores, current: Mapping[str, int] | None = None) -> str | None:
    """What has to be said beside such scores; None where every score is up to date."""
    names = older(scores, current)
    if not names:
        return None
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return (
        f"{scores.variant}: scores made by an older definition: {shown}; gi-bench score RUN makes them by today's, "
        "from the stored predictions"
    )


def headlines(infos: Iterable[MetricInfo], current: Mapping[str, bool] | None = None) -> frozenset[str]:
    """Names of the metrics that are shown by default.

    What a metric means is stored with its scores; which ones come first is today's choice. A metric that is not
    registered here (a plugin's) goes by what was stored.

    Args:
        infos: stored descriptions.
        current: today's choice by metric; None for that of the registered ones.
    """
    if current is None:
        from harness.registry import registered

        current = {name: metric.info.headline for name, metric in registered("gi_bench.metrics").items()}
    return frozenset(info.name for info in infos if current.get(info.name, info.headline))
