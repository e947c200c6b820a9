"""Runs, scores and comparisons as pandas frames. Nothing else imports pandas for them.

Columns follow the records of :mod:`gi_bench.harness.schema`: a field keeps its name, and its type decides the column's.
A field of a row that the prediction has too becomes ``reference_<name>``; one that is a record itself becomes a column
``<name>_<field>`` for each of its fields. Text is
``string``, a number that may be missing ``float64`` or ``Int64``, a region COCO's dictionary of run lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import pandas

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.regions import united
from gi_bench.harness.schema import Phrase, Prediction, Question, Region, Score, Scores

if TYPE_CHECKING:
    from gi_bench.harness.analysis.comparing import Comparison
    from gi_bench.harness.store import Run

Kind = Literal["questions", "phrases"]
_KEYS = ("kind", "index", "img_id")
# What stands for a dtype where a value may be missing.
_MAY_MISS = {"int64": "Int64", "bool": "boolean"}


def run_frame(run: Run, kind: Kind = "questions") -> pandas.DataFrame:
    """The rows of a run with what was predicted of them.

    Args:
        run: the run.
        kind: ``questions`` or ``phrases``: the two have other columns.

    Returns:
        One row a question or phrase of the run, in the suite's order; the index is the row's ``index`` in the suite.
        ``variant`` and ``suite`` come first, then the row's fields, ``has_prediction`` and the prediction's fields.
        Beside a column of regions stand ``*_count`` (shown regions), ``*_area`` (pixels of their union) and ``*_box``
        (smallest box around them, x1, y1, x2, y2 in pixels, the last two exclusive).

    Raises:
        GiBenchError: another kind, or a run that cannot be read.
    """
    if kind not in ("questions", "phrases"):
        raise GiBenchError("no such kind of row", where=f"kind={kind!r}", do="use questions or phrases")
    rows: Sequence[Question | Phrase] = run.questions if kind == "questions" else run.phrases
    record = Question if kind == "questions" else Phrase
    predictions = [run.predictions.get((kind.removesuffix("s"), row.index)) for row in rows]
    columns: dict[str, pandas.Series[Any]] = {
        "variant": _series([run.variant] * len(rows), "string"),
        "suite": _series([run.suite] * len(rows), "string"),
    }
    predicted = {field.name for field in fields(Prediction)} - set(_KEYS)
    # The phrase that was shown is that of the row.
    predicted -= {"phrase"} if kind == "phrases" else set()
    for name, hint in _hints(record).items():
        if name != "index":
            shown = f"reference_{name}" if name in {*predicted, "region"} else name
            columns |= _column(shown, [getattr(row, name) for row in rows], hint)
    columns["has_prediction"] = _series([one is not None for one in predictions], "bool")
    for name, hint in _hints(Prediction).items():
        if name in predicted:
            values = [None if one is None else getattr(one, name) for one in predictions]
            columns |= _column(name, values, hint | None)
    frame = pandas.DataFrame(columns)
    frame.index = pandas.Index([row.index for row in rows], dtype="int64", name="index")
    return frame


def scores_frame(scores: Scores) -> pandas.DataFrame:
    """One row a score: what was scored, the score's fields, and what the metric's definition says.

    A score without a value or interval has NaN there. Metrics that could not be computed have no row;
    ``scores.not_computed`` has the reasons.
    """
    infos = {info.name: info for info in scores.metrics}
    columns = {
        name: _series([getattr(scores, name)] * len(scores.scores), "string")
        for name in ("suite", "fingerprint", "variant", "recipe_digest")
    }
    for name, hint in _hints(Score).items():
        columns |= _column(name, [getattr(one, name) for one in scores.scores], hint)
    described = [infos.get(one.metric) for one in scores.scores]
    columns["definition_version"] = _series([info and info.version for info in described], "Int64")
    columns["interval_version"] = _series([scores.interval_version] * len(described), "int64")
    columns["group"] = _series([info and info.group for info in described], "string")
    columns["higher_is_better"] = _series([info and info.higher_is_better for info in described], "boolean")
    return pandas.DataFrame(columns)


def comparisons_frame(comparisons: Iterable[Comparison]) -> pandas.DataFrame:
    """One row a comparison of a run with the baseline on a metric.

    Columns: ``metric``, ``run``, ``baseline``, their values, ``difference`` (run minus baseline) with its 95 %
    interval, ``p`` and ``p_holm`` (after correction over the table), ``verdict``, ``margin`` with ``p_equivalence``
    (corrected too) and ``equivalent``, the rows that both rest on, and the
    images that they have.
    """
    found = list(comparisons)
    columns: dict[str, tuple[str, list[Any]]] = {
        "metric": ("string", [one.metric.name for one in found]),
        "run": ("string", [one.run for one in found]),
        "baseline": ("string", [one.baseline for one in found]),
        "value": ("float64", [one.values[0] for one in found]),
        "baseline_value": ("float64", [one.values[1] for one in found]),
        "difference": ("float64", [one.found.difference for one in found]),
        "interval_low": ("float64", [one.found.low for one in found]),
        "interval_high": ("float64", [one.found.high for one in found]),
        "p": ("float64", [one.found.p for one in found]),
        "p_holm": ("float64", [one.adjusted for one in found]),
        "verdict": ("string", [one.verdict for one in found]),
        "margin": ("float64", [one.margin for one in found]),
        "p_equivalence": ("float64", [one.equivalence for one in found]),
        "equivalent": ("boolean", [one.equivalent for one in found]),
        "n": ("int64", [one.n for one in found]),
        "baseline_n": ("int64", [one.baseline_n for one in found]),
        "image_count": ("int64", [one.found.images for one in found]),
        "definition_version": ("int64", [one.metric.version for one in found]),
    }
    return pandas.DataFrame({name: _series(values, dtype) for name, (dtype, values) in columns.items()})


def _hints(record: type) -> dict[str, Any]:
    """The declared type of every field of a record."""
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record)}


def _options(hint: Any) -> list[Any]:
    """The types that a declared type allows, without None."""
    if get_origin(hint) in (Union, UnionType):
        return [one for one in get_args(hint) if one is not type(None)]
    return [hint]


def _dtype(hint: Any) -> str:
    """The dtype of a declared type; ``object`` for what is no single value.

    >>> _dtype(str), _dtype(int), _dtype(int | None), _dtype(float | None), _dtype(tuple[str, ...])
    ('string', 'int64', 'Int64', 'float64', 'object')
    """
    kinds = set()
    for one in _options(hint):
        kinds |= {type(value) for value in get_args(one)} if get_origin(one) is Literal else {one}
    if len(kinds) != 1:
        return "object"
    plain = {str: "string", int: "int64", float: "float64", bool: "bool"}.get(kinds.pop(), "object")
    return _MAY_MISS.get(plain, plain) if type(None) in get_args(hint) else plain


def _series(values: Sequence[Any], dtype: str) -> pandas.Series[Any]:
    return pandas.Series(list(values), dtype=dtype)


def _column(name: str, values: Sequence[Any], hint: Any) -> dict[str, pandas.Series[Any]]:
    """The column of a field; several where it holds regions, and one a field where it is a record."""
    record, *others = _options(hint)
    if isinstance(record, type) and is_dataclass(record) and record is not Region and not others:
        found: dict[str, pandas.Series[Any]] = {}
        for inner, its in _hints(record).items():
            held = [None if value is None else getattr(value, inner) for value in values]
            found |= _column(f"{name}_{inner}", held, its | None)
        return found
    dtype = _dtype(hint)
    columns = {name: _series([_plain(value) for value in values] if dtype == "object" else values, dtype)}
    if name.endswith(("region", "regions")) and dtype == "object":
        shown = [None if value is None else _regions(value) for value in values]
        stem = name.removesuffix("s")
        if name.endswith("regions"):
            columns[f"{stem}_count"] = _series([None if one is None else len(one) for one in shown], "Int64")
        unions = [_union(one) if one else None for one in shown]
        areas = [one if one is None else union.area if union else 0 for one, union in zip(shown, unions, strict=True)]
        columns[f"{stem}_area"] = _series(areas, "Int64")
        columns[f"{stem}_box"] = _series([union and union.box() for union in unions], "object")
    return columns


def _regions(value: Any) -> list[Region]:
    """The regions of a field that show something."""
    return [region for region in ([value] if isinstance(value, Region) else value) if region.area]


def _union(regions: Sequence[Region]) -> Region:
    """Regions of one image as one."""
    from pycocotools import mask as coco

    first = regions[0]
    if len({(one.height, one.width) for one in regions}) > 1:
        return Region.from_mask("", united(regions, first.height, first.width))
    codes = [{"size": [one.height, one.width], "counts": one.counts.encode("ascii")} for one in regions]
    return Region("", first.height, first.width, coco.merge(codes)["counts"].decode("ascii"))


def _plain(value: Any) -> Any:
    """Records as dictionaries, regions as COCO has them, tuples as lists."""
    if isinstance(value, Region):
        others = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"size": [others.pop("height"), others.pop("width")], **others}
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value


__all__ = ["comparisons_frame", "run_frame", "scores_frame"]
