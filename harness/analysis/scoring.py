"""A run to ``scores.json``: every metric, every slice, every interval. Reads files only.

Intervals are over images, because the questions of one image are not independent (:mod:`gi_bench.harness.intervals`).
Every metric is a function of sums over rows, so that a resample of images costs one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gi_bench.harness import provenance
from gi_bench.harness.analysis.definitions import metrics_key
from gi_bench.harness.analysis.kept import statistics_of
from gi_bench.harness.files import write_json
from gi_bench.harness.intervals import (
    INTERVAL_VERSION,
    METHOD,
    Bounds,
    beside_unseen,
    bootstrap_interval,
    rate_interval,
)
from gi_bench.harness.locks import holding
from gi_bench.harness.metric_settings import MetricSettings, encoders_state
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.metrics.participation import notes as participation_notes
from gi_bench.harness.metrics.participation import tally
from gi_bench.harness.metrics.wording import wording_notes
from gi_bench.harness.placing import sweep
from gi_bench.harness.schema import MetricInfo, Score, Scores
from gi_bench.harness.statistics import LEVEL, Bootstrap, Floats, encode, shared_bootstrap, sums_by_image
from gi_bench.harness.store import Run, content_digest, made_parts, open_run, scores_to_json

RESAMPLES = 1000


def score_run(
    path: Run | Path | str,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    metrics: Mapping[str, Metric] | None = None,
    settings: MetricSettings | None = None,
    write: bool = True,
) -> Scores:
    """Score a finished run and write its ``scores.json``.

    Args:
        path: run folder, or a run.
        resamples: bootstrap resamples; 0 leaves the intervals out.
        seed: seed of the resampling.
        metrics: metrics by name; None for all registered ones.
        settings: encoders and judges; None for the run's own, or the defaults, which need no network.
        write: False leaves ``scores.json`` as it is.

    Returns:
        The scores.

    Raises:
        RunError: the folder is not a run, or predictions are missing.
    """
    run = open_run(path)
    if settings is not None:
        run = replace(run, settings=settings)
    if metrics is None:
        from gi_bench.harness.registry import registered

        metrics = registered("gi_bench.metrics")
    found = _Computed(counts=_counts(run))
    bootstrap = shared_bootstrap(resamples, seed)
    for name, metric in metrics.items():
        _compute(name, metric, run, bootstrap, found)
    result = Scores(
        suite=run.suite,
        fingerprint=run.fingerprint,
        variant=run.variant,
        recipe_digest=run.manifest.recipe_digest,
        interval_method=METHOD.format(resamples=resamples, seed=seed) if resamples else "no intervals",
        interval_version=INTERVAL_VERSION,
        metrics=tuple(found.infos),
        scores=tuple(found.scores),
        not_computed=found.not_computed,
        notes=(*_notes(run), *wording_notes(found.scores)),
        counts=found.counts,
        states=tally(run),
        made_from=run.made_from,
    )
    result = replace(result, digest=content_digest(scores_to_json(result)))
    if write:
        _write(run, result, _made_from(run, metrics, resamples, seed))
    return result


def _write(run: Run, scores: Scores, made_from: str | None) -> None:
    written = run.path / "scores.json"
    with holding(run.path):
        write_json(written, scores_to_json(scores))
    if made_from is not None:
        provenance.remember([written], made_from)


@dataclass
class _Computed:
    """What metrics gave so far."""

    counts: dict[str, int]
    scores: list[Score] = field(default_factory=list)
    infos: list[MetricInfo] = field(default_factory=list)
    not_computed: dict[str, str] = field(default_factory=dict)


def _compute(name: str, metric: Metric, run: Run, bootstrap: Bootstrap, found: _Computed) -> None:
    """Add the scores of one metric in all slices, or why there are none."""
    try:
        statistics = statistics_of(metric, run)
    except Exception as error:  # a metric of a plugin must not cost the other metrics
        statistics = f"{type(error).__name__}: {error}"
    if isinstance(statistics, str):
        found.not_computed[name] = statistics
        return
    info = statistics.info or metric.info
    found.infos.append(info)
    if run.seen_images:  # with none seen the slice would repeat the whole
        statistics = _with_training(statistics, run.seen_images)
    found.scores.extend(_scores(name, statistics, bootstrap, info))
    for reason, count in statistics.counts.items():
        if count:
            found.counts[f"{name}: {reason}"] = count


def current_scores(
    path: Path | str, *, resamples: int = RESAMPLES, settings: MetricSettings | None = None
) -> Scores | None:
    """The stored scores of a run where scoring it again would give the same bytes.

    None where predictions, references, a definition, the code, an encoder or ``scores.json`` itself changed since,
    where changed files are accepted, and where a metric is not this package's.

    Args:
        path: run folder.
        resamples: as in :func:`score_run`.
        settings: as in :func:`score_run`.

    Raises:
        RunError: the folder is not a run.
    """
    from gi_bench.harness.registry import registered

    run = open_run(path)
    if settings is not None:
        run = replace(run, settings=settings)
    # Somebody else may be about to change what would be found current.
    with holding(run.path):
        made_from = _made_from(run, registered("gi_bench.metrics"), resamples, 0)
        if made_from is None or not provenance.is_current([run.path / "scores.json"], made_from):
            return None
        # What a killed attempt left: nothing is written here that would take it away.
        sweep(run.path / "scores.json")
        return run.scores


def _made_from(run: Run, metrics: Mapping[str, Metric], resamples: int, seed: int) -> str | None:
    """Digest of everything that decides the scores; None where that is not known."""
    known, encoders = metrics_key(metrics), encoders_state(run.settings)
    if known is None or encoders is None or run.accept_changed:
        return None
    content = provenance.content_of(made_parts(run.path))
    return provenance.digest_of("scores", content, known, encoders, repr(run.settings), resamples, seed)


def _with_training(statistics: Statistics, seen: frozenset[str]) -> Statistics:
    """Add the slice ``training``: rows of images that the model was trained on, and the others."""
    labels = tuple(("seen",) if img_id in seen else ("unseen",) for img_id in statistics.images)
    return replace(statistics, slices={**statistics.slices, "training": labels})


_LEARNT = (
    ("training_rows", "learnt from: rows"),
    ("training_rows_of_asked_images", "learnt from: rows of images asked about, left out for their own image"),
)


def _counts(run: Run) -> dict[str, int]:
    questions, phrases = run.questions, run.phrases
    counts = {
        "questions": len(questions),
        "phrases": len(phrases),
        "images": len({q.img_id for q in questions} | {p.img_id for p in phrases}),
        "missing predictions": sum(("question", q.index) not in run.predictions for q in questions)
        + sum(("phrase", p.index) not in run.predictions for p in phrases if "ground" in run.recipe.tasks),
    }
    for kind, what in (("question", "questions"), ("phrase", "phrases")):
        left = sum(row_kind == kind for row_kind, _ in run.not_covered)
        if left:
            counts[f"{what} not covered"] = left
    taught = run.recipe.model
    for name, what in _LEARNT:
        if isinstance(taught.get(name), int):
            counts[what] = taught[name]
    for prediction in run.predictions.values():
        for warning in prediction.warnings:
            counts[f"output: {warning}"] = counts.get(f"output: {warning}", 0) + 1
    return counts


def _notes(run: Run) -> Iterator[str]:
    if run.manifest.suite_note:
        yield run.manifest.suite_note
    if run.recipe.model.get("note"):
        yield str(run.recipe.model["note"])
    yield from run.manifest.remarks
    if run.seen_images:
        yield f"{len(run.seen_images):,} of {run.manifest.counts.images:,} images were seen in training"
    if run.role == "ceiling":
        yield f"{run.variant} is no model: it knows the references ({_covered(run)})"
    limit = run.recipe.limit
    if limit is not None:
        yield f"partial run: only the first {limit} questions"
    if not run.manifest.complete:
        yield "the run is not finished: missing predictions count as empty"
    yield from run.check_files(beside_scores=True)
    yield from participation_notes(run)


def _covered(run: Run) -> str:
    """Of how many rows a ceiling has a word."""
    left = run.not_covered
    counts = run.manifest.counts
    parts = []
    tasks = set(run.recipe.tasks)
    for kind, what, count, of in (
        ("question", "questions", counts.questions, {"answer", "explain"}),
        ("phrase", "phrases", counts.phrases, {"ground"}),
    ):
        out = sum(row_kind == kind for row_kind, _ in left)
        if count and tasks & of:
            parts.append(f"{count - out:,} of {count:,} {what}")
    return f"scored on the rows that it has a word on: {', '.join(parts)}"


def _scores(name: str, statistics: Statistics, bootstrap: Bootstrap, info: MetricInfo) -> Sequence[Score]:
    """Scores of a metric; those that rest on the suite alone are made once for all its runs."""
    known = _SHARED.get(name)
    if known is not None and known[0] is statistics and known[1] is bootstrap and known[2] == info:
        return known[3]
    scores = tuple(metric_scores(name, statistics, bootstrap, info))
    if statistics.of_suite:
        _SHARED[name] = (statistics, bootstrap, info, scores)
    return scores


# The last statistics that rest on a suite alone, what they were scored with, and their scores, by metric.
_SHARED: dict[str, tuple[Statistics, Bootstrap, MetricInfo, tuple[Score, ...]]] = {}


def metric_scores(
    name: str, statistics: Statistics, bootstrap: Bootstrap, info: MetricInfo | None = None
) -> Iterator[Score]:
    """The score over all rows, then over every value of every slice.

    Args:
        name: of the metric.
        statistics: what it made of a run.
        bootstrap: draws images; with no resamples there are no intervals.
        info: gives the metric's range; None where it has no bounds that an interval should know of.
    """
    scorer = _Scorer(name, statistics, bootstrap, info)
    yield scorer.score("all", "all", np.arange(len(statistics.sums)))
    for slice_by, labels in statistics.slices.items():
        for value, rows in _rows_by_value(labels):
            yield scorer.score(slice_by, value, rows)


# Most metrics of a run have the same rows in the same slices.
@lru_cache(maxsize=16)
def _rows_by_value(labels: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, npt.NDArray[np.int64]], ...]:
    """Rows of every value of a slice, sorted by value."""
    found: dict[str, list[int]] = {}
    for row, values in enumerate(labels):
        for value in dict.fromkeys(values):
            found.setdefault(value, []).append(row)
    return tuple((value, _fixed(np.array(found[value], dtype=np.int64))) for value in sorted(found))


@lru_cache(maxsize=16)
def _encoded(images: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], int]:
    codes, count = encode(images)
    return _fixed(codes), count


def _fixed(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The array, which several metrics are going to share, made read-only."""
    numbers.flags.writeable = False
    return numbers


