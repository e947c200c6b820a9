"""Simulates what the intervals of scores cover, and how wide they are.

    python -m tests.benchmarks.intervals                      # rates, table of docs/metrics.md
    python -m tests.benchmarks.intervals --runs RUN [RUN ...] # other metrics: images drawn from stored runs

**Rates.** Each image has a rate of its own, drawn so that the rows of an image correlate by rho: from a beta
distribution, or (``--dependence``) ``probit``: a normal variable beyond a threshold, or ``blocks``: images whose rows
agree all and images whose rows are independent. Widths are held against an interval that knows rho: Wilson's with the
number of rows divided by the true design effect.

**Other metrics.** The images of a run are the population, its score is the truth; 20, 50 or 200 images are drawn from
it with replacement, and their interval should hold the truth.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from gi_bench.harness.intervals import bootstrap_interval, rate_interval
from gi_bench.harness.statistics import Bootstrap, encode, sums_by_image, wilson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

IMAGES = (20, 50, 200)
ROWS = ("1", "3", "8", "24", "1-24", "2 or 20")
CORRELATIONS = (0.0, 0.1, 0.3, 0.5, 0.8)
RATES = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.995)


@dataclass(frozen=True)
class Cell:
    """One kind of data.

    Attributes:
        images: number of images.
        rows: rows an image: a number, ``1-24`` (each as often) or ``2 or 20`` (every fifth image has 20).
        correlation: intra-class correlation of an image's rows.
        rate: true rate.
    """

    images: int
    rows: str
    correlation: float
    rate: float

    def sizes(self) -> Ints:
        """(images,) rows of each image."""
        number = np.arange(self.images)
        if self.rows == "1-24":
            return number % 24 + 1
        if self.rows == "2 or 20":
            return np.where(number % 5 == 0, 20, 2)
        return np.full(self.images, int(self.rows))

    @property
    def expects_five(self) -> bool:
        """Whether at least five hits and five misses are expected."""
        return min(self.rate, 1 - self.rate) * float(self.sizes().sum()) > 5 - 1e-9

    @property
    def can_be_narrow(self) -> bool:
        """Whether a monotone interval that covers can be at most 1.3 times as wide as one that knows rho.

        Data without a hit leave rates open at which as few images with a hit are not rare although rho is .8; no
        bound of data with hits may be lower. Where that is higher than 1.3 times what rho allows, it cannot be met.
        """
        rate = min(self.rate, 1 - self.rate)
        unseen = _unseen(self, 0.8)
        low, high = _known(self, np.array([rate]))
        return unseen - float(low[0]) <= 1.3 * float(high[0] - low[0])


@dataclass(frozen=True)
class Found:
    """What a simulation found: coverage, and mean width over that of the interval that knows rho."""

    cell: Cell
    coverage: float
    width: float


def _unseen(cell: Cell, correlation: float) -> float:
    """The rate at which no hit has a chance of .07, so that a bound below it covers less than .93."""
    sizes = cell.sizes()
    a = (1 - correlation) / correlation
    low, high = 0.0, 1.0
    for _ in range(50):
        p = (low + high) / 2
        none = sum(np.log((a * (1 - p) + np.arange(n)) / (a + np.arange(n))).sum() for n in sizes.tolist())
        low, high = (p, high) if none > np.log(0.07) else (low, p)
    return low


def draw(cell: Cell, trials: int, random: np.random.Generator, dependence: str = "beta") -> Ints:
    """(trials, images) hits of each image."""
    shape, p, rho = (trials, cell.images), cell.rate, cell.correlation
    if rho == 0:
        rates = np.full(shape, p)
    elif dependence == "beta":
        rates = random.beta(p * (1 - rho) / rho, (1 - p) * (1 - rho) / rho, size=shape)
    elif dependence == "probit":
        # rho is that of the normal variable; the rows correlate by less.
        threshold = NormalDist().inv_cdf(p)
        normal = np.vectorize(NormalDist().cdf)
        rates = normal((threshold - np.sqrt(rho) * random.normal(size=shape)) / np.sqrt(1 - rho))
    elif dependence == "blocks":
        agree = random.random(shape) < rho
        rates = np.where(agree, (random.random(shape) < p).astype(float), p)
    else:
        raise ValueError(f"unknown dependence {dependence!r}")
    return random.binomial(cell.sizes(), rates)


def _known(cell: Cell, shares: Floats) -> tuple[Floats, Floats]:
    sizes = cell.sizes()
    effective = sizes.sum() / (1 + cell.correlation * ((sizes**2).sum() / sizes.sum() - 1))
    bounds = [wilson(share * effective, float(effective)) or (0.0, 1.0) for share in shares.tolist()]
    low, high = np.array(bounds).T
    return low, high


def simulate(cell: Cell, trials: int, *, seed: int = 0, dependence: str = "beta") -> Found:
    """Coverage and relative width in one cell."""
    key = [seed, cell.images, ROWS.index(cell.rows), round(cell.correlation * 100), round(cell.rate * 1000)]
    hits = draw(cell, trials, np.random.default_rng(key), dependence)
    sizes = cell.sizes()
    bounds: dict[bytes, tuple[float, float]] = {}
    found = np.empty((trials, 2))
    for i, row in enumerate(hits):
        if row.tobytes() not in bounds:
            bounds[row.tobytes()] = rate_interval(np.stack([row, sizes], axis=1).astype(float)) or (0.0, 1.0)
        found[i] = bounds[row.tobytes()]
    low, high = _known(cell, hits.sum(axis=1) / sizes.sum())
    covered = (found[:, 0] <= cell.rate) & (cell.rate <= found[:, 1])
    return Found(cell, float(covered.mean()), float((found[:, 1] - found[:, 0]).mean() / (high - low).mean()))


def cells(rates: Sequence[float] = RATES, images_of: Sequence[int] = IMAGES) -> Iterator[Cell]:
    """The whole grid; a correlation means nothing where an image has one row."""
    for images, rows, correlation, rate in itertools.product(images_of, ROWS, CORRELATIONS, rates):
        if rows != "1" or correlation == 0:
            yield Cell(images, rows, correlation, rate)


def table(found: Sequence[Found]) -> list[str]:
    """Markdown: by images and correlation, the coverage and the widths."""
    lines = [
        "| images | correlation | coverage, least / mean | cells below .93 | width, mean / most | where attainable |",
        "|---:|---:|---|---:|---|---|",
    ]
    for images, correlation in itertools.product(IMAGES, CORRELATIONS):
        some = [one for one in found if (one.cell.images, one.cell.correlation) == (images, correlation)]
        if not some:
            continue
        covered = [one.coverage for one in some]
        below = sum(one < 0.93 for one in covered)
        wide = [one.width for one in some if one.cell.expects_five]
        narrow = [one.width for one in some if one.cell.expects_five and one.cell.can_be_narrow]
        lines.append(
            f"| {images} | {correlation} | {min(covered):.3f} / {np.mean(covered):.3f} | "
            f"{below} of {len(some)} | {np.mean(wide):.2f} / {max(wide):.2f} | "
            f"{np.mean(narrow):.2f} / {max(narrow):.2f} ({len(narrow)} of {len(wide)}) |"
        )
    return lines


def of_metric(
    by_image: Floats, value: Callable[[Floats], Floats], images: int, trials: int, seed: int
) -> tuple[float, float]:
    """Coverage and mean width of a metric's interval over images drawn from a population (all, k) of images."""
    random = np.random.default_rng([seed, images])
    truth = float(value(by_image.sum(axis=0)))
    bootstrap = Bootstrap(1000, seed)
    covered, widths = 0, []
    for _ in range(trials):
        found = bootstrap_interval(by_image[random.integers(0, len(by_image), size=images)], value, bootstrap)
        if found is not None:
            covered += found[0] <= truth <= found[1]
            widths.append(found[1] - found[0])
    return covered / max(1, len(widths)), float(np.mean(widths))


