"""The page of a study as a file: equal bytes, the command, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gi_bench.harness.analysis.study import write_study
from gi_bench.harness.cli import _main
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.store import content_digest
from gi_bench.reports.command import after_study
from gi_bench.reports.study import write_study_report
from tests.reports.study_pages import made_study
from tests.run_folders import write_run


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    path = write_study(tmp_path, made_study())
    first = write_study_report(tmp_path, tmp_path / "a.html").read_bytes()
    assert write_study_report(path, tmp_path / "b.html").read_bytes() == first
    write_study(tmp_path, made_study(verdict="undecided"))
    assert write_study_report(path, tmp_path / "b.html").read_bytes() != first


def test_a_page_that_cannot_be_made(tmp_path: Path) -> None:
    write_study(tmp_path, made_study())
    with pytest.raises(GiBenchError, match="output is a folder"):
        write_study_report(tmp_path, tmp_path)
    with pytest.raises(RunError, match="not found"):
        write_study_report(tmp_path / "nowhere", tmp_path / "a.html")
    (tmp_path / "study.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="cannot read JSON"):
        write_study_report(tmp_path, tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def test_the_command_writes_the_page_of_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_study(tmp_path / "made", made_study())
    assert _main(["report", str(path.parent)]) == 0
    assert capsys.readouterr().out == f"report: {path.parent / 'study.html'}\n"
    page = (path.parent / "study.html").read_bytes()
    assert b"More rank is better." in page
    assert _main(["report", str(path), "-o", str(tmp_path / "other.html")]) == 0
    assert (tmp_path / "other.html").read_bytes() == page
    assert _main(["report", str(path.parent), "--title", "My own"]) == 0
    assert b"<h1>My own</h1>" in (path.parent / "study.html").read_bytes()


def test_a_study_is_not_mixed_with_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path / "made", made_study()).parent
    run = write_run(tmp_path / "run")
    for given in ([run, study], [study, run], [study, study]):
        assert _main(["report", *map(str, given)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert error.startswith(f"error: a study has a page of its own ({study})")
    assert not list(tmp_path.rglob("*.html"))


def test_a_damaged_study_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.json").write_text("[]", encoding="utf-8")
    assert _main(["report", str(tmp_path)]) == 2
    assert "a study without a schema version; this version of gi-bench reads 2 and 3" in capsys.readouterr().err
    assert _main(["report", str(tmp_path / "nowhere" / "study.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_after_a_study_its_page_stands_in_its_folder(tmp_path: Path) -> None:
    write_study(tmp_path, made_study())
    ((what, path),) = after_study(tmp_path)
    assert (what, path) == ("report", tmp_path / "study.html")
    assert path.stat().st_size > 10_000


def test_verdicts_of_an_older_rule_are_made_anew_on_the_page(tmp_path: Path) -> None:
    path = write_study(tmp_path, made_study(seeds=(3, 5, 7), verdict="supported"))
    content = {**json.loads(path.read_text(encoding="utf-8")), "rule_version": 1}
    path.write_text(json.dumps({**content, "digest": content_digest(content)}), encoding="utf-8")
    page = write_study_report(path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "the verdicts of this study.json were made by an older rule" in page
    assert "ROUGE-L, rank_128 - rank_8: supported, now no verdict" in page, "its effects rest on two seeds"
