"""What a study asks, what runs say of it, and ``study.json``."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gi_bench.harness import migration
from gi_bench.harness.checking import checked
from gi_bench.harness.errors import ChangedError, RunError
from gi_bench.harness.files import read_json, write_bytes
from gi_bench.harness.schema import SCHEMA_VERSION, ArmMade, GradientPair, MetricInfo, Seeing
from gi_bench.harness.statistics import SeedEffect
from gi_bench.harness.store import accepts_changes, content_digest

STUDY = "study.json"
# Of the rule by which verdicts are made, see docs/studies.md. 1, in files that do not name it: supported whatever the
# margin, intervals not corrected for the number of contrasts, verdicts from one seed.
RULE_VERSION = 2
# Trainings below which an interval says nothing of other seeds.
LEAST_SEEDS = 3
Verdict = Literal["supported", "not supported", "undecided", "no verdict"]
Expectation = Literal["greater", "less", "no less", "no more"]


@dataclass(frozen=True)
class Contrast:
    """One comparison that a claim rests on, of one of three kinds.

    A *difference*: an arm's metric less another arm's, or less a number. A *trend*: the least-squares slope of the
    metric over arms in order, for each step from one arm to the next (each doubling, where each arm doubles the rank).
    An *interaction* of a 2 x 2 of arms a, b, c, d: (d - c) - (b - a).

    Attributes:
        metric: registered name.
        first, second: arms of a difference; an empty second compares with ``against``.
        expect: what the claim says of the difference, slope or interaction; ``no less`` and ``no more`` say that
            nothing is lost.
        margin: the smallest difference (for a trend: for each step) that is worth a claim; with ``no less`` and
            ``no more``, the largest loss that is none.
        against: number that the first arm is compared with.
        trend: three or more arms in order.
        interaction: four arms: neither factor, the one, the other, both.
        by: kind of slice, as in ``scores.json`` (``label``, ``question_class``, ...); empty for all rows.
        group: value of that slice, or several, whose rows are taken together.
    """

    metric: str
    first: str = ""
    second: str = ""
    expect: Expectation = "greater"
    margin: float = 0.01
    against: float = 0.0
    trend: tuple[str, ...] = ()
    interaction: tuple[str, ...] = ()
    by: str = ""
    group: str | tuple[str, ...] = ()

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that it is about."""
        return self.trend or self.interaction or tuple(filter(None, (self.first, self.second)))

    @property
    def groups(self) -> tuple[str, ...]:
        """The values of the slice that it is about; none for all rows."""
        return (self.group,) if isinstance(self.group, str) else self.group


@dataclass(frozen=True)
class Question:
    """What a study asks.

    Attributes:
        name: e.g. ``rank-sweep``.
        title: heading of the page.
        claim: the sentence that is put to the test.
        source: where it is from.
        arms: names of the trainings compared, with one line about each.
        contrasts: all of them must hold for the claim to be supported.
        metrics: columns of the table.
        tables: more tables, each (metric, slice kind).
        shows: sentences: what the design can show.
        does_not_show: sentences: what it cannot show.
    """

    name: str
    title: str
    claim: str
    source: str
    arms: Mapping[str, str]
    contrasts: tuple[Contrast, ...]
    metrics: tuple[str, ...]
    tables: tuple[tuple[str, str], ...] = ()
    shows: tuple[str, ...] = ()
    does_not_show: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What the runs say of a contrast.

    Attributes:
        contrast: see there.
        title: title of the metric.
        values: mean over seeds of the first arm, and of the second (or the number).
        effect: the difference, its interval and p-value; by seed.
        adjusted: p-value after Holm's correction over the study's contrasts.
        verdict: see :func:`decide`.
        why: the verdict in words.
        simultaneous: interval that holds together with those of the other contrasts; the verdict rests on it. None
            where there is none, and in files of the first rule.
    """

    contrast: Contrast
    title: str
    values: tuple[float, float]
    effect: SeedEffect
    adjusted: float
    verdict: Verdict
    why: str
    simultaneous: tuple[float, float] | None = None


@dataclass(frozen=True)
class Cell:
    """One arm's metric on one slice: mean over seeds, 95 % interval, and rows of a run."""

    arm: str
    metric: str
    slice_by: str
    slice_value: str
    effect: SeedEffect
    n: int


@dataclass(frozen=True)
class Study:
    """An answered study.

    Attributes:
        question: what was asked.
        suite, fingerprint: what the runs were made on.
        seeds: of the trainings.
        cells: the tables.
        findings: the contrasts.
        verdict: supported if every contrast is, not supported if one is not, else undecided; no verdict from too few
            seeds.
        metrics: definitions.
        runs: by arm, the run folders, relative to the study's.
        notes: what has to be said beside the numbers.
        settings: how the trainings were made.
        rule_version: of the rule that made the verdicts.
        made: by arm, what its training took; arms without training have none.
        seeing: how far arms see, by seed; see :class:`~gi_bench.harness.schema.Seeing`.
        gradients: how the tasks' gradients stand to each other, by arm and seed.
        digest: SHA-256 over everything else in the file, so that a number which is changed later is noticed; empty in
            files that do not say.
    """

    question: Question
    suite: str
    fingerprint: str
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    findings: tuple[Finding, ...]
    verdict: Verdict
    metrics: tuple[MetricInfo, ...]
    runs: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    rule_version: int = RULE_VERSION
    made: Mapping[str, ArmMade] = field(default_factory=dict)
    seeing: tuple[Seeing, ...] = ()
    gradients: tuple[GradientPair, ...] = ()
    digest: str = ""


