"""A suite of a few scenes, and runs of scripted models on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness.engine import entries
from gi_bench.harness.engine import run as local
from gi_bench.harness.engine.plan import make_plan
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.harness.engine.scripted_runs import ROWS
from tests.scripted import ScriptedModel, entry


@pytest.fixture(scope="session")
def suite() -> PhantomSuite:
    """The first scenes of ``phantom/validation``."""
    return PhantomSuite("validation", 24)


@pytest.fixture
def run_scripted(monkeypatch: pytest.MonkeyPatch, suite: PhantomSuite, tmp_path: Path) -> Any:
    """Run a scripted model into tmp_path/<name>."""

    def run(model: ScriptedModel, output: str = "runs", **settings: Any) -> local.Finished:
        monkeypatch.setattr(entries, "model_entry", lambda name: entry(model, name))
        monkeypatch.setattr(local, "make_plan", lambda s, t, limit: make_plan(s, t, limit=limit, rows_per_part=ROWS))
        finished = local.evaluate(
            ["scripted"], suite, output=tmp_path / output, settings=local.Settings(device="cpu", **settings)
        )
        return finished[0]

    return run
