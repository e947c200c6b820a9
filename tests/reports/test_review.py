"""The blind sheet: nothing in it names a run, its draw is fair, and a rater can work on it in a real browser."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.harness import store
from gi_bench.harness.analysis.review import read_key, score_review
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.schema import Picture, Question, Region
from gi_bench.harness.store import open_run
from gi_bench.harness.tables import write_records
from gi_bench.reports.review.outlines import outline_path
from gi_bench.reports.review.sampling import candidates, draw
from gi_bench.reports.review.sheet import write_explanation_sheet
from tests.command_line import CommandLine
from tests.reports.chromium import Chromium
from tests.reports.test_pages import HOSTILE
from tests.run_folders import questions, square, write_run


def _two(folder: Path, **options: Any) -> list[Path]:
    return [
        write_run(
            folder / "runs" / "alpha-run", variant="alpha_r8", explain=lambda q: f"Bump in row {q.index}.", **options
        ),
        write_run(
            folder / "runs" / "beta-run",
            variant="beta_r9",
            confidence=0.125,
            explain=lambda q: "Smooth wall.",
            **options,
        ),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sheet of two runs, 24 items."""
    folder = tmp_path_factory.mktemp("review")
    return write_explanation_sheet(_two(folder), folder / "sheet.html").page


def test_nothing_in_the_page_names_a_run(made: Path) -> None:
    page = made.read_text(encoding="utf-8")
    key = json.loads(made.with_suffix(".key.json").read_text(encoding="utf-8"))
    told = ["alpha", "beta", "_r8", "runs/", "key.json", "0.75", "0.125", "confidence", *(f"img{i}" for i in range(6))]
    told += [run[field] for run in key["runs"] for field in ("name", "path", "made_from")]
    told += ["d" * 64, "f" * 64, str(made.parent), "seed"]
    assert [text for text in told if text.lower() in page.lower()] == []
    # Whatever an item is made of, two runs differ in what they said alone.
    items = re.findall(r'<article class="item".*?</article>', page, re.DOTALL)
    assert len(items) == 24
    bare = set()
    for item in items:
        item = re.sub(r"<dt>Answer.*?</dl>", "", item, flags=re.DOTALL)
        item = re.sub(r"data:image/[^\"]*|<dd class=\"asked\">[^<]*", "", item)
        bare.add(re.sub(r"\b\d+\b", "0", re.sub(r"[cw]\d+", "x", item)))
    # With and without a region, and the last one has no button to the next.
    assert len(bare) <= 3


def test_the_order_is_shuffled_balanced_and_fair(tmp_path: Path) -> None:
    rows = questions(60)
    runs = _two(tmp_path, rows=rows)
    first = write_explanation_sheet(runs, tmp_path / "a.html")
    key = read_key(first.key)
    assert Counter((one.run, one.row) for one in key.items) == {(run, row.index): 1 for run in (0, 1) for row in rows}
    half = key.items[:60]
    assert len({one.row for one in half}) == 60, "every question once before any a second time"
    assert 18 <= sum(one.run for one in half) <= 42
    assert [one.row for one in half] != sorted(one.row for one in half)
    changes = sum(a.run != b.run for a, b in pairwise(half))
    assert 15 <= changes <= 45
    again = write_explanation_sheet(runs[::-1], tmp_path / "b.html")
    assert again.page.read_bytes() == first.page.read_bytes(), "the order in which runs are given does not show"
    other = write_explanation_sheet(runs, tmp_path / "c.html", seed=1)
    assert other.digest != first.digest
    same = write_explanation_sheet(runs, tmp_path / "a.html")
    assert (same.digest, same.key.read_bytes()) == (first.digest, first.key.read_bytes()), "the same is written over"