def seed_note(study: Study) -> str | None:
    """What has to be said of a study with too few seeds; None where there are enough, or nothing was trained."""
    count = len(study.seeds)
    if not 0 < count < LEAST_SEEDS:
        return None
    return (
        f"{count} seed{'s' if count > 1 else ''}: the intervals hold for other images, not for other seeds; with fewer "
        f"than {LEAST_SEEDS} seeds there is no verdict"
    )


def study_lines(study: Study) -> list[str]:
    """A study for the terminal: the claim, its contrasts and the verdict."""
    width = 80
    lines = ["", f"{study.question.name}: {study.verdict}"]
    lines += textwrap.wrap(study.question.claim, width, initial_indent="  ", subsequent_indent="  ")
    for one in study.findings:
        contrast, effect = one.contrast, one.effect
        other = contrast.second or f"{contrast.against:g}"
        where = f", {' + '.join(contrast.groups)}" if contrast.by else ""
        interval = "" if effect.low is None else f" [{effect.low:+.3f}, {effect.high:+.3f}]"
        lines += _wrapped(f"{one.title}{where}: {contrast.first} - {other}", 2)
        mean = f"{effect.mean:+.4f}" if np.isfinite(effect.mean) else "no value"
        lines += _wrapped(f"{mean}{interval}, expected {contrast.expect}: {one.verdict} ({one.why})", 4)
    note = seed_note(study)
    if note is not None:
        lines += _wrapped(note, 2)
    seeds = {0: "nothing trained", 1: "1 seed"}.get(len(study.seeds), f"{len(study.seeds)} seeds")
    return [*lines, *_wrapped(f"{study.suite}, fingerprint {study.fingerprint[:16]}, {seeds}", 2)]


def _wrapped(text: str, indent: int, width: int = 80) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2), break_on_hyphens=False
    )


def write_study(folder: Path, study: Study) -> Path:
    """Write ``study.json`` and return its path."""
    path = folder / STUDY
    # Keys keep their order, which is that of the tables: arms from small to large.
    content = _finite(asdict(study))
    content["digest"] = content_digest(content)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode("utf-8") + b"\n")
    return path


def _finite(value: Any) -> Any:
    """JSON has no NaN: what has no value is null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def read_study(path: Path) -> Study:
    """Read ``study.json`` (or the folder that holds it).

    Raises:
        ChangedError: it was changed after it was made, and that is not accepted.
        RunError: it is missing, of another schema version or lacks a field.
    """
    path = path / STUDY if path.is_dir() else path
    again = "make it again: gi-bench study"
    stored = read_json(path, again)
    content = migration.current(stored, "a study", path, again)
    changed = content.get("digest", "") not in ("", content_digest(stored))
    if changed and not accepts_changes():
        do = f"{again}; --accept-changed takes it as it is and says so"
        raise ChangedError("the study was changed after it was made: its SHA-256 is another", where=path, do=do)
    try:
        content = _with_nan(content)
    except (AttributeError, TypeError, KeyError) as error:
        raise RunError(f"a study with a missing or wrong field: {error}", where=path, do=again) from error
    # The digest is the file's: a study that is read and changed on purpose gets another when it is written.
    found = replace(checked(content, Study, path, do=again, error=RunError, finite=False), digest="")
    if changed:
        note = f"the study was changed after it was made ({path.name}); accepted with --accept-changed"
        found = replace(found, notes=(*found.notes, note))
    return found


# Numbers of these records may have no value; their keys in ``study.json``.
_SEEN = ("value", "low", "high")
_PAIR = ("cosine", "negative_share", "first_norm", "second_norm")


def _with_nan(content: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that :func:`_finite` made null, as NaN again; bounds of intervals may be null."""

    def effect(row: Mapping[str, Any]) -> dict[str, Any]:
        return {**row, "mean": _nan(row["mean"]), "by_seed": [_nan(value) for value in row["by_seed"]]}

    def numbers(row: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
        return {**row, **{key: _nan(row[key]) for key in keys}}

    return {
        "rule_version": 1,
        **content,
        "question": {
            **content["question"],
            "contrasts": [_contrast(one) for one in content["question"]["contrasts"]],
        },
        "cells": [{**one, "effect": effect(one["effect"])} for one in content["cells"]],
        "findings": [
            {
                **one,
                "contrast": _contrast(one["contrast"]),
                "effect": effect(one["effect"]),
                "values": [_nan(value) for value in one["values"]],
            }
            for one in content["findings"]
        ],
        "seeing": [numbers(one, _SEEN) for one in content.get("seeing", ())],
        "gradients": [numbers(one, _PAIR) for one in content.get("gradients", ())],
    }


def _contrast(row: Mapping[str, Any]) -> dict[str, Any]:
    """A contrast of today; before, its rows were named as a slice, and ``all`` was one."""
    found = dict(row)
    by, group = found.pop("slice_by", "all"), found.pop("slice_value", "all")
    return found if by == "all" else {"by": by, "group": group, **found}


def _nan(value: Any) -> Any:
    return float("nan") if value is None else value
