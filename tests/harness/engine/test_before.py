"""What can be known before the first of several models starts is known by then."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness.devices import choose_dtype
from gi_bench.harness.engine.run import Settings, evaluate
from gi_bench.harness.errors import CheckpointError, DataError, GiBenchError
from gi_bench.harness.registry import load_suite, model_entry
from gi_bench.harness.schema import Question
from gi_bench.harness.suites.base import Suite, SuiteEntry
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from gi_bench.harness.suites.specs import SuiteSpec
from gi_bench.harness.suites.splits.making import gather, make_split, rows_of_suite
from gi_bench.harness.suites.splits.suite import split_side
from tests.scripted import ScriptedModel, entry


def _runs(tmp_path: Path, last: Any, suite: Suite | None = None, **settings: Any) -> ScriptedModel:
    model = ScriptedModel()
    with pytest.raises(GiBenchError) as refused:
        evaluate([entry(model, "first"), last], suite or PhantomSuite("validation", 2), output=tmp_path / "runs",
                 settings=Settings(device="cpu", **settings))  # fmt: skip
    assert model.encoded == [], "the first had not started"
    assert not (tmp_path / "runs").exists()
    model.error = refused.value  # type: ignore[attr-defined]
    return model


def test_a_prior_without_training_rows_is_told_before_the_first_starts(tmp_path: Path) -> None:
    suite = PhantomSuite("validation", 2)
    suite.train_suite = suite.mask_suite = None
    error = _runs(tmp_path, model_entry("blind_question_prior"), suite).error  # type: ignore[attr-defined]
    assert "needs training rows" in error.what


@pytest.mark.parametrize(
    ("last", "settings"), [("multitask_r128_tokens", {"backbone": "base"}), ("multitask_r128_sam", {})]
)
def test_a_missing_checkpoint_is_told_before_the_first_starts(
    tmp_path: Path, last: str, settings: dict[str, str]
) -> None:
    error = _runs(tmp_path, model_entry(last), **settings).error  # type: ignore[attr-defined]
    assert isinstance(error, CheckpointError)
    assert f"no checkpoint of {last}" in error.what


def test_a_damaged_checkpoint_and_a_list_of_images_are_told_before_the_first_starts(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(b"\xff" * 40)
    error = _runs(tmp_path, model_entry("multitask_r32"), checkpoint=str(tmp_path / "adapter")).error  # type: ignore[attr-defined]
    assert "cannot load the adapter" in error.what
    missing = tmp_path / "no-list.txt"
    error = _runs(tmp_path, model_entry("blind_constant"), training_images=missing).error  # type: ignore[attr-defined]
    assert str(missing) in error.where


def _layout(folder: Path, images: int) -> Path:
    """Kvasir's layout with training rows of three images, of which some are there, and test rows of one that is."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    (folder / "data").mkdir(parents=True)
    (folder / "images").mkdir()
    for split, ids in (("train", ["b0", "b1", "b2"]), ("test", ["a0"])):
        rows = [
            {
                "img_id": img_id, "complexity": 1, "question": "How many polyps are there?", "answer": f"{number} seen",
                "original": json.dumps([{"q": "How many polyps?", "a": "1"}]), "question_class": ["polyp_count"],
                "image": f"https://host/{img_id}.jpg",
            }
            for number, img_id in enumerate(ids)
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{split}-00000-of-00001.parquet")
    for number, img_id in enumerate(["a0", "b0", "b1", "b2"][: 1 + images]):
        Image.new("RGB", (30, 20), (9 * number, 0, 0)).save(folder / "images" / f"{img_id}.jpg")
    return folder


def test_a_teacher_needs_no_images_to_teach_words(tmp_path: Path) -> None:
    folder = _layout(tmp_path / "data", images=1)
    (done,) = evaluate(["blind_question_prior"], "kvasir-vqa-x1/test", data=folder, output=tmp_path / "runs",
                       settings=Settings(device="cpu"))  # fmt: skip
    assert done.scores.counts["learnt from: rows"] == 3
    with pytest.raises(DataError, match="2 images are missing, the first is b1"):
        evaluate(["blind_question_prior"], "kvasir-vqa-x1/train", data=folder, train_suite="kvasir-vqa-x1/train",
                 output=tmp_path / "runs", settings=Settings(device="cpu"))  # fmt: skip


def test_leave_out_priors_say_how_many_images_taught_them(tmp_path: Path) -> None:
    suite = PhantomSuite("validation", 5)
    (done,) = evaluate(["blind_question_prior"], suite, train_suite=suite.name, output=tmp_path,
                       settings=Settings(device="cpu", limit=20))  # fmt: skip
    training = json.loads((done.path / "training.json").read_text())
    learnt = json.loads((done.path / "manifest.json").read_text())["recipe"]["model"]["training_image_count"]
    assert training["image_count"] == learnt > 0
    assert training["seen"] == [], "an image's own rows never teach"


class Declared(Suite):
    """A plugin's suite that is embedded by its declaration."""

    name, phrases, has_images, spec = "declared/test", (), False, SuiteSpec(family="declared", is_embedded=True)
    questions = tuple(Question(i, f"i{i % 4}", f"Is it {i}?", "yes", ("polyp_count",), 1) for i in range(8))


@pytest.mark.parametrize("suite", [PhantomSuite("validation", 8), Declared()], ids=["phantom", "plugin"])
def test_a_side_of_a_split_computes_as_precisely_as_its_suite(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gi_bench.harness.devices.cpu_has_bfloat16", lambda: True)
    opened = SuiteEntry(suite.name, "", lambda data: suite).open(None)
    split = make_split(gather(rows_of_suite(opened)), fraction=0.5)
    split.write(tmp_path / "split.json")
    for side in ("train", "test"):
        half = split_side(opened, f"{tmp_path / 'split.json'}:{side}")
        assert choose_dtype("auto", "cpu", exact=opened.is_embedded) == "float32"
        assert choose_dtype("auto", "cpu", exact=half.is_embedded) == "float32"


def test_a_view_of_the_phantom_is_embedded_too() -> None:
    assert load_suite("phantom/validation@cross-wording").is_embedded


@pytest.mark.parametrize("has_images", [True, False])
def test_a_blind_plugin_may_ground(tmp_path: Path, has_images: bool) -> None:
    """Declared in its entry or by the model alone, on suites with and without images."""
    suite = PhantomSuite("validation", 2)
    suite.has_images = has_images

    class Blind(ScriptedModel):
        needs_image = False

        def answer(self, features: Any, asks: Any) -> Any:
            assert features == [None] * len(asks)
            return super().answer([0.0] * len(asks), asks)

    for number, declared in enumerate((True, False)):
        made = replace(entry(Blind(), f"blind{number}"), needs_image=declared)
        (done,) = evaluate([made], suite, output=tmp_path, settings=Settings(device="cpu", limit=20))
        assert done.scores.find("region_iou") is not None
