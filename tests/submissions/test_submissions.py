"""Challenge files field by field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.store import open_run
from gi_bench.submissions import task1
from gi_bench.submissions.command import after_run
from gi_bench.submissions.info import Team
from tests.run_folders import write_run

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


def test_after_a_run_each_file_that_fits_is_written(tmp_path: Path) -> None:
    blind = _scored(tmp_path / "blind", explain=lambda q: None)
    full = _scored(tmp_path / "full")
    made = [(what, path.parent.parent.name) for what, path in after_run([blind, full])]
    assert made == [
        ("submission, subtask 1", "blind"),
        ("submission, subtask 1", "full"),
        ("submission, subtask 2", "full"),
    ]
