"""What all pages share: the policy, data for scripts, runs switched on and off, sorted tables, live charts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from markupsafe import Markup, escape

from gi_bench.reports.pages import data_block, environment, finish, visible
from gi_bench.reports.palette import COLORS, color_scale, run_color, run_shape
from tests.reports.chromium import Chromium

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(2)>",
    "{{7*7}} ${7*7} {% raw %}",
    "\u202edesrever\u2069 \x1b[31mred\x07",
    "lone \ud800 surrogate \u2028 line",
    "x" * 100_000,
)
TEMPLATE = """{% extends "base.html.j2" %}
{% block title %}{{ name | visible }}{% endblock %}
{% block header %}<h1>{{ name | visible }}</h1>{% endblock %}
{% block body %}
<table class="sortable" id="scores"><thead><tr><th>run</th><th data-first="descending">score</th></tr></thead><tbody>
{% for run in runs %}<tr data-run="{{ loop.index0 }}"><th scope="row">{{ run.name | visible }}</th>
<td data-sort="{{ run.score }}">about {{ run.score }}</td></tr>{% endfor %}
</tbody></table>
<figure class="chart" data-spec="spec" data-alt="scores"><div class="drawn"><img src="data:," alt=""></div></figure>
{% endblock %}
{% block data %}{{ data_block("spec", spec) }}{{ data_block("foreign", foreign) }}{% endblock %}
{% block scripts %}<script>{{ vega() }}</script>{% endblock %}"""


def spec_of(names: list[str], scores: list[float]) -> dict[str, object]:
    rows = [{"run": name, "score": score} for name, score in zip(names, scores, strict=True)]
    color = {"field": "run", "type": "nominal", "scale": color_scale(names)}
    return {
        "data": {"values": rows},
        "width": 300,
        "mark": "point",
        "encoding": {
            "x": {"field": "score", "type": "quantitative"},
            "y": {"field": "run", "type": "nominal"},
            "color": color,
        },
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names, scores = ["first", "second", HOSTILE[0]], [0.5, 0.9, 0.1]
    runs = [
        {"name": name, "score": score, "color": run_color(i), "shape": run_shape(i), "role": "model"}
        for i, (name, score) in enumerate(zip(names, scores, strict=True))
    ]
    page = environment().from_string(TEMPLATE)
    html = finish(page.render(name=HOSTILE[2], runs=runs, spec=spec_of(names, scores), foreign=list(HOSTILE)))
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_bytes(html.encode("utf-8", errors="backslashreplace"))
    return path


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_page_draws_sorts_and_switches(written: Path, chromium: Chromium, width: int, dark: bool) -> None:
    from playwright.sync_api import expect

    with chromium.page(written, width=width, dark=dark) as page:
        page.wait_for_selector("figure.chart[data-state=drawn] svg")
        assert page.locator("figure.chart svg .mark-symbol path").count() == 3 + 3  # and three of the legend
        page.get_by_role("button", name="score").click()
        assert page.locator("#scores tbody th").all_inner_texts()[0] == "second"
        assert page.locator("#scores th[aria-sort]").get_attribute("aria-sort") == "descending"
        page.locator("[data-switch='1']").click()
        assert page.locator("#scores tbody tr:visible").count() == 2
        expect(page.locator("figure.chart svg .mark-symbol path")).to_have_count(2 + 2)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator("[data-switch='0']").click()
        page.locator("[data-switch='2']").click()  # the last one stays
        assert page.locator("#scores tbody tr:visible").count() == 1


def test_foreign_text_reaches_scripts_as_it_was(written: Path, chromium: Chromium) -> None:
    with chromium.page(written) as page:
        # A browser gives a lone surrogate back as U+FFFD when it leaves the page.
        texts = page.evaluate("gi.data('foreign').map((text) => [...text].map((c) => c.codePointAt(0)))")
    assert [[ord(c) for c in text] for text in HOSTILE] == texts


def test_without_scripts_the_tables_stand(written: Path, chromium: Chromium) -> None:
    with chromium.page(written, scripts=False) as page:
        assert page.locator("#scores tbody tr:visible").count() == 3
        assert not page.locator("nav.runs").is_visible()


def test_only_what_stands_in_the_page_runs(written: Path, chromium: Chromium, tmp_path: Path) -> None:
    """The same page with a script that the policy does not name: it does not run, and the browser says so."""
    changed = tmp_path / "changed.html"
    changed.write_bytes(written.read_bytes().replace(b"</body>", b"<script>window.ran = true</script></body>"))
    with pytest.raises(AssertionError, match="Content Security Policy"), chromium.page(changed) as page:
        assert page.evaluate("window.ran === undefined")


def test_the_policy_names_hashes_and_no_exception(written: Path) -> None:
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', written.read_text(encoding="utf-8"))
    assert found is not None
    rules = found.group(1)
    assert "unsafe" not in rules
    assert rules.startswith("default-src 'none'")
    assert rules.count("sha256-") == 3  # Vega, our script, our style


def test_data_blocks_hold_json_that_cannot_end_them() -> None:
    block = str(data_block('a"b', {"text": list(HOSTILE)}))
    inside = block[block.index(">") + 1 : block.rindex("</script>")]
    assert "<" not in inside
    assert json.loads(inside)["text"] == list(HOSTILE)
    assert 'id="a&#34;b"' in block
    block.encode("utf-8")
    with pytest.raises(ValueError, match="Out of range"):
        data_block("x", float("nan"))


def test_a_page_without_a_place_for_its_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="policy"):
        finish("<html></html>")


def test_hidden_characters_are_shown() -> None:
    assert visible("\u202ea\u200b\ud800\x1b\u2028") == "\\u202ea\\u200b\\ud800\\x1b\\u2028"
    assert visible("Ä µ\n") == "Ä µ\n"
    assert environment().from_string("{{ x | visible }}").render(x="<b>") == "&lt;b&gt;"
    assert isinstance(data_block("a", 1), Markup)


def test_colours_show_on_white_and_on_black() -> None:
    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for color in COLORS:
        assert 1.05 / (luminance(color) + 0.05) >= 3, color
        assert (luminance(color) + 0.05) / (luminance("#13171b") + 0.05) >= 3, color
    # Colour and mark together tell more runs apart than a page holds.
    assert len({(run_color(i), run_shape(i)) for i in range(24)}) == 24


def test_numbers_with_separators_and_units_sort_as_numbers(chromium: Chromium, tmp_path: Path) -> None:
    texts = ("9", "3,200", "12.5 %", "-7", "\u22128", "1e-3", "< 0.0001", "1,234,567.5")
    rows = "".join(f"<tr><td>{escape(text)}</td></tr>" for text in (*texts, "0x10", ""))
    body = f"<table class='sortable'><thead><tr><th>n</th></tr></thead><tbody>{rows}</tbody></table>"
    html = environment().from_string('{% extends "base.html.j2" %}{% block body %}{{ body }}{% endblock %}')
    path = tmp_path / "numbers.html"
    path.write_text(finish(html.render(body=Markup(body))), encoding="utf-8")
    with chromium.page(path) as page:
        page.get_by_role("button", name="n").click()
        shown = page.locator("tbody td").all_text_contents()
        assert shown == ["\u22128", "-7", "< 0.0001", "1e-3", "9", "12.5 %", "3,200", "1,234,567.5", "0x10", ""]
