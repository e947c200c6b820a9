"""The example browser's data: every row once, judged as the scores judge, within the cap, what is left out is said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.model import Grounding
from gi_bench.harness.regions import united
from gi_bench.harness.registry import registered
from gi_bench.harness.schema import AtomicPair, Phrase, Question, Region, Reply
from gi_bench.harness.store import Run, open_run
from gi_bench.reports.browser import Browser, build_browser
from gi_bench.reports.browser.outlines import _union, drawing_size, outline_path, overlaps
from gi_bench.reports.browser.packing import cut
from gi_bench.reports.browser.pictures import LEFT_OUT, NONE_KEPT, spread_order
from gi_bench.reports.browser.rows import Row, Rows, Said, value_text
from tests.run_folders import SIZE, phrases, questions, square, write_run

CAP = 12_000_000


def data_of(browser: Browser) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two data blocks, as the page's script reads them."""
    blocks = [json.loads(re.sub(r"^<script[^>]*>|</script>$", "", str(block))) for block in browser.blocks]
    return blocks[0], blocks[1]


def unpacked(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every row of the data as texts."""

    def text(place: int) -> str | None:
        return None if place < 0 else data["texts"][place]

    def texts(place: int) -> list[str | None]:
        return [] if place < 0 else [text(one) for one in data["lists"][place]]

    rows = data["rows"]
    for i in range(len(rows["index"])):
        yield {
            **{name: text(rows[name][i]) for name in ("text", "reference", "explanation", "finding")},
            **{name: texts(rows[name][i]) for name in ("classes", "asked", "wanted", "read", "options", "also")},
            "key": (rows["kind"][i], rows["index"][i]),
            "image": text(data["images"]["id"][rows["image"][i]]),
            "absent": rows["absent"][i] == "1",
            "region": None if rows["region"][i] < 0 else data["paths"][rows["region"][i]],
            "said": [
                {
                    **{name: text(one[name][i]) for name in ("answer", "explanation", "phrase", "wrote")},
                    "read": texts(one["read"][i]),
                    "region": None if one["region"][i] < 0 else data["paths"][one["region"][i]],
                    **{name: one[name][i] for name in ("state", "reply", "alarm", "confidence", "iou", "says")},
                }
                for one in data["said"]
            ],
        }


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """A run that is right everywhere, and one that is wrong about polyps and raises false alarms."""
    good = write_run(tmp_path / "good-1", variant="good")
    poor = write_run(
        tmp_path / "poor-2",
        variant="poor",
        answer=lambda q: "one instrument is visible" if q.is_negative else "two polyps there",
        ground=lambda p: (square(p.label, 0, 0, 12),),
        explain=lambda q: None,
    )
    return [good, poor]


def built(paths: list[Path], **options: Any) -> Browser:
    runs = [open_run(path) for path in paths]
    return build_browser(runs, [run.variant for run in runs], **{"cap_bytes": CAP, **options})


def test_every_row_is_there_once_with_what_each_run_said(pair: list[Path]) -> None:
    browser = built(pair)
    data, _ = data_of(browser)
    found = {row["key"]: row for row in unpacked(data)}
    assert len(found) == len(data["rows"]["index"]) == 24
    assert browser.counts["questions"] == browser.counts["questions_all"] == 12
    assert len(set(data["texts"])) == len(data["texts"])
    for run, number in ((open_run(path), i) for i, path in enumerate(pair)):
        for question in run.questions:
            row, said = found["q", question.index], run.predictions["question", question.index]
            assert (row["text"], row["reference"], row["explanation"], row["image"], row["absent"]) == (
                *(question.question, question.answer, question.explanation, question.img_id),
                question.is_negative,
            )
            shown = row["said"][number]
            assert (shown["answer"], shown["explanation"], shown["phrase"]) == (
                *(said.answer, said.explanation),
                said.phrase,
            )
            assert shown["confidence"] == 750
        for phrase in run.phrases:
            assert found["p", phrase.index]["text"] == phrase.phrase
            assert found["p", phrase.index]["classes"] == [phrase.label]


def test_judgements_are_those_of_the_scores(pair: list[Path]) -> None:
    data, _ = data_of(built(pair))
    rows = list(unpacked(data))
    metrics = registered("gi_bench.metrics")
    for number, path in enumerate(pair):
        scores = score_run(path, resamples=0, metrics=metrics, write=False)

        def share(metric: str, values: list[float], scores: Any = scores) -> None:
            found = scores.find(metric)
            assert found is not None
            assert found.n == len(values)
            assert found.value == pytest.approx(sum(values) / len(values), abs=6e-4)

        asked = [row["said"][number] for row in rows if row["key"][0] == "q"]
        share("fact_accuracy", [float(one["state"] == "r") for one in asked])
        absent = [row["said"][number] for row in rows if row["absent"]]
        share("answer_false_positive_rate", [float(int(one["alarm"]) & 1) for one in absent if one["answer"]])
        share("region_false_positive_rate", [float(int(one["alarm"]) > 1) for one in absent if not one["answer"]])
        shown = [row["said"][number] for row in rows if row["key"][0] == "p" and not row["absent"]]
        share("region_iou", [one["iou"] / 1000 for one in shown])
        visual = [row["said"][number]["iou"] for row in rows if row["key"][0] == "q"]
        share("visual_iou", [value / 1000 for value in visual if value >= 0])


def question(**fields: Any) -> Question:
    return replace(
        Question(0, "img0", "How many polyps are there?", "one polyp", ("polyp_count",), 1, (AtomicPair("q", "1"),)),
        **fields,
    )


def rows_of(folder: Path, rows: list[Question], answers: list[str | None], **options: Any) -> list[Row]:
    write_run(folder, rows=rows, shown=[], answer=lambda q: answers[q.index], **options)
    return Rows([open_run(folder)]).of_images([row.img_id for row in rows])


@pytest.mark.parametrize(
    ("answer", "state", "read"),
    [
        ("one polyp", "r", "1"),
        ("there are two polyps", "w", "2"),
        ("I am sorry, I cannot answer.", "u", "not read"),
        ("mumble", "u", "not read"),
        ("", "u", "not read"),
        (None, "n", None),
    ],
)
def test_an_answer_is_right_wrong_or_unread(tmp_path: Path, answer: str | None, state: str, read: str | None) -> None:
    (row,) = rows_of(tmp_path / "run-1", [question()], [answer])
    (said,) = row.said
    assert said is not None
    assert said.state == state
    assert said.read == (() if read is None else (read,))
    assert (row.asked, row.wanted, row.reference_read) == (("polyp_count",), ("1",), ("1",))


def test_one_wrong_fact_makes_an_answer_wrong_whatever_else_is_not_read(tmp_path: Path) -> None:
    both = question(
        question_class=("polyp_count", "text_presence"), original=(AtomicPair("q", "1"), AtomicPair("t", "yes"))
    )
    answers = ["two polyps", "one polyp", "one polyp and a text is visible", "nothing that anybody reads"]
    rows = rows_of(tmp_path / "run-1", [replace(both, index=i) for i in range(4)], list(answers))
    assert [row.said[0].state for row in rows if row.said[0]] == ["w", "u", "r", "u"]


def test_without_facts_the_reference_decides_and_without_a_reference_nothing(tmp_path: Path) -> None:
    plain = question(original=(), question_class=("another dataset's class",), finding=None)
    rows = [plain, replace(plain, index=1), replace(plain, index=2, answer=None)]
    found = rows_of(tmp_path / "run-1", rows, ["one polyp", "two", "two"])
    assert [row.said[0].state for row in found if row.said[0]] == ["r", "w", "-"]


def test_two_wordings_of_one_fact_are_no_disagreement(tmp_path: Path) -> None:
    words = ["one polyp", "There is a single polyp.", "three polyps", None]
    paths = [
        write_run(tmp_path / f"r{i}-1", rows=[question()], shown=[], variant=f"r{i}", answer=lambda q, word=word: word)
        for i, word in enumerate(words)
    ]
    data, _ = data_of(built(paths))
    assert [one["says"][0] for one in data["said"]] == [0, 0, 2, -1]


def test_regions_are_as_far_apart_as_they_overlap_less(tmp_path: Path) -> None:
    shown: list[tuple[Region, ...] | None] = [
        (square("polyp", 0, 0, 10),), (square("polyp", 0, 0, 10),), (square("polyp", 20, 20, 10),), (), (), None,
    ]  # fmt: skip
    paths = [
        write_run(tmp_path / f"r{i}-1", rows=[question()], shown=phrases(1)[:1], ground=lambda p, one=one: one)
        for i, one in enumerate(shown)
    ]
    (row,) = [row for row in Rows([open_run(path) for path in paths]).of_images(["img0"]) if row.kind == "phrase"]
    pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    apart = dict(zip(pairs, row.apart, strict=True))
    assert (apart[0, 1], apart[0, 2], apart[0, 3], apart[3, 4]) == ("0", "z", "z", "0")
    assert all(apart[i, 5] == "." for i in range(5))


def test_a_region_of_a_refusal_is_unread_and_says_what_was_written(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run-1", rows=[question()], shown=phrases(1))
    run = open_run(folder)
    key = ("phrase", 0)
    run.predictions[key] = replace(
        run.predictions[key], regions=(), ground_reply=Reply(text="I cannot help", state="refused")
    )
    said = Rows([run]).of_images(["img0"])[1].said[0]
    assert said == Said("u", "refused", confidence=0.5, phrase="polyp", regions=(), iou=0.0, wrote="I cannot help")


def test_a_run_of_fewer_rows_has_no_word_on_the_others(tmp_path: Path) -> None:
    whole = write_run(tmp_path / "whole-1", variant="whole")
    part = write_run(tmp_path / "part-2", variant="part", rows=questions(4), shown=[])
    data, _ = data_of(built([whole, part]))
    states = {row["key"]: row["said"][1]["state"] for row in unpacked(data)}
    assert {key for key, state in states.items() if state != "x"} == {("q", i) for i in range(4)}


def test_what_was_seen_in_training_is_known_or_not(pair: list[Path]) -> None:
    (pair[0] / "training.json").write_text(json.dumps({"seen": ["img1"]}))
    seen = data_of(built(pair))[0]["images"]["seen"]
    assert seen == ["0.", "1.", "0.", "0.", "0.", "0."]


@pytest.mark.parametrize("seed", range(6))
def test_an_outline_goes_around_its_mask(seed: int) -> None:
    dice = np.random.default_rng(seed)
    mask = np.zeros((90, 120), dtype=bool)
    for _ in range(3):
        x, y = dice.integers(15, 75, 2)
        mask[y : y + int(dice.integers(8, 30)), x : x + int(dice.integers(8, 30))] = True
    mask[40:44, 30:60] = False
    width, height = drawing_size(120, 90)
    path = outline_path((Region.from_mask("", mask),), width, height)
    assert re.fullmatch(r"(M\d+ \d+L[\d ]+Z)+", path)
    lines = [
        np.array(piece.split(), dtype=np.int32).reshape(-1, 2)
        for piece in re.findall(r"M([^Z]*)Z", path.replace("L", " "))
    ]
    drawn = np.zeros((height, width), dtype=np.uint8)
    cv2.fillPoly(drawn, lines, 1)
    assert np.array_equal(
        _union([Region.from_mask("", mask)], height, width), united([Region.from_mask("", mask)], height, width)
    )
    wanted = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    assert (drawn & wanted).sum() / (drawn | wanted).sum() > 0.95


def test_outlines_of_nothing_of_a_point_and_of_a_pixel() -> None:
    assert outline_path((), 10, 10) == outline_path((square("", 0, 0, 0),), 10, 10) == ""
    point = outline_path((Region.from_point("", (SIZE / 2, SIZE / 2), SIZE, SIZE),), 512, 512)
    assert point == "M247 256L265 256M256 247L256 265"
    speck = np.zeros((3000, 4000), dtype=bool)
    speck[1000, 2001] = True
    assert outline_path((Region.from_mask("", speck),), *drawing_size(4000, 3000))
    noise = np.random.default_rng(0).random((256, 256)) > 0.5
    assert len(outline_path((Region.from_mask("", noise),), 512, 512)) < 60_000


def test_overlaps_of_unions_sizes_and_nothing() -> None:
    small = Region.from_box("", (0, 0, 6, 6), 18, 18)
    groups = [(), (square("", 0, 0, 16),), (square("", 0, 0, 8), square("", 8, 0, 8)), (small,)]
    found = np.array(overlaps(groups))
    assert found[1, 1] == 1
    assert found[1, 2] == 128 / 256
    assert found[1, 3] == 1
    assert not found[0].any()
    assert overlaps([(), ()]) == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 100, 1149])
def test_the_beginning_of_an_order_is_spread_evenly(count: int) -> None:
    order = spread_order(count)
    assert sorted(order) == list(range(count))
    taken = sorted(order[: max(1, count // 4)])
    gaps = np.diff([*taken, count + taken[0]])
    assert gaps.max() <= 2 * count / len(taken) + 1


def with_pictures(path: Path) -> Run:
    """A run whose pictures take 2 kB each."""
    run = open_run(path)
    for number, (img_id, picture) in enumerate(list(run.pictures.items())):
        run.pictures[img_id] = replace(picture, data=b"RIFF0000WEBP" + number.to_bytes(4, "big") * 500)
    return run


def test_rows_and_pictures_over_the_cap_are_an_even_sample_that_says_so(tmp_path: Path) -> None:
    path = write_run(tmp_path / "many-1", rows=questions(400), shown=phrases(200))
    whole = built([path])
    assert whole.notes == ()
    assert whole.counts["images"] == whole.counts["pictures_inside"] == 200
    part = built([path], cap_bytes=30_000)
    assert part.counts["bytes"] <= 30_000
    assert 10 < part.counts["images"] < 150
    assert f"Rows of {part.counts['images']} of 200 images are here" in part.notes[0]
    data, _ = data_of(part)
    numbers = [int(one.removeprefix("img")) for one in (data["texts"][i] for i in data["images"]["id"])]
    assert numbers == sorted(numbers)
    assert np.diff([0, *numbers, 200]).max() <= 2 * 200 / len(numbers) + 1
    # All rows of an image, or none.
    assert len(data["rows"]["index"]) == 4 * len(numbers)
    run = with_pictures(path)
    few = build_browser([run], ["many"], cap_bytes=400_000)
    assert few.counts["images"] == 200
    assert few.counts["bytes"] <= 400_000
    assert 80 < few.counts["pictures_inside"] < 150
    assert f"Pictures of {few.counts['pictures_inside']} of 200 images are here" in few.notes[0]
    _, pictures = data_of(few)
    assert pictures["reasons"] == [LEFT_OUT]
    assert [source == "" for source in pictures["source"]] == [reason == 0 for reason in pictures["reason"]]


def test_pictures_that_do_not_fit_lie_beside_the_page(tmp_path: Path) -> None:
    path = write_run(tmp_path / "many-1", rows=questions(80), shown=[])
    folder = tmp_path / "out here" / "the #1 pictures?"
    run = with_pictures(path)
    browser = build_browser([run], ["many"], cap_bytes=90_000, pictures_dir=folder, page_dir=tmp_path / "out here")
    _, pictures = data_of(browser)
    links = [source for source in pictures["source"] if not source.startswith("data:")]
    assert len(links) == browser.counts["pictures_beside"] > 3
    assert browser.links_pictures
    assert "files beside this page" in browser.notes[0]
    for link in links:
        assert re.fullmatch(r"\./the%20%231%20pictures%3F/picture-[0-9a-f]{20}\.webp", link)
        assert (tmp_path / "out here" / unquote(link)).read_bytes()[:4] == b"RIFF"
    assert not built([path], pictures_dir=folder).links_pictures
    (tmp_path / "file").touch()
    with pytest.raises(GiBenchError, match="not a folder"):
        build_browser([run], ["many"], cap_bytes=90_000, pictures_dir=tmp_path / "file")
    with pytest.raises(GiBenchError, match="not a folder"):
        built([path], pictures_dir=tmp_path / "file")  # even where all would fit


def test_an_image_without_a_picture_says_why(tmp_path: Path) -> None:
    rows = questions(4)
    path = write_run(tmp_path / "run-1", rows=rows, shown=[])
    run = open_run(path)
    run.pictures["img0"] = replace(run.pictures["img0"], data=b"<svg onload=alert(1)>")
    del run.pictures["img1"]
    browser = build_browser([run], ["run"], cap_bytes=CAP)
    _, pictures = data_of(browser)
    assert pictures["source"] == ["", ""]
    why = [pictures["reasons"][reason] for reason in pictures["reason"]]
    assert why == ["the picture that was kept is neither WebP nor JPEG", NONE_KEPT]
    assert browser.counts["questions"] == 4


@pytest.mark.parametrize(
    ("suite", "is_warned"), [("phantom/test", False), ("phantom-of-somebody/test", True), ("kvasir-vqa-x1/test", True)]
)
def test_real_pictures_are_warned_of_by_what_the_suite_declares(tmp_path: Path, suite: str, is_warned: bool) -> None:
    path = write_run(tmp_path / "run-1", manifest={"recipe": {"suite": suite}})
    browser = built([path])
    assert bool(browser.warning) == is_warned
    assert not is_warned or f"6 pictures of real examinations (suite {suite})" in browser.warning
    assert built([path], cap_bytes=1_000).warning == "", "without pictures there is nothing to warn of"


def test_long_texts_are_whole_unless_there_are_many(tmp_path: Path) -> None:
    long = "word " * 20_000
    one = write_run(tmp_path / "one-1", answer=lambda q: long if q.index == 3 else q.answer)
    data, _ = data_of(built([one]))
    assert long in data["texts"]
    less = "word " * 1_000
    many = write_run(tmp_path / "many-2", answer=lambda q: f"{q.index} {less}", rows=questions(60), shown=[])
    browser = built([many], cap_bytes=400_000)
    assert browser.counts["questions"] == 60
    assert browser.counts["bytes"] < 200_000
    assert browser.notes == ("60 long texts are cut; the run folders have them whole.",)
    assert cut("a\x1bb" * 3, 4) == "a\\x1bba… (cut here: 9 characters in all)"


def test_hidden_characters_are_shown_and_no_block_ends_early(tmp_path: Path) -> None:
    foreign = "</script><!--\u202e\x1b[31m\u2028"
    path = write_run(tmp_path / "run-1", answer=lambda q: foreign, rows=questions(2), shown=[])
    browser = built([path])
    for block in browser.blocks:
        assert str(block).count("<") == 2
    assert "</script><!--\\u202e\\x1b[31m\\u2028" in data_of(browser)[0]["texts"]


def test_values_in_words() -> None:
    assert value_text("yes") == "yes"
    assert value_text(0) == "0"


def test_a_denied_phrase_is_right_where_nothing_fits(tmp_path: Path) -> None:
    shown = [Phrase(0, "img0", "forceps", "instrument", None, True), Phrase(1, "img0", "polyp", "polyp", None)]
    path = write_run(tmp_path / "run-1", rows=[question()], shown=shown, ground=lambda p: ())
    assert Grounding(()).reply_state() == "denied"
    found = [row.said[0] for row in Rows([open_run(path)]).of_images(["img0"]) if row.kind == "phrase"]
    assert [(one.state, one.iou) for one in found if one] == [("r", None), ("-", None)]
