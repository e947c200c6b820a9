"""The study page: what the design can show, trends, power, seeing and gradients."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.reports.chromium import Chromium
from tests.reports.study_pages import html_of, made_study, rows_of, told_study


def test_the_page_says_what_the_design_can_show_and_what_trainings_took() -> None:
    text = html_of(told_study())
    plain = " ".join(re.sub(r"<[^>]+>", " ", text.split("<body>")[1]).split())
    assert "It can show Whether rank matters here. It cannot show What it does elsewhere. Why." in plain
    assert "the arms differ in steps: rank_8 350, rank_128 200" in plain
    rows = rows_of(text)
    assert ["arm", "steps", "images", "answer rows", "ground rows", "trainable parameters", "seconds"] in rows
    assert ["rank_8", "350", "600", "11,200", "5,600", "120,000", "61"] in rows
    assert ["rank_128", "200", "600", "11,200", "0", "480,000", "40"] in rows
    assert ["blind", *["not trained"] * 6] in rows
    made = told_study().made
    untimed = rows_of(html_of(told_study(made={name: replace(one, seconds=None) for name, one in made.items()})))
    assert ["rank_8", "350", "600", "11,200", "5,600", "120,000"] in untimed, "no seconds that nobody measured"
    half = rows_of(html_of(told_study(made=made | {"rank_8": replace(made["rank_8"], seconds=None)})))
    assert ["rank_8", "350", "600", "11,200", "5,600", "120,000", "–"] in half
    bare = html_of(made_study())
    assert "The study does not say." in bare
    assert "Steps and rows of the trainings are not stored" in bare
    assert 'id="seeing"' not in bare
    assert 'id="gradients"' not in bare


def test_trends_interactions_and_power_stand_in_the_table() -> None:
    rows = rows_of(html_of(told_study()))
    assert rows[1][8] == (
        "Supported greater, p 0.0012 80 % of such studies find a difference of 0.031; the margin is 0.015"
    )
    assert rows[2][8] == (
        "Undecided at this n neither 80 % of such studies find a difference of 0.12; the margin is 0.01; "
        "only 0.058 is left to fall: undecided says little here"
    )
    assert rows[3][1:4] == [
        "blind 0.3141 rank_8 0.6702 rank_128 0.7123", "the slope for each step from arm to arm",
        "rising 0.02 or more for each step is worth a claim",
    ]  # fmt: skip
    assert "80 % of such studies find a rise by step of 0.07; the margin is 0.02: undecided says" in rows[3][8]
    assert rows[4][1:4] == [
        "d 0.5000 c 0.3000 the first less the second", "b 0.2000 a 0.1000 the first less the second",
        "larger 0.01 or more is worth a claim",
    ]  # fmt: skip


def test_what_fell_and_gradients_stand_on_the_page() -> None:
    text = html_of(told_study())
    plain = " ".join(re.sub(r"<[^>]+>", " ", text.split("<body>")[1]).split())
    assert "rank_128: the format fell: regions as written did, and those of decoding forced to locations" in plain
    assert "gradients of answer and ground: against each other in rank_128; along each other in rank_8" in plain
    rows = rows_of(text)
    assert ["arm", "place in words", "region as written", "region, locations forced", "probe: cell"] in rows
    before = next(row for row in rows if row[0] == "before training")
    assert before[2] == "0.4000 0.370 to 0.430 n 90"
    after = next(row for row in rows if row[0] == "rank_128" and "fell" in row[2])
    assert after[2].startswith("0.0300 ")
    assert after[2].endswith("n 90 0.020, 0.030, 0.040 fell")
    assert after[1].endswith("rose")
    cosines = next(row for row in rows if row[0] == "rank_128" and "norms" in row[1])
    assert cosines[1].startswith("-0.299 -0.301 to -0.297 logged steps 7 -0.300, -0.299, -0.298 below 0 in 75 %")
    assert cosines[1].endswith("norms 1.25 and 3.5")
    assert next(row for row in rows if row[0] == "blind" and "norm 0.125" in row)


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_seeing_and_gradients_draw_and_follow_the_switches(
    tmp_path: Path, chromium: Chromium, width: int, dark: bool
) -> None:
    path = tmp_path / "study.html"
    path.write_text(html_of(told_study()), encoding="utf-8")
    with chromium.page(path, width=width, dark=dark) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        figures = page.locator("section[aria-labelledby=seeing] figure.chart")
        assert figures.count() == 4
        for figure in [*figures.all(), *page.locator("section[aria-labelledby=gradients] figure.chart").all()]:
            figure.scroll_into_view_if_needed()
            figure.locator(".live svg").wait_for()
        seen = page.locator("section[aria-labelledby=seeing] > .scroll tbody tr")
        assert [row.is_visible() for row in seen.all()] == [True, True]
        page.locator("nav.runs button", has_text="rank_128").click()
        assert [row.is_visible() for row in seen.all()] == [True, False], "the backbone has no switch"
        took = page.locator("section[aria-labelledby=design] tbody tr")
        assert [row.is_visible() for row in took.all()] == [True, False, True]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
