"""What each question scores by itself, out of the statistics that the metrics keep a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gi_bench.harness.metrics.base import Metric, Statistics, ratio
from gi_bench.harness.provenance import is_ours
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import Question
from gi_bench.harness.store import Run

RowScores = dict[int, dict[str, float]]
# Of groups whose corpus values mean something over one row as well (BLEU, chrF); elsewhere only means over rows do.
_TEXT_GROUPS = ("answers", "explanations")


class _Asked(str):
    """An image id that knows which question it was taken from, and is equal to the id of the others."""

    question: int

    @staticmethod
    def of(question: Question) -> _Asked:
        made = _Asked(question.img_id)
        made.question = question.index
        return made


def row_scores(run: Run, metrics: Mapping[str, Metric] | None = None) -> tuple[RowScores, tuple[str, ...]]:
    """Scores of every question by its index and the metric's name, and the metrics that do not add up.

    A metric is there where its value is that of rows which can be told apart: a mean, or counts of one text. Whether
    these are the rows that the run was scored by is checked: together they have to give the stored score.

    Args:
        run: a scored run.
        metrics: metrics by name; None for all registered ones.

    Returns:
        Finite values, and names of metrics that are left out since their rows give another value than the stored one:
        predictions, references or definitions were changed since.
    """
    found: RowScores = {question.index: {} for question in run.questions}
    # Metrics say of each row which image it is of, and no more: the ids carry the question along.
    keyed = run.asking([replace(one, img_id=_Asked.of(one)) for one in run.questions])
    known = registered("gi_bench.metrics") if metrics is None else metrics
    others = []
    for info in run.scores.metrics:
        stored = run.scores.find(info.name)
        if info.name not in known or stored is None or stored.value is None:
            continue
        statistics = _statistics(known[info.name], keyed)
        if statistics is None or not (statistics.value is ratio or info.group in _TEXT_GROUPS):
            continue
        if not math.isclose(float(statistics.value(statistics.sums.sum(axis=0))), stored.value, rel_tol=1e-9):
            others.append(info.name)
            continue
        values = np.asarray(statistics.value(statistics.sums), dtype=np.float64)
        for image, value, counted in zip(statistics.images, values.tolist(), statistics.counted, strict=True):
            if math.isfinite(value) and (counted or statistics.value is not ratio):
                found[image.question][info.name] = value  # type: ignore[attr-defined]
    return found, tuple(others)


def _statistics(metric: Metric, run: Run) -> Statistics | None:
    """What a metric makes of a run's questions, a row each; None where it has no such rows."""
    try:
        made = metric.compute(run)
    except Exception:  # of a plugin: the stored scores stand, this metric has no rows
        return None
    if isinstance(made, str) or made.point is not None or made.part is not None or made.columns is not None:
        return None
    if not made.images or not all(isinstance(image, _Asked) for image in made.images):
        return None
    # A row an image, though images are asked several questions: a plugin may mean the image. Ours mean the question.
    if not is_ours(metric.compute) and len(set(made.images)) == len(made.images) < len(run.questions):
        return None
    return made


__all__ = ["RowScores", "row_scores"]