def test_strata_have_about_as_many_and_images_repeat_little(tmp_path: Path) -> None:
    rare = [replace(q, question_class=("rare",) if q.index in (3, 20, 41) else q.question_class) for q in questions(60)]
    run = open_run(write_run(tmp_path / "run", rows=rare))
    pool = candidates([run])
    drawn = draw(pool, 12, "question_class", run.fingerprint, 0)
    held = Counter(slug for q in drawn for slug in q.question_class)
    assert held["rare"] == 3
    assert abs(held["polyp_count"] - held["instrument_count"]) <= 1
    assert len({q.img_id for q in drawn}) >= 11
    assert drawn == draw(pool, 12, "question_class", run.fingerprint, 0)
    assert drawn != draw(pool, 12, "question_class", run.fingerprint, 1)
    plain = draw(pool, 50, "none", run.fingerprint, 0)
    assert len({q.index for q in plain}) == 50


def test_what_cannot_be_shown_is_said(tmp_path: Path, gi_bench: CommandLine) -> None:
    rows = [replace(q, answer=None) for q in questions(12)]
    run = write_run(
        tmp_path / "one",
        rows=rows,
        answer=lambda q: "yes",
        explain=lambda q: None if q.index < 3 else " " * (q.index == 3) or "A wall.",
    )
    pictures = store.pictures_path(run, "f" * 64)
    kept = [one for one in open_run(run).pictures.values() if one.img_id != "img5"]
    write_records(pictures, kept, Picture)
    done = gi_bench("review", "explanations", run, "-o", tmp_path / "sheet.html")
    assert done.returncode == 0, done.stderr
    assert "left out: 4 questions without an explanation of tested" in done.stdout
    assert "left out: 2 questions without a picture beside the runs" in done.stdout
    assert "6 questions can be shown, and --sample asks for 100" in done.stdout
    assert "the suite hides 12 of 12 references" in done.stdout
    assert len(read_key(tmp_path / "sheet.key.json").items) == 6


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--stratify", "mood"], "unknown strata 'mood'"),
        (["--sample", "0"], "Invalid value for '--sample'"),
        (["-o", "-"], "standard output"),
    ],
)
def test_wrong_options_are_told_in_a_line(tmp_path: Path, gi_bench: CommandLine, options: list[str], told: str) -> None:
    run = write_run(tmp_path / "one")
    done = gi_bench("review", "explanations", run, "-o", tmp_path / "sheet.html", *options)
    assert (done.returncode, told in done.stderr, len(done.stderr.splitlines())) == (2, True, 1), done.stderr
    assert not (tmp_path / "sheet.html").exists()


def test_runs_that_make_no_sheet_are_refused(tmp_path: Path) -> None:
    page = tmp_path / "sheet.html"
    silent = write_run(tmp_path / "silent", explain=lambda q: None)
    with pytest.raises(GiBenchError, match="no explanation can be shown: 12 without an explanation of tested"):
        write_explanation_sheet([silent], page)
    run = write_run(tmp_path / "run")
    with pytest.raises(GiBenchError, match="the same run is given twice"):
        write_explanation_sheet([run, run], page)
    elsewhere = write_run(tmp_path / "elsewhere", fingerprint="a" * 64)
    with pytest.raises(GiBenchError, match="different suites"):
        write_explanation_sheet([run, elsewhere], page)
    begun = write_run(tmp_path / "begun", manifest={"complete": False})
    with pytest.raises(GiBenchError, match="not finished"):
        write_explanation_sheet([begun], page)
    with pytest.raises(GiBenchError, match="no run given"):
        write_explanation_sheet([], page)
    assert not page.exists()
    assert not page.with_suffix(".key.json").exists()


def test_nothing_of_others_is_written_over(tmp_path: Path) -> None:
    run, other = write_run(tmp_path / "run"), write_run(tmp_path / "other", variant="other", explain=lambda q: "Red.")
    page = tmp_path / "sheet.html"
    page.write_text("mine")
    with pytest.raises(GiBenchError, match="no file of this kind"):
        write_explanation_sheet([run], page)
    page.unlink()
    write_explanation_sheet([run], page)
    with pytest.raises(GiBenchError, match="the key of another sheet is there"):
        write_explanation_sheet([other], page)
    with pytest.raises(GiBenchError, match="file of a run"):
        write_explanation_sheet([run], page, key_path=run / "manifest.json")


