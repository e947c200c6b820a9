"""Makes the runs of studies: trains every arm with every seed, runs it on the suite, and keeps both.

Arms that studies share are trained once. What is there is not done again: a study that was killed goes on with the
training that it was at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

from gi_bench.baselines.studies.definitions import Arm, arm
from gi_bench.baselines.studies.masks import Say
from gi_bench.baselines.studies.outcome import Outcome, outcome
from gi_bench.baselines.studies.settings import Settings
from gi_bench.baselines.studies.timing import Estimate, estimate, threads_for
from gi_bench.baselines.studies.workshop import Job, Workshop
from gi_bench.harness.devices import use_threads
from gi_bench.harness.engine.progress import duration
from gi_bench.harness.errors import DataError, GiBenchError
from gi_bench.harness.terminal import say

_workshop: Workshop | None = None


def _start(settings: Settings, folder: Path, threads: int) -> None:
    """Make a worker's workshop; a worker whose parent was killed ends, or it would train on beside the next call."""
    global _workshop
    use_threads(threads)
    Thread(target=_end_with_parent, daemon=True).start()
    # Beside the calling process, whose standard output may be a document of JSON.
    _workshop = Workshop(settings, folder, partial(say, err=True), threads)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _look_at_backbone() -> None:
    assert _workshop is not None
    _workshop.look_at_backbone()


def _work(job: Job) -> Path:
    assert _workshop is not None
    return _workshop.make(job)


@dataclass(frozen=True)
class MadeRuns:
    """What the arms of studies came to.

    Attributes:
        runs: by arm, the run folders in the order of the seeds.
        masks: by kind of masks, how many were made for them and how far they agree with the suite's own.
        frequencies: by label, how many regions the training suite has.
        outcome: what their trainings took and left.
    """

    runs: dict[str, list[Path]]
    masks: dict[str, Any]
    frequencies: dict[str, int]
    outcome: Outcome


def make_runs(
    arms: Sequence[str], seeds: Sequence[int], settings: Settings, folder: Path, *, jobs: int = 1, say: Say = say
) -> MadeRuns:
    """The runs of some arms, each with every seed; an arm without training runs once.

    Args:
        arms: names.
        seeds: of the trainings.
        settings: how they are trained and run.
        folder: where adapters and runs are kept.
        jobs: trainings at once, in processes that share the cores.
        say: told how long it will take, and of every arm.

    Raises:
        GiBenchError: a training or run fails; what is finished is kept.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise GiBenchError("a study needs seeds, each once", where="--seeds", do="give a number from 1")
    wanted = [Job(name, seed) for seed in seeds for name in arms if arm(name).variant.adapter or seed == seeds[0]]
    # Before the first product, after which it is too late for sums that are the same whatever was done before.
    use_threads()
    workshop = Workshop(settings, folder, say)
    _check(workshop, [arm(name) for name in arms])
    left = estimate(workshop, wanted, jobs)
    say(left.line(jobs))
    masks = workshop.masks.make([arm(name) for name in arms], seeds[0])
    made: dict[Job, Path] = {}
    told = _Progress(left, len(wanted), jobs, say)
    if jobs == 1 or len(wanted) == 1:
        workshop.look_at_backbone()
        for job in wanted:
            made[job] = folder / workshop.make(job)
            told.done(job)
    else:
        for job, path in _at_once(wanted, settings, folder, jobs):
            made[job] = folder / path
            told.done(job)
    runs = {name: [made[Job(name, seed)] for seed in seeds if Job(name, seed) in made] for name in arms}
    return MadeRuns(runs, masks, workshop.masks.frequencies, outcome(workshop, wanted))


def _check(workshop: Workshop, arms: Sequence[Arm]) -> None:
    """Refuse before anything is trained what would fail later.

    Raises:
        DataError: nothing that an arm says could be scored, the user's explanations are none of the training suite, or
            an arm's are not there.
    """
    suite = workshop.suite
    if all(row.answer is None for row in suite.questions) and all(row.region is None for row in suite.phrases):
        raise DataError("the suite has no references to score by", where=suite.name, do="choose another --suite")
    if workshop.settings.explanations is not None:
        # Also where no arm takes them: a wrong file would only show in the settings.
        workshop.explanations("file")
    for one in arms:
        if "explain" in one.variant.train:
            workshop.explanations(one.explanations)


class _Progress:
    """Tells of finished jobs, and how long the others will take at the pace so far."""

    def __init__(self, left: Estimate, total: int, jobs: int, say: Callable[[str], None]) -> None:
        self._seconds, self._total, self._jobs, self._say = dict(left.seconds), total, jobs, say
        self._start, self._finished, self._predicted = time.perf_counter(), 0, 0.0

    def done(self, job: Job) -> None:
        """A job is finished."""
        self._finished += 1
        self._predicted += self._seconds.pop(job, 0.0)
        left = sum(self._seconds.values())
        line = f"{self._finished} of {self._total}: {job.arm}, seed {job.seed}"
        if left and self._predicted:
            pace = (time.perf_counter() - self._start) / self._predicted
            # As many as run now are about half done.
            running = min(self._jobs, len(self._seconds)) if self._jobs > 1 else 0
            halves = running * left / len(self._seconds) / 2
            line += f", about {duration(max(left - halves, left / 2) * pace)} left"
        self._say(line)


def _at_once(wanted: Sequence[Job], settings: Settings, folder: Path, jobs: int) -> Iterator[tuple[Job, Path]]:
    """Jobs in processes, as they finish; an error or Ctrl-C ends them all."""
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start, (settings, folder, threads_for(jobs))) as pool:
        waiting = {pool.submit(_work, job): job for job in wanted}
        backbone = pool.submit(_look_at_backbone)
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
            backbone.result()
        except BaseException:
            # A pool whose processes have ended fails all that waits, by itself.
            for process in list(pool._processes.values()):
                process.terminate()
            raise
