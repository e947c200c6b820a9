"""Challenge files field by field."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.errors import RunError
from gi_bench.harness.store import open_run
from gi_bench.submissions import task1, task2
from gi_bench.submissions.command import after_run
from gi_bench.submissions.info import Team
from tests.run_folders import questions, square, write_run

TEAM = Team("A. Author, B. Author", "University", ("a@example.org",), "Team", "Norway", "hello")


def _scored(folder: Path, **options: object) -> Path:
    write_run(folder, **options)  # type: ignore[arg-type]
    score_run(folder, resamples=10)
    return folder


def test_task1_has_every_key_of_the_template(tmp_path: Path) -> None:
    path = task1.write(open_run(_scored(tmp_path / "run")), tmp_path / "out", TEAM)
    assert path.name == "predictions_1.json"
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    assert list(content) == [
        "submission_info", "public_scores", "predictions", "total_time", "time_per_item", "memory_used_mb",
        "model_memory_mb", "gpu_name", "debug",
    ]  # fmt: skip
    assert text.startswith('{\n    "submission_info"'), "indented by four"
    assert content["submission_info"]["Team_Name"] == "Team"
    assert content["submission_info"]["Contact_emails"] == ["a@example.org"]
    assert "not on the challenge's rows" in content["submission_info"]["Notes_to_organizers"]
    assert content["public_scores"] == {
        "bleu": 1.0,
        "rouge1": 1.0,
        "rouge2": 1.0,
        "rougeL": 1.0,
        "meteor": pytest.approx(0.998, abs=0.01),
    }
    assert [list(row) for row in content["predictions"]] == [["index", "img_id", "question", "answer"]] * 12
    assert [row["index"] for row in content["predictions"]] == list(range(12))
    assert content["total_time"] == 3.0
    assert content["time_per_item"] == pytest.approx(0.25)
    assert content["debug"]["packages"] == [{"name": "torch", "version": "2"}]


def test_task1_has_the_shape_of_a_real_submission(tmp_path: Path, shared: Path) -> None:
    real = json.loads((shared / "data/outputs/predictions_1.FAST-NU-DS.json").read_text(encoding="utf-8"))
    ours = task1.build(open_run(_scored(tmp_path / "run")), TEAM)
    for key in real.keys() & ours.keys():
        if not isinstance(real[key], (int, float)):
            assert type(ours[key]) is type(real[key]), key
    assert {"public_scores", "predictions"} <= real.keys() & ours.keys()
    assert ours["predictions"][0].keys() == real["predictions"][0].keys()
    assert ours["public_scores"].keys() == real["public_scores"].keys()


def test_task2_rows_and_visuals(tmp_path: Path) -> None:
    path = task2.write(open_run(_scored(tmp_path / "run")), tmp_path / "out", TEAM)
    assert path.name == "submission_task2.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["val_id"] for row in rows] == list(range(12))
    for row, question in zip(rows, questions(), strict=True):
        assert (row["img_id"], row["question"], row["answer"]) == (question.img_id, question.question, question.answer)
        assert row["textual_explanation"] == question.explanation
        assert row["confidence_score"] == 0.75
        if question.is_negative:
            assert row["visual_explanation"] == []
            continue
        mask, box = row["visual_explanation"]
        assert (mask["type"], box["type"]) == ("segmentation_mask", "bounding_box")
        picture = path.parent / mask["data"]
        assert picture.resolve().is_relative_to(path.parent.resolve())
        shown = np.asarray(Image.open(picture)) > 128
        assert np.array_equal(shown, square("polyp", 8, 8, 12).mask())
        assert box["data"] == [[8, 8, 20, 20]]
        assert "pixels of the 48 x 48 image" in box["description"]
    assert not list(path.parent.glob(".*")), "nothing half-written"
    assert json.loads((path.parent / "submission_info.json").read_text())["Country"] == "Norway"


def test_an_image_id_never_becomes_a_path(tmp_path: Path) -> None:
    rows = [replace(q, img_id="../../escape") for q in questions()]
    path = task2.write(open_run(_scored(tmp_path / "a" / "run", rows=rows)), tmp_path / "a" / "out", TEAM)
    assert not list(tmp_path.rglob("*escape*"))
    assert sorted(p.name for p in (path.parent / "visuals").iterdir())[0] == "00000.png"


@pytest.mark.parametrize(
    ("options", "module", "message"),
    [
        ({"answer": lambda q: "" if q.index == 3 else "x"}, "task1", "1 of 12 questions have no answer (rows 3)"),
        ({"answer": lambda q: None}, "task1", "12 of 12 questions have no answer"),
        ({"explain": lambda q: None}, "task2", "have no explanation"),
        ({"explain": lambda q: " "}, "task2", "--tasks answer,ground,explain"),
        ({"confidence": 7.0}, "task2", "confidence 7.0"),
        ({"confidence": float("nan")}, "task2", "confidence nan"),
        ({"rows": [replace(q, wants_explanation=False) for q in questions()]}, "task2", "no rows of subtask 2"),
    ],
)
def test_unfit_runs_are_refused_and_nothing_is_written(
    tmp_path: Path, options: dict[str, Callable[..., object]], module: str, message: str
) -> None:
    run = open_run(_scored(tmp_path / "run", **options))
    with pytest.raises(RunError) as caught:
        (task1 if module == "task1" else task2).write(run, tmp_path / "out", TEAM)
    assert message in caught.value.line()
    assert not (tmp_path / "out").exists()


def test_a_confidence_that_the_model_lacks_is_left_out(tmp_path: Path) -> None:
    rows, _ = task2.build(open_run(_scored(tmp_path / "run", confidence=None)))
    assert all("confidence_score" not in row for row in rows)


def test_after_a_run_each_file_that_fits_is_written(tmp_path: Path) -> None:
    blind = _scored(tmp_path / "blind", explain=lambda q: None)
    full = _scored(tmp_path / "full")
    made = [(what, path.parent.parent.name) for what, path in after_run([blind, full])]
    assert made == [
        ("submission, subtask 1", "blind"),
        ("submission, subtask 1", "full"),
        ("submission, subtask 2", "full"),
    ]
