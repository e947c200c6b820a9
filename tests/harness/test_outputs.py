"""What is never written over: files that gi-bench did not write, a run's own, inputs, folders."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gi_bench.harness.analysis.scoring import score_run
from tests.command_line import CommandLine
from tests.run_folders import questions, write_run

SUITE = "phantom/validation"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("made")
    score_run(write_run(parent / "suite" / "run", rows=questions(4)), resamples=0)
    return parent


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "suite" / "run"


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_command_writes_over_what_is_not_its_own(gi_bench: CommandLine, run: Path, tmp_path: Path) -> None:
    """Every command with a file to write: a foreign file, one of a run, a folder, a pipe."""
    foreign = tmp_path / "thesis"
    foreign.write_text('{"my": "work"}\nand more\n')
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    own = [run / name for name in ("scores.json", "manifest.json", "questions.parquet", "training.json")]
    own += [run / "predictions" / "part-00000.parquet", run / "predictions" / "new.html", run / "timings" / "x"]
    commands = (
        ("report", run),
        ("split", SUITE),
        ("suites", "export", SUITE),
        ("data", "negatives", "--ratio", 1, "-s", SUITE),
        ("data", "explanations", "-s", SUITE),
        ("data", "masks", "--source", "box", "-s", SUITE),
    )
    before = _files(tmp_path / "suite")
    places = [foreign, *own, tmp_path / "pipe", tmp_path / "folder"]
    for number, command in enumerate(commands):
        # All places with the first command, some with the others: the check is the same.
        for place in places if number == 0 else (foreign, own[0], tmp_path / "folder"):
            done = gi_bench(*command, "-o", place)
            assert done.returncode == 2, (command, place)
            (line,) = done.stderr.strip().splitlines()
            assert "the output is" in line
            assert place.name in line
    assert _files(tmp_path / "suite") == before
    assert foreign.read_text() == '{"my": "work"}\nand more\n'
    done = gi_bench("data", "masks", "--source", "box", "-s", SUITE, "-o", tmp_path / "m", "--sheet", foreign)
    assert done.returncode == 2
    done = gi_bench("audit", "--train", SUITE, "--test", "phantom/test", "--disjoint", foreign)
    assert done.returncode == 2
    assert foreign.read_text() == '{"my": "work"}\nand more\n'


def test_each_command_writes_over_its_own_and_over_nothing(gi_bench: CommandLine, run: Path, tmp_path: Path) -> None:
    for name, command in (
        ("page.html", ("report", run)),
        ("split.json", ("split", "phantom/validation")),
        ("rows.jsonl", ("suites", "export", "phantom/validation")),
    ):
        (tmp_path / name).touch()  # as mktemp makes it
        for _ in range(2):
            done = gi_bench(*command, "-o", tmp_path / name)
            assert done.returncode == 0, done.stderr
        other = "split.json" if name != "split.json" else "rows.jsonl"
        if (tmp_path / other).exists():
            assert gi_bench(*command, "-o", tmp_path / other).returncode == 2, "another kind of file is not its own"


def test_an_input_is_not_written_over(gi_bench: CommandLine, tmp_path: Path) -> None:
    first = tmp_path / "masks.parquet"
    assert gi_bench("data", "masks", "--source", "box", "-s", SUITE, "-o", first).returncode == 0
    content = first.read_bytes()
    done = gi_bench("data", "masks", "--source", "refine", "--masks", first, "-s", SUITE, "-o", first)
    assert done.returncode == 2
    assert "one of the inputs" in done.stderr
    assert first.read_bytes() == content


def test_pages_and_pictures_of_ours_among_the_runs_are_left_out_and_said(
    gi_bench: CommandLine, run: Path, tmp_path: Path
) -> None:
    """As a shell makes it of ``runs/SUITE/*``."""
    score_run(write_run(run.parent / "second", rows=questions(4), answer=lambda q: "none"), resamples=0)
    assert gi_bench("report", run, "-o", run.parent / "mine.html").returncode == 0
    for verb in (("report",), ("compare", "--resamples", 100), ("score", "--resamples", 0), ("report",)):
        given = sorted(run.parent.iterdir())
        assert len(given) >= 4
        done = gi_bench(verb[0], *given, *verb[1:])
        assert done.returncode == 0, done.stderr
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("left out")]
        assert "mine.html" in line
        assert "pictures-ffffffff.parquet" in line
    (run.parent / "notes.html").write_text("<html>my notes</html>")
    done = gi_bench("report", *sorted(run.parent.iterdir()))
    assert done.returncode == 2
    assert "notes.html" in done.stderr


def test_a_training_replaces_checkpoints_of_its_own_only(tmp_path: Path) -> None:
    from gi_bench.baselines.training.adapter import check_place
    from gi_bench.harness.errors import GiBenchError

    ours = tmp_path / "ours"
    ours.mkdir()
    check_place(ours)
    for name in ("adapter_config.json", "card.json", "adapter_model.safetensors"):
        (ours / name).touch()
    check_place(ours)
    (ours / "notes.txt").touch()
    with pytest.raises(GiBenchError, match=r"did not write, which would be lost: notes\.txt"):
        check_place(ours)
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "adapter_config.json").touch()
    with pytest.raises(GiBenchError, match="no checkpoint of gi-bench train"):
        check_place(tmp_path / "peft")
