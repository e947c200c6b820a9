from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import CommandLine

ROOT = Path(__file__).parents[2]


def _process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: what a shell sees."""
    return subprocess.run(
        [sys.executable, "-m", "gi_bench.harness.cli", *arguments], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "COLUMNS": "80"}, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--model", "multitask_r12"], "multitask_r128"),
        (["run", "--model", "blind_constant", "--suite", "phantm"], "phantom"),
        (["run", "--modle", "x"], "--model"),
        (["run", "--model", "blind_constant", "--tasks", "answr"], "answer"),
        (["run", "--model", "blind_constant", "--batch-size", "many"], "--batch-size many"),
        (["run", "--model", "blind_constant", "--batch-size", "0"], "--batch-size 0"),
        (["run", "--model", "blind_constant", "--limit", "0"], "--limit"),
        (["run", "--model", "multitask_r128", "--device", "tpu"], "--device tpu"),
        (["run", "--model", "multitask_r128", "--dtype", "int8"], "--dtype int8"),
        (["run", "--model", "multitask_r128", "--checkpoint", "no/such/folder"], "no/such/folder"),
        (["run", "--model", "multitask_r128_sam"], "--checkpoint"),
        (["run", "--model", "multitask_r64"], "gi-bench train --model multitask_r64"),
        (["run", "--model", "blind_constant", "--model", "blind_constant"], "twice"),
        (["run", "--model", "blind_constant", "--tasks", "ground"], "ground"),
        (
            ["run", "--model", "blind_constant", "--suite", "kvasir-vqa-x1/test", "--data", "/nowhere"],
            "/nowhere",
        ),
        (["score", "no-such-run"], "no-such-run"),
        (["report", "no-such-run"], "no-such-run"),
        (["submit", "task1", "no-such-run", "--info", "t.toml", "--repo", "a/b", "-o", "out"], "no-such-run"),
        (["train", "--model", "multitask_r1"], "multitask_r128"),
        (["nonsense"], "nonsense"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    gi_bench: CommandLine, arguments: list[str], expected: str, tmp_path: Path
) -> None:
    if arguments[0] == "run":
        arguments = [*arguments, "--output", str(tmp_path)]
    done = gi_bench(*arguments)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert expected in lines[0]
    assert not list(tmp_path.rglob("manifest.json")), "nothing half-written"


def test_a_process_ends_as_the_command_says() -> None:
    """The same line on stderr, nothing on stdout, and the exit code that a shell sees."""
    for arguments, expected in ((["run", "--model", "multitask_r12"], "multitask_r128"), (["nonsense"], "nonsense")):
        done = _process(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("error: ")
        assert expected in line


@pytest.mark.parametrize("what", ["models", "suites", "metrics"])
def test_lists_are_one_line_an_entry_and_json_for_machines(gi_bench: CommandLine, what: str) -> None:
    lines = gi_bench(what).stdout.strip().splitlines()
    entries = json.loads(gi_bench(what, "--json").stdout)
    assert len(lines) == len(entries) > 2
    assert [line.split()[0] for line in lines] == [entry["name"] for entry in entries]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom gi_bench.harness.cli import _main\n_main(['--help'])\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pyarrow', 'PIL', 'cv2', 'nltk', 'jinja2', 'peft', 'pydantic'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip().splitlines()[-1] == "HEAVY []"
    for verb in ("run", "models", "suites", "metrics", "score", "report", "submit", "train"):
        assert f"  {verb}" in done.stdout


def test_version() -> None:
    from gi_bench import __version__

    assert _process("--version").stdout.strip() == f"gi-bench {__version__}"


def test_what_libraries_log_is_one_clean_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import logging

    from gi_bench.harness import cli

    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    cli._clean_logs()
    out = io.StringIO()
    logger, handler = logging.getLogger("transformers.foreign"), logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        logger.warning("the config says %s", "\x1b[2J\nerror: nothing\u202e\x07")
        try:
            raise ValueError("\x1b]0;title\x07")
        except ValueError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
    first, second, third = out.getvalue().splitlines()
    assert first == "WARNING the config says \\u001b[2J error: nothing\\u202e\\u0007"
    assert second == "ERROR failed"
    assert third.endswith("ValueError: \\u001b]0;title\\u0007")


@pytest.mark.parametrize("place", ["tempfile.mkstemp", "pathlib.Path.replace"])
def test_a_read_only_file_system_is_told_in_one_line(
    tmp_path: Path, gi_bench: CommandLine, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    import errno

    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(place, refuse)
    done = gi_bench("suites", "export", "phantom/validation", "-o", tmp_path / "rows.jsonl")
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert done.stderr.startswith("error: cannot write: Read-only file system (")
    assert done.stderr.count("\n") == 1
