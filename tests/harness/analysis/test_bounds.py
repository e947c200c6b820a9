"""Floors, ceilings and the share of the way: on rows that all three cover, with honest reasons for none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gi_bench.harness import files, store
from gi_bench.harness.analysis.bounds import Share, bound_lines, bounds_beside, shares
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.cli import _main
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.metrics.correctness import METRICS as CORRECTNESS
from gi_bench.harness.metrics.text import METRICS as TEXT
from gi_bench.harness.model import NOT_COVERED
from gi_bench.harness.schema import Question
from gi_bench.harness.store import open_run
from gi_bench.reports.bounds import ways
from gi_bench.reports.comparison import build_page, render
from tests.run_folders import questions, write_run

FACTS = {metric.name: metric for metric in CORRECTNESS if metric.name == "fact_accuracy"}
EXACT = {metric.name: metric for metric in TEXT if metric.name == "exact_match"}


def _right_on(rows: Iterable[int]) -> Callable[[Question], str]:
    """Answers that are right on these rows and wrong elsewhere."""
    right = frozenset(rows)
    return lambda q: (q.answer or "") if q.index in right else "something else"


def _bound(
    folder: Path,
    role: str,
    right: Iterable[int],
    *,
    left_out: Iterable[int] = (),
    count: int = 40,
    limit: int | None = None,
    fingerprint: str = "f" * 64,
) -> Path:
    """A run with a role, without a word on the rows ``left_out``."""
    write_run(
        folder, variant=folder.name, answer=_right_on(right), rows=questions(count), shown=[], fingerprint=fingerprint
    )
    manifest = files.read_json(folder / "manifest.json")
    manifest["recipe"]["model"] = {"role": role} if role != "model" else {}
    manifest["recipe"]["limit"] = limit
    files.write_json(folder / "manifest.json", manifest)
    part, out = folder / "predictions" / "part-00000.parquet", frozenset(left_out)
    made = store.read_predictions(part)
    made = [replace(p, answer="", warnings=(NOT_COVERED,)) if p.index in out else p for p in made]
    store.write_part(part, made)
    return folder


def _shares(*paths: Path) -> list[Share]:
    return shares(paths, metrics=EXACT, resamples=500)


def test_the_share_is_the_way_from_floor_to_ceiling(tmp_path: Path) -> None:
    model = _bound(tmp_path / "model", "model", range(25))
    _bound(tmp_path / "floor", "floor", range(10))
    _bound(tmp_path / "ceiling", "ceiling", range(35))
    (one,) = _shares(model)
    assert (one.value, one.floor_value, one.ceiling_value) == (25 / 40, 10 / 40, 35 / 40)
    assert one.share == pytest.approx((25 - 10) / (35 - 10))
    assert one.low is not None
    assert one.high is not None
    assert 0 < one.low < one.share < one.high < 1
    assert (one.n, one.images, one.floor, one.ceiling) == (40, 20, "floor", "ceiling")


def test_all_three_stand_on_the_rows_that_the_ceiling_covers(tmp_path: Path) -> None:
    model = _bound(tmp_path / "model", "model", range(25))
    _bound(tmp_path / "floor", "floor", range(10))
    ceiling = _bound(tmp_path / "ceiling", "ceiling", range(35), left_out=range(8))
    (one,) = _shares(model)
    assert one.n == 32
    assert (one.value, one.floor_value, one.ceiling_value) == (17 / 32, 2 / 32, 27 / 32)
    assert one.share == pytest.approx((17 - 2) / (27 - 2))
    scores = score_run(ceiling, metrics=EXACT, resamples=50)
    found = scores.find("exact_match")
    assert found is not None
    assert (found.value, found.n) == (27 / 32, 32)
    assert scores.counts["questions not covered"] == 8
    assert any("is no model" in note and "32 of 40 questions" in note for note in scores.notes)


def test_a_model_s_own_words_cannot_take_rows_out(tmp_path: Path) -> None:
    """Only a ceiling may say that it does not cover a row."""
    model = _bound(tmp_path / "model", "model", range(25), left_out=range(30, 40))
    assert len(open_run(model).questions) == 40
    _bound(tmp_path / "floor", "floor", range(10), left_out=range(12, 40))
    assert len(open_run(tmp_path / "floor").questions) == 40


def test_the_best_floor_and_the_tightest_wide_ceiling_are_taken(tmp_path: Path) -> None:
    model = _bound(tmp_path / "model", "model", range(25))
    _bound(tmp_path / "low", "floor", range(5))
    _bound(tmp_path / "high", "floor", range(10))
    _bound(tmp_path / "loose", "ceiling", range(40))
    _bound(tmp_path / "tight", "ceiling", range(35), left_out=range(38, 40))
    _bound(tmp_path / "corner", "ceiling", range(30), left_out=range(4, 40))
    (one,) = _shares(model)
    assert (one.floor, one.ceiling, one.n) == ("high", "tight", 38)


def test_the_interval_is_a_paired_bootstrap_over_images(tmp_path: Path) -> None:
    """Against loops; where model and floor move together the share is surer than the values."""
    right = {"model": range(24), "floor": range(12), "ceiling": range(36)}
    paths = [_bound(tmp_path / role, role, rows) for role, rows in right.items()]
    (one,) = shares(paths, metrics=EXACT, resamples=2000)
    hits = {role: np.array([sum(2 * i + j in rows for j in (0, 1)) for i in range(20)]) for role, rows in right.items()}
    random, found = np.random.default_rng(5), []
    for _ in range(4000):
        drawn = random.integers(0, 20, 20)
        low, high = hits["floor"][drawn].sum(), hits["ceiling"][drawn].sum()
        if high > low:
            found.append((hits["model"][drawn].sum() - low) / (high - low))
    assert [one.low, one.high] == pytest.approx(np.quantile(found, [0.025, 0.975]), abs=0.03)


@pytest.mark.parametrize(
    ("floor", "ceiling", "reason"),
    [
        (range(20), range(20), "the floor reaches the ceiling"),
        (range(30), range(20), "the floor reaches the ceiling"),
        (range(20), [*range(2, 20), 22, 24, 26], "cannot be told apart"),
        (None, range(20), "no floor among"),
        (range(20), None, "no ceiling among"),
    ],
)
def test_where_there_is_no_way_there_is_no_share(
    tmp_path: Path, floor: Iterable[int] | None, ceiling: Iterable[int] | None, reason: str
) -> None:
    model = _bound(tmp_path / "model", "model", range(25))
    if floor is not None:
        _bound(tmp_path / "floor", "floor", floor)
    if ceiling is not None:
        _bound(tmp_path / "ceiling", "ceiling", ceiling)
    (one,) = _shares(model)
    assert one.share is None
    assert one.low is None
    assert reason in one.reason
    assert one.value == 25 / 40


def test_rates_of_one_kind_of_error_have_no_share(tmp_path: Path) -> None:
    """Who always says the same gets 0 without looking."""
    from gi_bench.harness.metrics.negatives import METRICS

    model = _bound(tmp_path / "model", "model", range(40))
    _bound(tmp_path / "floor", "floor", range(40))
    _bound(tmp_path / "ceiling", "ceiling", range(40))
    found = shares([model], metrics={metric.name: metric for metric in METRICS}, resamples=100, everything=True)
    assert {one.metric for one in found} >= {"answer_false_positive_rate", "answer_specificity"}
    assert {one.reason for one in found} == {"one constant reply reaches it"}


def test_bounds_of_other_rows_do_not_count(tmp_path: Path) -> None:
    model = _bound(tmp_path / "model", "model", range(25))
    _bound(tmp_path / "other-suite", "floor", range(5), fingerprint="e" * 64)
    _bound(tmp_path / "other-limit", "floor", range(5), limit=40)
    _bound(tmp_path / "another-model", "model", range(5))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{}")
    assert bounds_beside([model]) == []
    assert _shares(model) == []
    right = _bound(tmp_path / "floor", "floor", range(5))
    assert bounds_beside([model]) == [right]
    given = _shares(model, tmp_path / "other-limit")
    assert [one.floor for one in given] == ["floor"], "given, but over other rows"
    with pytest.raises(GiBenchError, match="different suites"):
        _shares(model, tmp_path / "other-suite")


def test_terminal_json_and_page_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = _bound(tmp_path / "model", "model", range(25))
    floor = _bound(tmp_path / "floor", "floor", range(10))
    ceiling = _bound(tmp_path / "ceiling", "ceiling", range(35))
    for path in (model, floor, ceiling):
        score_run(path, metrics=FACTS, resamples=20)
    assert _main(["bounds", str(model)]) == 0
    told = capsys.readouterr().out
    assert "60 % [" in told
    assert all(len(line) <= 100 for line in told.splitlines())
    assert _main(["bounds", str(model), "--json"]) == 0
    assert '"share": 0.6' in capsys.readouterr().out
    page = build_page([model, floor, ceiling])
    exact = next(way for way in page.ways if way.metric == "fact accuracy")
    assert exact.share.startswith("60 % [")
    assert (exact.floor, exact.ceiling) == ("0.2500, floor", "0.8750, ceiling")
    names = [[row.name for row in band.rows] for band in page.headline.bands]
    assert names == [["model"], ["floor (floor)"], ["ceiling (ceiling)"]], "each in a band of its own"
    (facts,) = [i for i, head in enumerate(page.headline.heads) if head.title == "fact accuracy"]
    assert "of the way" in page.headline.bands[0].rows[0].cells[facts].way
    assert "Ceilings: know the references" in render(page)
    assert "Floors and ceilings" in render(page)
    alone = build_page([model])
    assert ways([]) == []
    assert [way.share for way in alone.ways] == [way.share for way in page.ways], "bounds beside the run are found"


def test_runs_without_bounds_are_told_what_makes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = _bound(tmp_path / "model", "model", range(25))
    assert _main(["bounds", str(model)]) == 2
    error = capsys.readouterr().err
    assert "--bounds" in error
    assert error.count("\n") == 1
    score_run(model, metrics=EXACT, resamples=20)
    assert build_page([model]).ways == ()
    assert bound_lines([]) == []
