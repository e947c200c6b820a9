"""Runs variants on a suite in this process, part by part, into run folders."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gi_bench import __version__
from gi_bench.harness import files
from gi_bench.harness.devices import choose_device, choose_dtype, use_threads
from gi_bench.harness.engine import machine
from gi_bench.harness.engine.code import code_of, with_model
from gi_bench.harness.engine.entries import bounds_of, check_built, entries_of, recipe_settings
from gi_bench.harness.engine.execute import BatchSize, execute_part
from gi_bench.harness.engine.finished import Request, request
from gi_bench.harness.engine.pictures import write_pictures
from gi_bench.harness.engine.plan import Plan, make_plan
from gi_bench.harness.engine.progress import Progress
from gi_bench.harness.engine.record import Record
from gi_bench.harness.engine.teachers import Teachers
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.model import BuildContext, Model
from gi_bench.harness.provenance import is_ours
from gi_bench.harness.registry import ModelEntry, load_suite
from gi_bench.harness.schema import TASKS, Code, Recipe, Scores, SeenImages, Task
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.image_lists import read_image_ids

# Where --batch-size auto stops growing; a part of 240 rows cannot fill more.
GPU_CEILING = 256


@dataclass(frozen=True)
class Settings:
    """How to run.

    Attributes:
        tasks: tasks to run; None for all that the model has.
        limit: only the first N questions.
        batch_size: micro-batch; None leaves it to the model and halves it when memory runs out.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``float16`` or ``bfloat16``.
        seed: seed of everything random.
        checkpoint, backbone, beams: given by the user instead of the registered ones.
        split: side of a split to run on (``split.json:test``); None for the whole suite.
        training_images: file with the ids of the images that the model was trained on, instead of its own list.
        bounds: also run the registered floors and ceilings of the models' tasks; those that the suite has nothing for
            are left out, and said.
        threads: threads of torch on a CPU; None for as many as there are free cores. No part of the recipe.
        ignore_generation_config: go on without the decoding rules that a checkpoint brings along.
        accept_changed: go on with an unfinished run that other code has begun.
        command: the command line, for the manifest; empty from Python.
    """

    tasks: tuple[Task, ...] | None = None
    limit: int | None = None
    batch_size: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    seed: int = 0
    checkpoint: str | None = None
    backbone: str | None = None
    beams: int | None = None
    training_images: Path | None = None
    split: str | None = None
    bounds: bool = False
    threads: int | None = None
    ignore_generation_config: bool = False
    accept_changed: bool = False
    command: str = ""


@dataclass(frozen=True)
class _Job:
    """One model of a call, with everything that can be known before the first of them runs.

    Attributes:
        entry: the model.
        context: what it is built from.
        request: what the call asks of it.
        code: what it runs on.
        made: the folder of its finished run, or the model where it is built already; None to build it at its turn.
    """

    entry: ModelEntry
    context: BuildContext
    request: Request
    code: Code
    made: Path | Model | None


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        path: its folder; :func:`gi_bench.harness.store.open_run` takes the object too.
        scores: what is in its ``scores.json``.
        seconds: that this call took to make what was missing.
    """

    path: Path
    scores: Scores
    seconds: float

    def __fspath__(self) -> str:
        return str(self.path)


def evaluate(
    models: Sequence[str | ModelEntry] | str | ModelEntry,
    suite: str | Suite = "phantom/test",
    *,
    data: Path | str | None = None,
    train_suite: str | None = None,
    train_data: Path | str | None = None,
    output: Path | str = "runs",
    settings: Settings | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Finished]:
    """Run variants on a suite and score them.

    Args:
        models: registered names, or entries; a backbone that they share is loaded once.
        suite: registered name, or a suite.
        data: folder with the suite's files.
        train_suite: suite that priors learn from; None for a split's train side, or the suite's own.
        train_data: folder with the files of the suite that priors learn from, where it is not ``data``.
        output: parent of the run folders (``output/<suite>/<variant>-<recipe>``).
        settings: how to run.
        say: called with lines for the user.

    Returns:
        One entry a model, in the given order, then one a bound.

    Raises:
        GiBenchError: a name is unknown, data are damaged, a checkpoint is missing, a folder holds another
            recipe, the disk is full. Finished parts stay.
    """
    settings = settings or Settings()
    entries = entries_of(models, settings.tasks)
    opened = _opened(suite, data, settings.split)
    if settings.device != "auto":
        choose_device(settings.device)
    if settings.training_images is not None:
        read_image_ids(settings.training_images)
    teachers = Teachers(opened, train_suite, data, train_data)
    optional = bounds_of(entries, settings.tasks) if settings.bounds else []
    shared: dict[str, Any] = {}
    jobs: list[_Job] = []
    finished = []
    try:
        for entry in [*entries, *optional]:
            try:
                jobs.append(_job(entry, opened, teachers, settings, shared, Path(output)))
            except GiBenchError as error:
                if entry not in optional:
                    raise
                say(f"{entry.name} left out: {error.what}")
        for job in jobs:
            finished.append(_done(job, Path(output), settings, say))
    finally:
        for job in jobs[len(finished) :]:
            if job.made is not None and not isinstance(job.made, Path):
                job.made.close()
    return finished


