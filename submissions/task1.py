"""The repository of subtask 1: the organisers' script with the run's model in it, weights, card and predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import Prediction, Question
from gi_bench.harness.standalone import Script, ScriptRequest
from gi_bench.harness.store import Run
from gi_bench.submissions.card import model_card
from gi_bench.submissions.editions import Task1
from gi_bench.submissions.folder import check_replaceable, write_folder
from gi_bench.submissions.info import Team
from gi_bench.submissions.rows import asked_rows
from gi_bench.submissions.template import BRING, info_block, notice, read_template, sections
from gi_bench.submissions.wanted import Wanted

PUBLIC_SCORES = ("bleu", "rouge1", "rouge2", "rougeL", "meteor")
REQUIREMENTS = "requirements.txt"
# Two places in the script of a model that gi-bench cannot write out; they stop it until somebody fills them.
LOADING = f"{BRING} (1 of 2)"
ANSWERING = f"{BRING} (2 of 2)"
_KEPT = "What stands outside the two edit sections is theirs and was not changed."


def write(run: Run, folder: Path, wanted: Wanted) -> list[str]:
    """Write the whole repository; lines for the user.

    Raises:
        UnfitRunError: the run is not one of the edition's rows, all answered.
        GiBenchError: the folder is not ours, the client is missing, weights are missing or others than the run's.
    """
    check_replaceable(folder, ("task1", wanted.edition.name))
    table = wanted.edition.rows_of("task1")
    assert isinstance(table, Task1)
    rows = asked_rows(run, wanted.edition, table)
    predictions = predictions_json(run, rows, wanted.team, table.digits)
    template = read_template(wanted.edition, table.template)
    script = _script(run, wanted)
    text = script_text(template, wanted, table, script, run)
    _check_patches(text, table)
    files: dict[str, bytes | Path] = {
        table.script: text.encode("utf-8"),
        REQUIREMENTS: requirements(run, script).encode("utf-8"),
        table.predictions: json.dumps(predictions, indent=4, allow_nan=False).encode("utf-8"),
        "README.md": _card(run, wanted, table, script).encode("utf-8"),
        **(script.files if script is not None else {}),
    }
    record = {"task": "task1", "edition": wanted.edition.name, "run": run.manifest.recipe_digest, "suite": run.suite,
              "repository": wanted.repository}  # fmt: skip
    write_folder(folder, files, record)
    return list(_lines(run, folder, wanted, script))


def _card(run: Run, wanted: Wanted, table: Task1, script: Script | None) -> str:
    return model_card(run, wanted.edition, table, wanted.repository, script, wanted.weights.licence)


def predictions_json(run: Run, rows: list[tuple[Question, Prediction]], team: Team, digits: int) -> dict[str, Any]:
    """Content of ``predictions_1.json``, key for key as the organisers' template writes it.

    Raises:
        RunError: the run has no scores.
    """
    manifest = run.manifest
    seconds = sum(timing.seconds.get(stage, 0.0) for timing in run.timings for stage in ("load", "encode", "answer"))
    return {
        "submission_info": team.as_dict(),
        "public_scores": _public_scores(run, digits),
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


def _public_scores(run: Run, digits: int) -> dict[str, float]:
    found = {}
    for name in PUBLIC_SCORES:
        score = run.scores.find(name)
        if score is not None and score.value is not None:
            found[name] = round(score.value, digits)
    return found


def _script(run: Run, wanted: Wanted) -> Script | None:
    """The run's model in a file of its own; None where it cannot say how."""
    entry = registered("gi_bench.models").get(run.variant)
    if entry is None or entry.script is None:
        return None
    request = ScriptRequest(run.manifest, wanted.repository, wanted.weights.checkpoint, wanted.weights.backbone)
    found: Script = entry.script(request)
    return found


def script_text(template: str, wanted: Wanted, table: Task1, script: Script | None, run: Run) -> str:
    """The organisers' template with its two sections filled."""
    cut = sections(template, table.template)
    info = info_block(wanted.team.as_dict())
    if script is None:
        first, second = _to_bring(run, info, cut.takes_batches)
    else:
        first, second = _loading(script, info, run), _BATCHES if cut.takes_batches else _ONE_BY_ONE
    indented = "".join(f"{cut.indent}{line}\n" if line else "\n" for line in second.splitlines())
    head = notice(wanted.edition, table.template, _KEPT)
    return "".join([head, cut.before, first, cut.between, indented, cut.after])


