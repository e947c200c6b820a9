"""What is in the images of a suite, and in which cells of the 3 x 3 grid: what a probe has to tell.

Two sources: the regions of the suite's phrases, and the atomic answers of its questions. Embedded suites have phrases
about everything that is visible: a finding without one is absent, and answers add nothing. Elsewhere a finding is
absent only where a row says so, and unknown otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from gi_bench.harness.reading.values import atomic_value
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.taxonomy import GRID_CELLS

T = TypeVar("T")
GRID = 3
# Classes whose atomic answer lists findings by name, and the one that counts polyps.
_NAMING = ("abnormality_presence", "instrument_presence", "landmark_presence")
_PLACING = ("abnormality_location", "instrument_location", "landmark_location")
# A cell that holds at least this share of a region belongs to its place.
_SHARE = 0.2


@dataclass(frozen=True)
class Truth:
    """What is known of some images.

    Attributes:
        present: by finding, the images of which it is known, and whether they hold it.
        cells: by finding, (9,) booleans of the images whose place of it is known, row by row.
    """

    present: Mapping[str, Mapping[str, bool]]
    cells: Mapping[str, Mapping[str, npt.NDArray[np.bool_]]]


def truth_of(suite: Suite, img_ids: Sequence[str]) -> Truth:
    """What a suite tells of some of its images.

    Args:
        suite: its phrases' regions count before its atomic answers where both speak of a finding.
        img_ids: the images.
    """
    wanted = frozenset(img_ids)
    shown = _from_regions(suite, wanted)
    if suite.is_embedded and shown.cells:
        return shown
    said = _from_answers(suite, wanted)
    return Truth(_joined(said.present, shown.present), _joined(said.cells, shown.cells))


def _joined(first: Mapping[str, Mapping[str, T]], second: Mapping[str, Mapping[str, T]]) -> dict[str, dict[str, T]]:
    """Both, the second where they differ."""
    return {name: {**first.get(name, {}), **second.get(name, {})} for name in sorted(first.keys() | second.keys())}


def _from_regions(suite: Suite, wanted: frozenset[str]) -> Truth:
    denied: dict[str, set[str]] = defaultdict(set)
    masks: dict[tuple[str, str], npt.NDArray[np.bool_]] = {}
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for phrase in suite.phrases:
        key = (phrase.label, phrase.img_id)
        if phrase.img_id not in wanted:
            continue
        if phrase.is_negative:
            denied[phrase.label].add(phrase.img_id)
        elif phrase.region is not None and phrase.region.area and phrase.region.counts not in seen[key]:
            seen[key].add(phrase.region.counts)
            mask = phrase.region.mask()
            masks[key] = masks[key] | mask if key in masks and masks[key].shape == mask.shape else mask
    present: dict[str, dict[str, bool]] = defaultdict(dict)
    cells: dict[str, dict[str, npt.NDArray[np.bool_]]] = defaultdict(dict)
    for label in {label for label, _ in masks} | denied.keys():
        # A phrase may be wrong of its image though the finding is there: what is shown counts first.
        absent = wanted if suite.is_embedded else denied[label]
        present[label] = dict.fromkeys(sorted(absent), False)
    for (label, img_id), mask in masks.items():
        present[label][img_id] = True
        cells[label][img_id] = cells_of(mask)
    return Truth(dict(present), dict(cells))


def _from_answers(suite: Suite, wanted: frozenset[str]) -> Truth:
    known = [row for row in _atomic(suite) if row[0] in wanted]
    names: dict[str, set[str]] = defaultdict(set)
    for _, slug, value in known:
        if slug in _NAMING and isinstance(value, frozenset):
            names[slug] |= value
    present: dict[str, dict[str, bool]] = defaultdict(dict)
    cells: dict[str, dict[str, npt.NDArray[np.bool_]]] = defaultdict(dict)
    for img_id, slug, value in known:
        if slug == "polyp_count" and isinstance(value, int):
            present["polyp"][img_id] = value > 0
        elif slug in _NAMING and isinstance(value, frozenset):
            for name in names[slug] - {"polyp"}:
                present[name][img_id] = name in value
        elif slug in _PLACING and isinstance(value, frozenset):
            finding = slug.removesuffix("_location")
            present[finding][img_id] = bool(value)
            if value:
                cells[finding][img_id] = np.array([cell in value for cell in GRID_CELLS])
    return Truth(dict(present), dict(cells))


def _atomic(suite: Suite) -> Iterator[tuple[str, str, object]]:
    """(image, question class, atomic value) of everything asked that can be read."""
    for question in suite.questions:
        for slug, pair in zip(question.question_class, question.original, strict=False):
            value = atomic_value(slug, pair.answer)
            if value is not None:
                yield question.img_id, slug, value


def cells_of(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The cells of a 3 x 3 grid, row by row, that hold at least a fifth of a mask, else the fullest one.

    >>> import numpy as np
    >>> mask = np.zeros((6, 9), dtype=bool)
    >>> mask[0, :4] = True
    >>> cells_of(mask).nonzero()[0].tolist()
    [0, 1]
    """
    rows, columns = (np.arange(size) * GRID // size for size in mask.shape)
    cell = rows[:, None] * GRID + columns[None, :]
    counts = np.bincount(cell[mask], minlength=GRID * GRID)
    held = counts >= _SHARE * counts.sum()
    return np.asarray(held if held.any() else counts == counts.max())


def evenly(items: Iterable[T], count: int) -> tuple[T, ...]:
    """At most ``count`` items, evenly spread over all of them.

    >>> evenly("abcdef", 3)
    ('a', 'c', 'e')
    >>> evenly("ab", 3)
    ('a', 'b')
    """
    found = list(items)
    if len(found) <= count:
        return tuple(found)
    return tuple(found[place * len(found) // count] for place in range(count))
