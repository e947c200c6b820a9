"""Fixtures that several rooms use, and the rules that every test keeps."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before anything loads torch: processes side by side share the cores, or their threads wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    _threads = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_name, str(_threads))

# Tests compare digits, and those of a GPU are others: only tests/cuda sees one, and only where it is asked for.
if not os.environ.get("GI_BENCH_TEST_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import pytest

from tests.command_line import CommandLine

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gi_bench.harness.suites.phantom.scene import Scene

MadeOnce = Callable[[str, Callable[[Path], None]], Path]


def check_reasons(item: pytest.Item) -> None:
    """A test that is marked slow says why.

    Raises:
        pytest.Collector.CollectError: it does not; an error of collection is shown by processes side by side too.
    """
    for mark in item.iter_markers("slow"):
        if not isinstance(mark.kwargs.get("reason"), str) or len(mark.kwargs["reason"].split()) < 2:
            raise pytest.Collector.CollectError(f"{item.name} is marked slow without a reason: slow(reason='...')")


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Every test is checked as it is collected."""
    made = yield
    for item in made if isinstance(made, list) else [made]:
        if isinstance(item, pytest.Item):
            check_reasons(item)
    return made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs come first, so that the cores end at the same time."""
    items.sort(key=lambda item: item.path.name != "test_main_job.py")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real data, which never enters the repository; tests that need it skip without it."""
    folder = Path(os.environ.get("GI_BENCH_SHARED", Path(__file__).parents[1].parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder} (set GI_BENCH_SHARED)")
    return folder


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this session share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def made_once(common: Path) -> MadeOnce:
    """Make a folder once a session, whichever process asks first: ``made_once(name, fill)`` gives the folder."""
    from filelock import FileLock

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = common / f"once-{name}", common / f"once-{name}.done"
        with FileLock(common / f"once-{name}.lock"):
            if not done.exists():
                folder.mkdir()  # raises where an earlier attempt failed: it would fail again
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session", autouse=True)
def _scenes_are_painted_once(common: Path) -> Iterator[None]:
    """A scene that a suite has painted is read again by every other suite and process of this session."""
    import numpy as np

    from gi_bench.harness.suites.phantom import render as module

    painted, folder = module.render, common / "scenes"
    folder.mkdir(exist_ok=True)

    def kept(scene: Scene, size: int = module.IMAGE_SIZE) -> npt.NDArray[np.uint8]:
        # The whole scene is the key: tests change scenes and keep their names.
        path = folder / f"{hashlib.sha256(f'{size} {scene}'.encode()).hexdigest()}.npy"
        if path.exists():
            return np.asarray(np.load(path))
        pixels = painted(scene, size)
        if shutil.disk_usage(folder).free > 2 << 30:
            unfinished = path.with_suffix(f".{os.getpid()}")
            with unfinished.open("wb") as stream:
                np.save(stream, pixels)
            unfinished.replace(path)
        return pixels

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "render", kept)
        yield


@pytest.fixture
def gi_bench(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line in this process, for tests that are about what it says and writes, not about a process."""
    return CommandLine(monkeypatch)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(common: Path) -> None:
    """Tests neither read nor fill the user's cache; what they start inherits the folder."""
    os.environ["GI_BENCH_CACHE"] = str(common / "cache")
