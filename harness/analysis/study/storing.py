"""``study.json``: an answered study as a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from gi_bench.harness import migration
from gi_bench.harness.analysis.study.records import Study
from gi_bench.harness.checking import checked
from gi_bench.harness.errors import ChangedError, GiBenchError, RunError
from gi_bench.harness.files import read_json, write_bytes
from gi_bench.harness.store import accepts_changes, content_digest

STUDY = "study.json"


def write_study(folder: Path, study: Study) -> Path:
    """Write ``study.json`` and return its path."""
    path = folder / STUDY
    # Keys keep their order, which is that of the tables: arms from small to large.
    content = _finite(asdict(study))
    content["digest"] = content_digest(content)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode("utf-8") + b"\n")
    return path


def check_place(folder: Path) -> None:
    """Refuse to write a study over a file that is none, or that somebody has changed.

    Raises:
        ChangedError: it was changed after it was made, and that is not accepted.
        RunError: it is no study.
    """
    path, do = folder / STUDY, "move it away: the study writes its own there"
    if not os.path.lexists(path):
        return
    if not path.is_file():
        raise RunError("not a file", where=path, do=do)
    try:
        read_study(path)
    except GiBenchError as error:
        raise type(error)(error.what, where=path, do=do) from error


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
    except (AttributeError, TypeError, KeyError, ValueError) as error:
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
                "by_arm": [_nan(value) for value in one.get("by_arm", ())],
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


__all__ = ["STUDY", "read_study", "write_study"]
