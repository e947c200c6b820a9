"""The verbs of the public face over runs: what they write and refuse, and frames of scores. Checked by mypy too."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typing_extensions import assert_type

import gi_bench
from gi_bench import (
    Comparison,
    ComparisonTable,
    GiBenchError,
    Metric,
    MetricInfo,
    Run,
    Score,
    Scores,
    Statistics,
    compare,
    open_run,
    report,
    score,
)
from tests.run_folders import write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run whose answers are right, and one that knows one answer; both scored."""
    folder = tmp_path_factory.mktemp("runs")
    right = write_run(folder / "right", variant="right")
    same = write_run(folder / "same", variant="same", answer=lambda q: "no", ground=lambda p: ())
    for path in (right, same):
        score(path, resamples=50)
    return right, same


def test_score_writes_all_metrics_and_the_run_knows(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    run = open_run(folder)
    first = score(run, resamples=20)
    assert_type(first, Scores)
    assert run.scores == first == open_run(folder).scores
    second = score(run, resamples=0, seed=3)
    assert run.scores == second == open_run(str(folder)).scores
    bleu = second.find("bleu")
    assert bleu is not None
    assert bleu.interval_low is None


def test_score_with_metrics_writes_nothing(runs: tuple[Path, Path]) -> None:
    before = (runs[0] / "scores.json").read_bytes()
    found = score(str(runs[0]), metrics="exact_match", resamples=10)
    assert {one.metric for one in found.scores} == {"exact_match"}
    info = MetricInfo("rows", "rows", "Share of rows.", "own")

    def compute(run: Run) -> Statistics:
        ones = np.ones((len(run.questions), 2))
        return Statistics(ones, tuple(q.img_id for q in run.questions), {})

    mine = score(runs[0], metrics=["rougeL", Metric(info, compute)], resamples=10)
    assert [one.name for one in mine.metrics] == ["rougeL", "rows"]
    rows = mine.find("rows")
    assert rows is not None
    assert (rows.value, rows.n) == (1.0, 12)
    assert (runs[0] / "scores.json").read_bytes() == before


def test_a_restricted_run_is_scored_but_not_stored(runs: tuple[Path, Path]) -> None:
    part = open_run(runs[0]).restricted(frozenset(("question", i) for i in range(4)))
    found = score(part, metrics="exact_match", resamples=0).find("exact_match")
    assert found is not None
    assert found.n == 4
    with pytest.raises(GiBenchError, match="restricted"):
        score(part)
    with pytest.raises(GiBenchError, match="restricted"):
        report(part, runs[0].parent / "part.html")
    assert not (runs[0].parent / "part.html").exists()


def test_compare_takes_runs_paths_and_variants(runs: tuple[Path, Path]) -> None:
    table = compare(runs, metrics=["exact_match", "rougeL"], resamples=100)
    assert_type(table, ComparisonTable)
    one = table.find("exact_match")
    assert_type(one, Comparison | None)
    assert one is not None
    assert (one.baseline, one.run, one.found.difference) == ("right", "same", -1.0)
    turned = compare([open_run(runs[0]), str(runs[1])], baseline="same", metrics=["exact_match"], resamples=100)
    again = compare(runs[0], baseline=open_run(runs[1]), metrics=["exact_match"], resamples=100)
    for other in (turned, again):
        found = other.find("exact_match", "right")
        assert found is not None
        assert found.found.difference == 1.0
        assert found.baseline == "same"
    assert table.find("bleu") is None
    assert "difference to right" in str(table)


def test_compare_says_what_the_command_says(runs: tuple[Path, Path]) -> None:
    from gi_bench.harness.analysis.comparing import compare_runs, run_notes
    from gi_bench.harness.analysis.comparison_text import comparison_lines

    found, missing = compare_runs(runs, resamples=100)
    table = compare(runs, resamples=100)
    assert str(table) == "\n".join(comparison_lines(found, missing, run_notes(runs), table.left_out))
    assert table.left_out["rougeL"] == ""


def test_report_writes_one_page(runs: tuple[Path, Path], tmp_path: Path) -> None:
    page = report([open_run(runs[0]), runs[1]], tmp_path / "page.html", title="Both <of> them")
    assert_type(page, Path)
    assert "Both &lt;of&gt; them" in page.read_text(encoding="utf-8")
    assert report(str(runs[0])) == runs[0].parent / "report.html"


untyped: Any = gi_bench  # for calls that mypy would not let pass


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda runs: untyped.score("nowhere"), "not a run folder"),
        (lambda runs: untyped.score(runs[0], metrics=["bleuu"]), "did you mean bleu"),
        (lambda runs: untyped.score(runs[0], metrics=[]), "no metric given"),
        (lambda runs: untyped.score(runs[0], metrics=[7]), "not a metric"),
        (lambda runs: untyped.score(runs[0], resamples=-1), "too few resamples"),
        (lambda runs: untyped.score(runs[0], seed=-1), "seed"),
        (lambda runs: untyped.score(7), "not a run"),
        (lambda runs: untyped.score(None), "not a run"),
        (lambda runs: untyped.compare(runs[:1]), "nothing to be compared with"),
        (lambda runs: untyped.compare([]), "nothing to be compared with"),
        (lambda runs: untyped.compare(None), "no runs"),
        (lambda runs: untyped.compare([None, None]), "not a run"),
        (lambda runs: untyped.compare(runs, resamples=5), "too few resamples"),
        (lambda runs: untyped.compare(runs, baseline="other"), "no run is of the variant 'other'.*right, same"),
        (lambda runs: untyped.compare([runs[0], runs[0]], baseline="right"), "2 runs are of the variant"),
        (lambda runs: untyped.compare(runs, metrics="bleu", everything=True), "exclude each other"),
        (lambda runs: untyped.report([]), "no run given"),
        (lambda runs: untyped.report(["nowhere"], "page.html"), "not a run folder"),
        (lambda runs: untyped.open_run(runs[0]).to_frame("rows"), "questions or phrases"),
        (lambda runs: untyped.load_suite("fantom"), "unknown suite"),
        (lambda runs: untyped.load_plugin("nowhere.py"), "not found"),
        (lambda runs: untyped.evaluate("blind_constnt"), "did you mean"),
    ],
)
def test_a_wrong_call_is_one_line(
    call: Callable[[tuple[Path, Path]], object], said: str, runs: tuple[Path, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GiBenchError, match=said) as caught:
        call(runs)
    assert "\n" not in caught.value.line()
    assert not list(tmp_path.iterdir())


def test_two_metrics_of_one_name_are_refused(runs: tuple[Path, Path]) -> None:
    def nothing(run: Run) -> str:
        return "no"

    with pytest.raises(GiBenchError, match="two metrics have one name"):
        score(runs[0], metrics=["bleu", Metric(MetricInfo("bleu", "b", "d", "own"), nothing)])


def test_scores_as_a_frame(runs: tuple[Path, Path]) -> None:
    scores = open_run(runs[0]).scores
    frame = scores.to_frame()
    assert len(frame) == len(scores.scores)
    for stored, (_, row) in zip(scores.scores, frame.iterrows(), strict=True):
        assert_type(stored, Score)
        assert (row.metric, row.slice_by, row.slice_value, row.n) == (
            stored.metric, stored.slice_by, stored.slice_value, stored.n,
        )  # fmt: skip
        assert row["value"] == stored.value or (stored.value is None and math.isnan(row["value"]))
    assert set(frame.fingerprint) == {scores.fingerprint}
    assert set(frame.variant) == {"right"}
    versions = {info.name: info.version for info in scores.metrics}
    assert {(m, v) for m, v in zip(frame.metric, frame.definition_version, strict=True)} == {*versions.items()}
    dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert {dtypes[name] for name in ("value", "interval_low", "interval_high", "level")} == {"float64"}
    assert {dtypes[name] for name in ("n", "image_count")} == {"int64"}
    assert {dtypes[name] for name in ("metric", "slice_by", "suite", "variant", "fingerprint")} == {"string"}
    empty = score(runs[0], metrics=[Metric(MetricInfo("no", "no", "d", "own"), lambda run: "not here")]).to_frame()
    assert len(empty) == 0
    assert empty.dtypes.equals(frame.dtypes)


def test_a_comparison_as_a_frame(runs: tuple[Path, Path]) -> None:
    table = compare(runs, metrics=["exact_match", "rougeL"], resamples=100)
    frame = table.to_frame().set_index("metric")
    row = frame.loc["exact_match"]
    assert (row.run, row.baseline, row.verdict) == ("same", "right", table.comparisons[0].verdict)
    assert row.difference == row["value"] - row.baseline_value == -1.0
    assert row.p_holm >= row.p
    assert str(frame.difference.dtype) == "float64"
    assert str(frame.n.dtype) == "int64"
    nothing = ComparisonTable((), {}, ()).to_frame()
    assert nothing.set_index("metric").dtypes.equals(frame.dtypes)


def test_frames_of_runs_go_together(runs: tuple[Path, Path]) -> None:
    import pandas

    both = pandas.concat([open_run(path).to_frame() for path in runs])
    right = both.assign(right=both.answer == both.reference_answer).groupby("variant").right.mean()
    assert right.to_dict() == {"right": 1.0, "same": 0.0}
