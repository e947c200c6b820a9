"""What a metric means, and the numbers that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gi_bench.harness.schema.version import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a metric means; stored beside its scores so that a number is never without its definition.

    Attributes:
        name: registered name, e.g. ``rougeL``.
        title: short heading for tables.
        definition: one or two sentences; says what makes it differ from other tools' numbers.
        source: where the definition comes from.
        higher_is_better: direction.
        low, high: range of possible values.
        group: ``answers``, ``facts``, ``regions``, ``negatives``, ``explanations``, ``confidence``.
        comparable: whether the number can be put beside the challenge's published one on the same rows.
        ranked: whether one direction is better at all; a length has none.
        headline: shown by default; the others with ``--all`` in the terminal, in a fold of the report, and in
            ``scores.json``.
        version: of the definition; a change of value, rows or interval raises it. Scores that were stored under a lower
            one stay readable, and whoever shows them says so.
    """

    name: str
    title: str
    definition: str
    source: str
    higher_is_better: bool = True
    low: float = 0.0
    high: float = 1.0
    group: str = "answers"
    comparable: bool = True
    headline: bool = True
    ranked: bool = True
    version: int = 1


@dataclass(frozen=True, slots=True)
class Score:
    """One number with all that belongs to it.

    Attributes:
        metric: name of the metric.
        slice_by: ``all``, ``question_class``, ``complexity``, ``label``, ``finding`` or ``training`` (whether the row's
            image is ``seen`` or ``unseen`` in training, where that is known).
        slice_value: value of the slice, e.g. ``polyp_count``; ``all`` for the whole suite.
        value: the score; None if the slice holds nothing that can be scored.
        n: number of rows (questions or phrases) that the value rests on.
        image_count: number of distinct images among them.
        interval_low, interval_high: bounds of the interval; None if n is too small for one.
        level: confidence level of the interval.
    """

    metric: str
    slice_by: str
    slice_value: str
    value: float | None
    n: int
    image_count: int
    interval_low: float | None = None
    interval_high: float | None = None
    level: float = 0.95


@dataclass(frozen=True)
class Scores:
    """Content of a run's ``scores.json``.

    Attributes:
        suite, fingerprint, variant, recipe_digest: what was scored.
        interval_method: how the intervals were made, with resamples and seed.
        metrics: definition of every metric that appears in ``scores``.
        scores: all scores of all slices.
        not_computed: reason by metric name, for metrics that could not be computed here.
        notes: warnings that belong beside the numbers (partial run, not comparable, ...).
        counts: rows by kind, missing predictions, missing reference masks and other counts.
        interval_version: of the way in which intervals were made; 1 where the file does not say.
        states: replies by what they are: task (``answers``, ``regions``, ``explanations``), then question class or
            region label (``all`` for every row), then one of :data:`REPLY_STATES`; empty in scores of before.
        made_from: SHA-256 over the recipe and the digests of the files that were scored
            (:attr:`gi_bench.harness.store.Run.made_from`); empty in scores that do not say.
        digest: SHA-256 over everything else in the file, so that a number which is changed later is noticed; likewise.
    """

    suite: str
    fingerprint: str
    variant: str
    recipe_digest: str
    interval_method: str
    metrics: tuple[MetricInfo, ...]
    scores: tuple[Score, ...]
    not_computed: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    interval_version: int = 1
    states: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    made_from: str = ""
    digest: str = ""

    def find(self, metric: str, slice_by: str = "all", slice_value: str = "all") -> Score | None:
        """The score of one metric and slice, or None."""
        for score in self.scores:
            if (score.metric, score.slice_by, score.slice_value) == (metric, slice_by, slice_value):
                return score
        return None

    def to_frame(self) -> pandas.DataFrame:
        """One row a score as a pandas frame; see :func:`gi_bench.harness.frames.scores_frame`."""
        from gi_bench.harness.frames import scores_frame

        return scores_frame(self)
