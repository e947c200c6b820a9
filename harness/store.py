"""Run folders: written by the engine, read by everything that comes after it.

A run folder holds::

    manifest.json            recipe, suite fingerprint, code version, packages, hardware, seed, dtype, batch
    references.parquet       the suite's rows with references, so that no later step needs the suite
    predictions/part-*.parquet
    timings/part-*.json      seconds by stage (kept apart: predictions repeat byte for byte, time does not)
    previews.parquet         small pictures of a fixed sample of images, for reports
    scores.json

Every file is written beside its place and moved into it, so that a reader never meets half a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pyarrow as pa

from gi_bench.harness.errors import RunError
from gi_bench.harness.files import read_json, read_table
from gi_bench.harness.metrics.settings import MetricSettings
from gi_bench.harness.model import NOT_COVERED
from gi_bench.harness.schema import (
    SCHEMA_VERSION,
    AtomicPair,
    MetricInfo,
    Phrase,
    Prediction,
    Question,
    Region,
    Score,
    Scores,
)

if TYPE_CHECKING:
    import pandas

_REGION = pa.struct(
    [
        ("label", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("counts", pa.string()),
        ("score", pa.float32()),
    ]
)
_PAIR = pa.struct([("question", pa.string()), ("answer", pa.string())])

PREDICTION_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("index", pa.int32()),
        ("img_id", pa.string()),
        ("answer", pa.string()),
        ("confidence", pa.float32()),
        ("explanation", pa.string()),
        ("phrase", pa.string()),
        ("regions", pa.list_(_REGION)),
        ("token_count", pa.int32()),
        ("warnings", pa.list_(pa.string())),
        ("log_prob", pa.float32()),
        ("margin", pa.float32()),
        ("entropy", pa.float32()),
        ("region_state", pa.string()),
        ("region_reply", pa.string()),
    ]
)
# Columns that came after the first stored runs: a file without one has null there.
_ADDED_LATER = frozenset({"entropy", "region_state", "region_reply"})

REFERENCE_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("index", pa.int32()),
        ("img_id", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("question_class", pa.list_(pa.string())),
        ("complexity", pa.int8()),
        ("original", pa.list_(_PAIR)),
        ("explanation", pa.string()),
        ("is_negative", pa.bool_()),
        ("finding", pa.string()),
        ("wants_explanation", pa.bool_()),
        ("phrase", pa.string()),
        ("label", pa.string()),
        ("region", _REGION),
    ]
)

PREVIEW_SCHEMA = pa.schema(
    [("img_id", pa.string()), ("width", pa.int32()), ("height", pa.int32()), ("jpeg", pa.binary())]
)


def _region_row(region: Region | None) -> dict[str, Any] | None:
    return None if region is None else asdict(region)


def _region(row: Mapping[str, Any] | None) -> Region | None:
    return None if row is None else Region(**row)


def predictions_table(predictions: Iterable[Prediction]) -> pa.Table:
    """Predictions as an Arrow table of :data:`PREDICTION_SCHEMA`."""
    rows = [
        {
            "kind": p.kind,
            "index": p.index,
            "img_id": p.img_id,
            "answer": p.answer,
            "confidence": p.confidence,
            "explanation": p.explanation,
            "phrase": p.phrase,
            "regions": None if p.regions is None else [_region_row(r) for r in p.regions],
            "token_count": p.token_count,
            "warnings": list(p.warnings),
            "log_prob": p.log_prob,
            "margin": p.margin,
            "entropy": p.entropy,
            "region_state": p.region_state,
            "region_reply": p.region_reply,
        }
        for p in predictions
    ]
    return pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)


def read_predictions(path: Path) -> list[Prediction]:
    """Read one part of a run's predictions.

    Raises:
        RunError: missing, damaged, or with other columns.
    """
    return predictions_from_table(read_table(path, PREDICTION_SCHEMA, _ADDED_LATER))


def predictions_from_table(table: pa.Table) -> list[Prediction]:
    """The inverse of :func:`predictions_table`."""
    found = []
    for row in table.to_pylist():
        regions = row.pop("regions")
        warnings = tuple(row.pop("warnings") or ())
        shown = None if regions is None else tuple(Region(**r) for r in regions)
        found.append(Prediction(**row, regions=shown, warnings=warnings))
    return found


def references_table(questions: Sequence[Question], phrases: Sequence[Phrase]) -> pa.Table:
    """A suite's rows as an Arrow table of :data:`REFERENCE_SCHEMA`, questions first."""
    rows: list[dict[str, Any]] = []
    for q in questions:
        row = asdict(q)
        row["question_class"] = list(q.question_class)
        row["original"] = [asdict(pair) for pair in q.original]
        rows.append({"kind": "question", **row})
    for p in phrases:
        rows.append(
            {
                "kind": "phrase",
                "index": p.index,
                "img_id": p.img_id,
                "phrase": p.phrase,
                "label": p.label,
                "region": _region_row(p.region),
                "is_negative": p.is_negative,
            }
        )
    return pa.Table.from_pylist(rows, schema=REFERENCE_SCHEMA)


