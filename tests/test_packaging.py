"""What an install brings: one package with all its data, from a checkout, a source distribution or a wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gi_bench.links import ROOMS

ROOT = Path(__file__).parents[1]
BUILT_FROM = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "gi_bench", *ROOMS)
# Folders that must not be packed, and what an editor or a run leaves behind.
BESIDE = ("tests", "tools", "docs")


def _run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True, check=False, **options)


def _copy(folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    """The checkout as it stands, links as links, without what builds and runs leave behind."""
    folder.mkdir()
    for name in (*BUILT_FROM, *BESIDE):
        if (ROOT / name).is_dir():
            left = shutil.ignore_patterns("__pycache__", "*.pyc", *without)
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=left)
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)
    return folder


def _wheel(source: Path, output: Path) -> subprocess.CompletedProcess[str]:
    return _run(
        sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
        "--disable-pip-version-check", "-w", output, source,
    )  # fmt: skip


def _content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _copy(tmp_path_factory.mktemp("packaging") / "checkout")


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    """A wheel out of the checkout."""
    output = checkout.parent / "wheels"
    built = _wheel(checkout, output)
    assert built.returncode == 0, built.stderr
    (found,) = output.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(checkout: Path) -> Path:
    """A source distribution, made by the hook that every front end calls."""
    output = checkout.parent / "sdists"
    output.mkdir()
    code = f"from setuptools import build_meta; print(build_meta.build_sdist({str(output)!r}))"
    built = _run(sys.executable, "-c", code, cwd=checkout)
    assert built.returncode == 0, built.stderr
    return output / built.stdout.splitlines()[-1]


def test_a_wheel_holds_one_package_with_everything_that_lies_in_its_rooms(wheel: Path) -> None:
    content = _content(wheel)
    assert {name.partition("/")[0] for name in content if ".dist-info/" not in name} == {"gi_bench"}
    wanted = {"gi_bench/py.typed": ROOT / "gi_bench" / "py.typed"}
    for file in [*(ROOT / "gi_bench").glob("*.py"), *(file for room in ROOMS for file in (ROOT / room).rglob("*"))]:
        relative = file.relative_to(ROOT)
        if file.is_file() and "__pycache__" not in relative.parts:
            wanted[(Path("gi_bench") / relative if relative.parts[0] != "gi_bench" else relative).as_posix()] = file
    packed = {name for name in content if name.startswith("gi_bench/")}
    assert packed == {*wanted}
    for name, file in wanted.items():
        assert content[name] == file.read_bytes(), name
    info = f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info"
    assert content[f"{info}/top_level.txt"].split() == [b"gi_bench"]
    assert b"gi-bench = gi_bench.__main__:main" in content[f"{info}/entry_points.txt"]
    licences = {name.rpartition("/")[2] for name in content if name.startswith(f"{info}/licenses/")}
    assert licences == {"LICENSE", "WORDNET_LICENSE"}


@pytest.mark.parametrize(
    "name",
    [
        "baselines/variants.toml", "baselines/studies/studies.toml", "baselines/data/masks/clipseg.toml",
        "baselines/weights/tiny-florence2/model.safetensors", "reports/published.toml",
        "reports/templates/comparison.html.j2", "harness/metrics/data/wordnet-3.0.txt.xz",
        "harness/metrics/data/WORDNET_LICENSE", "py.typed",
    ],
)  # fmt: skip
def test_data_that_the_package_reads_is_in_the_wheel(wheel: Path, name: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.getinfo(f"gi_bench/{name}").file_size > 0 or name == "py.typed"


def test_a_source_distribution_holds_no_link_and_no_tests_and_builds_the_same_wheel(
    sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
        assert {member.type for member in members} == {tarfile.REGTYPE, tarfile.DIRTYPE}  # Windows unpacks no links
    shutil.unpack_archive(sdist, tmp_path)
    (source,) = tmp_path.iterdir()
    files = {member.name.partition("/")[2] for member in members if member.isfile()}
    assert not {name for name in files if name.split("/")[0] in BESIDE}
    assert {"pyproject.toml", "setup.py", "README.md", "LICENSE", "gi_bench/harness/cli.py"} <= files
    built = _wheel(source, tmp_path / "wheels")
    assert built.returncode == 0, built.stderr
    (again,) = (tmp_path / "wheels").glob("*.whl")
    first, second = _content(wheel), _content(again)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name] and not name.endswith("/RECORD")] == []


# An installed wheel, among folders that bear the names of the rooms.


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The scripts of a new environment with the wheel in it, which finds its dependencies in this one."""
    folder = wheel.parent.parent / "environment"
    made = _run(sys.executable, "-m", "venv", "--without-pip", folder)
    assert made.returncode == 0, made.stderr
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    put = _run(
        sys.executable, "-m", "pip", "--python", binaries / "python", "install", "-q", "--no-deps", "--no-index",
        "--disable-pip-version-check", wheel,
    )  # fmt: skip
    assert put.returncode == 0, put.stderr
    asked = _run(binaries / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    lent = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    # A path in a .pth file is searched, but the .pth files in it are not read: our own editable install stays out.
    (Path(asked.stdout.strip()) / "lent.pth").write_text("\n".join(lent), encoding="utf-8")
    return binaries


@pytest.fixture
def among_namesakes(tmp_path: Path) -> dict[str, Any]:
    """Options of a process in a folder whose packages have the rooms' names, and are searched first."""
    for room in (*ROOMS, "tests", "tools"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("raise SystemExit('the wrong package')", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "GI_BENCH_CACHE": str(tmp_path / "cache")}
    return {"cwd": tmp_path, "env": environment}


def test_an_installed_wheel_works_among_namesakes(installed: Path, among_namesakes: dict[str, Any]) -> None:
    from gi_bench import __version__

    where = _run(installed / "python", "-c", "import gi_bench; print(gi_bench.__file__)", **among_namesakes)
    assert Path(where.stdout).is_relative_to(installed.parent), where.stderr
    version = _run(installed / "gi-bench", "--version", **among_namesakes)
    assert (version.stdout, version.returncode) == (f"gi-bench {__version__}\n", 0), version.stderr
    as_module = _run(installed / "python", "-m", "gi_bench", "--version", **among_namesakes)
    assert as_module.stdout == version.stdout, as_module.stderr
    models = _run(installed / "gi-bench", "models", **among_namesakes)
    assert models.returncode == 0, models.stderr
    assert {"blind_constant", "multitask_r128_neg"} <= {line.split()[0] for line in models.stdout.splitlines()}
    wrong = _run(installed / "gi-bench", "run", "-m", "blind_constnt", **among_namesakes)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: unknown model")


def test_an_installed_wheel_runs_a_plugin(installed: Path, among_namesakes: dict[str, Any]) -> None:
    plugin = Path(among_namesakes["cwd"]) / "plugin.py"
    plugin.write_text(
        textwrap.dedent(
            """
            from gi_bench import Answer, ModelEntry, Question, Suite, SuiteEntry

            class Yes:
                tasks, needs_image, settings, batch_size = frozenset({"answer"}), False, {"kind": "yes"}, 4
                def answer(self, features, asks):
                    return [Answer("yes") for ask in asks]
                def close(self):
                    pass

            class One(Suite):
                name, has_images = "one/test", False
                questions, phrases = [Question(0, "a", "Is it?", "yes", ("polyp_count",), 1)], []

            MODELS = [ModelEntry("yes", "says yes", ("answer",), lambda context: Yes())]
            SUITES = [SuiteEntry("one/test", "one question", lambda folder: One())]
            """
        ),
        encoding="utf-8",
    )
    done = _run(installed / "gi-bench", "run", "--plugin", plugin, "-m", "yes", "-s", "one", **among_namesakes)
    assert done.returncode == 0, done.stderr
    assert "report: runs/one-test/report.html" in done.stdout
    assert (plugin.parent / "runs" / "one-test" / "report.html").is_file()


def test_an_installed_wheel_runs_the_embedded_suite(installed: Path, among_namesakes: dict[str, Any]) -> None:
    done = _run(installed / "gi-bench", "run", "-m", "blind_constant", "--limit", "3", **among_namesakes)
    assert done.returncode == 0, done.stderr
    assert "272ee9994d184d7a" in done.stdout
    (folder,) = (Path(among_namesakes["cwd"]) / "runs" / "phantom-test").glob("blind_constant-*")
    assert (folder / "scores.json").is_file()


# A clone without symbolic links, as git makes it on Windows.


@pytest.fixture(scope="module")
def without_links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which every link is a text file; weights left out."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    folder = tmp_path_factory.mktemp("links")
    source = _copy(folder / "source", without=("weights", "*.xz"))
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for step in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "all")):
        done = _run(*git, *step, cwd=source)
        assert done.returncode == 0, done.stderr
    # As option of `clone`, so that it stays the clone's own setting, as on Windows.
    done = _run(*git, "clone", "-q", "-c", "core.symlinks=false", source, folder / "clone")
    assert done.returncode == 0, done.stderr
    assert (folder / "clone" / "gi_bench" / "harness").read_text(encoding="utf-8") == "../harness"
    return folder / "clone"


