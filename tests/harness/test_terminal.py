"""What a terminal shows of texts that somebody else wrote."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gi_bench.harness.cli import DEFECT, _main
from gi_bench.harness.terminal import clean, clean_warning, say
from tests.command_line import CommandLine
from tests.run_folders import questions, write_run

ROOT = Path(__file__).parents[2]
# An escape sequence, a bell, turned writing, no width, a line of its own, a tag, half a character.
HOSTILE = "x\x1b[2J\x07\x9b31m\u202egnp.exe\u200b\u2066\ufeff\rerror: fine\nreport: /etc/passwd\U000e0041\x7f"


def is_clean(text: str) -> bool:
    """Whether a text has nothing but what can be seen, and line breaks."""
    return all(c.isprintable() or c in "\n\t" for c in text)


@given(st.text())
def test_nothing_but_what_can_be_seen_is_left(text: str) -> None:
    shown = clean(text, keep="")
    assert all(c.isprintable() or c == " " or (c.isspace() and ord(c) > 127) for c in shown)
    assert json.loads(clean(json.dumps(text, ensure_ascii=False))) == text, "JSON means what it meant"


def test_plain_text_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("Zäpfchen – 1\u00a0000 polyps, 内視鏡, ½ \N{PILE OF POO}", "a\tb", ""):
        assert clean(text) == text
    say(f"one {HOSTILE}")
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert clean_warning("a\nb\x1b", UserWarning, "f.py", 1) == "UserWarning: a b\\u001b\n"


def test_every_line_goes_through_one_place() -> None:
    """No other module prints: what it printed would not be cleaned."""
    strange = []
    for room in ("harness", "baselines", "reports", "submissions"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                named = node.func if isinstance(node, ast.Call) else None
                is_print = isinstance(named, ast.Name) and named.id == "print"
                is_echo = isinstance(node, ast.Attribute) and node.attr in ("echo", "secho")
                to_file = isinstance(node, ast.Call) and any(one.arg == "file" for one in node.keywords)
                if is_echo or (is_print and not to_file):
                    strange.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not strange


@pytest.fixture
def hostile_run(tmp_path: Path) -> Path:
    """A scored run of which somebody else wrote every text."""
    from gi_bench.harness.analysis.scoring import score_run

    manifest: dict[str, Any] = {
        "suite_note": HOSTILE, "packages": {HOSTILE: HOSTILE}, "device": HOSTILE,
        "recipe": {"variant": HOSTILE, "suite": f"suite {HOSTILE}", "model": {"note": HOSTILE, "a\x1b": [HOSTILE]}},
    }  # fmt: skip
    rows = questions(4)
    folder = write_run(tmp_path / "hostile", rows=rows, manifest=manifest, answer=lambda q: HOSTILE)
    score_run(folder, resamples=0)
    return folder


def test_a_hostile_manifest_moves_no_cursor(gi_bench: CommandLine, hostile_run: Path, tmp_path: Path) -> None:
    other = hostile_run.parent / "other"
    shutil.copytree(hostile_run, other)
    for command, codes in (
        (("score", hostile_run, "--resamples", 0), {0}),
        (("score", hostile_run, "--resamples", 0, "--all"), {0}),
        (("compare", hostile_run, other, "--resamples", 100), {0}),
        (("compare", hostile_run, other, "--resamples", 100, "--json"), {0}),
        (("verify", hostile_run, "--summary"), {0, 1}),
        (("verify", hostile_run, "--json"), {0, 1}),
        (("report", hostile_run, other), {0}),
        (("bounds", hostile_run), {0, 2}),
        (("report", hostile_run, "-o", tmp_path / "no\x1b[2Jwhere" / "page.html"), {0}),
        (("score", tmp_path / "no\x1b[2J\u202ewhere"), {2}),
        (("compare", hostile_run, other, "--metric", HOSTILE), {2}),
        (("audit", HOSTILE, "\x1b"), {2}),
        (("run", "-m", HOSTILE), {2}),
        (("run", HOSTILE), {2}),
        ((HOSTILE,), {2}),
        (("run", "-m", "blind_constant", "--seed", HOSTILE), {2}),
    ):
        done = gi_bench(*command)
        assert done.returncode in codes, (command, done.stderr)
        assert done.stdout + done.stderr
        for line in (done.stdout + done.stderr).splitlines():
            assert is_clean(line), (command, line)
        assert not any(line.startswith("report: /etc") for line in done.stdout.splitlines()), command
        if done.returncode == 2:
            assert len(done.stderr.strip().splitlines()) == 1


def test_a_defect_is_one_line_and_a_traceback_comes_with_debug(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError(f"an answer {HOSTILE}")

    run = str(write_run(tmp_path / "run", rows=questions(2), shown=[]))
    monkeypatch.setattr("gi_bench.harness.analysis.scoring.write_json", failing)
    assert _main(["score", run, "--resamples", "0"]) == DEFECT == 70
    told = capsys.readouterr()
    (line,) = told.err.strip().splitlines()
    assert "a defect of gi-bench" in line
    assert "ZeroDivisionError: an answer" in line
    assert "--debug" in line
    assert is_clean(told.err)
    for command in (["--debug", "score", run], ["score", run, "--debug"]):
        assert _main([*command, "--resamples", "0"]) == DEFECT
        shown = capsys.readouterr().err
        assert "Traceback (most recent call last)" in shown
        assert "in failing" in shown
        assert is_clean(shown)
    assert _main(["score", str(tmp_path / "nowhere"), "--debug"]) == 2
    told = capsys.readouterr()
    assert "Traceback" in told.err
    assert told.err.strip().splitlines()[-1].startswith("error: not a run folder")
    assert _main(["score", str(tmp_path / "nowhere")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_exit_codes_are_in_the_help(gi_bench: CommandLine) -> None:
    shown = " ".join(gi_bench("--help").stdout.split())
    for told in ("Exit codes: 0 done", "1 verify or audit", "2 wrong input", "70 a defect", "130 interrupted", "141"):
        assert told in shown
