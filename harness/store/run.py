"""A run folder that is open: every file is read when it is first asked for, and one that was changed is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gi_bench.harness import migration
from gi_bench.harness.cache import file_digests
from gi_bench.harness.checking import checked
from gi_bench.harness.errors import ChangedError, RunError
from gi_bench.harness.files import read_json
from gi_bench.harness.metric_settings import MetricSettings
from gi_bench.harness.model import NOT_COVERED
from gi_bench.harness.schema import Manifest, Phrase, Picture, Prediction, Question, Recipe, Scores, SeenImages, Timing
from gi_bench.harness.store.contents import (
    RESCORE,
    content_digest,
    read_manifest,
    read_predictions,
    read_timing,
    scores_from_json,
)
from gi_bench.harness.store.layout import MANIFEST, PHRASES, QUESTIONS, pictures_path
from gi_bench.harness.tables import read_records, read_stored, records_of

if TYPE_CHECKING:
    import pandas

_accepted: ContextVar[bool] = ContextVar("accepted", default=False)


def accept_changes(wanted: bool = True) -> None:
    """Whether runs that are opened from here on may have files that were changed; see :attr:`Run.accept_changed`."""
    _accepted.set(wanted)


def accepts_changes() -> bool:
    """What :func:`accept_changes` said last, or False."""
    return _accepted.get()


Made = TypeVar("Made")


@dataclass(frozen=True)
class Run:
    """A run folder, read. Attributes load when they are first used.

    Attributes:
        path: the folder.
        settings: encoders and judges of its metrics.
        memo: what several metrics make of this run, by name, so that it is made once.
        only: (kind, index) of the rows that are looked at; None for all.
        accept_changed: go on where a file is missing or was changed after it was written, instead of refusing it.
        changes: by file, what was accepted so far.
    """

    path: Path
    settings: MetricSettings = field(default_factory=MetricSettings)
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    only: frozenset[tuple[str, int]] | None = None
    accept_changed: bool = False
    changes: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def once(self, name: str, make: Callable[[Run], Made]) -> Made:
        """What ``make`` gives for this run, made at the first call with this name."""
        if name not in self.memo:
            self.memo[name] = make(self)
        found: Made = self.memo[name]
        return found

    @cached_property
    def manifest(self) -> Manifest:
        """Content of ``manifest.json``."""
        return read_manifest(self.path)

    @property
    def recipe(self) -> Recipe:
        """What decided the predictions."""
        return self.manifest.recipe

    @property
    def variant(self) -> str:
        """Name of the variant that made the predictions."""
        return self.recipe.variant

    @property
    def suite(self) -> str:
        """Name of the suite."""
        return self.recipe.suite

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the suite."""
        return self.recipe.fingerprint

    @property
    def role(self) -> str:
        """``floor`` for a variant that never looks, ``ceiling`` for one that knows the references, else ``model``."""
        return self.recipe.role

    @cached_property
    def not_covered(self) -> frozenset[tuple[str, int]]:
        """Rows of which a ceiling has no word: they are no part of its run. Empty for everything else."""
        if self.role != "ceiling":
            return frozenset()
        return frozenset(key for key, p in self.predictions.items() if NOT_COVERED in p.warnings)

    def restricted(self, only: frozenset[tuple[str, int]]) -> Run:
        """The same run as if the suite had only these rows; what was read is shared."""
        found = replace(self, only=only if self.only is None else self.only & only, memo={})
        for name in ("manifest", "predictions", "not_covered", "seen_images", "_all_references"):
            if name in self.__dict__:
                found.__dict__[name] = self.__dict__[name]
        return found

    def asking(self, questions: Sequence[Question]) -> Run:
        """The same run with these records in the place of its questions; what was predicted is shared."""
        found = replace(self, memo={})
        for name in ("manifest", "predictions", "not_covered", "seen_images"):
            if name in self.__dict__:
                found.__dict__[name] = self.__dict__[name]
        found.__dict__["_all_references"] = (list(questions), self._all_references[1])
        return found

    @cached_property
    def _all_references(self) -> tuple[list[Question], list[Phrase]]:
        old = self.path / migration.REFERENCES
        if old.is_file() and not (self.path / QUESTIONS).exists():
            return migration.references(old)
        return self._stored(QUESTIONS, Question), self._stored(PHRASES, Phrase)

    def _stored(self, name: str, record: type[Made]) -> list[Made]:
        path = self.path / name
        try:
            return list(read_records(path, record, self.manifest.references))
        except ChangedError as error:
            self._accept(name, error)
        return records_of(read_stored(path), record, path)

    def _accept(self, name: str, error: ChangedError) -> None:
        """Go on in spite of a file that is missing or was changed, and keep in mind that it is.

        Raises:
            ChangedError: that is not wanted.
        """
        if not self.accept_changed:
            raise error
        self.changes[name] = error.what

    def check_files(self, *, beside_scores: bool = False) -> list[str]:
        """Read everything that numbers rest on, and say which files are not those that were written.

        Args:
            beside_scores: ``scores.json`` is about to be made again, and is not read.

        Returns:
            A sentence for each file that was accepted; none for a run that is as it was written.

        Raises:
            ChangedError: a file is missing or was changed, and that is not accepted.
            RunError: a file is damaged.
        """
        _ = self._all_references, self.predictions
        if not beside_scores and (self.path / "scores.json").exists():
            try:
                _ = self.scores
            except ChangedError:
                raise
            except RunError:  # not to be read at all: whoever needs them says so
                pass
        accepted = "accepted with --accept-changed"
        return [f"{self.variant}: {what} ({name}); {accepted}" for name, what in self.changes.items()]

    @property
    def digest_note(self) -> str:
        """What has to be said of scores in which a changed number would not be noticed; empty where it would."""
        if self.scores.digest:
            return ""
        return (
            f"{self.variant}: scores.json is of an earlier version and holds no digest, so that a changed number would "
            "not be noticed; gi-bench score RUN makes it anew"
        )

    @cached_property
    def _references(self) -> tuple[list[Question], list[Phrase]]:
        questions, phrases = self._all_references
        if self.only is None and not self.not_covered:
            return questions, phrases

        def covered(kind: str, index: int) -> bool:
            return (kind, index) not in self.not_covered and (self.only is None or (kind, index) in self.only)

        return (
            [question for question in questions if covered("question", question.index)],
            [phrase for phrase in phrases if covered("phrase", phrase.index)],
        )

    @property
    def questions(self) -> list[Question]:
        """The suite's questions that this run covers, with references."""
        return self._references[0]

    @property
    def phrases(self) -> list[Phrase]:
        """The suite's phrases that this run covers, with reference regions."""
        return self._references[1]

    @cached_property
    def predictions(self) -> dict[tuple[str, int], Prediction]:
        """All stored predictions by (kind, index)."""
        found: dict[tuple[str, int], Prediction] = {}
        for name in self._part_names():
            path = self.path / "predictions" / name
            for prediction in self._part(path):
                key = prediction.kind, prediction.index
                if key in found:
                    told = f"a second prediction of {prediction.kind} {prediction.index}"
                    do = "delete this file and run the same command again; --accept-changed keeps the first and says so"
                    self._accept(name, ChangedError(told, where=path, do=do))
                    continue
                found[key] = prediction
        return found

    def _part(self, path: Path) -> list[Prediction]:
        try:
            return read_predictions(path, self.manifest.parts)
        except ChangedError as error:
            self._accept(path.name, error)
        return read_predictions(path) if path.exists() else []

    def _part_names(self) -> list[str]:
        """Parts that belong to the run. Where the manifest names them, one that it does not name is none of them.

        Raises:
            ChangedError: such a part lies in the folder of a finished run.
        """
        there = {path.name for path in (self.path / "predictions").glob("part-*.parquet")}
        manifest = self.manifest
        if not manifest.parts and not manifest.references:
            return sorted(there)
        strange = sorted(there - set(manifest.parts))
        if strange and manifest.complete:
            path = self.path / "predictions" / strange[0]
            told = ChangedError(
                "a part that the run did not write",
                where=path,
                do="move it away; --accept-changed leaves it out and says so",
            )
            self._accept(path.name, told)
        return sorted(manifest.parts)

    @cached_property
    def made_from(self) -> str:
        """SHA-256 over the recipe and all files that numbers of this run are made from, as they lie there."""
        names = [QUESTIONS, PHRASES, migration.REFERENCES, "training.json"]
        paths = [self.path / name for name in names]
        paths += [self.path / "predictions" / name for name in self._part_names()]
        there = [path for path in paths if path.is_file()]
        digests = dict(
            zip((path.relative_to(self.path).as_posix() for path in there), file_digests(there), strict=True)
        )
        content = json.dumps([self.recipe.digest(), digests], sort_keys=True)
        return hashlib.sha256(content.encode("utf-8")).hexdigest()

    @cached_property
    def seen_images(self) -> frozenset[str] | None:
        """Images of this run that the model was trained on; None where its training images are not known."""
        path = self.path / "training.json"
        if not path.exists():
            return None
        again = "delete this file and run the same command again"
        return frozenset(checked(read_json(path, again), SeenImages, path, do=again, error=RunError).seen)

    @cached_property
    def scores(self) -> Scores:
        """Content of ``scores.json``."""
        path = self.path / "scores.json"
        if not path.exists():
            raise RunError("the run has no scores yet", where=path, do="finish it with the same gi-bench run")
        content = read_json(path, RESCORE)
        found = scores_from_json(content, where=path)
        if found.digest and found.digest != content_digest(content):
            self._refuse_scores(path, "the scores were changed after they were made: their SHA-256 is another")
        if found.made_from and found.made_from != self.made_from:
            _ = self._all_references, self.predictions  # where one of these was changed, it is named
            self._refuse_scores(path, "the scores were made from other predictions or references than are here")
        if found.recipe_digest != self.manifest.recipe_digest:
            self._refuse_scores(path, "the scores are of another run")
        return found

    def _refuse_scores(self, path: Path, what: str) -> None:
        do = f"{RESCORE}; --accept-changed takes them as they are and says so"
        self._accept(path.name, ChangedError(what, where=path, do=do))

    @cached_property
    def timings(self) -> list[Timing]:
        """Seconds by stage, one entry a part."""
        return [read_timing(path) for path in sorted((self.path / "timings").glob("part-*.json"))]

    @cached_property
    def pictures(self) -> dict[str, Picture]:
        """Small pictures for reports by image id, in the order of the suite; empty where none were kept."""
        path = pictures_path(self.path, self.fingerprint)
        if path.exists():
            found = records_of(read_stored(path), Picture, path)
        elif (self.path / migration.PREVIEWS).exists():
            found = migration.pictures(self.path / migration.PREVIEWS)
        else:
            found = []
        return {picture.img_id: picture for picture in found}

    def to_frame(self, kind: Literal["questions", "phrases"] = "questions") -> pandas.DataFrame:
        """Its rows with references and predictions as a pandas frame; see :func:`gi_bench.harness.frames.run_frame`."""
        from gi_bench.harness.frames import run_frame

        return run_frame(self, kind)

    def __fspath__(self) -> str:
        return str(self.path)


def open_run(path: Run | PathLike[str] | str, *, accept_changed: bool | None = None) -> Run:
    """Open a run folder; a run that is open is given back as it is.

    Args:
        path: the folder.
        accept_changed: see :attr:`Run.accept_changed`; None for what :func:`accept_changes` said last, or False.

    Raises:
        RunError: it is not one.
    """
    if isinstance(path, Run):
        return path
    folder = Path(path)
    if not (folder / MANIFEST).is_file():
        raise RunError(
            "not a run folder: it has no manifest.json",
            where=folder,
            do="give a folder that gi-bench run wrote",
        )
    run = Run(folder, accept_changed=_accepted.get() if accept_changed is None else accept_changed)
    _ = run.manifest
    return run


__all__ = ["Run", "accept_changes", "accepts_changes", "open_run"]
