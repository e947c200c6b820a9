"""How often a study's intervals hold the truth, and its verdicts are wrong or miss an effect, on simulated trainings.

    python -m tests.benchmarks.studies [--trials 1000]

Trainings and images are crossed: a value is the truth, plus what the seed does, what the image does, what both do
together, and chance. The same function makes intervals and verdicts here and in ``gi-bench study``.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gi_bench.harness.analysis.study import Contrast, Finding, smallest_effect
from gi_bench.harness.analysis.study.columns import least_variance
from gi_bench.harness.analysis.study.deciding import decided
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import SeedEffect, over_seeds

Floats = npt.NDArray[np.float64]

INFO = MetricInfo("made", "made", "Made.", "nowhere")
IMAGES_SD = 0.2


@dataclass(frozen=True)
class Design:
    """One kind of study.

    Attributes:
        seeds, images: how many.
        seed_sd: how far trainings with other seeds lie apart.
        together_sd: how far a seed moves single images.
        failing: share of trainings that fail, and lose .2.
    """

    seeds: int
    images: int
    seed_sd: float = 0.0
    together_sd: float = 0.05
    failing: float = 0.0


def mean_effects(rows: Floats) -> list[Callable[[Floats], Floats]]:
    """One function a seed, of ``rows`` (seeds, images): weights (..., images) to the weighted mean."""
    return [lambda weights, row=row: weights @ row / weights.sum(axis=-1) for row in rows]  # type: ignore[misc]


def draw_differences(random: np.random.Generator, design: Design, truth: float) -> Floats:
    """(seeds, images) differences of two arms."""
    by_seed = random.normal(0, design.seed_sd, size=(design.seeds, 1))
    if design.failing:
        by_seed -= 0.2 * ((random.random((design.seeds, 1)) < design.failing) - design.failing)
    by_image = random.normal(0, IMAGES_SD, size=(1, design.images))
    together = random.normal(0, design.together_sd, size=(design.seeds, design.images))
    return np.asarray(truth + by_seed + by_image + together)


def coverage(design: Design, trials: int, *, resamples: int = 200, truth: float = 0.1) -> float:
    """Share of studies whose interval holds the truth."""
    random = np.random.default_rng([5, design.seeds, design.images])
    held = 0
    for trial in range(trials):
        rows = draw_differences(random, design, truth)
        found = over_seeds(mean_effects(rows), design.images, resamples=resamples, seed=trial)
        held += found.low is not None and found.high is not None and found.low <= truth <= found.high
    return held / trials


def rate_effects(
    random: np.random.Generator, rate: float, design: Design, rows: int, spread: float
) -> tuple[list[Callable[[Floats], Floats]], float]:
    """Rates of one arm near 0, ``rows`` an image, and the least variance that a study gives them.

    Args:
        random: source of chance.
        rate: mean rate over seeds and images.
        design: how many seeds and images.
        rows: rows an image.
        spread: of the rate over images, as intra-class correlation of a beta distribution.
    """
    total = 1 / spread - 1
    by_image = random.beta(rate * total, (1 - rate) * total, size=design.images)
    hits = random.binomial(rows, np.broadcast_to(by_image, (design.seeds, design.images))).astype(np.float64)
    sums = [np.stack([row, np.full(design.images, float(rows))], axis=1) for row in hits]
    return mean_effects(hits / rows), least_variance(sums)


def rate_coverage(design: Design, first: float, second: float, trials: int, *, resamples: int = 200) -> float:
    """Share of studies whose interval holds the true difference of two rates (4 rows an image, correlated .2)."""
    random = np.random.default_rng([6, design.seeds, design.images])
    truth, held = first - second, 0
    for trial in range(trials):
        ours, least = rate_effects(random, first, design, 4, 0.2)
        theirs, more = rate_effects(random, second, design, 4, 0.2)
        effects = [_less(a, b) for a, b in zip(ours, theirs, strict=True)]
        found = over_seeds(effects, design.images, resamples=resamples, seed=trial, least_variance=least + more)
        held += found.low is not None and found.high is not None and found.low <= truth <= found.high
    return held / trials


def _less(a: Callable[[Floats], Floats], b: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    return lambda weights: a(weights) - b(weights)


def wrong_verdicts(
    design: Design, expect: str, truth: float, wrong: str, trials: int, *, contrasts: int = 4, resamples: int = 200
) -> float:
    """Share of studies of several contrasts in which at least one gets the verdict that is wrong for them all."""
    random = np.random.default_rng([7, design.seeds, design.images])
    asked = [Contrast("made", "a", "b", expect) for _ in range(contrasts)]  # type: ignore[arg-type]
    missed = 0
    for trial in range(trials):
        made = [_finding(one, random, design, truth, trial, resamples) for one in asked]
        verdicts = decided(made, {"made": INFO}, {"a": design.seeds, "b": design.seeds}, design.seeds)
        missed += any(one.verdict == wrong for one in verdicts)
    return missed / trials


def smallest(design: Design, *, p: float = 0.05, margin: float = 0.0) -> float:
    """What a study of a design finds with 80 %, by its true variances, as its test adds them up."""
    together = design.together_sd**2 / design.seeds / design.images
    by_seed = design.seed_sd**2 / design.seeds + together
    by_image = IMAGES_SD**2 / design.images + together
    return smallest_effect(by_seed, by_image, seeds=design.seeds, images=design.images, p=p, margin=margin)


def found(
    design: Design, expect: str, truth: float, trials: int, *, contrasts: int = 1, margin: float = 0.01
) -> tuple[float, float]:
    """Share of contrasts that are supported, and the mean of the smallest effect that each says it finds."""
    random = np.random.default_rng([8, design.seeds, design.images])
    asked = [Contrast("made", "a", "b", expect, margin) for _ in range(contrasts)]  # type: ignore[arg-type]
    supported, stated = [], []
    for trial in range(trials):
        made = [_finding(one, random, design, truth, trial, 100) for one in asked]
        for one in decided(made, {"made": INFO}, {"a": design.seeds, "b": design.seeds}, design.seeds):
            supported.append(one.verdict == "supported")
            stated.append(float("nan") if one.power is None else one.power.smallest)
    return float(np.mean(supported)), float(np.mean(stated))


def _finding(
    contrast: Contrast, random: np.random.Generator, design: Design, truth: float, trial: int, resamples: int
) -> Finding:
    rows = draw_differences(random, design, truth)
    effect: SeedEffect = over_seeds(mean_effects(rows), design.images, resamples=resamples, seed=trial)
    return Finding(contrast, "made", (0.5 + effect.mean, 0.5), effect, effect.p, "undecided", "")


def designs() -> Iterator[tuple[str, Design]]:
    """All kinds of studies that are simulated, by the name of what their seeds do."""
    for seeds, images, together in itertools.product((3, 5), (20, 40, 200), (0.05, 0.2)):
        for name, sd in (("none", 0.0), ("medium", 0.02), ("large", 0.1)):
            yield f"{name}, with images {together:g}", Design(seeds, images, sd, together)
    for seeds, images in itertools.product((3, 5), (20, 40, 200)):
        yield "one training in five fails", Design(seeds, images, 0.01, 0.05, 0.2)


RATES = ((0.01, 0.01), (0.01, 0.05), (0.003, 0.003), (0.1, 0.2))
POWER = (
    Design(3, 40, 0.02), Design(3, 300, 0.005), Design(3, 300, 0.02), Design(3, 300, 0.05), Design(3, 300, 0.0, 0.2),
    Design(5, 300, 0.02), Design(10, 60, 0.05),
)  # fmt: skip
WRONG = (("greater", 0.01, "not supported"), ("greater", 0.0, "supported"), ("no less", 0.0, "not supported"),
         ("no less", -0.01, "supported"))  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args(arguments).trials
    print("coverage of 95 % intervals of a difference of means")
    for name, design in designs():
        print(
            f"{design.seeds} seeds, {design.images:3} images, seeds {name}: {coverage(design, trials):.3f}", flush=True
        )
    print("coverage of 95 % intervals of a difference of rates (4 rows an image, correlation .2)")
    for (first, second), seeds, images in itertools.product(RATES, (3, 5), (20, 40, 200)):
        held = rate_coverage(Design(seeds, images), first, second, trials)
        print(f"{seeds} seeds, {images:3} images, rates {first:g} and {second:g}: {held:.3f}", flush=True)
    print("studies of four contrasts with a wrong verdict (3 seeds, margin .01)")
    for (expect, truth, wrong), sd, images in itertools.product(WRONG, (0.0, 0.005, 0.02), (40, 1000)):
        share = wrong_verdicts(Design(3, images, sd, 0.05), expect, truth, wrong, trials // 4)
        print(f"{images} images, seeds {sd:g}, {expect}, truth {truth:g}, {wrong}: {share:.3f}", flush=True)
    print("the smallest effect that is found with 80 %: true, stated on average, and share of each that is found")
    for design in POWER:
        true = smallest(design)
        share, stated = found(design, "greater", true, trials)
        again, _ = found(design, "greater", stated, trials)
        told = f"{design.seeds} seeds, {design.images:3} images, seeds {design.seed_sd:g}"
        print(
            f"{told}, with images {design.together_sd:g}: {true:.4f}, {stated:.4f}, {share:.3f}, {again:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
