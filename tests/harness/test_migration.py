"""Run folders that the code of schema version 2 wrote: read, scored, compared, shown, submitted, and gone on with.

``tests/data/run-v2`` holds them as they were written (JSON without its indentation): two runs of
``run -m blind_question_prior -m multitask_r128 --limit 6 -s phantom/validation``, a scripted model's run that broke off
after the first of its parts, and predictions out of a file.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness import files, store
from gi_bench.harness.analysis.comparing import compare_runs
from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.engine import entries
from gi_bench.harness.engine import run as local
from gi_bench.harness.engine.plan import make_plan
from gi_bench.harness.errors import RunError
from gi_bench.harness.schema import SCHEMA_VERSION, Reply, Score, Scores
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from gi_bench.reports.comparison import write_report
from tests.scripted import ScriptedModel, entry

STORED = Path(__file__).parents[1] / "data" / "run-v2"
BLIND, MULTITASK, BROKEN, IMPORTED = (
    next(STORED.glob(pattern))
    for pattern in (
        "phantom-validation/blind_question_prior-*",
        "phantom-validation/multitask_r128-*",
        "broken/*/scripted-*",
        "imported/*/mine-*",
    )
)


def _copied(folder: Path, parent: Path) -> Path:
    return Path(shutil.copytree(folder, parent / folder.parent.name / folder.name))


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("folder", [BLIND, MULTITASK, BROKEN, IMPORTED], ids=lambda folder: folder.name)
def test_everything_of_an_old_folder_is_read_and_nothing_is_written(folder: Path) -> None:
    before = _digests(folder)
    content = files.read_json(folder / "manifest.json")
    assert content["schema_version"] == 2
    run = store.open_run(folder)
    manifest = run.manifest
    assert manifest.schema_version == SCHEMA_VERSION
    assert manifest.recipe.digest() == manifest.recipe_digest == content["recipe_digest"]
    assert manifest.complete is content["complete"]
    assert manifest.peak_memory_mb == content.get("peak_memory_mb")
    assert manifest.packages == content["packages"]
    assert (len(run.questions), len(run.phrases)) == (content["counts"]["questions"], content["counts"]["phrases"])
    assert all(q.options == q.also_accepted == () for q in run.questions)
    assert run.predictions
    assert len(run.pictures) == {BLIND: 1, MULTITASK: 1, BROKEN: 3, IMPORTED: 0}[folder]
    assert _digests(folder) == before


def test_what_was_kept_of_replies_to_phrases_is_their_reply() -> None:
    shown = [p for p in store.open_run(MULTITASK).predictions.values() if p.kind == "phrase"]
    assert {p.ground_reply for p in shown} == {Reply(state="stated")}
    said = [p for p in store.open_run(BLIND).predictions.values() if p.kind == "question"]
    assert all(p.answer and p.answer_reply is None for p in said)


@pytest.mark.parametrize("folder", [BLIND, MULTITASK], ids=lambda folder: folder.name)
def test_an_old_run_scores_to_the_scores_that_it_had(folder: Path, tmp_path: Path) -> None:
    before = store.open_run(folder).scores
    after = score_run(_copied(folder, tmp_path))
    versions = {info.name: info.version for info in after.metrics}
    same = {info.name for info in before.metrics if versions.get(info.name) == info.version}
    assert len(same) > 10
    pairs = list(zip(*([s for s in one.scores if s.metric in same] for one in (after, before)), strict=True))
    assert pairs
    for found, stored in pairs:
        # exp and log differ in the last digit from processor to processor.
        assert _numbers_of(found) == pytest.approx(_numbers_of(stored), rel=1e-12, nan_ok=True)
        assert replace(found, **dict.fromkeys(_NUMBERS)) == replace(stored, **dict.fromkeys(_NUMBERS))
    assert after.states == before.states
    assert after.counts == before.counts


_NUMBERS = ("value", "interval_low", "interval_high")


def _numbers_of(score: Score) -> list[float]:
    return [math.nan if (value := getattr(score, name)) is None else value for name in _NUMBERS]


def test_old_runs_are_compared_and_shown(tmp_path: Path) -> None:
    folders = [_copied(folder, tmp_path) for folder in (BLIND, MULTITASK)]
    assert compare_runs(folders)
    page = write_report(folders, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "data:image/jpeg;base64," in page, "the pictures of the old folder"
    peak = store.open_run(folders[1]).manifest.peak_memory_mb
    assert peak == files.read_json(MULTITASK / "manifest.json")["peak_memory_mb"]


def numbers(scores: Scores) -> Scores:
    """Scores without the digests of the files that they were made from: parts of the version before are other files."""
    return replace(scores, made_from="", digest="")


def test_an_old_run_of_other_rows_that_broke_off_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _copied(BROKEN, tmp_path)
    first = folder / "predictions" / "part-00000.parquet"
    before = first.read_bytes()
    model = ScriptedModel()
    monkeypatch.setattr(local, "__version__", "0.1.0")
    monkeypatch.setattr(entries, "model_entry", lambda name: entry(model, name))
    monkeypatch.setattr(local, "make_plan", lambda s, t, limit: make_plan(s, t, limit=limit, rows_per_part=15))

    def run(output: Path) -> store.Run:
        suite, settings = PhantomSuite("validation", 3), local.Settings(device="cpu")
        return store.open_run(local.evaluate(["scripted"], suite, output=output, settings=settings)[0].path)

    found = run(tmp_path)
    # The rows are those of phantom's first version: what is there is kept, and nothing of it is gone on with.
    assert found.path != folder
    assert first.read_bytes() == before
    assert not store.open_run(folder).manifest.complete
    assert sum(model.encoded) == 3
    assert found.manifest.complete
    whole = run(tmp_path / "whole")
    assert numbers(found.scores) == numbers(whole.scores)
    assert found.questions == whole.questions
    assert [p.answer for p in found.predictions.values()] == [p.answer for p in whole.predictions.values()]


@pytest.mark.parametrize(
    ("version", "told"),
    [(1, "of schema version 1; .*reads 2 and 3"), (4, "of schema version 4; .*update gi-bench"), ("3", "version 3;"),
     (True, "version True"), (None, "without a schema version")],
)  # fmt: skip
def test_another_version_is_refused_in_one_line(version: Any, told: str, tmp_path: Path) -> None:
    folder = _copied(BLIND, tmp_path)
    content = files.read_json(folder / "manifest.json")
    files.write_json(folder / "manifest.json", {**content, "schema_version": version})
    with pytest.raises(RunError, match=told) as caught:
        store.open_run(folder)
    assert "\n" not in caught.value.line()
    assert "manifest.json" in caught.value.line()
