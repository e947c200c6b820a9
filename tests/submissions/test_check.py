"""The strict check: a faultless folder passes, editions, what is told, and real submissions."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from gi_bench.submissions.check import Wanted, check_folder
from gi_bench.submissions.check.codes import ERRORS, WARNINGS
from gi_bench.submissions.check.findings import Findings, page
from tests.command_line import CommandLine
from tests.submissions import challenge_folders as made
from tests.submissions.challenge_folders import Challenge, checked, codes_of


def test_a_faultless_folder_passes(good: Challenge, data: Path) -> None:
    for given in (None, data):
        report = checked(good, given)
        assert codes_of(report) == set()
        assert (report.edition.name, report.subtasks) == ("fjord2031", ("task1", "task2")), "found by its rows"
        assert "assumed" in report.why


@pytest.mark.parametrize("name", ["medico2025", "medico2026", "gi-2026"])
def test_a_folder_of_another_edition_is_refused(good: Challenge, name: str) -> None:
    report = check_folder(good.folder, Wanted(name, good.table))
    assert report.found.count("error")
    assert report.why == ""


def test_an_edition_without_a_subtask(good: Challenge) -> None:
    for old, new in (("who.py", "submission_task2.py"), ("reasons.jsonl", "submission_task2.jsonl")):
        (good.folder / old).rename(good.folder / new)
    assert "edition-subtask" in codes_of(check_folder(good.folder, Wanted("gi-2025")))


def test_findings_are_bounded_and_clean() -> None:
    found = Findings()
    for i in range(5000):
        found.add("answer-empty", f"row {i}\x1b[2J\n", "a\x07.jsonl", i + 1)
    told = list(page(found))
    assert len(told) < 10
    assert "(5000 times)" in told[1]
    assert all(line.isprintable() for line in told)
    with pytest.raises(KeyError):
        found.add("no-such-code", "x")


def test_every_code_is_used() -> None:
    folder = Path(__file__).resolve().parents[2] / "submissions" / "check"
    used = {
        node.value
        for path in folder.glob("*.py")
        if path.name != "codes.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(ERRORS) | set(WARNINGS) <= used


def test_the_command(good: Challenge, tmp_path: Path, gi_bench: CommandLine) -> None:
    table = ("--editions", good.table)
    done = gi_bench("submit", "check", good.folder, *table)
    assert (done.returncode, done.stderr) == (0, "")
    assert "fjord2031 (assumed" in done.stdout
    assert done.stdout.endswith("0 errors, 0 warnings\n")
    good.change_row(4, val_id="4")
    assert gi_bench("submit", "check", good.folder, *table).returncode == 0
    assert gi_bench("submit", "check", good.folder, *table, "--strict").returncode == 1
    good.change_row(5, confidence_score=7)
    done = gi_bench("submit", "check", good.folder, *table, "--json", "--strict")
    assert done.returncode == 2
    told = json.loads(done.stdout)
    assert (told["edition"], told["edition_assumed"], told["passes"]) == ("fjord2031", True, False)
    assert told["errors"][0]["code"] == "confidence"
    assert told["errors"][0]["examples"] == [{"text": "val_id 5: 7", "file": "reasons.jsonl", "line": 6}]
    assert [one["code"] for one in told["warnings"]] == ["val-id-text"]
    for wrong in ([tmp_path / "none"], [good.table], [good.folder, "--edition", "fjord"], [good.folder, "--flag"]):
        done = gi_bench("submit", "check", *wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
    (tmp_path / "empty").mkdir()
    assert "nothing-found" in gi_bench("submit", "check", tmp_path / "empty").stdout


def test_a_real_file_of_subtask_1(tmp_path: Path, shared: Path) -> None:
    import shutil

    (tmp_path / "team").mkdir()
    shutil.copyfile(shared / "data/outputs/predictions_1.FAST-NU-DS.json", tmp_path / "team" / "predictions_1.json")
    report = check_folder(tmp_path / "team", Wanted("medico2025"))
    assert codes_of(report) == {"file-missing", "measure-missing", "readme-missing"}
    (tmp_path / "data" / "data").mkdir(parents=True)
    (tmp_path / "data/data/test-00000-of-00001.parquet").symlink_to(shared / "data/kvasir-vqa-x1/test.parquet")
    report = check_folder(tmp_path / "team", Wanted("medico2025", data=tmp_path / "data"))
    assert codes_of(report) == {"file-missing", "measure-missing", "readme-missing"}, (
        "its scores are what its answers give"
    )


def test_real_rows_of_subtask_2(tmp_path: Path, shared: Path) -> None:
    text = (shared / "data/outputs/submission_task2.2026.first13.jsonl").read_text(encoding="utf-8")
    (tmp_path / "submission_task2.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "submission_task2.py").write_text(f"SUBMISSION_INFO = {made.INFO!r}\n")
    report = check_folder(tmp_path)
    assert report.edition.name == "medico2026"
    assert codes_of(report) == {
        "row-count", "val-id-missing", "val-id-text", "visual-missing", "explanation-template", "readme-missing",
    }  # fmt: skip
    (tmp_path / "data" / "data").mkdir(parents=True)
    (tmp_path / "data/data/test-00000-of-00001.parquet").symlink_to(shared / "data/kvasir-vqa-x1/test.parquet")
    (tmp_path / "team").mkdir()
    (tmp_path / "submission_task2.jsonl").rename(tmp_path / "team" / "submission_task2.jsonl")
    wanted = Wanted("medico2026", data=tmp_path / "data")
    assert not {"img-id-differs", "question-differs"} & codes_of(check_folder(tmp_path / "team", wanted))
    swapped = text.replace('"val_id": "3"', '"val_id": "4"', 1)
    (tmp_path / "team" / "submission_task2.jsonl").write_text(swapped, encoding="utf-8")
    assert {"img-id-differs", "val-id-twice"} <= codes_of(check_folder(tmp_path / "team", wanted))
