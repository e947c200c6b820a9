"""What needs a GPU: collected everywhere, skipped but in ``make test-gpu``, which runs these alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gi_bench.harness.devices import choose_device
from gi_bench.harness.suites.phantom.suite import PhantomSuite

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    own = [item for item in items if HERE in item.path.parents]
    if own and choose_device() == "cpu":
        for item in own:
            item.add_marker(pytest.mark.skip(reason="needs a GPU: make test-gpu"))


@pytest.fixture(scope="session")
def suite() -> PhantomSuite:
    return PhantomSuite("test", 25)
