"""Scores as the Hub's ``model-index`` has them, through its own types."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gi_bench.harness.schema import MetricInfo, Score

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

DIGITS = 4


@dataclass(frozen=True)
class EvaluatedOn:
    """What some scores were made on.

    Attributes:
        dataset: id on the Hub, or the suite's name where the rows are in no data set there.
        name: for people.
        fingerprint: of the suite.
        split: of the data set; None if the rows are no split of it.
        revision: commit of the data set; None if it is not known.
    """

    dataset: str
    name: str
    fingerprint: str
    split: str | None = None
    revision: str | None = None


def eval_results(scores: Iterable[Score], on: EvaluatedOn, infos: Iterable[MetricInfo] = ()) -> list[EvalResult]:
    """One result a score that has a value, rounded to four digits; n, interval and fingerprint stand beside it.

    Args:
        scores: as stored.
        on: what they were made on.
        infos: descriptions of the metrics, for their titles; a metric without one goes by its name.
    """
    from huggingface_hub import EvalResult

    described = {info.name: info for info in infos}
    found = []
    for score in scores:
        if score.value is None:
            continue
        info = described.get(score.metric)
        is_region = score.metric.startswith(("region_", "visual_"))
        found.append(
            EvalResult(
                task_type="image-segmentation" if is_region else "visual-question-answering",
                dataset_type=on.dataset,
                dataset_name=on.name,
                dataset_split=on.split,
                dataset_revision=on.revision,
                metric_type=score.metric,
                metric_name=info.title if info is not None else score.metric,
                metric_value=round(score.value, DIGITS),
                metric_args={
                    "n": score.n,
                    "low": _rounded(score.interval_low),
                    "high": _rounded(score.interval_high),
                    "fingerprint": on.fingerprint,
                },
            )
        )
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


__all__ = ["DIGITS", "EvaluatedOn", "eval_results"]
