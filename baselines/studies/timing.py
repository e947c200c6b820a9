"""How long a study will take: out of what is finished of it, else out of a few steps and a few images."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gi_bench.baselines.studies.definitions import arm
from gi_bench.baselines.studies.workshop import ANCHOR, Job, Workshop, read_training
from gi_bench.harness.engine.progress import duration
from gi_bench.harness.files import read_json

TRIAL_STEPS = 4
TRIAL_IMAGES = 4


@dataclass(frozen=True)
class Pace:
    """What a training and a run take.

    Attributes:
        row: seconds a row of a training.
        image: seconds an image of a run.
        training, run: seconds of each besides: loading weights and images, writing, scoring.
    """

    row: float
    image: float
    training: float = 0.0
    run: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """What is left to do.

    Attributes:
        trainings, runs: how many are left.
        done: arms with a seed that are finished.
        seconds: of each job that is left, by job.
    """

    trainings: int
    runs: int
    done: int
    seconds: dict[Job, float]

    def line(self, jobs: int) -> str:
        """The estimate in words, for so many at once."""
        if not self.seconds:
            return f"{_counted(self.done, 'run')}, nothing is left to do"
        # Longer than the mean where the last ones do not fill all processes.
        rounds = math.ceil(len(self.seconds) / jobs)
        seconds = max(sum(self.seconds.values()) / min(jobs, len(self.seconds)), 0.0)
        seconds = max(seconds, rounds * seconds * min(jobs, len(self.seconds)) / len(self.seconds))
        there = f" ({self.done} {'is' if self.done == 1 else 'are'} there already)" if self.done else ""
        return (
            f"about {duration(seconds)} for {_counted(self.trainings, 'training')} and "
            f"{_counted(self.runs, 'run')}{there}{f', {jobs} at once' if jobs > 1 else ''}"
        )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def estimate(workshop: Workshop, jobs: Sequence[Job], at_once: int) -> Estimate:
    """What is left of some jobs, and how long each will take.

    Where none is finished, a few steps of one are trained and a few images run, and thrown away.

    Args:
        workshop: where they are made.
        jobs: arms with seeds.
        at_once: processes that will share the cores.
    """
    left = [job for job in jobs if workshop.finished_run(job) is None]
    done = [job for job in jobs if job not in left]
    untrained = [job for job in left if not workshop.is_trained(job)]
    if not left:
        return Estimate(0, 0, len(done), {})
    pace = _of_finished(workshop, done) or _of_trial(workshop, left, at_once)
    images = min(workshop.settings.limit or math.inf, len(workshop.suite.image_ids))
    seconds = {}
    for job in left:
        training = rows_of(workshop, job) * pace.row + pace.training if job in untrained else 0.0
        seconds[job] = training + images * pace.image + pace.run
    return Estimate(len(untrained), len(left), len(done), seconds)


def rows_of(workshop: Workshop, job: Job) -> float:
    """About how many rows the training of a job takes."""
    answers, rest = _load(workshop, job)
    settings = workshop.settings
    defaults = workshop.defaults(workshop.pixels)
    size = settings.answer_rows or defaults.mixture.rows
    steps = settings.steps or (defaults.steps if settings.epochs is None else None)
    steps = steps or (settings.epochs or defaults.epochs) * math.ceil(answers / size)
    trained = answers if ANCHOR in arm(job.arm).variant.train else 0
    return steps * size * (trained + rest) / max(1, answers)


def _load(workshop: Workshop, job: Job) -> tuple[int, int]:
    """Rows of an epoch: those of the anchor, and those that the job has besides."""
    answers = sum(row.answer is not None for row in workshop.train_suite.questions)
    others = workshop.epoch_rows(workshop.pixels)
    return answers, sum(others.get(task, 0) for task in arm(job.arm).variant.train)


def _of_finished(workshop: Workshop, done: Sequence[Job]) -> Pace | None:
    """The pace of finished jobs; None where none of them was trained."""
    rows = seconds = images = run = 0.0
    for job in done:
        card, path = workshop.card(job), workshop.finished_run(job)
        if card is None or not card.seconds or path is None:
            continue
        rows += sum(card.rows_seen.values())
        seconds += card.seconds
        stored = read_json(workshop.folder / path / "manifest.json")
        run += stored["seconds"] or 0.0
        images += min(workshop.settings.limit or math.inf, len(workshop.suite.image_ids))
    return Pace(seconds / rows, run / images) if rows and images else None


def _of_trial(workshop: Workshop, left: Sequence[Job], at_once: int) -> Pace:
    """The pace of a few steps and images of one job, on as many threads as it will have."""
    import torch

    trained = [job for job in left if workshop.adapter(job) is not None]
    job = max(trained or left, key=lambda one: rows_of(workshop, one))
    _warm(workshop, rendered=bool(trained))
    threads = torch.get_num_threads()
    torch.set_num_threads(threads_for(at_once))
    try:
        with tempfile.TemporaryDirectory() as scratch:
            return _trial(workshop, job, Path(scratch), train=bool(trained))
    finally:
        torch.set_num_threads(threads)


def _warm(workshop: Workshop, *, rendered: bool) -> None:
    """Do what is done once a process, which is no part of each training or run: rows, pictures."""
    for suite in (workshop.suite, workshop.train_suite):
        _ = suite.questions, suite.phrases
    if rendered:
        workshop.share_pictures()


def _trial(workshop: Workshop, job: Job, scratch: Path, *, train: bool) -> Pace:
    row = besides = 0.0
    adapter = None
    steps = min(TRIAL_STEPS, workshop.settings.steps or TRIAL_STEPS)
    if train:
        adapter = scratch / "adapter"
        one = replace(arm(job.arm), masks="suite", explanations="suite")
        workshop.train(job, scratch / "first", one=one, trial=1)  # a process's first step takes many times longer
        start = time.perf_counter()
        workshop.train(job, adapter, one=one, trial=steps)
        card = read_training(adapter)
        wall = time.perf_counter() - start
        row = _within(card.seconds, wall) / max(1, sum(card.rows_seen.values()))
        besides = wall - _within(card.seconds, wall)
    if not workshop.suite.questions:  # it cannot be cut: how long runs take is not known
        return Pace(row, 0.0, besides)
    start = time.perf_counter()
    path = workshop.run(job, adapter, scratch / "runs", images=TRIAL_IMAGES)
    wall = time.perf_counter() - start
    seconds = _within(read_json(path / "manifest.json")["seconds"], wall)
    return Pace(row, seconds / min(TRIAL_IMAGES, len(workshop.suite.image_ids)), besides, wall - seconds)


def _within(seconds: float | None, wall: float) -> float:
    """Seconds of work, which are no more than those that passed; cards round them."""
    return min(wall, seconds or 0.0)


def threads_for(at_once: int) -> int:
    """Threads of each of some processes that share the cores."""
    return max(1, (os.cpu_count() or 1) // at_once)
