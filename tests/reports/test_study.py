"""The study page: claim, verdict and every number, inert foreign text, nothing fetched."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from gi_bench.harness.analysis.study import (
    ArmMade,
    Cell,
    Contrast,
    Finding,
    GradientPair,
    Power,
    Question,
    Seeing,
    Study,
    write_study,
)
from gi_bench.harness.cli import _main
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import SeedEffect
from gi_bench.harness.store import content_digest
from gi_bench.reports.command import after_study
from gi_bench.reports.palette import run_color
from gi_bench.reports.study import build_study_page, render_study, write_study_report
from gi_bench.reports.study_charts import ZERO_COLOR
from tests.reports.chromium import Chromium
from tests.reports.test_comparison import HOSTILE, _Page
from tests.run_folders import write_run

ROUGE = MetricInfo("rougeL", "ROUGE-L", "Longest common subsequence.", "Lin 2004")
ALARMS = MetricInfo(
    "alarms", "false alarms", "Share of absent findings affirmed.", "gi-bench", higher_is_better=False, comparable=False
)
LENGTH = MetricInfo("length", "length", "Words of an answer.", "gi-bench", ranked=False, high=100.0)
# A tag of its own in front of each: it shows wherever a text is not escaped.
EVIL = [f"<b>{text}" for text in HOSTILE]
NO_VALUE = SeedEffect(float("nan"), None, None, 1.0, (), 0)


def _study(**changes: Any) -> Study:
    contrasts = (
        Contrast("rougeL", "rank_128", "rank_8", margin=0.015),
        Contrast("alarms", "rank_128", "rank_8", "less", by="finding", group="polyp"),
        Contrast("rougeL", "rank_128", expect="no less", against=0.625),
    )
    effects = (
        SeedEffect(0.0421, 0.0213, 0.0629, 0.0004, (0.0391, 0.0451), 37),
        SeedEffect(0.0131, -0.0202, 0.0464, 0.3107, (0.0301, -0.0039), 21),
        SeedEffect(-0.0312, -0.0553, -0.0071, 0.0123, (-0.0201, -0.0423), 37),
    )
    found = (
        Finding(contrasts[0], "ROUGE-L", (0.7123, 0.6702), effects[0], 0.0012, "supported", "greater, p 0.0012"),
        Finding(contrasts[1], "false alarms", (0.0711, 0.058), effects[1], 0.6214, "undecided", "neither"),
        Finding(contrasts[2], "ROUGE-L", (0.5938, 0.625), effects[2], 0.0246, "not supported", "the loss is larger"),
    )
    cells = (
        Cell("rank_8", "rougeL", "all", "all", SeedEffect(0.6702, 0.6413, 0.6991, 0.0, (0.6611, 0.6793), 37), 212),
        Cell("rank_128", "rougeL", "all", "all", SeedEffect(0.7123, 0.6834, 0.7412, 0.0, (0.7032, 0.7214), 37), 212),
        Cell("blind", "rougeL", "all", "all", SeedEffect(0.3141, 0.2852, 0.343, 0.0, (0.3141,), 37), 212),
        Cell("rank_8", "length", "all", "all", SeedEffect(7.25, None, None, 1.0, (7.2, 7.3), 37), 212),
        Cell("rank_128", "length", "all", "all", NO_VALUE, 0),
        Cell("rank_8", "rougeL", "question_class", "polyp_count", SeedEffect(0.555, 0.5, 0.61, 0, (0.55, 0.56), 9), 29),
        Cell(
            "rank_128", "rougeL", "question_class", "polyp_size", SeedEffect(0.666, 0.6, 0.72, 0, (0.66, 0.67), 9), 30
        ),
    )
    asked = Question(
        "rank-sweep", "How much rank?", "More rank is better.", "Somebody 2025, table 3",
        {"rank_8": "the small one", "rank_128": "the large one", "blind": "sees nothing"},
        contrasts, ("rougeL", "length"), (("rougeL", "question_class"),),
    )  # fmt: skip
    made = Study(
        asked, "made/test", "0123456789abcdef" * 4, (3, 5), cells, found, "not supported", (ALARMS, LENGTH, ROUGE),
        {"rank_8": ("runs/rank_8-3", "runs/rank_8-5"), "rank_128": ("runs/rank_128-3",), "blind": ("runs/blind",)},
        ("Drawn scenes: not comparable with the challenge.", "alarms of blind: the run answered nothing"),
        {"steps": 1400, "batch": {"images": 16}, "ranks": [8, 128], "masks": None},
    )  # fmt: skip
    return replace(made, **changes)


def _told(**changes: Any) -> Study:
    """A study with everything that it can be told: design, trainings, power, seeing and gradients."""
    study = _study()
    asked = replace(
        study.question, shows=("Whether rank matters here.",), does_not_show=("What it does elsewhere.", "Why."),
    )  # fmt: skip
    ways = {"place in words": 0.1, "region as written": 0.4, "region, locations forced": 0.5, "probe: cell": 0.7}
    after = {"place in words": 0.8, "region as written": 0.02, "region, locations forced": 0.5, "probe: cell": 0.71}
    seeing = [Seeing("", None, what, value, value - 0.03, value + 0.03, 90) for what, value in ways.items()]  # type: ignore[arg-type]
    seeing += [
        Seeing("rank_128", seed, what, value + seed / 100, value - 0.02, value + 0.04, 90)  # type: ignore[arg-type]
        for what, value in after.items() for seed in range(3)
    ]  # fmt: skip
    gradients = [
        GradientPair(arm, seed, first, second, cosine + seed / 1000, 0.75, 7, 1.25, 3.5)
        for arm, cosine in (("rank_8", 0.2), ("rank_128", -0.3))
        for first, second in (("answer", "ground"), ("answer", "explain"))
        for seed in range(3)
    ]
    nan = float("nan")
    gradients.append(GradientPair("blind", 3, "answer", "", nan, nan, 7, 0.125, nan))
    findings = (
        replace(study.findings[0], power=Power(0.031, 0.025, 0.33), by_arm=(0.7123, 0.6702)),
        replace(study.findings[1], power=Power(0.12, 0.025, 0.058)),
        replace(
            study.findings[2], contrast=Contrast("rougeL", trend=("blind", "rank_8", "rank_128"), margin=0.02),
            by_arm=(0.3141, 0.6702, 0.7123), verdict="undecided", power=Power(0.07, 0.05, 0.3),
        ),
        replace(study.findings[0], contrast=Contrast("rougeL", interaction=("a", "b", "c", "d")),
                by_arm=(0.1, 0.2, 0.3, 0.5), values=(0.5, 0.4)),
    )  # fmt: skip
    made = {
        "rank_8": ArmMade(350, {"answer": 11200, "ground": 5600}, 600, 120000, 61.4),
        "rank_128": ArmMade(200, {"answer": 11200}, 600, 480000, 40.0),
    }
    told = replace(
        study, question=asked, findings=findings, made=made, seeing=tuple(seeing), gradients=tuple(gradients)
    )
    return replace(told, **changes)


def _html(study: Study) -> str:
    return render_study(build_study_page(study))


@pytest.fixture(scope="module")
def text() -> str:
    return _html(_study())


class _Cells(HTMLParser):
    """Text of table cells, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += f" {data}"


