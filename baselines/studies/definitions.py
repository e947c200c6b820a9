"""The studies of ``studies.toml``: their questions, and the arms that answer them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gi_bench.baselines.registration import VariantDefinition, definitions
from gi_bench.harness.analysis.study import Contrast, Question
from gi_bench.harness.checking import checked
from gi_bench.harness.files import read_toml

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Arm:
    """One training of a study.

    Attributes:
        name: as in the study's tables.
        variant: which one is trained and run.
        masks: ``suite`` for its own, ``pseudo`` or ``refined``.
        summary: one line.
    """

    name: str
    variant: VariantDefinition
    masks: str
    summary: str


@dataclass(frozen=True)
class _ArmTable:
    """A table under ``[arms]``."""

    variant: str | None = None
    masks: str = "suite"
    summary: str | None = None


@dataclass(frozen=True)
class _StudyTable:
    """A table of a study."""

    title: str
    claim: str
    source: str
    arms: tuple[str, ...]
    contrasts: tuple[Contrast, ...]
    metrics: tuple[str, ...]
    tables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _File:
    """The content of ``studies.toml``: the arms, and under the other names the studies."""

    arms: Mapping[str, _ArmTable]
    studies: Mapping[str, _StudyTable]


@lru_cache(maxsize=1)
def _content() -> _File:
    path = HERE / "studies.toml"
    content = read_toml(path)
    studies = {name: table for name, table in content.items() if name != "arms"}
    return checked({"arms": content.get("arms", {}), "studies": studies}, _File, path)


def arm(name: str) -> Arm:
    """An arm by name: one of ``[arms]``, or a variant."""
    table = _content().arms.get(name, _ArmTable())
    variant = definitions()[table.variant or name]
    return Arm(name, variant, table.masks, variant.summary if table.summary is None else table.summary)


def questions() -> Mapping[str, Question]:
    """All studies by name."""
    return {name: _question(name, table) for name, table in _content().studies.items()}


def _question(name: str, table: _StudyTable) -> Question:
    return Question(
        name=name,
        title=table.title,
        claim=table.claim,
        source=table.source,
        arms={one: arm(one).summary for one in table.arms},
        contrasts=table.contrasts,
        metrics=table.metrics,
        tables=table.tables,
    )
