"""What an explanation says, by rules: its length, what it adds, what it names, and whether it contradicts.

No rule knows whether an explanation helps a clinician; :mod:`gi_bench.harness.metrics.judge` asks a language model, and
the challenge asked experts. These scores find what neither may be needed for: explanations that repeat the question,
contradict their own answer or name colours and places that the dataset denies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gi_bench.harness.metrics.base import Metric, Statistics
from gi_bench.harness.metrics.correctness import partial
from gi_bench.harness.metrics.participation import (
    left_out_counts,
    mostly_none,
    real_explanation,
    replies,
    share,
)
from gi_bench.harness.metrics.tokens import tokenize_rouge
from gi_bench.harness.reading.readers import read
from gi_bench.harness.reading.values import atomic_value
from gi_bench.harness.reading.vocabulary import COLOURS
from gi_bench.harness.schema import MetricInfo, Question

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

# Words without content of their own: they neither count as new nor as echoed.
_EMPTY = frozenset(
    re.findall(
        r"\w+",
        "a an the and or but of in on at to from by with without for as is are was were be been being this that these "
        "those there it its which what where how many any no not all have has had do does can may image",
    )
)
ATTRIBUTES: dict[str, re.Pattern[str]] = {
    "location": re.compile(
        r"\b(?:upper|lower|cent(?:er|re|ral)|left|right|middle|quadrants?|periphery|proximal|distal|wall)\b"
    ),
    "colour": re.compile(rf"\b(?:{'|'.join(COLOURS.values())}|colou?r\w*|discolou?r\w*|pale|hyperaemic|hyperemic)\b"),
    "size": re.compile(
        r"\b(?:small|large|tiny|diminutive|big|medium|sizes?|sized|mm|millimet\w+|cm|diameter)\b|\dmm\b"
    ),
    "shape": re.compile(
        r"\b(?:round\w*|oval|flat|raised|elevat\w*|sessile|pedunculated|stalk\w*|polypoid|protru\w*|irregular|smooth|"
        r"nodular|lobulated|bump|dome\w*|tubular|linear|circular|shape\w*|square|rectangular|ulcerat\w*|granular)\b"
    ),
}


def _content(text: str) -> list[str]:
    return [word for word in tokenize_rouge(text) if word not in _EMPTY]


def novelty(explanation: str, question: str, answer: str) -> float:
    """Share of distinct content words that neither question nor answer has, in [0, 1]; 0 for an empty explanation."""
    words = set(_content(explanation))
    return len(words - set(_content(question)) - set(_content(answer))) / len(words) if words else 0.0


def echo(explanation: str, question: str) -> float:
    """Share of the question's word pairs that the explanation repeats, in [0, 1]; 0 for questions of one word."""
    asked = tokenize_rouge(question)
    said = tokenize_rouge(explanation)
    pairs = set(pairwise(asked))
    return len(pairs & set(pairwise(said))) / len(pairs) if pairs else 0.0


def attributes(explanation: str) -> frozenset[str]:
    """Which of location, colour, size and shape an explanation names."""
    text = explanation.lower()
    return frozenset(name for name, pattern in ATTRIBUTES.items() if pattern.search(text))


def contradiction(explanation: str, answer: str, question: Question) -> bool | None:
    """Whether explanation and answer state different values for a class asked about; None if none is stated twice."""
    pairs = [
        (read(explanation, slug, question.question_class), read(answer, slug, question.question_class))
        for slug in question.question_class
    ]
    stated = [(a, b) for a, b in pairs if a is not None and b is not None]
    return any(_clash(a, b) for a, b in stated) if stated else None


def _clash(first: object, second: object) -> bool:
    """Different words or counts; sets clash if one is empty or they share nothing."""
    if isinstance(first, frozenset) and isinstance(second, frozenset):
        return first != second and not first & second
    return first != second


def fact_quality(explanation: str, question: Question) -> float | None:
    """Mean credit of the atomic facts that an explanation states, in [0, 1]; None if it states none."""
    found = []
    for slug, pair in zip(question.question_class, question.original, strict=False):
        wanted, value = atomic_value(slug, pair.answer), read(explanation, slug, question.question_class)
        if wanted is not None and value is not None:
            found.append(partial(value, wanted, slug))
    return sum(found) / len(found) if found else None


# (explanation, answer, question) -> value, or None to leave the row out
_Row = Callable[[str, str, Question], "float | None"]


def with_confidence(run: Run) -> list[tuple[Question, float, float]]:
    """Questions with the confidence of their answer, as it was given, and the fact score of their explanation.

    Only those whose explanation is any (:func:`real_explanation`) and states a fact that can be read.
    """
    found = []
    for question in run.questions:
        prediction = run.predictions.get(("question", question.index))
        explanation = real_explanation(run, question)
        if prediction is None or explanation is None or prediction.confidence is None:
            continue
        quality = fact_quality(explanation, question)
        if quality is not None:
            found.append((question, prediction.confidence, quality))
    return found