def test_a_name_in_a_text_is_hidden_unless_it_is_a_word(tmp_path: Path, gi_bench: CommandLine) -> None:
    run = write_run(tmp_path / "run", variant="my-model_r8", explain=lambda q: "As My-Model_r8 I see my-model_r8x.")
    assert gi_bench("review", "explanations", run, "-o", tmp_path / "a.html").returncode == 0
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "As ▇▇▇ I see my-model_r8x." in page
    joined = write_run(
        tmp_path / "joined", variant="my_model_r8", explain=lambda q: "My-Model r8 and mymodel.R8 agree."
    )
    assert gi_bench("review", "explanations", joined, "-o", tmp_path / "c.html").returncode == 0
    assert "▇▇▇ and ▇▇▇ agree." in (tmp_path / "c.html").read_text(encoding="utf-8")
    word = write_run(tmp_path / "word", variant="Polyp", explain=lambda q: "A polyp is seen.")
    done = gi_bench("review", "explanations", word, "-o", tmp_path / "b.html")
    assert "12 items hold the name of a run as a word of their text" in done.stdout


def test_outlines_follow_regions() -> None:
    box = outline_path([square("polyp", 8, 8, 16)], 48, 48)
    numbers = [int(text) for text in re.findall(r"\d+", box)]
    assert (min(numbers), max(numbers)) == (
        pytest.approx(8.5 / 48 * 1000, abs=1),
        pytest.approx(23.5 / 48 * 1000, abs=1),
    )
    assert outline_path([], 48, 48) == outline_path([square("none", 0, 0, 0)], 48, 48) == ""
    assert re.fullmatch(r"M\d+ \d+h0", outline_path([square("dot", 5, 5, 1)], 48, 48))
    # A mask of another resolution lies on the same place.
    assert outline_path([square("polyp", 8, 8, 16)], 96, 96).count("L") == 3


def test_noise_makes_no_page_of_megabytes() -> None:
    noise = np.random.default_rng(0).random((300, 400)) > 0.5
    noise[100:200, 100:200] = True
    path = outline_path([Region.from_mask("noise", noise)], 4000, 3000)
    assert 100 < len(path) < 20_000


def test_two_runs_of_one_variant_are_told_apart_by_the_key_alone(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, variant="same_1", explain=lambda q, name=name: f"said by {name}.")
        for name in ("first-run", "second-run")
    ]
    made = write_explanation_sheet(runs, tmp_path / "sheet.html")
    key = read_key(made.key)
    assert [one.name for one in key.runs] == ["same_1 (first-run)", "same_1 (second-run)"]
    page = made.page.read_text(encoding="utf-8")
    assert page.count("said by ▇▇▇.") == 24
    assert not re.search("first-run|second-run|same_1", page)


def hostile_run(folder: Path) -> Path:
    rows = [
        replace(
            q,
            question=HOSTILE[q.index % len(HOSTILE)] if "surrogate" not in HOSTILE[q.index % len(HOSTILE)] else "ask",
            img_id=f"<b>{q.img_id}",
        )
        for q in questions(12)
    ]

    def said(q: Question) -> str:
        text = HOSTILE[(q.index + 1) % len(HOSTILE)].replace("\ud800", "")
        return text + "<b>evil</b>"

    return write_run(folder / "run", rows=rows, shown=[], answer=said, explain=said, variant="evil", suite="<b>suite")


def test_hostile_texts_stay_texts(tmp_path: Path, chromium: Chromium) -> None:
    made = write_explanation_sheet([hostile_run(tmp_path)], tmp_path / "sheet.html")
    assert "<b>evil" not in made.page.read_text(encoding="utf-8")
    with chromium.page(made.page, width=390) as page:
        assert page.locator(".item b", has_text="evil").count() == 0
        assert page.locator(".item script, .item img[src=x]").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        for _ in range(made.items):
            page.keyboard.press("n")