class _Scorer:
    """Scores any rows of one metric."""

    def __init__(self, name: str, statistics: Statistics, bootstrap: Bootstrap, info: MetricInfo | None) -> None:
        self._name, self._statistics, self._bootstrap, self._info = name, statistics, bootstrap, info
        self._codes, self._images = _encoded(statistics.images)
        self._is_rate, self._counted = statistics.is_rate, statistics.counted

    def score(self, slice_by: str, slice_value: str, rows: npt.NDArray[np.int64]) -> Score:
        """The score of some rows; those that its value does not rest on count nowhere."""
        statistics = self._statistics
        rows = rows[self._counted[rows]]
        sums = statistics.sums_of(rows)
        value = math.nan
        if len(rows):
            value = statistics.point(rows) if statistics.point else float(statistics.value(sums.sum(axis=0)))
        codes = self._codes[rows]
        present = np.flatnonzero(np.bincount(codes, minlength=1))
        interval = self._interval(sums_by_image(sums, codes, self._images)[present], codes, value)
        return Score(
            metric=self._name,
            slice_by=slice_by,
            slice_value=slice_value,
            value=value if math.isfinite(value) else None,
            n=len(rows),
            image_count=len(present),
            interval_low=interval[0] if interval else None,
            interval_high=interval[1] if interval else None,
            level=LEVEL,
        )

    def _interval(self, by_image: Floats, codes: npt.NDArray[np.int64], value: float) -> Bounds | None:
        if self._bootstrap.resamples < 1:
            return None
        if self._is_rate:
            return rate_interval(by_image)
        found = bootstrap_interval(by_image, self._statistics.value, self._bootstrap)
        # A length has no bounds that it could reach: a thousand words are the end of a chart.
        info = self._info
        if found is None or info is None or not info.ranked or found[1] - found[0] > 1e-9:
            return found
        rows = np.bincount(codes)
        return beside_unseen(found, rows[rows > 0].astype(float), value, info.low, info.high)
