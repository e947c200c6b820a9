"""Studies of an older rule, decided by today's, and older files, which do not say what could have been found."""

from __future__ import annotations

from dataclasses import replace

from gi_bench.harness.analysis.study.deciding import decided, whole_verdict
from gi_bench.harness.analysis.study.records import RULE_VERSION, Study
from gi_bench.harness.analysis.study.telling import contrast_name
from gi_bench.harness.statistics import LEVEL, SeedEffect, student_quantile, student_tail


def by_today(study: Study) -> Study:
    """A study whose verdicts were made by an older rule, decided by today's; others as they are.

    Files of today's rule may lack what could have been found: it is computed from their numbers. Files of the first
    rule hold intervals and p-values, but no standard errors: the degrees of freedom are those under which interval and
    p-value agree, or, where they do not tell, the fewest that the seeds allow.
    """
    if study.rule_version >= RULE_VERSION and any(one.power is not None for one in study.findings):
        return study
    infos = {info.name: info for info in study.metrics}
    findings = tuple(replace(one, effect=_with_error(one.effect)) for one in study.findings)
    counts = {arm: len(folders) for arm, folders in study.runs.items()}
    verdicts = tuple(decided(findings, infos, counts, len(study.seeds)))
    if study.rule_version >= RULE_VERSION:
        power = [one.power for one in verdicts]
        if not any(power):
            return study
        return replace(
            study,
            findings=tuple(replace(one, power=could) for one, could in zip(study.findings, power, strict=True)),
        )
    changed = [
        f"{new.title}, {contrast_name(new.contrast)}: {old.verdict}, now {new.verdict}"
        for old, new in zip(study.findings, verdicts, strict=True)
        if old.verdict != new.verdict
    ]
    note = (
        "the verdicts of this study.json were made by an older rule; those shown are made anew from its numbers: "
        + ("; ".join(changed) if changed else "none is another")
        + ". gi-bench study writes them into the file"
    )
    return replace(
        study,
        findings=verdicts,
        verdict=whole_verdict(verdicts),
        notes=(*study.notes, note),
        rule_version=RULE_VERSION,
    )


def _with_error(effect: SeedEffect) -> SeedEffect:
    if effect.low is None or effect.high is None or effect.error is not None:
        return effect
    half = (effect.high - effect.low) / 2
    fewest = float(max(1, len(effect.by_seed) - 1))
    # The p-value at t = mean / error is monotone in the degrees of freedom; near p = .05 it tells nothing of them.
    low, high = 1.0, 400.0

    def tail(freedom: float) -> float:
        return student_tail(abs(effect.mean) / half * student_quantile(1 - LEVEL, freedom), freedom)

    freedom = fewest
    if half > 0 and 1e-12 < effect.p < 1 and min(tail(low), tail(high)) < effect.p < max(tail(low), tail(high)):
        rising = tail(high) > tail(low)
        for _ in range(40):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if (tail(middle) < effect.p) == rising else (low, middle)
        if abs(tail(1.0) - tail(400.0)) > 1e-3 * effect.p:
            freedom = low
    return replace(effect, error=half / student_quantile(1 - LEVEL, freedom), freedom=freedom)


__all__ = ["by_today"]
