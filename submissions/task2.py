"""``submission_task2.jsonl`` and ``visuals/`` of subtask 2.

Visual explanations are the regions that the model showed for the answer: a mask as a picture and its box. The
organisers do not say in which unit boxes are; ours are pixels of the original image, and the description says so.
"""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gi_bench.harness.errors import RunError, UnfitRunError
from gi_bench.harness.files import write_bytes
from gi_bench.harness.locks import holding
from gi_bench.harness.outputs import check_output, json_with, lines_with
from gi_bench.harness.placing import ENDING, place_folder, remove_folder
from gi_bench.harness.regions import united
from gi_bench.harness.schema import Prediction, Question, Region
from gi_bench.harness.store import Run
from gi_bench.submissions.info import Team, remark_for
from gi_bench.submissions.task1 import answered_rows

FILE_NAME = "submission_task2.jsonl"
VISUALS = "visuals"
INFO_NAME = "submission_info.json"


def explained_rows(run: Run) -> list[tuple[Question, Prediction]]:
    """Rows of subtask 2: the run's questions that want an explanation, all answered and explained.

    Raises:
        UnfitRunError: there are none, or an explanation is missing.
    """
    rows = [(q, p) for q, p in answered_rows(run) if q.wants_explanation]
    if not rows:
        raise UnfitRunError("the suite has no rows of subtask 2", where=run.suite, do="use medico2025-task2 or phantom")
    empty = [q.index for q, p in rows if p.explanation is None or not p.explanation.strip()]
    if empty:
        raise UnfitRunError(
            f"{len(empty)} of {len(rows)} rows have no explanation (first: row {empty[0]})",
            where=run.path,
            do="run a variant that explains, with --tasks answer,ground,explain",
        )
    return rows


def _visuals(val_id: int, regions: tuple[Region, ...]) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Entries of ``visual_explanation`` and the files they point to, by relative path."""
    shown = [region for region in regions if region.area]
    if not shown:
        return [], {}
    from PIL import Image

    height, width = shown[0].height, shown[0].width
    mask = united(shown, height, width)
    stream = io.BytesIO()
    Image.fromarray((mask * 255).astype(np.uint8), mode="L").save(stream, format="PNG", optimize=True)
    path = f"{VISUALS}/{val_id:05d}.png"  # from the row's number: an image id never becomes a path
    labels = ", ".join(sorted({region.label for region in shown}))
    entries: list[dict[str, Any]] = [
        {"type": "segmentation_mask", "data": path, "description": f"mask of {labels}, white on black"},
        {
            "type": "bounding_box",
            "data": [list(box) for region in shown if (box := region.box()) is not None],
            "description": f"{labels}: x1, y1, x2, y2 in pixels of the {width} x {height} image",
        },
    ]
    return entries, {path: stream.getvalue()}


def build(run: Run) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Rows of the file and the pictures they point to.

    Raises:
        UnfitRunError: answers or explanations are missing, or a confidence is not a number in [0, 1].
    """
    rows, files = [], {}
    for val_id, (question, prediction) in enumerate(explained_rows(run)):
        entries, pictures = _visuals(val_id, prediction.regions or ())
        files.update(pictures)
        row: dict[str, Any] = {
            "val_id": val_id,
            "img_id": question.img_id,
            "question": question.question,
            "answer": prediction.answer,
            "textual_explanation": prediction.explanation,
            "visual_explanation": entries,
        }
        confidence = prediction.confidence
        if confidence is not None:
            if not math.isfinite(confidence) or not 0 <= confidence <= 1.0001:
                raise UnfitRunError(
                    f"confidence {confidence} of row {question.index}", where=run.path, do="it must be in [0, 1]"
                )
            row["confidence_score"] = round(min(1.0, float(confidence)), 4)
        rows.append(row)
    return rows, files


def write(run: Run, folder: Path, team: Team) -> Path:
    """Write rows, pictures and the info block into a folder; give the path of the rows.

    The pictures are complete before the rows that name them appear.

    Raises:
        UnfitRunError: answers or explanations are missing.
        GiBenchError: the folder holds files or pictures that gi-bench did not write.
        RunError: the folder cannot be written.
    """
    rows, files = build(run)
    path, info = folder / FILE_NAME, folder / INFO_NAME
    with holding(folder):
        check_output(path, lines_with("val_id", "img_id", "question", "visual_explanation"))
        check_output(info, json_with("Participant_Names", "Team_Name"))
        _check_pictures(folder, files)
        fresh = folder / f".{VISUALS}.new{ENDING}"
        shutil.rmtree(fresh, ignore_errors=True)
        for relative, content in files.items():
            write_bytes(fresh / Path(relative).name, content)
        _place(fresh if files else None, folder / VISUALS)
        told = json.dumps(team.as_dict(remark_for(run, "task2"), *run.check_files()), indent=4, ensure_ascii=False)
        write_bytes(info, told.encode("utf-8") + b"\n")
        lines = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        write_bytes(path, lines.encode("utf-8"))
    return path


def _place(fresh: Path | None, visuals: Path) -> None:
    """Put new pictures in the place of those that are there, or take those away where there are no new ones."""
    try:
        if fresh is None:
            remove_folder(visuals)
        else:
            place_folder(fresh, visuals)
    except OSError as error:
        raise RunError(
            f"cannot write: {error.strerror}", where=visuals, do="make room or fix the folder, then submit again"
        ) from error


def _check_pictures(folder: Path, files: Mapping[str, bytes]) -> None:
    """Refuse to replace pictures that are not ours: named by the rows beside them, or those about to be written.

    Raises:
        RunError: something else is there.
    """
    visuals, named, strange = folder / VISUALS, _named_pictures(folder / FILE_NAME), ""
    if visuals.is_symlink() or visuals.is_file():
        strange = VISUALS
    for one in sorted(visuals.iterdir()) if visuals.is_dir() and not strange else ():
        relative = f"{VISUALS}/{one.name}"
        is_plain = one.is_file() and not one.is_symlink()
        if not is_plain or (relative not in named and files.get(relative) != one.read_bytes()):
            strange = relative
            break
    if strange:
        raise RunError(
            f"{VISUALS} holds what gi-bench did not write, which would be lost: {strange}",
            where=folder,
            do="choose another --output, or move it away",
        )


def _named_pictures(path: Path) -> set[str]:
    """The pictures that the rows of an earlier submission point to; none where there is no such file."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {one["data"] for row in rows for one in row["visual_explanation"] if one["type"] == "segmentation_mask"}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()
