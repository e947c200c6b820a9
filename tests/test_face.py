"""The public face: what ``import gi_bench`` gives, and what it costs. Checked by mypy too (see pyproject.toml)."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gi_bench
from gi_bench import GiBenchError, RunError, UnknownNameError

ROOT = Path(__file__).parents[1]


def _fresh(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter without the site's own imports."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **options)


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys; before = {*sys.modules}; import gi_bench; dir(gi_bench); print(*{*sys.modules} - before)"
    loaded = _fresh(code).stdout.split()
    assert "gi_bench.links" in loaded
    foreign = {name.partition(".")[0] for name in loaded} - {*sys.stdlib_module_names, "gi_bench"}
    assert not foreign
    assert not [name for name in loaded if name.startswith("gi_bench.") and name != "gi_bench.links"]
    assert not {"pathlib", "json", "dataclasses", "inspect", "importlib.metadata"} & {*loaded}


def test_a_type_needs_no_torch_and_no_frames() -> None:
    names = "Answer, Region, ModelEntry, Question, Suite, GiBenchError, CommandEntry, Score, BuildContext, load_plugin"
    code = f"import sys; from gi_bench import {names}; print(*sys.modules)"
    loaded = _fresh(code).stdout.split()
    assert "gi_bench.harness.model" in loaded
    assert not {"torch", "pandas", "pyarrow", "transformers", "numpy", "typer"} & {*loaded}


def test_every_listing_of_the_names_is_the_same() -> None:
    tree = ast.parse((ROOT / "gi_bench" / "__init__.py").read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {
        (node.module, alias.name)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is None
    }
    lazy = {(module, name) for module, names in gi_bench._HOMES.items() for name in names}
    assert typed == lazy
    assert sorted(gi_bench.__all__) == sorted({name for _, name in lazy} | {"__version__"})
    assert len(set(gi_bench.__all__)) == len(gi_bench.__all__)
    assert {*gi_bench.__all__} <= {*dir(gi_bench)}


@pytest.mark.parametrize("name", gi_bench.__all__)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    found = getattr(gi_bench, name)
    assert found is getattr(gi_bench, name)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert found.__name__ == name
        assert len(inspect.getdoc(found) or "") > 20
        # A dataclass without a docstring is given its signature as one.
        assert not (found.__doc__ or "").startswith(f"{name}(")


def test_the_verbs_and_what_a_plugin_needs_are_there() -> None:
    verbs = {"load_suite", "evaluate", "score", "compare", "report", "open_run", "load_plugin"}
    plugin = {
        "Answer", "Ask", "BuildContext", "CommandEntry", "GroundAsk", "Grounding", "Metric", "MetricInfo", "Model",
        "ModelEntry", "Phrase", "Prediction", "Question", "Region", "Settings", "Statistics", "Suite", "SuiteEntry",
    }  # fmt: skip
    assert verbs | plugin | {"Run", "Score", "Scores", "ComparisonTable"} <= {*gi_bench.__all__}
    for verb in verbs:
        hints = inspect.signature(getattr(gi_bench, verb))
        assert hints.return_annotation is not inspect.Signature.empty


def test_every_error_of_the_harness_is_public() -> None:
    from gi_bench.harness import errors

    ours = {name for name, one in vars(errors).items() if inspect.isclass(one) and issubclass(one, GiBenchError)}
    assert ours <= {*gi_bench.__all__}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'scorer'"):
        gi_bench.scorer  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'scorer'"):
        exec("from gi_bench import scorer")
    assert not hasattr(gi_bench, "_answer")


def test_a_name_loads_once_and_is_then_an_attribute() -> None:
    code = "import gi_bench; a = gi_bench.Region; assert 'Region' in vars(gi_bench); assert a is gi_bench.Region"
    assert _fresh(code).returncode == 0


def test_the_face_refuses_nothing_it_lists() -> None:
    assert issubclass(UnknownNameError, GiBenchError)
    assert issubclass(RunError, GiBenchError)
