"""What tests of studies share."""

from __future__ import annotations

import pytest

from gi_bench.baselines.studies.workshop import Workshop
from tests.baselines.small_studies import few


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every suite of a study has three or five images."""
    monkeypatch.setattr(Workshop, "_load", few)
