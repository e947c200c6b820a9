"""Where a model computes: device, precision, and the number of threads on a CPU. Imports torch only where it must ask.

Threads: libraries take a thread for every core they see, whatever a container may use and whoever else is busy. Threads
that wait for one that gets no core cost more than they bring: two runs with two threads each on two cores are six times
slower than with one. The number is decided once, from affinity, CPU quota and what else is running; results must not
depend on it, down to the last bit. MKL, which multiplies torch's matrices on x86, splits sums by the number of threads
unless it is told not to.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from gi_bench.harness.errors import GiBenchError

DTYPES = ("float32", "float16", "bfloat16")
# Each is read by a library when it is loaded: OpenMP (torch), MKL, OpenBLAS (NumPy), OpenCV.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
# MKL's "conditional numerical reproducibility" with the flag that makes a product the same on any number of threads.
# It is read at MKL's first product. Measured on the tiny network: no slower.
_STRICT_VARIABLE = "MKL_CBWR"
# Drivers under Linux: NVIDIA, NVIDIA under WSL, AMD.
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
_LOAD = Path("/proc/loadavg")
# Looks at what is running, and the pause between two: one look may meet a burst of a few milliseconds.
_LOOKS, _PAUSE_S = 7, 0.01


def choose_device(wanted: str = "auto") -> str:
    """The device to compute on.

    Args:
        wanted: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; auto is ``cuda`` where there is one, else ``cpu``.

    Raises:
        GiBenchError: there is no such device.
    """
    if wanted == "auto":
        return "cuda" if _may_have_gpu() and _torch().cuda.is_available() else "cpu"
    if wanted == "cpu":
        return wanted
    kind, colon, number = wanted.partition(":")
    if kind != "cuda" or bool(colon) != number.isdecimal():
        raise GiBenchError("unknown device", where=f"--device {wanted}", do="use auto, cpu, cuda or cuda:N")
    if not _may_have_gpu() or not _torch().cuda.is_available():
        raise GiBenchError("no CUDA device", where=f"--device {wanted}", do="use --device cpu")
    count = int(_torch().cuda.device_count())
    if number and int(number) >= count:
        raise GiBenchError(f"there are {count} CUDA devices", where=f"--device {wanted}", do="count them from 0")
    return wanted


def choose_dtype(wanted: str, device: str, *, exact: bool) -> str:
    """The precision to compute in.

    Args:
        wanted: ``auto``, ``float32``, ``float16`` or ``bfloat16``. auto is, on a GPU, bfloat16 where the hardware
            computes with it, else float16 (T4); on a CPU bfloat16 where the hardware computes with it, else float32.
        device: as of :func:`choose_device`.
        exact: auto is float32 everywhere: for numbers that have to repeat from machine to machine.

    Raises:
        GiBenchError: it is none of these.
    """
    if wanted == "auto":
        if exact:
            return "float32"
        if device == "cpu":
            return "bfloat16" if cpu_has_bfloat16() else "float32"
        return "bfloat16" if _torch().cuda.is_bf16_supported(including_emulation=False) else "float16"
    if wanted not in DTYPES:
        raise GiBenchError("unknown dtype", where=f"--dtype {wanted}", do=f"use auto, {', '.join(DTYPES[:-1])} or "
                           f"{DTYPES[-1]}")  # fmt: skip
    return wanted


def _torch() -> Any:
    import torch

    return torch


def _may_have_gpu() -> bool:
    """Whether torch has to be asked: False where it is a build without GPUs, or Linux has no driver for one."""
    if "torch" in sys.modules:
        return True
    from importlib.metadata import PackageNotFoundError, version

    try:
        built_for_cpu = version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False
    return not built_for_cpu and (sys.platform != "linux" or any(Path(driver).exists() for driver in _DRIVERS))


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 matrices itself (AMX or AVX-512 BF16; from /proc/cpuinfo)."""
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(_cpu_words("flags"))


def strict_products() -> str | None:
    """The value of ``MKL_CBWR`` under which products do not depend on the number of threads; None where MKL has none.

    Source: oneMKL developer guide, "Obtaining numerically reproducible results": strict mode needs AVX2 or AVX-512.
    """
    flags = _cpu_words("flags")
    if "avx512f" in flags and "GenuineIntel" in _cpu_words("vendor_id"):
        return "AVX512,STRICT"
    return "AVX2,STRICT" if "avx2" in flags else None


