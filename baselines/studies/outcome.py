"""What the trainings of a study took and left besides their runs: steps and rows, how far they see, their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from gi_bench.baselines.studies.definitions import arm
from gi_bench.baselines.studies.workshop import Job, Workshop
from gi_bench.harness.schema import ArmMade, GradientPair, Seeing


@dataclass(frozen=True)
class Outcome:
    """What trainings took and left.

    Attributes:
        made: by arm, what its training took.
        seeing: how far the arms see.
        gradients: how the tasks' gradients stand to each other.
    """

    made: dict[str, ArmMade] = field(default_factory=dict)
    seeing: tuple[Seeing, ...] = ()
    gradients: tuple[GradientPair, ...] = ()

    def of(self, arms: Sequence[str]) -> Outcome:
        """That of some arms, and of the bare backbone."""
        return Outcome(
            {name: self.made[name] for name in arms if name in self.made},
            tuple(one for one in self.seeing if one.arm in (*arms, "")),
            tuple(one for one in self.gradients if one.arm in arms),
        )


def outcome(workshop: Workshop, jobs: Sequence[Job]) -> Outcome:
    """Read what finished jobs left."""
    made = {}
    for name in dict.fromkeys(job.arm for job in jobs):
        cards = [card for job in jobs if job.arm == name and (card := workshop.card(job))]
        if cards:
            tasks = sorted({task for card in cards for task in card.rows_seen})
            made[name] = ArmMade(
                steps=round(fmean(card.steps for card in cards)),
                rows={task: round(fmean(card.rows_seen.get(task, 0) for card in cards)) for task in tasks},
                images=round(fmean(card.images_seen for card in cards)),
                trainable_parameters=cards[0].trainable_parameters,
            )
    return Outcome(made, _seeing(workshop, jobs), _gradients(workshop, jobs))


def _seeing(workshop: Workshop, jobs: Sequence[Job]) -> tuple[Seeing, ...]:
    if not workshop.settings.seeing:
        return ()
    bare = workshop.eyes.seen(workshop.backbone_place)
    rows = list(bare.rows("", None)) if bare is not None else []
    for job in jobs:
        seen = workshop.eyes.seen(workshop.place(arm(job.arm), job.seed))
        rows += seen.rows(job.arm, job.seed) if seen is not None else []
    return tuple(rows)


def _gradients(workshop: Workshop, jobs: Sequence[Job]) -> tuple[GradientPair, ...]:
    from gi_bench.baselines.training.gradients import gradient_summary

    rows: list[GradientPair] = []
    for job in jobs:
        adapter = workshop.adapter(job)
        if adapter is not None and workshop.is_trained(job):
            rows += gradient_summary(adapter, job.arm, job.seed)
    return tuple(rows)
