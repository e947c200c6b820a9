"""Studies: several runs that answer one question, over several seeds; reads run folders, writes ``study.json``.

A study states a claim and the contrasts that it rests on. What the runs say of them is computed here; how the runs
come about is not known here, and the page about a study is made elsewhere from ``study.json`` alone.
"""

from gi_bench.harness.analysis.study.answering import Making, answer
from gi_bench.harness.analysis.study.deciding import decide, whole_verdict
from gi_bench.harness.analysis.study.gradients import GradientMean, gradient_sentences, gradients_by_arm
from gi_bench.harness.analysis.study.older import by_today
from gi_bench.harness.analysis.study.power import smallest_effect
from gi_bench.harness.analysis.study.records import Cell, Contrast, Finding, Power, Question, Study, Verdict
from gi_bench.harness.analysis.study.seeing import Seen, seeing_sentences, seen_by_arm
from gi_bench.harness.analysis.study.storing import STUDY, check_place, read_study, write_study
from gi_bench.harness.analysis.study.telling import contrast_name, made_notes, power_words, seed_note, study_lines
from gi_bench.harness.schema import ArmMade, GradientPair, Seeing

__all__ = [
    "STUDY",
    "ArmMade",
    "Cell",
    "Contrast",
    "Finding",
    "GradientMean",
    "GradientPair",
    "Making",
    "Power",
    "Question",
    "Seeing",
    "Seen",
    "Study",
    "Verdict",
    "answer",
    "by_today",
    "check_place",
    "contrast_name",
    "decide",
    "gradient_sentences",
    "gradients_by_arm",
    "made_notes",
    "power_words",
    "read_study",
    "seed_note",
    "seeing_sentences",
    "seen_by_arm",
    "smallest_effect",
    "study_lines",
    "whole_verdict",
    "write_study",
]
