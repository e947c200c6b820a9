"""The example browser in a real browser: filters, links, keyboard, outlines, CSV, and foreign text that stays text."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gi_bench.harness.schema import AtomicPair, Phrase, Question
from gi_bench.harness.store import open_run
from gi_bench.reports.browser import build_browser
from tests.reports.browser_page import page_of, write_page
from tests.reports.chromium import Chromium
from tests.run_folders import phrases, questions, square, write_run

HOSTILE = (
    "</script><script>document.title='ran'</script>",
    "<img src=x onerror=\"document.title='ran'\">",
    "<!--<svg onload=alert(1)>",
    "{{7*7}} ${7*7} {% raw %} #{7*7}",
    "=HYPERLINK(\"http://a.example\",\"x\")",
    "\u202egnp.exe \u200b\u2066 \x1b[2J\x1b[31mred \x07\u2028",
    "'\" javascript:alert(1) &lt;b&gt; \\u003cscript\\u003e",
    "x" * 100_000,
)  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs on 60 questions and 60 phrases: right, wrong about everything, and one that answers nothing."""
    folder = tmp_path_factory.mktemp("browser")
    rows, shown = questions(60), phrases(30)
    runs = [
        write_run(folder / "good-1", variant="good", rows=rows, shown=shown),
        write_run(
            folder / "poor-2", variant="poor", rows=rows, shown=shown, confidence=0.3,
            answer=lambda q: "one instrument is visible" if q.is_negative else "two polyps in the image",
            ground=lambda p: (square(p.label, 30, 30, 12),), explain=lambda q: None,
        ),
        write_run(
            folder / "mute-3", variant="mute", rows=rows, shown=[], answer=lambda q: None if q.index < 40 else "hm",
            explain=lambda q: "said in an explanation only" if q.index == 7 else None,
        ),
    ]  # fmt: skip
    (runs[0] / "training.json").write_text('{"seen": ["img2"]}')
    page_of(folder / "page.html", runs)
    return folder / "page.html"


def status(page: Any) -> str:
    return str(page.locator("#browse-status").inner_text())


def shown_rows(page: Any) -> list[str]:
    return list(page.locator("#browse-list .asked").all_inner_texts())


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True), (390, False), (1280, True)])
def test_it_opens_filters_searches_and_sorts(written: Path, chromium: Chromium, width: int, dark: bool) -> None:
    with chromium.page(written, width=width, dark=dark) as page:
        assert page.locator("#browser[data-ready=true]").is_visible()
        assert not page.get_by_text("static", exact=True).is_visible()
        assert status(page) == "All 120 rows"
        assert len(shown_rows(page)) == 50
        page.locator("#browse-next").click()
        assert page.locator("#browse-place").inner_text() == "51 to 100"
        for name, value, count in (
            ("kind", "q", 60), ("outcome", "wrong", 60), ("outcome", "right", 60), ("outcome", "unread", 20),
            ("outcome", "mixed", 60), ("outcome", "alarm", 30), ("class", "q:polyp_count", 15), ("training", "seen", 1),
        ):  # fmt: skip
            page.locator(f"#browse-{name}").select_option(value)
            if name == "class":
                page.locator("#browse-outcome").select_option("unread")
                assert status(page) == "10 of 120 rows"
                page.locator("#browse-outcome").select_option("")
                assert status(page) == "30 of 120 rows"
            elif name == "training":
                assert status(page) == "1 of 120 rows"
            else:
                assert status(page) == f"{count} of 120 rows", (name, value)
        page.locator("#browse-reset").click()
        assert status(page) == "All 120 rows"
        page.locator("#browse-search").fill("in an EXPLANATION only")
        assert status(page) == "1 of 120 rows"
        page.locator("#browse-search").fill("nobody said that")
        assert status(page) == "0 of 120 rows"
        assert page.get_by_text("No row fits these filters.").is_visible()
        page.locator("#browse-search").fill("")
        page.locator("#browse-run").select_option(label="poor")
        page.locator("#browse-sort").select_option("iou-down")
        assert page.locator("#browse-list .below").first.inner_text().startswith("question")
        page.locator("#browse-sort").select_option("iou-up")
        assert page.locator("#browse-list .below").first.inner_text().startswith("phrase")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_largest_disagreement_comes_first(written: Path, chromium: Chromium) -> None:
    with chromium.page(written) as page:
        page.locator("#browse-list .row").nth(30).click()
        page.locator("#browse-sort").select_option("disagreement")
        assert page.locator("#browse-list .row").first.get_attribute("aria-current") == "true"
        first = page.locator("#browse-list .row").first
        first.click()
        # All runs that answer say something else, and one of them is right.
        states = page.locator("#browse-example .badge:not(.is-alarm)").all_inner_texts()
        assert states == ["✓ right", "✗ wrong", "○ no reply"]
        page.locator("[data-switch='1']").click()
        page.locator("[data-switch='2']").click()
        page.locator("#browse-outcome").select_option("differ")
        assert status(page) == "0 of 120 rows, 1 of 3 runs"


