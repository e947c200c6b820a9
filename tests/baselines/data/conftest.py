"""What tests of making masks share."""

from __future__ import annotations

import pytest

from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.baselines.data.mask_cases import SUITE


@pytest.fixture
def small_validation(monkeypatch: pytest.MonkeyPatch) -> PhantomSuite:
    """The first images of ``phantom/validation`` in the place of all."""
    monkeypatch.setattr("gi_bench.harness.registry.load_suite", lambda name, data=None: SUITE)
    return SUITE
