"""From run folders to verdicts: every metric of every arm and seed, the contrasts, and what they say of the claim."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gi_bench.harness.analysis.comparing import check_predictions, check_same_rows
from gi_bench.harness.analysis.study.columns import Columns, Effect
from gi_bench.harness.analysis.study.deciding import decided, weights, whole_verdict
from gi_bench.harness.analysis.study.records import Contrast, Finding, Question, Study
from gi_bench.harness.errors import RunError
from gi_bench.harness.metrics.base import Metric
from gi_bench.harness.schema import ArmMade, GradientPair, Seeing
from gi_bench.harness.statistics import Floats, SeedEffect, over_seeds
from gi_bench.harness.store import Run, open_run


@dataclass(frozen=True)
class Making:
    """What a study knows of its arms besides their runs.

    Attributes:
        settings: how the trainings were made.
        made: by arm, what its training took.
        seeing: how far the arms see.
        gradients: how the tasks' gradients stand to each other.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, ArmMade] = field(default_factory=dict)
    seeing: Sequence[Seeing] = ()
    gradients: Sequence[GradientPair] = ()


def answer(
    question: Question,
    runs: Mapping[str, Sequence[Path]],
    seeds: Sequence[int],
    *,
    metrics: Mapping[str, Metric] | None = None,
    resamples: int = 1000,
    base: Path | None = None,
    making: Making | None = None,
) -> Study:
    """What run folders say of a study's claim.

    Args:
        question: what is asked.
        runs: by arm, one run folder a seed, in the order of ``seeds``; an arm without training has one folder.
        seeds: of the trainings; none where nothing was trained. With fewer than three there is no verdict.
        metrics: metrics by name; None for all registered ones.
        resamples: bootstrap resamples.
        base: folder that paths are told relative to.
        making: how the runs were made, for the page.

    Raises:
        RunError: an arm has no run, the runs are of several suites, or a metric cannot be computed.
    """
    making = making or Making()
    if metrics is None:
        from gi_bench.harness.registry import registered

        metrics = registered("gi_bench.metrics")
    opened = {arm: [open_run(path) for path in runs.get(arm, ())] for arm in question.arms}
    _check_arms(question, making)
    first = _check(opened, seeds)
    columns = Columns(opened, metrics)
    findings = _findings(question, columns, resamples, len(seeds))
    cells = [
        cell
        for metric, slice_by in [*((name, "all") for name in question.metrics), *question.tables]
        for arm in question.arms
        for cell in columns.cells(arm, metric, slice_by, resamples)
    ]
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
        runs={arm: tuple(_relative(run.path, base) for run in found) for arm, found in opened.items()},
        notes=tuple(_notes(question, opened, first, columns)),
        settings=dict(making.settings),
        made=dict(making.made),
        seeing=tuple(making.seeing),
        gradients=tuple(making.gradients),
    )


def _notes(question: Question, opened: Mapping[str, Sequence[Run]], first: Run, columns: Columns) -> list[str]:
    """What must be said of suite, files, metrics that an arm lacks, and groups without rows."""
    notes = [first.manifest.suite_note] if first.manifest.suite_note else []
    notes += [note for runs in opened.values() for run in runs for note in run.check_files()]
    notes += columns.missing()
    return notes + list(dict.fromkeys(n for one in question.contrasts for n in _groups_without_rows(one, columns)))


def _check_arms(question: Question, making: Making) -> None:
    """Refuse contrasts and what was measured of arms that the study lacks."""
    about = [("a contrast over", arm) for contrast in question.contrasts for arm in contrast.arms]
    about += [("the training of", arm) for arm in making.made]
    about += [("seeing of", one.arm) for one in making.seeing if one.arm]
    about += [("gradients of", one.arm) for one in making.gradients]
    for what, arm in about:
        if arm not in question.arms:
            raise RunError(f"{what} {arm}, which is no arm", where=question.name)


def _groups_without_rows(contrast: Contrast, columns: Columns) -> list[str]:
    """Groups that no arm has a row of, which a contrast over several groups would leave out in silence."""
    found = {arm: columns.groups(arm, contrast.metric, contrast.by) for arm in contrast.arms}
    return [
        f"{contrast.metric}: no row with {contrast.by} {group}"
        for group in contrast.groups
        if not any(group in known for known in found.values())
    ]