def _rows(text: str) -> list[list[str]]:
    parser = _Cells()
    parser.feed(text)
    return [[" ".join(cell.split()) for cell in row] for row in parser.rows]


def test_claim_verdict_and_numbers_of_the_contrasts(text: str) -> None:
    plain = " ".join(re.sub(r"<[^>]+>", " ", text.split("<body>")[1]).split())
    assert "Claim: More rank is better. Verdict: Not supported Source of the claim: Somebody 2025, table 3" in plain
    assert "Suite made/test , fingerprint 0123456789abcdef , 37 images, 2 seeds (3, 5)." in plain
    rows = _rows(text)
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
    text = _html(_study(verdict=verdict))
    assert f'<p class="said">Verdict: <span class="verdict {colour}">{words}</span></p>' in text
    assert f'<section class="claim {colour}"' in text
    assert f".claim.{colour} {{" in text
    assert f".verdict.{colour} {{" in text


def test_tables_of_arms_and_slices(text: str) -> None:
    rows = _rows(text)
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
    rows = _rows(text)
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


def _pictures(text: str) -> dict[str, str]:
    """SVG by alternative text."""
    return {
        alt.partition(";")[0]: base64.b64decode(code).decode("utf-8")
        for code, alt in re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)"', text)
    }


def test_charts_hold_differences_and_values(text: str) -> None:
    pictures = _pictures(text)
    assert list(pictures) == [
        "differences: ROUGE-L", "differences: false alarms, finding: polyp", "values of the arms: ROUGE-L",
        "values of the arms: length",
    ]  # fmt: skip
    first = pictures["differences: ROUGE-L"]
    assert "rank_128 − rank_8" in first
    assert "rank_128 − 0.625" in first
    assert all(name in pictures["values of the arms: ROUGE-L"] for name in ("rank_8", "rank_128", "blind"))
    assert "rank_128" not in pictures["values of the arms: length"], "what has no value is not drawn"
    assert not [name for name in _pictures(_html(_study(findings=()))) if name.startswith("differences")]


