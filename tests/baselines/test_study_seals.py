"""Files of a study that were changed after they were made: refused, or made again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gi_bench.baselines.studies.running import MadeRuns, make_runs
from gi_bench.baselines.studies.workshop import Workshop
from gi_bench.harness.errors import GiBenchError
from tests.baselines.small_studies import SETTINGS, few


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study of two seeds, with masks and looks."""
    from gi_bench.baselines.seeing.looking import Seen, Sight
    from gi_bench.baselines.seeing.measures import Measured

    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workshop, "_load", few)
        patch.setattr(Sight, "look", lambda self, model, run=None: Seen(words=Measured(0.5, 0.4, 0.6, 7)))
        _make(folder)
    return folder


def _make(folder: Path) -> MadeRuns:
    arms, settings = ["vqa_only_r32", "multitask_r128_pseudo"], replace(SETTINGS, seeing=True)
    return make_runs(arms, [0, 1], settings, folder, say=lambda line: None)


@pytest.mark.parametrize(
    ("pattern", "change", "told"),
    [
        ("adapters/vqa_only_r32-seed0-*/card.json", "{}", "changed after it was made"),
        ("adapters/vqa_only_r32-seed0-*/training.jsonl", None, "a file of the study is missing"),
        ("adapters/vqa_only_r32-seed0-*/card.json", None, "a file of the study is missing"),
        ("adapters/vqa_only_r32-seed1-*/adapter_model.safetensors", "x", "changed after it was made"),
        ("adapters/vqa_only_r32-seed0-*.sealed.json", "[1]", "which is made again"),
        ("masks/pseudo-*.parquet", "x", "changed after it was made"),
        ("seeing/vqa_only_r32-seed0-*.json", '{"words": null, "digest": ""}', "changed after it was made"),
        ("seeing/backbone-*.json", "[]", "delete it, and it is made again"),
    ],
)
def test_a_changed_file_of_a_study_is_refused(
    pattern: str, change: str | None, told: str, finished: Path, few_images: None, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(finished, folder)
    (path,) = folder.glob(pattern)
    if change is None:
        path.unlink()
    else:
        path.write_text(change, encoding="utf-8")
    with pytest.raises(GiBenchError) as error:
        _make(folder)
    assert path.name in str(error.value)
    assert told in str(error.value)


@pytest.mark.parametrize(
    "noted", [b"\xb5\xff", b"a" * 5000, b"a\0b", b"../elsewhere", b"vqa_only_r32-seed1", b"pseudo"]
)
def test_a_note_of_another_run_is_not_taken(noted: bytes, finished: Path, few_images: None, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(finished, folder)
    (place,) = (folder / "finished").glob("vqa_only_r32-seed0-*")
    own = place.read_bytes()
    other = next((one for one in (folder / "finished").iterdir() if noted.decode("latin-1") in one.name), None)
    place.write_bytes(noted if other is None else other.read_bytes())
    found = _make(folder)
    assert place.read_bytes() == own
    assert found.runs["vqa_only_r32"][0] == folder / own.decode().strip()
