from __future__ import annotations

from dataclasses import replace

from gi_bench.harness.analysis.definitions import older, older_note
from gi_bench.harness.schema import MetricInfo, Scores
from gi_bench.harness.store import scores_from_json, scores_to_json

INFO = MetricInfo("region_iou", "IoU", "d", "s")
SCORES = Scores("phantom/test", "f", "mine", "r", "m", (INFO, MetricInfo("of_a_plugin", "P", "d", "s")), ())


def test_scores_of_todays_definitions_need_no_word() -> None:
    assert older(SCORES, {"region_iou": 1}) == []
    assert older_note(SCORES, {"region_iou": 1}) is None


def test_scores_of_an_older_definition_are_named() -> None:
    assert older(SCORES, {"region_iou": 2}) == ["region_iou"]
    assert "mine: scores made by an older definition: region_iou;" in (older_note(SCORES, {"region_iou": 2}) or "")


def test_scores_stored_before_definitions_had_versions_are_readable_and_count_as_the_first() -> None:
    content = scores_to_json(SCORES)
    content["metrics"] = [{k: v for k, v in one.items() if k != "version"} for one in content["metrics"]]
    read = scores_from_json(content)
    assert read == SCORES
    assert older(read, {"region_iou": 2}) == ["region_iou"]


def test_scores_of_a_newer_definition_are_not_older() -> None:
    newer = replace(SCORES, metrics=(replace(INFO, version=3),))
    assert older(newer, {"region_iou": 2}) == []


def test_ten_metrics_are_shown_by_default() -> None:
    from gi_bench.harness.analysis.definitions import headlines
    from gi_bench.harness.registry import registered

    infos = [metric.info for metric in registered("gi_bench.metrics").values()]
    assert headlines(infos) == {
        "bleu", "rougeL", "fact_accuracy", "region_iou", "answer_false_positive_rate", "answer_false_negative_rate",
        "region_false_positive_rate", "explanation_fact_score", "confidence_auroc_within", "confidence_ece",
    }  # fmt: skip
    mine = replace(infos[0], name="mine", headline=True)
    assert headlines([mine, replace(mine, name="bleu", headline=False), replace(mine, name="chrf")]) == {"mine", "bleu"}
