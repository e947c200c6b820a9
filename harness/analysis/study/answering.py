"""From run folders to verdicts: every metric of every arm and seed, the contrasts, and what they say of the claim."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gi_bench.harness.analysis.comparing import check_predictions, check_same_rows, compute
from gi_bench.harness.analysis.study.records import (
    LEAST_SEEDS,
    RULE_VERSION,
    Cell,
    Contrast,
    Finding,
    Question,
    Study,
    Verdict,
)
from gi_bench.harness.errors import RunError
from gi_bench.harness.intervals import rate_interval
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.schema import ArmMade, GradientPair, MetricInfo, Seeing
from gi_bench.harness.statistics import (
    LEVEL,
    Floats,
    SeedEffect,
    encode,
    holm,
    over_seeds,
    student_quantile,
    student_tail,
    sums_by_image,
)
from gi_bench.harness.store import Run, open_run

# Values that are equal but for the order of their sums.
_ROUNDING = 1e-12


def decide(
    contrast: Contrast,
    values: tuple[float, float],
    effect: SeedEffect,
    adjusted: float,
    *,
    bounds: tuple[float, float] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    seeds: int | None = None,
) -> tuple[Verdict, str]:
    """Verdict on one contrast, and why.

    *Supported*: the difference goes the claimed way with p < .05 after Holm's correction, and its mean reaches the
    margin. *Not supported*: the interval excludes a difference of the margin the claimed way. *Undecided*: neither. For
    ``no less`` and ``no more`` the interval alone decides: it excludes a loss of the margin, or one below it. Where
    less than the margin is left to gain (a rate of .03 cannot fall by .05), the margin is what is left, and a
    difference reaches it if its interval does; where nothing is left, nothing can be decided.

    Args:
        contrast: what is claimed.
        values: of the first arm and of the second, or the number.
        effect: their difference.
        adjusted: its p-value after correction.
        bounds: its interval at the level at which those of all contrasts hold together; None for the effect's own.
        limits: smallest and largest value that the metric can have.
        seeds: trainings that the effect rests on; None where the effect's values tell (one of them: nothing was
            trained).
    """
    if effect.low is None or effect.high is None:
        return "undecided", "no interval: one seed and one image, or no value"
    if (seeds if seeds is not None else len(effect.by_seed)) < LEAST_SEEDS and (seeds or len(effect.by_seed) > 1):
        return "no verdict", f"fewer than {LEAST_SEEDS} seeds: the interval does not hold for other seeds"
    # From here on the claimed way is upwards.
    sign = 1.0 if contrast.expect in ("greater", "no less") else -1.0
    low, high = sorted(sign * bound for bound in (bounds or (effect.low, effect.high)))
    if contrast.expect in ("no less", "no more"):
        return _nothing_lost(low, high, contrast.margin)
    room = limits[1] - values[1] if sign > 0 else values[1] - limits[0]
    gone = limits[1] - values[0] if sign > 0 else values[0] - limits[0]
    if room <= _ROUNDING and gone <= _ROUNDING:
        place = f"{limits[1] if sign > 0 else limits[0]:g}"
        return "undecided", f"both stand at {place}: there is nothing left to {'rise' if sign > 0 else 'fall'}"
    # A rate that is small already cannot fall by the margin: then all that is left has to be possible.
    short = _ROUNDING < room < contrast.margin - _ROUNDING
    goal = room if short else contrast.margin
    told = f"{goal:.2g}, all that is left," if short else f"{goal:g}"
    shown = sign * effect.mean > 0 and adjusted < 0.05
    if high < goal - _ROUNDING:
        if high < 0:
            return "not supported", "the difference goes the other way"
        return "not supported", f"{'it differs from 0, but ' if shown else ''}a difference of {told} is excluded"
    if shown and (short or sign * effect.mean >= goal - _ROUNDING):
        return "supported", f"{contrast.expect}, p {adjusted:.3g} after Holm"
    if shown:
        return "undecided", f"it differs from 0, but a difference of {told} is neither excluded nor shown"
    return "undecided", f"a difference of {told} is neither excluded nor shown"


def _nothing_lost(low: float, high: float, margin: float) -> tuple[Verdict, str]:
    if low > -margin:
        return "supported", f"a loss of {margin:g} is excluded"
    if high < -margin:
        return "not supported", f"the loss is larger than {margin:g}"
    return "undecided", f"a loss of {margin:g} is neither excluded nor shown"


def whole_verdict(findings: Sequence[Finding]) -> Verdict:
    """A claim holds if all of its contrasts do, and falls with any of them."""
    found = {one.verdict for one in findings}
    for verdict in ("not supported", "no verdict", "undecided"):
        if verdict in found:
            return verdict
    return "supported" if found else "undecided"


def by_today(study: Study) -> Study:
    """A study whose verdicts were made by an older rule, decided by today's; others as they are.

    Files of the first rule hold intervals and p-values, but no standard errors: the degrees of freedom are those under
    which interval and p-value agree, or, where they do not tell, the fewest that the seeds allow.
    """
    if study.rule_version >= RULE_VERSION:
        return study
    infos = {info.name: info for info in study.metrics}
    findings = tuple(replace(one, effect=_with_error(one.effect)) for one in study.findings)
    counts = {arm: len(folders) for arm, folders in study.runs.items()}
    verdicts = tuple(_decided(findings, infos, counts, len(study.seeds)))
    changed = [
        f"{new.title}, {new.contrast.first}: {old.verdict}, now {new.verdict}"
        for old, new in zip(study.findings, verdicts, strict=True)
        if old.verdict != new.verdict
    ]
    note = (
        "the verdicts of this study.json were made by an older rule; those shown are made anew from its numbers: "
        + ("; ".join(changed) if changed else "none is another")
        + ". gi-bench study writes them into the file"
    )
    return replace(
        study,
        findings=verdicts,
        verdict=whole_verdict(verdicts),
        notes=(*study.notes, note),
        rule_version=RULE_VERSION,
    )


def _with_error(effect: SeedEffect) -> SeedEffect:
    if effect.low is None or effect.high is None or effect.error is not None:
        return effect
    half = (effect.high - effect.low) / 2
    fewest = float(max(1, len(effect.by_seed) - 1))
    # The p-value at t = mean / error is monotone in the degrees of freedom; near p = .05 it tells nothing of them.
    low, high = 1.0, 400.0

    def tail(freedom: float) -> float:
        return student_tail(abs(effect.mean) / half * student_quantile(1 - LEVEL, freedom), freedom)

    freedom = fewest
    if half > 0 and 1e-12 < effect.p < 1 and min(tail(low), tail(high)) < effect.p < max(tail(low), tail(high)):
        rising = tail(high) > tail(low)
        for _ in range(40):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if (tail(middle) < effect.p) == rising else (low, middle)
        if abs(tail(1.0) - tail(400.0)) > 1e-3 * effect.p:
            freedom = low
    return replace(effect, error=half / student_quantile(1 - LEVEL, freedom), freedom=freedom)


@dataclass(frozen=True)
class _Column:
    """A metric of one arm on one slice: per seed the sums by image and the function of them."""

    sums: tuple[Floats, ...]
    values: tuple[Callable[[Any], Any], ...]
    images: tuple[str, ...]
    n: int
    least_variance: float

    def effects(self, images: Sequence[str]) -> list[Callable[[Floats], Floats]]:
        """One function a seed: weights of ``images`` to values."""
        places = {img_id: place for place, img_id in enumerate(self.images)}
        order = np.array([places.get(img_id, -1) for img_id in images])
        made = []
        for sums, value in zip(self.sums, self.values, strict=True):
            padded = np.concatenate([sums, np.zeros((1, sums.shape[1]))])[order]
            made.append(_weighted(padded, value))
        return made


def _weighted(sums: Floats, value: Callable[[Any], Any]) -> Callable[[Floats], Floats]:
    return lambda weights: np.asarray(value(weights @ sums))


def answer(
    question: Question,
    runs: Mapping[str, Sequence[Path]],
    seeds: Sequence[int],
    *,
    metrics: Mapping[str, Metric] | None = None,
    resamples: int = 1000,
    settings: Mapping[str, Any] | None = None,
    base: Path | None = None,
    made: Mapping[str, ArmMade] | None = None,
    seeing: Sequence[Seeing] = (),
    gradients: Sequence[GradientPair] = (),
) -> Study:
    """What run folders say of a study's claim.

    Args:
        question: what is asked.
        runs: by arm, one run folder a seed, in the order of ``seeds``; an arm without training has one folder.
        seeds: of the trainings; none where nothing was trained. With fewer than three there is no verdict.
        metrics: metrics by name; None for all registered ones.
        resamples: bootstrap resamples.
        settings: how the trainings were made, for the page.
        base: folder that paths are told relative to.
        made: by arm, what its training took.
        seeing: how far the arms see.
        gradients: how the tasks' gradients stand to each other.

    Raises:
        RunError: an arm has no run, the runs are of several suites, or a metric cannot be computed.
    """
    if metrics is None:
        from gi_bench.harness.registry import registered

        metrics = registered("gi_bench.metrics")
    opened = {arm: [open_run(path) for path in runs.get(arm, ())] for arm in question.arms}
    for contrast in question.contrasts:
        for arm in {contrast.first, contrast.second or contrast.first} - set(question.arms):
            raise RunError(f"a contrast over {arm}, which is no arm", where=question.name)
    first = _check(opened, seeds)
    columns = _Columns(opened, metrics)
    findings = _findings(question, columns, resamples, len(seeds))
    cells = [
        cell
        for metric, slice_by in [*((name, "all") for name in question.metrics), *question.tables]
        for arm in question.arms
        for cell in columns.cells(arm, metric, slice_by, resamples)
    ]
    notes = [first.manifest.suite_note] if first.manifest.suite_note else []
    notes += [note for runs in opened.values() for run in runs for note in run.check_files()]
    notes += [f"{arm}: {reason}" for arm, reason in columns.missing.items()]
    used = {one.metric for one in cells} | {one.contrast.metric for one in findings}
    return Study(
        question=question,
        suite=first.suite,
        fingerprint=first.fingerprint,
        seeds=tuple(seeds),
        cells=tuple(cells),
        findings=tuple(findings),
        verdict=whole_verdict(findings),
        metrics=tuple(columns.infos[name] for name in sorted(used) if name in columns.infos),
        runs={arm: tuple(_shown(run.path, base) for run in found) for arm, found in opened.items()},
        notes=tuple(notes),
        settings=dict(settings or {}),
        made=dict(made or {}),
        seeing=tuple(seeing),
        gradients=tuple(gradients),
    )


def _check(opened: Mapping[str, Sequence[Run]], seeds: Sequence[int]) -> Run:
    """Refuse arms without runs or with too few, and runs that cannot be compared; the first run of all."""
    every = [run for runs in opened.values() for run in runs]
    empty = [arm for arm, runs in opened.items() if not runs]
    if empty or not every:
        raise RunError(f"no run of {', '.join(empty) or 'any arm'}", do="make the runs first: gi-bench study")
    for arm, runs in opened.items():
        if len(runs) not in (1, len(seeds)):
            raise RunError(f"{len(runs)} runs of {arm} for {len(seeds)} seeds", do="run every arm with the same seeds")
    first = every[0]
    for run in every:
        if run.fingerprint != first.fingerprint:
            raise RunError(
                f"runs of one study on two suites: {run.suite} and {first.suite}",
                where=run.path,
                do="run all arms on one suite",
            )
        run.check_files()
        check_predictions(run)
        check_same_rows(first, run)
    return first


def _shown(path: Path, base: Path | None) -> str:
    """A path relative to the study's folder, which may be sent around with its runs."""
    return str(path) if base is None else Path(os.path.relpath(path, base)).as_posix()