def references_from_table(table: pa.Table) -> tuple[list[Question], list[Phrase]]:
    """The inverse of :func:`references_table`."""
    questions, phrases = [], []
    for row in table.to_pylist():
        if row["kind"] == "question":
            questions.append(
                Question(
                    index=row["index"],
                    img_id=row["img_id"],
                    question=row["question"],
                    answer=row["answer"],
                    question_class=tuple(row["question_class"]),
                    complexity=row["complexity"],
                    original=tuple(AtomicPair(**pair) for pair in row["original"]),
                    explanation=row["explanation"],
                    is_negative=row["is_negative"],
                    finding=row["finding"],
                    wants_explanation=row["wants_explanation"],
                )
            )
        else:
            phrases.append(
                Phrase(
                    index=row["index"],
                    img_id=row["img_id"],
                    phrase=row["phrase"],
                    label=row["label"],
                    region=_region(row["region"]),
                    is_negative=row["is_negative"],
                )
            )
    return questions, phrases


def scores_to_json(scores: Scores) -> dict[str, Any]:
    """Scores as plain JSON values."""
    return asdict(scores)


def scores_from_json(content: Mapping[str, Any], where: object = "") -> Scores:
    """The inverse of :func:`scores_to_json`.

    Raises:
        RunError: another schema version or missing fields.
    """
    if content.get("schema_version") != SCHEMA_VERSION:
        raise RunError(
            f"scores of schema version {content.get('schema_version')!r}, expected {SCHEMA_VERSION}",
            where=where,
            do="score the run again: gi-bench score RUN",
        )
    try:
        fields = dict(content)
        fields["metrics"] = tuple(MetricInfo(**m) for m in fields["metrics"])
        fields["scores"] = tuple(Score(**s) for s in fields["scores"])
        fields["notes"] = tuple(fields["notes"])
        return Scores(**fields)
    except (KeyError, TypeError) as error:
        raise RunError(
            f"scores with unexpected fields: {error}",
            where=where,
            do="score the run again: gi-bench score RUN",
        ) from error


Made = TypeVar("Made")


