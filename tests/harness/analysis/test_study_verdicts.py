"""Verdicts of contrasts and their boundaries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gi_bench.harness.analysis.study import Contrast, Finding, decide, whole_verdict
from gi_bench.harness.statistics import SeedEffect
from tests.harness.analysis.study_cases import GREATER, LESS, NO_LESS


def _effect(mean: float, low: float | None, high: float | None) -> SeedEffect:
    return SeedEffect(mean, low, high, 0.5, (mean,), 10)


@pytest.mark.parametrize(
    ("contrast", "interval", "adjusted", "verdict", "why"),
    [
        (GREATER, (0.05, 0.02, 0.08), 0.0499, "supported", "greater, p 0.0499 after Holm"),
        (GREATER, (0.05, 0.02, 0.08), 0.05, "undecided", "neither excluded nor shown"),
        (GREATER, (0.004, 0.001, 0.007), 0.01, "not supported", "differs from 0, but a difference of 0.01 is excluded"),
        (GREATER, (0.002, 0.001, 0.003), 1e-6, "not supported", "differs from 0, but a difference of 0.01 is excluded"),
        (GREATER, (0.008, 0.002, 0.014), 0.01, "undecided", "differs from 0, but a difference of 0.01 is neither"),
        (GREATER, (0.01, 0.002, 0.018), 0.01, "supported", "greater"),
        (LESS, (-0.002, -0.003, -0.001), 1e-6, "not supported", "differs from 0, but a difference of 0.01 is excluded"),
        (LESS, (-0.008, -0.014, -0.002), 0.01, "undecided", "differs from 0"),
        (GREATER, (-0.001, -0.011, 0.009), 0.9, "not supported", "a difference of 0.01 is excluded"),
        (GREATER, (0.001, -0.008, 0.01), 0.9, "undecided", "neither excluded nor shown"),
        (GREATER, (-0.01, -0.02, 0.0), 0.04, "not supported", "a difference of 0.01 is excluded"),
        (GREATER, (-0.05, -0.08, -0.02), 0.001, "not supported", "the other way"),
        (GREATER, (0.0, 0.0, 0.0), 1.0, "not supported", "a difference of 0.01 is excluded"),
        (LESS, (-0.05, -0.08, -0.02), 0.0499, "supported", "less, p 0.0499 after Holm"),
        (LESS, (-0.05, -0.08, -0.02), 0.05, "undecided", "neither excluded nor shown"),
        (LESS, (0.001, -0.009, 0.011), 0.9, "not supported", "a difference of 0.01 is excluded"),
        (LESS, (-0.001, -0.01, 0.008), 0.9, "undecided", "neither excluded nor shown"),
        (LESS, (0.05, 0.02, 0.08), 0.001, "not supported", "the other way"),
        (NO_LESS, (0.0, -0.0099, 0.0099), 1.0, "supported", "a loss of 0.01 is excluded"),
        (NO_LESS, (0.0, -0.01, 0.01), 0.001, "undecided", "neither excluded nor shown"),
        (NO_LESS, (-0.02, -0.03, -0.01), 0.001, "undecided", "neither excluded nor shown"),
        (NO_LESS, (-0.02, -0.03, -0.0101), 0.9, "not supported", "the loss is larger than 0.01"),
        (NO_LESS, (0.05, 0.02, 0.08), 0.9, "supported", "a loss of 0.01 is excluded"),
    ],
)
def test_verdicts_and_their_boundaries(
    contrast: Contrast, interval: tuple[float, float, float], adjusted: float, verdict: str, why: str
) -> None:
    found, said = decide(contrast, (0.3, 0.2), _effect(*interval), adjusted)
    assert found == verdict
    assert why in said


def test_the_margin_is_the_contrasts_own() -> None:
    effect = _effect(0.01, -0.01, 0.03)
    assert decide(GREATER, (0.3, 0.2), effect, 0.3)[0] == "undecided"
    assert decide(replace(GREATER, margin=0.05), (0.3, 0.2), effect, 0.3) == (
        "not supported", "a difference of 0.05 is excluded",
    )  # fmt: skip
    assert decide(replace(NO_LESS, margin=0.05), (0.3, 0.2), effect, 0.3)[0] == "supported"


@pytest.mark.parametrize("contrast", [GREATER, LESS, NO_LESS])
@pytest.mark.parametrize("bounds", [(None, None), (None, 0.2), (0.1, None)])
def test_without_an_interval_nothing_is_decided(contrast: Contrast, bounds: tuple[float | None, float | None]) -> None:
    verdict, why = decide(contrast, (0.9, 0.1), _effect(0.8, *bounds), 0.0001)
    assert verdict == "undecided"
    assert "no interval" in why


def test_a_rate_at_0_has_nothing_left_to_fall() -> None:
    excluded = _effect(0.0, -0.001, 0.001)
    verdict, why = decide(LESS, (0.0, 0.0), excluded, 1.0)
    assert (verdict, why) == ("undecided", "both stand at 0: there is nothing left to fall")
    verdict, why = decide(GREATER, (1.0, 1.0), excluded, 1.0)
    assert (verdict, why) == ("undecided", "both stand at 1: there is nothing left to rise")
    assert decide(GREATER, (100.0, 100.0), excluded, 1.0, limits=(0.0, 100.0))[0] == "undecided"
    assert decide(LESS, (-1.0, -1.0), excluded, 1.0, limits=(-1.0, 1.0))[0] == "undecided"
    assert decide(LESS, (0.001, 0.001), excluded, 1.0)[0] == "undecided", "a fall of all that is left is possible"
    assert decide(LESS, (0.01, 0.0), excluded, 1.0)[0] == "not supported", "what rises from 0 does not fall"
    assert decide(GREATER, (0.0, 0.0), excluded, 1.0)[0] == "not supported", "only what was to fall"
    assert decide(NO_LESS, (0.0, 0.0), excluded, 1.0)[0] == "supported"


def test_less_than_the_margin_is_left_to_fall() -> None:
    """A false-positive rate of .045 cannot fall by .05, but it can fall to 0."""
    fall = replace(LESS, margin=0.05)
    assert decide(fall, (0.0, 0.045), _effect(-0.045, -0.052, -0.038), 1e-6)[0] == "supported"
    assert decide(fall, (0.0, 0.045), _effect(-0.045, -0.045, -0.045), 0.0)[0] == "supported"
    assert decide(fall, (0.001, 0.045), _effect(-0.044, -0.051, -0.037), 1e-6)[0] == "supported", "nearly to 0"
    verdict, why = decide(fall, (0.03, 0.045), _effect(-0.015, -0.02, -0.01), 1e-6)
    assert (verdict, why) == (
        "not supported",
        "it differs from 0, but a difference of 0.045, all that is left, is excluded",
    )
    assert decide(fall, (0.0, 0.045), _effect(-0.045, -0.1, 0.01), 0.3)[0] == "undecided"
    rise = replace(GREATER, margin=0.05)
    assert decide(rise, (1.0, 0.97), _effect(0.03, 0.02, 0.04), 1e-6)[0] == "supported"
    assert decide(rise, (0.98, 0.97), _effect(0.01, 0.005, 0.015), 1e-6)[0] == "not supported"


@pytest.mark.parametrize("expect", ["greater", "less", "no less", "no more"])
def test_two_seeds_give_no_verdict(expect: Any) -> None:
    two = SeedEffect(0.3, 0.2, 0.4, 1e-9, (0.29, 0.31), 100)
    verdict, why = decide(replace(GREATER, expect=expect), (0.5, 0.2), two, 1e-9)
    assert (verdict, "fewer than 3 seeds" in why) == ("no verdict", True)
    one = SeedEffect(0.3, 0.2, 0.4, 1e-9, (0.3,), 100)
    assert decide(replace(GREATER, expect=expect), (0.5, 0.2), one, 1e-9, seeds=1)[0] == "no verdict"
    assert decide(replace(GREATER, expect=expect), (0.5, 0.2), one, 1e-9)[0] != "no verdict", "nothing was trained"
    nothing = replace(one, mean=float("nan"), low=None, high=None)
    assert decide(replace(GREATER, expect=expect), (0.5, 0.2), nothing, 1.0, seeds=1)[0] == "no verdict"
    assert decide(replace(GREATER, expect=expect), (0.5, 0.2), nothing, 1.0, seeds=3)[0] == "undecided"


def test_no_contrast_is_both() -> None:
    """Over a grid of effects and intervals: supported never where the interval excludes the margin."""
    for mean in np.linspace(-0.03, 0.03, 25):
        for half in (0.0, 0.001, 0.004, 0.009, 0.03):
            for base in (0.005, 0.02, 0.5):
                p = 0.001 if abs(mean) > half else 0.5
                effect = _effect(float(mean), float(mean - half), float(mean + half))
                values = (base + float(mean), base)
                less, greater = decide(LESS, values, effect, p)[0], decide(GREATER, values, effect, p)[0]
                if mean + half < 0.01 - 1e-9:
                    assert greater == "not supported"
                if greater == "supported":
                    assert mean >= 0.01 - 1e-9
                    assert less == "not supported"
                if less == "supported":
                    assert greater == "not supported"


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([], "undecided"),
        (["supported"], "supported"),
        (["supported", "supported"], "supported"),
        (["supported", "undecided"], "undecided"),
        (["undecided", "not supported"], "not supported"),
        (["supported", "not supported", "supported"], "not supported"),
        (["no verdict", "undecided", "supported"], "no verdict"),
        (["no verdict", "not supported"], "not supported"),
    ],
)
def test_a_claim_holds_if_all_of_its_contrasts_do(verdicts: list[Any], whole: str) -> None:
    findings = [Finding(GREATER, "t", (0.0, 0.0), _effect(0, 0, 0), 1.0, one, "") for one in verdicts]
    assert whole_verdict(findings) == whole