def of_run(path: Path, names: Sequence[str], trials: int, seed: int) -> Iterator[str]:
    """Lines of a Markdown table: metrics of one run, coverage by number of images."""
    from gi_bench.harness.registry import registered
    from gi_bench.harness.store import open_run

    run = open_run(path)
    for name, metric in registered("gi_bench.metrics").items():
        statistics = metric.compute(run) if name in names else ""
        if isinstance(statistics, str):
            continue
        codes, count = encode(statistics.images)
        by_image = sums_by_image(statistics.sums, codes, count)
        found = [of_metric(by_image, statistics.value, images, trials, seed) for images in IMAGES]
        shown = " | ".join(f"{covered:.3f} ({width:.3f})" for covered, width in found)
        yield f"| {run.variant} | {name} | {float(statistics.value(by_image.sum(axis=0))):.3f} | {shown} |"


def main() -> None:
    """Print the table asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dependence", choices=("beta", "probit", "blocks"), default="beta")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--cells", action="store_true", help="each cell, the least covered first")
    parser.add_argument("--runs", type=Path, nargs="+", default=())
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=["bleu", "rougeL", "meteor", "chrf", "fact_score", "region_iou", "region_dice", "confidence_ece",
                 "confidence_auroc", "confidence_brier", "region_average_precision", "explanation_fact_score"],
    )  # fmt: skip
    chosen = parser.parse_args()
    if chosen.runs:
        print("| run | metric | value | " + " | ".join(f"{n} images" for n in IMAGES) + " |")
        print("|---|---|---:|" + "---|" * len(IMAGES))
        for path in chosen.runs:
            for line in of_run(path, chosen.metrics, chosen.trials, chosen.seed):
                print(line, flush=True)
        return
    found = []
    for cell in cells(chosen.rates, chosen.images):
        found.append(simulate(cell, chosen.trials, seed=chosen.seed, dependence=chosen.dependence))
    if chosen.cells:
        for one in sorted(found, key=lambda one: one.coverage):
            print(f"{one.coverage:.3f} {one.width:.2f} {one.cell} {one.cell.expects_five} {one.cell.can_be_narrow}")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
