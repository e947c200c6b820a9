"""The repository of subtask 1: its script answers as the run does, in a process without gi-bench's help."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.engine.run import Settings, evaluate
from gi_bench.harness.errors import GiBenchError, UnfitRunError
from gi_bench.harness.store import open_run
from gi_bench.submissions import task1
from gi_bench.submissions.client import CLIENT
from gi_bench.submissions.command import after_run
from gi_bench.submissions.editions import Task1, edition_of, editions
from gi_bench.submissions.info import EXAMPLE, Team
from gi_bench.submissions.template import read_template, sections
from gi_bench.submissions.wanted import Wanted
from tests.command_line import CommandLine
from tests.run_folders import questions, write_run
from tests.submissions.stand_ins import environment, write_phantom_rows

pytest.importorskip(CLIENT, reason="the organisers' client has the templates: pip install 'gi-bench[submit]'")
ROWS = 24
MADE = """
[editions.made2030]
title = "Made Up 2030"
competition = "{competition}"

[editions.made2030.task1]
suite = "{suite}"
dataset = "SimulaMet/Kvasir-VQA-x1"
split = "test"
template = "submission_task1.py"
script = "submission_task1.py"
digits = 3

[[editions.made2030.task1.patches]]
name = "all rows"
replacements = [['= ds_shuffled\\.select\\(range\\(1500\\)\\)', '= ds_shuffled']]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of shipped weights on phantom's rows in Kvasir-VQA-x1's layout, an edition and a team."""
    top = tmp_path_factory.mktemp("task1")
    write_phantom_rows(top / "data", ROWS)
    (top / "team.toml").write_text(EXAMPLE, encoding="utf-8")
    for year in ("2025", "2026"):
        text = MADE.format(competition=f"medico-{year}", suite="medico2025-task1")
        (top / f"editions{year}.toml").write_text(text, encoding="utf-8")
    settings = Settings(tasks=("answer",), device="cpu", dtype="float32", backbone="tiny")
    (done,) = evaluate("multitask_r128", "medico2025-task1", data=top / "data", output=top, settings=settings)
    done.path.rename(top / "run")
    return top


def _submit(command: CommandLine, made: Path, output: Path, year: str = "2025", *more: object) -> Any:
    return command(
        "submit", "task1", made / "run", "--info", made / "team.toml", "--repo", "team/model", "-o", output,
        "--edition", "made2030", "--editions", made / f"editions{year}.toml", *more,
    )  # fmt: skip


def _run_script(made: Path, folder: Path, place: Path, change: tuple[str, str] = ("", "")) -> dict[str, Any]:
    """``predictions_1.json`` that the script writes in an empty folder."""
    variables = environment(
        place / "modules", data=made / "data", repository="team/model", folder=folder,
        names=["SimulaMet/Kvasir-VQA-x1"],
    )  # fmt: skip
    (place / "empty").mkdir()
    text = (folder / "submission_task1.py").read_text(encoding="utf-8")
    (place / "empty" / "submission_task1.py").write_text(text.replace(*change), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "submission_task1.py"], cwd=place / "empty", env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads((place / "empty" / "predictions_1.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("year", "change"),
    [
        ("2025", ("", "")),
        ("2025", ('if device == "cuda" else 1', 'if device == "cuda" else 7')),
        ("2026", ('if device == "cuda" else 1', 'if device == "cuda" else 5')),
    ],
    ids=["one by one", "ahead", "batches"],
)
def test_the_script_answers_as_the_run(
    made: Path, tmp_path: Path, gi_bench: CommandLine, year: str, change: tuple[str, str]
) -> None:
    folder = tmp_path / "out"
    done = _submit(gi_bench, made, folder, year)
    assert done.returncode == 0, done.stderr
    assert change[0] in (folder / "submission_task1.py").read_text(encoding="utf-8")
    found = _run_script(made, folder, tmp_path, change)
    ours = json.loads((folder / "predictions_1.json").read_text(encoding="utf-8"))
    assert found["predictions"] == ours["predictions"]
    assert len({row["answer"] for row in ours["predictions"]}) > ROWS // 2
    assert list(found) == list(ours)
    assert found["submission_info"] == ours["submission_info"]
    run = open_run(made / "run")
    assert ours["memory_used_mb"] == run.manifest.peak_memory_mb > 0
    bleu = run.scores.find("bleu")
    assert bleu is not None
    assert bleu.value is not None
    assert ours["public_scores"]["bleu"] == round(bleu.value, 3)


def test_the_script_refuses_other_weights(made: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    assert _submit(gi_bench, made, tmp_path / "out").returncode == 0
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "out", other)
    content = bytearray((other / "adapter_model.safetensors").read_bytes())
    content[-1] ^= 1
    (other / "adapter_model.safetensors").write_bytes(bytes(content))
    with pytest.raises(AssertionError, match="is not the file that the answers were made with"):
        _run_script(made, other, tmp_path)


@pytest.mark.parametrize("name", list(editions()))
def test_only_the_edit_sections_change_and_the_patches_fit(name: str, tmp_path: Path) -> None:
    edition = editions()[name]
    table = edition.rows_of("task1")
    assert isinstance(table, Task1)
    template = read_template(edition, table.template)
    cut = sections(template, name)
    assert cut.before + cut.first + cut.between + cut.second + cut.after == template
    info = Team("A \"'\\ \n{x}", "</script>", ("a@b.no",), 'T"""', "Ærø", "'''\nimport os")
    run = open_run(write_run(tmp_path / "run"))
    text = task1.script_text(template, Wanted(edition, info, "a/b"), table, None, run)
    for piece in (cut.before, cut.between, cut.after):
        assert piece in text
    assigned = next(node for node in ast.parse(text).body if isinstance(node, ast.Assign)
                    and getattr(node.targets[0], "id", "") == "SUBMISSION_INFO")  # fmt: skip
    assert ast.literal_eval(assigned.value) == info.as_dict()
    assert table.patches
    for patch in table.patches:
        patched, missing = patch.apply(text)
        assert missing == []
        ast.parse(patched)
        assert patched != text


