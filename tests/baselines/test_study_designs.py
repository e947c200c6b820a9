"""The studies and their arms as they are written down: what they ask for, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from gi_bench.baselines.data.wordings import templated
from gi_bench.baselines.studies.definitions import arm, questions, read_studies, with_arms, with_groups
from gi_bench.harness.analysis.study import Contrast
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.reading.replies import explanation_state
from gi_bench.harness.registry import registered
from gi_bench.harness.suites.phantom.suite import PhantomSuite

STUDIES = {
    "rank-sweep", "regularisation", "sam", "negatives", "confidence", "interference", "noise", "explanations",
}  # fmt: skip


def test_every_study_asks_for_arms_and_metrics_that_there_are() -> None:
    metrics = registered("gi_bench.metrics")
    found = questions()
    assert set(found) == STUDIES
    for question in found.values():
        assert set(question.metrics) | {metric for metric, _ in question.tables} <= set(metrics)
        for contrast in question.contrasts:
            assert contrast.metric in metrics
            assert set(contrast.arms) <= set(question.arms)
            assert bool(contrast.first) + bool(contrast.trend) + bool(contrast.interaction) == 1
            assert contrast.margin > 0
            assert bool(contrast.by) == bool(contrast.groups)
        assert question.source
        assert question.shows
        assert question.does_not_show


def test_arms_of_a_study_differ_in_one_thing() -> None:
    """Two arms of a study that share all else; what may differ at once is said by the study's own design."""
    arms = {name for question in questions().values() for name in question.arms}
    trained = [arm(name) for name in sorted(arms) if arm(name).variant.adapter]
    assert len(trained) <= 26
    recipes = [(one.variant, one.masks, one.explanations, tuple(one.weights.items())) for one in trained]
    assert len(set(map(str, recipes))) == len(recipes), "no two arms are the same training"
    whole = arm("multitask_r128")
    for name in ("noise_small", "ground_quarter", "explanations_thin1", "multitask_r128_pseudo"):
        one = arm(name)
        same = [one.variant == whole.variant, one.masks == whole.masks, one.explanations == whole.explanations,
                one.weights == whole.weights]  # fmt: skip
        assert sum(same) == 3, name


def test_a_contrast_of_explanations_has_arms_that_explain() -> None:
    """What repeats the answer counts as none, so that an arm of such sentences has no value to contrast."""
    rows = [row for row in PhantomSuite("validation", 12).questions if row.explanation]
    for (_, _, text), row in zip(templated(rows), rows, strict=True):
        assert explanation_state(text, row.answer, row) == "not given"
    for question in questions().values():
        for contrast in question.contrasts:
            if contrast.metric.startswith("explanation_"):
                for one in map(arm, contrast.arms):
                    assert "explain" in one.variant.train, (question.name, one.name)
                    assert one.explanations != "template", (question.name, one.name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[arms.a]\nvariant = "multitask_r128"\nmask = "suite"', "mask"),
        ('[arms.a]\nvariant = "multitask_r128"\nmasks = "noise:huge"', "arms.a.masks is noise:huge"),
        ('[arms.a]\nvariant = "multitask_r128"\nexplanations = "thin:0"', "arms.a.explanations is thin:0"),
        ('[arms.a]\nvariant = "multitask_r128"\nexplanations = "thin"', "arms.a.explanations is thin"),
        ('[arms.a]\nvariant = "vqa_only_r32"\nweights = {ground = 2.0}', "arms.a.weights.ground is 2"),
        ('[arms.a]\nvariant = "multitask_r128"\nweights = {ground = 0.0}', "above 0"),
        ('[arms.a]\nvariant = "multitask_r12"', "multitask_r12, which is no variant"),
        ('[arms.a]\nvariant = "multitask_r128"\ntrain = ["ansver"]', "train"),
    ],
)
def test_wrong_arms_are_told(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "studies.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GiBenchError) as told:
        read_studies(path)
    assert message in str(told.value)
    assert str(path) in str(told.value)


def test_a_study_of_some_arms_says_what_it_leaves_out() -> None:
    question, notes = with_arms(questions()["noise"], ["multitask_r128", "noise_small"])
    assert list(question.arms) == ["multitask_r128", "noise_small"]
    assert not question.contrasts
    assert notes == [
        "not all arms were made: without noise_medium, noise_large; 4 of 4 contrasts lack one and are left out"
    ]
    assert with_arms(question, ["multitask_r128", "noise_small"]) == (question, [])


def test_rare_labels_are_those_below_the_mean() -> None:
    question, notes = with_groups(questions()["noise"], {"polyp": 50, "instrument": 40, "z-line": 4, "ileum": 2})
    groups = {contrast.groups for contrast in question.contrasts}
    assert groups == {(), ("ileum", "z-line"), ("instrument", "polyp")}
    assert "rare ileum 2, z-line 4; common instrument 40, polyp 50" in notes[0]
    even, notes = with_groups(questions()["noise"], {"polyp": 5, "instrument": 5})
    assert all(contrast.groups in {(), ("instrument", "polyp")} for contrast in even.contrasts)
    assert len(even.contrasts) == len(question.contrasts) - 1
    assert "none, left out" in notes[0]
    plain = questions()["confidence"]
    assert with_groups(plain, {"polyp": 5}) == (plain, [])
    assert isinstance(plain.contrasts[0], Contrast)
