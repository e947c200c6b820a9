"""A comparison of runs as one value: its rows, what could not be compared, and what has to be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gi_bench.harness.analysis.comparing import Comparison, compare_runs, run_notes
from gi_bench.harness.analysis.comparison_text import cautions, comparison_lines
from gi_bench.harness.analysis.equivalence import Margins
from gi_bench.harness.analysis.families import family
from gi_bench.harness.metrics.base import Metric
from gi_bench.harness.registry import registered
from gi_bench.harness.store import Run

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class ComparisonTable:
    """Runs against one baseline.

    Attributes:
        comparisons: one a metric and run, in the order of the metrics.
        not_computed: why a metric has no comparison, by ``metric of run``.
        notes: what has to be said of the runs (unfinished, other tasks) and of the table (p-values that cannot get
            small enough).
        left_out: metrics that were not asked for by name, and why they are not in the table ("" for those that only
            ``everything`` adds).
    """

    comparisons: tuple[Comparison, ...]
    not_computed: Mapping[str, str]
    notes: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def find(self, metric: str, run: str | None = None) -> Comparison | None:
        """The comparison on a metric of a run (of the first one, where none is named), or None."""
        for one in self.comparisons:
            if one.metric.name == metric and run in (None, one.run):
                return one
        return None

    def to_frame(self) -> pandas.DataFrame:
        """One row a comparison; see :func:`gi_bench.harness.frames.comparisons_frame`."""
        from gi_bench.harness.frames import comparisons_frame

        return comparisons_frame(self.comparisons)

    def __str__(self) -> str:
        """What ``gi-bench compare`` prints."""
        own = [note for note in self.notes if note not in cautions(self.comparisons)]
        return "\n".join(comparison_lines(self.comparisons, self.not_computed, own, self.left_out))


def compare_in_table(
    runs: Sequence[Run],
    metrics: Mapping[str, Metric] | None = None,
    *,
    everything: bool = False,
    resamples: int | None = None,
    seed: int = 0,
    margin: Margins | None = None,
) -> ComparisonTable:
    """Compare every run with the first one.

    Args:
        runs: on the same suite; the first is the baseline.
        metrics: by name; None for one a question of the registered ones.
        everything: all registered metrics that say something of their own instead.
        resamples: as for :func:`gi_bench.harness.analysis.comparing.compare_runs`.
        seed: of the resampling.
        margin: as there.

    Raises:
        GiBenchError: fewer than two runs, other suites, other rows, or no margin.
    """
    names = None if metrics is None else list(metrics)
    found, missing = compare_runs(
        runs, names=names, everything=everything, resamples=resamples, seed=seed, metrics=metrics, margin=margin
    )
    left_out = {} if metrics is not None else family(registered("gi_bench.metrics"), everything=everything)[1]
    return ComparisonTable(tuple(found), missing, (*run_notes(runs), *cautions(found)), left_out)
