"""Runs to export, made once a session."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.schema import Question
from tests.conftest import MadeOnce
from tests.reports.export.exported_runs import HOSTILE
from tests.run_folders import questions, write_run


def _answer(question: Question) -> str | None:
    """Right, wrong, empty and not there."""
    return {1: "one polyp", 3: "", 5: None}.get(question.index, question.answer)


@pytest.fixture(scope="session")
def made(made_once: MadeOnce) -> Path:
    """A scored run."""

    def fill(folder: Path) -> None:
        score_run(write_run(folder / "run", answer=_answer), resamples=20)

    return made_once("export", fill) / "run"


@pytest.fixture(scope="session")
def hostile(made_once: MadeOnce) -> Path:
    """Texts of a model and of a manifest as nobody should write them, some hidden references, cut short."""
    return made_once("export-hostile", _write_hostile) / "run"


def _write_hostile(folder: Path) -> None:
    rows = [
        replace(
            row, answer=None if row.index in (2, 3) else row.answer, img_id=HOSTILE if row.index < 2 else row.img_id
        )
        for row in questions(6)
    ]
    texts = {0: HOSTILE, 1: "x" * 100_000, 4: "\U0001f600" * 3}
    run = write_run(
        folder / "run",
        rows=rows,
        shown=[],
        answer=lambda q: texts.get(q.index, "no"),
        explain=lambda q: HOSTILE,
        manifest={
            "suite_note": HOSTILE,
            "recipe": {
                "variant": f"../../{HOSTILE}",
                "suite": f"made/{HOSTILE}",
                "limit": 6,
                "model": {HOSTILE: HOSTILE, "kind": "predictions of a file", "file": HOSTILE, "sha256": "ab"},
            },
        },
    )
    score_run(run, resamples=0)
