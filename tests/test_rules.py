"""The rules that the tests themselves keep."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import check_reasons, pytest_collection_modifyitems


def _item(mark: Any, name: str = "test_x.py") -> Any:
    return SimpleNamespace(name="test_it", path=Path(name), iter_markers=lambda wanted: [mark.mark])


@pytest.mark.parametrize("mark", [pytest.mark.slow, pytest.mark.slow(reason=""), pytest.mark.slow("takes minutes")])
def test_a_slow_test_says_why(mark: Any) -> None:
    with pytest.raises(pytest.Collector.CollectError, match="test_it is marked slow without a reason"):
        check_reasons(_item(mark))


def test_whole_runs_come_first() -> None:
    mark = pytest.mark.slow(reason="trains for minutes")
    items = [_item(mark), _item(mark, "test_main_job.py")]
    for item in items:
        check_reasons(item)
    pytest_collection_modifyitems(items)
    assert [item.path.name for item in items] == ["test_main_job.py", "test_x.py"]


def test_a_folder_is_made_once(made_once: Any) -> None:
    calls: list[Path] = []

    def fill(folder: Path) -> None:
        calls.append(folder)
        (folder / "a").write_text("x")

    assert made_once("rule", fill) == made_once("rule", fill)
    assert len(calls) == 1
    assert (calls[0] / "a").read_text() == "x"


def _functions() -> list[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    root = Path(__file__).resolve().parents[1]
    found = []
    for room in ("harness", "baselines", "reports", "submissions", "tools", "tests"):
        for path in sorted((root / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found.append((path.relative_to(root), node))
    return found


def _arguments(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Named arguments without self; those of a sub-command are options of the user's, not of a caller's."""
    if path.parent.name == "commands" and not node.name.startswith("_"):
        return 0
    names = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def _lines(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function; of a sub-command without the options in its head."""
    first = node.body[0].lineno if path.parent.name == "commands" else node.lineno
    return (node.end_lineno or first) - first + 1


def test_a_function_fits_on_a_screen() -> None:
    found = _functions()
    assert len(found) > 1000
    long = [f"{path}:{node.name}" for path, node in found if _lines(path, node) > 60]
    wide = [f"{path}:{node.name}" for path, node in found if _arguments(path, node) > 8]
    assert (long, wide) == ([], [])
