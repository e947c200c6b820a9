"""Results that others published, out of ``published.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gi_bench.harness.checking import read_checked

FILE = Path(__file__).parent / "published.toml"


@dataclass(frozen=True)
class PublishedResult:
    """One table of ``published.toml``: what others measured, on which rows, and where it is published.

    Attributes:
        suites: suites beside whose runs it is shown.
        name: the system.
        rows: what it was measured on.
        source: where it is published.
        bleu, rouge1, rouge2, rougeL, meteor: its scores; None where it gives none.
    """

    suites: tuple[str, ...]
    name: str
    rows: str
    source: str
    bleu: float | None = None
    rouge1: float | None = None
    rouge2: float | None = None
    rougeL: float | None = None  # noqa: N815 (the metric's name)
    meteor: float | None = None


@dataclass(frozen=True)
class PublishedResults:
    """Content of ``published.toml``."""

    results: tuple[PublishedResult, ...]


def published() -> tuple[PublishedResult, ...]:
    """All published results.

    Raises:
        GiBenchError: the file holds an unknown key, or lacks one.
    """
    return read_checked(FILE, PublishedResults).results


__all__ = ["PublishedResult", "published"]
