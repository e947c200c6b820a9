"""The comparison page in a real browser: charts, sorting, switches, both widths and schemes, without scripts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.cli import _main
from gi_bench.harness.schema import Phrase, Question, Region
from gi_bench.reports.comparison import build_page, write_report
from gi_bench.reports.palette import run_color
from tests.reports.chromium import Chromium
from tests.run_folders import phrases, questions, square, write_run


def _answer(wrong: int) -> Callable[[Question], str]:
    def answer(question: Question) -> str:
        return "no polyps there at all" if (question.index // 2) % 10 < wrong else question.answer or ""

    return answer


def _ground(wrong: int) -> Callable[[Phrase], tuple[Region, ...]]:
    def ground(phrase: Phrase) -> tuple[Region, ...]:
        return (square(phrase.label, 10, 10, 12 + wrong),) if phrase.label == "polyp" or wrong > 3 else ()

    return ground


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    top = tmp_path_factory.mktemp("page")
    made = []
    for wrong, variant in ((1, "first"), (4, "second"), (7, "<i>third</i>")):
        folder = write_run(
            top / f"run-{wrong}",
            variant=variant,
            rows=questions(72),
            shown=phrases(36),
            answer=_answer(wrong),
            ground=_ground(wrong),
        )
        score_run(folder, resamples=50)
        made.append(folder)
    return made


@pytest.fixture(scope="module")
def page_of(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    top = tmp_path_factory.mktemp("pages")
    return {count: write_report(runs[:count], top / f"{count}.html") for count in (1, 3)}


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_charts_are_drawn_and_the_page_never_scrolls_sideways(
    page_of: dict[int, Path], chromium: Chromium, width: int, dark: bool
) -> None:
    with chromium.page(page_of[3], width=width, dark=dark) as page:
        count = page.locator("figure.chart").count()
        assert count >= 4
        for place in range(count):
            page.locator("figure.chart").nth(place).scroll_into_view_if_needed()
            page.wait_for_selector(f"figure.chart >> nth={place} >> .live svg")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "with everything unfolded"


def test_a_click_sorts_each_band_and_switches_hide_a_run_everywhere(
    page_of: dict[int, Path], chromium: Chromium
) -> None:
    from playwright.sync_api import expect

    with chromium.page(page_of[3]) as page:
        names = page.locator("table.headline tbody th")
        page.locator("table.headline").get_by_role("button", name="BLEU").click()
        assert names.all_inner_texts()[0].startswith("first")
        page.locator("table.headline").get_by_role("button", name="BLEU").click()
        assert names.all_inner_texts()[0].startswith("<i>third</i>")
        assert page.locator("table.headline th[aria-sort=ascending]").count() == 1
        page.locator("figure.chart").first.scroll_into_view_if_needed()
        page.wait_for_selector("figure.chart >> nth=0 >> .live svg")
        legend = page.locator("figure.chart").first.locator(".role-legend-label text")
        expect(legend).to_have_count(3)
        page.locator("[data-switch='1']").click()
        assert page.locator("table.headline tbody tr:visible").count() == 2
        expect(legend).to_have_count(2)
        assert page.locator("[data-run='1']:visible").count() == 0
        page.locator("[data-switch='1']").press("Enter")
        assert page.locator("table.headline tbody tr:visible").count() == 3


def test_a_run_has_one_colour_on_the_whole_page(page_of: dict[int, Path], runs: list[Path]) -> None:
    page = build_page(runs)

    def scales(node: object) -> list[tuple[str, str]]:
        if isinstance(node, dict):
            scale = node.get("scale")
            own = list(zip(scale["domain"], scale["range"], strict=True)) if _is_scale(scale) else []
            return own + [pair for value in node.values() for pair in scales(value)]
        return [pair for value in node for pair in scales(value)] if isinstance(node, list) else []

    wanted = {run["name"]: run_color(number) for number, run in enumerate(page.runs)}
    found = {pair for figure in page.figures for pair in scales(dict(figure.spec)) if str(pair[1]).startswith("#")}
    assert found == set(wanted.items())


def _is_scale(scale: object) -> bool:
    return isinstance(scale, dict) and isinstance(scale.get("range"), list)


def test_every_chart_has_words_a_picture_and_its_data_as_a_table(page_of: dict[int, Path], runs: list[Path]) -> None:
    for figure in build_page(runs).figures:
        assert figure.alt
        assert figure.picture.startswith("data:image/svg+xml;base64,")
        assert figure.rows
        assert all(len(cells) == len(figure.heads) for _, cells in figure.rows)


@pytest.mark.parametrize("count", [1, 3])
def test_without_scripts_pictures_and_tables_stand(page_of: dict[int, Path], chromium: Chromium, count: int) -> None:
    with chromium.page(page_of[count], width=390, scripts=False) as page:
        assert page.locator("figure.chart img").count() == page.locator("figure.chart").count() > 0
        assert page.locator("table.headline tbody tr").count() == count
        assert not page.locator("nav.runs").is_visible()
        assert page.locator("section.verdict dd").count() >= 4


def test_one_run_has_no_switches_and_no_baseline(page_of: dict[int, Path]) -> None:
    text = page_of[1].read_text(encoding="utf-8")
    assert '<nav class="runs"' not in text
    assert "Differences to the baseline" not in text
    assert "first reaches" in text


def test_the_command_that_repeats_a_run_is_there(runs: list[Path]) -> None:
    page = build_page(runs)
    assert page.made[0].command.startswith("gi-bench run --model first --suite made/test")
    assert "'<i>third</i>'" in page.made[2].command, "as a shell takes it"
    assert any(key == "recipe digest" for key, _ in page.made[0].rows)


def test_the_command_line_takes_a_baseline(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    arguments = ["report", *map(str, runs), "-o", str(page), "--baseline"]
    assert _main([*arguments, "second", "--title", "Mine"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "The baseline is second: chosen with --baseline." in text
    assert "<h1>Mine</h1>" in text
    before = page.read_bytes()
    capsys.readouterr()
    assert _main([*arguments, "nobody"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert page.read_bytes() == before


def test_replies_and_shares_of_the_way_follow_the_switches(page_of: dict[int, Path], chromium: Chromium) -> None:
    with chromium.page(page_of[3]) as page:
        rows = page.locator("#replies tr[data-run='1']")
        assert rows.count() >= 6
        page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        assert rows.first.is_visible()
        page.locator("[data-switch='1']").click()
        assert not any(row.is_visible() for row in rows.all())
        assert page.locator("#replies tr[data-run='0']").first.is_visible()


def test_long_names_stay_in_their_cell(runs: list[Path], tmp_path: Path, chromium: Chromium) -> None:
    folder = tmp_path / "long-1"
    shutil.copytree(runs[0], folder)
    content = json.loads((folder / "manifest.json").read_text())
    content["recipe"]["variant"] = "W" * 200
    (folder / "manifest.json").write_text(json.dumps(content))
    score_run(folder, resamples=50)
    with chromium.page(write_report([folder, runs[1]], tmp_path / "long.html")) as page:
        heads = page.locator("table.headline tbody th")
        assert heads.evaluate_all("(heads) => heads.every((head) => head.scrollWidth <= head.clientWidth)")


def test_a_chart_of_no_shown_run_says_so(runs: list[Path], tmp_path: Path, chromium: Chromium) -> None:
    mute = write_run(
        tmp_path / "mute-1", variant="mute", rows=questions(72), shown=phrases(36), answer=lambda q: None,
        explain=lambda q: None, ground=lambda p: None, confidence=None,
    )  # fmt: skip
    score_run(mute, resamples=50)
    with chromium.page(write_report([runs[0], mute], tmp_path / "page.html")) as page:
        figure = page.locator("figure.chart").first
        figure.scroll_into_view_if_needed()
        page.wait_for_selector("figure.chart >> nth=0 >> .live svg")
        page.locator("[data-switch='0']").click()
        page.wait_for_selector("figure.chart >> nth=0 >> p.live")
        assert "No run that is shown has a value here." in figure.inner_text()
        page.locator("[data-switch='0']").click()
        page.wait_for_selector("figure.chart >> nth=0 >> .live svg")
        assert figure.evaluate("(one) => one.offsetHeight") < 2000


def test_on_paper_intervals_are_smaller_than_values_and_the_table_fits(
    page_of: dict[int, Path], chromium: Chromium
) -> None:
    with chromium.page(page_of[3], width=700) as page:
        page.emulate_media(media="print")
        size = "(one) => parseFloat(getComputedStyle(one).fontSize)"
        value = page.locator("table.headline td .v").first.evaluate(size)
        assert page.locator("table.headline td small").first.evaluate(size) < value
        assert page.locator("table.headline").evaluate("(one) => one.scrollWidth") <= 700
