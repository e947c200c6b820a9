"""What a study could have found: verified by simulated trainings and images, by hand, and in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gi_bench.harness.analysis.study import Contrast, Finding, Power, power_words, smallest_effect
from gi_bench.harness.analysis.study.deciding import decided
from gi_bench.harness.analysis.study.power import thresholds, variances
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import SeedEffect, holm, student_quantile
from tests.benchmarks import studies as simulation

RATE = MetricInfo("rate", "rate", "Made.", "nowhere")


@pytest.mark.parametrize(
    "design",
    [
        pytest.param(simulation.Design(3, 40, 0.02), id="images weigh"),
        pytest.param(simulation.Design(3, 200, 0.05), id="seeds weigh"),
        pytest.param(simulation.Design(5, 200, 0.02, 0.1), id="both weigh"),
    ],
)
def test_the_smallest_effect_is_found_in_four_studies_of_five(design: simulation.Design) -> None:
    """Variances of seeds and images are known: the effect is that of the design, and what studies say is near it."""
    true = simulation.smallest(design)
    share, stated = simulation.found(design, "greater", true, 200)
    assert 0.75 <= share <= 0.85
    assert stated == pytest.approx(true, rel=0.06)


def test_the_smallest_effect_counts_the_margin_the_way_down_and_losses() -> None:
    design = simulation.Design(3, 60, 0.01)
    wide = simulation.smallest(design, margin=0.1)
    assert wide > max(0.1, simulation.smallest(design))
    assert 0.75 <= simulation.found(design, "less", -wide, 150, margin=0.1)[0] <= 0.85
    loss = simulation.smallest(design)
    share, stated = simulation.found(design, "no less", 0.0, 150, margin=loss)
    assert 0.75 <= share <= 0.85
    assert stated == pytest.approx(loss, rel=0.06)


def test_the_smallest_effect_by_hand() -> None:
    """Many images and one seed: the normal distribution. Three seeds alone: noncentral t, against SciPy."""
    assert smallest_effect(9.0, 1e-4, seeds=1, images=10**6) == pytest.approx(0.01 * (1.9659 + 0.8416), rel=1e-3)
    assert smallest_effect(9.0, 0.0, seeds=1, images=50, margin=0.02) == 0.02, "nothing varies"
    assert smallest_effect(0.0, 1e-12, seeds=1, images=10**6, margin=0.02) == pytest.approx(0.02, rel=1e-3)
    from scipy.stats import nct

    for seeds in (3, 5, 10):
        found = smallest_effect(0.01**2, 0.0, seeds=seeds, images=100) / 0.01
        assert nct.sf(student_quantile(0.05, seeds - 1), seeds - 1, found) == pytest.approx(0.8, abs=0.01)


def test_the_smallest_effect_falls_with_images_and_seeds_and_rises_with_strictness() -> None:
    base = smallest_effect(1e-4, 1e-4, seeds=3, images=100)
    assert smallest_effect(1e-4, 1e-4, seeds=6, images=100) < base, "the degrees of freedom"
    assert smallest_effect(5e-5, 1e-4, seeds=3, images=100) < base
    assert smallest_effect(1e-4, 1e-4, seeds=3, images=100, p=0.01) > base
    assert smallest_effect(1e-4, 1e-4, seeds=3, images=100, found=0.9) > base
    assert smallest_effect(1e-4, 1e-4, seeds=3, images=100, margin=0.2) > max(base, 0.2)


@pytest.mark.parametrize(
    "wrong", [{"seed_variance": -1.0}, {"image_variance": -1.0}, {"p": 0.0}, {"p": 1.0}, {"found": 1.0}, {"margin": -1}]
)
def test_no_probability_and_no_variance_is_refused(wrong: dict[str, float]) -> None:
    given = {"seed_variance": 1.0, "image_variance": 1.0, **wrong}
    with pytest.raises(ValueError, match="at least 0"):
        smallest_effect(given.pop("seed_variance"), given.pop("image_variance"), seeds=3, images=10, **given)


def test_variances_are_those_of_the_test() -> None:
    many = SeedEffect(0.0, -1, 1, 1.0, (0.0, 0.02, 0.04), 10, 0.02, 400.0)
    seeds, images = variances(many)
    assert seeds == pytest.approx(0.02**2 / 3, rel=2e-3)
    assert seeds + images == pytest.approx(0.02**2, rel=2e-3)
    few = variances(replace(many, freedom=2.0))
    assert few[0] / seeds == pytest.approx(1 / 0.8862**2, rel=2e-3), "a few values vary too little on average"
    assert variances(replace(many, by_seed=(0.1,), freedom=9.0))[0] == 0.0
    with pytest.raises(ValueError, match="without a standard error"):
        variances(replace(many, error=None))


def test_thresholds_are_those_of_holm() -> None:
    random = np.random.default_rng(3)
    for count in (1, 2, 3, 5):
        for _ in range(20):
            p_values = (10 ** random.uniform(-4, 0, count)).tolist()
            for i, below in enumerate(thresholds(p_values)):
                assert holm([*p_values[:i], below * 0.999, *p_values[i + 1 :]])[i] < 0.05
                assert holm([*p_values[:i], below * 1.001, *p_values[i + 1 :]])[i] >= 0.05
    assert thresholds([]) == []


def _finding(contrast: Contrast, mean: float, by_seed: tuple[float, ...] = (0.01, 0.02, 0.03)) -> Finding:
    effect = SeedEffect(mean, mean - 0.04, mean + 0.04, 0.2, by_seed, 100, 0.02, 30.0)
    return Finding(contrast, "rate", (0.5 + mean, 0.5), effect, 1.0, "undecided", "")


def _one(contrast: Contrast, mean: float = 0.02, count: int = 3, **changes: object) -> Finding:
    made = replace(_finding(contrast, mean), **changes)  # type: ignore[arg-type]
    (found,) = decided([made], {"rate": RATE}, {"a": count, "b": count}, count)
    return found


def test_every_finding_says_what_it_could_have_found() -> None:
    greater = _one(Contrast("rate", "a", "b"))
    assert greater.power is not None
    assert 0.05 < greater.power.smallest < 0.07
    assert (greater.power.p, greater.power.room) == (0.05, 0.5)
    several = [_finding(Contrast("rate", "a", "b"), 0.02)] * 2 + [_finding(Contrast("rate", "a", "b", "no less"), 0.0)]
    first, _, loss = decided(several, {"rate": RATE}, {"a": 3, "b": 3}, 3)
    assert first.power is not None
    assert loss.power is not None
    assert (first.power.p, first.power.smallest > greater.power.smallest) == (0.025, True)
    assert (loss.power.p, loss.power.room) == (pytest.approx(0.05 / 3), None)
    assert _one(Contrast("rate", "a", "b"), count=2, effect=replace(greater.effect, by_seed=(0.1, 0.2))).power is None
    assert _one(Contrast("rate", "a", "b"), effect=replace(greater.effect, low=None, high=None)).power is None


def test_what_could_have_been_found_in_words() -> None:
    weak = _one(Contrast("rate", "a", "b"))
    assert power_words(weak) == (
        "80 % of such studies find a difference of 0.057; the margin is 0.01: undecided says little here"
    )
    assert power_words(replace(weak, verdict="supported")) == power_words(weak).removesuffix(
        ": undecided says little here"
    )
    strong = _one(Contrast("rate", "a", "b", margin=0.05))
    assert strong.verdict == "undecided"
    assert power_words(strong).endswith("the margin is 0.05")
    falling = replace(weak, contrast=Contrast("rate", "a", "b", "less"), power=Power(0.06, 0.05, 0.03))
    assert "only 0.03 is left to fall: undecided says little" in power_words(falling)
    sloping = replace(weak, contrast=Contrast("rate", trend=("a", "b", "c")))
    assert "find a rise by step of 0.057" in power_words(sloping)
    loss = _one(Contrast("rate", "a", "b", "no less", margin=0.02), mean=-0.01)
    assert power_words(loss) == (
        "were nothing lost, 80 % of such studies would exclude a loss of 0.057; the margin is 0.02: "
        "undecided says little here"
    )
    assert "fewer than 3 seeds" in power_words(replace(weak, verdict="no verdict", power=None))
    assert power_words(replace(weak, power=None)) == ""
