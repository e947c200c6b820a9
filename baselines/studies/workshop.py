"""Trains and runs the arms of studies, and keeps what was made: an arm with a seed is made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.florence2.adapter_config import WEIGHTS
from gi_bench.baselines.florence2.adapters import CARD, read_card
from gi_bench.baselines.registration import backbone_pixels, backbone_source, definitions, entry_of
from gi_bench.baselines.studies.definitions import Arm, arm
from gi_bench.baselines.studies.first_images import FirstImages, question_limit
from gi_bench.baselines.studies.masks import MaskRoom, Say
from gi_bench.baselines.studies.seals import is_sealed, seal, unseal
from gi_bench.baselines.studies.settings import Settings, digest_of
from gi_bench.baselines.studies.sight import Eyes
from gi_bench.harness.checking import checked
from gi_bench.harness.errors import CheckpointError, DataError, GiBenchError
from gi_bench.harness.files import file_digest, write_bytes
from gi_bench.harness.store import read_manifest
from gi_bench.harness.suites.base import Suite

if TYPE_CHECKING:
    from gi_bench.baselines.training.adapter import AdapterDefaults
    from gi_bench.baselines.training.extra_rows import ExtraRows
    from gi_bench.baselines.training.settings import Running
    from gi_bench.harness.schema import Question, Recipe

# Negative questions for each question, where a suite has none of its own.
NEGATIVE_RATIO = 0.2
# The task whose rows are the same in all arms.
ANCHOR = "answer"
# The variant that is the backbone alone.
BARE = "florence2_zero_shot"


@dataclass(frozen=True)
class Card:
    """What a study reads of an adapter's ``card.json``."""

    steps: int
    rows_seen: Mapping[str, int]
    images_seen: int
    trainable_parameters: int
    seconds: float


@dataclass(frozen=True)
class Job:
    """One arm with one seed."""

    arm: str
    seed: int