def _job(
    entry: ModelEntry, suite: Suite, teachers: Teachers, settings: Settings, shared: dict[str, Any], output: Path
) -> _Job:
    """Everything about one model that can be known before the first runs.

    Raises:
        GiBenchError: it cannot run here.
    """
    context = _context(entry, suite, settings, shared)
    context.train_suite = teachers.of(entry)
    asked = _request(entry, context, settings, output)
    made: Path | Model | None = asked.find()
    if made is None:
        if entry.needs_image and is_ours(entry.build):  # a plugin's model may turn out to be blind
            _check_images(entry, suite)
        if entry.check is not None:
            entry.check(context)
        suite.fingerprint  # noqa: B018 -- reads every row and image that is not pinned
        if not entry.needs_image:
            made = _built(entry, context, settings)  # takes seconds, and nothing else can tell what is missing
    return _Job(entry, context, asked, code_of(entry, suite, settings.command), made)


def _done(job: _Job, output: Path, settings: Settings, say: Callable[[str], None]) -> Finished:
    """The run of a model: found, or made."""
    if isinstance(job.made, Path):
        return _found(job.entry, job.made, job.context.suite, say)
    machine.forget_peak(job.context.device)
    model = job.made or _built(job.entry, job.context, settings)
    try:
        code = with_model(job.code, job.entry, job.context.suite, model)
        done = _run(replace(job, made=model, code=code), model, output, settings, say)
        job.request.finished(done.path)
        return done
    finally:
        model.close()


def _built(entry: ModelEntry, context: BuildContext, settings: Settings) -> Model:
    """The model, checked against what its entry declares."""
    if entry.needs_image:
        use_threads(settings.threads)
    model = entry.build(context)
    check_built(entry, model, settings.tasks)
    return model


def _check_images(entry: ModelEntry, suite: Suite) -> None:
    if not suite.has_images:
        raise GiBenchError(
            f"{entry.name} looks at images, and {suite.name} has none here",
            do="give --data a folder with images/, or run a blind variant",
        )


def _opened(suite: str | Suite, data: Path | str | None, split: str | None) -> Suite:
    """The suite, or one side of a split of it."""
    opened = load_suite(suite, data) if isinstance(suite, str) else suite
    if split is None:
        return opened
    from gi_bench.harness.suites.splits.suite import split_side

    return split_side(opened, split)


def _context(entry: ModelEntry, suite: Suite, settings: Settings, shared: dict[str, Any]) -> BuildContext:
    # A model that never looks computes nothing: torch is not loaded to ask for a GPU.
    device = "cpu" if settings.device == "auto" and not entry.needs_image else choose_device(settings.device)
    return BuildContext(
        suite=suite,
        device=device,
        dtype=choose_dtype(settings.dtype, device, exact=suite.is_embedded),
        seed=settings.seed,
        checkpoint=settings.checkpoint,
        backbone=settings.backbone,
        beams=settings.beams,
        ignore_rules=settings.ignore_generation_config,
        shared=shared,
    )


def _request(entry: ModelEntry, context: BuildContext, settings: Settings, output: Path) -> Request:
    """What this call asks of a model; who else runs, and on how many threads, makes no difference."""
    asked = {"tasks": settings.tasks, "limit": settings.limit, "batch_size": settings.batch_size}
    files = [] if settings.training_images is None else [settings.training_images]
    return request(entry, context, asked, files, output)


def _found(entry: ModelEntry, folder: Path, suite: Suite, say: Callable[[str], None]) -> Finished:
    """A run that was finished by an earlier call, with its scores."""
    from gi_bench.harness.analysis.scoring import current_scores, score_run

    say(f"{entry.name} on {suite.name}: {folder}")
    scores = current_scores(folder)
    say(f"{entry.name}: finished before, {'scores made again' if scores is None else 'scores up to date'}")
    return Finished(folder, scores or score_run(folder), 0.0)