def statistics(run: Run, row: _Row, left_out: str) -> Statistics | str:
    """Means of a value a row over explanations that are any, or why there are none; others are ``left_out``."""
    reason = mostly_none(run)
    if reason:
        return reason
    values, images, classes = [], [], []
    skipped = 0
    for question in run.questions:
        explanation = real_explanation(run, question)
        if explanation is None:
            continue
        value = row(explanation, run.predictions["question", question.index].answer or "", question)
        if value is None:
            skipped += 1
            continue
        values.append((float(value), 1.0))
        images.append(question.img_id)
        classes.append(question.question_class)
    if not values:
        return f"no row can be scored: {left_out}"
    return Statistics(
        np.array(values),
        tuple(images),
        {"question_class": tuple(classes)},
        counts={**left_out_counts(run), left_out: skipped},
    )


_DEFINED: tuple[tuple[MetricInfo, _Row, str], ...] = (
    (
        MetricInfo("explanation_length", "length", "Mean number of words of an explanation.", "", high=1000.0),
        lambda e, a, q: float(len(tokenize_rouge(e))),
        "not scored",
    ),
    (
        MetricInfo(
            "explanation_novelty",
            "novelty",
            "Mean share of distinct content words that neither question nor answer has.",
            "",
        ),
        lambda e, a, q: novelty(e, q.question, a),
        "not scored",
    ),
    (
        MetricInfo(
            "explanation_echo",
            "echo of the question",
            "Mean share of the question's pairs of words that the explanation repeats.",
            "",
            higher_is_better=False,
        ),
        lambda e, a, q: echo(e, q.question),
        "not scored",
    ),
    (
        MetricInfo(
            "explanation_contradiction",
            "contradiction with the answer",
            "Share of explanations that state another value than their answer for what was asked, of those in which "
            "both can be read.",
            "",
            higher_is_better=False,
        ),
        contradiction,
        "answer or explanation not readable",
    ),
    (
        MetricInfo(
            "explanation_attributes",
            "visual attributes",
            "Mean number of visual attributes named, of four: location, colour, size, shape.",
            "",
            high=4.0,
        ),
        lambda e, a, q: float(len(attributes(e))),
        "not scored",
    ),
    (
        MetricInfo(
            "explanation_fact_score",
            "fact score",
            "Mean credit of the atomic facts that an explanation states: 1 or 0 for counts and words, F1 for sets, "
            "intersection over union for grid cells; explanations that state none are left out.",
            "",
        ),
        lambda e, a, q: fact_quality(e, q),
        "no fact readable",
    ),
)


def row_scores(run: Run, questions: Iterable[Question]) -> dict[str, dict[int, float]]:
    """What the rules say of single explanations: by metric, the value of each question's index that has one.

    Args:
        run: whose explanations.
        questions: rows of the run; those whose explanation is none have no value.
    """
    found: dict[str, dict[int, float]] = {info.name: {} for info, _, _ in _DEFINED}
    for question in questions:
        explanation = real_explanation(run, question)
        if explanation is None:
            continue
        answer = run.predictions["question", question.index].answer or ""
        for info, row, _ in _DEFINED:
            value = row(explanation, answer, question)
            if value is not None:
                found[info.name][question.index] = float(value)
    return found


_OVER = (
    "Over explanations that are any: those that repeat answer or question, refuse, cannot be read or are missing are "
    "left out and counted (explanation_participation); no value where these are more than half."
)


def _given(run: Run) -> Statistics | str:
    slices = {"question_class": {question.index: question.question_class for question in run.questions}}
    found = share(run.questions, replies(run).explanations, slices, "the run explained nothing")
    return found if isinstance(found, str) else replace(found, counts=left_out_counts(run))


def _metric(info: MetricInfo, row: _Row, left_out: str) -> Metric:
    info = replace(
        info,
        title=f"{info.title} (explanations)",
        definition=f"{info.definition} {_OVER}",
        version=2,
        source="gi-bench",
        group="explanations",
        comparable=False,
        ranked=info.name not in ("explanation_length", "explanation_novelty", "explanation_attributes"),
        headline=info.name == "explanation_fact_score",
    )
    return Metric(info, lambda run: statistics(run, row, left_out))


METRICS: list[Metric] = [
    *(_metric(*row) for row in _DEFINED),
    Metric(
        MetricInfo(
            "explanation_participation",
            "explanations that are any",
            "Share of rows that want an explanation and got one which adds anything to answer and question; the others "
            "repeat them, refuse, cannot be read or are missing.",
            "gi-bench",
            group="explanations",
            comparable=False,
            headline=False,
        ),
        _given,
    ),
]
