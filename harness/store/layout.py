"""Where the files of a run lie, and the pictures beside its folder."""

from __future__ import annotations

from pathlib import Path

from gi_bench.harness import migration

MANIFEST = "manifest.json"
QUESTIONS, PHRASES = "questions.parquet", "phrases.parquet"
# Everything of a run but its scores, which come after it.
_PARTS = (
    *(MANIFEST, QUESTIONS, PHRASES, migration.REFERENCES, migration.PREVIEWS),
    *("training.json", "predictions", "timings"),
)


def made_parts(folder: Path) -> list[Path]:
    """Files and folders that the engine makes of a run, whether they are there or not."""
    return [folder / name for name in _PARTS]


def run_parts(folder: Path) -> list[Path]:
    """All files and folders of a run that something can be made from."""
    return [*made_parts(folder), folder / "scores.json"]


def pictures_path(folder: Path, fingerprint: str) -> Path:
    """Where the small pictures of a suite lie: beside its runs, once for all of them."""
    return folder.parent / f"pictures-{fingerprint[:8]}.parquet"


__all__ = ["MANIFEST", "PHRASES", "QUESTIONS", "made_parts", "pictures_path", "run_parts"]