def test_a_run_that_is_switched_off_is_nowhere(written: Path, chromium: Chromium) -> None:
    with chromium.page(written) as page:
        assert page.locator("#browse-example .said[data-of]").count() == 3
        page.locator("#browse-run").select_option(label="poor")
        page.locator("[data-switch='1']").click()
        assert page.locator("#browse-run").input_value() == ""
        assert page.locator("#browse-example .said .name").all_inner_texts() == ["good", "mute"]
        assert page.locator("#browse-list li:first-child .mark").count() == 2
        assert page.locator("[data-layer='1']").count() == 0
        assert status(page) == "All 120 rows, 2 of 3 runs"
        page.locator("#browse-search").fill("two polyps in the image")
        assert status(page).startswith("0 of"), "what only the hidden run said is not found"
        page.locator("[data-switch='1']").click()
        assert status(page).startswith("30 of")


def test_words_facts_and_regions_of_one_example(written: Path, chromium: Chromium) -> None:
    with chromium.page(written) as page:
        card = page.locator(".said[data-of='1']")
        assert card.locator("ins").all_inner_texts() == ["two polyps"]
        assert card.locator("del").all_inner_texts() == ["one polyp visible"]
        assert "line-through" in card.locator("del").first.evaluate("(one) => getComputedStyle(one).textDecorationLine")
        assert "underline" in card.locator("ins").first.evaluate("(one) => getComputedStyle(one).textDecorationLine")
        assert card.locator(".facts").inner_text() == "✗ polyp count: 2"
        assert page.locator(".said.reference .facts").inner_text() == "polyp count: 1"
        assert "confidence 0.30" in card.locator(".meta").inner_text()
        assert "IoU 0.56" in page.locator(".said[data-of='0'] .meta").inner_text()
        # The phrase that was put to the model stands with its region: the run's own answer.
        assert "for “one polyp visible in the image”" in page.locator(".said[data-of='0']").inner_text()
        layers = page.locator("#browse-example [data-layer]")
        assert [one.get_attribute("data-layer") for one in layers.all()] == ["-1", "0", "1", "2"]
        outline = layers.first.locator(".outline")
        assert outline.evaluate("(one) => getComputedStyle(one).fill") == "none"
        colors = {one.evaluate("(one) => getComputedStyle(one).stroke") for one in page.locator(".outline").all()}
        assert len(colors) == 4
        picture = page.locator("#browse-example .canvas img")
        assert picture.evaluate("(one) => one.naturalWidth") == 96
        page.get_by_role("checkbox", name="poor").uncheck()
        assert [one.is_visible() for one in layers.all()] == [True, True, False, True]
        page.keyboard.press("j")
        page.keyboard.press("k")
        assert not page.get_by_role("checkbox", name="poor").is_checked(), "switches hold for the next example"


def test_the_keyboard_does_everything(written: Path, chromium: Chromium) -> None:
    def current() -> str | None:
        return page.locator("#browse-list .row[aria-current]").get_attribute("data-row")

    with chromium.page(written) as page:
        assert page.locator(".keys").is_visible()
        for key in ("j", "j", "ArrowDown", "k"):
            page.keyboard.press(key)
        assert current() == "2"
        assert page.evaluate("document.activeElement.dataset.row") == "2"
        page.keyboard.press("r")
        assert page.locator("#browse-example [data-layer]:visible").count() == 0
        page.keyboard.press("r")
        assert page.locator("#browse-example [data-layer]:visible").count() > 0
        page.keyboard.press("Enter")
        dialog = page.locator("#browse-zoom")
        assert dialog.is_visible()
        assert dialog.locator("[data-layer]:visible").count() > 0
        page.keyboard.press("j")
        assert dialog.is_visible()
        assert current() == "3"
        page.keyboard.press("Escape")
        assert not dialog.is_visible()
        page.keyboard.press("/")
        page.keyboard.type("jkr/")
        assert page.locator("#browse-search").input_value() == "jkr/"
        page.locator("#browse-search").fill("")
        page.locator("#browse-example .open").click()
        assert dialog.is_visible()
        page.locator("#browse-close").click()
        assert not dialog.is_visible()
        # The list is one stop of the tabulator, and the order is that of the page.
        assert page.locator("#browse-list .row[tabindex='0']").count() == 1
        page.locator("#browse-csv").focus()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "row"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "browse-next"