def _cpu_words(name: str) -> frozenset[str]:
    """The words of one line of /proc/cpuinfo; none where there is no such file."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            for line in stream:
                if line.startswith(name):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


@dataclass(frozen=True)
class Threads:
    """How many threads to compute with.

    Attributes:
        count: at least 1.
        reason: where the number comes from.
    """

    count: int
    reason: str


def choose_threads(wanted: int | None = None) -> Threads:
    """The number of threads: given, from ``OMP_NUM_THREADS``, or as many as there are free cores.

    Args:
        wanted: number given by the user; None to decide.
    """
    if wanted is not None:
        return Threads(max(1, wanted), "given")
    own = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if own.isdecimal() and int(own):
        return Threads(int(own), "OMP_NUM_THREADS")
    allowed, quota = _allowed_cores(), cpu_quota()
    count, reason = allowed, "cores"
    if quota is not None and quota < allowed:
        count, reason = max(1, int(quota)), "CPU quota"
    # The load is the machine's, also within a container: it is held against all of the machine's cores.
    free = round((os.cpu_count() or 1) - busy_cores())
    if free < count:
        count, reason = max(1, free), "other programs are running"
    return Threads(count, reason)


_decided: Threads | None = None


def use_threads(wanted: int | None = None) -> Threads:
    """Decide the number of threads and tell the libraries, those that are loaded and those that will be.

    The first decision holds for the process: only a number given by the user changes it.

    Args:
        wanted: number given by the user; None to decide.
    """
    global _decided
    strict = strict_products()
    if strict is not None:
        os.environ.setdefault(_STRICT_VARIABLE, strict)
    if wanted is not None or _decided is None:
        _decided = choose_threads(wanted)
    for name in THREAD_VARIABLES:
        if wanted is not None or not os.environ.get(name):
            os.environ[name] = str(_decided.count)
    for name, setter in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
        module = sys.modules.get(name)
        if module is not None:
            getattr(module, setter)(_decided.count)
    return _decided


def _allowed_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def busy_cores() -> float:
    """Cores that other programs keep busy now: the median of some looks at the kernel's count of running tasks.

    The load average tells of the last minute: of a run that has just ended, and not of one that has just begun. It is
    taken where the kernel does not count (macOS).
    """
    seen = []
    try:
        for _ in range(_LOOKS):
            running = _LOAD.read_text(encoding="ascii").split()[3].partition("/")[0]
            seen.append(max(0, int(running) - 1))  # this process is one of them
            time.sleep(_PAUSE_S)
        return float(median(seen))
    except (OSError, ValueError, IndexError):
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that the control groups of this process may use; None where there is no limit.

    Args:
        root: of the file system; another one in tests.

    Source: the kernel's cgroup-v2.rst (``cpu.max``) and sched-bwc.rst (``cpu.cfs_quota_us``).
    """
    mount, found = root / "sys/fs/cgroup", []
    for group in _groups(root):
        # A container sees its own group as the root of the mount, or the host's whole tree.
        for folder in (group, *group.parents):
            found += [
                _quota_v2(mount / folder),
                _quota_v1(mount / "cpu" / folder),
                _quota_v1(mount / "cpu,cpuacct" / folder),
            ]
    limits = [quota for quota in found if quota is not None]
    return min(limits) if limits else None


def _groups(root: Path) -> list[Path]:
    """Paths of this process's groups that may limit its time, below the mount."""
    groups = [Path(".")]
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return groups
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers or "cpu" in controllers.split(","):
            groups.append(Path(path.lstrip("/")))
    return groups


def _quota_v2(folder: Path) -> float | None:
    parts = _words(folder / "cpu.max")
    return _cores(parts[0], parts[1]) if len(parts) == 2 else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    return _cores(quota[0], period[0]) if quota and period else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []


def _cores(quota: str, period: str) -> float | None:
    """Quota over period; None for ``max``, -1 and everything that is no number."""
    if not quota.isdecimal() or not period.isdecimal() or not int(quota) or not int(period):
        return None
    return int(quota) / int(period)


__all__ = [
    "Threads",
    "busy_cores",
    "choose_device",
    "choose_dtype",
    "choose_threads",
    "cpu_has_bfloat16",
    "cpu_quota",
    "strict_products",
    "use_threads",
]