def test_a_model_that_cannot_be_written_out_leaves_two_places(
    made: Path, tmp_path: Path, gi_bench: CommandLine
) -> None:
    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    manifest["recipe"]["variant"] = "somebody's"
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (run / "scores.json").unlink()
    score_run(run, resamples=10)
    edition = edition_of("medico2025-task1", "task1", "made2030", made / "editions2026.toml")
    team = Team.read(made / "team.toml")
    lines = task1.write(open_run(run), tmp_path / "out", Wanted(edition, team, "team/model"))
    assert "fill the two places marked BRING YOUR MODEL" in " ".join(lines)
    text = (tmp_path / "out" / "submission_task1.py").read_text(encoding="utf-8")
    assert text.count("# >>> BRING YOUR MODEL (1 of 2)") == text.count("# >>> BRING YOUR MODEL (2 of 2)") == 1
    with pytest.raises(AssertionError, match="BRING YOUR MODEL"):
        _run_script(made, tmp_path / "out", tmp_path)
    found = gi_bench("submit", "check", tmp_path / "out", "--editions", made / "editions2026.toml", "--json")
    assert found.returncode == 2
    assert [one["code"] for one in json.loads(found.stdout)["errors"]].count("model-missing") >= 1


def test_what_is_written_passes_the_check(made: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    """Of the editions with equal rows, the one that the folder was written for."""
    (tmp_path / "team.toml").write_text(
        EXAMPLE.replace("Ada Example, Ben Example", "Ida Moe").replace("ada@example.org", "ida@moe.no")
        .replace("Example Team", "Moe").replace("University of Somewhere", "UiO"), encoding="utf-8",
    )  # fmt: skip
    more = ("--edition", "made2030", "--editions", made / "editions2025.toml")
    done = gi_bench("submit", "task1", made / "run", "--info", tmp_path / "team.toml", "--repo", "team/model",
                    "-o", tmp_path / "out", "--license", "mit", *more)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = gi_bench("submit", "check", tmp_path / "out", *more, "--json")
    assert found.returncode == 0, found.stdout
    assert json.loads(found.stdout)["errors"] == []


def test_the_repository_is_whole_and_holds_no_path_of_this_machine(
    made: Path, tmp_path: Path, gi_bench: CommandLine
) -> None:
    folder = tmp_path / "out"
    assert _submit(gi_bench, made, folder, "2025", "--license", "cc-by-nc-4.0").returncode == 0
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"submission_task1.py", "requirements.txt", "README.md", "predictions_1.json", "adapter_config.json",
            "adapter_model.safetensors", "backbone/config.json", "backbone/model.safetensors"} <= names  # fmt: skip
    for name in names:
        if not name.endswith(".safetensors"):
            text = (folder / name).read_text(encoding="utf-8")
            assert str(made) not in text, name
            assert os.path.expanduser("~") + os.sep not in text, name
    pins = (folder / "requirements.txt").read_text(encoding="utf-8")
    packages = open_run(made / "run").manifest.packages
    assert f"transformers=={packages['transformers']}\n" in pins
    assert "+" not in pins.split("\n", 1)[1]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "model-index:" in card
    assert "license: cc-by-nc-4.0" in card
    assert "- name: team/model" in card
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert _submit(gi_bench, made, folder, "2025", "--license", "cc-by-nc-4.0").returncode == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_what_is_not_ours_stays(made: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine.txt").write_text("x", encoding="utf-8")
    done = _submit(gi_bench, made, folder)
    assert done.returncode == 2
    assert "did not write (mine.txt)" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (folder / "mine.txt").unlink()
    assert _submit(gi_bench, made, folder).returncode == 0
    (folder / "submission_task1.py").write_text("# mine", encoding="utf-8")
    done = _submit(gi_bench, made, folder)
    assert done.returncode == 2
    assert "submission_task1.py was changed" in done.stderr
    assert (folder / "submission_task1.py").read_text(encoding="utf-8") == "# mine"


def _team(text: str) -> dict[str, str]:
    return {"team.toml": text}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_team(EXAMPLE.replace("Country", "Land")), "unknown key 'Land'"),
        (_team(EXAMPLE.replace('Country = "Norway"\n', "")), "'Country' is missing"),
        (_team(EXAMPLE.replace('"Norway"', '" "')), "Country is empty"),
        (_team(EXAMPLE.replace("ada@example.org", "ada")), "'ada' is no e-mail address"),
        ({"editions2025.toml": "[editions.made2030]\ntitle = 3"}, "title"),
        ({"editions2025.toml": ""}, "made2030"),
    ],
)
def test_wrong_files_are_one_line(
    made: Path, tmp_path: Path, gi_bench: CommandLine, change: dict[str, str], told: str
) -> None:
    for name in ("team.toml", "editions2025.toml"):
        (tmp_path / name).write_text(change.get(name, (made / name).read_text(encoding="utf-8")), encoding="utf-8")
    (tmp_path / "run").symlink_to(made / "run")
    done = _submit(gi_bench, tmp_path, tmp_path / "out")
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_runs_of_other_rows_are_refused(tmp_path: Path) -> None:
    team = Team("A", "B", ("a@b.no",), "T", "N")
    official = editions()["medico2025"]
    wanted = Wanted(official, team, "a/b")
    for name, options, told in (
        ("other", {}, "has 12 questions, MediaEval Medico 2025 asks 1,500"),
        ("limited", {"manifest": {"recipe": {"limit": 12}}}, "cut short with --limit 12"),
        ("ceiling", {"manifest": {"recipe": {"model": {"role": "ceiling"}}}}, "knows the references"),
    ):
        run = write_run(tmp_path / name, **options)  # type: ignore[arg-type]
        with pytest.raises(UnfitRunError, match=told):
            task1.write(open_run(run), tmp_path / "out", wanted)
    with pytest.raises(UnfitRunError, match="no edition asks the rows of made/test in task1"):
        edition_of("made/test", "task1")
    with pytest.raises(GiBenchError, match="medico2025"):
        edition_of("made/test", "task1", "medico205")


