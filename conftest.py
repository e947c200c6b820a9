"""Which examples in docstrings are tests: those of ``gi_bench``, under that name."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent
# The rooms are links inside gi_bench and refuse to load under their bare names.
collect_ignore = ["harness", "baselines", "reports", "submissions", "tests/benchmarks"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A module without an example is not imported for its docstrings."""
    if collection_path.suffix != ".py" or ROOT / "tests" in collection_path.parents:
        return None
    return True if ">>>" not in collection_path.read_text(encoding="utf-8") else None
