"""Image-disjoint splits and the audit of leaks, on made sets and on the paper's own split files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from gi_bench.harness.audit import images as audit
from gi_bench.harness.cli import main
from gi_bench.harness.errors import DataError
from gi_bench.harness.suites.image_lists import read_image_ids
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from gi_bench.harness.suites.splits import making as splits
from gi_bench.harness.suites.splits.making import AskedRow, ImageUse, Split, gather, make_split
from gi_bench.harness.suites.splits.suite import SplitSuite

SETS = ("polyps_mask_phrases", "instruments_mask_phrases", "oesophatigis_mask_phrases", "z-line_mask_phrases",
        "ulcerative_colitis_mask_phrases", "cecum_mask_phrases", "vqa_exp")  # fmt: skip
PREFIXES = ("clbn", "clb0kvx", "clb0lbw", "cl8k", "cla8", "other")

rows_strategy = st.lists(
    st.builds(
        lambda prefix, number, task, classes: AskedRow(f"{prefix}{number:03d}", frozenset({task}), frozenset(classes)),
        st.sampled_from(PREFIXES),
        st.integers(0, 60),
        st.sampled_from(["answer", "explain", "ground"]),
        st.sets(st.sampled_from(["polyp_count", "text_presence", "polyp", "z-line"]), max_size=3),
    ),
    max_size=200,
)


@given(rows_strategy, st.integers(0, 2**31), st.floats(0.1, 0.5))
@settings(max_examples=60, deadline=None)
def test_a_split_is_disjoint_complete_stratified_and_independent_of_order(
    rows: list[AskedRow], seed: int, fraction: float
) -> None:
    rows = [*rows, *(AskedRow(f"cl8k{i:03d}", frozenset({"ground"})) for i in range(20))]
    uses = gather(rows)
    split = make_split(uses, fraction=fraction, seed=seed)
    assert set(split.images("train")).isdisjoint(split.images("test"))
    assert set(split.sides) == {row.img_id for row in rows}
    again = make_split(reversed(gather(list(reversed(rows)))), fraction=fraction, seed=seed)
    assert again.fingerprint == split.fingerprint
    for share in splits.shares(split, uses):
        total = share.train + share.test
        if share.kind in {"all", "group"}:
            assert abs(share.test - fraction * total) <= 1
        elif total >= 40:
            assert abs(share.test_share - fraction) < 0.15


def test_another_seed_is_another_split() -> None:
    uses = gather(AskedRow(f"cl8k{i:03d}", frozenset({"answer"})) for i in range(100))
    one, two = make_split(uses, seed=1), make_split(uses, seed=2)
    assert one.fingerprint != two.fingerprint
    assert len(one.images("test")) == len(two.images("test")) == 20


def test_a_written_split_is_checked_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    split = make_split(gather(AskedRow(f"cl8k{i:03d}") for i in range(50)))
    split.write(path)
    assert Split.read(path) == split
    content = json.loads(path.read_text())
    moved = content["sides"]["test"].pop()
    content["sides"]["train"].append(moved)
    for change, message in (
        (content, "fingerprint does not fit"),
        ({**content, "sides": {"train": ["a", "a"]}}, "is there twice"),
        ({**content, "sides": {"dev": ["a"]}}, "unknown side"),
        ({**content, "sides": {"train": ["../a"]}}, "unsafe image id"),
        ({"format": "x"}, "not a split"),
    ):
        path.write_text(json.dumps(change))
        with pytest.raises(DataError, match=message):
            Split.read(path)


def test_a_side_of_a_suite_keeps_rows_images_and_order() -> None:
    suite = PhantomSuite("validation", 30)
    split = make_split(gather(splits.rows_of_suite(suite)))
    train, test = SplitSuite(suite, split, "train"), SplitSuite(suite, split, "test")
    assert len(train.questions) + len(test.questions) == len(suite.questions)
    assert len(train.phrases) + len(test.phrases) == len(suite.phrases)
    assert set(train.image_ids).isdisjoint(test.image_ids)
    assert [q.index for q in test.questions] == list(range(len(test.questions)))
    assert test.name == f"phantom/validation@{split.fingerprint[:8]}-test"
    assert test.fingerprint != train.fingerprint
    with pytest.raises(DataError, match=r"does not know 31 of 31 images"):
        SplitSuite(PhantomSuite("test", 31), split, "test")


def test_the_paper_s_own_splits_leak_as_published(shared: Path) -> None:
    folder = shared / "data" / "paper-splits"
    sides = {
        side: {name: audit.read_set(str(folder / side / f"{name}.csv")) for name in SETS} for side in ("train", "test")
    }
    instruments = audit.overlap(sides["train"]["instruments_mask_phrases"], sides["test"]["instruments_mask_phrases"])
    assert (instruments.first_images, instruments.second_images, instruments.shared_images) == (340, 197, 138)
    for name in SETS:
        if name != "instruments_mask_phrases":
            assert audit.overlap(sides["train"][name], sides["test"][name]).shared_images == 0, name
    test = [*sides["test"].values(), audit.read_set(str(folder / "test" / "vqa_combined.parquet"))]
    joined = audit.overlap(audit.union("train", list(sides["train"].values())), audit.union("test", test))
    assert joined.first_images == 3422
    assert joined.shared_images == 371
    answers = audit.overlap(sides["train"]["z-line_mask_phrases"], test[-1])
    assert answers.across_tasks
    assert answers.shared_images == 74


def test_the_command_finds_the_leak_and_our_split_has_none(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared / "data" / "paper-splits"
    train, test = (str(folder / side / "instruments_mask_phrases.csv") for side in ("train", "test"))
    assert _run("audit", train, test, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["overlaps"][0]["shared_images"] == 138
    assert report["near_duplicates"] is None
    assert report["clean"] is False
    assert _run("audit", train, test, "--allow", "138") == 0
    assert "138 of 340 / 197" in capsys.readouterr().out
    sources = [str(folder / side / f"{name}.csv") for side in ("train", "test") for name in SETS]
    path = tmp_path / "split.json"
    assert _run("split", *sources, str(folder / "test" / "vqa_combined.parquet"), "-o", str(path)) == 0
    assert _run("audit", f"{path}:train", f"{path}:test") == 0
    made = Split.read(path)
    shares = {(s.kind, s.name): s for s in splits.shares(made, gather(_rows(sources)))}
    assert shares["all", "images"].test_share == pytest.approx(0.2, abs=0.01)
    assert shares["class", "instruments"].test_share == pytest.approx(0.2, abs=0.05)


def _rows(sources: list[str]) -> list[AskedRow]:
    return [row for source in sources for row in splits.rows_of_file(Path(source))]


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audit", "phantom/test"], "nothing to compare"),
        (["audit", "none.csv", "phantom/test"], "file not found"),
        (["audit", "phantom/test", "phantom/tset"], "did you mean"),
        (["audit", "{}/bad.csv", "phantom/test"], "no column img_id"),
        (["split", "phantom/test", "--test-share", "2", "-o", "{}/s.json"], "test share 2"),
        (["audit", "phantom/test", "phantom/train", "--disjoint", "{}/s.json"], "--disjoint needs"),
        (["audit", "phantom/test", "phantom/train", "--train-data", "{}"], "--train-data is the folder"),
        (["run", "-m", "blind_constant", "--split", "{}/bad.csv"], "not a side of a split"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "bad.csv").write_text("id,question\n1,x\n")
    assert _run(*(argument.format(tmp_path) for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def _variants(picture: Any) -> dict[str, Any]:
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=60)
    return {
        "encoded": Image.open(stream).convert("RGB"),
        "smaller": picture.resize((picture.width // 2, picture.height // 2)),
        "brighter": ImageEnhance.Brightness(picture).enhance(1.15),
    }


def test_near_duplicates_are_found_and_other_scenes_are_not() -> None:
    pytest.importorskip("imagehash")
    suite = PhantomSuite("validation", 40)
    first = audit.perceptual_hashes(suite.image_ids, suite.load_image)
    copies = {f"{name}{img_id}": picture for img_id in suite.image_ids[:10]
              for name, picture in _variants(suite.load_image(img_id)).items()}  # fmt: skip
    found = audit.near_duplicates(first, audit.perceptual_hashes(copies, copies.__getitem__))
    pairs = {(pair.first, pair.second) for pair in found}
    wanted = {
        (img_id, f"{name}{img_id}") for img_id in suite.image_ids[:10] for name in ("encoded", "smaller", "brighter")
    }
    assert len(wanted & pairs) >= 28
    assert len(pairs - wanted) <= 3


def test_the_disjoint_split_keeps_every_leaked_test_image_out() -> None:
    train = audit.ImageSet("train", {"a": 2, "b": 1, "shared": 1}, ("answer",))
    test = audit.ImageSet("test", {"x": 1, "y": 3, "shared": 2}, ("ground",))
    split = audit.disjoint_split(train, test, [audit.NearDuplicate("a", "y", 3)])
    assert split.images("test") == ("x",)
    assert split.images("train") == ("a", "b", "shared", "y")
    with pytest.raises(DataError, match="every test image"):
        audit.disjoint_split(train, test, [audit.NearDuplicate("a", "x", 0), audit.NearDuplicate("b", "y", 6)])


def test_audit_writes_a_disjoint_split_that_run_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.csv").write_text("img_id,question\na,x\nshared,x\n")
    (tmp_path / "test.csv").write_text("img_id,question\nb,x\nshared,x\n")
    sets = ("--train", str(tmp_path / "train.csv"), "--test", str(tmp_path / "test.csv"))
    path = tmp_path / "clean.json"
    assert _run("audit", *sets, "--disjoint", str(path), "--allow", "1") == 0
    assert f"split: {path}" in capsys.readouterr().out
    made = Split.read(path)
    assert (made.images("test"), made.images("train")) == (("b",), ("a", "shared"))


def test_near_duplicates_across_two_folders_stay_out_of_the_test_side(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("imagehash")
    data, path = shared / "data", tmp_path / "clean.json"
    sets = ("--train", "kvasir-vqa-x1/train", "--test", "kvasir-vqa-x1/test")
    folders = ("--train-data", str(data / "real-train"), "--data", str(data / "real"))
    assert _run("audit", *sets, *folders, "--disjoint", str(path), "--allow", "9") == 0
    # 374 test images, one of which resembles two training images.
    assert len(Split.read(path).images("test")) == 366


def test_hash_distances_are_those_of_a_plain_loop() -> None:
    random = np.random.default_rng(0)
    first = {f"a{i}": int(random.integers(0, 2**16)) << 48 for i in range(60)}
    second = {f"b{i}": int(random.integers(0, 2**16)) << 48 for i in range(50)} | {"a0": first["a0"]}
    found = audit.near_duplicates(first, second, distance=4)
    expected = {(a, b) for a, x in first.items() for b, y in second.items() if a != b and (x ^ y).bit_count() <= 4}
    assert {(pair.first, pair.second) for pair in found} == expected
    assert all((first[p.first] ^ second[p.second]).bit_count() == p.distance for p in found)
    assert [p.distance for p in found] == sorted(p.distance for p in found)


def _frames(folder: Path, count: int = 12) -> Path:
    """Images in groups of three that are nearly the same, and a list of them."""
    images = folder / "images"
    images.mkdir(parents=True)
    dice = np.random.default_rng(3)
    for group in range(count // 3):
        blocks = dice.integers(0, 255, (8, 8, 3)).astype(np.uint8)
        pixels = np.asarray(Image.fromarray(blocks).resize((128, 128), Image.Resampling.BICUBIC)).astype(np.int64)
        for number in range(3):
            Image.fromarray(np.clip(pixels + number, 0, 255).astype(np.uint8)).save(images / f"f{group}{number}.png")
    rows = "".join(f"f{group}{number},q,a\n" for group in range(count // 3) for number in range(3))
    (folder / "rows.csv").write_text("img_id,question,answer\n" + rows)
    return folder


def test_a_split_keeps_near_duplicates_together_and_passes_the_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _frames(tmp_path)
    made, images = str(folder / "s.json"), str(folder / "images")
    sides = [f"{made}:train", f"{made}:test", "--images", images]
    assert _run("split", str(folder / "rows.csv"), "--images", images, "--test-share", "0.25", "-o", made) == 0
    assert "12 pairs, 4 groups of 12 images (the largest 3)" in capsys.readouterr().out
    assert _run("audit", *sides) == 0
    assert len(Split.read(Path(made)).images("test")) == 3
    arguments = ["--images", images, "--no-near-duplicates", "--test-share", "0.25", "-o", made]
    assert _run("split", str(folder / "rows.csv"), *arguments) == 0
    assert "not looked for" in capsys.readouterr().out
    assert _run("audit", *sides) == 1, "the same images without the groups leak"


def test_groups_of_one_change_no_split() -> None:
    uses = [ImageUse(f"cl8k{i}", frozenset({"answer"}), frozenset({f"class {i % 3}"})) for i in range(40)]
    uses += [ImageUse(f"cla8{i}", frozenset({"answer"}), frozenset({f"class {i % 5}"})) for i in range(20)]
    alone = make_split(uses, fraction=0.3)
    assert make_split(uses, fraction=0.3, together=[("x", "y")]).sides == alone.sides
    # Across source groups, and through others.
    bound = make_split(uses, fraction=0.3, together=[("cl8k1", "cla81"), ("cla81", "cla82"), ("cl8k5", "cl8k6")])
    assert len({bound.sides[one] for one in ("cl8k1", "cla81", "cla82")}) == 1
    assert bound.sides["cl8k5"] == bound.sides["cl8k6"]
    assert abs(len(bound.images("test")) - len(alone.images("test"))) <= 2


@pytest.mark.parametrize("name", ["ids.txt", "ids.json", "ids.csv"])
def test_the_ending_of_a_picture_is_no_part_of_an_id(tmp_path: Path, name: str) -> None:
    texts = {
        "ids.txt": "a1.jpg\na2.PNG\n", "ids.json": '["a1.jpeg", "a2.tif"]', "ids.csv": "img_id;x\na1.jpg;1\na2.bmp;2\n"
    }  # fmt: skip
    (tmp_path / name).write_text(texts[name])
    assert read_image_ids(tmp_path / name) == ["a1", "a2"]


def test_two_sets_of_one_name_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "ids.txt").write_text(f"{side}1\n")
    paths = [str(tmp_path / side / "ids.txt") for side in ("a", "b")]
    assert _run("audit", *paths) == 0
    out = capsys.readouterr().out
    assert all(path in out for path in paths)
    assert _run("audit", paths[0], paths[0]) == 1
    assert "ids.txt (1)" in capsys.readouterr().out


def test_no_file_is_called_dash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["split", "phantom/test", "-o", "-"], ["run", "--model", "x", "--output=-"]):
        assert _run(*arguments) == 2
        assert "does not write to standard output" in capsys.readouterr().err
    assert _run("suites", "export", "phantom/validation", "-o", "-") == 0
    written = capsys.readouterr()
    assert json.loads(written.out.splitlines()[0])["index"] == 0
    assert "rows: -" in written.err
