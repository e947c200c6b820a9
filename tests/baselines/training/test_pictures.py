"""Pictures of embedded suites are rendered once: later trainings take them from the cache, pixel for pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.baselines.florence2.backbone import PictureSettings
from gi_bench.baselines.registration import HERE
from gi_bench.baselines.training import features
from gi_bench.baselines.training.features import PictureFeed
from gi_bench.harness.suites.phantom.suite import PhantomSuite

COUNT = 5


class Counting(PhantomSuite):
    """A split that counts the pictures that are asked of it."""

    loaded = 0

    def load_image(self, img_id: str) -> Any:
        self.loaded += 1
        return super().load_image(img_id)


@pytest.fixture
def settings() -> PictureSettings:
    return PictureSettings.read(HERE / "weights" / "tiny-florence2")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GI_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(features, "_RENDERED", {})
    return tmp_path / "pictures.sqlite3"


def _checked(settings: PictureSettings) -> tuple[Counting, np.ndarray[Any, Any]]:
    suite = Counting("validation", COUNT)
    feed = PictureFeed(suite, settings)
    feed.check(suite.image_ids)
    return suite, feed.read(suite.image_ids).numpy()


def test_a_second_training_of_a_process_renders_nothing(settings: PictureSettings) -> None:
    first, pixels = _checked(settings)
    second, again = _checked(settings)
    assert (first.loaded, second.loaded) == (COUNT, 0)
    assert (pixels == again).all()


def test_another_process_takes_them_from_the_cache(
    settings: PictureSettings, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pixels = _checked(settings)
    assert cache.is_file()
    monkeypatch.setattr(features, "_RENDERED", {})
    suite, again = _checked(settings)
    assert suite.loaded == 0
    assert (pixels == again).all()


def test_another_size_is_another_picture(settings: PictureSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    _checked(settings)
    monkeypatch.setattr(features, "_RENDERED", {})
    from dataclasses import replace

    suite, pixels = _checked(replace(settings, height=48, width=48))
    assert suite.loaded == COUNT
    assert pixels.shape == (COUNT, 3, 48, 48)


def test_a_damaged_cache_costs_time_only(
    settings: PictureSettings, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pixels = _checked(settings)
    cache.write_bytes(b"no database" * 100)
    monkeypatch.setattr(features, "_RENDERED", {})
    suite, again = _checked(settings)
    assert suite.loaded == COUNT
    assert (pixels == again).all()
