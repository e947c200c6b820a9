"""The study page: what several runs over several seeds say of a claim. Made from ``study.json`` alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gi_bench.harness.analysis.study import (
    Contrast,
    Finding,
    Study,
    by_today,
    contrast_name,
    power_words,
    read_study,
    seed_note,
)
from gi_bench.harness.files import write_bytes
from gi_bench.harness.outputs import check_output, is_page
from gi_bench.harness.schema import MetricInfo
from gi_bench.harness.statistics import SeedEffect
from gi_bench.reports.pages import environment, finish
from gi_bench.reports.palette import run_color, run_shape
from gi_bench.reports.study_charts import Figure, Mark, figure, shown_names
from gi_bench.reports.study_measured import Design, Measured, build_design, build_gradients, build_seeing
from gi_bench.reports.study_tables import (
    Grid,
    cell_entry,
    difference_text,
    interval_text,
    number_text,
    seed_texts,
    sort_key,
)

# Verdict -> what the page says, and the class that colours it.
_VERDICTS = {
    "supported": ("Supported", "yes"),
    "not supported": ("Not supported", "no"),
    "undecided": ("Undecided at this n", "open"),
    "no verdict": ("No verdict", "open"),
}


@dataclass(frozen=True)
class Side:
    """One side of a contrast: its value, what is said of it, and the arms that it is made of with their values."""

    arms: tuple[tuple[str, str], ...]
    value: str = ""
    note: str = ""


@dataclass(frozen=True)
class ContrastRow:
    """One contrast, ready to show."""

    metric: str
    rows: str
    first: Side
    second: Side
    expected: str
    margin: str
    difference: str
    sort: str
    interval: str
    simultaneous: str
    by_seed: tuple[str, ...]
    p: str
    adjusted: str
    power: str
    verdict: str
    colour: str
    why: str


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
    runs: tuple[dict[str, str], ...]
    places: Mapping[str, int]
    differences: tuple[Figure, ...]
    values: tuple[Figure, ...]
    arms: Grid
    slices: tuple[Grid, ...]
    design: Design
    seeing: Measured | None
    gradients: Measured | None
    settings: tuple[tuple[str, str], ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All charts, in the order of the page."""
        more = [one.figures for one in (self.seeing, self.gradients) if one is not None]
        return (*self.differences, *self.values, *(figure for figures in more for figure in figures))


def _simultaneous(finding: Finding) -> str:
    """The interval that the verdict rests on, where it is another than the 95 % interval."""
    bounds = finding.simultaneous
    if bounds is None or bounds == (finding.effect.low, finding.effect.high):
        return ""
    return f"{bounds[0]:+.3f} to {bounds[1]:+.3f}"


def _p(value: float, effect: SeedEffect) -> str:
    if effect.low is None:
        return "none"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _verdict(verdict: str) -> tuple[str, str]:
    return _VERDICTS.get(verdict, (verdict, "open"))


def _words(slice_by: str) -> str:
    return slice_by.replace("_", " ")


def _slice(contrast: Contrast) -> str:
    return f"{_words(contrast.by)}: {', '.join(contrast.groups)}" if contrast.by else ""


def _expected(contrast: Contrast) -> tuple[str, str]:
    """What the claim says of the difference, and from where on it counts."""
    step = " for each step" if contrast.trend else ""
    if contrast.expect in ("no less", "no more"):
        return contrast.expect, f"a loss below {contrast.margin:g}{step} counts as none"
    words = {"greater": "higher", "less": "lower"}
    if contrast.trend:
        words = {"greater": "rising", "less": "falling"}
    elif contrast.interaction:
        words = {"greater": "larger", "less": "smaller"}
    return words[contrast.expect], f"{contrast.margin:g} or more{step} is worth a claim"


def _sides(finding: Finding) -> tuple[Side, Side]:
    """What stands against what: two arms, all arms of a trend, or the one factor with the other and without it."""
    contrast = finding.contrast
    means = finding.by_arm or (finding.values if contrast.first else ())
    padded = (*means, *(float("nan") for _ in contrast.arms))
    shown = tuple((arm, number_text(mean)) for arm, mean in zip(contrast.arms, padded, strict=False))
    if contrast.trend:
        return Side(shown), Side((), note="the slope for each step from arm to arm")
    if contrast.interaction:
        neither, one, other, both = shown
        return Side((both, other), note="the first less the second"), Side(
            (one, neither), note="the first less the second"
        )
    first = Side(shown[:1])
    if contrast.second:
        return first, Side(shown[1:2])
    return first, Side((), f"{contrast.against:g}", "the number")


