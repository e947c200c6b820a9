"""A run, a team and an edition, and the command that makes the folder of subtask 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gi_bench.harness.schema import Question
from gi_bench.harness.store import read_predictions, write_part
from gi_bench.harness.suites.specs import rows_digest
from gi_bench.submissions.info import EXAMPLE
from tests.command_line import CommandLine, Done
from tests.run_folders import questions, write_run
from tests.submissions.challenge_folders import EDITION


class Kit:
    """A folder with a run, a team and an edition, and the command that makes the submission."""

    def __init__(self, top: Path, command: CommandLine) -> None:
        self.top, self._command = top, command
        (top / "team.toml").write_text(EXAMPLE, encoding="utf-8")
        digest = rows_digest(questions(), is_numbered=True)
        (top / "editions.toml").write_text(EDITION.format(digest=digest), encoding="utf-8")
        write_run(top / "run")

    @property
    def out(self) -> Path:
        return self.top / "out"

    def submit(self, *more: object, run: str = "run") -> Done:
        return self._command(
            "submit", "task2", self.top / run, "--info", self.top / "team.toml", "--repo", "team/model",
            "--edition", "made2031", "--editions", self.top / "editions.toml", "-o", self.out, *more,
        )  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / "rows.jsonl").read_text(encoding="utf-8").splitlines()]

    def readme(self) -> str:
        return (self.out / "README.md").read_text(encoding="utf-8")

    def refused(self, message: str, *more: object, run: str = "run") -> None:
        """One line, exit code 2, and what was there stays as it was."""
        before = contents(self.top)
        done = self.submit(*more, run=run)
        assert done.returncode == 2, done.stdout
        assert message in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert contents(self.top) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of all files below a folder, by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of_task1(count: int) -> list[Question]:
    """The rows of subtask 1 in the made-up edition: four that subtask 2 asks too, and others."""
    shared = questions()[4:8]
    others = [replace(q, img_id=f"other{q.index}") for q in questions()[: count - 4]]
    return [replace(q, index=i) for i, q in enumerate([*shared, *others])]


def write_task1(folder: Path, **options: Any) -> Path:
    """A run of subtask 1 in the made-up edition."""
    rows = options.pop("rows", rows_of_task1(8))
    return write_run(folder, suite="made/one", fingerprint="e" * 64, rows=rows, shown=[], **options)


def set_confidence(folder: Path, values: Callable[[int], float | None]) -> None:
    """Replace the confidence of all questions of a run."""
    path = folder / "predictions" / "part-00000.parquet"
    changed = [replace(p, confidence=values(p.index)) if p.kind == "question" else p for p in read_predictions(path)]
    write_part(path, changed)