def test_a_chart_of_differences_has_a_line_at_0() -> None:
    page = build_study_page(_study())
    line = f'stroke="{ZERO_COLOR}"'
    for figures, there in ((page.differences, True), (page.values, False)):
        assert len(figures) == 2
        for one in figures:
            assert (line in base64.b64decode(one.picture.partition(",")[2]).decode("utf-8")) == there, one.title


def test_an_arm_has_one_colour_on_the_whole_page(text: str) -> None:
    page = build_study_page(_study())
    assert [run["name"] for run in page.runs] == ["rank_8", "rank_128", "blind"]
    for one in (*page.differences, *page.values):
        for row in one.spec["data"]["values"]:
            arm = row["name"].partition(" ")[0]
            assert row["color"] == page.runs[page.places[arm]]["color"] == run_color(page.places[arm])
    for place, arm in enumerate(page.places):
        swatches = re.findall(rf'<i class="swatch run-(\d)" aria-hidden="true"></i>{arm}<', text)
        assert set(swatches) == {str(place)}


def test_arms_with_one_short_name_stay_apart() -> None:
    study = _study()
    long = ["x" * 70 + "1", "x" * 70 + "2"]
    asked = replace(study.question, arms={long[0]: "", long[1]: ""}, contrasts=())
    cells = [replace(study.cells[i], arm=name) for i, name in enumerate(long)]
    page = build_study_page(replace(study, question=asked, cells=tuple(cells), findings=(), runs={}))
    assert len({run["name"] for run in page.runs}) == 2
    assert len({row["name"] for row in page.values[0].spec["data"]["values"]}) == 2


def test_what_has_no_value_says_so() -> None:
    finding = replace(_study().findings[0], values=(float("nan"), float("nan")), effect=NO_VALUE, verdict="undecided")
    row = _rows(_html(_study(findings=(finding,), verdict="undecided")))[1]
    assert row[1:8] == [
        "rank_128 no value", "rank_8 no value", "higher 0.015 or more is worth a claim", "no value no interval", "none",
        "none", "none",
    ]  # fmt: skip
    empty = _html(_study(cells=(), findings=(), metrics=(), seeds=(), notes=(), settings={}, runs={}))
    assert "0 images, 0 seeds." in empty
    assert 'id="notes"' not in empty
    assert 'id="charts"' not in empty


def test_one_image_and_one_seed_are_singular() -> None:
    effect = SeedEffect(0.5, None, None, 1.0, (0.5,), 1)
    cells = (Cell("rank_8", "rougeL", "all", "all", effect, 1),)
    assert "1 image, 1 seed (3)." in _html(_study(cells=cells, findings=(), seeds=(3,)))


def _hostile() -> Study:
    """Every text of a study is foreign."""
    study = _told()
    names = dict(zip(study.question.arms, EVIL, strict=False))
    contrasts = tuple(
        replace(
            one, first=names.get(one.first, ""), second=names.get(one.second, ""), by=EVIL[0], group=EVIL[1],
            trend=tuple(names[arm] for arm in one.trend), interaction=tuple(EVIL[2:6]) if one.interaction else (),
        )
        for one in (finding.contrast for finding in study.findings)
    )  # fmt: skip
    asked = replace(
        study.question, title=EVIL[0], claim=EVIL[5], source=EVIL[7], contrasts=contrasts,
        arms={names[arm]: EVIL[3] for arm in study.question.arms}, tables=(("rougeL", EVIL[4]),),
        shows=tuple(EVIL), does_not_show=tuple(EVIL),
    )  # fmt: skip
    return replace(
        study, question=asked, suite=EVIL[5], fingerprint=EVIL[7] + EVIL[1], notes=tuple(EVIL),
        findings=tuple(
            replace(one, contrast=contrast, title=EVIL[1], why=EVIL[0])
            for one, contrast in zip(study.findings, contrasts, strict=True)
        ),
        cells=tuple(
            replace(one, arm=names[one.arm], slice_by="all" if one.slice_by == "all" else EVIL[4],
                    slice_value="all" if one.slice_by == "all" else EVIL[7])
            for one in study.cells
        ),
        metrics=tuple(
            replace(one, name=EVIL[0] if one is ALARMS else one.name, title=EVIL[1], definition=EVIL[5], source=EVIL[7])
            for one in study.metrics
        ),
        runs={names[arm]: (EVIL[2], EVIL[6]) for arm in study.runs}, settings={EVIL[0]: {EVIL[1]: EVIL}},
        made={names[arm]: replace(one, rows={EVIL[5]: 5 + one.steps}) for arm, one in study.made.items()},
        seeing=tuple(replace(one, arm=names.get(one.arm, "")) for one in study.seeing),
        gradients=tuple(
            replace(one, arm=names[one.arm], first=EVIL[6], second=EVIL[7] if one.second else "")
            for one in study.gradients
        ),
    )  # fmt: skip


