"""How far the answers of a script that was run elsewhere are those of the run that it was made from.

In float32 on a CPU they are the same. On a GPU, or in half precision, sums are rounded otherwise, and now and then
another word is the likeliest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gi_bench.harness.checking import read_text
from gi_bench.harness.errors import GiBenchError, UnfitRunError
from gi_bench.harness.intervals import rate_interval
from gi_bench.harness.json_text import parse_json
from gi_bench.harness.store import Run
from gi_bench.submissions.rows import answered

# The script's own name for what it writes.
_DO = "give the predictions_1.json that submission_task1.py wrote"


@dataclass(frozen=True)
class Difference:
    """A row that the script answers otherwise than the run.

    Attributes:
        index: of the row.
        img_id, question: of the row.
        run, script: both answers.
    """

    index: int
    img_id: str
    question: str
    run: str
    script: str


@dataclass(frozen=True)
class Comparison:
    """Equal answers of a script and the run that it was made from.

    Attributes:
        rows: compared.
        asked: rows of the run.
        equal: rows with the same answer, to the letter.
        interval: of the share of equal answers, 95 %, by images; None where there are fewer than two.
        device: where the script ran, as it says itself; empty where it says nothing.
        differences: all rows that differ, in their order.
    """

    rows: int
    asked: int
    equal: int
    interval: tuple[float, float] | None
    device: str
    differences: tuple[Difference, ...]

    @property
    def share(self) -> float:
        """Share of equal answers, in [0, 1]."""
        return self.equal / self.rows


def compare_answers(run: Run, path: Path) -> Comparison:
    """Hold a script's ``predictions_1.json`` against the run; it may have fewer rows.

    Raises:
        UnfitRunError: the run lacks answers.
        GiBenchError: the file cannot be read, is no such file, or has rows that the run has not.
    """
    asked = answered(run, list(run.questions))
    given, device = _read(path)
    by_image: dict[str, list[int]] = {}
    differences = []
    for index, row in given.items():
        if index >= len(asked):
            raise UnfitRunError(f"row {index} is none of the run's {len(asked):,}", where=path,
                                do=f"give the run that the script was made from; {_DO}")  # fmt: skip
        question, prediction = asked[index]
        if (row["img_id"], row["question"]) != (question.img_id, question.question):
            raise UnfitRunError(f"row {index} asks something else than the run's", where=path,
                                do=f"give the run that the script was made from; {_DO}")  # fmt: skip
        answer = prediction.answer or ""
        counts = by_image.setdefault(question.img_id, [0, 0])
        counts[1] += 1
        if answer == row["answer"]:
            counts[0] += 1
        else:
            differences.append(Difference(index, question.img_id, question.question, answer, row["answer"]))
    interval = rate_interval(np.array(list(by_image.values()), dtype=np.float64))
    return Comparison(len(given), len(asked), len(given) - len(differences), interval, device, tuple(differences))


def _read(path: Path) -> tuple[dict[int, dict[str, str]], str]:
    """Rows by their index, in its order, and the device that the file names."""
    content = parse_json(read_text(path, _DO), path, _DO)
    rows = content.get("predictions") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows:
        raise GiBenchError("no list of predictions", where=path, do=_DO)
    found: dict[int, dict[str, str]] = {}
    for number, row in enumerate(rows):
        index = _checked(row, f"{path}, prediction {number}")
        if index in found:
            raise GiBenchError(f"the index {index} is there twice", where=f"{path}, prediction {number}", do=_DO)
        found[index] = row
    device = content.get("gpu_name")
    return dict(sorted(found.items())), device.strip()[:60] if isinstance(device, str) else ""


def _checked(row: Any, where: str) -> int:
    """The index of a row that has all that is compared."""
    if not isinstance(row, dict):
        raise GiBenchError("not an object", where=where, do=_DO)
    index = row.get("index")
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise GiBenchError("'index' is no row's number", where=where, do=_DO)
    wrong = next((key for key in ("img_id", "question", "answer") if not isinstance(row.get(key), str)), None)
    if wrong is not None:
        raise GiBenchError(f"{wrong!r} is missing or no text", where=where, do=_DO)
    return index


__all__ = ["Comparison", "Difference", "compare_answers"]
