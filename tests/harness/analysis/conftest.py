"""Runs that several files of tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.metrics.base import Metric
from gi_bench.harness.registry import registered
from tests.harness.analysis.study_cases import write_seeds
from tests.harness.analysis.verify_cases import mixed_answers, mixed_regions, mixed_rows, without_nltk_data, write_said
from tests.run_folders import phrases


@pytest.fixture(scope="session")
def metrics() -> dict[str, Metric]:
    """The metrics that studies of made-up runs are about."""
    found = registered("gi_bench.metrics")
    return {name: found[name] for name in ("exact_match", "region_iou", "region_dice", "answer_false_positive_rate")}


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, list[Path]]:
    """A good arm and a poor one, two seeds each."""
    return {"good": write_seeds(tmp_path, "good", (0, 2)), "poor": write_seeds(tmp_path, "poor", (8, 6))}


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scored run with everything that may happen to a row."""
    without_nltk_data(monkeypatch)
    rows, shown = mixed_rows(), phrases(20)
    folder = write_said(tmp_path / "run", rows, shown, [*mixed_answers(rows), *mixed_regions(shown)])
    score_run(folder, resamples=0)
    return folder
