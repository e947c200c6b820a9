"""What is finished is not made again, and whatever changed is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gi_bench.harness import provenance
from gi_bench.harness.engine import entries
from gi_bench.harness.engine.run import Settings, evaluate
from gi_bench.harness.model import BuildContext, Model
from gi_bench.harness.registry import model_entry

FLOOR = "blind_constant"


class Counted:
    """Runs the floor on a few rows, and counts how often a model was built."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder, self.built, self.said = folder, 0, []
        entry = model_entry(FLOOR)

        def build(context: BuildContext) -> Model:
            self.built += 1
            return entry.build(context)

        build.__module__ = entry.build.__module__
        monkeypatch.setattr(entries, "model_entry", lambda name: replace(entry, build=build))

    def __call__(self, **settings: object) -> Path:
        self.said = []
        (done,) = evaluate(
            [FLOOR],
            "phantom/validation",
            train_suite="phantom/train-small",
            output=self.folder,
            settings=Settings(**{"limit": 10, "device": "cpu", **settings}),  # type: ignore[arg-type]
            say=self.said.append,
        )
        return done.path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counted:
    monkeypatch.setenv("GI_BENCH_CACHE", str(tmp_path / "cache"))
    return Counted(monkeypatch, tmp_path / "runs")


def _content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_finished_run_is_found_without_building_its_model(run: Counted) -> None:
    path = run()
    before = _content(path)
    assert (run(), run.built) == (path, 1)
    assert _content(path) == before
    assert run.said[-1] == f"{FLOOR}: finished before, scores up to date"


def test_a_run_that_is_found_has_the_path_of_one_that_is_made(
    run: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run.folder = Path("runs")
    path = run()
    assert not path.is_absolute()
    assert (run(), run.built) == (path, 1)


@pytest.mark.parametrize("what", ["predictions/part-00000.parquet", "manifest.json", "questions.parquet", "timings/x"])
def test_a_run_that_somebody_touched_is_looked_at_again(run: Counted, what: str) -> None:
    path = run()
    file = path / what
    content = file.read_bytes() if file.exists() else b""
    file.write_bytes(content + b" \n")
    if what.endswith(".parquet"):
        file.unlink()
    run()
    assert run.built == 2


@pytest.mark.parametrize("settings", [{"limit": 12}, {"seed": 1}, {"batch_size": 3}])
def test_another_request_is_another_run(run: Counted, settings: dict[str, object]) -> None:
    run()
    run(**settings)
    assert run.built == 2


def test_other_code_makes_the_run_again(run: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    monkeypatch.setattr(provenance, "code_digest", lambda: "another version")
    run()
    assert run.built == 2


def test_edited_scores_are_not_taken(run: Counted) -> None:
    path = run()
    scores = path / "scores.json"
    made = scores.read_bytes()
    content = json.loads(made)
    content["scores"][0]["value"] = 0.99
    scores.write_text(json.dumps(content, indent=1, sort_keys=True))
    run()
    assert scores.read_bytes() == made
    assert run.said[-1] == f"{FLOOR}: finished before, scores made again"
    assert run.built == 1


def test_without_a_cache_everything_is_made_again(run: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    path = run()
    before = (path / "scores.json").read_bytes()
    monkeypatch.setenv("GI_BENCH_CACHE", "/dev/null/cache")
    run()
    assert run.built == 2
    assert (path / "scores.json").read_bytes() == before


def test_a_plugin_s_model_is_always_built(run: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = entries.model_entry(FLOOR)
    entry.build.__module__ = "somebody.elses"
    run()
    run()
    assert run.built == 2


def test_priors_that_were_kept_answer_as_those_just_learnt(run: Counted, tmp_path: Path) -> None:
    first = run() / "predictions/part-00000.parquet"
    run.folder = tmp_path / "elsewhere"  # another request, whose prior comes out of the cache
    second = run() / "predictions/part-00000.parquet"
    assert run.built == 2
    assert first.read_bytes() == second.read_bytes()
    assert first.parents[1].name == second.parents[1].name, "the recipe tells of the same rows"