def test_the_official_rows_are_known_by_their_digest(tmp_path: Path, shared: Path) -> None:
    from gi_bench.harness.registry import load_suite

    rows = list(load_suite("medico2025-task1", shared / "data" / "kvasir-vqa-x1").questions)
    team = Team("A", "B", ("a@b.no",), "T", "N")
    for year in ("2025", "2026"):
        edition = editions()[f"medico{year}"]
        run = write_run(tmp_path / year, rows=rows, shown=[])
        score_run(run, resamples=10)
        task1.write(open_run(run), tmp_path / f"out{year}", Wanted(edition, team, "a/b"))
    swapped = [rows[1], rows[0], *rows[2:]]
    run = write_run(tmp_path / "swapped", rows=swapped, shown=[])
    with pytest.raises(UnfitRunError, match="not of the rows that MediaEval Medico 2025 asks"):
        task1.write(open_run(run), tmp_path / "out", Wanted(editions()["medico2025"], team, "a/b"))


def test_a_run_tells_the_command_that_submits_it(tmp_path: Path) -> None:
    rows = questions()
    fit = write_run(tmp_path / "fit", rows=rows, suite="medico2025-task1")
    other = write_run(tmp_path / "other", rows=rows)
    ((what, command),) = after_run([fit, other])
    assert what == "submit with"
    assert command == f"gi-bench submit task1 {fit} --info team.toml --repo USER/NAME -o DIR"
    assert not (fit / "submission").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"{", "cannot read JSON"), (b"[]", "part-00000.json"), (b'{"seconds": {"encode": "long"}}', "seconds.encode"),
     (b"\xff\xfe", "UTF-8")],
)  # fmt: skip
def test_damaged_timings_are_one_line(
    made: Path, tmp_path: Path, gi_bench: CommandLine, content: bytes, told: str
) -> None:
    for name in ("team.toml", "editions2025.toml"):
        shutil.copy(made / name, tmp_path / name)
    shutil.copytree(made / "run", tmp_path / "run")
    (tmp_path / "run" / "timings" / "part-00000.json").write_bytes(content)
    done = _submit(gi_bench, tmp_path, tmp_path / "out")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert told in line
    assert not (tmp_path / "out").exists()


def test_changed_predictions_are_told(made: Path, tmp_path: Path, gi_bench: CommandLine) -> None:
    for name in ("team.toml", "editions2025.toml"):
        shutil.copy(made / name, tmp_path / name)
    shutil.copytree(made / "run", tmp_path / "run")
    scores = tmp_path / "run" / "scores.json"
    found = json.loads(scores.read_text(encoding="utf-8"))
    found["scores"][0]["value"] = 0.99
    scores.write_text(json.dumps(found), encoding="utf-8")
    done = _submit(gi_bench, tmp_path, tmp_path / "out")
    assert done.returncode == 2
    assert "scores.json" in done.stderr
    done = _submit(gi_bench, tmp_path, tmp_path / "out", "2025", "--accept-changed")
    assert done.returncode == 0, done.stderr
    assert "accepted with --accept-changed" in " ".join(done.stdout.split())
