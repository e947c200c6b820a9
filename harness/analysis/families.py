"""Which metrics stand together: the few that come first, and those that say one thing twice.

Every metric in a table of comparisons costs power, since Holm's correction counts it. So a table holds one metric a
question unless somebody asks for more, and never one and its mirror image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from gi_bench.harness.schema import MetricInfo

if TYPE_CHECKING:
    from gi_bench.harness.metrics.base import Metric

# One a question: the wording, the facts, the place, false alarms in words and in regions, the reasons, and whether the
# confidence knows. In this order.
FIRST = (
    "bleu",
    "fact_accuracy",
    "region_iou",
    "answer_false_positive_rate",
    "region_false_positive_rate",
    "explanation_fact_score",
    "confidence_auroc_within",
)
# Other headline metrics of this package.
SECOND = ("rougeL", "answer_false_negative_rate", "confidence_ece")
# What is what another one is, turned round or on another scale.
TWINS = {
    "answer_specificity": "answer_false_positive_rate",
    "region_specificity": "region_false_positive_rate",
    "region_dice": "region_iou",
    "region_image_iou": "region_iou",
    "sacrebleu": "bleu",
    "confidence_adaptive_ece": "confidence_ece",
}
# They tell of a suite's words, whoever answers.
OF_THE_SUITE = ("answer_wording_auroc", "region_wording_auroc")
_SHORT = {
    "bleu": "BLEU",
    "fact_accuracy": "facts right",
    "region_iou": "IoU",
    "answer_false_positive_rate": "alarms answers",
    "region_false_positive_rate": "alarms regions",
    "explanation_fact_score": "explan. facts",
    "confidence_auroc_within": "conf. AUROC",
}


def first_of(infos: Iterable[MetricInfo], shown: Iterable[str]) -> list[str]:
    """Names of the few that come first: ours in their order, then those that plugins and judges show.

    Args:
        infos: of all metrics there are.
        shown: names of those that are headline metrics.
    """
    there, headline = [info.name for info in infos], set(shown)
    return [name for name in FIRST if name in there] + [
        name for name in there if name in headline and name not in FIRST and name not in SECOND
    ]


def family(metrics: Mapping[str, Metric], *, everything: bool) -> tuple[list[str], dict[str, str]]:
    """The metrics that a table of comparisons is made of where none are named.

    Args:
        metrics: all there are, by name.
        everything: all that say something of their own, instead of the few.

    Returns:
        Their names, and why the others are left out.
    """
    if not everything:
        few = first_of([metric.info for metric in metrics.values()], [n for n, m in metrics.items() if m.info.headline])
        left = {name: "" for name, metric in metrics.items() if metric.info.headline and name not in few}
        return few, left
    left = {name: f"says what {twin} says" for name, twin in TWINS.items() if name in metrics and twin in metrics}
    left |= {name: "tells of the suite, not of a run" for name in OF_THE_SUITE if name in metrics}
    return [name for name in metrics if name not in left], left


def twins_among(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of metrics that say one thing twice.

    >>> twins_among(["region_iou", "bleu", "region_dice"])
    [('region_dice', 'region_iou')]
    """
    given = list(names)
    return [(name, TWINS[name]) for name in given if TWINS.get(name) in given]


def short_title(info: MetricInfo) -> str:
    """A title for a narrow column."""
    return _SHORT.get(info.name, info.title)


__all__ = ["FIRST", "OF_THE_SUITE", "SECOND", "TWINS", "family", "first_of", "short_title", "twins_among"]
