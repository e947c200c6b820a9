"""Settings, suites and files of studies that take seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from gi_bench.baselines.studies.settings import Settings
from gi_bench.baselines.studies.workshop import Workshop
from gi_bench.harness.schema import Question
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.phantom.suite import PhantomSuite

SETTINGS = Settings("phantom/test", "phantom/train-small", epochs=None, steps=1, beams=1, device="cpu")


class Small(PhantomSuite):
    """A few scenes under the name of a whole split."""


def few(self: Workshop, name: str) -> Suite:
    """In the place of a workshop's suites: three or five images."""
    return Small("test", 3) if name == "phantom/test" else Small("train", 5)


def write_explanations(path: Path, rows: Sequence[Question]) -> Path:
    """A file with an expert's explanation of each row."""
    made = [
        {"img_id": row.img_id, "question": row.question, "explanation": f"An expert says so, {row.index}."}
        for row in rows
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return path
