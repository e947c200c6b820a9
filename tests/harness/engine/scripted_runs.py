"""Runs of scripted models in several parts."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROWS = 60


def digests_of(folder: Path) -> dict[str, str]:
    """SHA-256 of everything in a run that must repeat byte for byte."""
    names = [
        *sorted((folder / "predictions").iterdir()),
        folder / "questions.parquet",
        folder / "phrases.parquet",
        folder / "scores.json",
    ]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in names}
