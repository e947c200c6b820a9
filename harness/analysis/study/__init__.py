"""Studies: several runs that answer one question, over several seeds; reads run folders, writes ``study.json``.

A study states a claim and the contrasts that it rests on. What the runs say of them is computed here; how the runs
come about is not known here, and the page about a study is made elsewhere from ``study.json`` alone.
"""

from gi_bench.harness.analysis.study.answering import answer, by_today, decide, whole_verdict
from gi_bench.harness.analysis.study.records import (
    STUDY,
    Cell,
    Contrast,
    Finding,
    Question,
    Study,
    Verdict,
    read_study,
    seed_note,
    study_lines,
    write_study,
)
from gi_bench.harness.schema import ArmMade, GradientPair, Seeing

__all__ = [
    "STUDY",
    "ArmMade",
    "Cell",
    "Contrast",
    "Finding",
    "GradientPair",
    "Question",
    "Seeing",
    "Study",
    "Verdict",
    "answer",
    "by_today",
    "decide",
    "read_study",
    "seed_note",
    "study_lines",
    "whole_verdict",
    "write_study",
]
