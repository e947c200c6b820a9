"""What a metric is: per-row sufficient statistics, and a function from their sums to the value.

A metric does not loop over slices or resamples. It gives one row of sufficient statistics per scored item;
:mod:`gi_bench.harness.analysis.scoring` adds them up over any slice or bootstrap sample and asks for the value of the
sums. That makes an interval for corpus BLEU as cheap as one for a mean.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from gi_bench.harness.schema import MetricInfo

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

Sums = npt.NDArray[np.float64]


def ratio(sums: Sums) -> Sums:
    """Value of a mean: column 0 is the numerator, column 1 the weight. Shape (..., 2) -> (...); 0/0 is NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


@dataclass(frozen=True)
class Statistics:
    """What a metric made of a run.

    Attributes:
        sums: (n, k) float64, sufficient statistics per scored row.
        images: image id of each row: the cluster that resampling draws.
        slices: by slice kind (``question_class``, ``complexity``, ``label``, ``finding``), the values that
            each row belongs to (a row of complexity 2 belongs to two question classes).
        value: (..., k) -> (...), vectorised.
        counts: rows that could not be scored, by reason; shown beside the score.
        info: replaces the metric's own description where the definition depends on settings (which encoder, which
            judge); the name stays.
        point: row numbers -> value, where ``value`` of the sums is only close to it (confidences grouped into levels);
            used for the score itself, while intervals use the sums.
        columns: what each column of ``sums`` means, where that depends on the run (levels of its confidences); None
            where the metric alone decides it. Runs can be permuted only where their columns mean the same.
        part: row numbers -> (m, k) sums of these rows alone, where a row's sums depend on the other rows (pairs of
            rows, a shared origin); None where they do not.
        of_suite: whether they rest on the suite alone and are one object for all its runs, which then share scores.
        interval: ``rate`` where the metric is a share of rows (column 0 hits, column 1 rows), of which
            :func:`gi_bench.harness.intervals.rate_interval` knows more than a bootstrap; ratios of zeros and ones are
            found to be rates without saying so. ``wilson`` is its older name.
    """

    sums: Sums
    images: tuple[str, ...]
    slices: Mapping[str, tuple[tuple[str, ...], ...]]
    value: Callable[[Sums], Sums] = ratio
    counts: Mapping[str, int] = field(default_factory=dict)
    info: MetricInfo | None = None
    point: Callable[[npt.NDArray[np.int64]], float] | None = None
    columns: tuple[Hashable, ...] | None = None
    interval: Literal["bootstrap", "rate", "wilson"] = "bootstrap"
    part: Callable[[npt.NDArray[np.int64]], Sums] | None = None
    of_suite: bool = False

    @property
    def is_rate(self) -> bool:
        """Whether the score is a share of rows: every row is a hit (1, 1), a miss (0, 1) or does not count (0, 0)."""
        if self.sums.ndim != 2 or self.sums.shape[1] != 2 or not (self.interval != "bootstrap" or self.value is ratio):
            return False
        hits, rows = self.sums.T
        return bool((((hits == 0) | (hits == 1)) & ((rows == 0) | (rows == 1)) & (hits <= rows)).all())

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        """(n,) whether the value rests on a row: of a ratio those with a weight, else those that add to any sum."""
        if self.value is ratio and self.sums.shape[1] == 2:
            return np.asarray(self.sums[:, 1] != 0)
        return np.asarray((self.sums != 0).any(axis=1))

    def sums_of(self, rows: npt.NDArray[np.int64]) -> Sums:
        """(m, k) sums of some rows, as if there were no others."""
        return self.sums[rows] if self.part is None else self.part(rows)


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes:
        info: name, definition, source, range.
        compute: run -> statistics, or a string: the reason why it cannot be computed here or on this run.
    """

    info: MetricInfo
    compute: Callable[[Run], Statistics | str]

    @property
    def name(self) -> str:
        """Registered name."""
        return self.info.name

    @property
    def summary(self) -> str:
        """One line for ``gi-bench metrics``."""
        return self.info.definition

    @property
    def details(self) -> dict[str, Any]:
        """Shown by ``gi-bench metrics --json``."""
        from dataclasses import asdict

        return asdict(self.info)