def test_foreign_text_stays_inert(tmp_path: Path) -> None:
    write_study(tmp_path, _hostile())
    text = write_study_report(tmp_path, tmp_path / "page.html").read_text(encoding="utf-8")
    page = _Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"iframe", "object", "embed", "link", "form", "base", "a", "b"}
    kinds = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    assert kinds.count(None) == 2, "the library's script and the page's"
    assert {"application/json", None} == set(kinds)
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:image/svg+xml;base64,"), value
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == len(re.findall(r'<img src="data:image/svg', text))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{7*7}}" in text, "a template in the data is not evaluated"
    assert "\x00" not in text
    assert "\x1b" not in text
    pictures = _pictures(text)
    assert pictures
    for svg in pictures.values():
        for element in ElementTree.fromstring(svg).iter():
            assert not element.tag.endswith("}script"), svg
            assert not [name for name in element.attrib if name.startswith("on")], svg


def test_only_our_scripts_run_and_nothing_is_fetched(text: str) -> None:
    page = _Page(text)
    policy = next(a for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    content = str(policy["content"])
    assert content.startswith("default-src 'none'; img-src data: blob:; ")
    assert "unsafe" not in content
    assert len(re.findall(r"'sha256-", content)) == 4, "two scripts, two styles"
    plain = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r"https?:|@import|url\(", plain)
    for svg in _pictures(text).values():
        assert not re.findall(r"<script|<image|<foreignObject|href=\"http", svg)


def test_the_page_says_what_the_design_can_show_and_what_trainings_took() -> None:
    text = _html(_told())
    plain = " ".join(re.sub(r"<[^>]+>", " ", text.split("<body>")[1]).split())
    assert "It can show Whether rank matters here. It cannot show What it does elsewhere. Why." in plain
    assert "the arms differ in steps: rank_8 350, rank_128 200" in plain
    rows = _rows(text)
    assert ["arm", "steps", "images", "answer rows", "ground rows", "trainable parameters", "seconds"] in rows
    assert ["rank_8", "350", "600", "11,200", "5,600", "120,000", "61"] in rows
    assert ["rank_128", "200", "600", "11,200", "0", "480,000", "40"] in rows
    assert ["blind", *["not trained"] * 6] in rows
    made = _told().made
    untimed = _rows(_html(_told(made={name: replace(one, seconds=None) for name, one in made.items()})))
    assert ["rank_8", "350", "600", "11,200", "5,600", "120,000"] in untimed, (
        "no column of seconds that nobody measured"
    )
    half = _rows(_html(_told(made=made | {"rank_8": replace(made["rank_8"], seconds=None)})))
    assert ["rank_8", "350", "600", "11,200", "5,600", "120,000", "–"] in half
    bare = _html(_study())
    assert "The study does not say." in bare
    assert "Steps and rows of the trainings are not stored" in bare
    assert 'id="seeing"' not in bare
    assert 'id="gradients"' not in bare


def test_trends_interactions_and_power_stand_in_the_table() -> None:
    rows = _rows(_html(_told()))
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
    text = _html(_told())
    plain = " ".join(re.sub(r"<[^>]+>", " ", text.split("<body>")[1]).split())
    assert "rank_128: the format fell: regions as written did, and those of decoding forced to locations" in plain
    assert "gradients of answer and ground: against each other in rank_128; along each other in rank_8" in plain
    rows = _rows(text)
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
    path.write_text(_html(_told()), encoding="utf-8")
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


def test_a_hostile_study_draws_in_a_browser(tmp_path: Path, chromium: Chromium) -> None:
    write_study(tmp_path, _hostile())
    made = write_study_report(tmp_path, tmp_path / "page.html")
    with chromium.page(made, width=390) as page:
        figures = page.locator("figure.chart")
        for i in range(figures.count()):
            figures.nth(i).scroll_into_view_if_needed()
            figures.nth(i).locator(".live svg").wait_for()
        assert page.locator("main b, main script, main a").count() == 0
        page.locator("nav.runs button").first.click()


