"""Statistics kept between commands are those that the metric would give, or none."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from gi_bench.harness.analysis import kept
from gi_bench.harness.analysis.comparing import compare_runs
from gi_bench.harness.analysis.comparison_text import comparison_json
from gi_bench.harness.cache import Cache, cache_folder
from gi_bench.harness.errors import RunError
from gi_bench.harness.metrics.base import Metric, Statistics, ratio
from gi_bench.harness.registry import registered
from gi_bench.harness.store import Run, open_run
from tests.run_folders import write_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("GI_BENCH_CACHE", str(tmp_path / "cache"))
    return open_run(write_run(tmp_path / "run"))


def _counting(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Metric, list[Path]]:
    """A metric of this package, and the runs that it computed."""
    metric, asked = registered("gi_bench.metrics")[name], list[Path]()

    def compute(run: Run) -> Statistics | str:
        asked.append(run.path)
        return metric.compute(run)

    compute.__module__ = "gi_bench.harness.metrics.text"
    return replace(metric, compute=compute), asked


def _same(one: Statistics, other: Statistics) -> bool:
    return (
        np.array_equal(one.sums, other.sums)
        and one.sums.flags.c_contiguous == other.sums.flags.c_contiguous
        and (one.images, one.slices, one.counts, one.interval)
        == (other.images, other.slices, other.counts, other.interval)
        and list(one.slices) == list(other.slices)
        and one.value is other.value
    )


def test_every_headline_metric_comes_back_as_it_was(run: Run) -> None:
    found = 0
    for name, metric in registered("gi_bench.metrics").items():
        made = metric.compute(open_run(run.path))
        first, again = (kept.statistics_of(metric, open_run(run.path)) for _ in range(2))
        if isinstance(made, str):
            assert (first, again) == (made, made)
            continue
        assert isinstance(again, Statistics)
        packed = kept._packed(made)
        if packed is not None:
            found += 1
            stored = kept._unpacked(packed)
            assert stored is not None
            assert _same(stored, made), name
            assert _same(again, made), name
    assert found >= 3


def test_a_metric_is_computed_once_for_the_same_files(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    metric, asked = _counting("bleu", monkeypatch)
    kept.statistics_of(metric, run)
    kept.statistics_of(metric, open_run(run.path))
    assert len(asked) == 1
    shutil.copytree(run.path, tmp_path / "elsewhere")
    kept.statistics_of(metric, open_run(tmp_path / "elsewhere"))
    assert len(asked) == 1  # the content decides, not the place
    kept.statistics_of(replace(metric, info=replace(metric.info, version=99)), open_run(run.path))
    assert len(asked) == 2
    kept.statistics_of(metric, open_run(run.path).restricted(frozenset({("question", 0)})))
    assert len(asked) == 3


def test_changed_predictions_are_read_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    metric, _ = _counting("bleu", monkeypatch)
    kept.statistics_of(metric, run)
    part = next((run.path / "predictions").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(RunError):
        kept.statistics_of(metric, open_run(run.path))


def test_what_is_damaged_is_made_again(run: Run) -> None:
    metric = registered("gi_bench.metrics")["bleu"]
    made = kept.statistics_of(metric, run)
    assert isinstance(made, Statistics)
    packed = kept._packed(made)
    assert packed is not None
    for damaged in (b"", packed[:40], packed[:-9], b"\xff" * 64, packed.replace(b"bleu_value", b"os_system_")):
        assert kept._unpacked(damaged) is None
    key = kept._key(metric, run)
    assert key is not None
    Cache(cache_folder() / "statistics.sqlite3").put(key, b"nonsense")
    again = kept.statistics_of(metric, open_run(run.path))
    assert isinstance(again, Statistics)
    assert _same(again, made)


def test_statistics_with_functions_of_their_own_are_not_kept() -> None:
    plain = Statistics(np.ones((2, 2)), ("a", "b"), {})
    assert plain.value is ratio
    assert kept._packed(plain) is not None
    assert kept._packed(replace(plain, value=lambda sums: sums[..., 0])) is None
    assert kept._packed(replace(plain, value=partial(ratio))) is None
    assert kept._packed(replace(plain, point=lambda rows: 0.0)) is None
    assert kept._packed(replace(plain, columns=(1, 2))) is None
    assert kept._packed(replace(plain, sums=np.asfortranarray(np.ones((3, 2))))) is None


def test_comparing_twice_gives_the_same(run: Run, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", variant="other", answer=lambda q: "one polyp")
    first, again = (comparison_json(*compare_runs([run.path, other], resamples=200)) for _ in range(2))
    assert first == again
