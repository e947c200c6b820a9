"""What is evaluated, how it runs, how it is scored.

The harness knows no model, no challenge file and no HTML: those reach it through entry points
(see :mod:`harness.registry`). The public names are listed in ``__all__`` and load on first use,
so that importing the package stays cheap.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate", "load_suite", "open_run", "score_run"]

_LAZY = {
    "evaluate": ("harness.engine.local", "evaluate"),
    "load_suite": ("harness.registry", "load_suite"),
    "open_run": ("harness.store", "open_run"),
    "score_run": ("harness.scoring", "score_run"),
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")
