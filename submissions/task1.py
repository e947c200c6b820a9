"""``predictions_1.json`` of subtask 1, key for key as the organisers' template writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import UnfitRunError
from gi_bench.harness.files import write_bytes
from gi_bench.harness.locks import holding
from gi_bench.harness.outputs import check_output, json_with
from gi_bench.harness.schema import Prediction, Question
from gi_bench.harness.store import Run
from gi_bench.submissions.info import Team, remark_for

FILE_NAME = "predictions_1.json"
PUBLIC_SCORES = ("bleu", "rouge1", "rouge2", "rougeL", "meteor")


def answered_rows(run: Run) -> list[tuple[Question, Prediction]]:
    """The run's questions with their predictions, all answered.

    Raises:
        UnfitRunError: a prediction is missing or an answer is empty (the message names the rows), or the run is a
            ceiling.
    """
    if run.role == "ceiling":
        raise UnfitRunError(
            f"{run.variant} knows the references: it is no model, and no submission",
            where=run.path,
            do="submit the run of a model",
        )
    rows = [(question, run.predictions.get(("question", question.index))) for question in run.questions]
    if not rows:
        raise UnfitRunError("the run has no questions", where=run.path, do="run a suite of the challenge")
    empty = [q.index for q, p in rows if p is None or p.answer is None or not p.answer.strip()]
    if empty:
        shown = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        raise UnfitRunError(
            f"{len(empty)} of {len(rows)} questions have no answer (rows {shown})",
            where=run.path,
            do="finish the run, or use a model that answers every question",
        )
    return [(question, prediction) for question, prediction in rows if prediction is not None]


def build(run: Run, team: Team) -> dict[str, Any]:
    """Content of ``predictions_1.json``.

    Raises:
        UnfitRunError: answers are missing.
        RunError: the run has no scores.
    """
    rows = answered_rows(run)
    manifest = run.manifest
    seconds = sum(timing.seconds.get(stage, 0.0) for timing in run.timings for stage in ("load", "encode", "answer"))
    return {
        "submission_info": team.as_dict(remark_for(run, "task1"), *run.check_files()),
        "public_scores": _public_scores(run),
        "predictions": [
            {"index": index, "img_id": question.img_id, "question": question.question, "answer": prediction.answer}
            for index, (question, prediction) in enumerate(rows)
        ],
        "total_time": round(seconds, 4),
        "time_per_item": seconds / len(rows),
        "memory_used_mb": manifest.peak_memory_mb or 0,
        "model_memory_mb": manifest.model_memory_mb or 0,
        "gpu_name": manifest.hardware.gpu_name,
        "debug": {
            "packages": [{"name": name, "version": version} for name, version in manifest.packages.items()],
            "system": dict(manifest.system),
        },
    }


def _public_scores(run: Run) -> dict[str, float]:
    found = {}
    for name in PUBLIC_SCORES:
        score = run.scores.find(name)
        if score is not None and score.value is not None:
            found[name] = round(score.value, 4)
    return found


def write(run: Run, folder: Path, team: Team) -> Path:
    """Write the file into a folder and give its path.

    Raises:
        UnfitRunError: answers are missing.
        RunError: the run has no scores, or the folder cannot be written.
    """
    content = build(run, team)
    path = folder / FILE_NAME
    with holding(folder):
        check_output(path, json_with("submission_info", "predictions"))
        write_bytes(path, json.dumps(content, indent=4, allow_nan=False).encode("utf-8"))
    return path
