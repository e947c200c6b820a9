"""A run folder while it is made: what it is bound to, which parts are there, and its manifest on the way.

The manifest is what binds the folder, so it is the first file there: a process that is killed at any moment leaves a
folder that the same command takes up again.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from gi_bench.harness import files, migration, placing, store
from gi_bench.harness.devices import use_threads
from gi_bench.harness.engine import machine
from gi_bench.harness.engine.code import taken_up
from gi_bench.harness.engine.execute import BatchSize, PartResult
from gi_bench.harness.engine.plan import Part, Plan
from gi_bench.harness.errors import RunError
from gi_bench.harness.locks import LOCK, holding
from gi_bench.harness.schema import Code, Counts, Manifest, Recipe, Timing
from gi_bench.harness.suites.base import Suite


class Record:
    """Writes a run folder: manifest and references first, then part after part, then the manifest of the whole.

    A context manager: from its opening to the end of the block no other process writes the folder.

    Attributes:
        folder: the run folder.
        plan: its parts.
        recipe: what it is bound to.
        remarks: what must be said beside the scores of predictions that were there before.
    """

    def __init__(self, folder: Path, plan: Plan, manifest: Manifest, earlier: Manifest | None, lock: ExitStack) -> None:
        self.folder, self.plan, self.recipe = folder, plan, manifest.recipe
        self._manifest, self._earlier = manifest, earlier
        self.remarks = manifest.remarks
        self._executed = 0
        self._lock = lock

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *raised: object) -> None:
        self._lock.close()

    @staticmethod
    def open(
        folder: Path,
        recipe: Recipe,
        suite: Suite,
        plan: Plan,
        device: str,
        *,
        threads: int | None = None,
        code: Code = Code(),  # noqa: B008 -- frozen
        accept_changed: bool = False,
    ) -> Record:
        """Bind a folder to a recipe, or take up the run of this recipe that is in it.

        Args:
            threads: given by the user; None goes on with as many as the run was begun with, since not every library
                gives the same last digits on another number.
            code: what the predictions are made with.
            accept_changed: go on with an unfinished run that other code has begun.

        Raises:
            BusyError: another process is writing the folder.
            RunError: the folder holds another recipe, something that is no run, or an unfinished run of other code.
        """
        lock = ExitStack()
        lock.enter_context(holding(folder))
        try:
            earlier = bind(folder, recipe)
            code, remarks = taken_up(folder, earlier, code, accept=accept_changed)
        except BaseException:
            lock.close()
            raise
        if threads is None and earlier is not None and earlier.hardware.threads is not None:
            use_threads(earlier.hardware.threads)
        manifest = Manifest(
            recipe=recipe,
            recipe_digest=recipe.digest(),
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            complete=False,
            counts=Counts(images=len(plan.img_ids), phrases=len(plan.phrases), questions=len(plan.questions)),
            suite_note=suite.note,
            device=device,
            model_memory_mb=machine.memory_mb(device),
            hardware=machine.hardware(device),
            system=machine.system(),
            packages=machine.packages(),
            code=code,
            remarks=remarks,
        )
        return Record(folder, plan, manifest, earlier, lock)

    def begin(self, size: BatchSize) -> None:
        """Write manifest and references of a run that begins or goes on; one begun under the schema before goes over.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        earlier, folder = self._earlier, self.folder
        references = dict(earlier.references) if earlier is not None else {}
        parts = dict(earlier.parts) if earlier is not None else {}
        if earlier is not None and not references:
            # Under the schema before nothing was named: what is there now is the run's.
            there = [part for part in self.plan.parts if self._path(part).exists()]
            parts = {part.file_name: parts.get(part.file_name) or files.file_digest(self._path(part)) for part in there}
        content: dict[str, bytes] = {}
        if not references or not all((folder / name).exists() for name in (store.QUESTIONS, store.PHRASES)):
            content = store.reference_files(self.plan.questions, self.plan.phrases)
            references = store.digests_of(content)
        self._manifest = replace(
            self._manifest,
            batch_size=size.value,
            references=references,
            parts=parts,
            created=earlier.created if earlier is not None else self._manifest.created,
        )
        store.write_manifest(folder, self._manifest)
        store.write_references(folder, content)
        # Only now: until the tables stand, whoever reads the folder reads it as one of the version before.
        (folder / migration.REFERENCES).unlink(missing_ok=True)

    def missing(self) -> list[Part]:
        """The parts that are not there yet; the others are checked.

        Raises:
            RunError: a part is damaged, changed, or has other rows than the plan.
        """
        known = self._manifest.parts
        strange = {path.name for path in (self.folder / "predictions").glob("part-*.parquet")}
        strange -= {part.file_name for part in self.plan.parts}
        if strange:
            raise RunError(
                "a part that is none of this run's",
                where=self.folder / "predictions" / min(strange),
                do="move it away and run the same command again",
            )
        # A part that the manifest does not name was written by a process that was killed right then, or by somebody
        # else; it is made again.
        done = [part for part in self.plan.parts if part.file_name in known and _is_done(self._path(part), part, known)]
        self._manifest = replace(self._manifest, parts={part.file_name: known[part.file_name] for part in done})
        return [part for part in self.plan.parts if part.file_name not in self._manifest.parts]

    def go_on(self, part: Part, size: BatchSize) -> None:
        """Begin a part with the batch that the one before it ended with, whichever process made that.

        On a GPU the last digits, and with them a reply now and then, depend on the rows that are computed together: a
        run that was interrupted has to take the same batches as one that was not.
        """
        before = self._timing(part.number - 1)
        if before.exists():
            timing = store.read_timing(before)
            size.value, size.halved_count = timing.batch_size or size.value, timing.batch_halved_count

    def keep(self, part: Part, result: PartResult, size: BatchSize) -> None:
        """Write a part with its seconds.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        timing = Timing(
            seconds={stage: round(s, 4) for stage, s in result.seconds.items()},
            images=len(part.img_ids),
            questions=len(part.questions),
            phrases=len(part.phrases),
            batch_size=size.value,
            batch_halved_count=size.halved_count,
        )
        files.write_json(self._timing(part.number), asdict(timing))
        digest = store.write_part(self._path(part), result.predictions)
        self._manifest = replace(
            self._manifest, parts=dict(sorted([*self._manifest.parts.items(), (part.file_name, digest)]))
        )
        # After every part: one that is edited before the run goes on is found.
        store.write_manifest(self.folder, self._manifest)
        self._executed += 1

    def finish(self, size: BatchSize) -> None:
        """Write the manifest of a complete run. One whose parts were all there keeps what was measured back then.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        manifest, unchanged = self._manifest, self._earlier if self._executed == 0 else None
        if unchanged is not None and unchanged.complete:
            batch_size, halved, peak = unchanged.batch_size, unchanged.batch_halved_count, unchanged.peak_memory_mb
            manifest = replace(manifest, model_memory_mb=unchanged.model_memory_mb, hardware=unchanged.hardware)
        else:
            batch_size, halved = size.value, size.halved_count
            # The kernel counts the highest and the present memory apart, and may be some pages behind with the first.
            peak = max(machine.peak_memory_mb(manifest.device), manifest.model_memory_mb or 0.0)
        timings = store.open_run(self.folder).timings
        done = replace(
            manifest,
            complete=True,
            batch_size=batch_size,
            batch_halved_count=halved,
            seconds=round(float(sum(sum(timing.seconds.values()) for timing in timings)), 3),
            peak_memory_mb=peak,
        )
        store.write_manifest(self.folder, done)

    def _timing(self, number: int) -> Path:
        return self.folder / "timings" / f"part-{number:05d}.json"

    def _path(self, part: Part) -> Path:
        return self.folder / "predictions" / part.file_name