class Workshop:
    """Trains and runs arms in this process; suites are loaded once."""

    def __init__(self, settings: Settings, folder: Path, say: Say, threads: int | None = None) -> None:
        """Make a workshop.

        Args:
            settings: how arms are trained and run.
            folder: where all that they make is kept.
            say: called with lines for the user.
            threads: of torch on a CPU; None for as many as there are free cores.
        """
        self.settings, self.folder, self._say, self._threads = settings, folder, say, threads
        self._whole: set[Path] = set()

    @cached_property
    def suite(self) -> Suite:
        """What is run on."""
        return self._load(self.settings.suite)

    @cached_property
    def train_suite(self) -> Suite:
        """What is trained on."""
        whole, limit = self._load(self.settings.train_suite), self.settings.train_limit
        return whole if limit is None or limit >= len(whole.image_ids) else FirstImages(whole, limit)

    def _load(self, name: str) -> Suite:
        from gi_bench.harness.registry import load_suite

        return load_suite(name, self.settings.data)

    @cached_property
    def masks(self) -> MaskRoom:
        """The masks that arms are trained on in the place of the suite's."""
        return MaskRoom(self.folder / "masks", self.train_suite, self.device, self._say)

    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        return self._running().resolved_device()

    @property
    def dtype(self) -> str:
        """What is trained and run in: embedded suites are small, and their numbers are to be as alike as they can."""
        return "float32" if self.train_suite.is_embedded else "auto"

    def _running(self, command: str = "", gradients: bool | None = None) -> Running:
        from gi_bench.baselines.training.settings import Running

        return Running(device=self.settings.device, dtype=self.dtype, command=command, gradients=gradients)

    def share_pictures(self) -> None:
        """Have the training pictures ready where they are rendered; once a process is enough."""
        from gi_bench.baselines.florence2.backbone import PictureSettings, resolve
        from gi_bench.baselines.studies.pictures import share_pictures

        if not self._shared:
            _, source = backbone_source(self.settings.backbone, self.suite.spec)
            share_pictures(self.folder / "pictures", self.train_suite, PictureSettings.read(resolve(source)))
            self._shared = True

    _shared: bool = False

    @cached_property
    def pixels(self) -> int:
        """Side of the square in which the backbone sees a picture, as far as its name tells."""
        name, _ = backbone_source(self.settings.backbone, self.suite.spec)
        return backbone_pixels(name) or 768

    @cached_property
    def _bound(self) -> dict[str, Any]:
        """What every arm's weights and answers depend on: other rows, images or weights are another experiment."""
        from gi_bench.baselines.florence2.backbone import resolve, weights_digest

        _, source = backbone_source(self.settings.backbone, self.suite.spec)
        return {
            "settings": self.settings.training(),
            "backbone": weights_digest(resolve(source)),
            "dtype": self._running().resolved_dtype(),
            "suite": self.suite.fingerprint,
            "train suite": self.train_suite.fingerprint,
        }

    def place(self, one: Arm, seed: int) -> str:
        """Name of an arm's training: another variant, suite or backbone gives another one."""
        own: list[Any] = [asdict(one.variant), one.masks, one.explanations, dict(one.weights)]
        if "explain" in one.variant.train and (one.explanations == "file" or not self._has_explanations):
            own.append(self.settings.explanations_digest)
        return f"{one.name}-seed{seed}-{digest_of([self._bound, own])}"

    @cached_property
    def _has_explanations(self) -> bool:
        return any(row.explanation for row in self.train_suite.questions)

    def adapter(self, job: Job) -> Path | None:
        """Where the job's adapter lies or will lie; None where nothing is trained."""
        one = arm(job.arm)
        return self.folder / "adapters" / self.place(one, job.seed) if one.variant.adapter else None

    def is_trained(self, job: Job) -> bool:
        """Whether there is nothing left to train.

        Raises:
            GiBenchError: the adapter was changed after it was trained.
        """
        adapter = self.adapter(job)
        if adapter is None or adapter in self._whole:
            return True
        sealed = adapter.is_dir() and is_sealed(adapter)
        if sealed or (adapter / CARD).is_file():
            read_training(adapter)
            if not sealed:  # just trained, or by an earlier version
                seal(adapter)
            self._whole.add(adapter)
        return adapter in self._whole

    def finished_run(self, job: Job) -> Path | None:
        """The job's finished run, relative to the workshop's folder; None where it is not finished.

        A note that names no run of the job's own adapter counts as none: the run is looked for, or made.

        Raises:
            GiBenchError: the adapter or the run's manifest was changed.
        """
        try:
            noted = self._done(job).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return None
        there = (one.relative_to(self.folder) for one in (self.folder / "runs" / job.arm).glob("*/*"))
        path = next((one for one in there if str(one) == noted), None)
        if path is None or not (self.folder / path / "scores.json").is_file() or not self.is_trained(job):
            return None
        return path if self._is_run_of(job, read_manifest(self.folder / path).recipe) else None

    def _is_run_of(self, job: Job, recipe: Recipe) -> bool:
        adapter = self.adapter(job)
        told = recipe.model.get("adapter_files")
        weights = str(told.get(WEIGHTS, "")) if isinstance(told, dict) else ""
        same = not weights if adapter is None else weights and file_digest(adapter / WEIGHTS).startswith(weights)
        return bool(same) and (recipe.variant, recipe.seed) == (arm(job.arm).variant.name, job.seed)

    def _done(self, job: Job) -> Path:
        return self.folder / "finished" / self.place(arm(job.arm), job.seed)

    def make(self, job: Job) -> Path:
        """Train an arm with a seed and run it; what is finished already is taken.

        Returns:
            The run folder, relative to the workshop's.

        Raises:
            GiBenchError: rows, masks or weights are missing, or the training fails.
        """
        path = self.finished_run(job)
        if path is None:
            path = self.run(job, self._checkpoint(job), self.folder / "runs" / job.arm).relative_to(self.folder)
            write_bytes(self._done(job), f"{path}\n".encode())
        one, adapter = arm(job.arm), self.adapter(job)
        if self.settings.seeing and adapter is not None and self.is_trained(job):
            self.eyes.look(self.place(one, job.seed), one.variant, adapter, self.folder / path)
        return path

    @cached_property
    def eyes(self) -> Eyes:
        """Looks at networks."""
        return Eyes(self.folder / "seeing", self.settings, lambda: (self.suite, self.train_suite), self._say)

    @property
    def backbone_place(self) -> str:
        """Name of what is found of the backbone."""
        return f"backbone-{digest_of(self._bound)}"

    def look_at_backbone(self) -> None:
        """Look at the network that no arm has trained yet."""
        if self.settings.seeing:
            self.eyes.look(self.backbone_place, definitions()[BARE], None, None)

    def run(self, job: Job, adapter: Path | None, output: Path, *, images: int | None = None) -> Path:
        """Run an arm on the suite.

        Args:
            job: arm and seed.
            adapter: its adapter; None for the bare backbone.
            output: parent of the run folders.
            images: of the suite, at most; None for as many as the settings say.
        """
        from gi_bench.harness.engine.run import Settings as RunSettings
        from gi_bench.harness.engine.run import evaluate

        settings, limit = self.settings, images or self.settings.limit
        run = RunSettings(
            device=settings.device,
            dtype=self.dtype,
            threads=self._threads,
            seed=job.seed,
            backbone=settings.backbone,
            beams=settings.beams,
            checkpoint=None if adapter is None else str(adapter),
            limit=None if limit is None else question_limit(self.suite, limit),
        )
        (finished,) = evaluate([entry_of(arm(job.arm).variant)], self.suite, output=output, settings=run)
        return finished.path

    def _checkpoint(self, job: Job) -> Path | None:
        """The arm's adapter, trained if it is not there."""
        from gi_bench.baselines.training.adapter import clean_beside

        folder = self.adapter(job)
        if folder is not None and self.is_trained(job):
            clean_beside(folder)
        elif folder is not None:
            unseal(folder)
            self.train(job, folder)
            self.is_trained(job)
        return folder

    def train(self, job: Job, folder: Path, *, one: Arm | None = None, trial: int | None = None) -> None:
        """Train an arm's adapter.

        Args:
            job: arm and seed.
            folder: where the adapter goes.
            one: what is trained, where it is not the job's arm as it is.
            trial: steps of a trial, which measures nothing on the way; None for as many as the settings say.
        """
        from gi_bench.baselines.florence2.backbone import load_backbone
        from gi_bench.baselines.training.adapter import Choices, Material, train_adapter

        self.share_pictures()
        settings, one = self.settings, one or arm(job.arm)
        name, source = backbone_source(settings.backbone, self.suite.spec)
        backbone = load_backbone(source)
        train_adapter(
            one.variant,
            backbone,
            name,
            Material(self.train_suite, self._extra(one, job.seed)),
            folder,
            choices=Choices(
                epochs=settings.epochs,
                steps=trial or settings.steps,
                seed=job.seed,
                rows=settings.answer_rows,
                loss_weights=one.weights,
                anchor=ANCHOR,
                epoch_rows=self.epoch_rows(backbone.pictures.width),
            ),
            running=self._running(f"gi-bench study, arm {one.name}", None if trial is None else False),
            say=lambda line: None if trial else self._say(f"{one.name}, seed {job.seed}: {line}"),
        )

    def epoch_rows(self, pixels: int) -> dict[str, int]:
        """By task how many rows an epoch takes, in every arm that trains it: as many as the suite's own rows give.

        What an arm's masks or explanations lack is made up for by taking the others more often.

        Args:
            pixels: side of the square in which the backbone sees a picture.
        """
        if self._counts is None:
            from gi_bench.baselines.training.rows import task_examples

            self._counts = {}
            for task in ("explain", "ground"):
                try:
                    found = task_examples(self.train_suite, (task,), extra=self.explanations("suite"))
                except GiBenchError:
                    continue  # the suite has none; what an arm is given then counts itself
                self._counts |= found.count()
        weights = self.defaults(pixels).mixture.weights
        return {task: max(1, round(weights.get(task, 1.0) * count)) for task, count in self._counts.items()}

    _counts: dict[str, int] | None = None

    @staticmethod
    def defaults(pixels: int) -> AdapterDefaults:
        """Settings of a training by the side of the square in which the backbone sees a picture."""
        from gi_bench.baselines.training.adapter import defaults_for

        return defaults_for(pixels)

    def _extra(self, one: Arm, seed: int) -> ExtraRows | None:
        """Rows besides the suite's own: masks and explanations of the arm, and negatives where the suite has none."""
        from gi_bench.baselines.training.extra_rows import ExtraRows, read_extra_rows

        extra = ExtraRows()
        if "explain" in one.variant.train:
            extra = self.explanations(one.explanations) or extra
        if one.noise is not None:
            files = {**extra.files, "masks": f"{one.masks}, seed {seed}"}
            extra = replace(extra, masks=self.masks.noisy(one.noise, seed), files=files)
        elif one.masks != "suite":
            read = read_extra_rows(self.train_suite, masks=self.masks.file(one.masks))
            extra = replace(extra, masks=read.masks, files={**extra.files, **read.files})
        if not one.variant.negatives or any(phrase.is_negative for phrase in self.train_suite.phrases):
            return extra
        from gi_bench.harness.suites.negatives import make_negatives

        made, _ = make_negatives(self.train_suite, NEGATIVE_RATIO, seed)
        rows = tuple((row.img_id, row.question, row.answer, row.phrase) for row in made)
        return replace(extra, negatives=rows)

    def explanations(self, kind: str) -> ExtraRows | None:
        """Explanations in the place of the suite's own; None for the suite's own.

        Raises:
            DataError: an arm asks for the user's file, and there is none.
        """
        from gi_bench.baselines.data import wordings
        from gi_bench.baselines.training.extra_rows import ExtraRows

        given = self.settings.explanations
        if kind == "file" and given is None:
            raise DataError("no file with explanations", do="give --explanations FILE, or leave this arm out")
        if kind == "file" or (kind == "suite" and given is not None and not self._has_explanations):
            return self._given_explanations
        if kind == "suite":
            return None
        questions = self._explained()
        name, _, count = kind.partition(":")
        rows = wordings.templated(questions) if name == "template" else wordings.thinned(questions, int(count))
        if not rows:
            raise DataError(
                "no explanations to make simpler ones of", where=self.train_suite.name, do="give --explanations FILE"
            )
        return ExtraRows(explanations=tuple(rows), own_explanations=False, files={"explanations": kind})

    @cached_property
    def _given_explanations(self) -> ExtraRows:
        """The user's explanations of the images that are trained on; the file may hold the whole suite's."""
        from gi_bench.baselines.training.extra_rows import read_extra_rows

        whole, given = self._load(self.settings.train_suite), self.settings.explanations
        read = read_extra_rows(whole, explanations=given)
        known = frozenset(self.train_suite.image_ids)
        rows = tuple(row for row in read.explanations if row[0] in known)
        if not rows:
            raise DataError(
                f"the file explains none of the {len(known)} images that are trained on",
                where=given,
                do="give a larger --train-limit, or another file",
            )
        return replace(read, explanations=rows, own_explanations=False)

    def _explained(self) -> Sequence[Question]:
        """The questions with their explanations: the suite's, else the user's."""
        if self._has_explanations or self.settings.explanations is None:
            return self.train_suite.questions
        read = self._given_explanations.explanations
        texts = {(img_id, question): text for img_id, question, text in read}
        rows = [(row, texts.get((row.img_id, row.question))) for row in self.train_suite.questions]
        return [replace(row, explanation=text) for row, text in rows if text is not None]

    def card(self, job: Job) -> Card | None:
        """What the job's adapter says of its training; None where there is none.

        Raises:
            GiBenchError: the adapter was changed after it was trained.
        """
        adapter = self.adapter(job)
        return read_training(adapter) if adapter is not None and self.is_trained(job) else None


def read_training(adapter: Path) -> Card:
    """What an adapter says of its training.

    Raises:
        CheckpointError: the card is damaged or lacks a field.
    """
    content = read_card(adapter)
    known = {one.name: content[one.name] for one in fields(Card) if one.name in content}
    do = f"put it back, or delete {adapter.name}, and it is trained again"
    return checked(known, Card, adapter / CARD, do=do, error=CheckpointError)