@dataclass(frozen=True)
class Run:
    """A run folder, read. Attributes load when they are first used.

    Attributes:
        path: the folder.
        settings: encoders and judges of its metrics.
        memo: what several metrics make of this run, by name, so that it is made once.
        only: (kind, index) of the rows that are looked at; None for all.
    """

    path: Path
    settings: MetricSettings = field(default_factory=MetricSettings)
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    only: frozenset[tuple[str, int]] | None = None

    def once(self, name: str, make: Callable[[Run], Made]) -> Made:
        """What ``make`` gives for this run, made at the first call with this name."""
        if name not in self.memo:
            self.memo[name] = make(self)
        found: Made = self.memo[name]
        return found

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Content of ``manifest.json``."""
        content = read_json(self.path / "manifest.json")
        if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
            raise RunError(
                f"not a run of schema version {SCHEMA_VERSION}",
                where=self.path / "manifest.json",
                do="run again with this version",
            )
        return content

    @property
    def variant(self) -> str:
        """Name of the variant that made the predictions."""
        return str(self.manifest["recipe"]["variant"])

    @property
    def suite(self) -> str:
        """Name of the suite."""
        return str(self.manifest["recipe"]["suite"])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the suite."""
        return str(self.manifest["recipe"]["fingerprint"])

    @property
    def role(self) -> str:
        """``floor`` for a variant that never looks, ``ceiling`` for one that knows the references, else ``model``."""
        settings = self.manifest["recipe"].get("model")
        found = settings.get("role") if isinstance(settings, dict) else None
        return found if found in ("floor", "ceiling") else "model"

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

    @cached_property
    def _all_references(self) -> tuple[list[Question], list[Phrase]]:
        return references_from_table(read_table(self.path / "references.parquet", REFERENCE_SCHEMA))

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
        for path in sorted((self.path / "predictions").glob("part-*.parquet")):
            for prediction in read_predictions(path):
                found[prediction.kind, prediction.index] = prediction
        return found

    @cached_property
    def seen_images(self) -> frozenset[str] | None:
        """Images of this run that the model was trained on; None where its training images are not known."""
        path = self.path / "training.json"
        if not path.exists():
            return None
        return frozenset(str(img_id) for img_id in read_json(path)["seen"])

    @cached_property
    def scores(self) -> Scores:
        """Content of ``scores.json``."""
        path = self.path / "scores.json"
        if not path.exists():
            raise RunError("the run has no scores yet", where=path, do="finish it with the same gi-bench run")
        return scores_from_json(read_json(path), where=path)

    @cached_property
    def timings(self) -> list[dict[str, Any]]:
        """Seconds by stage, one entry a part."""
        return [read_json(path) for path in sorted((self.path / "timings").glob("part-*.json"))]

    @cached_property
    def previews(self) -> dict[str, tuple[int, int, bytes]]:
        """Pictures for reports: (original width, original height, JPEG bytes) by image id."""
        path = self.path / "previews.parquet"
        if not path.exists():
            return {}
        rows = read_table(path, PREVIEW_SCHEMA).to_pylist()
        return {row["img_id"]: (row["width"], row["height"], row["jpeg"]) for row in rows}

    def to_frame(self, kind: Literal["questions", "phrases"] = "questions") -> pandas.DataFrame:
        """Its rows with references and predictions as a pandas frame; see :func:`gi_bench.harness.frames.run_frame`."""
        from gi_bench.harness.frames import run_frame

        return run_frame(self, kind)

    def __fspath__(self) -> str:
        return str(self.path)


# Everything of a run but its scores, which come after it.
_PARTS = ("manifest.json", "references.parquet", "previews.parquet", "training.json", "predictions", "timings")


def made_parts(folder: Path) -> list[Path]:
    """Files and folders that the engine makes of a run, whether they are there or not."""
    return [folder / name for name in _PARTS]


def run_parts(folder: Path) -> list[Path]:
    """All files and folders of a run that something can be made from."""
    return [*made_parts(folder), folder / "scores.json"]


def open_run(path: Run | PathLike[str] | str) -> Run:
    """Open a run folder; a run that is open is given back as it is.

    Raises:
        RunError: it is not one.
    """
    if isinstance(path, Run):
        return path
    folder = Path(path)
    if not (folder / "manifest.json").is_file():
        raise RunError(
            "not a run folder: it has no manifest.json",
            where=folder,
            do="give a folder that gi-bench run wrote",
        )
    run = Run(folder)
    recipe = run.manifest.get("recipe")
    if not isinstance(recipe, dict) or not {"variant", "suite", "fingerprint"} <= recipe.keys():
        raise RunError("the manifest has no recipe", where=folder / "manifest.json", do="run again")
    return run


__all__ = [
    "PREDICTION_SCHEMA",
    "PREVIEW_SCHEMA",
    "REFERENCE_SCHEMA",
    "Run",
    "made_parts",
    "open_run",
    "predictions_from_table",
    "predictions_table",
    "read_predictions",
    "references_from_table",
    "references_table",
    "run_parts",
    "scores_from_json",
    "scores_to_json",
]
