"""The floors under what a network shows: the likeliest place and the mean mask of training images, without looking."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from gi_bench.baselines.floors.regions import mean_mask, on_grid
from gi_bench.baselines.seeing.measures import Measured, places, rate, regions_right
from gi_bench.harness.schema import Phrase, Question, Region


def blind_words(taught: Iterable[Question], asked: Iterable[Question]) -> Measured | None:
    """Share of places that are the likeliest one of their class among the training rows."""
    counts: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for row in taught:
        for slug, cells in places(row):
            counts[slug][tuple(sorted(cells))] += 1
    likeliest = {slug: frozenset(_likeliest(found)) for slug, found in counts.items()}
    return rate((row.img_id, likeliest.get(slug) == cells) for row in asked for slug, cells in places(row))


def _likeliest(counts: Counter[tuple[str, ...]]) -> tuple[str, ...]:
    """Of equally likely places the first in alphabetical order."""
    return min(counts, key=lambda place: (-counts[place], place))


def blind_regions(taught: Iterable[Phrase], asked: Sequence[Phrase]) -> Measured | None:
    """Mean IoU of the mean mask of a phrase's label over the training regions, each region of an image counted once."""
    grids: dict[str, dict[tuple[str, str], npt.NDArray[np.float32]]] = defaultdict(dict)
    labels = {phrase.label for phrase in asked}
    for phrase in taught:
        if phrase.label in labels and not phrase.is_negative and phrase.region is not None and phrase.region.area:
            key = (phrase.img_id, phrase.region.counts)
            if key not in grids[phrase.label]:
                grids[phrase.label][key] = on_grid(phrase.region)
    means = {label: mean_mask(np.stack(list(found.values()))) for label, found in grids.items() if found}
    shown = {
        phrase.index: (Region.from_mask(phrase.label, means[phrase.label].at(region.height, region.width)),)
        for phrase in asked
        if (region := phrase.region) is not None and phrase.label in means
    }
    return regions_right(asked, shown)
