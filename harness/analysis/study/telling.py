"""Studies in words: for the terminal, and what pages say beside the numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np

from gi_bench.harness.analysis.study.gradients import gradient_sentences
from gi_bench.harness.analysis.study.records import LEAST_SEEDS, Contrast, Finding, Study
from gi_bench.harness.analysis.study.seeing import seeing_sentences

# Undecided says little where only effects of more than so many margins are found.
WEAK = 2.0
# A difference in counts by more than this share is said.
_SAME = 0.01
# Of a difference or an interaction, and of a trend.
_CHANGES = {"greater": ("a difference", "a rise by step"), "less": ("a difference", "a fall by step")}


def seed_note(study: Study) -> str | None:
    """What has to be said of a study with too few seeds; None where there are enough, or nothing was trained."""
    count = len(study.seeds)
    if not 0 < count < LEAST_SEEDS:
        return None
    return (
        f"{count} seed{'s' if count > 1 else ''}: the intervals hold for other images, not for other seeds; with fewer "
        f"than {LEAST_SEEDS} seeds there is no verdict"
    )


def contrast_name(contrast: Contrast) -> str:
    """A contrast in a few words: what is set against what.

    >>> contrast_name(Contrast("made", "a", "b"))
    'a - b'
    >>> contrast_name(Contrast("made", trend=("a", "b", "c")))
    'a, b, c: slope per step'
    """
    if contrast.trend:
        return f"{', '.join(contrast.trend)}: slope per step"
    if contrast.interaction:
        neither, one, other, both = contrast.interaction
        return f"({both} - {other}) - ({one} - {neither})"
    return f"{contrast.first} - {contrast.second or format(contrast.against, 'g')}"


def power_words(finding: Finding) -> str:
    """What a contrast could have shown, in one sentence; empty where that is not known."""
    power, contrast = finding.power, finding.contrast
    if finding.verdict == "no verdict":
        return f"fewer than {LEAST_SEEDS} seeds could have shown no difference, however large"
    if power is None:
        return ""
    size, margin = f"{power.smallest:.2g}", f"{contrast.margin:g}"
    if contrast.expect in ("no less", "no more"):
        told = f"were nothing lost, 80 % of such studies would exclude a loss of {size}; the margin is {margin}"
        weak = power.smallest > contrast.margin
        rest = ""
    else:
        change = _CHANGES[contrast.expect][1 if contrast.trend else 0]
        told = f"80 % of such studies find {change} of {size}; the margin is {margin}"
        weak = power.smallest > WEAK * contrast.margin
        rest = ""
        if power.room is not None and power.smallest > power.room:
            way = "rise" if contrast.expect == "greater" else "fall"
            rest = f"; only {max(power.room, 0.0):.2g} is left to {way}"
    if finding.verdict == "undecided" and weak:
        return f"{told}{rest}: undecided says little here"
    return told + rest


def made_notes(study: Study) -> list[str]:
    """In what the trainings of the arms differ besides what they are to differ in."""
    notes = []
    steps = {arm: one.steps for arm, one in study.made.items()}
    if len(set(steps.values())) > 1:
        notes.append(f"the arms differ in steps: {_listed(steps)}")
    for task in dict.fromkeys(task for one in study.made.values() for task in one.rows):
        rows = {arm: one.rows[task] for arm, one in study.made.items() if one.rows.get(task)}
        if rows and max(rows.values()) > (1 + _SAME) * min(rows.values()):
            notes.append(f"the arms differ in {task} rows: {_listed(rows)}")
    return notes


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{arm} {count:,}" for arm, count in counts.items())


def _trainings(study: Study) -> list[str]:
    """What the trainings took, arms with equal ones together."""
    alike: dict[str, list[str]] = {}
    for arm, one in study.made.items():
        rows = ", ".join(f"{count:,} {task}" for task, count in one.rows.items()) or "none known"
        told = f"{one.steps:,} steps, rows: {rows}; {one.trainable_parameters:,} parameters"
        alike.setdefault(told, []).append(arm)
    return [f"trained {', '.join(arms)}: {told}" for told, arms in alike.items()]


def study_lines(study: Study) -> list[str]:
    """A study for the terminal: the claim, its contrasts and the verdict, and what the design can show."""
    width = 80
    asked = study.question
    lines = ["", f"{asked.name}: {study.verdict}"]
    lines += textwrap.wrap(asked.claim, width, initial_indent="  ", subsequent_indent="  ")
    for one in study.findings:
        contrast, effect = one.contrast, one.effect
        where = f", {' + '.join(contrast.groups)}" if contrast.by else ""
        interval = "" if effect.low is None else f" [{effect.low:+.3f}, {effect.high:+.3f}]"
        lines += _wrapped(f"{one.title}{where}: {contrast_name(contrast)}", 2)
        mean = f"{effect.mean:+.4f}" if np.isfinite(effect.mean) else "no value"
        lines += _wrapped(f"{mean}{interval}, expected {contrast.expect}: {one.verdict} ({one.why})", 4)
        could = power_words(one)
        lines += _wrapped(could, 4) if could and one.verdict != "no verdict" else []
    for heading, sentences in (("can show", asked.shows), ("cannot show", asked.does_not_show)):
        lines += [line for sentence in sentences for line in _wrapped(f"{heading}: {sentence}", 2)]
    note = seed_note(study)
    measured = [*_trainings(study), *made_notes(study), *seeing_sentences(study), *gradient_sentences(study)]
    for told in [*([note] if note is not None else []), *study.notes, *measured]:
        lines += _wrapped(told, 2)
    seeds = {0: "nothing trained", 1: "1 seed"}.get(len(study.seeds), f"{len(study.seeds)} seeds")
    return [*lines, *_wrapped(f"{study.suite}, fingerprint {study.fingerprint[:16]}, {seeds}", 2)]


def _wrapped(text: str, indent: int, width: int = 80) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2), break_on_hyphens=False
    )


__all__ = ["WEAK", "contrast_name", "made_notes", "power_words", "seed_note", "study_lines"]