def test_a_link_brings_back_the_example_and_its_filters(written: Path, chromium: Chromium) -> None:
    with chromium.page(written) as page:
        page.locator("#browse-kind").select_option("p")
        page.locator("#browse-outcome").select_option("alarm-region")
        page.locator("#browse-search").fill("forceps")
        page.locator("#browse-list .row").nth(3).click()
        asked, address = page.locator("#browse-example .where").inner_text(), page.url
        assert page.locator("#browse-example .where a").get_attribute("href") in address
    assert "example=phrase-7" in address
    other = written.with_name("linked.html")
    other.write_bytes(written.read_bytes())
    with chromium.page(other) as page:
        page.evaluate("(hash) => { location.hash = hash; }", address.partition("#")[2])
        page.get_by_text("phrase 7, image").wait_for()
        assert page.locator("#browse-example .where").inner_text() == asked
        assert status(page) == "30 of 120 rows"
        assert page.locator("#browse-search").input_value() == "forceps"
        page.reload()
        assert page.locator("#browse-example .where").inner_text() == asked
        page.evaluate("location.hash = 'example=question-<img>&class=nonsense&sort=__proto__'")
        page.get_by_text("All 120 rows").wait_for()


def test_the_rows_found_are_saved_as_csv(written: Path, chromium: Chromium) -> None:
    with chromium.page(written) as page:
        page.locator("#browse-class").select_option("q:polyp_count")
        page.locator("[data-switch='2']").click()
        with page.expect_download() as started:
            page.locator("#browse-csv").click()
        content = Path(started.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content)))
    assert len(rows) == 30
    assert rows[0]["text"] == "How many polyps are there?"
    assert rows[0]["poor: answer"] == "two polyps in the image"
    assert (rows[0]["good: judged"], rows[0]["poor: judged"]) == ("right", "wrong")
    assert rows[0]["good: IoU"] == "0.56"
    assert not any(name.startswith("mute") for name in rows[0])


def test_without_scripts_the_static_examples_stand(written: Path, chromium: Chromium) -> None:
    with chromium.page(written, scripts=False) as page:
        assert not page.locator("#browser").is_visible()
        assert page.get_by_text("static", exact=True).is_visible()


