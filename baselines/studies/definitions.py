"""The studies of ``studies.toml``: their questions, and the arms that answer them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from gi_bench.baselines.registration import VariantDefinition, definitions
from gi_bench.harness.analysis.study import Contrast, Question
from gi_bench.harness.checking import checked
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.files import read_toml
from gi_bench.harness.schema import Task

HERE = Path(__file__).parent
# Which labels a group of a contrast or table means: see :func:`with_groups`.
GROUPS = ("rare", "common")


@dataclass(frozen=True)
class Arm:
    """One training of a study.

    Attributes:
        name: as in the study's tables.
        variant: which one is trained and run, with the tasks of this arm.
        masks: ``suite`` for its own, ``pseudo``, ``refined``, or ``noise:LEVEL``.
        explanations: ``suite`` for its own (the user's file where it has none), ``template``, ``thin:K``, or ``file``
            for the user's.
        weights: by task, what the loss of its rows is multiplied by.
        summary: one line.
    """

    name: str
    variant: VariantDefinition
    masks: str
    explanations: str
    weights: Mapping[str, float]
    summary: str

    @property
    def noise(self) -> str | None:
        """The level of the masks' noise, or None."""
        kind, _, level = self.masks.partition(":")
        return level if kind == "noise" else None

    @property
    def wordings(self) -> int | None:
        """How many wordings of each thing are explained with, or None for all."""
        kind, _, count = self.explanations.partition(":")
        return int(count) if kind == "thin" else None


@dataclass(frozen=True)
class _ArmTable:
    """A table under ``[arms]``."""

    variant: str | None = None
    train: tuple[Task, ...] | None = None
    masks: str = "suite"
    explanations: str = "suite"
    weights: Mapping[str, float] = field(default_factory=dict)
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
    shows: tuple[str, ...] = ()
    does_not_show: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    """The content of ``studies.toml``: the arms, and under the other names the studies."""

    arms: Mapping[str, _ArmTable]
    studies: Mapping[str, _StudyTable]


@lru_cache(maxsize=1)
def _content() -> _File:
    return read_studies(HERE / "studies.toml")


def read_studies(path: Path) -> _File:
    """A file of arms and studies.

    Raises:
        GiBenchError: a key is unknown, a value is not allowed, or an arm or variant is missing.
    """
    content = read_toml(path)
    studies = {name: table for name, table in content.items() if name != "arms"}
    found = checked({"arms": content.get("arms", {}), "studies": studies}, _File, path)
    for name in [*found.arms, *(one for study in found.studies.values() for one in study.arms)]:
        _arm(name, found, path)
    return found


def arm(name: str) -> Arm:
    """An arm by name: one of ``[arms]``, or a variant."""
    return _arm(name, _content(), HERE / "studies.toml")


def _arm(name: str, content: _File, path: Path) -> Arm:
    table = content.arms.get(name, _ArmTable())
    known = definitions()
    wanted = table.variant or name
    if wanted not in known:
        what = f"arms.{name} trains {wanted}, which is no variant"
        raise GiBenchError(what, where=path, do="name one of gi-bench models")
    variant = known[wanted]
    if table.train is not None:
        variant = replace(variant, train=table.train)
    made = Arm(
        name,
        variant,
        table.masks,
        table.explanations,
        table.weights,
        variant.summary if table.summary is None else table.summary,
    )
    _check(made, path)
    return made


def _check(made: Arm, path: Path) -> None:
    """Refuse masks, explanations and weights that there are not."""
    from gi_bench.baselines.data.masks.levels import LEVELS

    masks = ("suite", "pseudo", "refined", *(f"noise:{level}" for level in LEVELS))
    if made.masks not in masks:
        raise _unknown(made, "masks", made.masks, masks, path)
    kind, colon, count = made.explanations.partition(":")
    thin = kind == "thin" and count.isascii() and count.isdecimal() and int(count) > 0
    if not thin and (colon or kind not in ("suite", "template", "file")):
        raise _unknown(made, "explanations", made.explanations, ("suite", "template", "thin:1", "file"), path)
    for task, weight in made.weights.items():
        if task not in made.variant.train or not 0 < weight <= 100:
            raise _unknown(made, f"weights.{task}", f"{weight:g}", made.variant.train, path)


def _unknown(made: Arm, key: str, value: str, known: Collection[str], path: Path) -> GiBenchError:
    what = "above 0 and at most 100, of one of" if key.startswith("weights") else "one of"
    return GiBenchError(f"arms.{made.name}.{key} is {value}", where=path, do=f"give {what} {', '.join(known)}")


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
        shows=table.shows,
        does_not_show=table.does_not_show,
    )


def with_arms(question: Question, arms: Collection[str]) -> tuple[Question, list[str]]:
    """A study with some of its arms, and what is said of the contrasts that lack one.

    Args:
        question: the whole study.
        arms: those that there are.
    """
    kept = tuple(one for one in question.contrasts if set(one.arms) <= set(arms))
    notes = []
    if missing := [name for name in question.arms if name not in arms]:
        left_out = len(question.contrasts) - len(kept)
        said = f"; {left_out} of {len(question.contrasts)} contrasts lack one and are left out" if left_out else ""
        notes.append(f"not all arms were made: without {', '.join(missing)}{said}")
    here = {name: summary for name, summary in question.arms.items() if name in arms}
    return replace(question, arms=here, contrasts=kept), notes


def with_groups(question: Question, frequencies: Mapping[str, int]) -> tuple[Question, list[str]]:
    """A study whose groups ``rare`` and ``common`` are labels, and what is said of them.

    Args:
        question: the study.
        frequencies: regions of the training suite by label. Rare are the labels with fewer than the mean.
    """
    mean = sum(frequencies.values()) / max(1, len(frequencies))
    labels: Mapping[str, Sequence[str]] = {
        "rare": [label for label, count in sorted(frequencies.items()) if count < mean],
        "common": [label for label, count in sorted(frequencies.items()) if count >= mean],
    }
    kept, notes = [], []
    for contrast in question.contrasts:
        if contrast.by != "label" or contrast.group not in labels:
            kept.append(contrast)
        elif found := labels[str(contrast.group)]:
            kept.append(replace(contrast, group=tuple(found)))
        else:
            notes.append(f"{contrast.metric} of {contrast.group} labels: the training suite has none, left out")
    if len(kept) != len(question.contrasts) or any(one not in question.contrasts for one in kept):
        told = [
            f"{name} {', '.join(f'{label} {frequencies[label]}' for label in found) or 'none'}"
            for name, found in labels.items()
        ]
        notes.append(f"labels by regions in the training suite: {'; '.join(told)}")
    return replace(question, contrasts=tuple(kept)), notes
