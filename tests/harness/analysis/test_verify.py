"""Numbers computed again by the field's libraries: what holds, and what nobody can say."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gi_bench.harness import files
from gi_bench.harness.analysis import verify as package
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.analysis.verify import METHODS, Number, Verification, verify_run
from gi_bench.harness.model import NOT_COVERED
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import Prediction
from tests.harness.analysis.verify_cases import forge, mixed_answers, mixed_rows, read_scores, write_said
from tests.run_folders import questions, write_run


def _keys(numbers: Iterable[Number]) -> list[tuple[str, str, str]]:
    return [(number.metric, number.slice_by, number.slice_value) for number in numbers]


def _all(found: Verification) -> list[Number]:
    return [number for numbers in (*found.verified.values(), *found.own.values()) for number in numbers]


def test_every_number_is_computed_again(scored: Path) -> None:
    found = verify_run(scored)
    assert found.holds, (found.differing(), found.problems)
    stored = read_scores(scored)["scores"]
    assert sorted(_keys(_all(found))) == sorted((s["metric"], s["slice_by"], s["slice_value"]) for s in stored)
    with_value = {name for name, numbers in found.verified.items() if any(n.found is not None for n in numbers)}
    local = set(METHODS) - {"meteor", "explanation_meteor", "bertscore"}
    assert with_value == set(found.verified) == local, "each library had something to say"
    for number in _all(found):
        assert (number.stored is None) == (number.found is None)
        assert number.difference is None or abs(number.difference) < 1e-9
    assert {"fact_accuracy", "confidence_aurc", "confidence_adaptive_ece"} <= set(found.no_reference)
    assert not set(found.no_reference) & set(found.verified)
    values = {number.metric: number.found for number in _all(found) if number.slice_by == "all"}
    assert len({value for value in values.values() if value is not None}) > 25, "the run tells metrics apart"


def test_methods_are_of_registered_metrics() -> None:
    assert set(METHODS) <= set(registered("gi_bench.metrics"))


def test_the_libraries_do_not_meet_our_own_code() -> None:
    """The code that made the numbers is not imported; reading and participation are, which no library has."""
    folder = Path(package.__file__).parent
    allowed = {"participation", "settings", "explanations", "base"}
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                parts = node.module.split(".")
                assert parts[:3] != ["gi_bench", "harness", "regions"], path
                if parts[:3] == ["gi_bench", "harness", "metrics"]:
                    assert parts[3] in allowed, (path, node.module)


def test_seen_and_unseen_images_are_verified_too(scored: Path) -> None:
    files.write_json(scored / "training.json", {"seen": ["img0", "img3", "img7"]})
    score_run(scored, resamples=0)
    found = verify_run(scored)
    assert found.holds, found.differing()
    training = [number for number in _all(found) if number.slice_by == "training"]
    assert {number.metric for number in training} >= {"bleu", "region_image_iou", "confidence_auroc_within"}


def test_partial_runs_and_hidden_references(tmp_path: Path) -> None:
    rows = [replace(q, answer=None, explanation=None) if q.index % 2 else q for q in mixed_rows(12)]
    folder = write_said(tmp_path / "part", rows, [], mixed_answers(rows)[:5], manifest={"complete": False})
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds, (found.differing(), found.problems)
    assert next(n for n in found.verified["bleu"] if n.slice_by == "all").stored_n == 6
    hidden = [replace(q, answer=None, explanation=None, original=()) for q in rows]
    folder = write_said(tmp_path / "hidden", hidden, [], mixed_answers(hidden))
    score_run(folder, resamples=0)
    assert verify_run(folder).holds
    assert "bleu" in verify_run(folder).not_computed


def test_a_run_that_takes_no_part_gets_no_value(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path / "silent", answer=lambda q: "I am sorry", explain=lambda q: q.answer, ground=lambda p: None
    )
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds, (found.differing(), found.problems)
    assert {"answer_specificity", "explanation_rougeL", "region_specificity", "region_iou"} <= set(found.not_computed)
    assert "takes no part" in found.not_computed["answer_specificity"]


def test_classes_that_take_no_part_have_no_slice(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", answer=lambda q: "???" if q.index % 4 == 1 and q.index > 1 else q.answer)
    score_run(folder, resamples=0)
    assert verify_run(folder).holds


def test_rows_that_a_ceiling_does_not_cover_are_no_part_of_it(tmp_path: Path) -> None:
    rows = mixed_rows(12)
    said = [replace(p, warnings=(NOT_COVERED,)) if p.index % 3 == 0 else p for p in mixed_answers(rows)]
    recipe = {
        "variant": "oracle", "model": {"role": "ceiling"}, "suite": "made/test", "fingerprint": "f" * 64,
        "tasks": ["answer"], "limit": None, "seed": 0, "dtype": "float32", "code_version": "0",
    }  # fmt: skip
    folder = write_said(tmp_path / "run", rows, [], said, manifest={"recipe": recipe})
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds, (found.differing(), found.problems)
    assert next(n for n in found.verified["bleu"] if n.slice_by == "all").stored_n == 8


def test_runs_of_constant_confidence_and_of_one_row(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "constant")
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds
    assert "uninformative" in found.not_computed["confidence_auroc"]
    rows = [replace(questions(1)[0], answer="", explanation=None)]
    folder = write_said(tmp_path / "one", rows, [], [Prediction("question", 0, "img0", "", 0.5)])
    score_run(folder, resamples=0)
    found = verify_run(folder)
    assert found.holds, found.differing()
    assert found.verified["bleu"][0].stored_n == 0, "no word on either side: nothing to rest on"
    assert found.verified["rougeL"][0].stored_n == 1


def test_a_plugin_s_metric_is_never_counted_as_verified(scored: Path) -> None:
    content = read_scores(scored)
    content["metrics"].append({**content["metrics"][0], "name": "of_a_plugin"})
    content["scores"].append({**content["scores"][0], "metric": "of_a_plugin"})
    forge(scored, content)
    found = verify_run(scored)
    assert found.holds
    assert "of_a_plugin" in found.no_reference
    assert "--plugin" in found.unknown["of_a_plugin"]
