"""Contrasts, questions and run folders of made-up studies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gi_bench.harness.analysis.study import Contrast, Question
from tests.run_folders import write_run

GREATER = Contrast("exact_match", "a", "b", "greater")
LESS = Contrast("exact_match", "a", "b", "less")
NO_LESS = Contrast("exact_match", "a", "b", "no less")


def write_seeds(folder: Path, arm: str, wrong: Sequence[int], **options: Any) -> list[Path]:
    """One run a seed of 12 questions; the first ``wrong`` of them get a wrong answer."""
    return [
        write_run(
            folder / f"{arm}-{seed}",
            variant=arm,
            answer=lambda q, count=count: "red" if q.index < count else q.answer,
            **options,
        )
        for seed, count in enumerate(wrong)
    ]


def asked_about(*contrasts: Contrast, arms: Sequence[str] = ("good", "poor"), **changes: Any) -> Question:
    """A question over some arms; ``changes`` replaces its other fields."""
    asked: dict[str, Any] = {
        "name": "made", "title": "Made", "claim": "Good is better.", "source": "nowhere",
        "arms": {arm: f"about {arm}" for arm in arms}, "contrasts": contrasts, "metrics": ("exact_match",),
    }  # fmt: skip
    return Question(**{**asked, **changes})