_SAID = "gi_bench/harness is no folder: this checkout has no symbolic links"


@pytest.mark.parametrize(
    "code",
    [
        "import gi_bench.harness.cli",
        "from gi_bench.harness.model import Answer",
        "import gi_bench.reports",
        "from gi_bench import load_suite",
        "import gi_bench; gi_bench.score",
        "from gi_bench import verbs",
    ],
)
def test_a_clone_without_links_says_what_to_do(without_links: Path, code: str) -> None:
    done = _run(sys.executable, "-c", code, cwd=without_links)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {_SAID}")
    assert "git config core.symlinks true && git checkout -- gi_bench" in last
    assert "developer mode" in last


def test_a_clone_without_links_runs_no_command(without_links: Path) -> None:
    done = _run(sys.executable, "-m", "gi_bench", "models", cwd=without_links)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {_SAID}")


def test_a_clone_without_links_is_not_built(without_links: Path, tmp_path: Path) -> None:
    done = _wheel(without_links, tmp_path / "wheels")
    assert done.returncode != 0
    assert f"error: {_SAID}" in done.stdout + done.stderr
    assert not list(tmp_path.rglob("*.whl"))


def test_what_a_clone_without_links_says_helps(without_links: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(without_links, clone, symlinks=True)
    done = _run("git", "config", "core.symlinks", "true", cwd=clone)
    assert done.returncode == 0
    done = _run("git", "checkout", "--", "gi_bench", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert (clone / "gi_bench" / "harness").is_symlink()
    assert _run("git", "status", "--porcelain", "gi_bench", cwd=clone).stdout == ""
    version = _run(sys.executable, "-m", "gi_bench", "--version", cwd=clone)
    assert version.returncode == 0, version.stderr
