"""Errors that libraries tell by their text alone: one function each, tried on the libraries themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from gi_bench.baselines.training.fitting import of_worker
from gi_bench.baselines.training.loop import is_write_failure
from gi_bench.harness.engine.execute import is_out_of_memory
from gi_bench.harness.errors import DataError


def test_torch_that_cannot_write_is_told_from_a_defect() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    with pytest.raises((OSError, RuntimeError)) as failed:
        torch.save({"x": torch.zeros(100_000)}, full)
    assert is_write_failure(failed.value)
    with pytest.raises(RuntimeError) as defect:
        torch.zeros(2) @ torch.zeros(3)
    assert not is_write_failure(defect.value)
    assert not is_write_failure(ValueError("PyTorchStreamWriter"))


def test_a_cpu_that_has_not_the_memory_is_told_from_a_defect() -> None:
    with pytest.raises(RuntimeError) as failed:
        torch.empty(1 << 55)
    assert is_out_of_memory(failed.value)
    with pytest.raises(RuntimeError) as defect:
        torch.zeros(2) @ torch.zeros(3)
    assert not is_out_of_memory(defect.value)
    assert not is_out_of_memory(ValueError("out of memory"))


class Torn(Dataset[int]):
    """Rows that cannot be read."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        raise DataError("the image does not decode", where="abc.jpg", do="replace it")


def test_a_worker_s_error_is_the_one_that_it_raised() -> None:
    with pytest.raises(DataError) as failed:
        list(DataLoader(Torn(), num_workers=1))
    assert of_worker(failed.value).line() == "the image does not decode (abc.jpg); replace it"
    assert type(of_worker(failed.value)) is DataError
    own = DataError("Catching is not what it begins with", where="x")
    assert of_worker(own) is own