def _contrast_row(finding: Finding) -> ContrastRow:
    contrast, effect = finding.contrast, finding.effect
    expected, margin = _expected(contrast)
    verdict, colour = _verdict(finding.verdict)
    first, second = _sides(finding)
    return ContrastRow(
        metric=finding.title,
        rows=_slice(contrast),
        first=first,
        second=second,
        expected=expected,
        margin=margin,
        difference=difference_text(effect.mean),
        sort=sort_key(effect.mean),
        interval=interval_text(effect, "+"),
        simultaneous=_simultaneous(finding),
        by_seed=seed_texts(effect, "+") or ("none",),
        p=_p(effect.p, effect),
        adjusted=_p(finding.adjusted, effect),
        power=power_words(finding),
        verdict=verdict,
        colour=colour,
        why=finding.why,
    )


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
        rows=tuple((arm, tuple(cell_entry(found.get((arm, name))) for name in asked.metrics)) for arm in asked.arms),
        arms_are="rows",
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
                (value, tuple(cell_entry(found.get((value, arm))) for arm in arms))
                for value in dict.fromkeys(value for value, _ in found)
            ),
            arms_are="columns",
        )


def _difference_figures(study: Study, places: Mapping[str, int]) -> Iterator[Figure]:
    """One chart a metric and slice, with its contrasts; they stay whatever arms are switched off."""
    panels: dict[str, list[Mark]] = {}
    for finding in study.findings:
        contrast = finding.contrast
        panel = ", ".join(filter(None, (finding.title, _slice(contrast))))
        marks = panels.setdefault(panel, [])
        name = contrast_name(contrast).replace(" - ", " − ")
        marks.append(Mark(name, places.get(_leading(contrast), len(places)), False, finding.effect))
    for number, (panel, marks) in enumerate(panels.items()):
        names = shown_names([one.name for one in marks])
        told = [replace(one, name=name) for one, name in zip(marks, names, strict=True)]
        found = figure(f"difference-{number}", panel, "difference, 95 % interval", told, zero_line=True)
        if found is not None:
            yield found


def _leading(contrast: Contrast) -> str:
    """The arm whose colour a contrast has."""
    return contrast.first or contrast.arms[-1]


def _value_figures(study: Study, infos: Mapping[str, MetricInfo], names: Sequence[str]) -> Iterator[Figure]:
    """One chart a metric, with its arms."""
    asked = study.question
    found = {(cell.arm, cell.metric): cell for cell in study.cells if cell.slice_by == "all"}
    for number, metric in enumerate(asked.metrics):
        marks = [
            Mark(name, place, True, cell.effect)
            for place, (arm, name) in enumerate(zip(asked.arms, names, strict=True))
            if (cell := found.get((arm, metric))) is not None
        ]
        made = figure(f"value-{number}", _head(metric, infos)[0], "mean over seeds, 95 % interval", marks)
        if made is not None:
            yield made


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
    names = shown_names(list(study.question.arms))
    places = {arm: place for place, arm in enumerate(study.question.arms)}
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
        runs=tuple(
            {"name": name, "color": run_color(i), "shape": run_shape(i), "role": "model"}
            for i, name in enumerate(names)
        ),
        places=places,
        differences=tuple(_difference_figures(study, places)),
        values=tuple(_value_figures(study, infos, names)),
        arms=_arms_grid(study, infos),
        slices=tuple(_slice_grids(study, infos)),
        design=build_design(study),
        seeing=build_seeing(study, places, names),
        gradients=build_gradients(study, places, names),
        settings=tuple(_settings("", study.settings)),
    )


def render_study(page: StudyPage) -> str:
    """The page as HTML: one file, nothing fetched."""
    made = environment()
    made.filters["direction"] = _direction
    return finish(made.get_template("study.html.j2").render(page=page, runs=list(page.runs)))


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
