"""Numbers computed again: what is caught of edited scores, counts and predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness import store
from gi_bench.harness.analysis.verify import METHODS, verification_lines, verify_run
from gi_bench.harness.errors import GiBenchError
from tests.harness.analysis.verify_cases import forge, mixed_answers, mixed_regions, mixed_rows, read_scores, score_of
from tests.run_folders import phrases, square


def _edit(metric: str, field: str, change: Callable[[Any], Any], *where: str) -> Callable[[dict[str, Any]], None]:
    def edit(content: dict[str, Any]) -> None:
        score = score_of(content, metric, *where)
        score[field] = change(score[field])

    return edit


def _drop(content: dict[str, Any]) -> None:
    content["scores"].remove(score_of(content, "rougeL", "question_class", "polyp_count"))


def _add(content: dict[str, Any]) -> None:
    content["scores"].append({**score_of(content, "rougeL"), "slice_by": "finding", "slice_value": "polyp"})


def _twice(content: dict[str, Any]) -> None:
    content["scores"].append({**score_of(content, "region_iou"), "value": 0.99})


def _hide(content: dict[str, Any]) -> None:
    content["scores"] = [score for score in content["scores"] if score["metric"] != "chrf"]
    content["metrics"] = [info for info in content["metrics"] if info["name"] != "chrf"]
    content["not_computed"]["chrf"] = "too slow"


def _emptied(content: dict[str, Any]) -> None:
    content["scores"] = [score for score in content["scores"] if score["metric"] != "exact_match"]


EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a value": (_edit("bleu", "value", lambda v: v + 2e-6), "bleu"),
    "a value of a slice": (_edit("rougeL", "value", lambda v: v + 0.01, "complexity", "2"), "rougeL"),
    "an n": (_edit("region_iou", "n", lambda n: n + 1), "region_iou"),
    "an n of a slice": (_edit("region_dice", "n", lambda n: n - 1, "label", "polyp"), "region_dice"),
    "a number of images": (_edit("confidence_brier", "image_count", lambda n: n + 1), "confidence_brier"),
    "no value": (_edit("chrf", "value", lambda v: None), "chrf"),
    "a slice left out": (_drop, "rougeL"),
    "a slice made up": (_add, "rougeL"),
    "a number given twice": (_twice, "region_iou"),
    "a metric said not to be computed": (_hide, "chrf"),
    "a metric without its numbers": (_emptied, "exact_match"),
    "a fact, which no library knows": (_edit("fact_accuracy", "value", lambda v: v + 0.1), "fact_accuracy"),
    "METEOR where NLTK has no data": (_edit("meteor", "value", lambda v: v + 0.1), "meteor"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_file_is_caught(scored: Path, edit: str) -> None:
    content = read_scores(scored)
    change, metric = EDITS[edit]
    change(content)
    forge(scored, content)
    found = verify_run(scored)
    assert not found.holds
    assert {number.metric for number in found.differing()} == {metric}
    told = "\n".join(verification_lines(found))
    assert "differs:" in told
    assert found.differing()[0].problem.split(":")[0] in " ".join(told.split())


def test_a_value_where_there_is_none_is_caught(scored: Path) -> None:
    content = read_scores(scored)
    empty = next(score for score in content["scores"] if score["value"] is None and score["metric"] in METHODS)
    empty["value"] = 0.5
    forge(scored, content)
    (number,) = verify_run(scored).differing()
    assert number.problem == "a value where there is none"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("fingerprint", lambda content: content.update(fingerprint="0" * 64)),
        ("variant", lambda content: content.update(variant="better")),
        ("questions", lambda content: content["counts"].update(questions=41)),
        ("output: repaired", lambda content: content["counts"].update({"output: repaired": 0})),
        ("answers", lambda content: content["states"]["answers"]["all"].update(refused=0)),
    ],
)
def test_counts_and_names_of_another_run_are_caught(
    scored: Path, name: str, change: Callable[[dict[str, Any]], None]
) -> None:
    content = read_scores(scored)
    change(content)
    forge(scored, content)
    found = verify_run(scored)
    assert not found.holds
    assert [name in problem for problem in found.problems] == [True]


def test_scores_of_other_predictions_are_caught(scored: Path) -> None:
    rows, shown = mixed_rows(), phrases(20)
    other = [replace(p, answer="no polyp") if p.index == 6 else p for p in mixed_answers(rows)]
    store.write_part(scored / "predictions" / "part-00000.parquet", [*other, *mixed_regions(shown)])
    found = verify_run(store.open_run(scored, accept_changed=True))
    assert {"bleu", "rougeL", "chrf"} <= {number.metric for number in found.differing()}
    moved = [replace(p, regions=(square("polyp", 9, 8, 16),)) if p.index == 0 else p for p in mixed_regions(shown)]
    store.write_part(scored / "predictions" / "part-00000.parquet", [*mixed_answers(rows), *moved])
    moved_away = verify_run(store.open_run(scored, accept_changed=True))
    assert {"region_iou", "region_dice"} <= {number.metric for number in moved_away.differing()}


@pytest.mark.parametrize(("field", "value"), [("n", "12"), ("value", "0.5"), ("value", True), ("slice_value", ["all"])])
def test_a_number_of_another_type_is_caught(scored: Path, field: str, value: Any) -> None:
    content = read_scores(scored)
    score_of(content, "rougeL")[field] = value
    forge(scored, content)
    with pytest.raises(GiBenchError, match="scores"):
        verify_run(scored)
