"""What a shell completes, through the protocol that it speaks: words in the environment, candidates on stdout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gi_bench.harness.cli import _main
from gi_bench.harness.registry import registered

ROOT = Path(__file__).parents[2]


def _completed(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Candidates for the last word of a line, as bash is given them."""
    words = line.split(" ")
    monkeypatch.setenv("_GI_BENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit) as left:
        _main([])
    assert left.value.code == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out.split()


@pytest.mark.parametrize(
    ("line", "group", "start"),
    [
        ("gi-bench run --model multi", "models", "multi"),
        ("gi-bench run -m blind_constant -m vqa_only_r12", "models", "vqa_only_r12"),
        ("gi-bench run -m ", "models", ""),
        ("gi-bench plan --model blind", "models", "blind"),
        ("gi-bench leaderboard runs --metric region_", "metrics", "region_"),
        ("gi-bench run -m blind_constant --suite pha", "suites", "pha"),
        ("gi-bench score --predictions x.csv -s medico2025", "suites", "medico2025"),
        ("gi-bench suites export paper", "suites", "paper"),
        ("gi-bench compare a b --metric region_", "metrics", "region_"),
    ],
)
def test_names_are_completed(
    line: str, group: str, start: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [name for name in registered(f"gi_bench.{group}") if name.startswith(start)]
    assert expected
    assert _completed(line, monkeypatch, capsys) == expected


def test_commands_studies_and_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert {"run", "report"} <= set(_completed("gi-bench r", monkeypatch, capsys))
    assert "rank-sweep" in _completed("gi-bench study rank", monkeypatch, capsys)
    assert _completed("gi-bench run --model no_such_model", monkeypatch, capsys) == []


def test_a_registry_that_fails_completes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(group: str) -> dict[str, object]:
        raise RuntimeError("a broken plugin")

    from gi_bench.harness.commands import options

    monkeypatch.setattr("gi_bench.harness.registry.registered", failing)
    assert options.complete_models("m") == options.complete_metrics("") == []


def test_completing_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom gi_bench.harness.cli import _main\n"
        "try:\n    _main([])\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', sorted({'torch', 'transformers', 'pyarrow', 'pandas', 'PIL', 'jinja2'} & set(sys.modules)))"
    )
    environment = {
        **os.environ, "_GI_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "gi-bench run --model m", "COMP_CWORD": "3",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "HEAVY []"
    assert "multitask_r128" in done.stdout.split()