class _Columns:
    """Metrics of arms, each computed once a run."""

    def __init__(self, opened: Mapping[str, Sequence[Run]], metrics: Mapping[str, Metric]) -> None:
        self._opened, self._metrics = opened, metrics
        self._statistics: dict[tuple[str, str], list[Statistics] | str] = {}
        self.missing: dict[str, str] = {}
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
                self.missing[f"{metric} of {arm}"] = reasons[0]
            first = next((s for s in made if not isinstance(s, str)), None)
            if first is not None and not reasons:
                self.infos[metric] = first.info or self._metrics[metric].info
            self.infos.setdefault(metric, self._metrics[metric].info)
        return self._statistics[arm, metric]

    def column(self, arm: str, metric: str, by: str = "", groups: Sequence[str] = ()) -> _Column | None:
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
        least = _least_variance(sums) if found[0].is_rate else 0.0
        return _Column(tuple(sums), tuple(one.value for one in found), images, len(picked[0]), least)

    def cells(self, arm: str, metric: str, slice_by: str, resamples: int) -> list[Cell]:
        """A metric of an arm, one cell a value of the slice."""
        found = self.statistics(arm, metric)
        if isinstance(found, str):
            return []
        labels = {value for one in found for values in one.slices.get(slice_by, ()) for value in values}
        cells = []
        for value in ["all"] if slice_by == "all" else sorted(labels):
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
    low, high = _cut((effect.low, effect.high), effect.mean, info.low, info.high)
    return replace(effect, low=low, high=high)


