"""Kvasir-VQA-x1 from local folders: the real one, made ones, and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gi_bench.harness.errors import DataError
from gi_bench.harness.registry import load_suite, suite_spec
from gi_bench.harness.suites.kvasir import official_order
from gi_bench.harness.suites.specs import rows_digest

ROW: dict[str, Any] = {
    "img_id": "abc1",
    "complexity": 1,
    "question": "How many polyps?",
    "answer": "one polyp",
    "original": json.dumps([{"q": "How many polyps are in the image?", "a": "1"}]),
    "question_class": ["polyp_count"],
    "image": "images/abc1.jpg",
}


def _folder(tmp_path: Path, rows: list[dict[str, Any]], *, images: bool = True) -> Path:
    from PIL import Image

    (tmp_path / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "test-00000-of-00001.parquet")
    if images:
        (tmp_path / "images").mkdir()
        for row in rows:
            if str(row["img_id"]).isalnum():
                Image.new("RGB", (40, 30), (200, 90, 80)).save(tmp_path / "images" / f"{row['img_id']}.jpg")
    return tmp_path


@pytest.mark.parametrize("name", ["medico2025-task1", "medico2025-task2", "medico2026-task1", "medico2026-task2"])
def test_the_official_subsets_have_their_pinned_hashes(shared: Path, name: str) -> None:
    suite = load_suite(name, shared / "data" / "kvasir-vqa-x1")
    assert len(suite.questions) == 1500
    subset = suite_spec(name).subset
    assert subset is not None
    assert rows_digest(suite.questions, is_numbered=name.endswith("2")) == subset.digest
    assert subset.digest[:8] == ("2a56f872" if name.endswith("2") else "3928bee8")
    assert suite.spec.has_all(suite.questions)
    assert not suite.spec.has_all(suite.questions[1:])
    assert suite.note == ""
    assert not suite.has_images
    if name.endswith("2"):
        assert all(q.wants_explanation and q.complexity == 1 for q in suite.questions)
        assert official_order(5496)[:5].tolist() == [387, 4388, 2904, 4094, 4327]
    else:
        assert official_order(15_955)[:5].tolist() == [122, 7586, 8248, 11846, 10026]
        rest = load_suite("medico2025-task1/rest", shared / "data" / "kvasir-vqa-x1")
        assert len(rest.questions) == 14_455


def test_the_whole_official_test_split(shared: Path) -> None:
    suite = load_suite("kvasir-vqa-x1/test", shared / "data" / "kvasir-vqa-x1")
    assert len(suite.questions) == 15_955
    assert len(suite.image_ids) == 4058
    assert suite.note == ""
    assert [q.index for q in suite.questions] == list(range(15_955)), "keyed by position, not by (img_id, question)"


def test_the_real_folder_with_images_masks_and_phrases(shared: Path) -> None:
    suite = load_suite("kvasir-vqa-x1/test", shared / "data" / "real")
    assert len(suite.questions) == 1183
    assert len({q.img_id for q in suite.questions}) == 303
    negatives = [p for p in suite.phrases if p.is_negative]
    assert len(negatives) == 65
    positives = [p for p in suite.phrases if not p.is_negative]
    assert len(positives) == 846
    assert len(suite.image_ids) == 309 + 65
    texts = {p.phrase for p in positives}
    assert {p.phrase for p in negatives} <= texts, "in words that polyps have"
    assert len({p.phrase for p in negatives}) > 20
    for phrase in (*positives[:20], *negatives[:5]):
        image = suite.load_image(phrase.img_id)
        assert phrase.region is not None
        assert (phrase.region.width, phrase.region.height) == image.size
        assert (phrase.region.area == 0) == phrase.is_negative
    assert "not comparable with published numbers" in suite.note


def test_a_made_folder(tmp_path: Path) -> None:
    from PIL import Image

    rows = [
        ROW,
        {**ROW, "complexity": 2, "question_class": ["polyp_count", "text_presence"], "question": "Both?"},
        {**ROW, "original": '[{"q": "x", "a": "0"}]', "answer": "no polyps"},
    ]
    folder = _folder(tmp_path, rows)
    (folder / "masks").mkdir()
    mask = np.zeros((60, 80), dtype=np.uint8)  # twice the image's size
    mask[20:40, 20:60] = 255
    Image.fromarray(mask).save(folder / "masks" / "abc1.png")
    (folder / "phrases.csv").write_text(
        "img_id,q,question,answer\nabc1,What type of polyp is present?,q,the polyp\n"
        "other9,What type of polyp is present?,y,z\n"
    )
    suite = load_suite("kvasir-vqa-x1/test", folder)
    assert [q.is_negative for q in suite.questions] == [False, False, True]
    assert [q.finding for q in suite.questions] == ["polyp", None, "polyp"]
    (phrase,) = suite.phrases
    assert phrase.region is not None
    assert (phrase.region.width, phrase.region.height, phrase.region.area) == (40, 30, 200)
    assert "1 masks have another size" in suite.note
    before = suite.fingerprint
    Image.new("RGB", (40, 30), (0, 0, 0)).save(folder / "images" / "abc1.jpg")
    assert load_suite("kvasir-vqa-x1/test", folder).fingerprint != before, "the images are part of the fingerprint"


def test_hidden_references_and_missing_images(tmp_path: Path) -> None:
    hidden = {key: value for key, value in ROW.items() if key != "answer"}
    suite = load_suite("kvasir-vqa-x1/test", _folder(tmp_path / "a", [hidden], images=False))
    assert suite.questions[0].answer is None
    assert not suite.has_images


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"img_id": "../../x"}, "unsafe image id"),
        ({"img_id": "a/b"}, "unsafe image id"),
        ({"img_id": ".hidden"}, "unsafe image id"),
        ({"img_id": "a" * 200}, "unsafe image id"),
        ({"img_id": "a\x00b"}, "unsafe image id"),
        ({"img_id": None}, "unsafe image id"),
        ({"complexity": 4}, "complexity 4"),
        ({"question": "  "}, "empty question"),
        ({"question": None}, "empty question"),
        ({"question_class": ["polyp_colour"]}, "unknown question class 'polyp_colour'"),
        ({"question_class": []}, "question_class"),
        ({"original": "not json"}, "'original' is not a JSON list"),
        ({"original": '[{"q": 1}]'}, "'original' is not a JSON list"),
        ({"original": "7"}, "'original' is not a JSON list"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = _folder(tmp_path, [ROW, {**ROW, **change}])
    with pytest.raises(DataError) as caught:
        load_suite("kvasir-vqa-x1/test", folder)
    line = caught.value.line()
    assert message in line
    assert "row 1" in line
    assert "\n" not in line


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data folder not found"):
        load_suite("kvasir-vqa-x1/test", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no Parquet file of the split 'test'"):
        load_suite("kvasir-vqa-x1/test", tmp_path / "empty")
    folder = _folder(tmp_path / "cut", [ROW])
    path = folder / "data" / "test-00000-of-00001.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged Parquet"):
        load_suite("kvasir-vqa-x1/test", folder)
    pq.write_table(pa.table({"img_id": ["a"], "text": ["b"]}), path)
    with pytest.raises(DataError, match="without the column complexity"):
        load_suite("kvasir-vqa-x1/test", folder)
    odd = {**ROW, "complexity": "one"}
    pq.write_table(pa.Table.from_pylist([odd]), path)
    import gi_bench.harness.suites.kvasir as module

    module._read_once.cache_clear()
    with pytest.raises(DataError, match="complexity 'one'"):
        load_suite("kvasir-vqa-x1/test", folder)


def test_bad_images_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _folder(tmp_path / "a", [ROW, {**ROW, "img_id": "abc2"}])
    suite = load_suite("kvasir-vqa-x1/test", folder)
    path = folder / "images" / "abc2.jpg"
    path.write_bytes(path.read_bytes()[:80])
    with pytest.raises(DataError, match="does not decode") as caught:
        suite.load_image("abc2")
    assert "abc2.jpg" in caught.value.line()
    path.write_bytes(b"GIF89a")
    with pytest.raises(DataError, match="does not decode"):
        suite.load_image("abc2")
    monkeypatch.setattr("gi_bench.harness.suites.pictures.MAX_PIXELS", 100)
    with pytest.raises(DataError, match="megapixels"):
        suite.load_image("abc1")
    path.unlink()
    with pytest.raises(DataError, match="1 images are missing, the first is abc2"):
        load_suite("kvasir-vqa-x1/test", folder).fingerprint  # noqa: B018


def test_frames_without_a_polyp_are_asked_for_in_the_words_of_polyps(tmp_path: Path) -> None:
    from PIL import Image

    folder = _folder(tmp_path, [ROW])
    (folder / "no_polyp").mkdir()
    for number in range(40):
        Image.new("RGB", (8, 8)).save(folder / "no_polyp" / f"clean{number}.png")
    phrases = [p for p in load_suite("kvasir-vqa-x1/test", folder).phrases if p.is_negative]
    assert {p.phrase for p in phrases} == {"polyp"}, "a folder without phrases has no other words"
    texts = ["a red polyp", "two polyps", "a red polyp"]
    (folder / "phrases.csv").write_text("img_id,answer,label\n" + "".join(f"abc1,{text},polyp\n" for text in texts))
    suite = load_suite("kvasir-vqa-x1/test", folder)
    drawn = {p.img_id: p.phrase for p in suite.phrases if p.is_negative}
    assert set(drawn.values()) == set(texts)
    assert 15 <= sum(text == "a red polyp" for text in drawn.values()) <= 36, "as often as polyps have it"
    (folder / "no_polyp" / "clean7.png").unlink()
    fewer = {p.img_id: p.phrase for p in load_suite("kvasir-vqa-x1/test", folder).phrases if p.is_negative}
    assert fewer == {img_id: text for img_id, text in drawn.items() if img_id != "clean7"}, "by the image's id alone"
    assert [p.index for p in suite.phrases] == list(range(len(suite.phrases)))


def test_training_takes_the_frames_unless_they_are_the_test_split_s(tmp_path: Path) -> None:
    from PIL import Image

    from gi_bench.harness.suites.negatives import make_negatives

    folder = _folder(tmp_path, [ROW])
    (source,) = sorted((folder / "data").glob("test-*.parquet"))
    (folder / "no_polyp").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "no_polyp" / "clean.png")
    (folder / "phrases.csv").write_text("img_id,answer,label\nabc1,a red polyp,polyp\n")
    (folder / "data" / "train-00000-of-00001.parquet").write_bytes(source.read_bytes())
    assert not any(p.is_negative for p in load_suite("kvasir-vqa-x1/train", folder).phrases)
    source.unlink()
    suite = load_suite("kvasir-vqa-x1/train", folder)
    assert [(p.img_id, p.phrase) for p in suite.phrases if p.is_negative] == [("clean", "a red polyp")]
    made, _ = make_negatives(suite, 5)
    assert [(one.img_id, one.thing, one.phrase) for one in made if one.phrase] == [("clean", "polyp", "a red polyp")]


PHRASE = "What type of polyp is present?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"img_id,q,answer\nabc1,{PHRASE[:-2]}d?,x\n", "unknown atomic question .*did you mean"),
        ("img_id,q,answer\nabc1,,x\n", "a phrase of nothing that is named"),
        ("img_id,q,answer,label\nabc1,,x,polpy\n", "unknown label 'polpy': did you mean 'polyp'"),
        ("img_id,answer\nabc1,x\n", "give the column label"),
        (f"img_id,q,answer\nabc1,{PHRASE},\n", "an empty phrase"),
        (f"img_id,q,answer\nother,{PHRASE},x\n", "none of its 1 rows is about an image"),
        ("img_id,q,answer\nabc1,What type of procedure is the image taken from?,x\n", "nothing that can be shown"),
    ],
)
def test_a_phrase_of_nothing_known_is_refused(tmp_path: Path, text: str, message: str) -> None:
    folder = _folder(tmp_path, [ROW])
    (folder / "phrases.csv").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        load_suite("kvasir-vqa-x1/test", folder)
    assert "phrases.csv" in str(error.value)


def test_labels_in_any_case_and_masks_that_no_row_uses(tmp_path: Path) -> None:
    from PIL import Image

    folder = _folder(tmp_path, [ROW])
    (folder / "masks").mkdir()
    mask = np.zeros((30, 40), dtype=np.uint8)
    mask[5:9, 5:9] = 1
    Image.fromarray(mask).save(folder / "masks" / "abc1.TIF", format="TIFF")
    Image.fromarray(mask).save(folder / "masks" / "abd1.png")
    (folder / "phrases.csv").write_bytes("img_id;answer;label\r\nabc1.jpg;the polyp;PoLyp\r\n".encode("utf-8-sig"))
    suite = load_suite("kvasir-vqa-x1/test", folder)
    (phrase,) = suite.phrases
    assert phrase.label == "polyp"
    assert phrase.region is not None
    assert phrase.region.area == 16
    assert "no row uses 1 files of masks/, the first is abd1.png" in suite.note
    Image.fromarray(mask * 0).save(folder / "masks" / "abc1.TIF", format="TIFF")
    with pytest.raises(DataError, match=r"without a pixel .*abc1\.TIF"):
        load_suite("kvasir-vqa-x1/test", folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"complexity": True}, "complexity True"),
        ({"complexity": "easy"}, "complexity 'easy'"),
        ({"complexity": float("nan")}, "complexity nan"),
        ({"explanation": 0.5}, "'explanation' is not text"),
        ({"index": [0]}, "is no whole number"),
        ({"index": 1}, "index 1 at position 0"),
    ],
)
def test_columns_of_another_type_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    for name in ("kvasir-vqa-x1/test", "hidden/task1"):
        if name.startswith("hidden") and "explanation" in change:
            continue
        folder = _folder(tmp_path / name.replace("/", "-"), [{**ROW, **change}])
        with pytest.raises(DataError, match=message):
            load_suite(name, folder)


def test_shards_are_each_there_once(tmp_path: Path) -> None:
    folder = _folder(tmp_path, [ROW])
    first = folder / "data" / "test-00000-of-00001.parquet"
    content = first.read_bytes()
    two = [folder / "data" / f"test-0000{i}-of-00002.parquet" for i in range(2)]
    first.rename(two[0])
    with pytest.raises(DataError, match="shard 1 of 2 is missing"):
        load_suite("kvasir-vqa-x1/test", folder)
    two[1].write_bytes(content)
    with pytest.raises(DataError, match=r"test-00001-of-00002\.parquet is a copy of test-00000-of-00002\.parquet"):
        load_suite("kvasir-vqa-x1/test", folder)
    two[1].rename(folder / "data" / "test-extra.parquet")
    with pytest.raises(DataError, match="is no shard of the others"):
        load_suite("kvasir-vqa-x1/test", folder)
