"""``study.json``: what it keeps, what is refused, and verdicts of an older rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.harness.analysis.study import (
    STUDY,
    Contrast,
    Making,
    Study,
    answer,
    by_today,
    check_place,
    read_study,
    write_study,
)
from gi_bench.harness.errors import RunError
from gi_bench.harness.metrics.base import Metric
from gi_bench.harness.statistics import SeedEffect
from tests.harness.analysis.study_cases import asked_about, write_seeds


def test_verdicts_of_an_older_rule_are_made_anew(
    runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path
) -> None:
    """A file of the first rule names no rule, no standard errors and no simultaneous intervals."""
    runs = {"good": write_seeds(tmp_path, "good", (3, 4, 5)), "poor": write_seeds(tmp_path, "poor", (4, 4, 6))}
    one = Contrast("exact_match", "good", "poor")
    study = answer(asked_about(*[one] * 4), runs, (0, 1, 2), metrics=metrics, resamples=300)
    path = write_study(tmp_path, study)
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["rule_version"], content["digest"]  # files of that rule hold none
    for finding in content["findings"]:
        del finding["simultaneous"], finding["effect"]["error"], finding["effect"]["freedom"]
        finding["verdict"] = "supported"
    content["verdict"] = "supported"
    path.write_text(json.dumps(content), encoding="utf-8")
    old = read_study(path)
    assert (old.rule_version, old.verdict) == (1, "supported")
    new = by_today(old)
    assert [a.verdict for a in new.findings] == [a.verdict for a in study.findings]
    assert new.findings[0].simultaneous == pytest.approx(study.findings[0].simultaneous, rel=1e-3)
    assert new.verdict == study.verdict != "supported"
    assert "made by an older rule" in new.notes[-1]
    assert f"supported, now {study.verdict}" in new.notes[-1]
    assert by_today(study) is study


@pytest.fixture
def study(runs: dict[str, list[Path]], metrics: dict[str, Metric], tmp_path: Path) -> Study:
    return answer(
        asked_about(
            Contrast("exact_match", "good", "poor"),
            Contrast("exact_match", "good", "poor", "no less", by="question_class", group="none"),
            tables=(("exact_match", "question_class"),),
        ),
        runs, (3, 5), metrics=metrics, resamples=50, making=Making({"steps": 9, "ranks": [1, 2]}), base=tmp_path,
    )  # fmt: skip


def _plain(study: Study) -> str:
    """All fields as text, in which NaN equals NaN."""
    return json.dumps(asdict(study), sort_keys=True)


def test_a_study_survives_its_file(study: Study, tmp_path: Path) -> None:
    assert "NaN" in _plain(study)
    path = write_study(tmp_path / "made", study)
    assert path == tmp_path / "made" / STUDY
    assert "NaN" not in path.read_text(encoding="utf-8")
    for place in (path, path.parent):
        assert _plain(read_study(place)) == _plain(study)
    finite = replace(study, findings=study.findings[:1])
    write_study(tmp_path / "finite", finite)
    assert read_study(tmp_path / "finite") == finite


def test_nan_by_seed_survives(study: Study, tmp_path: Path) -> None:
    effect = SeedEffect(float("nan"), None, None, 1.0, (0.5, float("nan")), 3)
    cells = (replace(study.cells[0], effect=effect),)
    again = read_study(write_study(tmp_path / "made", replace(study, cells=cells))).cells[0].effect
    assert np.isnan(again.mean)
    assert again.by_seed[0] == 0.5
    assert np.isnan(again.by_seed[1])
    assert (again.low, again.high, again.p, again.images) == (None, None, 1.0, 3)


def test_arms_keep_their_order(study: Study, tmp_path: Path) -> None:
    arms = {"rank_8": "small", "rank_16": "middle", "rank_128": "large", "blind": "none"}
    write_study(tmp_path, replace(study, question=replace(study.question, arms=arms)))
    assert list(read_study(tmp_path).question.arms) == list(arms)


def _without(*keys: Any) -> Callable[[Any], None]:
    def damage(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return damage


def _with(value: Any, *keys: Any) -> Callable[[Any], None]:
    def damage(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_without("question"), id="no question"),
        pytest.param(_without("question", "claim"), id="no claim"),
        pytest.param(_without("question", "contrasts", 0, "metric"), id="contrast without metric"),
        pytest.param(_without("cells", 0, "n"), id="cell without n"),
        pytest.param(_without("cells", 0, "effect", "by_seed"), id="effect without seeds"),
        pytest.param(_without("findings", 0, "contrast"), id="finding without contrast"),
        pytest.param(_without("findings", 0, "verdict"), id="finding without verdict"),
        pytest.param(_without("metrics", 0, "definition"), id="metric without definition"),
        pytest.param(_without("fingerprint"), id="no fingerprint"),
        pytest.param(_without("schema_version"), id="no version"),
        pytest.param(_with(1, "schema_version"), id="other version"),
        pytest.param(_with("text", "question"), id="question is text"),
        pytest.param(_with([["exact_match"]], "question", "tables"), id="table without slice"),
        pytest.param(_with({"more": 1}, "question", "contrasts", 0), id="unknown contrast"),
        pytest.param(_with([0.1, 0.2, 0.3], "findings", 0, "values"), id="three values"),
        pytest.param(_with(None, "findings", 0, "effect"), id="effect is null"),
        pytest.param(_with("many", "cells", 0, "effect", "images"), id="images is text"),
        pytest.param(_with(7, "cells"), id="cells is a number"),
        pytest.param(_with(None, "notes"), id="notes is null"),
        pytest.param(_with(1, "unknown field"), id="unknown field"),
        pytest.param(_with(["good-0"], "runs"), id="runs is a list"),
        pytest.param(_with("low", "cells", 0, "effect", "low"), id="bound is text"),
        pytest.param(_with("high", "findings", 0, "effect", "high"), id="bound of a finding is text"),
        pytest.param(_with(None, "findings", 0, "adjusted"), id="p is null"),
        pytest.param(_with("perhaps", "verdict"), id="unknown verdict"),
        pytest.param(_with(["good", "poor"], "question", "arms"), id="arms is a list"),
    ],
)
def test_a_damaged_study_is_refused(study: Study, tmp_path: Path, damage: Callable[[Any], None]) -> None:
    path = write_study(tmp_path / "made", study)
    content = json.loads(path.read_text(encoding="utf-8"))
    damage(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunError) as caught:
        read_study(path)
    assert str(path) in caught.value.line()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\x00", '{"schema_version": 2}'])
def test_what_is_no_study_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / STUDY).write_text(text, encoding="utf-8")
    with pytest.raises(RunError):
        read_study(tmp_path)


def test_a_missing_study_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / STUDY, tmp_path / "nowhere"):
        with pytest.raises(RunError, match="not found"):
            read_study(path)


def test_a_study_is_written_over_its_own_kind_only(study: Study, tmp_path: Path) -> None:
    check_place(tmp_path)
    path = write_study(tmp_path, study)
    check_place(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace('"verdict"', '"verdict" ', 1), encoding="utf-8")
    check_place(tmp_path)  # the same content in other white space
    text = path.read_text(encoding="utf-8")
    for other in (text.replace(study.question.claim, "Mine."), "notes of mine", ""):
        path.write_text(other, encoding="utf-8")
        with pytest.raises(RunError, match="move it away") as caught:
            check_place(tmp_path)
        assert str(path) in caught.value.line()
        assert path.read_text(encoding="utf-8") == other
    path.unlink()
    path.mkdir()
    with pytest.raises(RunError, match=r"not a file .*move it away"):
        check_place(tmp_path)