def _loading(script: Script, info: str, run: Run) -> str:
    settings = "".join(f"{name} = {value!r}\n" for name, value in script.settings.items())
    return (
        f"\n{info}\n# The model of the run {run.variant} on {run.suite}, recipe {run.manifest.recipe_digest[:16]}.\n"
        f"{settings}\n{script.code.strip()}\n\n\nmodel = load_model(device)\n"
        f'BATCH_SIZE = {script.batch_size} if device == "cuda" else 1\nanswers_ahead = {{}}\n'
    )


_BATCHES = """\
answers = model.answer(
    [e["question"] for e in exs], [e["image"].convert("RGB") for e in exs], [e["img_id"] for e in exs]
)
"""
_ONE_BY_ONE = """\
# As in the run, BATCH_SIZE rows at a time: this one and the next, whose turns find their answers made.
if idx not in answers_ahead:
    if BATCH_SIZE == 1:
        rows_ahead = [{"question": question, "image": image, "img_id": ex["img_id"]}]
    else:
        rows_ahead = [val_dataset[i] for i in range(idx, min(idx + BATCH_SIZE, len(val_dataset)))]
    made = model.answer(
        [row["question"] for row in rows_ahead],
        [row["image"].convert("RGB") for row in rows_ahead],
        [row["img_id"] for row in rows_ahead],
    )
    answers_ahead.update(zip(range(idx, idx + len(made)), made))
answer = answers_ahead.pop(idx)
"""


def _to_bring(run: Run, info: str, batched: bool) -> tuple[str, str]:
    """Both sections for a model that gi-bench cannot write out, with the two places marked."""
    name = run.variant.encode("ascii", "replace").decode()
    first = (
        f"\n{info}\n# >>> {LOADING}: import what it needs and load it here, as for the run of {name!r}.\n"
        f"raise SystemExit({LOADING + ': load it here'!r})\n" + ("BATCH_SIZE = 1\n" if batched else "")
    )
    given = "exs (rows with question, image, img_id)" if batched else "question and image"
    made = "answers = []" if batched else 'answer = ""'
    second = (
        f"# >>> {ANSWERING}: make {made.split(' ')[0]} from {given}.\n"
        f"raise SystemExit({ANSWERING + ': answer here'!r})\n{made}\n"
    )
    return first, second


def requirements(run: Run, script: Script | None) -> str:
    """``requirements.txt``: what the script needs, in the versions that the run was made with."""
    made_with = {name.replace("_", "-"): version for name, version in run.manifest.packages.items()}
    lines = [f"# Versions of the run {run.manifest.recipe_digest[:16]}; the organisers' client installs its own first."]
    for name in script.packages if script is not None else ():
        version = made_with.get(name.replace("_", "-"), "")
        # A local part (+cpu, +cu128) names a build that no index has.
        lines.append(f"{name}=={version.partition('+')[0]}" if version else name)
    if script is None:
        lines.append("# What your model needs goes here.")
    return "\n".join(lines) + "\n"


def _check_patches(text: str, table: Task1) -> None:
    """The organisers must be able to change the script as they do."""
    import ast

    for patch in table.patches:
        patched, missing = patch.apply(text)
        if missing:
            raise GiBenchError(
                f"the patch {patch.name!r} of the edition does not fit the client's template: no {missing[0]!r}",
                where=table.script,
                do="update gi-bench or medvqa",
            )
        ast.parse(patched)


def _lines(run: Run, folder: Path, wanted: Wanted, script: Script | None) -> Mapping[str, None]:
    edition = wanted.edition
    lines = [f"{edition.title}, subtask 1: {folder}"]
    if script is None:
        lines.append(
            f"{run.variant} cannot be written out: fill the two places marked {BRING} in the script, and "
            "add what it needs to requirements.txt and to the repository"
        )
    lines += [f"note: {note}" for note in (*(script.notes if script is not None else ()), *edition.notes)]
    if not wanted.weights.licence and not any(part.licence for part in (script.parts if script is not None else ())):
        lines.append("note: no card states a licence of these weights: give yours with --license")
    if run.manifest.peak_memory_mb is None:
        lines.append("note: the run does not say how much memory it took: memory is 0 in the file")
    lines += [
        f"check it:  gi-bench submit check {folder}",
        f"push it:   gi-bench submit push {folder} --repo {wanted.repository}",
    ]
    return dict.fromkeys(lines)


__all__ = ["PUBLIC_SCORES", "predictions_json", "requirements", "script_text", "write"]
