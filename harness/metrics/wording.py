"""How far words alone tell negatives from positives: what a rate of false alarms has to be read beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.bag_of_words import (
    SUSPICIOUS,
    WordedRows,
    pair_share,
    pair_sums,
    phrase_rows,
    question_rows,
    share_of_sums,
    word_scores,
)
from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.schema import MetricInfo, Score

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

# Rate of false alarms -> the metric that says how far its rows are told by their words.
BESIDE = {
    "answer_false_positive_rate": "answer_wording_auroc",
    "answer_specificity": "answer_wording_auroc",
    "explanation_false_positive_rate": "answer_wording_auroc",
    "region_false_positive_rate": "region_wording_auroc",
    "region_specificity": "region_wording_auroc",
}


def statistics_of(rows: WordedRows, what: str) -> Statistics | str:
    """Statistics of the share of pairs that words order.

    Args:
        rows: of a suite or run.
        what: ``label`` or ``question_class``: what a group is.

    Returns:
        A reason where no group has both sides.
    """
    if not rows.texts:
        return f"no {what.replace('_', ' ')} is asked about both where it is there and where it is absent"
    scores, bags = word_scores(rows)
    sums, count = pair_sums(scores, rows.negative, bags)

    def point(chosen: npt.NDArray[np.int64]) -> float:
        return pair_share(scores[chosen], rows.negative[chosen], bags[chosen])

    slices = {what: tuple((group,) for group in rows.groups)}
    if any(rows.findings):
        slices["finding"] = tuple((finding,) for finding in rows.findings)
    return Statistics(
        sums,
        rows.images,
        slices,
        value=partial(share_of_sums, bags=count),
        counts={"fewer than 2 images where it is there, or absent": rows.one_sided},
        point=point,
        columns=(tuple(zip(rows.texts, rows.groups, rows.negative.tolist(), strict=True)),),
    )


def wording_notes(scores: Iterable[Score]) -> Iterator[str]:
    """A line for each kind of rows whose negatives words alone tell, where a rate is computed over them."""
    values = {score.metric: score.value for score in scores if score.slice_by == "all"}
    titles = {"answer_wording_auroc": "answers and explanations", "region_wording_auroc": "regions"}
    for name, title in titles.items():
        value = values.get(name)
        if value is not None and value > SUSPICIOUS and any(BESIDE.get(rate) == name for rate in values):
            yield (
                f"rates of false alarms of {title} may measure wording: words alone tell negatives from positives "
                f"with AUROC {value:.2f}"
            )


def _phrases(run: Run) -> Statistics | str:
    rows = phrase_rows(row for row in run.phrases if row.is_negative or row.region is not None)
    return _of_suite(rows, "label")


def _questions(run: Run) -> Statistics | str:
    return _of_suite(question_rows(run.questions), "question_class")


def _of_suite(rows: WordedRows, what: str) -> Statistics | str:
    """:func:`statistics_of`, one object for runs on the same rows."""
    key = (rows.texts, rows.images, rows.groups, rows.negative.tobytes(), rows.findings, rows.one_sided)
    if what not in _LAST or _LAST[what][0] != key:
        made = statistics_of(rows, what)
        _LAST[what] = key, made if isinstance(made, str) else replace(made, of_suite=True)
    return _LAST[what][1]


# The rows that were asked for last, and what was made of them.
_LAST: dict[str, tuple[tuple[Any, ...], Statistics | str]] = {}


def _info(name: str, title: str, rows: str, group: str) -> MetricInfo:
    return MetricInfo(
        name,
        title,
        f"{rows} about absent things told from those about present ones by a bag of words (naive Bayes, trained on "
        f"other images), within one {group}: share of pairs in the right order. .5 says that words do not tell, 1 that "
        "no image is needed. It depends on the suite, not on the model.",
        "gi-bench",
        higher_is_better=False,
        group="negatives",
        comparable=False,
        headline=False,
        ranked=False,
    )


METRICS: list[Metric] = [
    Metric(_info("answer_wording_auroc", "questions told by words alone", "Questions", "question class"), _questions),
    Metric(_info("region_wording_auroc", "phrases told by words alone", "Phrases", "label"), _phrases),
]
