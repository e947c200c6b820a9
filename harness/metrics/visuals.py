"""Visual explanations against reference regions: what was shown for an answer, a chain's or somebody else's file's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.regions import iou, overlap, united
from gi_bench.harness.schema import MetricInfo, Phrase, Question, Region
from gi_bench.harness.store import Run
from gi_bench.harness.taxonomy import FINDING_LABELS


def region_references(phrases: Sequence[Phrase]) -> dict[tuple[str, str], list[Region]]:
    """Reference regions of what is there by image and label."""
    found: dict[tuple[str, str], list[Region]] = {}
    for phrase in phrases:
        if phrase.region is not None and not phrase.is_negative and phrase.region.area:
            found.setdefault((phrase.img_id, phrase.label), []).append(phrase.region)
    return {key: list(dict.fromkeys(regions)) for key, regions in found.items()}


def region_target(question: Question, references: Mapping[tuple[str, str], Sequence[Region]]) -> list[Region]:
    """Reference regions that a question's answer should show; none where it is about no one thing, or an absent one."""
    if question.finding is None or question.is_negative:
        return []
    labels = FINDING_LABELS.get(question.finding, ())
    return [region for label in labels for region in references.get((question.img_id, label), ())]


def visual_iou(run: Run) -> Statistics | str:
    """IoU of what is shown for the answer, over questions whose finding is there and has a reference region."""
    if not any(p.kind == "question" and p.regions is not None for p in run.predictions.values()):
        return "the run shows no region for its answers"
    references = region_references(run.phrases)
    values, images, findings = [], [], []
    for question in run.questions:
        target = region_target(question, references)
        if not target or not question.wants_explanation:
            continue
        prediction = run.predictions.get(("question", question.index))
        shown = (prediction.regions if prediction is not None else None) or ()
        height, width = target[0].height, target[0].width
        pixels = overlap(united(shown, height, width), united(target, height, width))
        values.append(iou(*pixels))
        images.append(question.img_id)
        findings.append((str(question.finding),))
    if not values:
        return "no question about something that is there has a reference region"
    column = np.array(values)
    return Statistics(np.stack([column, np.ones_like(column)], axis=1), tuple(images), {"finding": tuple(findings)})


METRICS: list[Metric] = [
    Metric(
        MetricInfo(
            "visual_iou",
            "IoU of visual explanations",
            "Mean intersection over union of the regions that are shown for an answer and the image's reference "
            "regions of the finding asked about. Over questions that ask for an explanation, are about one finding "
            "that is there, and have a reference region; nothing shown counts 0, a mask of another size is resized by "
            "nearest neighbour.",
            "Jaccard 1912; visual_explanation of subtask 2",
            group="regions",
            comparable=False,
            headline=False,
        ),
        visual_iou,
    )
]
