"""Ranks as ranges: what paired, corrected tests leave open, and which runs are no part of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from gi_bench.harness.analysis import ranking
from gi_bench.harness.analysis.comparing import compare_runs
from gi_bench.harness.analysis.ranking import partial_reason, rank, same_rows
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.errors import ChangedError, RunError
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import Question
from gi_bench.harness.statistics import holm
from gi_bench.harness.store import Run, open_run
from tests.conftest import MadeOnce
from tests.run_folders import questions, write_run

ROWS = questions(80)
WRONG = "a large ulcer near the green wire"


def spoilt(share: float, offset: int = 0) -> Callable[[Question], str]:
    """Answers of which about a share is wrong, spread over the images."""
    return lambda q: WRONG if (q.index * 7 + offset) % 20 < 20 * share else str(q.answer)


RIGHT = {"best": 0.0, "good": 0.05, "middle": 0.5, "bad": 0.95}


@pytest.fixture(scope="module")
def runs(made_once: MadeOnce) -> list[Run]:
    def fill(folder: Path) -> None:
        metrics = {name: registered("gi_bench.metrics")[name] for name in ("bleu", "rougeL", "region_iou")}
        for name, share in RIGHT.items():
            run = write_run(folder / name, variant=name, rows=ROWS, shown=[], answer=spoilt(share))
            score_run(run, metrics=metrics, resamples=50)

    folder = made_once("ranking", fill)
    return [open_run(folder / name) for name in RIGHT]


def test_a_range_counts_who_is_surely_better_and_surely_worse(runs: list[Run]) -> None:
    found = rank(runs, registered("gi_bench.metrics")["rougeL"])
    assert found.order == (0, 1, 2, 3)
    assert found.ranges == {0: (1, 2), 1: (1, 2), 2: (3, 3), 3: (4, 4)}
    undecided = [(pair.first, pair.second) for pair in found.pairs if pair.better is None]
    assert undecided == [(0, 1)]
    for number, (best, worst) in found.ranges.items():
        decided = [
            pair.better for pair in found.pairs if number in (pair.first, pair.second) and pair.better is not None
        ]
        assert best == 1 + sum(better != number for better in decided)
        assert worst == len(runs) - sum(better == number for better in decided)


def test_pairs_are_those_of_compare_corrected_over_all_of_them(runs: list[Run]) -> None:
    found = rank(runs, registered("gi_bench.metrics")["rougeL"])
    couples = list(combinations(range(len(runs)), 2))
    assert [(pair.first, pair.second) for pair in found.pairs] == couples
    raw = []
    for (first, second), pair in zip(couples, found.pairs, strict=True):
        (one,), _ = compare_runs([runs[second], runs[first]], names=["rougeL"], resamples=2_000)
        assert pair.found is not None
        assert (pair.found.difference, pair.found.low, pair.found.high, pair.found.p) == pytest.approx(
            (one.found.difference, one.found.low, one.found.high, one.found.p), abs=1e-12
        )
        raw.append(one.found.p)
    assert [pair.adjusted for pair in found.pairs] == pytest.approx(holm(raw))


def test_lower_is_better_turns_the_order(runs: list[Run]) -> None:
    metric = registered("gi_bench.metrics")["rougeL"]
    found = rank(runs, replace(metric, info=replace(metric.info, name="of errors", higher_is_better=False)))
    assert found.order == (3, 2, 1, 0)
    assert found.ranges[3] == (1, 1)
    assert found.ranges[0] == (3, 4)


def test_equal_runs_share_every_rank(runs: list[Run]) -> None:
    found = rank([runs[1]] * 3, registered("gi_bench.metrics")["rougeL"])
    assert set(found.ranges.values()) == {(1, 3)}
    assert rank([], registered("gi_bench.metrics")["rougeL"]).order == ()
    assert rank(runs[:1], registered("gi_bench.metrics")["rougeL"]).ranges == {0: (1, 1)}


def test_a_run_without_the_metric_has_no_rank_and_changes_none(runs: list[Run], tmp_path: Path) -> None:
    silent = open_run(write_run(tmp_path / "silent", rows=ROWS, shown=[], answer=lambda q: None))
    metric = registered("gi_bench.metrics")["rougeL"]
    found = rank([silent, *runs], metric)
    assert list(found.unranked) == [0]
    assert "answered" in found.unranked[0]
    assert sorted(found.ranges.values()) == sorted(rank(runs, metric).ranges.values())
    stored = rank(runs, metric, {0: 0.5, 1: 0.9})
    assert stored.order == (1, 0)
    assert set(stored.unranked) == {2, 3}


def test_too_few_images_are_told(tmp_path: Path) -> None:
    few = questions(8)
    made = [write_run(tmp_path / n, variant=n, rows=few, shown=[], answer=spoilt(s)) for n, s in (("a", 0), ("b", 1))]
    found = rank([open_run(path) for path in made], registered("gi_bench.metrics")["rougeL"])
    assert set(found.ranges.values()) == {(1, 2)}
    assert "no difference could be sure" in found.notes[0]


def test_a_metric_without_a_direction_ranks_nothing(runs: list[Run]) -> None:
    with pytest.raises(RunError, match="neither direction is better"):
        rank(runs, registered("gi_bench.metrics")["explanation_length"])


def test_the_largest_set_of_equal_rows_is_kept(runs: list[Run], tmp_path: Path) -> None:
    fewer = open_run(write_run(tmp_path / "fewer", rows=ROWS[:40], shown=[]))
    other = open_run(write_run(tmp_path / "other", shown=[], rows=[replace(q, answer="none") for q in ROWS]))
    kept, others = same_rows([fewer, *runs, other])
    assert kept == [1, 2, 3, 4]
    assert "40 questions and 80" in others[0]
    assert "references of the runs differ: answer" in others[5]
    assert same_rows([]) == ([], {})


def test_a_part_of_a_suite_says_what_it_is(tmp_path: Path) -> None:
    few, metrics = questions(8), {"rougeL": registered("gi_bench.metrics")["rougeL"]}

    def made(name: str, **manifest: object) -> Run:
        path = write_run(tmp_path / name, rows=few, shown=[], manifest=dict(manifest))
        score_run(path, metrics=metrics, resamples=50)
        return open_run(path)

    assert partial_reason(made("whole")) == ""
    assert partial_reason(made("limited", recipe={"limit": 8})) == "a part of the suite: run with --limit 8"
    assert "not finished" in partial_reason(made("unfinished", complete=False))
    unscored = open_run(write_run(tmp_path / "unscored", rows=few, shown=[]))
    with pytest.raises(RunError, match="no scores yet"):
        partial_reason(unscored)
    changed = made("changed")
    path = changed.path / "scores.json"
    content = json.loads(path.read_text())
    content["scores"][0]["value"] = 0.999
    path.write_text(json.dumps(content))
    with pytest.raises(ChangedError, match="changed after they were made"):
        partial_reason(open_run(changed.path))


def test_too_many_pairs_for_the_permutations_are_told(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "RESAMPLES", 40)
    monkeypatch.setattr(ranking, "_MOST", 40)
    found = rank(runs, registered("gi_bench.metrics")["rougeL"])
    assert set(found.ranges.values()) == {(1, 4)}
    assert found.notes[-1] == "with 6 pairs no p-value is small enough after correction: rank fewer runs"
