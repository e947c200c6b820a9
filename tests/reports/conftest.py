"""A real browser for the tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reports.chromium import Chromium, found_browser, started


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A headless Chromium; tests skip where there is none."""
    pytest.importorskip("playwright", reason="playwright is not installed (pip install 'gi-bench[dev]')")
    browser = found_browser()
    if browser is None:
        pytest.skip("no Chromium on the path (apt-get install chromium, or set GI_BENCH_BROWSER)")
    with started(browser) as running:
        yield running
