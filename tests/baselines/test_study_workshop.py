"""What studies are made of: places, estimates, the first images of a suite, pictures made once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gi_bench.baselines.studies.definitions import arm
from gi_bench.baselines.studies.settings import Settings, length
from gi_bench.baselines.studies.workshop import Job, Workshop
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.suites.base import Suite
from tests.baselines.small_studies import SETTINGS, Small


def test_an_estimate_counts_what_is_left_and_who_shares_the_work() -> None:
    from gi_bench.baselines.studies.timing import Estimate

    seconds = {Job("multitask_r128", seed): 60.0 for seed in range(6)}
    left = Estimate(trainings=5, runs=6, done=3, seconds=seconds)
    assert left.line(1) == "about 6 min 00 s for 5 trainings and 6 runs (3 are there already)"
    assert left.line(3) == "about 2 min 00 s for 5 trainings and 6 runs (3 are there already), 3 at once"
    assert left.line(4).startswith("about 2 min 00 s"), "the second round does not fill all processes"
    assert left.line(100).startswith("about 1 min 00 s")
    assert Estimate(0, 0, 1, {}).line(2) == "1 run, nothing is left to do"


def test_a_suite_is_cut_by_images() -> None:
    from gi_bench.baselines.studies.first_images import FirstImages, question_limit

    suite = Small("train", 4)
    assert [question_limit(suite, images) for images in (1, 3, 4, 9)] == [10, 30, 40, 40]
    first = FirstImages(suite, 2)
    assert first.image_ids == suite.image_ids[:2]
    assert [row.index for row in first.phrases] == list(range(len(first.phrases)))
    assert first.questions == suite.questions[:20]
    assert first.fingerprint != suite.fingerprint
    assert first.fingerprint == FirstImages(suite, 2).fingerprint
    first.questions = ()
    with pytest.raises(GiBenchError, match="no questions by which it could be cut"):
        question_limit(first, 1)


def test_rendered_pictures_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gi_bench.baselines.florence2.backbone import PictureSettings
    from gi_bench.baselines.studies.pictures import share_pictures
    from gi_bench.baselines.training.features import PictureFeed

    settings = PictureSettings(24, 24, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 3)
    suite = Small("train", 2)
    plain = PictureFeed(suite, settings).read(suite.image_ids).numpy()
    share_pictures(tmp_path, suite, settings)
    (path,) = tmp_path.iterdir()
    kept = path.read_bytes()
    rendered: list[str] = []
    real = Small.load_image
    monkeypatch.setattr(Small, "load_image", lambda self, img_id: rendered.append(img_id) or real(self, img_id))
    share_pictures(tmp_path, Small("train", 2), settings)
    assert not rendered
    assert np.array_equal(PictureFeed(Small("train", 2), settings).read(suite.image_ids).numpy(), plain)
    path.write_bytes(kept[:100])
    share_pictures(tmp_path, Small("train", 2), settings)
    assert rendered == list(suite.image_ids), "what was cut off is made again"
    assert path.read_bytes() == kept
    path.write_bytes(kept[:-40] + b"\0" + kept[-39:])
    share_pictures(tmp_path, Small("train", 2), settings)
    assert path.read_bytes() == kept, "what was changed as well"


def test_other_rows_or_recipes_are_other_experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def places(few: Suite) -> list[str]:
        monkeypatch.setattr(Workshop, "_load", lambda self, name: few)
        workshop = Workshop(SETTINGS, tmp_path, lambda line: None)
        return [workshop.place(arm(name), 0) for name in ("multitask_r128", "multitask_r32", "multitask_r128_pseudo")]

    first, second = places(Small("test", 3)), places(Small("test", 4))
    assert first == places(Small("test", 3))
    assert not set(first) & set(second)
    assert len({place.rpartition("-")[2] for place in first}) == 3


def test_settings_name_the_folder(tmp_path: Path) -> None:
    folder = SETTINGS.folder(tmp_path)
    assert folder.name.startswith("phantom-test-")
    assert Settings("phantom/test", "phantom/train").folder(tmp_path) != folder
    assert Settings("phantom/test", "phantom/train-small", limit=3).folder(tmp_path) != folder
    assert length(None, None, "phantom/train-small") == (None, 240)
    assert length(2, None, "phantom/train-small") == (2, None)
    assert length(2, 7, "phantom/train-small") == (None, 7)
    assert length(None, None, "kvasir-vqa-x1/train") == (1, None)
    assert str(tmp_path) not in json.dumps(SETTINGS.describe())
