"""Predictions of other tools: formats, matching, and every way in which a file can be wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gi_bench import __version__
from gi_bench.harness import provenance
from gi_bench.harness.analysis.scoring import current_scores, score_run
from gi_bench.harness.analysis.verify import verify_run
from gi_bench.harness.cli import _main
from gi_bench.harness.engine import imported
from gi_bench.harness.engine.imported import Reading, import_predictions
from gi_bench.harness.engine.matching import match_rows
from gi_bench.harness.engine.prediction_files import PredictionFile
from gi_bench.harness.errors import DataError
from gi_bench.harness.metric_settings import MetricSettings
from gi_bench.harness.registry import load_suite
from gi_bench.harness.store import open_run
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.run_folders import questions

SUITE = PhantomSuite("validation", 3)
# With questions whose finding has a region.
LARGER = PhantomSuite("validation", 8)


def _rows(suite: PhantomSuite = SUITE, **more: Any) -> list[dict[str, Any]]:
    return [
        {"index": q.index, "img_id": q.img_id, "question": q.question, "answer": q.answer, **more}
        for q in suite.questions
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


def test_a_file_given_again_is_neither_read_nor_scored_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, output = _write(tmp_path / "p.jsonl", _rows()), tmp_path / "runs"
    folder = import_predictions(path, SUITE, output)
    scores = score_run(folder, resamples=5)
    content = {one: one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    with monkeypatch.context() as patched:
        patched.setattr(imported, "match_rows", None)
        assert import_predictions(path, SUITE, output) == folder
    assert current_scores(folder, resamples=5) == scores
    assert content == {one: one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    assert current_scores(folder, resamples=6) is None
    assert current_scores(folder, resamples=5, settings=MetricSettings(bertscore_model="offline")) is None

    part = folder / "predictions" / "part-00000.parquet"
    whole = part.read_bytes()
    part.write_bytes(b"no Parquet")
    assert current_scores(folder, resamples=5) is None
    assert import_predictions(path, SUITE, output) == folder
    assert part.read_bytes() == whole, "a folder that was changed is made again"
    for changed in ({"reading": Reading(visuals=False)}, {"name": "other"}):
        with monkeypatch.context() as patched:
            patched.setattr(imported, "match_rows", None)
            with pytest.raises(TypeError, match="not callable"):
                import_predictions(path, SUITE, output, **changed)  # type: ignore[arg-type]


def test_a_file_that_points_to_masks_is_read_again(tmp_path: Path) -> None:
    """Its regions lie in files of their own, which nothing watches."""
    Image.new("L", (64, 64), 255).save(tmp_path / "mask.png")
    rows = _rows(LARGER)
    index = next(i for i, q in enumerate(LARGER.questions) if q.finding is not None)
    rows[index]["visual_explanation"] = [{"type": "segmentation_mask", "data": "mask.png"}]
    path = _write(tmp_path / "p.jsonl", rows)
    first = open_run(import_predictions(path, LARGER, tmp_path / "runs")).predictions["question", index].regions
    Image.new("L", (64, 64), 0).save(tmp_path / "mask.png")
    second = open_run(import_predictions(path, LARGER, tmp_path / "runs")).predictions["question", index].regions
    assert first != second


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


@pytest.mark.parametrize("other", ["model_answer", "pred", "output", "generated_text", "modelOutput", "prediction"])
def test_which_column_is_the_prediction_is_never_guessed(tmp_path: Path, other: str) -> None:
    path = _write(tmp_path / "p.csv", [{**row, other: "a polyp"} for row in _rows()])
    with pytest.raises(DataError, match=f"doubtful which column is the prediction: .*{other}.*--answer-column"):
        import_predictions(path, SUITE, tmp_path / "runs")
    folder = import_predictions(path, SUITE, tmp_path / "runs", reading=Reading(answer_column=other))
    assert {p.answer for p in open_run(folder).predictions.values()} == {"a polyp"}
    with pytest.raises(DataError, match="no column 'answr'"):
        import_predictions(path, SUITE, tmp_path / "runs", reading=Reading(answer_column="answr"))


def test_columns_about_the_reference_or_the_answer_are_no_candidates(tmp_path: Path) -> None:
    rows = [{**row, "gold_answer": "x", "answer_type": "open", "output_tokens": "3"} for row in _rows()]
    assert open_run(import_predictions(_write(tmp_path / "p.csv", rows), SUITE, tmp_path / "runs")).predictions
    rows = [{k: v for k, v in row.items() if k != "answer"} | {"model_answer": "x"} for row in _rows()]
    with pytest.raises(DataError, match=r"is it the column 'model_answer'.*--answer-column model_answer"):
        import_predictions(_write(tmp_path / "q.csv", rows), SUITE, tmp_path / "runs")


def test_answers_that_all_equal_their_references_are_said(tmp_path: Path) -> None:
    scores = score_run(import_predictions(_write(tmp_path / "p.csv", _rows()), SUITE, tmp_path / "runs"), resamples=0)
    assert any("every answer equals its reference" in note for note in scores.notes)
    rows = [*_rows()[:-1], {**_rows()[-1], "answer": "something else"}]
    scores = score_run(import_predictions(_write(tmp_path / "q.csv", rows), SUITE, tmp_path / "runs"), resamples=0)
    assert not any("every answer equals" in note for note in scores.notes)


def test_ids_may_have_the_ending_of_a_picture_and_rows_may_not_count_from_one(tmp_path: Path) -> None:
    rows = [{**row, "img_id": f"{row['img_id']}.jpg"} for row in _rows()]
    assert len(open_run(import_predictions(_write(tmp_path / "p.csv", rows), SUITE, tmp_path)).predictions) == len(rows)
    shifted = [{"index": row["index"] + 1, "answer": row["answer"]} for row in _rows()]
    with pytest.raises(DataError, match=r"numbered 1 to .*number them from 0"):
        import_predictions(_write(tmp_path / "q.csv", shifted), SUITE, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", b"index,answer,answer\n0,a,b\n", "'answer' is there twice"),
        ("p.jsonl", b'{"index": 0, "answer": "a", "answer": "b"}\n', "'answer' is there twice"),
        ("p.jsonl", b'{"index": 0, "answer": "\\ud800"}\n', "half of a surrogate pair"),
        ("p.json", b'[{"index": ' + b"9" * 401 + b', "answer": "a"}]', "401 digits"),
        ("p.jsonl", b'{"index": 0, "answer": "a"}\n{"index": 1, "ans', "is the file cut off"),
    ],
)
def test_keys_twice_and_values_that_nothing_holds(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        import_predictions(tmp_path / name, SUITE, tmp_path / "runs")


def test_a_check_lists_all_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = load_suite("phantom/validation")
    rows: list[dict[str, Any]] = [{"index": q.index, "answer": "x"} for q in suite.questions]
    rows[3]["confidence"], rows[5]["img_id"] = 7, "other"
    path = _write(tmp_path / "p.jsonl", rows[:-1])
    command = ["score", "--predictions", str(path), "-s", "phantom/validation", "--check", "-o", str(tmp_path / "no")]
    assert _main(command) == 2
    out = capsys.readouterr().out
    assert [word in out for word in ("prediction 3", "prediction 5", "1 of ", "3 problems")] == [True] * 4
    _write(path, [{"index": q.index, "answer": "x"} for q in suite.questions])
    assert _main(command) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    assert not (tmp_path / "no").exists()


def _explained() -> tuple[Any, tuple[int, int, int, int], tuple[int, int]]:
    """A question that asks for an explanation, the box of its finding's reference region, and its image's size."""
    regions = {(p.img_id, p.label): p.region for p in LARGER.phrases if p.region is not None and not p.is_negative}
    for question in LARGER.questions:
        region = regions.get((question.img_id, str(question.finding)))
        if question.wants_explanation and not question.is_negative and region is not None:
            box = region.box()
            assert box is not None
            return question, box, (region.width, region.height)
    raise AssertionError("no such question")


def test_visual_explanations_become_regions_and_are_scored(tmp_path: Path) -> None:
    question, box, (width, height) = _explained()
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    (tmp_path / "visuals").mkdir()
    Image.fromarray(mask).save(tmp_path / "visuals" / "0.png")
    flat = mask.flatten(order="F") > 0
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flat))))
    lengths = np.diff(np.concatenate(([0], edges, [len(flat)]))).tolist()
    shown: list[dict[str, Any]] = [
        {"type": "segmentation_mask", "data": "visuals/0.png"},
        {"type": "bounding_box", "data": [list(box)]},
        {"type": "Segmentation Mask", "data": {"size": [height, width], "counts": lengths}},
    ]
    values = []
    for number, entry in enumerate(shown):
        rows = _rows(LARGER, textual_explanation="because")
        rows[question.index]["visual_explanation"] = [entry, {"type": "heatmap", "data": "visuals/none.png"}]
        path = _write(tmp_path / f"p{number}.jsonl", rows)
        scores = score_run(import_predictions(path, LARGER, tmp_path / "runs"), resamples=0)
        found = scores.find("visual_iou")
        assert found is not None
        assert found.value is not None
        assert found.value > 0
        assert scores.counts["missing predictions"] == 0, "phrases of the suite are no part of the file"
        assert any("1 heatmap" in note for note in scores.notes)
        values.append(found.value)
    assert values[0] == values[1] == values[2]
    run = next((tmp_path / "runs").rglob("p0-*"))
    verified = verify_run(run).verified["visual_iou"]
    assert {one.difference for one in verified if one.stored is not None} <= {0.0}
    assert next(one.found for one in verified if one.slice_by == "all") == values[0]
    no = score_run(import_predictions(path, LARGER, tmp_path / "runs", reading=Reading(visuals=False)), resamples=0)
    assert no.find("visual_iou") is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "mask", "data": "../../etc/passwd"}, "outside the file's folder"),
        ({"type": "mask", "data": "/etc/passwd"}, "outside the file's folder"),
        ({"type": "mask", "data": "visuals/no.png"}, "no picture"),
        ({"type": "mask", "data": {"size": [10**9, 10**9], "counts": "13"}}, "at most 50 megapixels"),
        ({"type": "mask", "data": {"size": [10, 10], "counts": [1, 2]}}, "a run-length code of 3"),
        ({"type": "mask", "data": {"size": [3, 50], "counts": [150]}}, "the mask has 50 x 3 pixels, its image"),
        ({"type": "bounding_box", "data": [[0.1, 0.1, 0.5, 0.5]]}, "not in pixels"),
        ({"type": "bounding_box", "data": [[5, 5, 4000, 9]]}, "does not lie on"),
        ({"type": "bounding_box", "data": [["a", 1, 2, 3]]}, "not four numbers"),
        ({"data": "x"}, "not an object with type and data"),
        ("visuals/0.png", "not an object with type and data"),
    ],
)
def test_visual_explanations_that_cannot_be_read_are_named(tmp_path: Path, entry: Any, message: str) -> None:
    rows = _rows()
    rows[2]["visual_explanation"] = [entry]
    with pytest.raises(DataError, match=message) as error:
        import_predictions(_write(tmp_path / "p.jsonl", rows), SUITE, tmp_path / "runs")
    assert "prediction 2" in str(error.value)


def test_the_manifest_says_which_code_read_the_file(tmp_path: Path) -> None:
    run = import_predictions(
        _write(tmp_path / "p.jsonl", _rows(LARGER)), LARGER, tmp_path / "runs", command="gi-bench x"
    )
    code = open_run(run).manifest.code
    assert code.package == provenance.package_digest()
    assert (code.version, code.command, code.plugins) == (__version__, "gi-bench x", {})
