"""Runs that broke off, were killed or damaged: what is kept, made again or refused."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gi_bench.harness import store
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.engine import machine
from gi_bench.harness.engine import run as local
from gi_bench.harness.engine.execute import BatchSize
from gi_bench.harness.errors import RunError
from tests.harness.engine.scripted_runs import ROWS, digests_of
from tests.scripted import ScriptedModel


def test_a_run_that_broke_off_resumes_and_ends_byte_identical(run_scripted: Any) -> None:
    whole = run_scripted(ScriptedModel(), "whole")
    broken, calls = ScriptedModel(), 0

    def break_off(asks: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 12:
            raise KeyboardInterrupt

    broken.before_answer = break_off
    with pytest.raises(KeyboardInterrupt):
        run_scripted(broken, "broken")
    (folder,) = (Path(whole.path.parents[2]) / "broken" / "phantom-validation").glob("scripted-*")
    kept = {path.name: path.stat().st_mtime_ns for path in (folder / "predictions").iterdir()}
    assert kept
    assert not (folder / "scores.json").exists()
    again = ScriptedModel()
    resumed = run_scripted(again, "broken")
    assert resumed.path == folder
    assert sum(again.batches) < sum(ScriptedModel().batches) + 24 * 10, "finished parts are not done again"
    assert {n: (folder / "predictions" / n).stat().st_mtime_ns for n in kept} == kept
    assert digests_of(folder) == digests_of(whole.path)


def test_a_resumed_run_takes_the_batches_of_one_that_was_not_interrupted(
    run_scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the batch grows from part to part, and what is computed together decides the last digits."""

    def growing(wanted: int | None, model: Any, device: str) -> BatchSize:
        return BatchSize(wanted) if wanted else BatchSize(2, ceiling=64)

    monkeypatch.setattr(local, "_batch_size", growing)

    def broken(folder: str) -> None:
        model, seen = ScriptedModel(), 0

        def break_off(asks: Any) -> None:
            nonlocal seen
            seen += len(asks)
            if seen > 3 * ROWS:
                raise KeyboardInterrupt

        model.before_answer = break_off
        with pytest.raises(KeyboardInterrupt):
            run_scripted(model, folder)

    whole, again, given = ScriptedModel(), ScriptedModel(), ScriptedModel()
    run_scripted(whole, "whole")
    assert max(whole.batches) > 2
    broken("broken")
    run_scripted(again, "broken")
    assert again.batches == whole.batches[-len(again.batches) :]
    broken("given")
    run_scripted(given, "given", batch_size=3)
    assert max(given.batches) == 3, "a batch that was asked for"


def test_another_recipe_gets_another_folder_and_a_mixed_one_is_refused(run_scripted: Any) -> None:
    first = run_scripted(ScriptedModel())
    second = run_scripted(ScriptedModel({"script": 2}))
    assert first.path != second.path
    (second.path / "manifest.json").write_bytes((first.path / "manifest.json").read_bytes())
    with pytest.raises(RunError, match="another recipe"):
        run_scripted(ScriptedModel({"script": 2}))


def test_a_damaged_part_is_named(run_scripted: Any) -> None:
    finished = run_scripted(ScriptedModel())
    part = sorted((finished.path / "predictions").iterdir())[1]
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(RunError, match="damaged Parquet") as caught:
        run_scripted(ScriptedModel())
    assert part.name in caught.value.line()
    part.unlink()
    run_scripted(ScriptedModel())


