"""The suites of the real track beyond the official splits: 2026, augmented, hidden, the paper's regions, export."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gi_bench.harness.cli import main
from gi_bench.harness.errors import DataError
from gi_bench.harness.registry import load_suite
from gi_bench.harness.schema import Region
from gi_bench.harness.suites import augmented
from tests.harness.suites.test_kvasir import ROW, _folder


def test_the_2026_subsets_are_those_of_2025(shared: Path) -> None:
    data = shared / "data" / "kvasir-vqa-x1"
    for number in (1, 2):
        ours, theirs = (load_suite(f"medico{year}-task{number}", data) for year in (2026, 2025))
        assert ours.questions == theirs.questions
        assert ours.note == ""


def _masked_folder(tmp_path: Path) -> Path:
    folder = _folder(tmp_path, [{**ROW, "img_id": f"abc{i}"} for i in range(12)])
    (folder / "masks").mkdir()
    for number in range(12):
        pixels = np.zeros((300, 400, 3), dtype=np.uint8)
        pixels[100:200, 150:260] = (220, 90, 90)
        Image.fromarray(pixels).save(folder / "images" / f"abc{number}.jpg", quality=95)
        Image.fromarray((pixels[..., 0] > 100).astype(np.uint8) * 255).save(folder / "masks" / f"abc{number}.png")
    with (folder / "phrases.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["img_id", "q", "question", "answer"])
        writer.writerows([f"abc{i}", "What is the size of the polyp?", "?", "large polyp"] for i in range(12))
    return folder


def test_the_augmented_track_moves_pixels_and_regions_alike(tmp_path: Path) -> None:
    folder = _masked_folder(tmp_path)
    plain, moved = load_suite("kvasir-vqa-x1/test", folder), load_suite("kvasir-vqa-x1/test-augmented", folder)
    assert [q.question for q in moved.questions] == [q.question for q in plain.questions]
    assert moved.fingerprint != plain.fingerprint
    assert "augmented" in moved.note
    different = 0
    for phrase in moved.phrases:
        pixels = np.asarray(moved.load_image(phrase.img_id))
        assert phrase.region is not None
        assert pixels.shape == (300, 400, 3)
        shown, mask = pixels[..., 0].astype(int) - pixels[..., 2] > 60, phrase.region.mask()
        iou = (shown & mask).sum() / (shown | mask).sum()
        assert iou > 0.93, "the region is where the pixels are"
        different += not np.array_equal(pixels, np.asarray(plain.load_image(phrase.img_id)))
    assert different == 12


def test_augmentation_stays_inside_the_organisers_ranges_and_repeats() -> None:
    draws = [augmented.draw(f"image{i}", 622, 530) for i in range(500)]
    assert draws == [augmented.draw(f"image{i}", 622, 530) for i in range(500)]
    assert augmented.draw("image0", 622, 530, variant=2) != draws[0]
    areas = [(d.crop[2] - d.crop[0]) * (d.crop[3] - d.crop[1]) / (622 * 530) for d in draws]
    aspects = [(d.crop[2] - d.crop[0]) / (d.crop[3] - d.crop[1]) / (622 / 530) for d in draws]
    assert min(areas) > 0.89
    assert max(areas) <= 1
    assert 0.94 < min(aspects) < 0.97 < 1.03 < max(aspects) < 1.06
    assert max(abs(d.degrees) for d in draws) <= 10
    assert max(abs(d.shift[0]) for d in draws) <= 63
    assert np.std([d.degrees for d in draws]) == pytest.approx(20 / 12**0.5, rel=0.1)
    assert all(0.8 <= f <= 1.2 for d in draws for f in (d.brightness, d.contrast))


def test_an_empty_region_stays_empty() -> None:
    region = Region.from_mask("polyp", np.zeros((30, 40), dtype=bool))
    assert augmented.augment_region(region, augmented.draw("a", 40, 30)).area == 0


@pytest.mark.parametrize("columns", [("img_id", "question"), ("img_id", "question", "val_id", "image")])
def test_hidden_sets_need_neither_reference_nor_class(tmp_path: Path, columns: tuple[str, ...]) -> None:
    rows = [{**ROW, "img_id": f"abc{i}", "val_id": i} for i in range(3)]
    folder = _folder(tmp_path, [{name: row[name] for name in columns} for row in rows])
    for name, explained in (("hidden/task1", False), ("hidden/task2", True)):
        suite = load_suite(name, folder)
        assert [q.answer for q in suite.questions] == [None] * 3
        assert all(q.wants_explanation is explained and q.question_class == () for q in suite.questions)


def test_references_of_a_hidden_set_are_not_read(tmp_path: Path) -> None:
    suite = load_suite("hidden/task2", _folder(tmp_path, [ROW]))
    assert suite.questions[0].answer is None
    assert suite.questions[0].question_class == ("polyp_count",)


@pytest.mark.parametrize(
    ("numbers", "message"), [([0, 0, 1], "val_id 0 is there twice"), ([0, 2, 1], "val_id 2 at position 1")]
)
def test_rows_that_number_themselves_otherwise_are_refused(tmp_path: Path, numbers: list[int], message: str) -> None:
    folder = _folder(tmp_path, [{**ROW, "img_id": f"abc{i}", "val_id": n} for i, n in enumerate(numbers)])
    with pytest.raises(DataError, match=message):
        load_suite("hidden/task2", folder)


def _release(tmp_path: Path) -> Path:
    for name in ("images", "polyp_masks", "splitted/test"):
        (tmp_path / name).mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (64, 48), (200, 90, 80)).save(tmp_path / "images" / f"abc{i}.jpg")
    mask = Image.new("L", (32, 24))
    mask.paste(255, (8, 8, 20, 16))
    mask.save(tmp_path / "polyp_masks" / "abc0.jpg", quality=95)
    with (tmp_path / "splitted" / "test" / "polyps_mask_phrases.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["img_id", "mask_id", "q", "question", "answer"])
        writer.writerows([f"abc{i}", f"abc{i}", "?", "?", "pink polyp"] for i in (0, 1, 2, 0))
    return tmp_path


def test_the_paper_s_grounding_set_counts_masks_that_are_not_there(tmp_path: Path) -> None:
    suite = load_suite("paper-grounding/polyp", _release(tmp_path))
    assert [phrase.region is not None for phrase in suite.phrases] == [True, False, False, True]
    assert suite.note == "2 of 4 phrases have no mask file and are not scored"
    region = suite.phrases[0].region
    assert region is not None
    assert (region.width, region.height) == (64, 48)
    assert region.area == pytest.approx(12 * 8 * 4, rel=0.15)
    with pytest.raises(DataError, match="polyp_masks/"):
        load_suite("paper-grounding/polyp")


def test_a_suite_without_questions_runs_and_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Regions of the paper's set, by the shipped tiny variant."""
    data, runs = _release(tmp_path / "data"), tmp_path / "runs"
    command = ["run", "-m", "multitask_r32", "-s", "paper-grounding/polyp", "--data", str(data), "--backbone", "tiny",
               "-o", str(runs)]  # fmt: skip
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 0, capsys.readouterr().err
    scores = json.loads(next(runs.glob("*/*/scores.json")).read_text())
    iou = next(s for s in scores["scores"] if s["metric"] == "region_iou" and s["slice_by"] == "all")
    assert iou["n"] == 2


