"""What a suite is follows from what it declares, never from what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gi_bench.baselines.commands.plan import _rows
from gi_bench.baselines.registration import backbone_source
from gi_bench.harness import registry
from gi_bench.harness.errors import GiBenchError, UnknownNameError
from gi_bench.harness.registry import load_suite, registered, stored_spec, suite_spec
from gi_bench.harness.schema import Question
from gi_bench.harness.suites.augmented import AugmentedSuite
from gi_bench.harness.suites.base import Suite, SuiteEntry
from gi_bench.harness.suites.export import export_rows
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from gi_bench.harness.suites.specs import Subset, SuiteSpec, rows_digest
from tests.run_folders import questions

NAMES = ("phantom-like/test", "phantom/night", "medico2025-task1-copy", "medico2025-task2", "hidden/task2", "a-task2")


class Named(Suite):
    """A plugin's suite that is called like one of ours."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.questions: Sequence[Question] = tuple(questions(4))
        self.phrases = ()

    def image_digest(self, img_id: str) -> str:
        return img_id


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [SuiteEntry(name, "a plugin's", lambda data, name=name: Named(name)) for name in NAMES]
    monkeypatch.setitem(registry._plugin_entries, "gi_bench.suites", entries)


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("name", NAMES)
def test_a_suite_that_is_called_like_one_of_ours_gets_none_of_its_behaviour(name: str, tmp_path: Path) -> None:
    suite = load_suite(name)
    assert suite.spec == suite_spec(name) == SuiteSpec()
    assert backbone_source(None, suite.spec)[0] == "base", "not the tiny one of the rendered scenes"
    assert not suite.is_embedded
    assert (suite.train_suite, suite.note) == (None, "")
    export_rows(suite, tmp_path / "rows.jsonl")
    assert "val_id" not in (tmp_path / "rows.jsonl").read_text(encoding="utf-8")
    assert _rows(name, None)[1] == (2, 4, 4, 0, "the suite"), "its own rows, no published size"


def test_what_a_plugin_declares_is_what_its_suite_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = SuiteSpec(
        family="phantom", subtask="task2", train_suite="phantom/train", images=7, questions=9, explanations=3
    )
    entry = SuiteEntry("mine", "a plugin's", lambda data: Named("mine"), spec=spec)
    monkeypatch.setitem(registry._plugin_entries, "gi_bench.suites", [entry])
    suite = load_suite("mine")
    assert suite.spec == spec
    assert suite.train_suite == "phantom/train"
    assert backbone_source(None, suite.spec)[0] == "tiny"
    export_rows(suite, tmp_path / "rows.jsonl")
    assert '"val_id": 0' in (tmp_path / "rows.jsonl").read_text(encoding="utf-8")
    assert _rows("mine", None)[1] == (7, 9, 3, 0, "published size")


def test_every_suite_of_ours_declares_what_it_is() -> None:
    specs = {name: entry.spec for name, entry in registered("gi_bench.suites").items()}
    assert all(spec.family and spec.split for spec in specs.values())
    assert {name for name, spec in specs.items() if spec.is_hidden} == {"hidden/task1", "hidden/task2"}
    assert {name for name, spec in specs.items() if spec.edition is not None and not spec.condition} == {
        f"medico{year}-task{task}" for year in (2025, 2026) for task in (1, 2)
    }
    assert {name for name, spec in specs.items() if spec.is_embedded} == {
        n for n in specs if n.split("/")[0] == "phantom"
    }
    assert {(spec.view_of, spec.condition) for spec in specs.values() if spec.view_of} == {
        ("kvasir-vqa-x1/test", "augmented"),
        ("medico2025-task1", "augmented"),
    }
    for spec in specs.values():
        for teacher in (spec.train_suite, spec.mask_suite, spec.short_train_suite):
            assert teacher is None or teacher in specs


def test_suites_made_by_hand_are_what_their_entries_say() -> None:
    for split in ("train", "validation", "test"):
        assert PhantomSuite(split, 2).spec == suite_spec(f"phantom/{split}")
    assert load_suite("phantom/train-small").spec == suite_spec("phantom/train-small")
    assert AugmentedSuite(PhantomSuite("test", 2), "x").spec.condition == "augmented"


def test_a_view_is_its_suite_under_a_condition() -> None:
    crossed = suite_spec("phantom/test@cross-wording")
    assert (crossed.condition, crossed.view_of, crossed.questions) == ("cross-wording", "phantom/test", None)
    side = suite_spec("medico2025-task1@0123abcd-test")
    assert (side.condition, side.view_of, side.edition) == ("split side", "medico2025-task1", 2025)
    with pytest.raises(UnknownNameError):
        suite_spec("phantm/test@cross-wording")
    assert stored_spec("nobody-has-this/test") == SuiteSpec()


def test_a_subset_is_known_by_its_rows() -> None:
    rows = questions(4)
    for is_numbered in (False, True):
        spec = SuiteSpec(
            subset=Subset(4, 42, digest=rows_digest(rows, is_numbered=is_numbered), is_numbered=is_numbered)
        )
        assert spec.has_all(rows)
        assert not spec.has_all(rows[:3])
        assert not spec.has_all([*rows[:3], questions(5)[4]])
    assert SuiteSpec(questions=4).has_all(rows)
    assert not SuiteSpec(questions=5).has_all(rows)
    assert not SuiteSpec().has_all(rows), "nothing is known of it"


def test_an_unregistered_suite_is_an_error_where_it_is_to_be_loaded() -> None:
    with pytest.raises(GiBenchError, match="unknown suite"):
        suite_spec("medico2025-task1-copy")
