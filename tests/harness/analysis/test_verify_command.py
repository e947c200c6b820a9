"""The command that computes numbers again: what it says, how it ends, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.analysis.verify import verify_run
from gi_bench.harness.cli import _main
from gi_bench.harness.errors import GiBenchError
from tests.harness.analysis.verify_cases import forge, read_scores, score_of
from tests.run_folders import phrases, write_run


def test_the_command_says_what_it_found(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["verify", str(scored)]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    joined = " ".join(told.split())
    assert "0 differ; equal is a difference of at most 1e-06" in joined
    assert "no reference implementation: only gi-bench's own definition, never counted as verified: " in joined
    assert "intervals, and counts other than" in joined
    for name, numbers in verify_run(scored).verified.items():
        assert f"{name}: {numbers[0].library}" in told
    assert _main(["verify", str(scored), "--summary"]) == 0
    short = capsys.readouterr().out
    assert max(map(len, short.splitlines())) <= 80
    assert len(short.splitlines()) < len(told.splitlines()) / 3


def test_the_command_fails_where_a_number_differs(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = read_scores(scored)
    score_of(content, "rougeL", "question_class", "polyp_count")["value"] = 0.75
    forge(scored, content)
    assert _main(["verify", str(scored)]) == 1
    joined = " ".join(capsys.readouterr().out.split())
    assert "rougeL question_class polyp_count: 0.75000000 in scores.json" in joined
    assert _main(["verify", str(scored), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    (wrong,) = [number for number in told["numbers"] if not number["equal"]]
    assert (wrong["metric"], wrong["stored"], wrong["problem"]) == ("rougeL", 0.75, "value differs")
    assert wrong["difference"] == pytest.approx(0.75 - wrong["found"])
    assert wrong["library"].startswith("rouge-score ")
    assert told["holds"] is False


def test_a_score_that_is_no_number_is_refused(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = read_scores(scored)
    score_of(content, "bleu")["value"] = float("nan")
    forge(scored, content)
    assert _main(["verify", str(scored), "--json"]) == 2
    assert "scores.json" in capsys.readouterr().err


def test_labels_of_a_stranger_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = [replace(phrase, label="[red]\x1b[31m polyp " + "x" * 60) for phrase in phrases()]
    folder = write_run(tmp_path / "run", shown=shown)
    score_run(folder, resamples=0)
    assert _main(["verify", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "[red]\\u001b[31m" in told
    assert max(map(len, told.splitlines())) <= 80


def test_what_is_no_scored_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["verify", str(tmp_path / "none")]) == 2
    assert "not a run folder" in capsys.readouterr().err
    assert _main(["verify", str(write_run(tmp_path / "run"))]) == 2
    assert "no scores yet" in capsys.readouterr().err
    with pytest.raises(GiBenchError):
        verify_run(tmp_path)
