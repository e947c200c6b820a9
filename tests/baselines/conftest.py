"""What tests of studies share."""

from __future__ import annotations

import pytest

from gi_bench.baselines.studies.workshop import Workshop
from gi_bench.harness.suites.base import Suite
from tests.baselines.small_studies import Small


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every suite of a study has three or five images."""

    def load(self: Workshop, name: str) -> Suite:
        return Small("test", 3) if name == "phantom/test" else Small("train", 5)

    monkeypatch.setattr(Workshop, "_load", load)