def _check(opened: Mapping[str, Sequence[Run]], seeds: Sequence[int]) -> Run:
    """Refuse arms without runs or with too few, and runs that cannot be compared; the first run of all."""
    every = [run for runs in opened.values() for run in runs]
    empty = [arm for arm, runs in opened.items() if not runs]
    if empty or not every:
        raise RunError(f"no run of {', '.join(empty) or 'any arm'}", do="make the runs first: gi-bench study")
    for arm, runs in opened.items():
        if len(runs) not in (1, len(seeds)):
            raise RunError(f"{len(runs)} runs of {arm} for {len(seeds)} seeds", do="run every arm with the same seeds")
        # A run that counts twice would pass for seeds that agree.
        if len({run.path.resolve() for run in runs}) < len(runs):
            raise RunError(f"a run of {arm} is there twice", do="give one run a seed")
    if len(set(seeds)) < len(seeds):
        raise RunError("a seed is there twice", do="give each once")
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


def _relative(path: Path, base: Path | None) -> str:
    """A path relative to the study's folder, which may be sent around with its runs."""
    return str(path) if base is None else Path(os.path.relpath(path, base)).as_posix()


def _findings(question: Question, columns: Columns, resamples: int, seeds: int) -> list[Finding]:
    made = []
    for contrast in question.contrasts:
        found = _effect(contrast, columns, resamples)
        by_arm, effect = found or ((), SeedEffect(float("nan"), None, None, 1.0, (), 0))
        title = columns.infos[contrast.metric].title
        values = _values(contrast, by_arm) if by_arm else (float("nan"), float("nan"))
        made.append(Finding(contrast, title, values, effect, effect.p, "undecided", "", by_arm=by_arm))
    return decided(made, columns.infos, columns.counts, seeds)


def _effect(contrast: Contrast, columns: Columns, resamples: int) -> tuple[tuple[float, ...], SeedEffect] | None:
    """Mean of each arm of a contrast, and their weighted sum over seeds; None where an arm has no row."""
    found = [columns.column(arm, contrast.metric, contrast.by, contrast.groups) for arm in contrast.arms]
    present = [one for one in found if one is not None]
    if len(present) < len(found):
        return None
    images = tuple(dict.fromkeys(img_id for one in present for img_id in one.images))
    effects = [one.effects(images) for one in present]
    by = weights(contrast)
    least = sum(weight**2 * one.least_variance for weight, one in zip(by, present, strict=True))
    summed = over_seeds(_sums(effects, by, contrast.against), len(images), resamples=resamples, least_variance=least)
    return tuple(_mean(one, len(images)) for one in effects), summed


def _sums(effects: Sequence[Sequence[Effect]], by: Sequence[float], against: float) -> list[Effect]:
    """Seed by seed; an arm with one run (nothing was trained) stands against every seed."""
    count = max(map(len, effects))
    if any(len(one) not in (1, count) for one in effects):
        told = " and ".join(str(len(one)) for one in effects)
        raise RunError(f"arms with {told} seeds", do="run every arm with the same seeds")
    return [_sum([one[seed % len(one)] for one in effects], by, against) for seed in range(count)]


def _sum(arms: Sequence[Effect], by: Sequence[float], against: float) -> Effect:
    def effect(drawn: Floats) -> Floats:
        # From the left, so that a difference is what it was when it was the only kind.
        total = by[0] * np.asarray(arms[0](drawn))
        for weight, one in zip(by[1:], arms[1:], strict=True):
            total = total + weight * one(drawn)
        return total - against

    return effect


def _values(contrast: Contrast, by_arm: Sequence[float]) -> tuple[float, float]:
    """The two values that a contrast sets against each other; see :class:`Finding`."""
    if contrast.trend:
        return by_arm[-1], by_arm[0]
    if contrast.interaction:
        neither, one, other, both = by_arm
        return both, one + other - neither
    return by_arm[0], by_arm[1] if contrast.second else contrast.against


def _mean(effects: Sequence[Effect], images: int) -> float:
    ones = np.ones((1, images))
    return float(np.mean([effect(ones)[0] for effect in effects]))


__all__ = ["answer"]
