from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

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
        (
            ["run", "--model", "multitask_r128_tokens", "--backbone", "base"],
            "gi-bench train --model multitask_r128_tokens --backbone base",
        ),
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
def test_lists_are_one_line_an_entry_in_a_pipe_and_json_for_machines(gi_bench: CommandLine, what: str) -> None:
    text = gi_bench(what).stdout
    assert "\x1b" not in text
    lines = text.strip().splitlines()
    entries = json.loads(gi_bench(what, "--json").stdout)
    assert len(lines) == len(entries) > 2
    assert sorted(line.split()[0] for line in lines) == [entry["name"] for entry in entries]


def test_metrics_stand_by_group(gi_bench: CommandLine) -> None:
    groups = [line.split()[1] for line in gi_bench("metrics").stdout.splitlines()]
    assert list(dict.fromkeys(groups)) == ["answers", "facts", "regions", "negatives", "explanations", "confidence"]
    assert sorted(groups, key=list(dict.fromkeys(groups)).index) == groups
    told = {one["name"]: one["group"] for one in json.loads(gi_bench("metrics", "--json").stdout)}
    assert {line.split()[0]: line.split()[1] for line in gi_bench("metrics").stdout.splitlines()} == told


@pytest.mark.parametrize("columns", [60, 80])
def test_lists_fit_a_terminal(gi_bench: CommandLine, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gi_bench.harness.terminal_table.on_terminal", lambda: True)
    monkeypatch.setattr("gi_bench.harness.commands.lists.on_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    for what in ("models", "suites", "metrics"):
        lines = gi_bench(what, columns=columns).stdout.splitlines()
        assert max(map(len, lines)) <= columns, what
        if what == "metrics":
            assert {"answers", "facts", "regions", "negatives"} <= {line.strip() for line in lines}


def test_models_say_whether_they_can_run_now(
    gi_bench: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gi_bench.baselines.registration import definitions

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    shown = {line.split()[0]: line.split()[1:3] for line in gi_bench("models").stdout.splitlines()}
    bundled = {path.name.removesuffix("-tiny") for path in (ROOT / "baselines" / "weights").glob("*-tiny")}
    assert "multitask_r128" in bundled
    for name, one in definitions().items():
        if one.kind == "florence2" and one.adapter:
            ready = name in bundled
            assert (shown[name][0] == "tiny:ready") == ready, name
    assert shown["multitask_r128_tokens"] == ["tiny:ready", "base:training"]
    assert shown["multitask_r128_sam"][0] == "tiny:weights"
    assert shown["multitask_r128"] == ["tiny:ready", "base:Hub"]
    assert shown["florence2_zero_shot"] == ["tiny:ready", "base:Hub"]
    assert shown["blind_question_prior"] == ["tiny:ready", "base:data"]
    assert shown["oracle_annotators"] == ["tiny:data", "base:data"]
    for repo in {"florence-community/Florence-2-base", definitions()["multitask_r128"].published}:
        folder = tmp_path / f"models--{repo.replace('/', '--')}"
        (folder / "snapshots" / ("a" * 40)).mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text("a" * 40)
    (again,) = [line for line in gi_bench("models").stdout.splitlines() if line.startswith("multitask_r128 ")]
    assert "base:ready" in again, "what is in the cache needs no Hub"
    told = {one["name"]: one["state"] for one in json.loads(gi_bench("models", "--json").stdout)}
    assert told["multitask_r128_tokens"] == {"tiny": "ready", "base": "training"}


def test_a_plugin_s_model_that_cannot_say_costs_nothing(gi_bench: CommandLine, tmp_path: Path) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text(
        "from gi_bench import ModelEntry\n"
        "def broken():\n    raise OSError('no disk')\n"
        "MODELS = [ModelEntry('silent', 's', ('answer',), lambda c: None),\n"
        "          ModelEntry('broken', 'b', ('answer',), lambda c: None, state=broken)]\n"
    )
    try:
        lines = gi_bench("models", "--plugin", plugin).stdout.splitlines()
    finally:
        from gi_bench.harness import registry

        registry._plugin_entries["gi_bench.models"].clear()
    for name in ("silent", "broken"):
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert line.split()[1:3] == ["tiny:-", "base:-"]


@pytest.mark.parametrize(
    ("arguments", "near", "kind"),
    [
        (["run", "-m", "multitask_r12"], "multitask_r128", "models"),
        (["run", "-m", "blind_constant", "-s", "phantm"], "phantom/test", "suites"),
        (["compare", "a", "b", "--metric", "bluu"], "bleu", "metrics"),
        (["compare", "a", "b", "--margin", "bluu=0.1"], "bleu", "metrics"),
        (["plan", "-m", "multitask"], "multitask_r128", "models"),
        (["suites", "export", "phantom/tset", "-o", "rows.jsonl"], "phantom/test", "suites"),
    ],
)
def test_unknown_names_say_that_plugins_exist(
    gi_bench: CommandLine, arguments: list[str], near: str, kind: str
) -> None:
    done = gi_bench(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert near in line
    assert f"gi-bench {kind}" in line
    assert "--plugin" in line


def _commands() -> list[tuple[str, ...]]:
    import click
    import typer

    from gi_bench.harness.cli import build_app

    root: Any = typer.main.get_command(build_app())
    found: list[tuple[str, ...]] = []
    for name in root.list_commands(click.Context(root)):
        command = root.commands[name]
        found.append((name,))
        found += [(name, sub) for sub in getattr(command, "commands", {})]
    return found


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_help_has_examples_that_parse(gi_bench: CommandLine, command: tuple[str, ...]) -> None:
    import typer

    from gi_bench.harness.cli import build_app

    text = gi_bench(*command, "--help").stdout
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "  Examples:" in lines
    examples = [line.strip() for line in lines[lines.index("  Examples:") :] if line.startswith("  gi-bench ")]
    assert examples
    for example in examples:
        words = shlex.split(example.partition(" | ")[0])[1:]
        assert tuple(words[: len(command)]) == command
        root: Any = typer.main.get_command(build_app())
        context, parsed = root.make_context("gi-bench", list(words)), root
        while words and hasattr(parsed, "commands") and words[0] in parsed.commands:
            parsed = parsed.commands[words[0]]
            words = words[1:]
            context = parsed.make_context(parsed.name, list(words), parent=context)


def test_no_arguments_show_the_help(gi_bench: CommandLine) -> None:
    done = gi_bench()
    assert done.returncode == 2
    assert "Usage: gi-bench" in done.stdout
    assert "..." not in done.stdout.split("Commands:")[1], "every command's summary is whole"


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
    # A training before in this process may have asked the library for errors only.
    logger.setLevel(logging.WARNING)
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


def test_an_unknown_task_names_no_command_that_is_not_there(gi_bench: CommandLine) -> None:
    done = gi_bench("run", "-m", "blind_constant", "--tasks", "answr")
    assert done.returncode == 2
    assert "did you mean answer? known: answer, ground, explain" in done.stderr
    assert "list them with" not in done.stderr


@pytest.mark.parametrize(("redirected", "code"), [(">/dev/full", 2), (">&-", 0)])
def test_standard_output_that_takes_nothing_is_no_defect(redirected: str, code: int) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")
    command = f"{shlex.join([sys.executable, '-m', 'gi_bench', 'models'])} {redirected}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == code
    lines = ["error: No space left on device; make room, or write elsewhere"] if code else []
    assert done.stderr.splitlines() == lines
