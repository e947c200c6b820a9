"""What a study asks, and what runs say of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from gi_bench.harness.schema import SCHEMA_VERSION, ArmMade, GradientPair, MetricInfo, Seeing
from gi_bench.harness.statistics import SeedEffect

# Of the rule by which verdicts are made, see docs/studies.md. 1, in files that do not name it: supported whatever the
# margin, intervals not corrected for the number of contrasts, verdicts from one seed.
RULE_VERSION = 2
# Trainings below which an interval says nothing of other seeds.
LEAST_SEEDS = 3
Verdict = Literal["supported", "not supported", "undecided", "no verdict"]
Expectation = Literal["greater", "less", "no less", "no more"]


@dataclass(frozen=True)
class Contrast:
    """One comparison that a claim rests on, of one of three kinds.

    A *difference*: an arm's metric less another arm's, or less a number. A *trend*: the least-squares slope of the
    metric over arms in order, for each step from one arm to the next (each doubling, where each arm doubles the rank).
    An *interaction* of a 2 x 2 of arms a, b, c, d: (d - c) - (b - a).

    Attributes:
        metric: registered name.
        first, second: arms of a difference; an empty second compares with ``against``.
        expect: what the claim says of the difference, slope or interaction; ``no less`` and ``no more`` say that
            nothing is lost.
        margin: the smallest difference (for a trend: for each step) that is worth a claim; with ``no less`` and
            ``no more``, the largest loss that is none.
        against: number that the first arm is compared with.
        trend: three or more arms in order.
        interaction: four arms: neither factor, the one, the other, both.
        by: kind of slice, as in ``scores.json`` (``label``, ``question_class``, ...); empty for all rows.
        group: value of that slice, or several, whose rows are taken together.
    """

    metric: str
    first: str = ""
    second: str = ""
    expect: Expectation = "greater"
    margin: float = 0.01
    against: float = 0.0
    trend: tuple[str, ...] = ()
    interaction: tuple[str, ...] = ()
    by: str = ""
    group: str | tuple[str, ...] = ()

    def __post_init__(self) -> None:
        kinds = [bool(self.first or self.second), bool(self.trend), bool(self.interaction)]
        if sum(kinds) != 1 or (self.second and not self.first):
            raise ValueError("a contrast names either first (and second), or trend, or interaction")
        if len(set(self.trend)) != len(self.trend) or 0 < len(self.trend) < 3:
            raise ValueError("trend names three or more arms in order, each once")
        if self.interaction and len(set(self.interaction)) != 4:
            raise ValueError("interaction names four arms: neither factor, the one, the other, both")
        if self.against and (self.second or not self.first):
            raise ValueError("against is a number that first is compared with, without a second arm")
        if bool(self.by) != bool(self.groups):
            raise ValueError("by and group go together: a kind of slice, and its value or values")
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise ValueError("margin is a number from 0")
        if self.expect not in get_args(Expectation):
            raise ValueError(f"expect is one of {', '.join(get_args(Expectation))}")

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that it is about."""
        return self.trend or self.interaction or tuple(filter(None, (self.first, self.second)))

    @property
    def groups(self) -> tuple[str, ...]:
        """The values of the slice that it is about; none for all rows."""
        return ((self.group,) if self.group else ()) if isinstance(self.group, str) else self.group


@dataclass(frozen=True)
class Question:
    """What a study asks.

    Attributes:
        name: e.g. ``rank-sweep``.
        title: heading of the page.
        claim: the sentence that is put to the test.
        source: where it is from.
        arms: names of the trainings compared, with one line about each.
        contrasts: all of them must hold for the claim to be supported.
        metrics: columns of the table.
        tables: more tables, each (metric, slice kind).
        shows: sentences: what the design can show.
        does_not_show: sentences: what it cannot show.
    """

    name: str
    title: str
    claim: str
    source: str
    arms: Mapping[str, str]
    contrasts: tuple[Contrast, ...]
    metrics: tuple[str, ...]
    tables: tuple[tuple[str, str], ...] = ()
    shows: tuple[str, ...] = ()
    does_not_show: tuple[str, ...] = ()


@dataclass(frozen=True)
class Power:
    """What a study could have found, by the standard error that its verdict rests on.

    Attributes:
        smallest: smallest true difference the claimed way that such a study supports with 80 % probability; for
            ``no less`` and ``no more``, the smallest loss that it excludes with 80 % where nothing is lost.
        p: two-sided p-value below which a difference is shown, as Holm's correction has it beside the other contrasts
            as they came out; for ``no less`` and ``no more``, one less the level of the interval that decides.
        room: the largest difference the claimed way that the metric's range leaves; None without a limit, and where
            the claim is that nothing is lost.
    """

    smallest: float
    p: float
    room: float | None = None


@dataclass(frozen=True)
class Finding:
    """What the runs say of a contrast.

    Attributes:
        contrast: see there.
        title: title of the metric.
        values: mean over seeds of the first arm, and of the second (or the number). Of a trend, of the last arm and
            the first; of an interaction, of the arm with both factors, and what it would be if their effects added up.
        effect: the difference, slope or interaction, its interval and p-value; by seed.
        adjusted: p-value after Holm's correction over the study's contrasts.
        verdict: see :func:`decide`.
        why: the verdict in words.
        simultaneous: interval that holds together with those of the other contrasts; the verdict rests on it. None
            where there is none, and in files of the first rule.
        power: what could have been found; None where there is no verdict, and in files of before.
        by_arm: mean over seeds of each of the contrast's arms, in their order; none in files of before.
    """

    contrast: Contrast
    title: str
    values: tuple[float, float]
    effect: SeedEffect
    adjusted: float
    verdict: Verdict
    why: str
    simultaneous: tuple[float, float] | None = None
    power: Power | None = None
    by_arm: tuple[float, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One arm's metric on one slice: mean over seeds, 95 % interval, and rows of a run."""

    arm: str
    metric: str
    slice_by: str
    slice_value: str
    effect: SeedEffect
    n: int


@dataclass(frozen=True)
class Study:
    """An answered study.

    Attributes:
        question: what was asked.
        suite, fingerprint: what the runs were made on.
        seeds: of the trainings.
        cells: the tables.
        findings: the contrasts.
        verdict: supported if every contrast is, not supported if one is not, else undecided; no verdict from too few
            seeds.
        metrics: definitions.
        runs: by arm, the run folders, relative to the study's.
        notes: what has to be said beside the numbers.
        settings: how the trainings were made.
        rule_version: of the rule that made the verdicts.
        made: by arm, what its training took; arms without training have none.
        seeing: how far arms see, by seed; see :class:`~gi_bench.harness.schema.Seeing`.
        gradients: how the tasks' gradients stand to each other, by arm and seed.
        digest: SHA-256 over everything else in the file, so that a number which is changed later is noticed; empty in
            files that do not say.
    """

    question: Question
    suite: str
    fingerprint: str
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    findings: tuple[Finding, ...]
    verdict: Verdict
    metrics: tuple[MetricInfo, ...]
    runs: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    rule_version: int = RULE_VERSION
    made: Mapping[str, ArmMade] = field(default_factory=dict)
    seeing: tuple[Seeing, ...] = ()
    gradients: tuple[GradientPair, ...] = ()
    digest: str = ""
