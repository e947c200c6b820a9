"""Runs variants on a suite in this process, part by part, into run folders."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gi_bench import __version__
from gi_bench.harness import files, migration, store
from gi_bench.harness.devices import choose_device, choose_dtype, use_threads
from gi_bench.harness.engine import machine
from gi_bench.harness.engine.execute import BatchSize, execute_part
from gi_bench.harness.engine.finished import Request, request
from gi_bench.harness.engine.pictures import write_pictures
from gi_bench.harness.engine.plan import Part, Plan, make_plan
from gi_bench.harness.engine.progress import Progress
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.model import BuildContext, Model
from gi_bench.harness.registry import ModelEntry, load_suite, model_entry
from gi_bench.harness.schema import TASKS, Counts, Manifest, Recipe, Scores, SeenImages, Task, Timing
from gi_bench.harness.suites.base import Suite

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
    wanted = [models] if isinstance(models, (str, ModelEntry)) else models
    names = [one if isinstance(one, str) else one.name for one in wanted]
    if len(set(names)) != len(names):
        raise GiBenchError("a model is given twice", where=", ".join(names), do="name each model once")
    entries = [model_entry(one) if isinstance(one, str) else one for one in wanted]
    for entry in entries:
        _check_tasks(entry, settings.tasks)
    opened = load_suite(suite, data) if isinstance(suite, str) else suite
    if settings.split is not None:
        from gi_bench.harness.suites.splits.suite import split_side

        opened = split_side(opened, settings.split)
    if settings.device != "auto":
        choose_device(settings.device)
    shared: dict[str, Any] = {}
    teachers = _Teachers(opened, train_suite, data, train_data)
    finished = []
    optional = _bounds(entries, settings.tasks) if settings.bounds else []
    for entry in [*entries, *optional]:
        # A model that never looks computes nothing: torch is not loaded to ask for a GPU.
        device = "cpu" if settings.device == "auto" and not entry.needs_image else choose_device(settings.device)
        context = BuildContext(
            suite=opened,
            device=device,
            dtype=choose_dtype(settings.dtype, device, exact=opened.is_embedded),
            seed=settings.seed,
            checkpoint=settings.checkpoint,
            backbone=settings.backbone,
            beams=settings.beams,
            shared=shared,
        )
        try:
            context.train_suite = teachers.of(entry)
            asked = _request(entry, context, settings, Path(output))
            known = asked.find()
            if known is not None:
                finished.append(_found(entry, known, opened, say))
                continue
            if entry.needs_image:
                use_threads(settings.threads)
            model = entry.build(context)
            _check_built(entry, model, settings.tasks)
        except GiBenchError as error:
            if entry not in optional:
                raise
            say(f"{entry.name} left out: {error.what}")
            continue
        try:
            finished.append(_run(entry, model, context, Path(output), settings, say))
            asked.finished(finished[-1].path)
        finally:
            model.close()
    return finished


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


def _bounds(entries: Sequence[ModelEntry], tasks: Sequence[Task] | None) -> list[ModelEntry]:
    """Registered floors and ceilings of what some models do, without those that are among them."""
    from gi_bench.harness.registry import registered

    wanted = set(tasks or [task for entry in entries for task in entry.tasks])
    names = {entry.name for entry in entries}
    found: list[ModelEntry] = list(registered("gi_bench.models").values())
    return [one for one in found if one.name not in names and wanted & {*one.bounded_tasks}]


def _check_tasks(entry: ModelEntry, tasks: Sequence[Task] | None) -> None:
    missing = [task for task in tasks or () if task not in entry.tasks]
    if missing:
        raise GiBenchError(
            f"{entry.name} does not have the task {', '.join(missing)}",
            where="--tasks",
            do=f"it has: {', '.join(entry.tasks)}",
        )


def _check_built(entry: ModelEntry, model: Model, tasks: Sequence[Task] | None) -> None:
    """A model may turn out to have fewer tasks than its entry says: a ceiling without explanations to learn from."""
    if tasks and not set(tasks) & model.tasks:
        model.close()
        raise GiBenchError(
            f"{entry.name} has nothing for the task {', '.join(tasks)} here",
            where="--tasks",
            do=f"it has: {', '.join(sorted(model.tasks))}",
        )


class _Teachers:
    """The suites that floors and ceilings learn from; each is loaded once, and only for models that ask for one."""

    def __init__(
        self, suite: Suite, name: str | None, data: Path | str | None, elsewhere: Path | str | None = None
    ) -> None:
        self._suite, self._name, self._data, self._elsewhere = suite, name, data, elsewhere
        self._loaded: dict[str, Suite | None] = {}

    def of(self, entry: ModelEntry) -> Suite | None:
        """The teacher of a model: named by the user, made from the suite (a split's train side), or the suite's own.

        Raises:
            GiBenchError: it cannot be loaded.
        """
        if not entry.learns_from:
            return None
        suite = self._suite
        wanted = self._name
        if wanted is None:
            if "" not in self._loaded and self._elsewhere is None:
                self._loaded[""] = suite.teacher()
            if self._loaded.get("") is not None:
                return self._loaded[""]
            wanted = (suite.mask_suite if entry.learns_from == "masks" else None) or suite.train_suite
        if wanted is None or (wanted == suite.name and self._elsewhere is None):
            return None if wanted is None else suite
        if wanted not in self._loaded:
            self._loaded[wanted] = self._load(entry.name, wanted)
        return self._loaded[wanted]

    def _load(self, model: str, wanted: str) -> Suite:
        try:
            return load_suite(wanted, self._elsewhere or self._data)
        except GiBenchError as error:
            if self._name is not None or self._elsewhere is not None:
                raise
            raise GiBenchError(
                f"{model} learns from {wanted}, which cannot be loaded: {error.what}",
                where=error.where,
                do=f"give its folder with --data, or --train-suite {self._suite.name} to learn from the other images "
                "of this suite",
            ) from error


def _run(
    entry: ModelEntry,
    model: Model,
    context: BuildContext,
    output: Path,
    settings: Settings,
    say: Callable[[str], None],
) -> Finished:
    suite = context.suite
    if model.needs_image and not suite.has_images:
        raise GiBenchError(
            f"{entry.name} looks at images, and {suite.name} has none here",
            do="give --data a folder with images/, or run a blind variant",
        )
    tasks: tuple[Task, ...] = tuple(
        task for task in (settings.tasks or TASKS) if task in model.tasks and task in entry.tasks
    )
    recipe = Recipe(
        variant=entry.name,
        model=_settings_of(entry, model),
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
    earlier = bind(folder, recipe)
    say(f"{entry.name} on {suite.name}: {folder}")
    size = _batch_size(settings.batch_size, model, context.device)
    manifest = _manifest(recipe, suite, plan, context, size)
    manifest = _begin(folder, manifest, earlier, plan)
    write_pictures(folder, suite, plan.img_ids)
    _write_training(folder, model, settings, plan)
    start = time.perf_counter()
    manifest, executed = _execute(folder, plan, suite, model, size, manifest)
    seconds = time.perf_counter() - start
    _finish(folder, manifest, size, earlier if executed == 0 else None)
    from gi_bench.harness.analysis.scoring import score_run

    return Finished(folder, score_run(folder), seconds)


def _begin(folder: Path, manifest: Manifest, earlier: Manifest | None, plan: Plan) -> Manifest:
    """Write references and manifest of a run that begins or goes on; one begun under the schema before goes over."""
    references = dict(earlier.references) if earlier is not None else {}
    if not all((folder / name).exists() for name in (store.QUESTIONS, store.PHRASES)) or not references:
        references = store.write_references(folder, plan.questions, plan.phrases)
    manifest = replace(manifest, references=references)
    if earlier is None:
        store.write_manifest(folder, manifest)
        return manifest
    manifest = replace(manifest, parts=earlier.parts, created=earlier.created)
    # A complete run that is given again stays complete while nothing is missing.
    store.write_manifest(folder, replace(earlier, references=references) if earlier.complete else manifest)
    # Only now: until the manifest stands, whoever reads the folder reads it as one of the version before.
    (folder / migration.REFERENCES).unlink(missing_ok=True)
    return manifest


def _finish(folder: Path, manifest: Manifest, size: BatchSize, unchanged: Manifest | None) -> None:
    """Write the manifest of a complete run. One whose parts were all there keeps what was said when it was made."""
    if unchanged is not None and unchanged.complete:
        store.write_manifest(folder, replace(unchanged, parts=manifest.parts, references=manifest.references))
        return
    seconds = sum(sum(timing.seconds.values()) for timing in store.open_run(folder).timings)
    done = replace(
        manifest,
        complete=True,
        batch_size=size.value,
        batch_halved_count=size.halved_count,
        seconds=round(float(seconds), 3),
        peak_memory_mb=machine.peak_memory_mb(manifest.device),
    )
    store.write_manifest(folder, done)


def _settings_of(entry: ModelEntry, model: Model) -> dict[str, Any]:
    """The model's settings as the recipe keeps them; a bound's hold its role, by which stored runs are told apart.

    Raises:
        GiBenchError: the model says that it is something else than its entry declares.
    """
    settings = dict(model.settings)
    said = settings.get("role", entry.role)
    if said != entry.role:
        raise GiBenchError(
            f"{entry.name} is registered as a {entry.role}, and its settings call it {said!r}",
            do=f"declare ModelEntry(..., role={said!r}), or take the role out of the model's settings",
        )
    return settings if entry.role == "model" else settings | {"role": entry.role}


def _batch_size(wanted: int | None, model: Model, device: str) -> BatchSize:
    """Given by the user, or (auto) the model's own, from where it grows on a GPU while memory lasts.

    A CPU gains nothing from larger batches than the model asks for: its arithmetic is busy already.
    """
    if wanted is not None:
        return BatchSize(wanted)
    return BatchSize(model.batch_size, ceiling=GPU_CEILING if device.startswith("cuda") else None)


def bind(folder: Path, recipe: Recipe) -> Manifest | None:
    """The manifest of a run that goes on; None for a new one.

    Raises:
        RunError: the folder holds another recipe, or something that is no run.
    """
    if not (folder / store.MANIFEST).exists():
        if folder.exists() and any(folder.iterdir()):
            raise RunError("the folder is not empty and not a run", where=folder, do="choose another --output")
        return None
    found = store.open_run(folder).manifest
    if found.recipe_digest != recipe.digest():
        raise RunError(
            "the folder holds a run of another recipe or suite",
            where=folder,
            do="choose another --output, or move the folder away",
        )
    return found


def _manifest(recipe: Recipe, suite: Suite, plan: Plan, context: BuildContext, size: BatchSize) -> Manifest:
    return Manifest(
        recipe=recipe,
        recipe_digest=recipe.digest(),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        complete=False,
        counts=Counts(images=len(plan.img_ids), phrases=len(plan.phrases), questions=len(plan.questions)),
        suite_note=suite.note,
        device=context.device,
        batch_size=size.value,
        model_memory_mb=machine.memory_mb(context.device),
        hardware=machine.hardware(context.device),
        system=machine.system(),
        packages=machine.packages(),
    )


def _execute(
    folder: Path, plan: Plan, suite: Suite, model: Model, size: BatchSize, manifest: Manifest
) -> tuple[Manifest, int]:
    """Do the parts that are not there yet; gives the manifest with their digests, and how many they were."""
    done = [part for part in plan.parts if _is_done(folder, part, manifest.parts)]
    finished = {part.number for part in done}
    total = sum(part.row_count for part in plan.parts)
    digests = {part.file_name: manifest.parts.get(part.file_name) or _digest(folder, part) for part in done}
    with Progress(manifest.recipe.variant, total, sum(part.row_count for part in done)) as progress:
        for part in plan.parts:
            if part.number in finished:
                continue
            result = execute_part(part, suite, model, manifest.recipe.tasks, size)
            timing = Timing(
                seconds={stage: round(s, 4) for stage, s in result.seconds.items()},
                images=len(part.img_ids),
                questions=len(part.questions),
                phrases=len(part.phrases),
                batch_size=size.value,
            )
            files.write_json(folder / "timings" / f"part-{part.number:05d}.json", asdict(timing))
            digests[part.file_name] = store.write_part(_path(folder, part), result.predictions)
            manifest = replace(manifest, parts=dict(sorted(digests.items())))
            # After every part: one that is edited before the run goes on is found.
            store.write_manifest(folder, manifest)
            progress.advance(part.row_count)
    return replace(manifest, parts=dict(sorted(digests.items()))), len(plan.parts) - len(done)


def _path(folder: Path, part: Part) -> Path:
    return folder / "predictions" / part.file_name


def _digest(folder: Path, part: Part) -> str:
    return files.file_digest(_path(folder, part))


def _is_done(folder: Path, part: Part, digests: Mapping[str, str]) -> bool:
    """Whether a part is there and whole.

    Raises:
        RunError: it is there but damaged, changed, or has other rows than the plan.
    """
    path = _path(folder, part)
    if not path.exists():
        return False
    wanted = [("question", q.index) for q in part.questions] + [("phrase", p.index) for p in part.phrases]
    if [(row.kind, row.index) for row in store.read_predictions(path, digests)] != wanted:
        raise RunError(
            "a finished part has other rows than the plan",
            where=path,
            do="delete this file and run the same command again",
        )
    return True


def _write_training(folder: Path, model: Model, settings: Settings, plan: Plan) -> None:
    """Store which of the run's images the model was trained on, where that is known."""
    trained: frozenset[str] | None = getattr(model, "training_images", None)
    source = "the model's own list"
    if settings.training_images is not None:
        from gi_bench.harness.suites.image_lists import read_image_ids

        trained, source = frozenset(read_image_ids(settings.training_images)), settings.training_images.name
    if trained is None:
        return
    seen = sorted(trained.intersection(plan.img_ids))
    files.write_json(folder / "training.json", asdict(SeenImages(tuple(seen), source, len(trained))))


__all__ = ["Finished", "Settings", "evaluate"]