def _run(job: _Job, model: Model, output: Path, settings: Settings, say: Callable[[str], None]) -> Finished:
    entry, context = job.entry, job.context
    suite = context.suite
    if model.needs_image:
        _check_images(entry, suite)
    tasks: tuple[Task, ...] = tuple(
        task for task in (settings.tasks or TASKS) if task in model.tasks and task in entry.tasks
    )
    recipe = Recipe(
        variant=entry.name,
        model=recipe_settings(entry, model),
        suite=suite.name,
        fingerprint=suite.fingerprint,
        tasks=tasks,
        limit=settings.limit,
        seed=settings.seed,
        dtype=context.dtype,
        code_version=__version__,
    )
    folder = output / suite.name.replace("/", "-") / f"{entry.name}-{recipe.digest()[:8]}"
    plan = make_plan(suite, tasks, limit=settings.limit)
    if not plan.questions and not plan.phrases:
        raise GiBenchError(
            f"nothing to do: no question, and no phrase for {', '.join(tasks)}",
            where=suite.name,
            do="use a larger --limit, or a variant and --tasks with the task that the suite asks for",
        )
    with Record.open(
        folder,
        recipe,
        suite,
        plan,
        context.device,
        threads=settings.threads,
        code=job.code,
        accept_changed=settings.accept_changed,
    ) as record:
        say(f"{entry.name} on {suite.name}: {folder}")
        size = _batch_size(settings.batch_size, model, context.device)
        record.begin(size)
        write_pictures(folder, suite, plan.img_ids)
        _write_training(folder, model, settings, plan, say)
        start = time.perf_counter()
        _execute(record, suite, model, size, say, is_auto=settings.batch_size is None)
        seconds = time.perf_counter() - start
        record.finish(size)
        from gi_bench.harness.analysis.scoring import score_run

        return Finished(folder, score_run(folder), seconds)


def _batch_size(wanted: int | None, model: Model, device: str) -> BatchSize:
    """Given by the user, or (auto) the model's own, from where it grows on a GPU while memory lasts.

    A CPU gains nothing from larger batches than the model asks for: its arithmetic is busy already.
    """
    if wanted is not None:
        return BatchSize(wanted)
    return BatchSize(model.batch_size, ceiling=GPU_CEILING if device.startswith("cuda") else None)


def _execute(
    record: Record, suite: Suite, model: Model, size: BatchSize, say: Callable[[str], None], *, is_auto: bool
) -> None:
    """Do the parts that are not there yet, and say what is remarkable about those that are."""
    plan = record.plan
    missing = record.missing()
    for remark in record.remarks:
        say(f"{record.recipe.variant}: {remark}")
    if not missing:
        say(f"{record.recipe.variant}: finished before, all {len(plan.parts)} parts are there")
        return
    total = sum(part.row_count for part in plan.parts)
    with Progress(record.recipe.variant, total, total - sum(part.row_count for part in missing)) as progress:
        for part in missing:
            if is_auto:
                record.go_on(part, size)
            result = execute_part(part, suite, model, record.recipe.tasks, size)
            record.keep(part, result, size)
            progress.advance(part.row_count)


def _write_training(folder: Path, model: Model, settings: Settings, plan: Plan, say: Callable[[str], None]) -> None:
    """Store which of the run's images the model was trained on, where that is known."""
    trained: frozenset[str] | None = getattr(model, "training_images", None)
    source = "the model's own list"
    if settings.training_images is not None:
        trained, source = frozenset(read_image_ids(settings.training_images)), settings.training_images.name
        if trained.isdisjoint(plan.img_ids):
            say(f"training images: none of the {len(trained):,} ids of {source} is an image of this run, e.g. "
                f"{min(trained)}; its own are like {plan.img_ids[0]}")  # fmt: skip
    if trained is None:
        return
    seen = sorted(trained.intersection(plan.img_ids))
    count = len(trained)
    if settings.training_images is None:
        # A floor learns from images that are asked about too, of which none speaks about itself.
        count = max(count, int(model.settings.get("training_image_count", 0)))
    files.write_json(folder / "training.json", asdict(SeenImages(tuple(seen), source, count)))


__all__ = ["Finished", "Settings", "evaluate"]
