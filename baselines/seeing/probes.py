"""Linear probes: what a straight line through frozen features tells of an image.

Two questions for every finding: is it in the image (features of the whole image), and in which cells of the 3 x 3 grid
is it, in images that hold it (features of the cell). Both are scored by the area under the ROC curve, which is .5 for
features that tell nothing however rare the finding is, and needs no threshold, which thirty positives would not fix.
Cells are compared within their image only, and the mean feature of a cell over the training images is taken off first:
neither the image's own brightness nor the cell's place in the frame (which Florence-2 adds to its features) helps.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.baselines.seeing.truth import GRID, Truth
from gi_bench.harness.intervals import bootstrap_interval
from gi_bench.harness.statistics import shared_bootstrap

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

CELLS = GRID * GRID
# Images with and without a finding below which it is left out, on either side.
LEAST = 5
# Inverse strength of the penalty on standardised features: the same for all networks, so that none is tuned.
STRENGTH = 0.01
RESAMPLES, SEED = 1000, 0


@dataclass(frozen=True)
class Features:
    """Features of some images, pooled.

    Attributes:
        img_ids: the images.
        whole: (n, 2 x width) mean and maximum over the image.
        cells: (n, 9, width) mean over each cell.
    """

    img_ids: tuple[str, ...]
    whole: Floats
    cells: Floats


@dataclass(frozen=True)
class Probed:
    """What a probe found.

    Attributes:
        value: mean over the findings of the area under the ROC curve, in [0, 1]; .5 is chance.
        low, high: 95 % interval over the test images.
        n: test images that it rests on.
        by_finding: area of every finding.
        left_out: findings with too few images, on either side.
    """

    value: float
    low: float
    high: float
    n: int
    by_finding: Mapping[str, float]
    left_out: tuple[str, ...]


def pool(features: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """One image's features pooled over the image and over cells.

    Args:
        features: (image tokens, width) as Florence-2 gives them: a mean over all places, then the places of a square
            grid row by row.

    Returns:
        (2 x width,) mean and maximum over all places, and (9, width) means of the cells.

    Raises:
        ValueError: the places are no square.
    """
    places = features[1:].astype(np.float64)
    side = round(len(places) ** 0.5)
    if side < GRID or side * side != len(places):
        raise ValueError(f"{len(places)} places are no square of at least {GRID} x {GRID}")
    cell = (np.arange(side) + 0.5) * GRID // side
    of_place = (cell[:, None] * GRID + cell[None, :]).astype(np.int64).reshape(-1)
    sums = np.zeros((CELLS, places.shape[1]))
    np.add.at(sums, of_place, places)
    means = sums / np.bincount(of_place, minlength=CELLS)[:, None]
    return np.concatenate([places.mean(axis=0), places.max(axis=0)]), means


def probe_presence(train: Features, known: Truth, test: Features, wanted: Truth) -> Probed | None:
    """Whether the image holds a finding, from features of the whole image; None where no finding has enough images."""
    scaled = _Scaled(train.whole)
    scored: dict[str, tuple[Flags, Flags, Floats]] = {}
    left_out = []
    for finding in known.present.keys() | wanted.present.keys():
        given, target = (_flags(side.present.get(finding, {}), ids) for side, ids in _sides(train, known, test, wanted))
        if not (_enough(given) and _enough(target)):
            left_out.append(finding)
            continue
        line = _fitted(scaled(train.whole[given[0]]), given[1][given[0]])
        scored[finding] = (*target, line(scaled(test.whole)))
    if not scored:
        return None
    names = sorted(scored)
    areas = [_weighted_area(*scored[name]) for name in names]

    def value(counts: Floats) -> Floats:
        return _mean(np.stack([area(counts) for area in areas], axis=-1))

    use = np.any([scored[name][0] for name in names], axis=0)
    by_finding = {name: float(area(np.ones(len(test.img_ids)))) for name, area in zip(names, areas, strict=True)}
    return _probed(np.eye(len(test.img_ids))[use], value, by_finding, left_out)


def probe_cells(train: Features, known: Truth, test: Features, wanted: Truth) -> Probed | None:
    """In which cells a finding is, within images that hold it; None where no finding has enough images."""
    centre = train.cells.mean(axis=0)
    trained, tested = train.cells - centre, test.cells - centre
    scaled = _Scaled(trained.reshape(-1, trained.shape[-1]))
    columns: dict[str, Floats] = {}
    left_out = []
    for finding in known.cells.keys() | wanted.cells.keys():
        given, target = (_places(side.cells.get(finding, {}), ids) for side, ids in _sides(train, known, test, wanted))
        if min(len(given[0]), len(target[0])) < LEAST:
            left_out.append(finding)
            continue
        line = _fitted(scaled(trained[given[0]].reshape(-1, trained.shape[-1])), given[1].reshape(-1))
        scores = line(scaled(tested[target[0]].reshape(-1, tested.shape[-1]))).reshape(-1, CELLS)
        sums = np.zeros((len(test.img_ids), 2))
        for number, own, score in zip(target[0], target[1], scores, strict=True):
            sums[number] = area_under_curve(score, own), 1.0
        columns[finding] = sums
    if not columns:
        return None
    names = sorted(columns)
    by_image = np.concatenate([columns[name] for name in names], axis=1)

    def value(total: Floats) -> Floats:
        return _mean(total[..., 0::2] / total[..., 1::2])

    by_finding = {name: float(columns[name][:, 0].sum() / columns[name][:, 1].sum()) for name in names}
    return _probed(by_image[by_image[:, 1::2].any(axis=1)], value, by_finding, left_out)


def area_under_curve(scores: Floats, positive: Flags) -> float:
    """Share of pairs of a positive and a negative in which the positive scores higher; ties count half.

    >>> area_under_curve(np.array([0.9, 0.1, 0.5]), np.array([True, False, False]))
    1.0
    """
    higher = scores[positive][:, None] - scores[~positive][None, :]
    return float(((higher > 0) + 0.5 * (higher == 0)).mean())


def _weighted_area(known: Flags, positive: Flags, scores: Floats) -> Callable[[Floats], Floats]:
    """The area as a function of how often each image is drawn, (..., n) -> (...)."""
    ours, theirs = np.flatnonzero(known & positive), np.flatnonzero(known & ~positive)
    gaps = scores[ours][:, None] - scores[theirs][None, :]
    won = (gaps > 0) + 0.5 * (gaps == 0)

    def area(counts: Floats) -> Floats:
        first, second = counts[..., ours], counts[..., theirs]
        return np.asarray(((first @ won) * second).sum(-1) / (first.sum(-1) * second.sum(-1)))

    return area


def _mean(values: Floats) -> Floats:
    """Mean over findings; those that a resample lacks are left out of it, and NaN where it lacks all."""
    there = np.isfinite(values)
    return np.asarray(np.where(there, values, 0.0).sum(-1) / there.sum(-1))


def _probed(
    by_image: Floats, value: Callable[[Floats], Floats], by_finding: Mapping[str, float], left_out: Sequence[str]
) -> Probed:
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = float(value(by_image.sum(axis=0)))
    low, high = bootstrap_interval(by_image, value, shared_bootstrap(RESAMPLES, SEED)) or (0.0, 1.0)
    return Probed(
        observed, max(0.0, low), min(1.0, high), len(by_image), dict(sorted(by_finding.items())),
        tuple(sorted(left_out)),
    )  # fmt: skip


def _sides(train: Features, known: Truth, test: Features, wanted: Truth) -> list[tuple[Truth, tuple[str, ...]]]:
    return [(known, train.img_ids), (wanted, test.img_ids)]


def _flags(present: Mapping[str, bool], img_ids: Sequence[str]) -> tuple[Flags, Flags]:
    """(n,) whether it is known of an image, and whether the image holds it."""
    known = np.array([img_id in present for img_id in img_ids])
    return known, np.array([present.get(img_id, False) for img_id in img_ids])


def _enough(flags: tuple[Flags, Flags]) -> bool:
    known, positive = flags
    return min(int(positive.sum()), int((known & ~positive).sum())) >= LEAST


def _places(cells: Mapping[str, Flags], img_ids: Sequence[str]) -> tuple[npt.NDArray[np.int64], Flags]:
    """Numbers of the images whose place is known and not everywhere, and (m, 9) their cells."""
    chosen = [
        (number, cells[img_id]) for number, img_id in enumerate(img_ids) if img_id in cells and not cells[img_id].all()
    ]
    own = np.array([one for _, one in chosen]) if chosen else np.zeros((0, CELLS), dtype=bool)
    return np.array([number for number, _ in chosen], dtype=np.int64), own


class _Scaled:
    """Features with the training images' mean and spread taken off; a feature that never differs becomes 0."""

    def __init__(self, train: Floats) -> None:
        self._mean, spread = train.mean(axis=0), train.std(axis=0)
        self._factor = np.where(spread > 1e-9 * (np.abs(self._mean) + 1), 1 / np.maximum(spread, 1e-300), 0.0)

    def __call__(self, features: Floats) -> Floats:
        return np.asarray((features - self._mean) * self._factor)


def _fitted(features: Floats, positive: Flags) -> Callable[[Floats], Floats]:
    """A logistic regression, positives and negatives weighing the same; gives the log odds."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    line: Any = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500)
    with warnings.catch_warnings():
        # Past so many steps the ranks of the images no longer change.
        warnings.simplefilter("ignore", ConvergenceWarning)
        line.fit(features, positive)
    return lambda rows: np.asarray(line.decision_function(rows))
