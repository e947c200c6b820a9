"""The study page: claim, verdict and every number, charts and switches, nothing fetched."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness.analysis.study import Cell
from gi_bench.harness.statistics import SeedEffect
from gi_bench.reports.palette import run_color
from gi_bench.reports.study import build_study_page
from gi_bench.reports.study_charts import ZERO_COLOR
from tests.reports.chromium import Chromium
from tests.reports.parsed_page import Parsed
from tests.reports.study_pages import NO_VALUE, html_of, made_study, pictures_of, rows_of


@pytest.fixture(scope="module")
def text() -> str:
    return html_of(made_study())


def test_claim_verdict_and_numbers_of_the_contrasts(text: str) -> None:
    plain = " ".join(re.sub(r"<[^>]+>", " ", text.split("<body>")[1]).split())
    assert "Claim: More rank is better. Verdict: Not supported Source of the claim: Somebody 2025, table 3" in plain
    assert "Suite made/test , fingerprint 0123456789abcdef , 37 images, 2 seeds (3, 5)." in plain
    rows = rows_of(text)
    assert rows[1] == [
        "ROUGE-L", "rank_128 0.7123", "rank_8 0.6702", "higher 0.015 or more is worth a claim",
        "+0.0421 +0.021 to +0.063", "+0.039 +0.045", "< 0.001", "0.001", "Supported greater, p 0.0012",
    ]  # fmt: skip
    assert rows[2] == [
        "false alarms finding: polyp", "rank_128 0.0711", "rank_8 0.0580", "lower 0.01 or more is worth a claim",
        "+0.0131 -0.020 to +0.046", "+0.030 -0.004", "0.311", "0.621", "Undecided at this n neither",
    ]  # fmt: skip
    assert rows[3] == [
        "ROUGE-L", "rank_128 0.5938", "the number 0.625", "no less a loss below 0.01 counts as none",
        "-0.0312 -0.055 to -0.007", "-0.020 -0.042", "0.012", "0.025", "Not supported the loss is larger",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "words", "colour"),
    [
        ("supported", "Supported", "yes"),
        ("not supported", "Not supported", "no"),
        ("undecided", "Undecided at this n", "open"),
    ],
)
def test_the_verdict_is_written_and_coloured(verdict: Any, words: str, colour: str) -> None:
    text = html_of(made_study(verdict=verdict))
    assert f'<p class="said">Verdict: <span class="verdict {colour}">{words}</span></p>' in text
    assert f'<section class="claim {colour}"' in text
    assert f".claim.{colour} {{" in text
    assert f".verdict.{colour} {{" in text


def test_tables_of_arms_and_slices(text: str) -> None:
    rows = rows_of(text)
    head = rows.index(["arm", "ROUGE-L higher is better", "length neither direction is better"])
    small, large, blind = rows[head + 1 : head + 4]
    assert small == ["rank_8", "0.6702 0.641 to 0.699 n 212 0.661, 0.679", "7.2500 no interval n 212 7.200, 7.300"]
    assert large == ["rank_128", "0.7123 0.683 to 0.741 n 212 0.703, 0.721", "no value"]
    assert blind == ["blind", "0.3141 0.285 to 0.343 n 212 one run", "not computed"]
    head = rows.index(["question class", "rank_8", "rank_128", "blind"])
    assert rows[head + 1] == [
        "polyp_count",
        "0.5550 0.500 to 0.610 n 29, few 0.550, 0.560",
        "not computed",
        "not computed",
    ]
    assert rows[head + 2] == ["polyp_size", "not computed", "0.6660 0.600 to 0.720 n 30 0.660, 0.670", "not computed"]
    assert "<details><summary>ROUGE-L by question class (higher is better)</summary>" in text
    assert text.count("<details>") == 1, "nothing but slices and the numbers of charts is folded"


def test_how_it_was_done_and_what_the_numbers_mean(text: str) -> None:
    rows = rows_of(text)
    assert ["rank_8", "the small one", "runs/rank_8-3 runs/rank_8-5"] in rows
    assert ["blind", "sees nothing", "runs/blind"] in rows
    settings = [["seeds", "3, 5"], ["steps", "1400"], ["batch.images", "16"], ["ranks", "8, 128"], ["masks", "none"]]
    assert all(row in rows for row in settings)
    assert "<li>Drawn scenes: not comparable with the challenge.</li>" in text
    assert "<li>alarms of blind: the run answered nothing</li>" in text
    alarms, length, rouge = re.findall(r"<dd>(.*?)</dd>", text)
    assert "Share of absent findings affirmed. Range 0.0 to 1.0, lower is better. Source: gi-bench." in alarms
    assert "<strong>Not comparable with published numbers.</strong>" in alarms
    assert "Range 0.0 to 100.0, neither direction is better." in length
    assert rouge.endswith("higher is better. Source: Lin 2004. Comparable with published numbers on the same rows.")
    assert "Satterthwaite" in text
    assert "Holm" in text


def test_the_order_of_the_page(text: str) -> None:
    marks = [
        "<h1>How much rank?</h1>", "Claim:", "Verdict:", "Source of the claim", "fingerprint <code", 'id="notes"',
        'id="contrasts"',
        "Differences, with", "Values of the arms", 'id="arms"', "<details>", 'id="how"', 'id="metrics"',
        'id="method"', "<footer>",
    ]  # fmt: skip
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_charts_hold_differences_and_values(text: str) -> None:
    pictures = pictures_of(text)
    assert list(pictures) == [
        "differences: ROUGE-L", "differences: false alarms, finding: polyp", "values of the arms: ROUGE-L",
        "values of the arms: length",
    ]  # fmt: skip
    first = pictures["differences: ROUGE-L"]
    assert "rank_128 − rank_8" in first
    assert "rank_128 − 0.625" in first
    assert all(name in pictures["values of the arms: ROUGE-L"] for name in ("rank_8", "rank_128", "blind"))
    assert "rank_128" not in pictures["values of the arms: length"], "what has no value is not drawn"
    assert not [name for name in pictures_of(html_of(made_study(findings=()))) if name.startswith("differences")]


def test_a_chart_of_differences_has_a_line_at_0() -> None:
    page = build_study_page(made_study())
    line = f'stroke="{ZERO_COLOR}"'
    for figures, there in ((page.differences, True), (page.values, False)):
        assert len(figures) == 2
        for one in figures:
            assert (line in base64.b64decode(one.picture.partition(",")[2]).decode("utf-8")) == there, one.title


def test_an_arm_has_one_colour_on_the_whole_page(text: str) -> None:
    page = build_study_page(made_study())
    assert [run["name"] for run in page.runs] == ["rank_8", "rank_128", "blind"]
    for one in (*page.differences, *page.values):
        for row in one.spec["data"]["values"]:
            arm = row["name"].partition(" ")[0]
            assert row["color"] == page.runs[page.places[arm]]["color"] == run_color(page.places[arm])
    for place, arm in enumerate(page.places):
        plain = text.replace("<wbr>", "").replace("</span>_", "_")
        swatches = re.findall(rf'<i class="swatch run-(\d)" aria-hidden="true"></i>{arm}<', plain)
        assert set(swatches) == {str(place)}


def test_arms_with_one_short_name_stay_apart() -> None:
    study = made_study()
    long = ["x" * 70 + "1", "x" * 70 + "2"]
    asked = replace(study.question, arms={long[0]: "", long[1]: ""}, contrasts=())
    cells = [replace(study.cells[i], arm=name) for i, name in enumerate(long)]
    page = build_study_page(replace(study, question=asked, cells=tuple(cells), findings=(), runs={}))
    assert len({run["name"] for run in page.runs}) == 2
    assert len({row["name"] for row in page.values[0].spec["data"]["values"]}) == 2


def test_what_has_no_value_says_so() -> None:
    finding = replace(
        made_study().findings[0], values=(float("nan"), float("nan")), effect=NO_VALUE, verdict="undecided"
    )
    row = rows_of(html_of(made_study(findings=(finding,), verdict="undecided")))[1]
    assert row[1:8] == [
        "rank_128 no value", "rank_8 no value", "higher 0.015 or more is worth a claim", "no value no interval", "none",
        "none", "none",
    ]  # fmt: skip
    empty = html_of(made_study(cells=(), findings=(), metrics=(), seeds=(), notes=(), settings={}, runs={}))
    assert "0 images, 0 seeds." in empty
    assert 'id="notes"' not in empty
    assert 'id="charts"' not in empty


def test_one_image_and_one_seed_are_singular() -> None:
    effect = SeedEffect(0.5, None, None, 1.0, (0.5,), 1)
    cells = (Cell("rank_8", "rougeL", "all", "all", effect, 1),)
    assert "1 image, 1 seed (3)." in html_of(made_study(cells=cells, findings=(), seeds=(3,)))


def test_only_our_scripts_run_and_nothing_is_fetched(text: str) -> None:
    page = Parsed(text)
    policy = next(a for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    content = str(policy["content"])
    assert content.startswith("default-src 'none'; img-src data: blob:; ")
    assert "unsafe" not in content
    assert len(re.findall(r"'sha256-", content)) == 4, "two scripts, two styles"
    plain = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r"https?:|@import|url\(", plain)
    for svg in pictures_of(text).values():
        assert not re.findall(r"<script|<image|<foreignObject|href=\"http", svg)


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_arms_are_switched_tables_sorted_and_charts_drawn(
    text: str, tmp_path: Path, chromium: Chromium, width: int, dark: bool
) -> None:
    path = tmp_path / "study.html"
    path.write_text(text, encoding="utf-8")
    with chromium.page(path, width=width, dark=dark) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        figures = page.locator("figure.chart")
        for i in range(figures.count()):
            figures.nth(i).scroll_into_view_if_needed()
            figures.nth(i).locator(".live svg").wait_for()
        values = page.locator("figure.chart", has_text="ROUGE-L").nth(1)
        assert values.locator(".live path[aria-roledescription=point]").count() == 3
        page.locator("nav.runs button", has_text="blind").click()
        values.locator(".live path[aria-roledescription=point]").nth(2).wait_for(state="detached")
        arms = page.locator("#arms ~ .scroll table tbody tr")
        assert [row.is_visible() for row in arms.all()] == [True, True, False]
        page.locator("details summary", has_text="ROUGE-L by question class").click()
        heads = page.locator("table thead tr", has_text="question class").locator("th")
        assert [head.is_visible() for head in heads.all()] == [True, True, True, False]
        contrasts = page.locator("[aria-label=Contrasts] tbody tr")
        assert all(row.is_visible() for row in contrasts.all()), "the claim stays whole"
        table = page.locator("[aria-label=Contrasts] table")
        table.locator("th", has_text="difference").locator("button").click()
        cells = [cell.strip() for cell in table.locator("tbody td .v").all_text_contents()]
        found = [float(cell) for cell in cells if cell.startswith(("+", "-"))]
        assert found == sorted(found)


def test_without_scripts_pictures_and_tables_stand(text: str, tmp_path: Path, chromium: Chromium) -> None:
    path = tmp_path / "study.html"
    path.write_text(text, encoding="utf-8")
    with chromium.page(path, scripts=False) as page:
        assert page.locator("figure.chart img:visible").count() == 4
        assert not page.locator("nav.runs").is_visible()
        assert page.locator("tbody tr", has_text="rank_128").count() > 3


def test_the_interval_that_decides_is_shown_where_it_is_another() -> None:
    study = made_study()
    first = replace(study.findings[0], simultaneous=(0.0101, 0.0741))
    same = replace(study.findings[1], simultaneous=(-0.0202, 0.0464))
    rows = rows_of(html_of(replace(study, findings=(first, same))))
    assert rows[1][4] == "+0.0421 +0.021 to +0.063 all contrasts together: +0.010 to +0.074"
    assert rows[2][4] == "+0.0131 -0.020 to +0.046"


def test_a_study_with_too_few_seeds_says_so() -> None:
    text = html_of(made_study(verdict="no verdict", seeds=(3,)))
    assert '<p class="said">Verdict: <span class="verdict open">No verdict</span></p>' in text
    assert "<li>1 seed: the intervals hold for other images, not for other seeds" in text
    assert "hold for other images" not in html_of(made_study(seeds=(1, 2, 3)))
