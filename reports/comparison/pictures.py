"""The page's figures: answers against grounding, ranks, false alarms, classes, seen images, speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gi_bench.harness.analysis.definitions import headlines
from gi_bench.harness.schema import MetricInfo, Score
from gi_bench.reports.comparison.curves import reliability, risk_by_coverage
from gi_bench.reports.comparison.differences import metrics_of
from gi_bench.reports.comparison.figures import (
    LEGEND,
    SHORT_NAME,
    Figure,
    bounds,
    color,
    panels,
    quantitative,
    safe,
    shape,
    tips,
)
from gi_bench.reports.comparison.runs import Entry, Given
from gi_bench.reports.comparison.table import GROUPS, found_score, interval_text

_ALARMS = (
    "answer_false_positive_rate",
    "region_false_positive_rate",
    "explanation_false_positive_rate",
    "answer_false_negative_rate",
    "region_false_negative_rate",
)
# A heat map of more runs takes the whole width.
_NARROW_RUNS = 5
_SEEN = ("bleu", "fact_accuracy", "region_iou", "explanation_fact_score")


def figures(given: Given) -> list[Figure]:
    """All figures that the runs give something for, in the order of the page."""
    made = [
        answers_and_regions(given.scored),
        ranks(given.models),
        alarms(given.scored),
        reliability(given.models),
        risk_by_coverage(given.models),
        heat_map(given.scored, "answers", ("fact_accuracy", "rougeL"), "question_class"),
        heat_map(given.scored, "regions", ("region_iou",), "label"),
        seen_images(given.models),
        speed(given.models),
    ]
    return [figure for figure in made if figure is not None]


def answers_and_regions(entries: Sequence[Entry]) -> Figure | None:
    """BLEU against IoU: what multi-task training is said to buy, in one picture."""
    points, lines, rows = [], [], []
    for entry in entries:
        words, places = found_score(entry, "bleu"), found_score(entry, "region_iou")
        if words is None:
            continue
        y = {f"y{key}": value for key, value in _xy(words).items()}
        cells = (entry.name, f"{words.value:.4f}", interval_text(words))
        if places is None:
            lines.append({"run": entry.name, **y})
            rows.append((entry.number, (*cells, "shows no region", "")))
        else:
            points.append({"run": entry.name, **y, **{f"x{key}": value for key, value in _xy(places).items()}})
            rows.append((entry.number, (*cells, f"{places.value:.4f}", interval_text(places))))
    if not points:
        return None
    having = [entry for entry in entries if found_score(entry, "bleu") is not None]
    without = " Dashed lines are runs that show no region." if lines else ""
    return Figure(
        "answers-regions",
        "Answers against grounding",
        "Up: answers worded as the references are. Right: regions where the findings are. Crosses are 95 % intervals."
        + without,
        f"BLEU against IoU of {len(points)} run{'s' if len(points) > 1 else ''}: "
        + "; ".join(f"{point['run']} BLEU {point['y']:.2f}, IoU {point['x']:.2f}" for point in points),
        {"width": 460, "height": 300, "layer": _crosses(points, lines, having)},
        ("run", "BLEU", "95 % interval", "IoU", "95 % interval"),
        tuple(rows),
    )


def _crosses(
    points: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, Any]], having: Sequence[Entry]
) -> list[dict[str, Any]]:
    """Layers: a dashed line for what has no place, bars of both intervals, marks."""
    told = tips(("run", "run"), ("y", "BLEU"), ("x", "IoU"))
    colors = color(having, legend=True)
    x, y = quantitative("x", "IoU of regions", scale={"zero": False}), quantitative("y", "BLEU", scale={"zero": False})
    cross: list[dict[str, Any]] = [
        {
            "data": {"values": points},
            "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.8},
            "encoding": {"x": x, "y": {**y, "field": "y_low"}, "y2": {"field": "y_high"}, "color": colors},
        },
        {
            "data": {"values": points},
            "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.8},
            "encoding": {"y": y, "x": {**x, "field": "x_low"}, "x2": {"field": "x_high"}, "color": colors},
        },
    ]
    level = {
        "data": {"values": lines},
        "mark": {"type": "rule", "strokeDash": [5, 4], "strokeWidth": 1.5},
        "encoding": {"y": y, "color": colors, "tooltip": tips(("run", "run"), ("y", "BLEU"))},
    }
    marks = {
        "data": {"values": points},
        "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
        "encoding": {
            "x": x,
            "y": y,
            "color": colors,
            "shape": shape(having, legend=True),
            "tooltip": told,
        },
    }
    return [*([level] if lines else []), *cross, marks]


def _xy(score: Score) -> dict[str, float]:
    found = bounds(score)
    return {"": found["value"], "_low": found["low"], "_high": found["high"]}


def ranks(models: Sequence[Entry]) -> Figure | None:
    """Rank lines over the headline metrics that all models have; None where every metric ranks them alike."""
    infos = metrics_of(models)
    shown = headlines(infos.values())
    chosen = [
        info
        for info in infos.values()
        if info.name in shown and info.ranked and all(found_score(entry, info.name) is not None for entry in models)
    ]
    groups = [group for group, _ in GROUPS]
    chosen.sort(key=lambda info: groups.index(info.group) if info.group in groups else len(groups))
    by_metric = {info.name: _rank(info, models) for info in chosen}
    if len(models) < 2 or len({tuple(places) for places in by_metric.values()}) < 2:
        return None
    values, rows = [], []
    for place, entry in enumerate(models):
        for info in chosen:
            found = entry.run.scores.find(info.name)
            value = None if found is None or found.value is None else round(found.value, 5)
            rank = by_metric[info.name][place]
            values.append({"run": entry.name, "metric": info.title, "rank": rank, "value": value})
        rows.append((entry.number, (entry.name, *(str(by_metric[info.name][place]) for info in chosen))))
    x = {
        "field": "metric",
        "type": "nominal",
        "sort": [info.title for info in chosen],
        "title": None,
        "axis": {"labelAngle": -30, "labelLimit": 150},
        "scale": {"type": "point"},
    }
    axis = {"values": list(range(1, len(models) + 1)), "format": "d"}
    y = quantitative("rank", "rank", scale={"reverse": True, "domain": [1, len(models)], "nice": False}, axis=axis)
    told = tips(("run", "run"), ("metric", "metric"), ("rank", "rank"), ("value", "value"))
    base = {"x": x, "y": y, "color": color(models, legend=True)}
    spec = {
        "data": {"values": values},
        "width": 460,
        "height": max(120, 34 * len(models)),
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": base},
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {**base, "shape": shape(models, legend=True), "tooltip": told},
            },
        ],
    }
    return Figure(
        "ranks",
        "Ranks",
        "Place of each model by each headline metric; 1 is best. A place says nothing about chance: neighbours may be "
        "ties, see the table above.",
        f"ranks of {len(models)} models over {len(chosen)} metrics, which do not rank them alike",
        spec,
        ("run", *(info.title for info in chosen)),
        tuple(rows),
    )


def _rank(info: MetricInfo, models: Sequence[Entry]) -> list[int]:
    """Places from 1, the same for equal values."""
    values = [found.value or 0.0 for entry in models if (found := found_score(entry, info.name)) is not None]
    sign = -1 if info.higher_is_better else 1
    return [1 + sum(sign * other < sign * value for other in values) for value in values]


def alarms(entries: Sequence[Entry]) -> Figure | None:
    """False alarms, and beside them what is overlooked."""
    infos = metrics_of(entries)
    values, rows = [], []
    for metric in (name for name in _ALARMS if name in infos):
        for entry in entries:
            if (score := found_score(entry, metric)) is not None:
                values.append({"run": entry.name, "panel": infos[metric].title, **bounds(score)})
                cells = (infos[metric].title, entry.name, f"{score.value:.4f}", interval_text(score), f"{score.n:,}")
                rows.append((entry.number, cells))
    if not values:
        return None
    return Figure(
        "alarms",
        "False alarms",
        "Share of absent things that are asserted or shown (false positives), and of present ones that are denied or "
        "not shown (false negatives), with 95 % intervals. Less is better; either alone is 0 for whoever always says "
        "the same.",
        "false-positive and false-negative rates, run by run",
        panels(values, entries, "rate"),
        ("metric", "run", "value", "95 % interval", "n"),
        tuple(rows),
        is_wide=True,
    )


def heat_map(entries: Sequence[Entry], name: str, metrics: Sequence[str], slice_by: str) -> Figure | None:
    """One cell a class and run, with the value written into it."""
    infos = metrics_of(entries)
    metric = next((one for one in metrics if one in infos), None)
    if metric is None:
        return None
    values, rows = [], []
    for entry in entries:
        for score in entry.run.scores.scores:
            if score.metric == metric and score.slice_by == slice_by and score.value is not None:
                told = {"class": safe(score.slice_value), "label": f"{score.value:.2f}", **bounds(score)}
                values.append({"run": entry.name, **told})
                cells = (score.slice_value, entry.name, f"{score.value:.4f}", interval_text(score), f"{score.n:,}")
                rows.append((entry.number, cells))
    if not values:
        return None
    x = {
        "field": "run",
        "type": "nominal",
        "title": None,
        "sort": [entry.name for entry in entries],
        "axis": {"labelAngle": -35, "orient": "top", "labelLimit": 170, "labelExpr": SHORT_NAME},
    }
    y = {"field": "class", "type": "nominal", "title": None, "axis": {"labelLimit": 150}}
    scale = {"scheme": "blues", "domain": [0, 1]}
    fill = quantitative("value", None, scale=scale, legend=None)
    told_of = tips(("run", "run"), ("class", "class"), ("value", "value"), ("low", "from"), ("high", "to"), ("n", "n"))
    ink = {"condition": {"test": "datum.value > 0.6", "value": "white"}, "value": "#222"}
    spec = {
        "data": {"values": values},
        # The last slanted name runs past its column.
        "padding": {"left": 5, "top": 5, "bottom": 5, "right": 90},
        "width": {"step": 54},
        "height": {"step": 21},
        "layer": [
            {
                "mark": {"type": "rect", "stroke": "white"},
                "encoding": {"x": x, "y": y, "color": fill, "tooltip": told_of},
            },
            {
                "mark": {"type": "text", "fontSize": 11},
                "encoding": {"x": x, "y": y, "text": {"field": "label"}, "color": ink, "tooltip": told_of},
            },
        ],
    }
    title = infos[metric].title
    what = "region label" if slice_by == "label" else "question class"
    return Figure(
        f"classes-{name}",
        f"{title[:1].upper()}{title[1:]} by {what}",
        "Each class and run; darker is higher. Few rows stand behind some classes: n is in the table.",
        f"heat map of {title} by {what}",
        spec,
        (what, "run", "value", "95 % interval", "n"),
        tuple(rows),
        is_wide=len({value["run"] for value in values}) > _NARROW_RUNS,
    )


def seen_images(models: Sequence[Entry]) -> Figure | None:
    """Seen against unseen images, where it is known which a model was trained on."""
    infos = metrics_of(models)
    values, rows = [], []
    for metric in (name for name in _SEEN if name in infos):
        for entry in models:
            for score in entry.run.scores.scores:
                if score.metric == metric and score.slice_by == "training" and score.value is not None:
                    what = {"run": entry.name, "panel": infos[metric].title, "images": score.slice_value}
                    values.append({**what, **bounds(score)})
                    told = f"{score.value:.4f}", interval_text(score), f"{score.n:,}"
                    rows.append((entry.number, (infos[metric].title, entry.name, score.slice_value, *told)))
    if not values:
        return None
    spec = panels(values, models, "value")
    marks = {"domain": ["seen", "unseen"], "range": ["circle", "stroke"]}
    offset = {"field": "images", "type": "nominal", "scale": {"domain": ["seen", "unseen"]}}
    for layer in spec["spec"]["layer"]:
        layer["encoding"]["yOffset"] = offset
        layer["encoding"]["tooltip"] = [*layer["encoding"]["tooltip"], {"field": "images", "title": "images"}]
    spec["spec"]["height"] = {"step": 16}
    legend = {**LEGEND, "title": "images in training"}
    spec["spec"]["layer"][1]["encoding"]["shape"] = {
        "field": "images",
        "type": "nominal",
        "scale": {**marks, "range": ["circle", "diamond"]},
        "legend": legend,
    }
    return Figure(
        "seen",
        "Seen and unseen images",
        "Rows of images that the model was trained on (circles) against the others (diamonds), with 95 % intervals. A "
        "gap says how much is remembered.",
        f"scores on seen and unseen images of {len({row['run'] for row in values})} models",
        spec,
        ("metric", "run", "images", "value", "95 % interval", "n"),
        tuple(rows),
        is_wide=True,
    )


def speed(models: Sequence[Entry]) -> Figure | None:
    """Seconds a row and memory, as the runs measured them; None for a single one."""
    rows = []
    panels_of: dict[str, list[dict[str, Any]]] = {"seconds a row": [], "peak memory, GB": []}
    for entry in models:
        manifest = entry.run.manifest
        count = manifest.counts.questions + manifest.counts.phrases
        each = None if manifest.seconds is None or not count else manifest.seconds / count
        memory = None if manifest.peak_memory_mb is None else manifest.peak_memory_mb / 1000
        for panel, value in (("seconds a row", each), ("peak memory, GB", memory)):
            if value is not None:
                panels_of[panel].append({"run": entry.name, "panel": panel, "value": round(value, 5), "n": count})
        if each is not None or memory is not None:
            hardware = manifest.hardware
            told = (
                "" if manifest.seconds is None else f"{manifest.seconds:.1f}",
                f"{count:,}",
                "" if each is None else f"{each:.4f}",
                "" if memory is None else f"{memory:.2f}",
                "" if manifest.batch_size is None else str(manifest.batch_size),
                hardware.gpu_name if hardware.gpu_name != "cpu" else hardware.cpu or manifest.device,
            )
            rows.append((entry.number, (entry.name, *told)))
    values = [value for found in panels_of.values() for value in found]
    # Of one run there is nothing to compare; its numbers stand with how it was made.
    if len(rows) < 2:
        return None
    spec = panels(values, models, "", same_axis=False, columns=2)
    y = spec["spec"]["layer"][1]["encoding"]["y"]
    x = quantitative("value", None, scale={"zero": True}, axis={"tickCount": 4})
    told_of = tips(("run", "run"), ("panel", "what"), ("value", "value"))
    encoding = {"y": y, "x": x, "color": color(models), "tooltip": told_of}
    spec["spec"] = {"width": 190, "height": {"step": 22}, "mark": {"type": "bar", "height": 12}, "encoding": encoding}
    machines = {cells[-1] for _, cells in rows}
    apart = " The runs were made on different machines: their numbers say little beside each other."
    return Figure(
        "speed",
        "Speed and memory",
        "Seconds in the model over questions and phrases, and the most memory held, once each: no interval, and other "
        f"work on the machine counts.{apart if len(machines) > 1 else ''}",
        f"seconds a row and peak memory of {len(rows)} models",
        spec,
        ("run", "seconds", "rows", "seconds a row", "peak memory, GB", "batch", "machine"),
        tuple(rows),
    )


__all__ = ["figures"]
