"""``predictions_1.json`` field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.store import open_run
from gi_bench.submissions import task1
from gi_bench.submissions.info import Team
from gi_bench.submissions.rows import answered
from tests.run_folders import write_run

TEAM = Team("A. Author, B. Author", "University", ("a@example.org",), "Team", "Norway", "hello")


def _scored(folder: Path, **options: object) -> Path:
    write_run(folder, **options)  # type: ignore[arg-type]
    score_run(folder, resamples=10)
    return folder


def _content(path: Path) -> dict[str, Any]:
    run = open_run(path)
    return task1.predictions_json(run, answered(run, list(run.questions)), TEAM, 4)


def test_task1_has_every_key_of_the_template(tmp_path: Path) -> None:
    content = _content(_scored(tmp_path / "run"))
    assert list(content) == [
        "submission_info", "public_scores", "predictions", "total_time", "time_per_item", "memory_used_mb",
        "model_memory_mb", "gpu_name", "debug",
    ]  # fmt: skip
    assert content["submission_info"]["Team_Name"] == "Team"
    assert content["submission_info"]["Contact_emails"] == ["a@example.org"]
    assert content["submission_info"]["Notes_to_organizers"] == "hello"
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
    ours = _content(_scored(tmp_path / "run"))
    for key in real.keys() & ours.keys():
        if not isinstance(real[key], (int, float)):
            assert type(ours[key]) is type(real[key]), key
    assert {"public_scores", "predictions"} <= real.keys() & ours.keys()
    assert ours["predictions"][0].keys() == real["predictions"][0].keys()
    assert ours["public_scores"].keys() == real["public_scores"].keys()
