"""Intervals of scores: what they cover, their edges, their order, and what they rest on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gi_bench.harness.analysis.definitions import has_older_intervals, older_note
from gi_bench.harness.analysis.scoring import metric_scores, score_run
from gi_bench.harness.intervals import INTERVAL_VERSION, beside_unseen, binomial_tail, bootstrap_interval, normal_cdf
from gi_bench.harness.intervals import rate_interval as interval_of
from gi_bench.harness.metrics.base import Statistics, ratio
from gi_bench.harness.schema import MetricInfo, Scores
from gi_bench.harness.statistics import Bootstrap
from gi_bench.harness.store import scores_from_json, scores_to_json
from tests.benchmarks.intervals import RATES, Cell, Found, cells, of_metric, simulate
from tests.run_folders import write_run


def rate_interval(hits: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    found = interval_of(np.stack([hits, rows], axis=1).astype(float))
    assert found is not None
    return found


def _orders(images: int, rows: int) -> Iterator[np.ndarray]:
    """Images of the hits, in the order in which they are added: scattered, image by image, at random."""
    number = np.repeat(np.arange(images), rows)
    yield np.tile(np.arange(images), rows)
    yield number


@pytest.mark.parametrize(("images", "rows"), [(20, 20), (20, 3), (20, 1), (50, 24), (6, 4), (2, 5)])
def test_a_hit_more_never_lowers_a_bound(images: int, rows: int) -> None:
    for order in _orders(images, rows):
        hits, last = np.zeros(images), (-1.0, -1.0)
        for k, image in enumerate([-1, *order.tolist()]):
            if k:
                hits[image] += 1
            if k > 25 and k % 29 and k < images * rows - 3:
                continue
            found = rate_interval(hits, np.full(images, rows))
            assert found[0] >= last[0] - 1e-9, k
            assert found[1] >= last[1] - 1e-9, k
            assert 0 <= found[0] <= k / images / rows <= found[1] <= 1
            assert found[1] > found[0]
            last = found


def test_hits_and_misses_are_mirrored() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        rows = random.integers(1, 25, size=15)
        hits = random.binomial(rows, random.random())
        low, high = rate_interval(hits, rows)
        other = rate_interval(rows - hits, rows)
        assert (1 - high, 1 - low) == pytest.approx(other, abs=1e-6)


def test_bounds_of_rows_that_are_independent() -> None:
    """One row an image: between mid-p and exact limits; 6 of 20 exactly .119 to .543 (Clopper and Pearson 1934)."""
    hits = np.zeros(20)
    hits[:6] = 1
    low, high = rate_interval(hits, np.ones(20))
    assert 0.119 < low < 0.135
    assert 0.52 < high < 0.543


def test_no_hit_of_few_images_is_no_proof_of_none() -> None:
    assert rate_interval(np.zeros(20), np.ones(20)) == pytest.approx((0, 1 - 0.04 ** (1 / 20)), abs=1e-3)
    low, high = rate_interval(np.full(20, 20), np.full(20, 20))
    assert high == 1
    assert 0.85 < low < 0.95


def test_rows_alike_are_worth_less() -> None:
    alike, scattered = np.zeros(40), np.full(40, 6)
    alike[:20] = 12
    rows = np.full(40, 12)
    (low, high), (left, right) = rate_interval(alike, rows), rate_interval(scattered, rows)
    assert high - low > 2.5 * (right - left)
    assert high - low == pytest.approx(0.31, abs=0.03), "as of 40 independent rows"


def test_no_interval_without_two_images() -> None:
    assert interval_of(np.array([[3.0, 9.0]])) is None
    assert interval_of(np.array([[3.0, 9.0], [0.0, 0.0]])) is None
    assert interval_of(np.zeros((0, 2))) is None


def test_images_of_thousands_of_rows() -> None:
    rows = np.full(12, 5000)
    low, high = rate_interval(np.full(12, 2500), rows)
    assert 0.45 < low < 0.5 < high < 0.55
    low, high = rate_interval(np.array([5000] * 6 + [0] * 6), rows)
    assert low < 0.25 < 0.75 < high


def test_the_tail_against_exact_sums() -> None:
    for n in (1, 2, 5, 20, 100):
        for p in (0.01, 0.1, 0.5, 0.8):
            for most in {0, n // 3, n - 1}:
                exact = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(most + 1))
                assert float(binomial_tail(np.array(float(most)), np.array(float(n)), np.array(p))) == pytest.approx(
                    exact, abs=0.01 if n < 5 else 0.005
                )
    assert float(normal_cdf(np.array(-1.959963985))) == pytest.approx(0.025, abs=1e-6)


# Where others failed: rare, alike, few, unequal; and where an interval can be too wide.
_HARD = (
    Cell(20, "24", 0.8, 0.05),
    Cell(20, "1-24", 0.8, 0.1),
    Cell(20, "3", 0.8, 0.1),
    Cell(20, "1", 0.0, 0.05),
    Cell(20, "24", 0.5, 0.8),
    Cell(50, "3", 0.5, 0.95),
    Cell(50, "2 or 20", 0.3, 0.98),
    Cell(200, "8", 0.3, 0.005),
)


@pytest.mark.parametrize("cell", _HARD, ids=str)
def test_rates_are_covered(cell: Cell) -> None:
    assert simulate(cell, 100).coverage >= 0.88, "100 trials of .93 or more"


@pytest.mark.parametrize("dependence", ["probit", "blocks"])
def test_rates_are_covered_whatever_makes_rows_alike(dependence: str) -> None:
    assert simulate(Cell(20, "8", 0.5, 0.1), 120, dependence=dependence).coverage >= 0.89


@pytest.mark.parametrize("cell", [Cell(20, "8", 0.0, 0.5), Cell(50, "24", 0.3, 0.2), Cell(20, "24", 0.8, 0.5)], ids=str)
def test_intervals_are_hardly_wider_than_of_who_knows_the_correlation(cell: Cell) -> None:
    assert simulate(cell, 60).width <= 1.3


@pytest.mark.slow(reason="two minutes of simulation; single cells of the grid are quick tests")
def test_the_whole_grid() -> None:
    found: list[Found] = [simulate(cell, 300) for cell in cells(RATES[:6])]
    low = [one for one in found if one.coverage < 0.90]
    assert not low, "300 trials of .93 or more"
    frequent = [one for one in found if one.cell.expects_five and one.cell.rate >= 0.1]
    assert not [one for one in frequent if one.width > 1.4]


def test_skewed_means_of_few_images_are_covered() -> None:
    """Percentile intervals cover .86 to .90 of means of such scores over 20 images."""
    random = np.random.default_rng(4)
    population = np.stack([random.beta(6, 0.6, size=4000) * 3, np.full(4000, 3.0)], axis=1)
    coverage, width = of_metric(population, ratio, 20, 200, 1)
    assert coverage >= 0.91
    assert width < 0.25


def test_a_bootstrap_interval_holds_its_value_and_stays_in_range() -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        values = random.beta(0.3, 0.1, size=(int(random.integers(2, 12)), 1))
        by_image = np.concatenate([values, np.ones_like(values)], axis=1)
        found = bootstrap_interval(by_image, ratio, Bootstrap(200, 0))
        assert found is not None
        assert 0 <= found[0] <= values.mean() <= found[1] <= 1
    assert bootstrap_interval(np.ones((1, 2)), ratio, Bootstrap(200, 0)) is None
    assert bootstrap_interval(np.ones((3, 2)), ratio, Bootstrap(0, 0)) is None


def test_no_score_of_a_run_has_an_interval_without_width(tmp_path: Path) -> None:
    """All answers right, or all wrong: rates, means and corpus scores alike."""
    for answer in (None, lambda q: "zzz"):
        run = write_run(tmp_path / f"run{answer is None}", **({"answer": answer} if answer else {}))
        scores = score_run(run, resamples=100)
        info = {one.name: one for one in scores.metrics}
        for one in scores.scores:
            if one.interval_low is None or not info[one.metric].ranked:
                continue
            assert one.interval_high is not None
            assert one.interval_high - one.interval_low > 1e-6, one
            assert info[one.metric].low <= one.interval_low <= (one.value or 0) <= one.interval_high, one
            assert one.interval_high <= info[one.metric].high, one


def test_rows_of_another_kind_that_were_not_drawn() -> None:
    low, high = beside_unseen((0.4, 0.4), np.ones(20), 0.4, 0.0, 1.0)
    share = 1 - 0.04 ** (1 / 20)
    assert (low, high) == pytest.approx((0.4 - 0.4 * share, 0.4 + 0.6 * share), abs=1e-3)


def test_n_is_what_the_value_rests_on() -> None:
    sums = np.array([[1.0, 1], [0, 0], [1, 1], [0, 0], [0, 1], [0, 0]])
    statistics = Statistics(
        sums, ("a", "b", "a", "c", "d", "d"), {"kind": (("x",), ("y",), ("x",), ("y",), ("x",), ())}
    )
    scores = {one.slice_value: one for one in metric_scores("m", statistics, Bootstrap(50, 0))}
    assert (scores["all"].value, scores["all"].n, scores["all"].image_count) == (pytest.approx(2 / 3), 3, 2)
    assert (scores["y"].value, scores["y"].n, scores["y"].image_count, scores["y"].interval_low) == (None, 0, 0, None)
    alone = next(iter(metric_scores("m", replace(statistics, sums=sums[[0, 2, 4]], images=("a", "a", "d"), slices={}),
                                    Bootstrap(50, 0))))  # fmt: skip
    assert (alone.interval_low, alone.interval_high) == (scores["all"].interval_low, scores["all"].interval_high)


def test_precision_of_facts_rests_on_facts_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", answer=lambda q: q.answer if q.index < 3 else "lorem ipsum")
    scores = score_run(run, resamples=50)
    asked, read = scores.find("fact_accuracy"), scores.find("fact_precision")
    coverage = scores.find("fact_coverage")
    assert asked is not None
    assert read is not None
    assert coverage is not None
    assert coverage.value is not None
    assert read.n == round(coverage.value * asked.n) < asked.n
    assert read.image_count <= read.n


def test_which_statistics_are_rates() -> None:
    def of(*rows: tuple[float, float], **other: object) -> bool:
        return Statistics(np.array(rows), ("a",) * len(rows), {}, **other).is_rate  # type: ignore[arg-type]

    assert of((1, 1), (0, 1), (0, 0))
    assert not of((0.5, 1), (0, 1))
    assert not of((1, 2), (0, 1)), "weights"
    assert not of((1, 1), (0, 1), value=lambda sums: sums[..., 0])
    assert of((1, 1), (0, 1), value=lambda sums: sums[..., 0] / sums[..., 1], interval="wilson")


def test_stored_intervals_say_by_which_method_they_were_made(tmp_path: Path) -> None:
    scores = score_run(write_run(tmp_path / "run"), resamples=50)
    assert scores.interval_version == INTERVAL_VERSION
    assert not has_older_intervals(scores)
    content = scores_to_json(scores)
    del content["interval_version"]
    old: Scores = scores_from_json(content)
    assert old.interval_version == 1
    assert "intervals made in an older way" in (older_note(old) or "")
    assert not has_older_intervals(scores_from_json({**content, "scores": []})), "without intervals none is old"


def test_a_plugins_range_is_kept() -> None:
    info = MetricInfo("m", "m", "d", "s", low=-1.0, high=1.0)
    statistics = Statistics(np.ones((6, 1)), tuple("abcdef"), {}, value=lambda sums: np.tanh(sums[..., 0] * 0 + 0.5))
    (score,) = metric_scores("m", statistics, Bootstrap(50, 0), info)
    assert score.interval_low is not None
    assert score.interval_high is not None
    assert -1 <= score.interval_low < 0.4 < 0.5 < score.interval_high <= 1
