"""Devices, precision and threads: what is chosen, on which grounds, and that no answer depends on it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness import devices
from gi_bench.harness.devices import choose_device, choose_dtype, choose_threads, cpu_quota, use_threads
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.store import open_run


@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        ("gpu", "unknown device"),
        ("cuda:", "unknown device"),
        ("cuda:one", "unknown device"),
        ("cpu:0", "unknown device"),
        ("cuda", "no CUDA device"),
        ("cuda:3", "no CUDA device"),
    ],
)
def test_devices_that_are_not_there_are_refused(wanted: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_may_have_gpu", lambda: False)
    with pytest.raises(GiBenchError, match=what):
        choose_device(wanted)


def test_torch_is_not_loaded_to_find_no_gpu() -> None:
    script = (
        "import sys; from gi_bench.harness import devices; devices._DRIVERS = ('/no/such/driver',); "
        "assert devices.choose_device() == 'cpu'; assert 'torch' not in sys.modules, 'torch was loaded'"
    )
    if sys.platform == "linux":
        subprocess.run([sys.executable, "-c", script], check=True)


def test_dtype_follows_the_hardware_and_what_must_repeat_stays_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for has in (True, False):
        monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda has=has: has)
        assert choose_dtype("auto", "cpu", exact=True) == "float32"
        assert choose_dtype("auto", "cpu", exact=False) == ("bfloat16" if has else "float32")
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True, has=has: has)
        assert choose_dtype("auto", "cuda", exact=True) == "float32"
        assert choose_dtype("auto", "cuda", exact=False) == ("bfloat16" if has else "float16")
    assert choose_dtype("float32", "cuda", exact=False) == "float32"
    with pytest.raises(GiBenchError, match="unknown dtype"):
        choose_dtype("int8", "cpu", exact=False)


def _files(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"sys/fs/cgroup/cpu.max": "nonsense"}, None),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        # The tightest of the groups on the way to the root counts.
        (
            {
                "proc/self/cgroup": "0::/pod/job\n",
                "sys/fs/cgroup/pod/cpu.max": "200000 100000",
                "sys/fs/cgroup/pod/job/cpu.max": "max 100000",
                "sys/fs/cgroup/cpu.max": "800000 100000",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/docker/abc\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
    ],
)
def test_the_quota_of_a_container_is_read(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(_files(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("cores", "allowed", "quota", "busy", "count"),
    [
        (8, 8, None, 0.0, 8),
        (8, 4, None, 0.0, 4),
        (8, 8, 2.5, 0.0, 2),
        (8, 8, 0.5, 0.0, 1),
        (2, 2, None, 1.0, 1),
        (2, 2, None, 9.0, 1),
        (64, 4, None, 30.0, 4),
        (64, 64, 16.0, 60.0, 4),
    ],
)
def test_threads_are_as_many_as_cores_are_free(
    monkeypatch: pytest.MonkeyPatch, cores: int, allowed: int, quota: float | None, busy: float, count: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(devices, "_allowed_cores", lambda: allowed)
    monkeypatch.setattr(devices, "cpu_quota", lambda: quota)
    monkeypatch.setattr(devices, "busy_cores", lambda: busy)
    assert choose_threads().count == count


def test_what_the_user_says_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert choose_threads().count == 3
    assert choose_threads(5).count == 5


def test_busy_cores_come_from_what_runs_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = tmp_path / "loadavg"
    monkeypatch.setattr(devices, "_LOAD", load)
    load.write_text("9.00 9.00 9.00 1/500 123\n")  # the minute before was busy, now only this process runs
    assert devices.busy_cores() == 0.0
    load.write_text("0.00 0.00 0.00 4/500 123\n")
    assert devices.busy_cores() == 3.0
    load.write_text("garbage")
    assert devices.busy_cores() >= 0.0


def test_the_first_decision_holds_and_libraries_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    before = torch.get_num_threads()
    monkeypatch.setattr(devices, "_decided", None)
    for name in devices.THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    try:
        assert use_threads(2).count == 2
        assert torch.get_num_threads() == 2
        assert use_threads().count == 2
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "2"
    finally:
        torch.set_num_threads(before)


def test_predictions_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    """Byte for byte where MKL multiplies: in processes of their own, since MKL decides at its first product."""
    import torch

    from gi_bench.harness.store import Run

    bytes_equal = torch.backends.mkl.is_available() and devices.strict_products() is not None
    found = []
    for threads in (1, 2):
        wanted = "-m multitask_r128 -s phantom/validation --limit 8 --beams 3 --tasks answer --device cpu --threads "
        output = tmp_path / str(threads)
        command = [sys.executable, "-m", "gi_bench", "run", *wanted.split(), str(threads), "-o", str(output)]
        environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        (folder,) = (output / "phantom-validation").glob("multitask_r128-*")
        run = Run(folder)
        assert run.manifest.hardware.threads == threads
        parts = [path.read_bytes() for path in sorted((folder / "predictions").iterdir())]
        answers = {key: row.answer for key, row in run.predictions.items()}
        found.append((folder.name, answers, parts if bytes_equal else []))
    assert found[0] == found[1]
    assert len(set(found[0][1].values())) > 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx2 avx512f\n", "AVX512,STRICT"),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2 avx512f\n", "AVX2,STRICT"),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx\n", None),
        ("Features\t: fp asimd\n", None),
    ],
)
def test_strict_products_by_processor(monkeypatch: pytest.MonkeyPatch, text: str, expected: str | None) -> None:
    monkeypatch.setattr("builtins.open", lambda *args, **kwargs: io.StringIO(text))
    assert devices.strict_products() == expected


def test_a_run_goes_on_with_the_threads_it_was_begun_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from gi_bench.harness.engine.run import Settings, evaluate

    before = torch.get_num_threads()
    wanted: dict[str, Any] = {"tasks": ("answer",), "limit": 4, "beams": 1, "device": "cpu"}
    try:
        (done,) = evaluate(
            "multitask_r32", "phantom/validation", output=tmp_path, settings=Settings(**wanted, threads=1)
        )
        next((done.path / "predictions").iterdir()).unlink()
        monkeypatch.setattr(devices, "_decided", devices.Threads(2, "free cores"))
        (again,) = evaluate("multitask_r32", "phantom/validation", output=tmp_path, settings=Settings(**wanted))
        assert again.path == done.path
        assert open_run(again).manifest.hardware.threads == 1
    finally:
        torch.set_num_threads(before)
        devices._decided = None