def _saved(page: Any) -> list[list[str]]:
    with page.expect_download() as waiting:
        page.click("#save")
    text = Path(waiting.value.path()).read_bytes().decode("utf-8")
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text[1:], newline="")))


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_a_rater_works_by_keys_alone(made: Path, tmp_path: Path, chromium: Chromium, width: int, dark: bool) -> None:
    key = read_key(made.with_suffix(".key.json"))
    with chromium.page(made, width=width, dark=dark) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".item:visible").count() == 1
        for text in "354":
            page.keyboard.press(text)
        assert page.locator("#counted").text_content() == "1 of 24 rated"
        page.keyboard.press("n")
        page.keyboard.press("2")
        page.keyboard.press("c")
        page.keyboard.type('=1+1, said "so", n5')
        page.keyboard.press("Escape")
        page.keyboard.press("n")
        assert page.locator("#place").text_content() == "3 of 24"
        assert page.locator("#counted").text_content() == "1 of 24 rated, 1 begun"
        page.click("#save")
        assert "Give your name" in page.locator("[role=status]").text_content()
        page.fill("#rater", "Dr. Ünal; B")
        page.reload()
        page.wait_for_selector("html[data-ready=true]", state="attached")
        assert page.locator("#counted").text_content() == "1 of 24 rated, 1 begun", "kept over a reload"
        assert page.input_value("#rater") == "Dr. Ünal; B"
        page.keyboard.press("p")
        assert page.locator(".item:visible input:checked").count() == 1
        page.keyboard.press("u")
        assert page.locator("#place").text_content() == "3 of 24"
        rows = _saved(page)
    assert rows[0] == ["sheet", "rater", "item", "correctness", "completeness", "faithfulness", "comment"]
    assert rows[1] == [key.sheet, "Dr. Ünal; B", "1", "3", "5", "4", ""]
    assert rows[2] == [key.sheet, "Dr. Ünal; B", "2", "2", "", "", '\'=1+1, said "so", n5']
    assert len(rows) == 25
    path = tmp_path / "saved.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream).writerows(rows)
    found = score_review([path], made.with_suffix(".key.json"))
    assert found.raters[0].missing == {"correctness": 22, "completeness": 23, "faithfulness": 23}
    assert found.items[0].ratings["Dr. Ünal; B"] == {"correctness": 3, "completeness": 5, "faithfulness": 4}


def test_a_rater_works_by_mouse_and_outlines_are_switched(made: Path, chromium: Chromium) -> None:
    with chromium.page(made) as page:
        number = page.locator(".item").evaluate_all("all => all.findIndex(one => one.querySelector('svg'))")
        for _ in range(number):
            page.click("#next")
        assert page.locator(".item:visible svg").is_visible()
        page.click(".item:visible [data-outline]")
        assert not page.locator(".item:visible svg").is_visible()
        page.locator(".item:visible fieldset[data-criterion=faithfulness] label").nth(1).click()
        assert page.locator(".item:visible input:checked").get_attribute("value") == "2"
        assert page.locator("#counted").text_content() == "0 of 24 rated, 1 begun"


def test_two_sheets_keep_their_ratings_apart(made: Path, tmp_path: Path, chromium: Chromium) -> None:
    other = write_explanation_sheet([write_run(tmp_path / "run")], tmp_path / "sheet.html")
    with chromium.page(made) as page:
        page.keyboard.press("5")
        assert "1 begun" in page.locator("#counted").text_content()
        page.goto(other.page.as_uri())
        page.wait_for_selector("html[data-ready=true]", state="attached")
        assert page.locator("#counted").text_content() == "0 of 12 rated"


def test_without_scripts_every_item_can_be_read(made: Path, chromium: Chromium) -> None:
    with chromium.page(made, scripts=False) as page:
        assert page.locator(".item:visible").count() == 24
        assert not page.locator("#save").is_visible()
        assert page.locator("noscript, .note", has_text="Without JavaScript").count() >= 1
