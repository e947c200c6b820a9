"""Predictions of other tools: formats, matching, and every way in which a file can be wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.cli import _main
from gi_bench.harness.engine.imported import Reading, import_predictions
from gi_bench.harness.engine.matching import match_rows
from gi_bench.harness.engine.prediction_files import PredictionFile
from gi_bench.harness.errors import DataError
from gi_bench.harness.store import open_run
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.run_folders import questions

SUITE = PhantomSuite("validation", 3)


def _rows(**more: Any) -> list[dict[str, Any]]:
    return [
        {"index": q.index, "img_id": q.img_id, "question": q.question, "answer": q.answer, **more}
        for q in SUITE.questions
    ]


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        content = {"submission_info": {"Team_Name": "Team <b>/../x"}, "predictions": rows}
        path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["predictions_1.json", "p.jsonl", "p.csv"])
def test_every_format_gives_the_same_scores(tmp_path: Path, name: str) -> None:
    folder = import_predictions(_write(tmp_path / name, _rows()), SUITE, tmp_path / "runs")
    scores = score_run(folder, resamples=0)
    for metric in ("exact_match", "rougeL", "fact_coverage"):
        found = scores.find(metric)
        assert found is not None
        assert found.n > 0
        assert found.value == pytest.approx(1.0, abs=0.05)
    assert scores.find("exact_match").value == 1.0  # type: ignore[union-attr]
    assert folder.parent == tmp_path / "runs" / SUITE.name.replace("/", "-"), "a team's name never becomes a path"


def test_rows_without_index_are_found_by_image_and_text_in_order() -> None:
    rows = questions(4)
    twice = [rows[0], rows[0].__class__(**{**_fields(rows[0]), "index": 9})]
    given = [{"img_id": q.img_id, "question": q.question, "prediction": f"answer {i}"} for i, q in enumerate(twice)]
    found = match_rows(_file(given), twice, "x.jsonl")
    assert [(p.index, p.answer) for p in found] == [(0, "answer 0"), (9, "answer 1")]
    with pytest.raises(DataError, match="no \\(further\\) question"):
        match_rows(_file([*given, given[0]]), twice, "x.jsonl")


def _file(rows: list[dict[str, Any]], column: str = "prediction") -> PredictionFile:
    return PredictionFile(tuple(rows), tuple(f"row {i}" for i in range(len(rows))), None, column)


def _fields(question: Any) -> dict[str, Any]:
    return {name: getattr(question, name) for name in question.__dataclass_fields__}


def test_subtask_2_fields_are_read(tmp_path: Path) -> None:
    rows = [
        {"val_id": str(q.index), "answer": "x", "textual_explanation": "because", "confidence_score": 0.5}
        for q in SUITE.questions
    ]
    run = open_run(import_predictions(_write(tmp_path / "submission_task2.jsonl", rows), SUITE, tmp_path, name="mine"))
    first = run.predictions["question", SUITE.questions[0].index]
    assert (first.answer, first.explanation, first.confidence) == ("x", "because", 0.5)
    assert run.variant == "mine"


def test_missing_rows_count_as_empty_and_are_said(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.jsonl", _rows()[:10])
    with pytest.raises(DataError, match=f"{len(SUITE.questions) - 10} of .* the first is row 10 .*--partial"):
        import_predictions(path, SUITE, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    folder = import_predictions(path, SUITE, tmp_path / "runs", reading=Reading(partial=True))
    scores = score_run(folder, resamples=0)
    assert scores.counts["missing predictions"] == len(SUITE.questions) - 10
    assert any("missing predictions count as empty" in note for note in scores.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": 99_999}, "no row '99999'"),
        ({"index": -1}, "no row '-1'"),
        ({"index": "1; DROP"}, "no row"),
        ({"img_id": "../../etc"}, "img_id is '../../etc'"),
        ({"question": "another?"}, "question is 'another\\?'"),
        ({"answer": None}, "no answer text"),
        ({"answer": 3}, "no answer text"),
        ({"confidence": 1.5}, "not a number from 0 to 1"),
        ({"confidence": "high"}, "not a number from 0 to 1"),
        ({"confidence": "nan"}, "not a number from 0 to 1"),
        ({"confidence": True}, "not a number from 0 to 1"),
        ({"confidence": 10**18}, "not a number from 0 to 1"),
        ({"confidence": float("nan")}, "not a number from 0 to 1"),
        ({"confidence": 0.5, "confidence_score": 0.6}, "differ"),
        ({"index": [2]}, "no row"),
        ({"index": True}, "no row"),
        ({"val_id": 3}, "index 2 beside val_id 3"),
        ({"explanation": 3}, "explanation is not text"),
        ({"explanation": ["a"]}, "explanation is not text"),
        ({"index": 1}, "differs|img_id|question|twice"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    rows = _rows()
    rows[2] = {**rows[2], **change}
    with pytest.raises(DataError, match=message) as error:
        import_predictions(_write(tmp_path / "p.jsonl", rows), SUITE, tmp_path / "runs")
    assert "prediction 2" in str(error.value)
    assert not (tmp_path / "runs").exists(), "nothing half-written"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.json", b"{", "not JSON"),
        ("p.json", b'{"a": 1}', "no list of predictions"),
        ("p.json", b"[1, 2]", "no list of predictions"),
        ("p.json", b"[" * 100_000, "not JSON"),
        ("p.jsonl", b'{"index": 0}\n[]\n', "not an object"),
        ("p.jsonl", b"", "holds no predictions"),
        ("p.csv", b"index,answer\n0,a,b\n", "more or fewer fields"),
        ("p.csv", b'index,answer\n0,"a', "not CSV"),
        ("p.json", b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        import_predictions(path, SUITE, tmp_path / "runs")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _write(tmp_path / "p.jsonl", [{**row, "confidence": 0.5} for row in _rows()])
    assert _main(["score", "--predictions", str(path), "--resamples", "0"]) == 2
    assert "belong together" in capsys.readouterr().err
    assert _main(["score"]) == 2
    assert "nothing to score" in capsys.readouterr().err
    assert _main(["score", "--predictions", str(tmp_path / "no.json"), "-s", "phantom/test", "-o", str(tmp_path)]) == 2
    assert "file not found" in capsys.readouterr().err


def test_a_real_submission_gets_its_official_scores(shared: Path, tmp_path: Path) -> None:
    """Team FAST-NU-DS, 2025: values as the organisers' template gave them, to their four digits where deterministic."""
    from gi_bench.harness.registry import load_suite

    suite = load_suite("medico2025-task1", shared / "data/kvasir-vqa-x1")
    folder = import_predictions(shared / "data/outputs/predictions_1.FAST-NU-DS.json", suite, tmp_path)
    scores = score_run(folder, resamples=0)
    for metric, value in {"bleu": 0.0033, "rouge1": 0.0853, "rouge2": 0.0193, "rougeL": 0.082, "meteor": 0.057}.items():
        found = scores.find(metric)
        assert found is not None
        assert found.n == 1500
        assert found.value == pytest.approx(value, abs=1e-3)
    assert scores.variant == "FAST-NU-DS"
