"""What submissions are made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.submissions.challenge_folders import Challenge, write_challenge, write_data, write_edition
from tests.submissions.task2_kit import Kit


@pytest.fixture
def kit(tmp_path: Path, gi_bench: CommandLine) -> Kit:
    """A run, a team and an edition, ready to be submitted."""
    return Kit(tmp_path, gi_bench)


@pytest.fixture
def good(tmp_path: Path) -> Challenge:
    """A folder that passes."""
    return write_challenge(tmp_path / "team", write_edition(tmp_path / "more.toml"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The rows of its edition, with references."""
    return write_data(tmp_path / "data")
