"""Which stored scores were made by an older definition of their metric than the one registered today."""

from __future__ import annotations

from collections.abc import Mapping

from harness.schema import Scores


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
