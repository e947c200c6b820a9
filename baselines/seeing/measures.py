"""Places in words and regions as numbers, with intervals over images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gi_bench.baselines.seeing.probes import RESAMPLES, SEED
from gi_bench.harness.intervals import beside_unseen, bootstrap_interval, rate_interval
from gi_bench.harness.metrics.base import ratio
from gi_bench.harness.reading import read
from gi_bench.harness.reading.values import SHAPES, atomic_value
from gi_bench.harness.regions import iou, overlap, united
from gi_bench.harness.schema import Phrase, Question, Region
from gi_bench.harness.statistics import encode, shared_bootstrap, sums_by_image

_PLACING = frozenset(slug for slug, shape in SHAPES.items() if shape == "cells")


@dataclass(frozen=True)
class Measured:
    """A value in [0, 1] with its 95 % interval over images; ``n`` rows."""

    value: float
    low: float
    high: float
    n: int


def places(question: Question) -> Iterator[tuple[str, frozenset[str]]]:
    """Class and grid cells of every place that a question asks about; a thing that is not there has none."""
    for slug, pair in zip(question.question_class, question.original, strict=False):
        cells = atomic_value(slug, pair.answer) if slug in _PLACING else None
        if isinstance(cells, frozenset) and cells:
            yield slug, cells


def words_right(questions: Iterable[Question], answers: Mapping[int, str]) -> Measured | None:
    """Share of the places of visible findings that answers state, cell by cell.

    A finding that is absent has no place: whether it is denied is another question, and takes no part here.

    Args:
        questions: rows; those without a place are passed over.
        answers: by index of the question; a row that was not asked counts as wrong.
    """
    return rate(
        (row.img_id, read(answers.get(row.index, ""), slug, row.question_class) == cells)
        for row in questions
        for slug, cells in places(row)
    )


def regions_right(phrases: Sequence[Phrase], shown: Mapping[int, tuple[Region, ...]]) -> Measured | None:
    """Mean intersection over union, an empty region counting 0.

    Args:
        phrases: with their reference regions.
        shown: regions by index of the phrase.
    """
    values, images = [], []
    for phrase in phrases:
        if phrase.region is None:
            continue
        mask = united(shown.get(phrase.index, ()), phrase.region.height, phrase.region.width)
        values.append(iou(*overlap(mask, phrase.region.mask())))
        images.append(phrase.img_id)
    if not values:
        return None
    codes, count = encode(images)
    by_image = sums_by_image(np.stack([np.array(values), np.ones(len(values))], axis=1), codes, count)
    value = float(np.mean(values))
    low, high = bootstrap_interval(by_image, ratio, shared_bootstrap(RESAMPLES, SEED)) or (0.0, 1.0)
    if low == high:  # all equal, as where nothing was written
        low, high = beside_unseen((low, high), by_image[:, 1], value, 0.0, 1.0)
    return Measured(value, max(0.0, low), min(1.0, high), len(values))


def rate(rows: Iterable[tuple[str, bool]]) -> Measured | None:
    """Share of hits among (image, hit); None without a row.

    >>> rate([("a", True), ("b", False)]).value
    0.5
    """
    found = list(rows)
    if not found:
        return None
    codes, count = encode([img_id for img_id, _ in found])
    hits = np.array([hit for _, hit in found], dtype=np.float64)
    by_image = sums_by_image(np.stack([hits, np.ones(len(found))], axis=1), codes, count)
    low, high = rate_interval(by_image) or (0.0, 1.0)
    return Measured(float(hits.mean()), low, high, len(found))