def _cut(bounds: tuple[float, float], mean: float, least: float, most: float) -> tuple[float, float]:
    """Bounds within a range, and never so that they exclude the mean."""
    return max(bounds[0], min(least, mean)), min(bounds[1], max(most, mean))


def _range(contrast: Contrast, info: MetricInfo) -> tuple[float, float]:
    """What the difference of two values of a metric, or of a value and a number, can be."""
    if contrast.second:
        return info.low - info.high, info.high - info.low
    return info.low - contrast.against, info.high - contrast.against


def _least_variance(sums: Sequence[Floats]) -> float:
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


def _findings(question: Question, columns: _Columns, resamples: int, seeds: int) -> list[Finding]:
    made: list[Finding] = []
    for contrast in question.contrasts:
        where = (contrast.metric, contrast.by, contrast.groups)
        first = columns.column(contrast.first, *where)
        second = columns.column(contrast.second, *where) if contrast.second else None
        title = columns.infos[contrast.metric].title
        if first is None or (contrast.second and second is None):
            effect = SeedEffect(float("nan"), None, None, 1.0, (), 0)
            made.append(Finding(contrast, title, (float("nan"), float("nan")), effect, 1.0, "undecided", ""))
            continue
        images = tuple(dict.fromkeys((*first.images, *(second.images if second else ()))))
        ours = first.effects(images)
        theirs = second.effects(images) if second else [_constant(contrast.against)]
        least = first.least_variance + (second.least_variance if second else 0.0)
        effect = over_seeds(_differences(ours, theirs), len(images), resamples=resamples, least_variance=least)
        values = (_mean(ours, len(images)), _mean(theirs, len(images)))
        made.append(Finding(contrast, title, values, effect, effect.p, "undecided", ""))
    return _decided(made, columns.infos, columns.counts, seeds)


