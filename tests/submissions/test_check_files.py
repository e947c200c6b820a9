"""The strict check of files: scripts and texts, names, links, sizes, and that nothing of a folder runs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from gi_bench.submissions.check import Wanted, check_folder, lines, records
from gi_bench.submissions.check.findings import page
from tests.submissions import challenge_folders as made
from tests.submissions.challenge_folders import Challenge, checked, codes_of


@pytest.mark.parametrize(
    ("name", "old", "new", "codes"),
    [
        ("run_answers.py", "for row in rows:", "for row in rows", {"script-syntax"}),
        ("who.py", "SUBMISSION_INFO", "INFO", {"info-missing", "email"}),
        ("who.py", repr(made.INFO), "dict(a=1)", {"info-literal", "script-runs"}),
        ("who.py", "Fjord", "SimulaMetmedVQA Rangers", {"info-example", "info-differs"}),
        ("who.py", "inga@uib.no", "ada@example.org", {"info-example", "info-differs"}),
        ("who.py", "'Norway'", "''", {"info-field"}),
        ("who.py", "SUBMISSION_INFO", "raise SystemExit\nSUBMISSION_INFO", {"script-raises"}),
        ("who.py", "SUBMISSION_INFO", "print('hi')\nSUBMISSION_INFO", {"script-runs"}),
        ("who.py", "SUBMISSION_INFO", "import cv2\nSUBMISSION_INFO", {"script-imports"}),
        ("run_answers.py", "Fjord/Rows", "Fjord/Copy", {"patch-missing"}),
        ("run_answers.py", "rows = rows.head", "rows = rows[:20]  # head", {"patch-missing"}),
        ("run_answers.py", 'rows = load("Fjord/Rows")', '# rows = load("Fjord/Rows")\nrows = []', {"patch-missing"}),
        ("run_answers.py", "rows = rows.head", "first = rows.head", set()),
        ("run_answers.py", "rows = rows.head(20)\n", "first = rows.head(20)\nrows = first\n", {"patch-breaks"}),
        ("run_answers.py", "rows = rows.head(20)\n", "if rows:\n    rows = rows.head(20)\n", {"patch-breaks"}),
        ("run_answers.py", "print(row)", "model(row, trust_remote_code=True)", {"remote-code"}),
        ("run_answers.py", "print(row)", "open('/home/inga/model.safetensors')", {"path-in-script"}),
        ("run_answers.py", "print(row)", "open('C:\\\\Users\\\\inga\\\\a')", {"path-in-script"}),
        ("run_answers.py", "print(row)", "open('/tmp/x')", set()),
        ("run_answers.py", "print(row)", "print(q@k.transpose(1, 2), 'https://a.org/home/x')", set()),
        ("run_answers.py", "print(row)", "print(row)  # ask tor@uib.no", {"email"}),
        ("run_answers.py", "print(row)", f"login('hf_{'aB3' * 12}')", {"secret"}),
        ("README.md", "How", "tor@uib.no made it. How", {"email"}),
        ("README.md", "How", "In /home/inga/runs/7. How", {"path-absolute"}),
        ("README.md", "How", f"AKIA{'Q7' * 8} How", {"secret"}),
        ("README.md", "How", "-----BEGIN OPENSSH PRIVATE KEY-----\nHow", {"secret"}),
        ("README.md", "How", "git clone git@github.com:a/b.git\nHow", set()),
        ("README.md", "license: mit", "license: [mit", {"readme-header"}),
        ("requirements.txt", "torch==2.6.0", "torch=2.6", {"requirement"}),
        ("requirements.txt", "torch==2.6.0", "torch==2.6.0+cu124", {"requirement"}),
        ("requirements.txt", "torch==2.6.0", "numpy @ file:///home/conda/x", {"requirement", "path-absolute"}),
        ("requirements.txt", "torch==2.6.0", "-r more.txt", {"requirement"}),
        ("requirements.txt", "torch==2.6.0", "git+https://github.com/a/b", {"requirement-loose"}),
        ("requirements.txt", "torch==2.6.0", "torch==2.6.0 ; python_version < '3.13'", set()),
    ],
)
def test_scripts_and_texts(good: Challenge, name: str, old: str, new: str, codes: set[str]) -> None:
    good.edit(name, old, new)
    assert codes_of(checked(good)) == codes


def test_api_keys_are_found_and_not_shown(good: Challenge) -> None:
    (good.folder / "config.yaml").write_text('model: x\nwandb:\n  api_key: "9f8e7d6c5b4a39281706"\n')
    (good.folder / ".env").write_text("OPENAI_API_KEY=abcdefgh12345678\n")
    (good.folder / "tokenizer_config.json").write_text('{"unk_token": "<|endoftext|>", "token_type_ids": 12345678}')
    report = checked(good)
    assert codes_of(report) == {"secret"}
    assert {one.file for one in report.found.of("error")[0].examples} == {"config.yaml", ".env"}
    assert not any("9f8e7d6c" in line or "abcdefgh" in line for line in page(report.found))


@pytest.mark.parametrize(
    ("move", "codes"),
    [
        (("reasons.jsonl", "submission_task2.json"), {"file-name", "visual-unused"}),
        (("reasons.jsonl", "predictions_2.json"), {"file-name", "visual-unused"}),
        (("reasons.jsonl", "out/reasons.jsonl"), {"file-nested", "visual-unused"}),
        (("who.py", "submission_task2.py"), {"file-name"}),
        (("who.py", None), {"file-missing"}),
        (("run_answers.py", "submission_task1_swift.py"), {"file-name"}),
        (("README.md", None), {"readme-missing"}),
        (("answers.json", None), set()),
    ],
)
def test_names(good: Challenge, move: tuple[str, str | None], codes: set[str]) -> None:
    old, new = move
    if new is None:
        (good.folder / old).unlink()
    else:
        (good.folder / new).parent.mkdir(exist_ok=True)
        (good.folder / old).rename(good.folder / new)
    report = check_folder(good.folder, Wanted("fjord2031", good.table))
    assert codes_of(report) - {"visual-unused"} == codes - {"visual-unused"}


def test_links_and_pipes_are_not_followed(good: Challenge, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text(f"hf_{'aB3' * 12}")
    (good.folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (good.folder / "ring").symlink_to("ring")
    (good.folder / "up").symlink_to(tmp_path)
    (good.folder / "pictures" / "001.png").unlink()
    (good.folder / "pictures" / "001.png").symlink_to("000.png")
    os.mkfifo(good.folder / "pipe")
    report = checked(good)
    assert codes_of(report) == {"link-outside", "file-kind"}, "no secret was read through a link"
    assert {one.file for one in report.found.of("error")[0].examples + report.found.of("error")[1].examples} == {
        "link.txt", "ring", "up", "pipe",
    }  # fmt: skip


def test_nothing_of_the_folder_runs_or_is_unpickled(good: Challenge, tmp_path: Path) -> None:
    import pickle

    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(mark),)

    (good.folder / "weights.bin").write_bytes(pickle.dumps(Evil()))
    (good.folder / "hidden.dat").write_bytes(pickle.dumps(Evil(), protocol=4))
    code = f"import os\nos.mkdir({str(mark)!r})\n"
    for name in ("who.py", "run_answers.py", "sitecustomize.py", "conftest.py"):
        path = good.folder / name
        path.write_text(code + (path.read_text() if path.exists() else ""))
    report = checked(good)
    assert not mark.exists()
    assert {one.file for one in report.found.of("warning") if one.code == "pickle" for one in one.examples} == {
        "weights.bin", "hidden.dat",
    }  # fmt: skip


def test_sizes_without_reading(good: Challenge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_BYTES", 1000)
    for name, size in (("huge.safetensors", 51_000_000_000), ("large.safetensors", 6_000_000_000)):
        with (good.folder / name).open("wb") as stream:
            stream.truncate(size)
    (good.folder / "vocab.json").write_bytes(b"[" + b"1," * 5_500_000)
    report = checked(good)
    assert {"size", "size-hub"} <= codes_of(report)
    files = {one.file for level in ("error", "warning") for group in report.found.of(level) for one in group.examples}  # type: ignore[arg-type]
    assert files >= {"huge.safetensors", "large.safetensors", "reasons.jsonl", "vocab.json"}


def test_a_script_that_takes_long_to_search_does_not(good: Challenge) -> None:
    text = made.SCRIPT + ("#" + "r" * 5000 + "\n") * 300
    (good.folder / "run_answers.py").write_text(text)
    start = time.process_time()
    assert codes_of(checked(good)) == set()
    assert time.process_time() - start < 5, "the expressions take time in the square of a line"


def test_a_file_of_many_rows_is_not_read_whole(good: Challenge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_ROWS", 50)
    (good.folder / "reasons.jsonl").write_text('{"val_id": 0}\n' * 5000)
    report = checked(good)
    assert {"size", "row-count"} <= codes_of(report)
    assert report.found.count("error") < 500
