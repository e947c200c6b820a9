"""Runs that several files of tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gi_bench.harness.metrics.base import Metric
from gi_bench.harness.registry import registered
from tests.harness.analysis.study_cases import write_seeds


@pytest.fixture(scope="session")
def metrics() -> dict[str, Metric]:
    """The metrics that studies of made-up runs are about."""
    found = registered("gi_bench.metrics")
    return {name: found[name] for name in ("exact_match", "region_iou", "answer_false_positive_rate")}


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, list[Path]]:
    """A good arm and a poor one, two seeds each."""
    return {"good": write_seeds(tmp_path, "good", (0, 2)), "poor": write_seeds(tmp_path, "poor", (8, 6))}
