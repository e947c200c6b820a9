"""The folder of subtask 2: rows, pictures of regions, who submits, and how it was made."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import GiBenchError, UnfitRunError
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import Prediction, Question
from gi_bench.harness.standalone import ScriptRequest
from gi_bench.harness.store import Run
from gi_bench.submissions.agreement import Rows, check_same_model, unchecked, with_answers_of
from gi_bench.submissions.calibration import Calibration, Method, calibrate
from gi_bench.submissions.client import CLIENT
from gi_bench.submissions.editions import Edition, Task2
from gi_bench.submissions.folder import check_replaceable, write_folder
from gi_bench.submissions.info import Team
from gi_bench.submissions.pictures import images_of
from gi_bench.submissions.readme import Made, readme
from gi_bench.submissions.rows import asked_rows, first_of
from gi_bench.submissions.template import info_block, notice, read_template
from gi_bench.submissions.visuals import visuals_of
from gi_bench.submissions.wanted import Wanted, Weights

_KEYS = (
    "val_id",
    "img_id",
    "question",
    "answer",
    "textual_explanation",
    "visual_explanation",
    "confidence_score",
)
_KEPT = "The values of SUBMISSION_INFO are the team's; everything else is theirs and was not changed."


@dataclass(frozen=True)
class Explained(Wanted):
    """What a submission of subtask 2 is made of, beside the run.

    Attributes:
        task1: the run that is submitted to subtask 1; None if it is not at hand.
        calibrate_on: a finished run of the same model on rows that are not submitted; None to pass confidences on.
        calibration: how the confidence is calibrated.
        data: folder with the images; None to look for them.
    """

    task1: Run | None = None
    calibrate_on: Run | None = None
    calibration: Method = "isotonic"
    data: Path | None = None


def write(run: Run, folder: Path, wanted: Explained) -> list[str]:
    """Write the whole folder, or nothing; lines for the user.

    Raises:
        UnfitRunError: the run is not one of the edition's rows, all answered and explained; a run beside it is of
            another model or of other rows.
        GiBenchError: the folder is not ours or another submission's, the client is missing, an image is wrong.
    """
    edition = wanted.edition
    check_replaceable(folder, ("task2", edition.name))
    table = edition.rows_of("task2")
    assert isinstance(table, Task2)
    _check_keys(edition, table)
    script = script_text(edition, table, wanted.team)
    rows = explained_rows(run, edition, table)
    agreement, notes = unchecked(edition, len(rows)), []
    if wanted.task1 is not None:
        notes += check_same_model(run, wanted.task1, "--task1")
        rows, agreement = with_answers_of(rows, wanted.task1, edition)
    rows, calibration = _with_confidence(run, rows, wanted)
    images = images_of(run, table, wanted.data)
    lines, files = [], {}
    for val_id, (question, prediction) in enumerate(rows):
        shown = visuals_of(val_id, prediction, table.visuals, images)
        files.update(shown.files)
        lines.append(_json_line(_row(table, val_id, question, prediction, shown.entries)))
    made = Made(run, edition, rows, agreement, calibration, images.line(), bool(images.whole + images.scaled),
                _licences(run, wanted.weights), _options(wanted), wanted.repository)  # fmt: skip
    content: dict[str, bytes | Path] = {
        table.script: script.encode("utf-8"),
        table.lines: "".join(f"{line}\n" for line in lines).encode("utf-8"),
        "README.md": readme(made).encode("utf-8"),
        **files,
    }
    record = {
        "task": "task2",
        "edition": edition.name,
        "run": run.manifest.recipe_digest,
        "suite": run.suite,
        "repository": wanted.repository,
        "calibration": None if calibration is None else calibration.record(),
    }
    write_folder(folder, content, record)
    return list(dict.fromkeys(_said(folder, made, [*notes, *images.notes])))


def explained_rows(run: Run, edition: Edition, table: Task2) -> Rows:
    """The edition's rows, all answered and explained, each confidence a number in [0, 1].

    Raises:
        UnfitRunError: the run is of other rows or cut short; an answer or an explanation is missing; a confidence is no
            number in [0, 1].
    """
    rows = asked_rows(run, edition, table)
    empty = [q.index for q, p in rows if p.explanation is None or not p.explanation.strip()]
    if empty:
        raise UnfitRunError(
            f"{len(empty)} of {len(rows)} rows have no explanation (rows {first_of(empty)})",
            where=run.path,
            do="run a variant that explains, with --tasks answer,ground,explain",
        )
    return [(question, _checked(run, prediction)) for question, prediction in rows]


def _checked(run: Run, prediction: Prediction) -> Prediction:
    value = prediction.confidence
    if value is None:
        return prediction
    # Sums of probabilities may lie above 1 by rounding.
    if not math.isfinite(value) or not 0 <= value <= 1.0001:
        raise UnfitRunError(f"confidence {value} of row {prediction.index}", where=run.path,
                            do="it must be in [0, 1]: mend the model")  # fmt: skip
    return replace(prediction, confidence=min(1.0, float(value)))


def _with_confidence(run: Run, rows: Rows, wanted: Explained) -> tuple[Rows, Calibration | None]:
    # Those of subtask 1 have not been looked at yet.
    rows = [(question, _checked(run, prediction)) for question, prediction in rows]
    if wanted.calibrate_on is None:
        return rows, None
    import numpy as np

    found = calibrate(run, rows, wanted.calibrate_on, wanted.calibration, wanted.edition, wanted.task1)
    calibrated: Rows = []
    for question, prediction in rows:
        value = prediction.confidence
        if value is not None:
            value = float(found.apply(np.array([value], dtype=np.float64))[0])
        calibrated.append((question, replace(prediction, confidence=value)))
    return calibrated, found


def _row(
    table: Task2, val_id: int, question: Question, prediction: Prediction, entries: list[dict[str, Any]]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "val_id": val_id,
        "img_id": question.img_id,
        "question": question.question,
        "answer": prediction.answer,
        "textual_explanation": prediction.explanation,
        "visual_explanation": entries,
    }
    if prediction.confidence is not None:
        found["confidence_score"] = round(prediction.confidence, 4)
    asked = {*table.required, *table.optional}
    return {key: value for key, value in found.items() if key in asked}


def _json_line(row: dict[str, Any]) -> str:
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    # Line ends to some readers, inside of a text: escaped, they are the same text.
    for character in ("\x85", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def script_text(edition: Edition, table: Task2, team: Team) -> str:
    """``SUBMISSION_INFO``: the organisers' template with the team's values, or a file of ours where they have none.

    Raises:
        GiBenchError: the client is not installed, or its template has other fields.
    """
    if not table.template:
        title = " ".join(edition.title.split())
        return f"# Who submits to {title}, subtask 2; written by gi-bench.\n" + info_block(team.as_dict())
    text = read_template(edition, table.template)
    return notice(edition, table.template, _KEPT) + _filled(text, team.as_dict(), table.template)


def _filled(text: str, info: Mapping[str, Any], where: str) -> str:
    """A script whose dictionary ``SUBMISSION_INFO`` has other values; comments and all else stay as they were."""
    do = f"use {CLIENT} 0.15.7, or update gi-bench"
    lines = text.encode("utf-8").splitlines(keepends=True)  # positions in the tree count bytes
    values = dict(_values(text, where, do))
    if set(values) != set(info):
        raise GiBenchError(f"the template's SUBMISSION_INFO has the fields {', '.join(values)}", where=where, do=do)
    for key, node in sorted(values.items(), key=lambda item: -item[1].lineno):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset or 0 :]
        lines[first : last + 1] = [before + repr(info[key]).encode("utf-8") + after]
    return b"".join(lines).decode("utf-8")


def _values(text: str, where: str, do: str) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and any(getattr(one, "id", None) == "SUBMISSION_INFO" for one in node.targets):
            if not isinstance(node.value, ast.Dict):
                break
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                yield str(getattr(key, "value", key)), value
            return
    raise GiBenchError("the template has no SUBMISSION_INFO", where=where, do=do)


def _check_keys(edition: Edition, table: Task2) -> None:
    unknown = [key for key in table.required if key not in _KEYS]
    if unknown:
        raise GiBenchError(f"{edition.title} wants {', '.join(unknown)} in every row, which no run has",
                           where=edition.name, do="choose another --edition")  # fmt: skip


def _options(wanted: Explained) -> list[str]:
    """The options that were given, without paths of this machine."""
    found = []
    if wanted.task1 is not None:
        found += ["--task1", wanted.task1.path.resolve().name]
    if wanted.calibrate_on is not None:
        found += ["--calibrate-on", wanted.calibrate_on.path.resolve().name, "--calibration", wanted.calibration]
    if wanted.data is not None:
        found += ["--data", wanted.data.resolve().name]
    return found


def _licences(run: Run, weights: Weights) -> dict[str, str]:
    """Licences of what the model is made of, as its own entry says; empty where it is not known here."""
    if weights.licence:
        return {"weights": weights.licence}
    entry = registered("gi_bench.models").get(run.variant)
    if entry is None or entry.script is None:
        return {}
    try:
        parts = entry.script(ScriptRequest(run.manifest, "", weights.checkpoint, weights.backbone)).parts
    except GiBenchError:  # the weights are not on this machine, or are others
        return {}
    return {f"{part.name} {part.source}".strip(): part.licence for part in parts}


def _said(folder: Path, made: Made, notes: list[str]) -> Iterator[str]:
    from gi_bench.submissions.readme import confidence_lines

    regions = [prediction.regions for _, prediction in made.rows]
    shown = sum(any(region.area for region in one or ()) for one in regions)
    yield f"{made.edition.title}, subtask 2: {folder}"
    yield f"{len(made.rows):,} rows, {shown:,} with a region; {made.overlays}"
    values = {prediction.confidence for _, prediction in made.rows}
    if len(values) == 1 and None not in values:
        yield f"note: every row has the confidence {values.pop():.4f}, which says nothing"
    if all(one is None for one in regions):
        yield "note: the run has no regions (--tasks answer,ground,explain): visual_explanation is empty in every row"
    if not made.licences:
        yield "note: the licences of the weights are not known here: give --license, or state them in README.md"
    for line in [*made.agreement.lines(), *confidence_lines(made)[1:], *notes, *made.edition.notes]:
        yield f"note: {line}"
    yield f"check it:  gi-bench submit check {folder}"
    yield f"push it:   gi-bench submit push {folder}"


__all__ = ["Explained", "explained_rows", "script_text", "write"]
