"""The rules that the tests themselves keep."""

from __future__ import annotations

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
