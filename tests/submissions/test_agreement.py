"""``submit agreement``: a script's own output beside the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness.intervals import rate_interval
from tests.command_line import CommandLine
from tests.run_folders import questions, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


def _output(path: Path, answers: dict[int, str] | None = None, count: int = 12, **more: Any) -> Path:
    rows = [
        {"index": q.index, "img_id": q.img_id, "question": q.question, "answer": (answers or {}).get(q.index, q.answer)}
        for q in questions()[:count]
    ]
    path.write_text(json.dumps({"predictions": rows, "gpu_name": "Tesla T4", **more}), encoding="utf-8")
    return path


def test_equal_answers_and_the_first_that_differ(run: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    import numpy as np

    output = _output(tmp_path / "out.json", {3: "two instruments", 10: "no polyp", 11: "\x1b[2J"})
    done = gi_bench("submit", "agreement", run, output, "--first", 2)
    assert (done.returncode, done.stderr) == (0, "")
    # Two rows an image: one with a hit and a miss (rows 2 and 3), one without a hit (10 and 11).
    low, high = rate_interval(np.array([[2, 2], [1, 2], [2, 2], [2, 2], [2, 2], [0, 2]], dtype=float)) or (0, 0)
    assert f"equal answers: 9 of 12, 0.7500 (95 % interval {low:.4f} to {high:.4f}, by images)" in done.stdout
    assert "run: cpu, float32; script: Tesla T4" in done.stdout
    shown = done.stdout.splitlines()[2:]
    assert shown == [
        "row 3, img1: How many instruments are there?",
        "  run:    no instruments visible in the image",
        "  script: two instruments",
        "row 10, img5: How many polyps are there?",
        "  run:    one polyp visible in the image",
        "  script: no polyp",
        "and 1 more (--first N, --json)",
    ]
    found = json.loads(gi_bench("submit", "agreement", run, output, "--json").stdout)
    assert (found["rows"], found["equal"], found["share"]) == (12, 9, 0.75)
    assert [one["index"] for one in found["differences"]] == [3, 10, 11]
    assert "\x1b" not in gi_bench("submit", "agreement", run, output).stdout


def test_a_script_that_was_cut_short_is_compared_as_far_as_it_goes(
    run: Path, tmp_path: Path, gi_bench: CommandLine
) -> None:
    done = gi_bench("submit", "agreement", run, _output(tmp_path / "out.json", count=4))
    assert "equal answers: 4 of 4, 1.0000" in done.stdout
    assert "note: the file has 4 of the run's 12 rows" in done.stdout


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"predictions": []}, "no list of predictions"),
        ({"predictions": {}}, "no list of predictions"),
        ({"predictions": [3]}, "not an object ("),
        ({"predictions": [{"index": True}]}, "'index' is no row's number"),
        ({"predictions": [{"index": -1}]}, "'index' is no row's number"),
        ({"predictions": [{"index": 0, "img_id": "img0", "question": "q", "answer": None}]}, "'answer' is missing"),
        ({"predictions": [{"index": 0, "img_id": "x", "question": "q", "answer": "a"}]}, "asks something else"),
        ({"predictions": [{"index": 12, "img_id": "x", "question": "q", "answer": "a"}]}, "row 12 is none of the"),
    ],
)
def test_what_is_no_output_of_the_script_is_one_line(
    run: Path, tmp_path: Path, gi_bench: CommandLine, change: dict[str, Any], told: str
) -> None:
    done = gi_bench("submit", "agreement", run, _output(tmp_path / "out.json", **change))
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_row_that_is_there_twice_is_refused(run: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    output = _output(tmp_path / "out.json")
    content = json.loads(output.read_text())
    content["predictions"].append(content["predictions"][5])
    output.write_text(json.dumps(content))
    done = gi_bench("submit", "agreement", run, output)
    assert (done.returncode, "the index 5 is there twice" in done.stderr) == (2, True)
