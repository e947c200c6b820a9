"""Results that others published, out of ``published.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gi_bench.harness.checking import read_checked

FILE = Path(__file__).parent / "published.toml"
# Scores that an entry may hold, by the names of this package's metrics, in the order in which they are shown.
METRICS = (
    *("bleu", "rouge1", "rouge2", "rougeL", "meteor", "chrf", "bertscore", "bleurt", "exact_match", "region_iou"),
    *("judge_answer_correctness", "judge_faithfulness", "judge_clinical_relevance", "judge_clarity"),
    "judge_completeness",
)


@dataclass(frozen=True)
class PublishedResult:
    """One table of ``published.toml``: what others measured, on which rows, and where it is published.

    Attributes:
        suites: suites beside whose runs it is shown.
        name: the system.
        rows: what it was measured on.
        source: where it is published.
        kind: ``same`` for the very rows of these suites; ``private`` for rows that nobody else has; ``other`` for rows
            that are not stated or belong to no suite.
        board: the table or edition that it is part of.
        rank: its place there, as published; empty where there is none.
        track: of the organisers' baselines: 1 for the images, 2 for the weakly augmented ones; None elsewhere.
        note: what must be said beside it; empty if nothing.
        bleu, rouge1, rouge2, rougeL, meteor: its scores; None where it gives none.
        chrf, bertscore, bleurt, exact_match, region_iou: likewise; chrF from 0 to 100.
        judge_answer_correctness, judge_faithfulness, judge_clinical_relevance, judge_clarity, judge_completeness:
            likewise, by a judge of the publisher's, from 0 to ``judge_scale``.
        judge_scale: 1 or 10.
    """

    suites: tuple[str, ...]
    name: str
    rows: str
    source: str
    kind: Literal["same", "private", "other"]
    board: str
    rank: str = ""
    track: Literal[1, 2] | None = None
    note: str = ""
    bleu: float | None = None
    rouge1: float | None = None
    rouge2: float | None = None
    rougeL: float | None = None  # noqa: N815 (the metric's name)
    meteor: float | None = None
    chrf: float | None = None
    bertscore: float | None = None
    bleurt: float | None = None
    exact_match: float | None = None
    region_iou: float | None = None
    judge_answer_correctness: float | None = None
    judge_faithfulness: float | None = None
    judge_clinical_relevance: float | None = None
    judge_clarity: float | None = None
    judge_completeness: float | None = None
    judge_scale: Literal[1, 10] = 1

    @property
    def values(self) -> dict[str, float]:
        """Its scores by metric; judges' scores only where they are from 0 to 1."""
        found = {name: getattr(self, name) for name in METRICS}
        return {
            name: value
            for name, value in found.items()
            if value is not None and (self.judge_scale == 1 or not name.startswith("judge_"))
        }

    @property
    def remark(self) -> str:
        """The note, with judges' scores of another scale than 0 to 1."""
        judged = [
            f"{name.removeprefix('judge_').replace('_', ' ')} {getattr(self, name):.2f}"
            for name in METRICS
            if name.startswith("judge_") and getattr(self, name) is not None
        ]
        told = f"a judge gave, of {self.judge_scale}: {', '.join(judged)}" if judged and self.judge_scale != 1 else ""
        return "; ".join(filter(None, (self.note, told)))


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


__all__ = ["METRICS", "PublishedResult", "published"]
