"""One folder, one process: who is refused, who waits, and what a lock leaves behind."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gi_bench.harness import locks
from gi_bench.harness.errors import BusyError, RunError
from gi_bench.harness.locks import LEASE_S, LOCK, holding
from tests.command_line import CommandLine
from tests.locked import held_elsewhere
from tests.run_folders import questions, write_run

ROOT = Path(__file__).parents[2]
_HOLDER = """
import sys, time
from pathlib import Path
from gi_bench.harness.locks import holding
with holding(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def _other_process(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_names_its_holder_and_dies_with_its_process(tmp_path: Path) -> None:
    process = _other_process(tmp_path)
    try:
        with pytest.raises(BusyError, match="another process is using this folder") as caught, holding(tmp_path):
            pass
        line = caught.value.line()
        assert f"host {platform.node()}, process {process.pid}, since 20" in line
        assert str(tmp_path) in line
        assert line.isprintable()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (tmp_path / LOCK).exists(), "a killed process takes nothing away"
    with holding(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir()), "the next one does"
    process.stdout.close()  # type: ignore[union-attr]


def test_a_thread_may_take_what_it_holds_and_another_may_not(tmp_path: Path) -> None:
    with holding(tmp_path / "new" / "folder"), holding(tmp_path / "new" / "folder"):
        assert (tmp_path / "new" / "folder" / LOCK).exists()
    assert not list(tmp_path.iterdir()), "a folder that was made for nothing goes again"
    with held_elsewhere(tmp_path), pytest.raises(BusyError), holding(tmp_path):
        pass
    with held_elsewhere(tmp_path), holding(tmp_path, name="another"):
        pass


def test_one_waits_where_that_is_wanted(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path):
        start = time.monotonic()
        with pytest.raises(BusyError), holding(tmp_path, wait_s=0.2):
            pass
        assert time.monotonic() - start >= 0.2
    with holding(tmp_path, wait_s=0.2):
        pass


def _left_by(folder: Path, host: object, age_s: float) -> Path:
    path = folder / LOCK
    path.write_text(json.dumps({"host": host, "pid": 7, "since": "2026-01-02T03:04:05+00:00"}))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_the_lock_of_another_host_is_a_lease(tmp_path: Path) -> None:
    _left_by(tmp_path, "node\x1b[31m17", LEASE_S / 2)
    with pytest.raises(BusyError) as caught, holding(tmp_path):
        pass
    line = caught.value.line()
    assert "host node\\u001b[31m17, process 7, since 2026-01-02T03:04:05" in line
    assert "runs out 120 s after its last sign of life" in line
    path = _left_by(tmp_path, "node17", LEASE_S + 1)
    with holding(tmp_path):
        assert json.loads(path.read_text())["host"] == platform.node()
    _left_by(tmp_path, "node17", -400 * 86400)  # a time that no clock has shown
    with holding(tmp_path):
        pass


def test_a_holder_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEW_S", 0.02)
    with holding(tmp_path):
        os.utime(tmp_path / LOCK, (0, 0))
        deadline = time.monotonic() + 10
        while (tmp_path / LOCK).stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (tmp_path / LOCK).stat().st_mtime > 0


def test_where_the_file_system_has_no_locks_the_process_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "try_lock", lambda handle: None)
    path = _left_by(tmp_path, platform.node(), 0)
    path.write_text(json.dumps({"host": platform.node(), "pid": os.getpid()}))
    with pytest.raises(BusyError), holding(tmp_path):
        pass
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    path.write_text(json.dumps({"host": platform.node(), "pid": process.pid}))
    with holding(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 3, "pid": "x"}', "[" * 5000, '{"host": null}'])
def test_a_lock_with_anything_in_it_is_taken(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    with holding(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_that_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "victim")
    with pytest.raises(RunError), holding(tmp_path):
        pass
    assert (tmp_path / "victim").read_text() == "mine"
    (tmp_path / LOCK).unlink()
    os.mkfifo(tmp_path / LOCK)
    with pytest.raises(RunError, match="no plain file"), holding(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"), holding(tmp_path / "file"):
        pass


def test_two_at_once_on_one_folder_are_told(gi_bench: CommandLine, tmp_path: Path) -> None:
    """Every command that writes a folder; the second leaves it as it is."""
    run = write_run(tmp_path / "suite" / "run", rows=questions(2), shown=[])
    assert gi_bench("score", run, "--resamples", 0).returncode == 0
    blind = ("run", "-m", "blind_constant", "-s", "phantom/validation", "--limit", 2, "-o", tmp_path / "runs")
    assert gi_bench(*blind).returncode == 0
    (folder,) = (tmp_path / "runs" / "phantom-validation").glob("blind_constant-*")
    (folder / "scores.json").unlink()
    answers = tmp_path / "a.json"
    answers.write_text(json.dumps([{"index": 0, "answer": "a"}]))
    imported = (
        "score",
        "--predictions",
        answers,
        "-s",
        "phantom/validation",
        "-o",
        tmp_path / "mine",
        "--partial",
        "--resamples",
        0,
    )
    assert gi_bench(*imported).returncode == 0
    (mine,) = (tmp_path / "mine" / "phantom-validation").iterdir()
    for held, command in (
        (run, ("score", run, "--resamples", 0)),
        (folder, blind),
        (mine, imported),
    ):
        with held_elsewhere(held):
            before = {path: path.read_bytes() for path in held.rglob("*") if path.is_file()}
            done = gi_bench(*command)
            assert done.returncode == 2, command
            (line,) = done.stderr.strip().splitlines()
            assert line.startswith("error: another process is using this folder: host ")
            assert {path: path.read_bytes() for path in held.rglob("*") if path.is_file()} == before
        assert gi_bench(*command).returncode == 0
