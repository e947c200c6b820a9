"""Made-up studies, and what their pages hold."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

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
)
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import SeedEffect
from gi_bench.reports.study import build_study_page, render_study

ROUGE = MetricInfo("rougeL", "ROUGE-L", "Longest common subsequence.", "Lin 2004")
ALARMS = MetricInfo(
    "alarms", "false alarms", "Share of absent findings affirmed.", "gi-bench", higher_is_better=False, comparable=False
)
LENGTH = MetricInfo("length", "length", "Words of an answer.", "gi-bench", ranked=False, high=100.0)
NO_VALUE = SeedEffect(float("nan"), None, None, 1.0, (), 0)


def made_study(**changes: Any) -> Study:
    """A study of three arms and three contrasts; ``changes`` replaces its other fields."""
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


def told_study(**changes: Any) -> Study:
    """A study with everything that it can be told: design, trainings, power, seeing and gradients."""
    study = made_study()
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


def html_of(study: Study) -> str:
    """The page of a study."""
    return render_study(build_study_page(study))


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


def rows_of(text: str) -> list[list[str]]:
    """Text of all table cells of a page, row by row."""
    parser = _Cells()
    parser.feed(text.replace("<wbr>", "").replace("</span>_", "_"))  # where a name may break: nothing that is read
    return [[" ".join(cell.split()) for cell in row] for row in parser.rows]


def pictures_of(text: str) -> dict[str, str]:
    """SVG by alternative text."""
    return {
        alt.partition(";")[0]: base64.b64decode(code).decode("utf-8")
        for code, alt in re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)"', text)
    }