def test_without_scripts_pictures_and_tables_stand(text: str, tmp_path: Path, chromium: Chromium) -> None:
    path = tmp_path / "study.html"
    path.write_text(text, encoding="utf-8")
    with chromium.page(path, scripts=False) as page:
        assert page.locator("figure.chart img:visible").count() == 4
        assert not page.locator("nav.runs").is_visible()
        assert page.locator("tbody tr", has_text="rank_128").count() > 3


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    path = write_study(tmp_path, _study())
    first = write_study_report(tmp_path, tmp_path / "a.html").read_bytes()
    assert write_study_report(path, tmp_path / "b.html").read_bytes() == first
    write_study(tmp_path, _study(verdict="undecided"))
    assert write_study_report(path, tmp_path / "b.html").read_bytes() != first


def test_a_page_that_cannot_be_made(tmp_path: Path) -> None:
    write_study(tmp_path, _study())
    with pytest.raises(GiBenchError, match="output is a folder"):
        write_study_report(tmp_path, tmp_path)
    with pytest.raises(RunError, match="not found"):
        write_study_report(tmp_path / "nowhere", tmp_path / "a.html")
    (tmp_path / "study.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="cannot read JSON"):
        write_study_report(tmp_path, tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def test_the_command_writes_the_page_of_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_study(tmp_path / "made", _study())
    assert _main(["report", str(path.parent)]) == 0
    assert capsys.readouterr().out == f"report: {path.parent / 'study.html'}\n"
    page = (path.parent / "study.html").read_bytes()
    assert b"More rank is better." in page
    assert _main(["report", str(path), "-o", str(tmp_path / "other.html")]) == 0
    assert (tmp_path / "other.html").read_bytes() == page
    assert _main(["report", str(path.parent), "--title", "My own"]) == 0
    assert b"<h1>My own</h1>" in (path.parent / "study.html").read_bytes()


def test_a_study_is_not_mixed_with_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path / "made", _study()).parent
    run = write_run(tmp_path / "run")
    for given in ([run, study], [study, run], [study, study]):
        assert _main(["report", *map(str, given)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert error.startswith(f"error: a study has a page of its own ({study})")
    assert not list(tmp_path.rglob("*.html"))


def test_a_damaged_study_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.json").write_text("[]", encoding="utf-8")
    assert _main(["report", str(tmp_path)]) == 2
    assert "a study without a schema version; this version of gi-bench reads 2 and 3" in capsys.readouterr().err
    assert _main(["report", str(tmp_path / "nowhere" / "study.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_after_a_study_its_page_stands_in_its_folder(tmp_path: Path) -> None:
    write_study(tmp_path, _study())
    ((what, path),) = after_study(tmp_path)
    assert (what, path) == ("report", tmp_path / "study.html")
    assert path.stat().st_size > 10_000


def test_the_interval_that_decides_is_shown_where_it_is_another() -> None:
    study = _study()
    first = replace(study.findings[0], simultaneous=(0.0101, 0.0741))
    same = replace(study.findings[1], simultaneous=(-0.0202, 0.0464))
    rows = _rows(_html(replace(study, findings=(first, same))))
    assert rows[1][4] == "+0.0421 +0.021 to +0.063 all contrasts together: +0.010 to +0.074"
    assert rows[2][4] == "+0.0131 -0.020 to +0.046"


def test_a_study_with_too_few_seeds_says_so() -> None:
    text = _html(_study(verdict="no verdict", seeds=(3,)))
    assert '<p class="said">Verdict: <span class="verdict open">No verdict</span></p>' in text
    assert "<li>1 seed: the intervals hold for other images, not for other seeds" in text
    assert "hold for other images" not in _html(_study(seeds=(1, 2, 3)))


def test_verdicts_of_an_older_rule_are_made_anew_on_the_page(tmp_path: Path) -> None:
    path = write_study(tmp_path, _study(seeds=(3, 5, 7), verdict="supported"))
    content = {**json.loads(path.read_text(encoding="utf-8")), "rule_version": 1}
    path.write_text(json.dumps({**content, "digest": content_digest(content)}), encoding="utf-8")
    page = write_study_report(path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "the verdicts of this study.json were made by an older rule" in page
    assert "ROUGE-L, rank_128 - rank_8: supported, now no verdict" in page, "its effects rest on two seeds"
