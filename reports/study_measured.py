"""What a study page says besides its contrasts: its design, how far the arms see, and how gradients stand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gi_bench.harness.analysis.study import (
    GradientMean,
    Seen,
    Study,
    gradient_sentences,
    gradients_by_arm,
    made_notes,
    seeing_sentences,
    seen_by_arm,
)
from gi_bench.harness.schema import WAYS_OF_SEEING, ArmMade
from gi_bench.harness.statistics import SeedEffect
from gi_bench.reports.study_charts import Figure, Mark, figure
from gi_bench.reports.study_tables import Entry, Grid, interval_text, number_text, seeds_text, sort_key

BEFORE = "before training"


@dataclass(frozen=True)
class Design:
    """What the design can show, and what the arms took.

    Attributes:
        shows, does_not_show: sentences.
        notes: in what the arms differ besides what they are to differ in.
        heads: columns of the table of arms.
        rows: (arm, (value, value to sort by) a column); empty where nothing is known of the trainings.
    """

    shows: tuple[str, ...]
    does_not_show: tuple[str, ...]
    notes: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True)
class Measured:
    """A section with sentences, charts and a table."""

    sentences: tuple[str, ...]
    figures: tuple[Figure, ...]
    table: Grid


def build_design(study: Study) -> Design:
    """The study's design; its lists and its table are empty where nothing is known."""
    asked = study.question
    tasks = list(dict.fromkeys(task for one in study.made.values() for task in one.rows))
    timed = any(one.seconds for one in study.made.values())
    heads = ("steps", "images", *(f"{task} rows" for task in tasks), "trainable parameters")
    return Design(
        shows=asked.shows,
        does_not_show=asked.does_not_show,
        notes=tuple(made_notes(study)),
        heads=(*heads, *(("seconds",) if timed else ())) if study.made else (),
        rows=tuple((arm, _made(study.made.get(arm), tasks, timed)) for arm in asked.arms) if study.made else (),
    )


def _made(one: ArmMade | None, tasks: Sequence[str], timed: bool) -> tuple[tuple[str, str], ...]:
    if one is None:
        return (("not trained", ""),) * (len(tasks) + 3 + timed)
    counts = (one.steps, one.images, *(one.rows.get(task, 0) for task in tasks), one.trainable_parameters)
    cells = tuple((f"{count:,}", str(count)) for count in counts)
    if not timed:
        return cells
    return (*cells, ("–", "") if one.seconds is None else (f"{one.seconds:,.0f}", sort_key(one.seconds)))


def build_seeing(study: Study, places: Mapping[str, int], names: Sequence[str]) -> Measured | None:
    """Words, regions as written and forced, and probes, before and after; None where nothing was measured."""
    seen = seen_by_arm(study)
    if not seen:
        return None
    found = {(one.arm, one.what): one for one in seen}
    ways = [what for what in WAYS_OF_SEEING if any(one.what == what for one in seen)]
    arms = [arm for arm in ("", *study.question.arms) if any(one.arm == arm for one in seen)]
    table = Grid(
        title="How far the arms see",
        corner="arm",
        heads=tuple((what, "") for what in ways),
        rows=tuple((arm or BEFORE, tuple(_seen(found.get((arm, what))) for what in ways)) for arm in arms),
        arms_are="rows",
    )
    drawn = []
    for number, what in enumerate(ways):
        marks = [_mark(one.arm, places, names, one.effect) for one in seen if one.what == what]
        drawn.append(figure(f"seeing-{number}", what, "mean over seeds, 95 % interval", marks))
    return Measured(tuple(seeing_sentences(study)), tuple(one for one in drawn if one is not None), table)


def _mark(arm: str, places: Mapping[str, int], names: Sequence[str], effect: SeedEffect) -> Mark:
    """An arm's line, in its colour; the backbone's comes after those of all arms, and has no switch."""
    if not arm:
        return Mark(BEFORE, len(places), False, effect)
    return Mark(names[places[arm]], places[arm], True, effect)


def _seen(one: Seen | None) -> Entry:
    if one is None:
        return Entry("not measured")
    if not math.isfinite(one.effect.mean):
        return Entry("no value")
    effect = one.effect
    return Entry(
        value=number_text(effect.mean),
        interval=interval_text(effect),
        by_seed=seeds_text(effect) if one.arm else "",
        n=effect.images,
        sort=sort_key(effect.mean),
        note=one.change if one.arm else "",
    )


def build_gradients(study: Study, places: Mapping[str, int], names: Sequence[str]) -> Measured | None:
    """Cosines between the tasks' gradients and their norms, by arm; None where nothing was logged."""
    means = gradients_by_arm(study)
    if not means:
        return None
    pairs = list(dict.fromkeys((one.first, one.second) for one in means))
    found = {(one.arm, one.first, one.second): one for one in means}
    arms = [arm for arm in study.question.arms if any(one.arm == arm for one in means)]
    table = Grid(
        title="Gradients of the tasks",
        corner="arm",
        heads=tuple((_pair(*pair), "cosine" if pair[1] else "norm alone") for pair in pairs),
        rows=tuple((arm, tuple(_gradient(found.get((arm, *pair))) for pair in pairs)) for arm in arms),
        arms_are="rows",
        counted="logged steps",
    )
    drawn = []
    for number, pair in enumerate(pairs):
        marks = [
            _mark(one.arm, places, names, one.cosine) for one in means if (one.first, one.second) == pair and pair[1]
        ]
        title = f"gradients of {_pair(*pair)}"
        drawn.append(figure(f"gradients-{number}", title, "cosine, 95 % interval", marks, zero_line=True))
    return Measured(tuple(gradient_sentences(study)), tuple(one for one in drawn if one is not None), table)


def _pair(first: str, second: str) -> str:
    return f"{first} and {second}" if second else first


def _gradient(one: GradientMean | None) -> Entry:
    if one is None:
        return Entry("not logged")
    norms = " and ".join(f"{norm:.3g}" for norm in (one.norms if one.second else one.norms[:1]))
    if not one.second:
        return Entry(f"norm {norms}")
    if not math.isfinite(one.cosine.mean):
        return Entry("no value")
    return Entry(
        value=f"{one.cosine.mean:+.3f}",
        interval=interval_text(one.cosine, "+"),
        by_seed=seeds_text(one.cosine, "+"),
        n=one.cosine.images,
        sort=sort_key(one.cosine.mean),
        note=f"below 0 in {100 * one.negative_share:.0f} % of the steps; norms {norms}",
    )


__all__ = ["BEFORE", "Design", "Measured", "build_design", "build_gradients", "build_seeing"]
