"""Failure signatures, as the paper's readers look for them: each with its rule, what it rests on, and a remedy.

A signature is told of only where its rule holds for a whole interval; a value alone may be chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gi_bench.harness.schema import Phrase, Question, Score
from gi_bench.reports.comparison.runs import Entry, Given
from gi_bench.reports.comparison.table import interval_text
from gi_bench.reports.pages import SMALL_N

# Where the best of 2025 had a BLEU of .47 on answers, and an IoU of .3 is a region that misses more than it hits.
_HIGH_BLEU = 0.3
_LOW_IOU = 0.3
# The paper's signature is a completeness of .3 to .7.
_COMPLETE = 0.7
# A gain in AUROC that nobody would notice.
_SMALL_GAIN = 0.02
_RARE = 4
_FAR = 0.1


@dataclass(frozen=True)
class Finding:
    """A signature in one run.

    Attributes:
        number, run: of the run.
        value: what was found, with its interval.
        n: what it rests on.
    """

    number: int
    run: str
    value: str
    n: str


@dataclass(frozen=True)
class Signature:
    """One signature over all models.

    Attributes:
        title: its name.
        rule: when it is seen.
        remedy: what may help.
        seen: where it is.
        not_seen: names of the runs whose intervals rule does not hold for.
        untold: runs of which it cannot be told, with the reason.
    """

    title: str
    rule: str
    remedy: str
    seen: tuple[Finding, ...]
    not_seen: tuple[str, ...]
    untold: tuple[str, ...]


# A finding; or False where the rule does not hold; or why it cannot be told.
_Outcome = Finding | bool | str


def signatures(given: Given) -> list[Signature]:
    """All signatures over the models of a page."""
    models = given.models
    return [
        _made(
            "High BLEU with low IoU",
            f"BLEU's interval lies above {_HIGH_BLEU} and above the best blind floor, while IoU's lies below "
            f"{_LOW_IOU} or below the best blind floor of regions.",
            "It has learnt how answers are worded, not where things are: add the grounding task, or weigh it more.",
            [(entry, _words_without_places(entry, given.beside)) for entry in models],
        ),
        _made(
            "Incomplete explanations",
            "The interval of completeness (share of the image's known attributes that are named) lies below "
            f"{_COMPLETE}.",
            "Train on explanations that name location, colour, size and shape; check that the prompt asks for them.",
            [(entry, _incomplete(entry)) for entry in models],
        ),
        _made(
            "Rare classes far below the commonest",
            f"A class with at most a quarter of the commonest one's rows, and at least {SMALL_N} of its own, has an "
            f"interval wholly below the commonest one's, by {_FAR} or more.",
            "Draw rare classes more often in training, and check their masks; macro IoU weighs classes alike.",
            [(entry, _rare(entry)) for entry in models],
        ),
        _made(
            "Confidence no better than base rates",
            "The interval of its gain in AUROC over base rates (how often such answers are right elsewhere) lies below "
            f"{_SMALL_GAIN}.",
            "Do not show this confidence to anybody: calibrate within question classes, or rank by log-probability, "
            "margin or entropy where these gain more.",
            [(entry, _unsure(entry)) for entry in models],
        ),
    ]


def _made(title: str, rule: str, remedy: str, outcomes: Sequence[tuple[Entry, _Outcome]]) -> Signature:
    untold: dict[str, list[str]] = {}
    for entry, one in outcomes:
        if isinstance(one, str):
            untold.setdefault(one, []).append(entry.name)
    return Signature(
        title,
        rule,
        remedy,
        tuple(one for _, one in outcomes if isinstance(one, Finding)),
        tuple(entry.name for entry, one in outcomes if one is False),
        tuple(f"{', '.join(names)}: {reason}" for reason, names in untold.items()),
    )


def _bounded(entry: Entry, metric: str) -> tuple[Score, float, float] | str:
    """A score with the ends of its interval, or why there is none."""
    score = entry.run.scores.find(metric)
    if score is None:
        return entry.run.scores.not_computed.get(metric, "scored before this was a metric; gi-bench score makes it")
    if score.value is None or score.interval_low is None or score.interval_high is None:
        return "too few rows for an interval"
    return score, score.interval_low, score.interval_high


def _told(score: Score) -> str:
    return f"{score.value:.3f} ({interval_text(score)})"


def _n(score: Score) -> str:
    return f"n {score.n:,}, {score.image_count:,} images"


def _floor(floors: Sequence[Entry], metric: str) -> float:
    """The best value of a floor; 0 without one."""
    known = [score.value for entry in floors if (score := entry.run.scores.find(metric)) and score.value is not None]
    return max(known, default=0.0)


def _words_without_places(entry: Entry, floors: Sequence[Entry]) -> _Outcome:
    bleu, iou = _bounded(entry, "bleu"), _bounded(entry, "region_iou")
    if isinstance(bleu, str):
        return f"no BLEU: {bleu}"
    if isinstance(iou, str):
        return f"no IoU: {iou}"
    is_high = bleu[1] > max(_HIGH_BLEU, _floor(floors, "bleu"))
    is_low = iou[2] < max(_LOW_IOU, _floor(floors, "region_iou"))
    if not (is_high and is_low):
        return False
    value = f"BLEU {_told(bleu[0])}, IoU {_told(iou[0])}"
    return Finding(entry.number, entry.name, value, f"{_n(bleu[0])}; {_n(iou[0])}")


def _incomplete(entry: Entry) -> _Outcome:
    found = _bounded(entry, "explanation_completeness")
    if isinstance(found, str):
        return found
    score, _, high = found
    return Finding(entry.number, entry.name, _told(score), _n(score)) if high < _COMPLETE else False


def _unsure(entry: Entry) -> _Outcome:
    found = _bounded(entry, "confidence_gain")
    if isinstance(found, str):
        return found
    score, low, high = found
    if high < _SMALL_GAIN:
        return Finding(entry.number, entry.name, f"gain {score.value:+.3f} ({interval_text(score)})", _n(score))
    return False if low > 0 else f"a gain of {score.value:+.3f} ({interval_text(score)}) may be none or some"


def _rare(entry: Entry) -> _Outcome:
    """Classes of regions, or of questions where the run shows no region."""
    for metric, slice_by in (("region_iou", "label"), ("fact_accuracy", "question_class")):
        scores = [
            score
            for score in entry.run.scores.scores
            if score.metric == metric and score.slice_by == slice_by and score.interval_low is not None
        ]
        if len(scores) > 1:
            return _far_below(entry, scores, metric)
    return "fewer than two classes with an interval"


def _far_below(entry: Entry, scores: Sequence[Score], metric: str) -> _Outcome:
    counts, source = _class_counts(entry, scores)
    common = max(scores, key=lambda score: (counts[score.slice_value], score.slice_value))
    rare = [s for s in scores if _RARE * counts[s.slice_value] <= counts[common.slice_value] and s.n >= SMALL_N]
    if not rare:
        return f"no class with {SMALL_N} rows or more has a quarter of the commonest one's rows, or fewer"
    low = [
        score
        for score in sorted(rare, key=lambda score: score.value or 0.0)
        if (score.interval_high or 0.0) < (common.interval_low or 0.0)
        and (common.value or 0.0) - (score.value or 0.0) >= _FAR
    ]
    if not low:
        return False

    def told(score: Score) -> str:
        return f"{score.slice_value} {_told(score)}, {counts[score.slice_value]:,} rows"

    title = {info.name: info.title for info in entry.run.scores.metrics}.get(metric, metric)
    value = f"{title}: {'; '.join(told(score) for score in low[:4])}; against {told(common)}"
    return Finding(entry.number, entry.name, value, f"rows {source}")


def _class_counts(entry: Entry, scores: Sequence[Score]) -> tuple[dict[str, int], str]:
    """Rows of each class in training where they are known, else in the suite, and which of both."""
    run, slice_by = entry.run, scores[0].slice_by
    seen = run.seen_images or frozenset()
    found = {score.slice_value: 0 for score in scores}
    rows: Sequence[Question | Phrase] = run.phrases if slice_by == "label" else run.questions
    for row in rows if seen else ():
        for value in _classes(row) if row.img_id in seen else ():
            found[value] = found.get(value, 0) + 1
    if any(found.values()):
        return found, "of images seen in training"
    return {score.slice_value: score.n for score in scores}, "of the suite, as those of training are not known"


def _classes(row: Question | Phrase) -> tuple[str, ...]:
    """Classes of a question, or the label of a phrase with something to show."""
    if isinstance(row, Question):
        return row.question_class
    return () if row.is_negative else (row.label,)


__all__ = ["Finding", "Signature", "signatures"]