def test_a_full_disk_is_one_line_and_keeps_finished_parts(
    run_scripted: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = pq.write_table
    written = 0

    def full(table: Any, where: Any, **options: Any) -> None:
        nonlocal written
        if ".part-" in str(where):
            written += 1
            if written > 2:
                raise OSError(errno.ENOSPC, "No space left on device")
        real(table, where, **options)

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(RunError, match="disk is full"):
        run_scripted(ScriptedModel(), "full")
    (folder,) = (tmp_path / "full" / "phantom-validation").glob("scripted-*")
    assert sorted(p.name for p in (folder / "predictions").iterdir()) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    monkeypatch.setattr(pq, "write_table", real)
    resumed = run_scripted(ScriptedModel(), "full")
    assert digests_of(resumed.path) == digests_of(run_scripted(ScriptedModel(), "whole").path)


# Four parts: enough to be stopped between the second and the last.
_STOPPED = """
import time
from gi_bench.harness.suites.base import SuiteEntry
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.scripted import ScriptedModel, entry

model = ScriptedModel()
model.before_answer = lambda asks: time.sleep(PAUSE)
MODELS = [entry(model, "slow")]
few = PhantomSuite("validation", 48)
few.name = "few/validation"
SUITES = [SuiteEntry("few/validation", "the first scenes", lambda data: few)]
"""


def _command(folder: Path, output: str, pause: float) -> dict[str, Any]:
    """A process that runs the slow model into ``folder/output``."""
    plugin = folder / f"plugin_{output}_{pause}.py"
    plugin.write_text(_STOPPED.replace("PAUSE", str(pause)))
    root = Path(__file__).parents[3]
    code = "from gi_bench.harness.cli import main; main()"
    arguments = [
        sys.executable, "-c", code, "run", "--model", "slow", "--plugin", str(plugin),
        "--suite", "few/validation", "--output", str(folder / output), "--device", "cpu",
    ]  # fmt: skip
    return {"args": arguments, "cwd": root, "env": {**os.environ, "PYTHONPATH": str(root)}}


def _finish(folder: Path, output: str) -> Path:
    done = subprocess.run(**_command(folder, output, 0), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (run,) = (folder / output / "few-validation").glob("slow-*")
    return run


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _finish(tmp_path_factory.mktemp("whole"), "whole")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_process_resumes_byte_identical(tmp_path: Path, how: signal.Signals, never_stopped: Path) -> None:
    """Killed, or Ctrl-C, in the middle of a run; then the same command again."""
    process = subprocess.Popen(
        **_command(tmp_path, "killed", 0.05),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 300
    pattern = "few-validation/slow-*/predictions/part-*.parquet"
    while len(list((tmp_path / "killed").glob(pattern))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    _, errors = process.communicate()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "run the same command again" in errors.decode()
    finished = len(list((tmp_path / "killed").glob(pattern)))
    killed = _finish(tmp_path, "killed")
    assert 2 <= finished < len(list((never_stopped / "predictions").iterdir()))
    assert digests_of(killed) == digests_of(never_stopped)


@pytest.mark.parametrize("name", ["predictions/part-00001.parquet", "questions.parquet", "phrases.parquet"])
def test_an_edited_file_of_a_run_is_refused_and_made_again(run_scripted: Any, name: str) -> None:
    finished = run_scripted(ScriptedModel())
    before, path = digests_of(finished.path), finished.path / name
    table = pq.read_table(path)
    pq.write_table(table.slice(0, len(table) - 1), path)
    with pytest.raises(RunError, match="was changed after the run") as caught:
        score_run(finished.path)
    line = caught.value.line()
    assert str(path) in line
    assert "delete this file and run the same command again" in line
    path.unlink()
    with pytest.raises(RunError, match="a file of the run is missing"):
        score_run(finished.path)
    run_scripted(ScriptedModel())
    assert digests_of(finished.path) == before


def test_a_run_given_again_keeps_what_was_measured(run_scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = run_scripted(ScriptedModel())
    before = (finished.path / "manifest.json").read_bytes()
    manifest = store.read_manifest(finished.path)
    assert manifest.peak_memory_mb is not None
    assert manifest.model_memory_mb is not None
    assert manifest.peak_memory_mb >= manifest.model_memory_mb > 10
    assert sorted(manifest.parts) == [p.name for p in sorted((finished.path / "predictions").iterdir())]
    monkeypatch.setattr(machine, "peak_memory_mb", lambda device: 1e9)
    monkeypatch.setattr(machine, "memory_mb", lambda device: 1e9)
    run_scripted(ScriptedModel())
    assert (finished.path / "manifest.json").read_bytes() == before
