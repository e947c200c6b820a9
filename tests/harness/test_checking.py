"""Files that a user writes: an unknown key is refused by name, with its place and what is allowed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gi_bench import baselines, reports
from gi_bench.baselines import registration
from gi_bench.baselines.data.masks.clipseg import DEFAULTS, TextMaskSettings
from gi_bench.baselines.studies import definitions
from gi_bench.baselines.training.extra_rows import read_extra_rows
from gi_bench.harness import files, store
from gi_bench.harness.analysis.review.masks import read_review
from gi_bench.harness.checking import checked, keys_of, read_checked
from gi_bench.harness.engine.imported import import_predictions
from gi_bench.harness.errors import DataError, GiBenchError
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from gi_bench.harness.suites.splits.making import Split
from gi_bench.reports import published
from tests.run_folders import write_run


@dataclass(frozen=True)
class Inner:
    depth: int
    note: str | None = None


@dataclass(frozen=True)
class Outer:
    name: str
    size: float = 1.0
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    by_name: Mapping[str, Inner] | None = None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            {"name": "a", "sise": 2},
            r"unknown key 'sise': did you mean 'size'\? \(f\); allowed: by_name, inner, many, n",
        ),
        ({"name": "a", "inner": {"depth": 1, "deep": 2}}, r"unknown key 'deep'.*; allowed in inner: depth, note$"),
        (
            {"name": "a", "many": [{"depth": 1}, {"depth": 1, "x": 0}]},
            r"unknown key 'x' \(f\); allowed in many.1: depth",
        ),
        (
            {"name": "a", "by_name": {"b.c": {"depth": 1, "y": 0}}},
            r"unknown key 'y' .*allowed in by_name.b.c: depth, no",
        ),
        ({"nam": "a"}, r"unknown key 'nam': did you mean 'name'\? \(and 1 more\)"),
        ({}, r"the key 'name' is missing \(f\)"),
        ({"name": "a", "inner": {}}, r"the key 'depth' is missing in inner"),
        ({"name": "a", "size": "2"}, r"size: input should be a valid number"),
        ({"name": "a", "inner": {"depth": 1.5}}, r"inner.depth: input should be a valid integer"),
        ({"name": "a", "inner": {"depth": True}}, r"inner.depth: input should be a valid integer"),
        ([1], r"\(f\)"),
        (None, r"\(f\)"),
    ],
)
def test_what_is_wrong_is_one_line(content: Any, told: str) -> None:
    with pytest.raises(DataError, match=told) as caught:
        checked(content, Outer, "f", error=DataError)
    assert "\n" not in caught.value.line()


def test_what_is_right_is_a_record() -> None:
    content = {"name": "a", "size": 3, "inner": {"depth": 1}, "many": [{"depth": 2, "note": None}]}
    assert checked(content, Outer, "f") == Outer("a", 3.0, Inner(1), (Inner(2),))
    assert keys_of(Outer, ["many", "0"]) == ["depth", "note"]


def test_a_key_that_is_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text('{"name": "a", "name": "b"}', encoding="utf-8")
    with pytest.raises(GiBenchError, match="'name' is there twice"):
        read_checked(path, Outer)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(GiBenchError, match="not UTF-8"):
        read_checked(path, Outer)
    with pytest.raises(GiBenchError, match="file not found"):
        read_checked(tmp_path / "none.json", Outer)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("percentile = 80", "percentil = 80", "unknown key 'percentil': did you mean 'percentile'"),
        (
            "[labels.cecum]",
            "[labels.cecum]\nthreshold = 0.5",
            "unknown key 'threshold' .*allowed in labels.cecum: prompts",
        ),
        ("opening = 5", 'opening = "5"', "opening: input should be a valid integer"),
        ("[0, 189, 145]", "[0, 189]", "panel_color"),
        ("closing = 9", "", "the key 'closing' is missing"),
    ],
)
def test_settings_of_text_masks_are_checked(old: str, new: str, told: str, tmp_path: Path) -> None:
    text = DEFAULTS.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(GiBenchError, match=told) as caught:
        TextMaskSettings.read(path)
    assert "mine.toml" in caught.value.line()
    assert TextMaskSettings.read(DEFAULTS).labels["cecum"].prompts == ("hole", "tunnel hole")


def test_a_split_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    split = Split({"a": "train", "b": "test"}, 42, 0.5)
    split.write(path)
    assert Split.read(path) == split
    content = files.read_json(path)
    files.write_json(path, {**content, "sed": 1})
    with pytest.raises(DataError, match="unknown key 'sed': did you mean 'seed'"):
        Split.read(path)
    files.write_json(path, {**content, "sources": [{"name": "x", "fingerprint": "y", "url": "z"}]})
    with pytest.raises(DataError, match=r"unknown key 'url' .*allowed in sources.0: fingerprint, name"):
        Split.read(path)


@pytest.mark.parametrize(
    ("what", "row", "told"),
    [
        ("negatives", {"answers": "no"}, "unknown key 'answers': did you mean 'answer'"),
        ("negatives", {"seed": 3}, "unknown key 'seed'"),
        ("explanations", {"explanaton": "x"}, "unknown key 'explanaton': did you mean 'explanation'"),
        ("explanations", {"explanation": 3}, "explanation: input should be a valid string"),
    ],
)
def test_rows_for_training_are_checked(what: str, row: dict[str, Any], told: str, tmp_path: Path) -> None:
    suite = PhantomSuite("validation", 1)
    good = {"img_id": suite.image_ids[0], "question": "Is there a tube?", "source": "mine", "explanation": "None."}
    if what == "negatives":
        good = {"img_id": suite.image_ids[0], "question": "Is there a tube?", "answer": "no tube", "phrase": ""}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(good) + "\n", encoding="utf-8")
    read_extra_rows(suite, **{what: path})  # type: ignore[arg-type]
    path.write_text(json.dumps(good) + "\n" + json.dumps({**good, **row}) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=told) as caught:
        read_extra_rows(suite, **{what: path})  # type: ignore[arg-type]
    assert f"{path}:2" in caught.value.line()


def test_a_review_is_checked() -> None:
    path = Path("review.csv")
    assert read_review(path, b"img_id,label,decision,remark\na,polyp,accept,\n")["polyp"]["accept"] == 1
    with pytest.raises(DataError, match='unknown column "descision": the columns are img_id, label, decision, remark'):
        read_review(path, b"img_id,label,decision,descision\na,polyp,accept,x\n")
    with pytest.raises(DataError, match="more or fewer fields"):
        read_review(path, b"label,decision\npolyp,accept,reject\n")


def test_a_misspelt_key_of_a_prediction_is_told_and_columns_of_other_tools_pass(tmp_path: Path) -> None:
    suite = PhantomSuite("validation", 1)
    rows = [{"index": q.index, "answer": "one polyp", "bleu": 0.5, "complexity": 1} for q in suite.questions]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    assert len(store.open_run(import_predictions(path, suite, tmp_path)).predictions) == len(rows)
    path.write_text(json.dumps([{**rows[0], "confidance": 0.5}, *rows[1:]]), encoding="utf-8")
    with pytest.raises(DataError, match="unknown key 'confidance': did you mean 'confidence'"):
        import_predictions(path, suite, tmp_path)


@pytest.mark.parametrize("name", ["variants.toml", "studies.toml", "published.toml"])
def test_shipped_files_go_through_the_same_check(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Path(reports.__file__ if name == "published.toml" else baselines.__file__).parent
    source = room / "studies" / name if name == "studies.toml" else room / name
    text = Path(shutil.copy(source, tmp_path / name)).read_text(encoding="utf-8")
    place = {"variants.toml": "pixels = 96", "studies.toml": 'masks = "pseudo"', "published.toml": "bleu = 0.47"}[name]
    (tmp_path / name).write_text(text.replace(place, place + "\nfoo = 1", 1), encoding="utf-8")
    monkeypatch.setattr(published, "FILE", tmp_path / name)
    monkeypatch.setattr(registration, "HERE", tmp_path)
    monkeypatch.setattr(definitions, "HERE", tmp_path)
    read: dict[str, Callable[[], Any]] = {
        "variants.toml": registration._content.__wrapped__,
        "studies.toml": definitions._content.__wrapped__,
        "published.toml": lambda: published.published(),
    }
    with pytest.raises(GiBenchError, match="unknown key 'foo'") as caught:
        read[name]()
    assert name in caught.value.line()


def test_a_manifest_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", manifest={"memory_used_mb": 3.0})
    with pytest.raises(GiBenchError, match=r"unknown key 'memory_used_mb'.*allowed: batch_halved_count"):
        store.open_run(run)


@pytest.mark.parametrize("part", ["a", '"a b"', "'a'"])
def test_a_key_of_very_many_parts_is_refused_before_it_fills_the_memory(tmp_path: Path, part: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(" . ".join([part] * 100_000) + " = 1")
    with pytest.raises(GiBenchError, match="more than 64 parts"):
        files.read_toml(path)
    path.write_text(".".join([part] * 64) + " = 1")
    assert files.read_toml(path)
    path.write_text("x = [" + ", ".join(["0.5"] * 1000) + ']\ny = "' + "One. Two words. " * 100 + '"')
    assert len(files.read_toml(path)["x"]) == 1000
