"""Published results: every entry names its rows and source, and holds what the source gives."""

from __future__ import annotations

from collections import Counter

from gi_bench.harness.registry import registered, stored_spec
from gi_bench.reports.published import METRICS, PublishedResult, published


def of(board: str, *, track: int | None = None) -> list[PublishedResult]:
    return [one for one in published() if one.board.startswith(board) and track in (None, one.track)]


def test_every_entry_names_suites_rows_and_source() -> None:
    suites, metrics = registered("gi_bench.suites"), registered("gi_bench.metrics")
    assert set(METRICS) <= set(metrics)
    for one in published():
        assert one.suites
        assert set(one.suites) <= set(suites)
        assert one.name
        assert one.rows
        assert one.source
        assert one.values or one.remark
        for name, value in one.values.items():
            assert metrics[name].info.low <= value <= metrics[name].info.high, (one.name, name)
        assert ("not these rows" in one.rows) == (one.kind == "private")
        if one.kind == "same" and one.track is None:
            assert "the same" in one.rows or "public set" in one.rows


def test_both_boards_of_2025_are_whole_and_private() -> None:
    first, second = of("MediaEval Medico 2025, subtask 1"), of("MediaEval Medico 2025, subtask 2")
    assert [one.rank for one in first] == ["1=", "1=", "2", "3", "4"]
    assert [(one.bleu, one.rougeL, one.meteor) for one in first] == [
        (0.47, 0.67, 0.67),
        (0.47, 0.67, 0.67),
        (0.45, 0.65, 0.65),
        (0.42, 0.64, 0.64),
        (0.40, 0.63, 0.61),
    ]
    assert [one.rank for one in second] == ["1", "2", "3", "4"]
    assert list(second[1].values.values()) == [0.74, 0.52, 0.57, 0.82, 0.45]
    assert {one.kind for one in first + second} == {"private"}


def test_the_organisers_table_has_sixteen_rows_by_track() -> None:
    tracks = {1: of("The organisers' baselines", track=1), 2: of("The organisers' baselines", track=2)}
    assert {track: len(rows) for track, rows in tracks.items()} == {1: 10, 2: 6}
    for track, rows in tracks.items():
        suite = "kvasir-vqa-x1/test" if track == 1 else "kvasir-vqa-x1/test-augmented"
        assert {one.suites for one in rows} == {(suite,)}
        assert (stored_spec(suite).condition == "augmented") == (track == 2)
        assert {one.kind for one in rows} == {"same"}
        for one in rows:
            assert len(one.values) == 9
    best = max(tracks[1], key=lambda one: one.bleu or 0)
    assert (best.bleu, best.rouge1, best.chrf, best.bleurt, best.bertscore) == (0.4781, 0.7163, 67.91, 0.404, 0.9544)
    assert tracks[2][0].bleurt == -0.734
    assert Counter(one.name for one in published() if one.track)["Qwen2.5-VL-7B zero-shot (organisers)"] == 2


def test_the_paper_s_figures_are_private_and_say_where_they_come_from() -> None:
    (paper,) = of("The paper (arXiv")
    assert paper.values == {"bleu": 0.454, "rougeL": 0.653, "bertscore": 0.948}
    assert paper.kind == "private"
    assert "generated summary" in paper.note
    assert [one.region_iou for one in of("The paper's group")] == [0.40, 0.71]
    assert {one.kind for one in of("The paper's group")} == {"other"}


def test_scores_of_another_scale_are_told_and_never_compared() -> None:
    tens = [one for one in published() if one.judge_scale == 10]
    assert tens
    for one in tens:
        assert not any(name.startswith("judge_") for name in one.values)
        assert "of 10: answer correctness" in one.remark
    trained = [one for one in published() if "trained on the test set" in one.name]
    assert all("seen in training" in one.note for one in trained)
    assert len(trained) == 1