def test_the_paper_s_real_phrases(shared: Path) -> None:
    """Counts of the release: 316 polyp, 236 instrument and 414 pseudo-mask phrases (masks are not there)."""
    counts = {}
    for name in ("polyp", "instrument", "pseudo"):
        suite = load_suite(f"paper-grounding/{name}", shared / "data" / "paper-splits")
        counts[name] = len(suite.phrases)
        assert not suite.has_images
    assert counts == {"polyp": 316, "instrument": 236, "pseudo": 414}


def _export(suite: str, path: Path, *more: str) -> list[dict[str, Any]]:
    with pytest.raises(SystemExit) as left:
        main(["suites", "export", suite, "-o", str(path), *more])
    assert left.value.code == 0
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_export_writes_rows_in_order(shared: Path, tmp_path: Path) -> None:
    data = ("--data", str(shared / "data" / "kvasir-vqa-x1"))
    rows = _export("medico2025-task2", tmp_path / "new" / "rows.jsonl", *data)
    suite = load_suite("medico2025-task2", shared / "data" / "kvasir-vqa-x1")
    assert [row["val_id"] for row in rows] == list(range(1500))
    assert [(r["index"], r["img_id"], r["question"], r["answer"]) for r in rows] == [
        (q.index, q.img_id, q.question, q.answer) for q in suite.questions
    ]
    assert all(row["complexity"] == 1 and len(row["question_class"]) == 1 for row in rows)
    assert "val_id" not in _export("medico2025-task1", tmp_path / "one.jsonl", *data)[0]


def test_export_of_a_hidden_set_has_no_answer(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    _folder(folder, [{"img_id": "abc1", "question": "How many?"}], images=False)
    (row,) = _export("hidden/task2", tmp_path / "rows.jsonl", "--data", str(folder))
    assert row == {"index": 0, "val_id": 0, "img_id": "abc1", "question": "How many?", "question_class": []}


@pytest.mark.parametrize("name", ["index", "val_id"])
def test_a_table_with_its_own_right_numbers_is_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    rows = [{**ROW, name: i} for i in range(2)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "test-00000-of-00001.parquet")
    assert len(load_suite("kvasir-vqa-x1/test", tmp_path).questions) == 2


def test_priors_learn_from_another_folder(shared: Path, tmp_path: Path) -> None:
    """The training rows of one folder teach answers about another's images."""
    from gi_bench.harness.engine.run import evaluate
    from gi_bench.harness.errors import GiBenchError

    data = shared / "data"
    (run,) = evaluate(
        ["blind_question_prior"],
        "kvasir-vqa-x1/test",
        data=data / "real",
        train_suite="kvasir-vqa-x1/train",
        train_data=data / "real-train",
        output=tmp_path,
    )
    assert any("1,360 rows of 360 images" in note for note in run.scores.notes)
    with pytest.raises(GiBenchError):
        evaluate(["blind_constant"], "kvasir-vqa-x1/test", data=data / "real", train_data=tmp_path, output=tmp_path)
