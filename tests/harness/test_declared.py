"""What a model is follows from its entry, and errors are told apart by type; no name and no message decides."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness.engine.entries import bounds_of
from gi_bench.harness.engine.run import Settings, evaluate
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.model import Answer, Model
from gi_bench.harness.registry import ModelEntry, Role, model_entry, registered
from gi_bench.harness.store import open_run
from gi_bench.harness.suites.phantom.suite import PhantomSuite


class Says:
    """Answers without looking."""

    tasks = frozenset({"answer"})
    needs_image = False
    batch_size = 8

    def __init__(self, **settings: Any) -> None:
        self.settings = {"kind": "says", **settings}

    def answer(self, features: list[Any], asks: list[Any]) -> list[Answer]:
        return [Answer("no polyp") for _ in asks]

    def close(self) -> None:
        pass


def entry(name: str, *, role: Role = "model", says_role: str | None = None) -> ModelEntry:
    def build(_: Any) -> Model:
        return Says(**({} if says_role is None else {"role": says_role}))  # type: ignore[return-value]

    return ModelEntry(name, "says the same", ("answer",), build, needs_image=False, role=role)


@pytest.mark.parametrize(("name", "role"), [("blind_guess", "model"), ("oracle_x", "model"), ("plain", "floor")])
def test_a_role_is_declared_and_kept_by_the_run(name: str, role: Role, tmp_path: Path) -> None:
    (done,) = evaluate(
        [entry(name, role=role)],
        PhantomSuite("validation", 1),
        output=tmp_path,
        settings=Settings(limit=2, device="cpu"),
    )
    run = open_run(done.path)
    assert run.role == role
    assert (run.recipe.model.get("role") == role) == (role != "model")


def test_a_model_that_calls_itself_otherwise_than_its_entry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GiBenchError, match="registered as a model, and its settings call it 'ceiling'"):
        evaluate(
            [entry("mine", says_role="ceiling")],
            PhantomSuite("validation", 1),
            output=tmp_path,
            settings=Settings(limit=2, device="cpu"),
        )
    assert not list(tmp_path.rglob("manifest.json"))


def test_only_declared_bounds_run_along(monkeypatch: pytest.MonkeyPatch) -> None:
    from gi_bench.harness import registry

    plugins = [entry("blind_mine"), dataclasses.replace(entry("other", role="floor"), bounds=("ground",))]
    monkeypatch.setitem(registry._plugin_entries, "gi_bench.models", plugins)
    model = model_entry("multitask_r128")
    answers = {one.name for one in bounds_of([model], ("answer",))}
    regions = {one.name for one in bounds_of([model], ("ground",))}
    assert "blind_constant" in answers
    assert not {"blind_mine", "other"} & answers
    assert "other" in regions
    assert "blind_mine" not in regions


@pytest.mark.parametrize("key", ["role", "needs_image", "needs_train_suite", "bounds"])
def test_details_are_shown_only(key: str) -> None:
    with pytest.raises(GiBenchError, match="declare it: ModelEntry"):
        ModelEntry("m", "s", ("answer",), lambda _: Says(), {key: "floor"})  # type: ignore[arg-type,return-value]


def test_our_models_declare_what_they_need() -> None:
    for name, one in registered("gi_bench.models").items():
        assert isinstance(one, ModelEntry)
        assert (one.role == "model") == one.needs_image, name
        assert set(one.bounded_tasks) <= set(one.tasks)
        assert bool(one.bounded_tasks) == (one.role != "model")
