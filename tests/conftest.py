"""Fixtures that several rooms use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real data, which never enters the repository; tests that need it skip without it."""
    folder = Path(os.environ.get("GI_BENCH_SHARED", Path(__file__).parents[1].parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder} (set GI_BENCH_SHARED)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither read nor fill the user's cache; what they start inherits the folder."""
    os.environ["GI_BENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