def _decided(
    made: Sequence[Finding], infos: Mapping[str, MetricInfo], counts: Mapping[str, int], seeds: int
) -> list[Finding]:
    """Contrasts with their verdicts; both ways of a claim are corrected for the number of contrasts.

    Args:
        made: contrasts with their effects.
        infos: of the metrics, which tell what a difference can be.
        counts: runs of each arm.
        seeds: number of seeds of the study.
    """
    # What is decided by its interval alone is no test, and costs the others nothing.
    tested = [one for one in made if one.contrast.expect in ("greater", "less") and one.effect.low is not None]
    adjusted = dict(zip(map(id, tested), holm([one.effect.p for one in tested]), strict=True))
    decided = max(1, sum(one.effect.low is not None for one in made))
    found = []
    for one in made:
        contrast, effect = one.contrast, one.effect
        info = infos.get(contrast.metric)
        limits = (info.low, info.high) if info is not None else (-np.inf, np.inf)
        bounds = None
        if effect.low is not None and effect.high is not None:
            span = _range(contrast, info) if info is not None else (-np.inf, np.inf)
            bounds = _cut(effect.bounds(1 - (1 - LEVEL) / decided) or (effect.low, effect.high), effect.mean, *span)
            low, high = _cut((effect.low, effect.high), effect.mean, *span)
            effect = replace(effect, low=low, high=high)
        trained = max(counts.get(contrast.first, 1), counts.get(contrast.second, 1) if contrast.second else 1)
        p = adjusted.get(id(one), one.effect.p)
        verdict, why = decide(
            contrast,
            one.values,
            effect,
            p,
            bounds=bounds,
            limits=limits,
            # One run of an arm among several seeds is one that nothing was trained for.
            seeds=None if trained == 1 and seeds != 1 else trained,
        )
        found.append(replace(one, effect=effect, adjusted=p, verdict=verdict, why=why, simultaneous=bounds))
    return found


def _differences(
    ours: Sequence[Callable[[Floats], Floats]], theirs: Sequence[Callable[[Floats], Floats]]
) -> list[Callable[[Floats], Floats]]:
    """Seed by seed; an arm with one run (nothing was trained) stands against every seed."""
    if len(theirs) == 1:
        theirs = [theirs[0]] * len(ours)
    if len(ours) == 1:
        ours = [ours[0]] * len(theirs)
    if len(ours) != len(theirs):
        raise RunError(f"arms with {len(ours)} and {len(theirs)} seeds", do="run every arm with the same seeds")
    return [_less(a, b) for a, b in zip(ours, theirs, strict=True)]


def _less(a: Callable[[Floats], Floats], b: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    return lambda weights: np.asarray(a(weights) - b(weights))


def _constant(value: float) -> Callable[[Floats], Floats]:
    return lambda weights: np.full(len(weights), value)


def _mean(effects: Sequence[Callable[[Floats], Floats]], images: int) -> float:
    ones = np.ones((1, images))
    return float(np.mean([effect(ones)[0] for effect in effects]))
