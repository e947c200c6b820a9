"""The study page: what several runs over several seeds say of a claim. Made from ``study.json`` alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness.analysis.study import Cell, Contrast, Finding, Study, by_today, read_study, seed_note
from gi_bench.harness.files import write_bytes
from gi_bench.harness.outputs import check_output, is_page
from gi_bench.harness.schema import MetricInfo, Score
from gi_bench.harness.statistics import SeedEffect
from gi_bench.reports import charts
from gi_bench.reports.pages import SMALL_N, environment

# Verdict -> what the page says, and the class that colours it.
_VERDICTS = {
    "supported": ("Supported", "yes"),
    "not supported": ("Not supported", "no"),
    "undecided": ("Undecided at this n", "open"),
    "no verdict": ("No verdict", "open"),
}


@dataclass(frozen=True)
class ContrastRow:
    """One contrast, ready to show."""

    metric: str
    rows: str
    first: str
    first_value: str
    second: str
    second_value: str
    expected: str
    margin: str
    difference: str
    interval: str
    simultaneous: str
    by_seed: tuple[str, ...]
    p: str
    adjusted: str
    verdict: str
    colour: str
    why: str


@dataclass(frozen=True)
class Entry:
    """One number of a table, ready to show."""

    value: str
    interval: str = ""
    by_seed: str = ""
    n: int = 0
    small: bool = False


@dataclass(frozen=True)
class Grid:
    """A table: a name and entries a row, a head and a note a column."""

    title: str
    corner: str
    heads: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Entry, ...]], ...]


@dataclass(frozen=True)
class StudyPage:
    """Everything that the template shows."""

    title: str
    study: Study
    verdict: str
    colour: str
    images: int
    seeds: str
    notes: tuple[str, ...]
    contrasts: tuple[ContrastRow, ...]
    differences: tuple[tuple[str, str], ...]
    values: tuple[tuple[str, str], ...]
    arms: Grid
    slices: tuple[Grid, ...]
    settings: tuple[tuple[str, str], ...]


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "no value"


def _difference(value: float) -> str:
    return f"{value:+.4f}" if math.isfinite(value) else "no value"


def _interval(effect: SeedEffect, sign: str = "") -> str:
    if effect.low is None or effect.high is None:
        return "no interval"
    return f"{effect.low:{sign}.3f} to {effect.high:{sign}.3f}"


def _simultaneous(finding: Finding) -> str:
    """The interval that the verdict rests on, where it is another than the 95 % interval."""
    bounds = finding.simultaneous
    if bounds is None or bounds == (finding.effect.low, finding.effect.high):
        return ""
    return f"{bounds[0]:+.3f} to {bounds[1]:+.3f}"


def _by_seed(effect: SeedEffect, sign: str = "") -> tuple[str, ...]:
    return tuple(f"{value:{sign}.3f}" if math.isfinite(value) else "no value" for value in effect.by_seed)


def _p(value: float, effect: SeedEffect) -> str:
    if effect.low is None:
        return "none"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _verdict(verdict: str) -> tuple[str, str]:
    return _VERDICTS.get(verdict, (verdict, "open"))


def _words(slice_by: str) -> str:
    return slice_by.replace("_", " ")


def _slice(contrast: Contrast) -> str:
    return "" if contrast.slice_by == "all" else f"{_words(contrast.slice_by)}: {contrast.slice_value}"


def _expected(contrast: Contrast) -> tuple[str, str]:
    """What the claim says of the difference, and from where on it counts."""
    if contrast.expect in ("no less", "no more"):
        return contrast.expect, f"a loss below {contrast.margin:g} counts as none"
    return ("higher" if contrast.expect == "greater" else "lower"), f"{contrast.margin:g} or more is worth a claim"


def _contrast_row(finding: Finding) -> ContrastRow:
    contrast, effect = finding.contrast, finding.effect
    expected, margin = _expected(contrast)
    verdict, colour = _verdict(finding.verdict)
    return ContrastRow(
        metric=finding.title,
        rows=_slice(contrast),
        first=contrast.first,
        first_value=_number(finding.values[0]),
        second=contrast.second or "the number",
        second_value=_number(finding.values[1]) if contrast.second else f"{contrast.against:g}",
        expected=expected,
        margin=margin,
        difference=_difference(effect.mean),
        interval=_interval(effect, "+"),
        simultaneous=_simultaneous(finding),
        by_seed=_by_seed(effect, "+") or ("none",),
        p=_p(effect.p, effect),
        adjusted=_p(finding.adjusted, effect),
        verdict=verdict,
        colour=colour,
        why=finding.why,
    )


def _entry(cell: Cell | None) -> Entry:
    if cell is None:
        return Entry("not computed")
    if not math.isfinite(cell.effect.mean):
        return Entry("no value")
    by_seed = ", ".join(_by_seed(cell.effect)) if len(cell.effect.by_seed) > 1 else "one run"
    return Entry(_number(cell.effect.mean), _interval(cell.effect), by_seed, cell.n, cell.n < SMALL_N)


def _direction(info: MetricInfo) -> str:
    if not info.ranked:
        return "neither direction is better"
    return "higher is better" if info.higher_is_better else "lower is better"


def _head(name: str, infos: Mapping[str, MetricInfo]) -> tuple[str, str]:
    return (infos[name].title, _direction(infos[name])) if name in infos else (name, "")


def _arms_grid(study: Study, infos: Mapping[str, MetricInfo]) -> Grid:
    """A row an arm, a column a metric."""
    found = {(cell.arm, cell.metric): cell for cell in study.cells if cell.slice_by == "all"}
    asked = study.question
    return Grid(
        title="Arms and metrics",
        corner="arm",
        heads=tuple(_head(name, infos) for name in asked.metrics),
        rows=tuple((arm, tuple(_entry(found.get((arm, name))) for name in asked.metrics)) for arm in asked.arms),
    )


def _slice_grids(study: Study, infos: Mapping[str, MetricInfo]) -> Iterator[Grid]:
    """One table a metric and kind of slice: a row a value, a column an arm."""
    arms = list(study.question.arms)
    for metric, kind in study.question.tables:
        found = {
            (cell.slice_value, cell.arm): cell for cell in study.cells if (cell.metric, cell.slice_by) == (metric, kind)
        }
        title, direction = _head(metric, infos)
        yield Grid(
            title=f"{title} by {_words(kind)}" + (f" ({direction})" if direction else ""),
            corner=_words(kind),
            heads=tuple((arm, "") for arm in arms),
            rows=tuple(
                (value, tuple(_entry(found.get((value, arm))) for arm in arms))
                for value in dict.fromkeys(value for value, _ in found)
            ),
        )


def _score(metric: str, effect: SeedEffect, n: int = 0) -> Score:
    """An effect as the record that charts draw."""
    value = effect.mean if math.isfinite(effect.mean) else None
    return Score(metric, "all", "all", value, n, effect.images, effect.low, effect.high)


def _panels(
    drawn: Sequence[tuple[str, str, Score]], *, title: str, zero_line: bool = False
) -> tuple[tuple[str, str], ...]:
    """One picture a panel, as (what it shows, data URI): metrics have scales of their own, and pictures wrap."""
    panels: dict[tuple[str, str], list[tuple[str, str, Score]]] = {}
    for one in drawn:
        panels.setdefault((one[2].metric, one[0]), []).append(one)
    names = list(dict.fromkeys(name for _, name, _ in drawn))
    found = []
    for (_, panel), scores in panels.items():
        uri = charts.interval_chart(scores, names, title=title, zero_line=zero_line)
        if uri is not None:
            found.append((panel, uri))
    return tuple(found)


def _difference_panels(study: Study) -> tuple[tuple[str, str], ...]:
    drawn = []
    for finding in study.findings:
        contrast = finding.contrast
        panel = ", ".join(filter(None, (finding.title, _slice(contrast))))
        name = f"{contrast.first} − {contrast.second or format(contrast.against, 'g')}"
        drawn.append((panel, name, _score(contrast.metric, finding.effect)))
    return _panels(drawn, title="difference, 95 % interval", zero_line=True)


def _value_panels(study: Study, infos: Mapping[str, MetricInfo]) -> tuple[tuple[str, str], ...]:
    asked = study.question
    found = {(cell.arm, cell.metric): cell for cell in study.cells if cell.slice_by == "all"}
    drawn = [
        (_head(metric, infos)[0], arm, _score(metric, cell.effect, cell.n))
        for metric in asked.metrics
        for arm in asked.arms
        if (cell := found.get((arm, metric))) is not None
    ]
    return _panels(drawn, title="mean over seeds, 95 % interval")


def _settings(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Settings as rows of (name, value), nested ones with the names joined."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _settings(f"{name}.{key}" if name else str(key), item)
    else:
        shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        yield name.replace("_", " "), "none" if value is None else shown


def build_study_page(study: Study, title: str | None = None) -> StudyPage:
    """Collect everything that the page of a study shows; verdicts of an older rule are made anew, which is noted."""
    study = by_today(study)
    few = seed_note(study)
    infos = {info.name: info for info in study.metrics}
    verdict, colour = _verdict(study.verdict)
    effects = [*(finding.effect for finding in study.findings), *(cell.effect for cell in study.cells)]
    return StudyPage(
        title=title or study.question.title,
        study=study,
        verdict=verdict,
        colour=colour,
        images=max((effect.images for effect in effects), default=0),
        seeds=", ".join(map(str, study.seeds)),
        notes=(*study.notes, *([few] if few is not None else [])),
        contrasts=tuple(_contrast_row(finding) for finding in study.findings),
        differences=_difference_panels(study),
        values=_value_panels(study, infos),
        arms=_arms_grid(study, infos),
        slices=tuple(_slice_grids(study, infos)),
        settings=tuple(_settings("", study.settings)),
    )


def render_study(page: StudyPage) -> str:
    """The page as HTML: one file, no script, nothing fetched."""
    made = environment()
    made.filters["direction"] = _direction
    return made.get_template("study.html.j2").render(page=page)


def write_study_report(folder_or_json: Path, output: Path, title: str | None = None) -> Path:
    """Write the page of a study.

    Args:
        folder_or_json: ``study.json``, or the folder that holds it.
        output: HTML file.
        title: of the page; None for the study's own.

    Raises:
        GiBenchError: the study cannot be read, the file cannot be written, or something else than a page of ours is
            there.
    """
    check_output(output, is_page, inputs=[folder_or_json])
    text = render_study(build_study_page(read_study(folder_or_json), title))
    write_bytes(output, text.encode("utf-8", errors="backslashreplace"))
    return output


__all__ = ["StudyPage", "build_study_page", "render_study", "write_study_report"]
