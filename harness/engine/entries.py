"""Which models a call asks for, and whether they can do what it asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.model import Model
from gi_bench.harness.registry import ModelEntry, model_entry
from gi_bench.harness.schema import Task


def entries_of(models: Sequence[str | ModelEntry] | str | ModelEntry, tasks: Sequence[Task] | None) -> list[ModelEntry]:
    """The entries of names and entries, once each, that have the tasks.

    Raises:
        GiBenchError: a name is unknown, given twice, or lacks a task.
    """
    wanted = [models] if isinstance(models, (str, ModelEntry)) else models
    names = [one if isinstance(one, str) else one.name for one in wanted]
    if len(set(names)) != len(names):
        raise GiBenchError("a model is given twice", where=", ".join(names), do="name each model once")
    entries = [model_entry(one) if isinstance(one, str) else one for one in wanted]
    for entry in entries:
        _check_tasks(entry, tasks)
    return entries


def bounds_of(entries: Sequence[ModelEntry], tasks: Sequence[Task] | None) -> list[ModelEntry]:
    """Registered floors and ceilings of what some models do, without those that are among them."""
    from gi_bench.harness.registry import registered

    wanted = set(tasks or [task for entry in entries for task in entry.tasks])
    names = {entry.name for entry in entries}
    found: list[ModelEntry] = list(registered("gi_bench.models").values())
    return [one for one in found if one.name not in names and wanted & {*one.bounded_tasks}]


def _check_tasks(entry: ModelEntry, tasks: Sequence[Task] | None) -> None:
    missing = [task for task in tasks or () if task not in entry.tasks]
    if missing:
        raise GiBenchError(
            f"{entry.name} does not have the task {', '.join(missing)}",
            where="--tasks",
            do=f"it has: {', '.join(entry.tasks)}",
        )


def check_built(entry: ModelEntry, model: Model, tasks: Sequence[Task] | None) -> None:
    """A model may turn out to have fewer tasks than its entry says: a ceiling without explanations to learn from."""
    if tasks and not set(tasks) & model.tasks:
        model.close()
        raise GiBenchError(
            f"{entry.name} has nothing for the task {', '.join(tasks)} here",
            where="--tasks",
            do=f"it has: {', '.join(sorted(model.tasks))}",
        )


def recipe_settings(entry: ModelEntry, model: Model) -> dict[str, Any]:
    """The model's settings as the recipe keeps them; a bound's hold its role, by which stored runs are told apart.

    Raises:
        GiBenchError: the model says that it is something else than its entry declares.
    """
    settings = dict(model.settings)
    said = settings.get("role", entry.role)
    if said != entry.role:
        raise GiBenchError(
            f"{entry.name} is registered as a {entry.role}, and its settings call it {said!r}",
            do=f"declare ModelEntry(..., role={said!r}), or take the role out of the model's settings",
        )
    return settings if entry.role == "model" else settings | {"role": entry.role}
