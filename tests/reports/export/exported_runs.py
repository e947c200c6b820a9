"""Runs exported for other tools, and what these tools read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import EvalResult
from huggingface_hub.repocard_data import model_index_to_eval_results

from gi_bench.reports.export.command import Target, export_run

TARGETS = [target.value for target in Target]
HOSTILE = (
    "\x1b[2J\x00a\u202eb\u2028c\x85\"'|`*_[x](javascript:alert(1))<script>alert(1)</script>\n---\n"
    "- evil: {{7*7}}\r\n# h"
)


def files_of(folder: Path) -> dict[str, bytes]:
    """Bytes of all files below a folder, by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def exported(run: Path, to: str, folder: Path, **options: str) -> Path:
    """Export a run into a folder; a test skips where the format's package is missing."""
    if to == "inspect":
        pytest.importorskip("inspect_ai", reason="inspect-ai is not installed: pip install 'gi-bench[inspect]'")
    export_run(run, Target(to), folder, **options)
    return folder


def card_results(card: Path) -> list[EvalResult]:
    """The scores of a card, as the Hub reads them."""
    name, found = model_index_to_eval_results(yaml.safe_load(card.read_text().split("---\n")[1])["model-index"])
    assert name
    return list(found)


def read_lm_eval(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Results and samples in the layout of lm-eval."""
    (results,), (samples,) = folder.glob("*/results_*.json"), folder.glob("*/samples_*.jsonl")
    assert samples.parent == results.parent
    lines = samples.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert len(samples.read_text(encoding="utf-8").splitlines()) == len(lines)
    return json.loads(results.read_text(encoding="utf-8")), [json.loads(line) for line in lines]
