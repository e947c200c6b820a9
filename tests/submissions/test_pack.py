"""The archive: equal bytes for equal files, only of a folder that passes, and never over somebody else's file."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from tests.command_line import CommandLine
from tests.submissions.challenge_folders import Challenge


def test_equal_files_give_equal_bytes(good: Challenge, tmp_path: Path, gi_bench: CommandLine) -> None:
    (good.folder / ".git").mkdir()
    (good.folder / ".git" / "config").write_text("[user]")
    arguments = ("submit", "pack", good.folder, "--editions", good.table, "-o")
    done = gi_bench(*arguments, tmp_path / "one.zip")
    assert (done.returncode, done.stderr) == (0, "")
    assert "next: gi-bench submit push" in done.stdout
    assert "medvqa validate --competition=fjord-2031 --task=1 --repo_id=USER/NAME" in done.stdout
    assert "medvqa validate --competition=fjord-2031 --task=2 --repo_id=USER/NAME" in done.stdout
    for path in good.folder.rglob("*"):
        os.utime(path, (1, 1))
    (good.folder / "who.py").chmod(0o755)
    assert gi_bench(*arguments, tmp_path / "two.zip").returncode == 0
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert archive.read("reasons.jsonl") == (good.folder / "reasons.jsonl").read_bytes()
    assert names == sorted(names)
    assert ".git/config" not in names
    assert {"who.py", "pictures/000.png", "README.md"} <= set(names)


def test_only_its_own_archive_is_replaced(good: Challenge, tmp_path: Path, gi_bench: CommandLine) -> None:
    arguments = ("submit", "pack", good.folder, "--editions", good.table, "-o")
    assert gi_bench(*arguments, tmp_path / "team.zip").returncode == 0
    assert gi_bench(*arguments, tmp_path / "team.zip").returncode == 0
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("thesis.tex", "years of work")
    (tmp_path / "notes.zip").write_text("no archive")
    (tmp_path / "folder.zip").mkdir()
    for name in ("other.zip", "notes.zip", "folder.zip", "team/inside.zip"):
        before = (tmp_path / name).read_bytes() if (tmp_path / name).is_file() else None
        done = gi_bench(*arguments, tmp_path / name)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert before is None or (tmp_path / name).read_bytes() == before
    assert not (tmp_path / "team" / "inside.zip").exists()
    assert not list(tmp_path.glob(".*.zip*")), "nothing half-written"


def test_a_folder_that_does_not_pass_is_not_packed(good: Challenge, tmp_path: Path, gi_bench: CommandLine) -> None:
    good.change_row(4, val_id="4")
    arguments = ("submit", "pack", good.folder, "--editions", good.table, "-o", tmp_path / "team.zip")
    assert gi_bench(*arguments, "--strict").returncode == 1
    assert not (tmp_path / "team.zip").exists()
    good.change_row(5, answer="")
    done = gi_bench(*arguments)
    assert done.returncode == 2
    assert "answer-empty" in done.stdout
    assert "nothing was written or sent" in done.stderr
    assert not (tmp_path / "team.zip").exists()
