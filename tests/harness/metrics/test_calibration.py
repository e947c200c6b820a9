"""Confidence metrics against scikit-learn-style definitions written out, and explanations against known texts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gi_bench.harness import files, store
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.errors import RunError
from gi_bench.harness.metrics import calibration as c
from gi_bench.harness.metrics import explanations as e
from gi_bench.harness.metrics import levels, pairs
from gi_bench.harness.schema import AtomicPair, Prediction, Question
from gi_bench.harness.tables import records_of, schema_of
from tests.run_folders import questions, write_run


def _judged(confidence: np.ndarray, right: np.ndarray) -> c.Judged:
    n = len(confidence)
    return c.Judged(confidence, right.astype(float), tuple(f"i{k // 3}" for k in range(n)), (("polyp_count",),) * n, {})


def _sample(seed: int, n: int = 700, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    confidence = np.round(random.random(n), digits)
    return confidence, (random.random(n) < confidence**1.5).astype(float)


def _slow_auroc(confidence: np.ndarray, right: np.ndarray) -> float:
    a, b = confidence[right == 1], confidence[right == 0]
    return float(((a[:, None] > b).sum() + 0.5 * (a[:, None] == b).sum()) / (len(a) * len(b)))


def _slow_auprc(confidence: np.ndarray, right: np.ndarray) -> float:
    total, last = 0.0, 0.0
    for threshold in sorted(set(confidence), reverse=True):
        kept = confidence >= threshold
        recall = right[kept].sum() / right.sum()
        total += (recall - last) * right[kept].mean()
        last = recall
    return total


@pytest.mark.parametrize("digits", [1, 2, 6])
def test_ranking_metrics_equal_their_definitions(digits: int) -> None:
    confidence, right = _sample(1, digits=digits)
    everything = np.arange(len(confidence))
    for value, slow in ((c.auroc_value, _slow_auroc), (c.auprc_value, _slow_auprc)):
        found = c._ranked(_judged(confidence, right), value)
        assert not isinstance(found, str)
        assert found.point is not None
        assert found.point(everything) == pytest.approx(slow(confidence, right), abs=1e-12)
        assert float(value(found.sums.sum(axis=0))) == pytest.approx(slow(confidence, right), abs=5e-3)
    coverage, risk = c.risk_coverage(confidence, right)
    assert coverage[-1] == 1.0
    assert risk[-1] == pytest.approx(1 - right.mean())
    aurc = c._ranked(_judged(confidence, right), c.aurc_value)
    assert not isinstance(aurc, str)
    assert aurc.point is not None
    weights = np.diff(coverage, prepend=0.0)
    assert aurc.point(everything) == pytest.approx(float((weights * risk).sum()), abs=1e-12)


def test_calibration_errors_equal_their_definitions() -> None:
    confidence, right = _sample(2, digits=6)
    edges = np.linspace(0, 1, 16)
    expected = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    found = c._binned(_judged(confidence, right), c.equal_width(confidence), c.BINS)
    assert float(c.calibration_error(found.sums.sum(axis=0))) == pytest.approx(expected, abs=1e-12)
    codes, count = c.levels(confidence, 15)
    assert count == 15
    assert np.ptp(np.bincount(codes)) <= 2, "bins of equal numbers of rows"
    assert c.equal_width(np.array([0.0, 1 / 15, 0.0667, 1.0])).tolist() == [0, 0, 1, 14]


def test_a_calibrated_model_has_no_error_and_an_overconfident_one_has() -> None:
    random = np.random.default_rng(3)
    confidence = random.random(20_000)
    right = (random.random(20_000) < confidence).astype(float)
    good = c._binned(_judged(confidence, right), c.equal_width(confidence), c.BINS)
    assert float(c.calibration_error(good.sums.sum(axis=0))) < 0.02
    bold = c._binned(_judged(np.sqrt(confidence), right), c.equal_width(np.sqrt(confidence)), c.BINS)
    assert float(c.calibration_error(bold.sums.sum(axis=0))) == pytest.approx(2 / 3 - 1 / 2, abs=0.02)


def test_correlation_equals_numpy_and_is_nan_for_constants() -> None:
    random = np.random.default_rng(4)
    x, y = random.random(200), random.random(200)
    rows = np.stack([x, y, x * x, y * y, x * y, np.ones(200)], axis=1)
    assert float(c.correlation_value(rows.sum(axis=0))) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
    y[:] = 0.1
    rows = np.stack([x, y, x * x, y * y, x * y, np.ones(200)], axis=1)
    assert np.isnan(c.correlation_value(rows.sum(axis=0)))


def test_constant_confidence_is_called_uninformative(tmp_path: Path) -> None:
    scores = score_run(write_run(tmp_path / "run"))
    assert scores.not_computed["confidence_auroc"] == "uninformative: every answer has the confidence 0.75"
    assert scores.find("confidence_brier").value == pytest.approx(0.25**2)  # type: ignore[union-attr]
    assert scores.find("confidence_ece").value == pytest.approx(0.25)  # type: ignore[union-attr]
    none = score_run(write_run(tmp_path / "none", confidence=None))
    assert none.not_computed["confidence_ece"] == "the run gives no confidence for answers"


def test_a_negation_flip_is_wrong_even_where_overlap_is_high(tmp_path: Path) -> None:
    scores = score_run(
        write_run(
            tmp_path / "run", answer=lambda q: "one instruments visible in the image" if q.index == 1 else q.answer
        )
    )
    assert scores.find("rougeL").value > 0.95  # type: ignore[union-attr,operator]
    assert scores.find("fact_accuracy").value == pytest.approx(11 / 12)  # type: ignore[union-attr]
    assert scores.find("fact_accuracy", "question_class", "instrument_count").value == pytest.approx(  # type: ignore[union-attr]
        5 / 6
    )


def test_explanations_by_rule() -> None:
    row = questions(2)[1]  # no instruments
    assert e.contradiction("A tube is visible, one instrument.", "no instruments", row) is True
    assert e.contradiction("No instrument can be seen.", "no instruments", row) is False
    assert e.contradiction("Pink mucosa.", "no instruments", row) is None
    assert e.novelty("one polyp", "How many polyps are there?", "one polyp") == 0.0
    assert e.novelty("A pink dome", "How many polyps?", "one") == 1.0
    assert e.novelty("", "How many?", "one") == 0.0
    assert e.echo("How many polyps are there? One.", "How many polyps are there?") == 1.0
    assert e.echo("A red bump.", "How many polyps are there?") == 0.0
    assert e.attributes("A small round red bump in the upper left") == {"location", "colour", "size", "shape"}
    assert e.attributes("A polyp is seen.") == frozenset()
    location = replace(row, question_class=("abnormality_location",), original=(AtomicPair("q", "center; upper-left"),))
    assert e.fact_quality("The lesion lies in the upper left.", location) == pytest.approx(0.5)
    assert e.fact_quality("The lesion is red.", location) is None


def test_explanation_scores_of_a_run(tmp_path: Path) -> None:
    scores = score_run(
        write_run(tmp_path / "run", explain=lambda q: "A small red bump; one polyp." * (q.index % 2 == 0))
    )
    assert scores.find("explanation_attributes").n == 6, "an empty text is none"  # type: ignore[union-attr]
    assert scores.find("explanation_length").value == pytest.approx(6.0)  # type: ignore[union-attr]
    assert scores.find("explanation_contradiction").value == 0.0  # type: ignore[union-attr]
    assert scores.find("explanation_false_positive_rate") is None, "no explanation where the finding is absent"
    assert "0 of 6 explanations" in scores.not_computed["explanation_false_positive_rate"]


# What pools of classes hide, what a confidence has to beat, and confidences at the edge of what they can be.


def _slow_within(score: np.ndarray, right: np.ndarray, strata: list[str]) -> float:
    """All pairs of a right and a wrong row of one stratum, one by one."""
    won = pairs = 0.0
    for i, j in itertools.product(np.flatnonzero(right == 1), np.flatnonzero(right == 0)):
        if strata[i] == strata[j]:
            pairs += 1
            won += 1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0
    return won / pairs


def _classed(seed: int, n: int = 400) -> c.Judged:
    """Classes of other difficulty whose confidence rises with it, and tells within them as well."""
    random = np.random.default_rng(seed)
    names = np.array(["polyp_count", "text_presence", "polyp_size", "box_artifact_presence"])
    picked = random.integers(0, 4, n)
    right = (random.random(n) < np.array([0.2, 0.95, 0.5, 0.7])[picked]).astype(float)
    confidence = np.round(0.2 + 0.15 * picked + 0.1 * right + 0.15 * random.random(n), 2)
    classes = tuple((str(names[k]),) for k in picked)
    return c.Judged(confidence, right, tuple(f"i{k // 5}" for k in range(n)), classes, {}, tuple(classes))


def test_auroc_within_classes_equals_its_definition_on_every_slice() -> None:
    found = _classed(5)
    statistics = c._within(found)
    assert not isinstance(statistics, str)
    strata = [" ".join(classes) for classes in found.classes]
    value = float(statistics.value(statistics.sums.sum(axis=0)))
    assert value == pytest.approx(_slow_within(found.confidence, found.right, strata), abs=1e-12)
    # A slice that cuts through the classes counts its own pairs only.
    rows = np.flatnonzero(np.arange(len(strata)) % 3 > 0)
    expected = _slow_within(found.confidence[rows], found.right[rows], [strata[i] for i in rows])
    assert float(statistics.value(statistics.sums_of(rows).sum(axis=0))) == pytest.approx(expected, abs=1e-12)
    one = np.array([i for i, name in enumerate(strata) if name == "polyp_size"])
    expected = _slow_auroc(found.confidence[one], found.right[one])
    assert float(statistics.value(statistics.sums[one].sum(axis=0))) == pytest.approx(expected, abs=1e-12)


def test_a_confidence_by_class_alone_says_nothing_within() -> None:
    found = _classed(5)
    names = sorted(set(found.classes))
    flat = replace(found, confidence=np.array([0.1 + 0.2 * names.index(k) for k in found.classes]))
    assert c._within(flat) == "uninformative: answers to questions of the same classes have the same confidence"
    assert not isinstance(c._ranked(flat, c.auroc_value), str)


def test_shuffles_within_classes_give_one_half_within_and_more_over_all() -> None:
    random = np.random.default_rng(6)
    within, pooled = [], []
    for seed in range(40):
        found = _classed(seed)
        shuffled = found.confidence.copy()
        for name in set(found.classes):
            rows = np.flatnonzero([classes == name for classes in found.classes])
            shuffled[rows] = random.permutation(shuffled[rows])
        shuffled_found = replace(found, confidence=shuffled)
        for shape, values in ((c._within, within), (lambda f: c._ranked(f, c.auroc_value), pooled)):
            statistics = shape(shuffled_found)
            assert not isinstance(statistics, str)
            values.append(float(statistics.value(statistics.sums.sum(axis=0))))
    assert np.mean(within) == pytest.approx(0.5, abs=0.02)
    assert np.mean(pooled) > 0.6


def test_the_interval_within_classes_is_as_wide_as_repetition_says() -> None:
    from gi_bench.harness.intervals import bootstrap_interval
    from gi_bench.harness.statistics import Bootstrap, encode, sums_by_image

    values, covered, truth = [], 0, 0.0
    bootstrap = Bootstrap(300, 0)
    many = c._within(_classed(999, 40_000))
    assert not isinstance(many, str)
    truth = float(many.value(many.sums.sum(axis=0)))
    for seed in range(200):
        statistics = c._within(_classed(seed, 300))
        assert not isinstance(statistics, str)
        values.append(float(statistics.value(statistics.sums.sum(axis=0))))
        codes, images = encode(statistics.images)
        interval = bootstrap_interval(sums_by_image(statistics.sums, codes, images), statistics.value, bootstrap)
        assert interval is not None
        assert interval[0] <= values[-1] <= interval[1]
        covered += interval[0] <= truth <= interval[1]
    assert np.mean(values) == pytest.approx(truth, abs=0.01)
    assert covered / 200 > 0.88


def test_base_rates_learn_from_other_images_only() -> None:
    found = _classed(7)
    fold = pairs.folds(found.images)
    assert {
        img: len({int(f) for f, i in zip(fold, found.images, strict=True) if i == img}) for img in found.images
    } == (dict.fromkeys(found.images, 1))
    rates = pairs.base_rates(found.right, found.classes, found.said, fold)
    # Other labels of the rows of one fold change no rate of that fold.
    flipped = np.where(fold == 2, 1 - found.right, found.right)
    again = pairs.base_rates(flipped, found.classes, found.said, fold)
    assert np.array_equal(rates[fold == 2], again[fold == 2])
    assert not np.array_equal(rates[fold != 2], again[fold != 2])
    # By hand, for one row.
    same = np.array([classes == found.classes[0] for classes in found.classes])
    others = fold != fold[0]
    overall = (found.right[others].sum() + 0.5) / (others.sum() + 1)
    by_class = (found.right[others & same].sum() + overall) / ((others & same).sum() + 1)
    assert rates[0] == pytest.approx((found.right[others & same].sum() + by_class) / ((others & same).sum() + 1))


def test_base_rates_that_know_nothing_are_worth_one_half() -> None:
    """One class, one answer: leaving the own image out must not rank right answers below wrong ones."""
    values = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        right = (random.random(300) < 0.7).astype(float)
        found = c.Judged(random.random(300), right, tuple(f"i{k // 3}" for k in range(300)), (("polyp_count",),) * 300,
                         {}, ("one",) * 300)  # fmt: skip
        statistics = c._base_rate(found)
        assert not isinstance(statistics, str)
        values.append(float(statistics.value(statistics.sums.sum(axis=0))))
    assert np.mean(values) == pytest.approx(0.5, abs=0.01)


def test_gain_is_the_difference_and_nothing_for_a_confidence_that_knows_the_class_alone() -> None:
    found = _classed(8, 2000)
    gain, base = c._gain(found), c._base_rate(found)
    assert not isinstance(gain, str)
    assert not isinstance(base, str)
    whole = [float(s.value(s.sums.sum(axis=0))) for s in (gain, base)]
    assert whole[0] == pytest.approx(_slow_auroc(found.confidence, found.right) - whole[1], abs=1e-12)
    assert whole[0] != pytest.approx(0.0, abs=0.02)
    shares = {name: np.mean([r for r, k in zip(found.right, found.classes, strict=True) if k == name])
              for name in set(found.classes)}  # fmt: skip
    only = c._gain(replace(found, confidence=np.array([shares[name] for name in found.classes])))
    assert not isinstance(only, str)
    assert float(only.value(only.sums.sum(axis=0))) == pytest.approx(0.0, abs=0.02)


def test_every_run_has_the_same_levels_unless_its_confidences_crowd() -> None:
    random = np.random.default_rng(9)
    for confidence in (random.random(500), 1 - 10 ** (-8 * random.random(500)), np.round(random.random(37), 1)):
        right = (random.random(len(confidence)) < 0.6).astype(float)
        for value in (c.auroc_value, c.auprc_value, c.aurc_value):
            found = c._ranked(_judged(confidence, right), value)
            assert not isinstance(found, str)
            assert found.columns == levels.GRID
            assert found.point is not None
            exact = found.point(np.arange(len(right)))
            assert float(value(found.sums.sum(axis=0))) == pytest.approx(exact, abs=0.02)
    crowded = 0.5 + 0.001 * random.random(500)
    right = (random.random(500) < (crowded - 0.5) * 1000).astype(float)
    found = c._ranked(_judged(crowded, right), c.auroc_value)
    assert not isinstance(found, str)
    assert found.columns != levels.GRID
    assert found.point is not None
    assert float(c.auroc_value(found.sums.sum(axis=0))) == pytest.approx(found.point(np.arange(500)), abs=0.01)
    assert found.sums.shape[1] == 2 * (len(found.columns or ()) + 1)
    assert np.searchsorted(levels.GRID, [0.0, 1.0], side="right").tolist() == [0, len(levels.GRID)]
    first, second = (c._adaptive(_judged(random.random(300), np.ones(300))) for _ in range(2))
    assert len(first.columns or ()) == len(second.columns or ()) == 14
    assert first.columns != second.columns, "bins of equal size lie elsewhere for every run"


@pytest.mark.parametrize("middle", [1 - 1e-6, 0.5, 1e-7, 0.9])
@pytest.mark.parametrize("spread", [1e-9, 1e-6, 1e-4, 0.05])
def test_correlation_of_confidences_that_lie_close_together(middle: float, spread: float) -> None:
    random = np.random.default_rng(10)
    x = middle + spread * (random.random(300) - 0.5)
    y = 0.5 + (x - x.mean()) / spread * 0.3 + 0.2 * random.random(300)
    found = float(c.correlation_value(c._moments(x, y).sum(axis=0)))
    assert found == pytest.approx(float(np.corrcoef(x, y)[0, 1]), abs=1e-6)
    assert np.isnan(c.correlation_value(c._moments(np.full(300, middle), y).sum(axis=0)))


def test_confidences_outside_their_range_are_counted_and_never_scored(tmp_path: Path) -> None:
    odd = {0: float("nan"), 1: 1.5, 2: -0.25, 3: float("inf"), 4: None}

    def made(run: Path, keep: bool) -> Path:
        part = run / "predictions" / "part-00000.parquet"
        rows = store.read_predictions(part)
        changed = [
            replace(r, confidence=odd.get(r.index, 0.4 + r.index / 30) if keep or r.index > 4 else None)
            if r.kind == "question"
            else r
            for r in rows
        ]
        store.write_part(part, changed)
        return run

    def text(question: Question) -> str:
        return "a scope is seen" if question.index % 3 else question.answer or ""

    with_odd = score_run(made(write_run(tmp_path / "odd", answer=text), True))
    without = score_run(made(write_run(tmp_path / "without", answer=text), False))
    for name in ("confidence_ece", "confidence_brier", "confidence_auroc", "confidence_auroc_within",
                 "confidence_gain", "confidence_explanation_correlation"):  # fmt: skip
        ours, theirs = with_odd.find(name), without.find(name)
        assert ours == theirs, name
    assert with_odd.find("confidence_brier").n == 7  # type: ignore[union-attr]
    assert with_odd.counts["confidence_brier: confidence outside its range"] == 4
    assert with_odd.counts["confidence_brier: no confidence"] == 1
    none = score_run(write_run(tmp_path / "none", confidence=float("nan")))
    assert none.not_computed["confidence_ece"] == "no confidence of the run is in its range (12 outside)"


def test_every_measure_of_how_sure_a_model_is_can_be_ranked(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", answer=lambda q: q.answer if q.index % 4 < 2 else "three polyps, two tubes")
    part = run / "predictions" / "part-00000.parquet"
    rows = store.read_predictions(part)
    changed = [
        replace(r, log_prob=-0.1 - (r.index % 4), margin=0.5 + r.index / 100, entropy=0.01 + (r.index % 4) / 10)
        for r in rows
    ]
    store.write_part(part, changed)
    scores = score_run(run)
    for suffix in ("", "_within"):
        assert scores.find(f"confidence_auroc{suffix}_log_prob").value == 1.0  # type: ignore[union-attr]
        assert scores.find(f"confidence_auroc{suffix}_entropy").value == 1.0  # type: ignore[union-attr]
        assert scores.find(f"confidence_auroc{suffix}_margin") is not None
    plain = score_run(write_run(tmp_path / "plain"))
    assert plain.not_computed["confidence_auroc_entropy"] == "the run gives no entropy for answers"


def test_parts_written_before_entropy_are_read_as_null(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    part = run / "predictions" / "part-00000.parquet"
    before = files.read_table(part, schema_of(Prediction))
    assert "entropy" in before.schema.names
    files.write_table(part, before.drop_columns(["entropy"]))
    assert store.read_predictions(part) == records_of(before, Prediction)
    assert all(p.entropy is None for p in store.open_run(run).predictions.values())
    files.write_table(part, before.drop_columns(["confidence"]))
    with pytest.raises(RunError, match="another version"):
        store.read_predictions(part)
