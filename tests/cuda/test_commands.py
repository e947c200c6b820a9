"""Commands on a GPU: seeing, and a study with two trainings at once that share the card."""

from __future__ import annotations

import json
from pathlib import Path

from tests.command_line import CommandLine


def test_seeing_looks_on_a_gpu(gi_bench: CommandLine, tmp_path: Path) -> None:
    done = gi_bench("seeing", "-m", "multitask_r128", "--limit", 20, "--device", "cuda", "-o", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_arms_of_a_study_share_a_gpu(gi_bench: CommandLine, tmp_path: Path) -> None:
    done = gi_bench(
        "study", "negatives", "--seeds", 1, "--steps", 20, "--limit", 10, "--train-limit", 40, "--jobs", 2,
        "--device", "cuda", "-o", tmp_path, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["studies"]
