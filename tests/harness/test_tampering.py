"""A run whose files are not those that were written: named by every command, or accepted and said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness import store
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.errors import ChangedError, RunError
from gi_bench.harness.schema import Prediction
from gi_bench.harness.tables import records_of, write_records
from tests.command_line import CommandLine
from tests.run_folders import questions, write_run


def _write(folder: Path) -> Path:
    """A run of two parts with the digests that the engine writes."""
    rows = questions(8)
    write_run(folder, rows=rows, shown=[])
    run = store.open_run(folder)
    predictions = list(run.predictions.values())
    parts = {}
    for number in (0, 1):
        name = f"part-{number:05d}.parquet"
        parts[name] = store.write_part(folder / "predictions" / name, predictions[4 * number : 4 * number + 4])
    content = json.loads((folder / "manifest.json").read_text())
    content |= {"parts": parts, "references": store.digests_of(store.reference_files(rows, []))}
    content["recipe_digest"] = run.recipe.digest()
    (folder / "manifest.json").write_text(json.dumps(content))
    score_run(folder, resamples=0)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("made")
    _write(parent / "suite" / "run")
    return parent


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "suite" / "run"


def _edit_predictions(run: Path) -> None:
    path = run / "predictions" / "part-00001.parquet"
    rows = store.read_predictions(path)
    references = {q.index: q.answer for q in store.open_run(run).questions}
    changed = [Prediction("question", row.index, row.img_id, references[row.index]) for row in rows]
    write_records(path, changed, Prediction)


def _edit_references(run: Path) -> None:
    from dataclasses import replace

    from gi_bench.harness.schema import Question
    from gi_bench.harness.tables import read_stored

    path = run / "questions.parquet"
    rows = records_of(read_stored(path), Question)
    write_records(path, [replace(row, answer="no polyp") for row in rows], Question)


def _edit_scores(run: Path) -> None:
    path = run / "scores.json"
    content = json.loads(path.read_text())
    for score in content["scores"]:
        if score["metric"] == "bleu" and score["value"] is not None:
            score["value"] = 0.99
    path.write_text(json.dumps(content))


def _scores_of_another(run: Path) -> None:
    other = write_run(run.parent / "other", rows=questions(8), shown=[], answer=lambda q: "another")
    score_run(other, resamples=0)
    shutil.copy(other / "scores.json", run / "scores.json")
    shutil.rmtree(other)


PARTS = "predictions/part-0000"
# What somebody does to a run, the file that the message names, and whether scoring again mends it.
TAMPERED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "edited predictions": (_edit_predictions, "part-00001.parquet"),
    "a missing part": (lambda run: (run / "predictions" / "part-00000.parquet").unlink(), "part-00000.parquet"),
    "a part copied over another": (
        lambda run: shutil.copy(run / f"{PARTS}0.parquet", run / f"{PARTS}1.parquet"), "part-00001.parquet",
    ),
    "a part more": (
        lambda run: shutil.copy(run / f"{PARTS}0.parquet", run / f"{PARTS}7.parquet"), "part-00007.parquet",
    ),
    "edited references": (_edit_references, "questions.parquet"),
    "edited scores": (_edit_scores, "scores.json"),
    "scores of another run": (_scores_of_another, "scores.json"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_a_changed_file_is_named_and_accepted_only_when_that_is_said(
    gi_bench: CommandLine, run: Path, what: str
) -> None:
    tamper, name = TAMPERED[what]
    other = Path(shutil.copytree(run, run.parent / "untouched"))
    tamper(run)
    commands: dict[str, tuple[object, ...]] = {
        "compare": ("compare", other, run, "--resamples", 100),
        "report": ("report", other, run),
        "verify": ("verify", run, "--summary"),
        "bounds": ("bounds", run),
    }
    if name != "scores.json":
        commands["score"] = ("score", run, "--resamples", 0)
    else:
        del commands["bounds"]
    for verb, command in commands.items():
        done = gi_bench(*command)
        assert done.returncode == 2, (verb, done.stdout, done.stderr)
        (line,) = done.stderr.strip().splitlines()
        assert name in line or verb == "bounds", (verb, line)
    del commands["verify"]  # which then finds the numbers that differ
    commands.pop("bounds", None)
    page = run.parent / "report.html"
    if what == "edited references":
        changed_too = Path(shutil.copytree(run, run.parent / "changed-too"))
        commands["compare"] = ("compare", changed_too, run, "--resamples", 100)
    for verb, command in commands.items():
        done = gi_bench(*command, "--accept-changed")
        assert done.returncode == 0, (verb, done.stderr)
        shown = page.read_text(encoding="utf-8") if verb == "report" else done.stdout
        assert "accepted with --accept-changed" in " ".join(shown.split()), verb
        assert name in shown, verb
    done = gi_bench("verify", run, "--summary", "--accept-changed")
    assert done.returncode in (0, 1)
    assert "accepted with --accept-changed" in " ".join(done.stdout.split())


def test_what_was_accepted_is_not_taken_for_granted_later(gi_bench: CommandLine, run: Path) -> None:
    _edit_predictions(run)
    assert gi_bench("score", run, "--resamples", 0, "--accept-changed").returncode == 0
    assert gi_bench("score", run, "--resamples", 0).returncode == 2, "one command's word holds for no other"
    with pytest.raises(ChangedError):
        _ = store.open_run(run).predictions
    assert len(store.open_run(run, accept_changed=True).predictions) == 8
    notes = json.loads((run / "scores.json").read_text())["notes"]
    assert any("part-00001.parquet" in note and "accepted" in note for note in notes), "the scores say it for good"


def test_scores_are_mended_by_scoring_again(gi_bench: CommandLine, run: Path) -> None:
    before = (run / "scores.json").read_bytes()
    _edit_scores(run)
    assert "gi-bench score RUN" in gi_bench("report", run).stderr
    assert gi_bench("score", run, "--resamples", 0).returncode == 0
    assert (run / "scores.json").read_bytes() == before
    assert gi_bench("report", run).returncode == 0


def test_scores_of_before_are_read_and_said(gi_bench: CommandLine, run: Path) -> None:
    path = run / "scores.json"
    content = json.loads(path.read_text())
    for key in ("digest", "made_from"):
        del content[key]
    path.write_text(json.dumps(content))
    assert gi_bench("report", run).returncode == 0
    assert "holds no digest" in (run.parent / "report.html").read_text(encoding="utf-8")


def test_a_row_that_is_predicted_twice_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rows=questions(2), shown=[])
    shutil.copy(run / "predictions" / "part-00000.parquet", run / "predictions" / "part-00001.parquet")
    with pytest.raises(RunError, match="a second prediction of question 0"):
        _ = store.open_run(run).predictions


def test_an_edited_study_is_refused(gi_bench: CommandLine, tmp_path: Path) -> None:
    from gi_bench.harness.analysis.study import write_study
    from tests.reports.study_pages import made_study

    path = write_study(tmp_path, made_study())
    assert gi_bench("report", tmp_path).returncode == 0
    content = json.loads(path.read_text())
    content["question"]["claim"] = "everything is better"
    path.write_text(json.dumps(content))
    done = gi_bench("report", tmp_path)
    assert done.returncode == 2
    assert "study.json" in done.stderr
    assert gi_bench("report", tmp_path, "--accept-changed").returncode == 0
    assert "accepted with --accept-changed" in (tmp_path / "study.html").read_text(encoding="utf-8")