# What may lie in a folder whose manifest was never written: our lock, and what earlier versions wrote before it.
_LEFT_BEHIND = {LOCK, store.QUESTIONS, store.PHRASES, migration.REFERENCES, "predictions"}


def bind(folder: Path, recipe: Recipe) -> Manifest | None:
    """The manifest of a run that goes on; None for a new one.

    Raises:
        RunError: the folder holds another recipe, or something that is no run.
    """
    if not (folder / store.MANIFEST).exists():
        there = {path.name for path in folder.iterdir()} if folder.exists() else set()
        strange = sorted(name for name in there - _LEFT_BEHIND if not placing.is_unfinished(name))
        if strange:
            raise RunError(
                f"the folder is not empty and not a run: it holds {strange[0]}",
                where=folder,
                do="choose another --output",
            )
        placing.sweep_folder(folder)
        return None
    found = store.open_run(folder).manifest
    if found.recipe_digest != recipe.digest():
        raise RunError(
            "the folder holds a run of another recipe or suite",
            where=folder,
            do="choose another --output, or move the folder away",
        )
    for place in (folder, folder / "predictions", folder / "timings"):
        placing.sweep_folder(place)
    return found


def _is_done(path: Path, part: Part, digests: Mapping[str, str]) -> bool:
    """Whether a part is there and whole.

    Raises:
        RunError: it is there but damaged, changed, or has other rows than the plan.
    """
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
