"""gi-bench: an evaluation harness for gastrointestinal visual question answering.

The public names are listed in ``__all__`` and load on first use, so that importing the package stays cheap.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate", "load_suite", "open_run", "score_run"]

_LAZY = {
    "evaluate": ("gi_bench.harness.engine.run", "evaluate"),
    "load_suite": ("gi_bench.harness.registry", "load_suite"),
    "open_run": ("gi_bench.harness.store", "open_run"),
    "score_run": ("gi_bench.harness.analysis.scoring", "score_run"),
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'gi_bench' has no attribute {name!r}")
