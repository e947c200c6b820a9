"""The pages about Python hold what they say: their code runs, and every public name and column is on them.

A block of Python whose first line is a comment with a file's name is that file; the others run in order, in one
namespace and an empty folder.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import gi_bench
from gi_bench import ComparisonTable, open_run, score
from tests.run_folders import write_run

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\w+\.py)\n")
# Each block is compiled under the page's name and at its line, so that a traceback points into the page.
_RUN = """
import json, sys
page = sys.argv[1]
names = {"__name__": "__main__"}
for line, code in json.loads(sys.stdin.read()):
    exec(compile("\\n" * line + code, page, "exec"), names)
"""


def blocks(page: Path) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """The files that a page shows, by name, and its other blocks with the number of lines before them."""
    text = page.read_text(encoding="utf-8")
    files, steps = {}, []
    for found in _BLOCK.finditer(text):
        code = found[1]
        named = _FILE.match(code)
        if named:
            assert named[1] not in files, f"{page.name} shows {named[1]} twice"
            files[named[1]] = code
        else:
            steps.append((text[: found.start(1)].count("\n"), code))
    return files, steps


@pytest.mark.parametrize("name", ["python.md", "plugins.md"])
def test_the_code_of_a_page_runs(name: str, tmp_path: Path) -> None:
    import json

    files, steps = blocks(DOCS / name)
    assert len(files) + len(steps) >= 4
    for file, code in files.items():
        (tmp_path / file).write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning:__main__", "-c", _RUN, name],
        input=json.dumps(steps),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_failing_block_fails_the_test_at_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n```python\n# a.py\nx = 1\n```\n\n```python\nfrom a import x\nassert x == 2\n```\n")
    files, steps = blocks(page)
    assert files == {"a.py": "# a.py\nx = 1\n"}
    ((line, code),) = steps
    assert (page.read_text().splitlines()[line], code) == ("from a import x", "from a import x\nassert x == 2\n")


def test_every_public_name_is_on_a_page() -> None:
    text = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("python.md", "plugins.md"))
    missing = [name for name in gi_bench.__all__ if not re.search(rf"\b{name}\b", text)]
    assert missing == ["__version__"]


def test_what_the_pages_import_is_public() -> None:
    for name in ("python.md", "plugins.md"):
        text = (DOCS / name).read_text(encoding="utf-8")
        assert not re.findall(r"(?:from|import) gi_bench\.(?!models|suites|metrics|commands)\w+", text), name
        files, steps = blocks(DOCS / name)
        for code in [*files.values(), *(code for _, code in steps)]:
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.ImportFrom) and node.module == "gi_bench":
                    assert {alias.name for alias in node.names} <= {*gi_bench.__all__}, name


def test_every_column_is_on_the_page(tmp_path: Path) -> None:
    text = (DOCS / "python.md").read_text(encoding="utf-8")
    run = open_run(write_run(tmp_path / "run"))
    frames = [
        run.to_frame(),
        run.to_frame("phrases"),
        score(run, metrics="exact_match", resamples=0).to_frame(),
        ComparisonTable((), {}, ()).to_frame(),
    ]
    named = [name for name in re.findall(r"`([\w*]+)`", text) if not name.startswith("*")]
    columns = {column for frame in frames for column in frame.columns}
    assert not sorted(column for column in columns if not any(fnmatchcase(column, name) for name in named))
