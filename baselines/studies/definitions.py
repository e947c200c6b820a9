"""The studies of ``studies.toml``: their questions, and the arms that answer them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gi_bench.baselines.registration import VariantRecipe, recipes
from gi_bench.harness.analysis.study import Contrast, Question
from gi_bench.harness.files import read_toml

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Arm:
    """One training of a study.

    Attributes:
        name: as in the study's tables.
        recipe: of the variant.
        masks: ``suite`` for its own, ``pseudo`` or ``refined``.
        summary: one line.
    """

    name: str
    recipe: VariantRecipe
    masks: str
    summary: str


@lru_cache(maxsize=1)
def _content() -> dict[str, Any]:
    return read_toml(HERE / "studies.toml")


def arm(name: str) -> Arm:
    """An arm by name: one of ``[arms]``, or a variant."""
    table = _content()["arms"].get(name, {})
    recipe = recipes()[table.get("variant", name)]
    return Arm(name, recipe, table.get("masks", "suite"), table.get("summary", recipe.summary))


def questions() -> Mapping[str, Question]:
    """All studies by name."""
    return {name: _question(name, table) for name, table in _content().items() if name != "arms"}


def _question(name: str, table: Mapping[str, Any]) -> Question:
    return Question(
        name=name,
        title=table["title"],
        claim=table["claim"],
        source=table["source"],
        arms={one: arm(one).summary for one in table["arms"]},
        contrasts=tuple(Contrast(**one) for one in table["contrasts"]),
        metrics=tuple(table["metrics"]),
        tables=tuple((metric, slice_by) for metric, slice_by in table.get("tables", ())),
    )
