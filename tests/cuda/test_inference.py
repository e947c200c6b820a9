"""Runs on a GPU: the CPU's answers in float32, the same ones whatever the batch, memory that runs out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gi_bench.harness import store
from gi_bench.harness.engine.run import Settings, evaluate
from gi_bench.harness.schema import Prediction
from gi_bench.harness.suites.phantom.suite import PhantomSuite

MODEL = "multitask_r128"


def _run(suite: PhantomSuite, folder: Path, **asked: object) -> store.Run:
    (finished,) = evaluate([MODEL], suite, output=folder, settings=Settings(**asked))  # type: ignore[arg-type]
    return store.open_run(finished.path)


def _said(run: store.Run) -> list[tuple[str | None, ...]]:
    """All that the network wrote, row by row."""
    return [
        tuple(
            None if reply is None else reply.text for reply in (row.answer_reply, row.ground_reply, row.explain_reply)
        )
        for row in _rows(run)
    ]


def _rows(run: store.Run) -> list[Prediction]:
    return [run.predictions[key] for key in sorted(run.predictions)]


def _equal(run: store.Run, other: store.Run) -> float:
    """Share of the rows for which every reply is the same text."""
    return sum(a == b for a, b in zip(_said(run), _said(other), strict=True)) / len(_rows(run))


@pytest.fixture(scope="module")
def exact(suite: PhantomSuite, tmp_path_factory: pytest.TempPathFactory) -> store.Run:
    """The run in float32 on the GPU."""
    return _run(suite, tmp_path_factory.mktemp("exact"), device="cuda", dtype="float32")


def test_float32_answers_as_the_cpu_does(suite: PhantomSuite, exact: store.Run, tmp_path: Path) -> None:
    there = _run(suite, tmp_path, device="cpu", dtype="float32")
    assert exact.manifest.hardware.device == "cuda"
    assert _equal(exact, there) >= 0.99
    pairs = zip(_rows(exact), _rows(there), _said(exact), _said(there), strict=True)
    alike = [(ours.confidence, theirs.confidence) for ours, theirs, said, other in pairs if said == other]
    assert all(ours == pytest.approx(theirs, abs=1e-3) for ours, theirs in alike)


def test_half_precision_is_close_and_said(suite: PhantomSuite, exact: store.Run, tmp_path: Path) -> None:
    for dtype in ("bfloat16", "float16"):
        half = _run(suite, tmp_path / dtype, device="cuda", dtype=dtype)
        assert half.recipe.dtype == dtype
        assert _equal(half, exact) >= 0.6
        assert all(0 <= row.confidence <= 1 for row in _rows(half) if row.confidence is not None)
    assert _run(suite, tmp_path / "auto", device="cuda").recipe.dtype == "float32", "embedded: the same everywhere"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_batch_decides_no_answer(suite: PhantomSuite, tmp_path: Path, dtype: str) -> None:
    runs = [_run(suite, tmp_path / str(size), device="cuda", dtype=dtype, batch_size=size) for size in (1, 7, 64)]
    assert _equal(runs[0], runs[1]) >= 0.99
    assert _equal(runs[0], runs[2]) >= 0.99


def test_a_run_repeats_to_the_byte(suite: PhantomSuite, exact: store.Run, tmp_path: Path) -> None:
    again = _run(suite, tmp_path, device="cuda", dtype="float32")
    assert again.manifest.parts == exact.manifest.parts


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Some 150 MB, of which the network takes a third, whatever the card has."""
    import torch

    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.15e9 / torch.cuda.get_device_properties(0).total_memory)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.usefixtures("little_memory")
def test_a_batch_that_does_not_fit_is_halved(suite: PhantomSuite, exact: store.Run, tmp_path: Path) -> None:
    run = _run(suite, tmp_path, device="cuda", dtype="float32", batch_size=2048)
    assert run.manifest.batch_halved_count > 0
    assert run.manifest.complete
    assert _equal(run, exact) >= 0.99


def test_auto_grows_and_says_what_it_took(suite: PhantomSuite, exact: store.Run) -> None:
    assert exact.manifest.batch_size > 24
    assert exact.manifest.batch_halved_count == 0
    assert exact.manifest.peak_memory_mb is not None
    assert exact.manifest.model_memory_mb is not None
    assert 0 < exact.manifest.model_memory_mb < exact.manifest.peak_memory_mb < 4000


def test_memory_of_one_run_is_not_that_of_the_run_before(suite: PhantomSuite, tmp_path: Path) -> None:
    large = _run(suite, tmp_path / "large", device="cuda", dtype="float32", batch_size=128)
    small = _run(suite, tmp_path / "small", device="cuda", dtype="float32", batch_size=1)
    assert small.manifest.peak_memory_mb is not None
    assert large.manifest.peak_memory_mb is not None
    assert small.manifest.peak_memory_mb < large.manifest.peak_memory_mb
