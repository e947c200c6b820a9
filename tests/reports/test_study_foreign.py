"""The study page of a study whose every text is foreign: inert, and drawn nevertheless."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from gi_bench.harness.analysis.study import Study, write_study
from gi_bench.reports.study import write_study_report
from tests.reports.chromium import Chromium
from tests.reports.parsed_page import HOSTILE, Parsed
from tests.reports.study_pages import ALARMS, pictures_of, told_study

# A tag of its own in front of each: it shows wherever a text is not escaped.
EVIL = [f"<b>{text}" for text in HOSTILE]


def _hostile() -> Study:
    """Every text of a study is foreign."""
    study = told_study()
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
    page = Parsed(text)
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
    pictures = pictures_of(text)
    assert pictures
    for svg in pictures.values():
        for element in ElementTree.fromstring(svg).iter():
            assert not element.tag.endswith("}script"), svg
            assert not [name for name in element.attrib if name.startswith("on")], svg


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