def test_pictures_beside_the_page_are_shown(tmp_path: Path, chromium: Chromium) -> None:
    run = open_run(write_run(tmp_path / "run-1", rows=questions(40), shown=[]))
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)).save(stream, format="WEBP")
    for img_id, picture in list(run.pictures.items()):
        run.pictures[img_id] = replace(picture, data=stream.getvalue())
    folder = tmp_path / "a page"
    folder.mkdir()
    browser = page_of(folder / "page.html", [run], cap_bytes=40_000, pictures_dir=tmp_path / "c:#pictures ?")
    assert browser.counts["pictures_beside"] > 0
    with chromium.page(folder / "page.html") as page:
        sources = page.evaluate("gi.data('browser-pictures').source")
        linked = next(i for i, source in enumerate(sources) if not source.startswith("data:"))
        index = page.evaluate(
            "(n) => { const rows = gi.data('browser-data').rows; return rows.index[rows.image.indexOf(n)]; }", linked
        )
        page.evaluate("(n) => { location.hash = `example=question-${n}`; }", index)
        page.get_by_text(f"question {index}, image").wait_for()
        page.locator("#browse-example .canvas img").evaluate("(one) => one.decode()")
        assert page.locator("#browse-example .canvas img").evaluate("(one) => one.naturalWidth") == 96


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page in which every text of rows, runs and predictions is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = [
        Question(
            i, f"../{text[:2000]}", text, text, (text[:3000],), 1, (AtomicPair(text, text),), text, True, text,
            True, (text, "a"), (text,),
        )
        for i, text in enumerate(HOSTILE)
    ]  # fmt: skip
    shown = [
        Phrase(i, f"../{text[:2000]}", text, text[:3000], square(text[:50], 8, 8, 9)) for i, text in enumerate(HOSTILE)
    ]
    path = write_run(
        folder / "run-1", rows=rows, shown=shown, answer=lambda q: q.question + " and", explain=lambda q: q.question
    )
    run = open_run(path)
    lone = "lone \ud800 surrogate \udfff"
    run.predictions["question", 3] = replace(run.predictions["question", 3], answer=lone, phrase=lone)
    run.predictions["question", 4] = replace(run.predictions["question", 4], confidence=float("nan"))
    names = [HOSTILE[0], HOSTILE[7][:3000]]
    page = write_page(folder / "page.html", build_browser([run, run], names, cap_bytes=12_000_000))
    return page


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)])
def test_foreign_text_is_text_everywhere(hostile: Path, chromium: Chromium, width: int, dark: bool) -> None:
    with chromium.page(hostile, width=width, dark=dark) as page:
        assert status(page) == f"All {2 * len(HOSTILE)} rows"
        for row in range(2 * len(HOSTILE)):
            page.locator("#browse-list .row").nth(row).click()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), row
            assert page.locator("#browse-example script, #browse-example [onerror], #browse-list img").count() == 0
        page.locator("#browse-list .row").nth(0).click()
        assert page.locator("#browse-example h3").inner_text() == HOSTILE[0]
        page.locator("#browse-list .row").nth(3).click()
        assert "lone \\ud800 surrogate \\udfff" in page.locator(".said[data-of='0']").inner_text()
        assert "{{7*7}} ${7*7}" in page.locator("#browse-example h3").inner_text()
        page.locator("#browse-list .row").nth(5).click()
        assert "\\u202egnp.exe" in page.locator("#browse-example h3").inner_text()
        # 100 kB are folded, and there when they are asked for.
        page.locator("#browse-list .row").nth(7).click()
        assert page.locator("#browse-example").inner_text().count("x") < 12_000
        page.locator("#browse-example .said[data-of='0'] summary").first.click()
        assert page.locator("#browse-example .whole").first.inner_text().count("x") == 100_000
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator("#browse-class").select_option(index=1)
        page.locator("#browse-reset").click()
        page.locator("#browse-search").fill("<img src=x onerror")
        assert status(page).startswith("2 of")
        page.locator("#browse-search").fill("")
        with page.expect_download() as started:
            page.locator("#browse-csv").click()
        rows = list(csv.reader(io.StringIO(Path(started.value.path()).read_text(encoding="utf-8-sig"))))
        assert len(rows) == 1 + 2 * len(HOSTILE)
        cells = [cell for row in rows for cell in row]
        assert not [cell for cell in cells if cell.lstrip()[:1] in tuple("=+-@")]
        assert "'" + HOSTILE[4] in cells
        assert page.title() == "Examples"


def test_one_run_of_phrases_alone_with_a_picture_that_does_not_open(tmp_path: Path, chromium: Chromium) -> None:
    run = open_run(write_run(tmp_path / "run-1", rows=questions(2), shown=phrases(2)))
    run.predictions["phrase", 2] = replace(run.predictions["phrase", 2], regions=(square("polyp", 0, 0, 0),))
    run = run.restricted(frozenset(("phrase", i) for i in range(4)))
    run.pictures["img0"] = replace(run.pictures["img0"], data=b"RIFF\0\0\0\0WEBPdamaged")
    assert "img1" not in run.pictures
    browser = build_browser([run], ["alone"], cap_bytes=12_000_000)
    assert (browser.counts["questions"], browser.counts["phrases"]) == (0, 4)
    with chromium.page(write_page(tmp_path / "page.html", browser), width=390) as page:
        assert page.locator("#browser .lead").inner_text().startswith("4 phrases on 2 images. Of 1 of 2 images no")
        assert not page.locator("#browse-run").is_visible()
        assert not page.locator("#browse-complexity").is_visible()
        page.get_by_text("The picture does not open.").wait_for()
        # Outlines stand without their picture.
        assert page.locator("#browse-example svg").bounding_box()["height"] > 100
        for _ in range(6):
            page.keyboard.press("j")
        assert page.locator("#browse-list .row[aria-current]").get_attribute("data-row") == "3"
        page.locator("#browse-sort").select_option("disagreement")
        page.locator("#browse-outcome").select_option("differ")
        assert status(page) == "0 of 4 rows"
        assert page.get_by_text("No example.").is_visible()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        assert not page.locator("#browse-zoom").is_visible()
