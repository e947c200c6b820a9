"""A run to ``scores.json``: every metric, every slice, every interval. Reads files only.

Intervals are percentile bootstrap intervals over images: the questions of one image are not independent, so whole
images are drawn with replacement. Every metric is a function of sums over rows, so that a resample costs one
matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.metrics.base import Metric, Statistics
from harness.metrics.settings import MetricSettings
from harness.metrics.wording import wording_notes
from harness.schema import MetricInfo, Score, Scores
from harness.statistics import LEVEL, Bootstrap, clustered_wilson, encode, sums_by_image
from harness.store import Run, open_run, scores_to_json, write_json


def score_run(
    path: Path | str,
    *,
    resamples: int = 1000,
    seed: int = 0,
    metrics: Mapping[str, Metric] | None = None,
    settings: MetricSettings | None = None,
) -> Scores:
    """Score a finished run and write its ``scores.json``.

    Args:
        path: run folder.
        resamples: bootstrap resamples; 0 leaves the intervals out.
        seed: seed of the resampling.
        metrics: metrics by name; None for all registered ones.
        settings: encoders and judges; None for the defaults, which need no network.

    Returns:
        The scores as written.

    Raises:
        RunError: the folder is not a run, or predictions are missing.
    """
    run = open_run(path)
    if settings is not None:
        run = replace(run, settings=settings)
    if metrics is None:
        from harness.registry import registered

        metrics = registered("gi_bench.metrics")
    scores: list[Score] = []
    infos: list[MetricInfo] = []
    not_computed: dict[str, str] = {}
    counts = _counts(run)
    bootstrap = Bootstrap(resamples, seed)
    for name, metric in metrics.items():
        try:
            statistics = metric.compute(run)
        except Exception as error:  # a metric of a plugin must not cost the other metrics
            statistics = f"{type(error).__name__}: {error}"
        if isinstance(statistics, str):
            not_computed[name] = statistics
            continue
        infos.append(statistics.info or metric.info)
        if run.seen_images:  # with none seen the slice would repeat the whole
            statistics = _with_training(statistics, run.seen_images)
        scores.extend(metric_scores(name, statistics, bootstrap))
        for reason, count in statistics.counts.items():
            if count:
                counts[f"{name}: {reason}"] = count
    result = Scores(
        suite=run.suite,
        fingerprint=run.fingerprint,
        variant=run.variant,
        recipe_digest=str(run.manifest["recipe_digest"]),
        interval_method=(
            f"percentile bootstrap over images, {resamples} resamples, seed {seed}; for rates of false alarms Wilson "
            "with n divided by the design effect of images"
        ),
        metrics=tuple(infos),
        scores=tuple(scores),
        not_computed=not_computed,
        notes=(*_notes(run), *wording_notes(scores)),
        counts=counts,
    )
    write_json(run.path / "scores.json", scores_to_json(result))
    return result


def _with_training(statistics: Statistics, seen: frozenset[str]) -> Statistics:
    """Add the slice ``training``: rows of images that the model was trained on, and the others."""
    labels = tuple(("seen",) if img_id in seen else ("unseen",) for img_id in statistics.images)
    return replace(statistics, slices={**statistics.slices, "training": labels})


def _counts(run: Run) -> dict[str, int]:
    questions, phrases = run.questions, run.phrases
    counts = {
        "questions": len(questions),
        "phrases": len(phrases),
        "images": len({q.img_id for q in questions} | {p.img_id for p in phrases}),
        "missing predictions": sum(("question", q.index) not in run.predictions for q in questions)
        + sum(("phrase", p.index) not in run.predictions for p in phrases),
    }
    for prediction in run.predictions.values():
        for warning in prediction.warnings:
            counts[f"output: {warning}"] = counts.get(f"output: {warning}", 0) + 1
    return counts


def _notes(run: Run) -> Iterator[str]:
    if run.manifest.get("suite_note"):
        yield str(run.manifest["suite_note"])
    if run.manifest["recipe"]["model"].get("note"):
        yield str(run.manifest["recipe"]["model"]["note"])
    if run.seen_images:
        yield f"{len(run.seen_images):,} of {run.manifest['counts']['images']:,} images were seen in training"
    limit = run.manifest["recipe"].get("limit")
    if limit is not None:
        yield f"partial run: only the first {limit} questions"
    if not run.manifest.get("complete", True):
        yield "the run is not finished: missing predictions count as empty"


def metric_scores(name: str, statistics: Statistics, bootstrap: Bootstrap) -> Iterator[Score]:
    """The score over all rows, then over every value of every slice."""
    codes, images = encode(statistics.images)
    everything = np.arange(len(statistics.sums))
    yield _score(name, "all", "all", statistics, everything, codes, images, bootstrap)
    for slice_by, labels in statistics.slices.items():
        rows_by_value: dict[str, list[int]] = {}
        for row, values in enumerate(labels):
            for value in dict.fromkeys(values):
                rows_by_value.setdefault(value, []).append(row)
        for value in sorted(rows_by_value):
            rows = np.array(rows_by_value[value], dtype=np.int64)
            yield _score(name, slice_by, value, statistics, rows, codes, images, bootstrap)


def _score(
    name: str,
    slice_by: str,
    slice_value: str,
    statistics: Statistics,
    rows: npt.NDArray[np.int64],
    codes: npt.NDArray[np.int64],
    images: int,
    bootstrap: Bootstrap,
) -> Score:
    sums = statistics.sums[rows]
    if statistics.point is not None:
        value = statistics.point(rows)
    else:
        value = float(statistics.value(sums.sum(axis=0))) if len(rows) else math.nan
    by_image = sums_by_image(sums, codes[rows], images)
    present = np.unique(codes[rows])
    if statistics.interval == "wilson":
        interval = clustered_wilson(by_image[present])
    else:
        interval = bootstrap.interval(by_image[present], statistics.value)
    return Score(
        metric=name,
        slice_by=slice_by,
        slice_value=slice_value,
        value=value if math.isfinite(value) else None,
        n=len(rows),
        image_count=len(present),
        interval_low=interval[0] if interval else None,
        interval_high=interval[1] if interval else None,
        level=LEVEL,
    )
