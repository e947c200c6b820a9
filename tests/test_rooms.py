"""Who may import whom: data flows one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "harness": {"baselines", "submissions", "reports"},
    "baselines": {"submissions", "reports"},
    "submissions": {"baselines", "reports"},
    "reports": {"baselines", "submissions"},
}


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_rooms_do_not_import_each_other(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] not in FORBIDDEN[room], f"{path}:{node.lineno} imports {name}"
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"load_pickle", "trust_remote_code"}, f"{path}:{node.lineno}"


def test_weights_are_safetensors_only_and_small() -> None:
    files = [path for path in (ROOT / "baselines" / "weights").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt"}]
    assert sum(path.stat().st_size for path in files) <= 25e6
