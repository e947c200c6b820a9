"""The records of a leaderboard: numbers, rows, a section a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gi_bench.harness.analysis.ranking import Pair
from gi_bench.harness.schema import MetricInfo
from gi_bench.reports.leaderboard.finding import LeftOut
from gi_bench.reports.published import PublishedResult

Kind = Literal["run", "published"]
# Columns of the table beside the metric that ranks, where a run or a published result has them.
COLUMNS = (
    *("bleu", "rouge1", "rouge2", "rougeL", "meteor", "fact_accuracy", "explanation_fact_score"),
    *("region_iou", "answer_false_positive_rate", "region_false_positive_rate"),
    *("chrf", "bertscore", "bleurt", "exact_match"),
    *("judge_answer_correctness", "judge_faithfulness", "judge_clinical_relevance", "judge_clarity"),
    "judge_completeness",
)


@dataclass(frozen=True)
class Number:
    """A score: value, interval and the rows it rests on; published ones have the value alone, with its decimals."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    images: int | None = None
    decimals: int = 4


@dataclass(frozen=True)
class Way:
    """The share of the way from floor to ceiling, 0 at the floor, on the ``n`` rows that all three have in common."""

    share: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Entry:
    """One row of a board.

    Attributes:
        kind: a run, or a published result.
        name: of the run, told apart from others of its variant; or of the published system.
        role: ``model``, ``floor`` or ``ceiling``; ``model`` for published results.
        numbers: scores over the whole suite by metric.
        best, worst: range of its rank, from 1; None without a rank.
        way: how far it has come from floor to ceiling by the metric that ranks; None where that is not known.
        reason: why it has no rank; empty if it has one.
        facts: what made a run: folder, variant, seed, digests and versions.
        published: the published result; None for a run.
    """

    kind: Kind
    name: str
    role: str = "model"
    numbers: Mapping[str, Number] = field(default_factory=dict)
    best: int | None = None
    worst: int | None = None
    way: Way | None = None
    reason: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    published: PublishedResult | None = None

    @property
    def rank(self) -> str:
        """The range as text: ``2`` or ``1–3``; empty without a rank."""
        if self.best is None or self.worst is None:
            return ""
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


@dataclass(frozen=True)
class Section:
    """One suite's part of a board.

    Attributes:
        suites: names under which its rows were run; one, as a rule.
        fingerprint: of its rows and images.
        metric: what ranks.
        columns: further metrics of the table.
        table: ranked runs, and published results on the same rows placed by their values.
        unranked: runs without a rank, with reasons.
        apart: published results on other rows.
        pairs: names of two ranked runs with what their comparison found.
        notes: what has to be said of the suite, the runs and the tests.
    """

    suites: tuple[str, ...]
    fingerprint: str
    metric: MetricInfo
    columns: tuple[MetricInfo, ...]
    table: tuple[Entry, ...]
    unranked: tuple[Entry, ...]
    apart: tuple[Entry, ...]
    pairs: tuple[tuple[str, str, Pair], ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its suites' names."""
        return " / ".join(self.suites)

    @property
    def ranked_count(self) -> int:
        """Number of runs that have a rank."""
        return sum(entry.best is not None for entry in self.table)


@dataclass(frozen=True)
class Board:
    """A leaderboard: a section a suite, by name, and folders that are on none of them."""

    sections: tuple[Section, ...]
    left_out: tuple[LeftOut, ...]


__all__ = ["COLUMNS", "Board", "Entry", "Number", "Section", "Way"]
