"""Who may import whom: data flows one way."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
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
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                assert name.split(".")[0] not in FORBIDDEN, f"{path}:{node.lineno} imports {name} by its bare name"
                package, _, rest = name.partition(".")
                if package == "gi_bench":
                    assert not uses_the_face(name), f"{path}:{node.lineno} imports {name} from the public face"
                    assert rest.split(".")[0] not in FORBIDDEN[room], f"{path}:{node.lineno} imports {name}"


def uses_the_face(name: str) -> bool:
    """Whether an import takes a name from the package itself, which lies above the rooms; its version lies below."""
    rest = name.partition(".")[2]
    return rest.split(".")[0] not in FORBIDDEN and rest != "__version__"


@pytest.mark.parametrize("name", ["gi_bench", "gi_bench.Answer", "gi_bench.verbs", "gi_bench.*", "gi_bench.score"])
def test_the_guard_of_the_face_fires(name: str) -> None:
    assert uses_the_face(name)
    assert not uses_the_face("gi_bench.__version__")
    assert not uses_the_face("gi_bench.harness.model.Answer")
    assert not uses_the_face("gi_bench.harness")


def foreign_code(source: str) -> list[str]:
    """Line and name of everything in a source that could run code out of data: remote code, pickles, evaluation."""
    found = []
    for node in ast.walk(ast.parse(source)):
        name = None
        if isinstance(node, ast.keyword):
            refused = isinstance(node.value, ast.Constant) and node.value.value is False
            name = node.arg if node.arg in {"trust_remote_code", "allow_pickle"} and not refused else None
            name = "weights_only" if node.arg == "weights_only" and refused else name
        elif isinstance(node, (ast.Dict, ast.Subscript)):  # {"trust_remote_code": True}, settings["trust_remote_code"]
            pairs = zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else [(node.slice, None)]
            named = {k.value: v for k, v in pairs if isinstance(k, ast.Constant)}
            value = named.get("trust_remote_code", False)
            refused = value is False or (isinstance(value, ast.Constant) and value.value is False)
            name = None if refused else "trust_remote_code"
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            name = next(
                (m for m in modules if m.split(".")[0] in {"pickle", "dill", "joblib", "marshal", "shelve"}), None
            )
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            safe = any(k.arg == "weights_only" and getattr(k.value, "value", None) is True for k in node.keywords)
            name = called if called in {"eval", "exec"} or (called == "torch.load" and not safe) else None
        if name:
            found.append(f"{node.lineno if hasattr(node, 'lineno') else node.value.lineno}: {name}")
    return found


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_nothing_runs_code_out_of_data(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        assert not foreign_code(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    "source",
    [
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
        "AutoModel.from_pretrained(x, trust_remote_code=flag)",
        "AutoModel.from_pretrained(x, **{'trust_remote_code': True})",
        "settings['trust_remote_code'] = 1",
        "import pickle",
        "from joblib import load",
        "numpy.load(x, allow_pickle=True)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "eval(x)",
    ],
)
def test_the_guard_fires(source: str) -> None:
    assert len(foreign_code(source)) >= 1


def test_the_guard_lets_refusals_pass() -> None:
    assert not foreign_code("AutoModel.from_pretrained(x, trust_remote_code=False); torch.load(x, weights_only=True)")
    assert not foreign_code("arguments = {'trust_remote_code': False, 'device': device}")


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_a_room_has_one_name(room: str) -> None:
    """The folder lies at the top of the repository; imported from there, every module would exist twice."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import gi_bench.{room}; import {room}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.strip().endswith(f"ImportError: {room} is a part of gi-bench: import gi_bench.{room}")


def test_a_folder_of_the_users_changes_nothing(tmp_path: Path) -> None:
    for room in FORBIDDEN:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("raise SystemExit('the wrong package')", encoding="utf-8")
    code = (
        "from gi_bench.harness.registry import registered; [registered(f'gi_bench.{g}') for g in "
        "('models', 'suites', 'metrics', 'commands')]"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_weights_are_safetensors_only_and_small() -> None:
    files = [path for path in (ROOT / "baselines" / "weights").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt"}]
    assert sum(path.stat().st_size for path in files) <= 25e6


def test_the_layers_hold() -> None:
    """The import contracts of pyproject.toml, between the rooms and inside them."""
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed")
    result = subprocess.run([str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-4000:]
    assert " 0 broken" in result.stdout
