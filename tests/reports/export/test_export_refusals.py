"""What is not exported, and whose files stay: wrong options and runs, changed scores, files of others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.store import open_run
from gi_bench.reports.export.command import Target, export_run
from tests.command_line import CommandLine
from tests.reports.export.exported_runs import TARGETS, exported, files_of


@pytest.mark.parametrize(
    ("to", "options", "told"),
    [
        ("hub", ["--task-id", "a"], "a task belongs to a data set"),
        ("hub", ["--metric", "bleu"], "a metric is chosen for a leaderboard"),
        ("hub", ["--dataset-id", "no-owner"], "not the id of a data set"),
        ("hub", ["--dataset-id", "a/../../b", "--task-id", "a"], "not the id of a data set"),
        ("hub", ["--dataset-id", "a/b", "--task-id", "../a"], "not the id of a task"),
        ("hub", ["--dataset-id", "a/b", "--task-id", "a\n- x"], "not the id of a task"),
        ("hub", ["--dataset-id", "a/b", "--task-id", "a", "--metric", "blue"], "did you mean bleu"),
        ("hub", ["--dataset-id", "a/b", "--task-id", "a", "--metric", "bleurt"], "the run has no bleurt"),
        ("lm-eval", ["--task-id", "a"], "--task-id is for the Hub"),
        ("inspect", ["--dataset-id", "a/b"], "--dataset-id is for the Hub"),
        ("paper", [], "'paper' is not one of"),
    ],
)
def test_wrong_options_are_one_line(
    gi_bench: CommandLine, made: Path, tmp_path: Path, to: str, options: list[str], told: str
) -> None:
    done = gi_bench("export", made, "--to", to, "-o", tmp_path / "out", *options, columns=200)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", TARGETS)
def test_files_of_others_stay(made: Path, tmp_path: Path, to: str) -> None:
    options = {"dataset_id": "a/b", "task_id": "c"} if to == "hub" else {}
    names = list(files_of(exported(made, to, tmp_path / "first", **options)))
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        (folder / name).parent.mkdir(parents=True)
        for content in ("mine\n", '{"eval": {}}', '{"gi_bench": 3}', "[]", "---\nlicense: mit\n---\n# mine"):
            (folder / name).write_text(content)
            with pytest.raises(GiBenchError, match="no file of this kind that gi-bench wrote"):
                export_run(made, Target(to), folder, **options)
            assert files_of(folder) == {name: content.encode()}
        if name.endswith(".jsonl"):
            shutil.copy(tmp_path / "first" / names[1 - number], folder / names[1 - number])
            for content in (
                "[1]\n",
                '{"doc_hash": 1}\n',
                "",
                '{"doc_hash": "a", "prompt_hash": "b", "target_hash": "c"}',
            ):
                (folder / name).write_text(content + "\n")
                with pytest.raises(GiBenchError, match="no file of this kind that gi-bench wrote"):
                    export_run(made, Target(to), folder, **options)
        (folder / name).unlink()
        (folder / name).symlink_to(tmp_path / "first" / names[-1])
        with pytest.raises(GiBenchError, match="the output is a link"):
            export_run(made, Target(to), folder, **options)
    (tmp_path / "file").write_text("x")
    with pytest.raises(GiBenchError, match="is no folder"):
        export_run(made, Target(to), tmp_path / "file", **options)


def test_a_card_that_somebody_went_on_writing_stays(made: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    card = exported(made, "hub", tmp_path) / "README.md"
    card.write_text(card.read_text() + "\nTrained with care.\n")
    before = card.read_bytes()
    done = gi_bench("export", made, "--to", "hub", "-o", tmp_path)
    assert done.returncode == 2
    assert card.read_bytes() == before
    # One of ours, of other scores, is replaced.
    shutil.copytree(made, tmp_path / "copy")
    exported(made, "hub", tmp_path / "card")
    score_run(tmp_path / "copy", resamples=0)
    assert files_of(exported(tmp_path / "copy", "hub", tmp_path / "card")) != {"README.md": before}


def test_an_export_that_cannot_be_written_leaves_nothing(made: Path, tmp_path: Path) -> None:
    (tmp_path / ".eval_results").write_text("a file where a folder has to be")
    with pytest.raises(GiBenchError):
        export_run(made, Target.HUB, tmp_path, dataset_id="a/b", task_id="c")
    assert set(files_of(tmp_path)) == {".eval_results"}


def _changed(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder)
    content = json.loads((folder / "scores.json").read_text())
    content["scores"][0]["value"] = 0.99
    (folder / "scores.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("to", TARGETS)
def test_changed_runs_are_refused_or_said(made: Path, tmp_path: Path, to: str, gi_bench: CommandLine) -> None:
    run = _changed(made, tmp_path / "changed")
    if to == "inspect":
        pytest.importorskip("inspect_ai", reason="inspect-ai is not installed: pip install 'gi-bench[inspect]'")
    done = gi_bench("export", run, "--to", to, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "the scores were changed after they were made" in done.stderr
    assert not (tmp_path / "out").exists()
    done = gi_bench("export", run, "--to", to, "-o", tmp_path / "out", "--accept-changed")
    assert done.returncode == 0, done.stderr
    text = b"".join(files_of(tmp_path / "out").values()).decode()
    assert "accepted with" in text


def test_a_package_that_is_missing_is_one_line(
    made: Path, tmp_path: Path, gi_bench: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in [one for one in sys.modules if one.partition(".")[0] == "inspect_ai"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    done = gi_bench("export", made, "--to", "inspect", "-o", tmp_path / "out")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "pip install 'gi-bench[inspect]'" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("change", ["no scores", "no run", "no date"])
def test_runs_that_cannot_be_exported_are_one_line(
    made: Path, tmp_path: Path, to: str, change: str, gi_bench: CommandLine
) -> None:
    run = tmp_path / "run"
    shutil.copytree(made, run)
    if change == "no date":
        content = json.loads((run / "manifest.json").read_text())
        (run / "manifest.json").write_text(json.dumps({**content, "created": "yesterday"}))
    else:
        (run / ("scores.json" if change == "no scores" else "manifest.json")).unlink()
    done = gi_bench("export", run, "--to", to, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_card_does_not_change_the_name_of_a_run(made: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    changed = _changed(made, tmp_path / "changed")
    done = gi_bench("export", changed, "--to", "hub", "-o", tmp_path / "out", "--accept-changed")
    assert done.returncode == 0, done.stderr
    name = open_run(made).variant
    said = [line for line in (tmp_path / "out" / "README.md").read_text().splitlines() if "accepted with" in line]
    assert said
    assert all(line.startswith(f"- {name}: the scores were changed") for line in said)
