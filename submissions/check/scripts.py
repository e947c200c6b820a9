"""The two Python files of a submission: read as text and as a syntax tree, never run."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.check.folder import Folder
from gi_bench.submissions.check.info import check_info
from gi_bench.submissions.editions import Patch, Task1
from gi_bench.submissions.template import BRING

MOST_BYTES = 2_000_000
# The organisers' expressions take time in the square of a line's length; no line that they mean is that long.
LONG_LINE = 400
_NAME = "SUBMISSION_INFO"


@dataclass(frozen=True)
class Script:
    """A script that is Python.

    Attributes:
        name: of the file.
        text, tree: its content.
        info: value of SUBMISSION_INFO; None where it is not written out.
        info_lines: first and last line of it; (0, 0) where there is none.
    """

    name: str
    text: str
    tree: ast.Module
    info: Any = None
    info_lines: tuple[int, int] = (0, 0)


def read_script(folder: Folder, name: str, found: Findings) -> Script | None:
    """Parse a script and look at its SUBMISSION_INFO; None, reported, where it is no Python."""
    text = folder.read_text(name, MOST_BYTES, found)
    if text is None:
        return None
    tree = parse_python(text, name, found)
    if tree is None:
        return None
    node, lines = _info_node(tree), info_lines(tree)
    if node is None:
        found.add("info-missing", f"the client needs a dictionary {_NAME} at the script's top level", name)
        return Script(name, text, tree)
    try:
        value = ast.literal_eval(node.value) if node.value is not None else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        found.add("info-literal", "write the six fields out as texts", name, node.lineno)
        return Script(name, text, tree, None, lines)
    check_info(value, name, node.lineno, found)
    return Script(name, text, tree, value, lines)


def parse_python(
    text: str, name: str, found: Findings, code: str = "script-syntax", what: str = ""
) -> ast.Module | None:
    """Syntax tree of a script; None, reported, where it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its escapes
            return ast.parse(text)
    except SyntaxError as error:
        found.add(code, f"{what}{error.msg}", name, error.lineno or 0)
    except (ValueError, RecursionError, MemoryError) as error:
        found.add(code, f"{what}{type(error).__name__}: it cannot be parsed", name)
    return None


def _info_node(tree: ast.Module) -> ast.Assign | ast.AnnAssign | None:
    last = None
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and any(getattr(one, "id", "") == _NAME for one in targets):
            last = node
    return last


def info_lines(tree: ast.Module) -> tuple[int, int]:
    """First and last line of a script's SUBMISSION_INFO; (0, 0) where it has none."""
    node = _info_node(tree)
    return (0, 0) if node is None else (node.lineno, node.end_lineno or node.lineno)


def check_task1(script: Script, table: Task1, found: Findings) -> None:
    """Apply the organisers' changes as they do, and look at what is left."""
    for number, line in enumerate(script.text.split("\n"), start=1):
        if BRING in line and line.lstrip().startswith("raise"):
            found.add("model-missing", line.strip(), script.name, number)
    for patch in table.patches:
        _check_patch(script, patch, found)


def _check_patch(script: Script, patch: Patch, found: Findings) -> None:
    short, kept = _without_long_lines(script.text)
    for pattern, becomes in patch.replacements:
        # Each alone: what is found in a comment only leaves the code as it was.
        changed, missing = Patch(patch.name, ((pattern, becomes),)).apply(short)
        if missing:
            found.add("patch-missing", f"{patch.name}: {shown(pattern)}", script.name)
        elif _same_code(changed, short):
            found.add("patch-missing", f"{patch.name}: {shown(pattern)} is in a comment or a text only", script.name)
    patched, missing = patch.apply(short)
    if missing:
        return
    patched = re.sub(r"__long_line_(\d+)__", lambda found_at: kept[int(found_at.group(1))], patched)
    tree = parse_python(patched, script.name, found, "patch-breaks", f"{patch.name}: after it, ")
    if tree is None:
        return
    before, after = _assigned(script.tree), _assigned(tree)
    for name, line in _loaded(tree).items():
        if name in before and name not in after:
            text = f"{patch.name}: it takes {name} away, which the script still uses"
            found.add("patch-breaks", text, script.name, line)


def _without_long_lines(text: str) -> tuple[str, list[str]]:
    kept: list[str] = []
    lines = []
    for line in text.split("\n"):
        if len(line) > LONG_LINE:
            lines.append(f"__long_line_{len(kept)}__")
            kept.append(line)
        else:
            lines.append(line)
    return "\n".join(lines), kept


def _same_code(one: str, other: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _bare(ast.parse(one)) == _bare(ast.parse(other))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # told elsewhere


def _bare(tree: ast.Module) -> str:
    """A tree without the texts that stand alone as statements, which do nothing."""

    class Drop(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> ast.AST:
            is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            return ast.Pass() if is_text else node

    return ast.dump(Drop().visit(tree))


def _assigned(tree: ast.Module) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _loaded(tree: ast.Module) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.setdefault(node.id, node.lineno)
    return found


def check_task2(script: Script, found: Findings) -> None:
    """The client loads the script of subtask 2 as a module: whatever it does then happens there."""
    for node in script.tree.body:
        if isinstance(node, ast.Raise):
            found.add("script-raises", "raise at the top level", script.name, node.lineno)
        elif _does_something(node):
            found.add("script-runs", shown(ast.unparse(node).partition("\n")[0]), script.name, node.lineno)
    for name, line in _imports(script.tree):
        if name not in sys.stdlib_module_names and name not in (
            "datasets",
            "transformers",
            "gradio_client",
            "huggingface_hub",
        ):
            found.add("script-imports", f"{shown(name)}; put the import into a function", script.name, line)


def _does_something(node: ast.stmt) -> bool:
    if isinstance(node, ast.If):
        return "__main__" not in ast.unparse(node.test)
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        return any(isinstance(one, (ast.Call, ast.Await)) for one in ast.walk(node))
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    return not isinstance(
        node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass)
    )


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            for one in node.names:
                yield one.name.partition(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield ("." if node.level else "") + (node.module or "").partition(".")[0], node.lineno


def check_remote_code(script: Script, found: Findings) -> None:
    """Report every place where code of a repository may run."""
    for node in ast.walk(script.tree):
        if not isinstance(node, ast.keyword) or node.arg != "trust_remote_code":
            continue
        if not (isinstance(node.value, ast.Constant) and node.value.value in (False, None)):
            found.add("remote-code", "pin the revision, and say so in the card", script.name, node.value.lineno)


__all__ = [
    "LONG_LINE",
    "Script",
    "check_remote_code",
    "check_task1",
    "check_task2",
    "info_lines",
    "parse_python",
    "read_script",
]
