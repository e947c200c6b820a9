"""BLEU, ROUGE, METEOR and exact match as the challenge's template computes them.

References and predictions go in as they are: neither lower-cased nor stripped. BLEU is a corpus value and keeps its
n-gram counts per row; the others are means over rows. Values of a sentence pair are cached, since the answers of
this field repeat a lot.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.metrics.base import Metric, Statistics, Sums, ratio
from harness.schema import MetricInfo

if TYPE_CHECKING:
    from harness.store import Run

MAX_ORDER = 4
Pairs = list[tuple[str, str]]

# Tokenizer 13a of the mteval script, as in sacreBLEU.
_ENTITIES = (("<skipped>", ""), ("-\n", ""), ("\n", " "))
_UNESCAPED = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_PUNCTUATION = re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])")
_STOP_AFTER_NON_DIGIT = re.compile(r"([^0-9])([\.,])")
_STOP_BEFORE_NON_DIGIT = re.compile(r"([\.,])([^0-9])")
_DASH_AFTER_DIGIT = re.compile(r"([0-9])(-)")


@lru_cache(maxsize=131_072)
def tokenize_13a(text: str) -> tuple[str, ...]:
    """Tokens of mteval-v13a: punctuation split off except within numbers, case kept.

    Source: the international tokenizer of NIST's mteval-v13a as restated by sacreBLEU and by ``evaluate``'s BLEU.
    """
    for old, new in _ENTITIES:
        text = text.replace(old, new)
    if "&" in text:
        for old, new in _UNESCAPED:
            text = text.replace(old, new)
    text = _PUNCTUATION.sub(r" \1 ", f" {text} ")
    text = _STOP_AFTER_NON_DIGIT.sub(r"\1 \2 ", text)
    text = _STOP_BEFORE_NON_DIGIT.sub(r" \1 \2", text)
    text = _DASH_AFTER_DIGIT.sub(r"\1 \2 ", text)
    return tuple(text.split())


def _ngrams(tokens: Sequence[str]) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(tokens[i : i + order]) for order in range(1, MAX_ORDER + 1) for i in range(len(tokens) - order + 1)
    )


@lru_cache(maxsize=262_144)
def bleu_statistics(prediction: str, reference: str) -> tuple[float, ...]:
    """Sufficient statistics of one pair: 4 match counts, 4 n-gram counts, prediction and reference length."""
    ours, theirs = tokenize_13a(prediction), tokenize_13a(reference)
    matches = [0.0] * MAX_ORDER
    for gram, count in (_ngrams(ours) & _ngrams(theirs)).items():
        matches[len(gram) - 1] += count
    totals = [float(max(0, len(ours) - order)) for order in range(MAX_ORDER)]
    return (*matches, *totals, float(len(ours)), float(len(theirs)))


def bleu_value(sums: Sums) -> Sums:
    """Corpus BLEU-4 from summed statistics.

    Args:
        sums: (..., 10) as in :func:`bleu_statistics`.

    Returns:
        (...) in [0, 1]; 0 where an order has no match, or nothing was predicted. No smoothing.
    """
    matches, totals = sums[..., :MAX_ORDER], sums[..., MAX_ORDER : 2 * MAX_ORDER]
    ours, theirs = sums[..., 8], sums[..., 9]
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(totals > 0, matches / totals, 0.0)
        mean = np.exp(np.log(precisions).mean(axis=-1))
        brevity = np.where(ours > theirs, 1.0, np.exp(1 - theirs / ours))
    found = np.where((precisions.min(axis=-1) > 0) & (ours > 0), mean * brevity, 0.0)
    return np.asarray(found)


_NOT_ROUGE = re.compile(r"[^a-z0-9]+")


@lru_cache(maxsize=131_072)
def tokenize_rouge(text: str) -> tuple[str, ...]:
    """Lower-cased runs of a-z and 0-9: the default tokenizer of rouge_score, without stemming."""
    return tuple(token for token in _NOT_ROUGE.sub(" ", text.lower()).split() if token)


def _f_measure(both: int, ours: int, theirs: int) -> float:
    """Harmonic mean of precision and recall, with rouge_score's order of operations."""
    precision, recall = both / max(ours, 1), both / max(theirs, 1)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def _lcs(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(theirs) + 1)
    for token in ours:
        diagonal = 0
        for j, other in enumerate(theirs, 1):
            above = row[j]
            row[j] = diagonal + 1 if token == other else max(above, row[j - 1])
            diagonal = above
    return row[-1]


@lru_cache(maxsize=262_144)
def rouge(prediction: str, reference: str) -> tuple[float, float, float]:
    """F-measures of ROUGE-1, ROUGE-2 and ROUGE-L of one pair, each in [0, 1].

    Source: Lin 2004, as computed by rouge_score 0.1.2 with ``use_stemmer=False``.
    """
    ours, theirs = tokenize_rouge(prediction), tokenize_rouge(reference)
    found = []
    for order in (1, 2):
        a = Counter(zip(*(ours[i:] for i in range(order)), strict=False))
        b = Counter(zip(*(theirs[i:] for i in range(order)), strict=False))
        found.append(_f_measure((a & b).total() if hasattr(a, "total") else sum((a & b).values()),
                                sum(a.values()), sum(b.values())))  # fmt: skip
    longest = _f_measure(_lcs(ours, theirs), len(ours), len(theirs)) if ours and theirs else 0.0
    return found[0], found[1], longest


def exact_match(prediction: str, reference: str) -> float:
    """1.0 if the texts are equal after stripping and lower-casing, else 0.0 (organisers' extended metrics)."""
    return float(prediction.strip().lower() == reference.strip().lower())


def _per_pair(function: Callable[[str, str], float]) -> Callable[[Pairs], npt.NDArray[np.float64]]:
    return lambda pairs: np.array([(function(p, r), 1.0) for p, r in pairs])


def _bleu_rows(pairs: Pairs) -> npt.NDArray[np.float64]:
    return np.array([bleu_statistics(p, r) for p, r in pairs])


def _meteor(prediction: str, reference: str) -> float:
    from harness.metrics.meteor import meteor

    return meteor(prediction, reference)


def text_statistics(
    run: Run,
    rows_of: Callable[[Pairs], npt.NDArray[np.float64]],
    value: Callable[[Sums], Sums],
    *,
    explanations: bool = False,
) -> Statistics | str:
    """Statistics of a text metric over all rows with a reference.

    Args:
        run: the run.
        rows_of: (prediction, reference) pairs -> sufficient statistics, one row each.
        value: sums -> value.
        explanations: score explanations instead of answers.

    Returns:
        Statistics sliced by question class and complexity, or the reason why there are none.
    """
    what = "explanation" if explanations else "answer"
    predictions = run.predictions
    if not any(p.kind == "question" and getattr(p, what) is not None for p in predictions.values()):
        return "the run explained nothing" if explanations else "the run answered no question"
    pairs: Pairs = []
    kept, missing = [], 0
    for question in run.questions:
        reference = getattr(question, what)
        if reference is None:
            continue
        prediction = predictions.get(("question", question.index))
        text = getattr(prediction, what) if prediction is not None else None
        missing += text is None
        pairs.append((text or "", reference))
        kept.append(question)
    if not pairs:
        return f"the suite has no reference {what}s"
    slices = {"question_class": tuple(q.question_class for q in kept)}
    if not explanations:
        slices["complexity"] = tuple((str(q.complexity),) for q in kept)
    return Statistics(
        sums=rows_of(pairs),
        images=tuple(q.img_id for q in kept),
        slices=slices,
        value=value,
        counts={"missing prediction": missing},
    )


_BLEU = (
    "Corpus BLEU-4 with tokenizer 13a, case-sensitive, without smoothing, with brevity penalty; 0 if an order has no "
    "match. As evaluate's bleu."
)
_ROUGE = (
    "{}: F-measure of rouge_score without stemming, exact mean over rows. The challenge's template reports the median "
    "of 1,000 bootstrap means instead, which differs by about 0.001 from one process to the next."
)
_METEOR = (
    "METEOR of nltk (alpha .9, beta 3, gamma .5; exact, Porter stem and WordNet 3.0 synonym matches), mean over rows. "
    "Identical texts score slightly below 1."
)
_TEMPLATE = "Template of MediaEval Medico 2025, subtask 1"

_ROWS: tuple[tuple[str, str, str, Callable[[Pairs], npt.NDArray[np.float64]], Callable[[Sums], Sums]], ...] = (
    ("bleu", "BLEU", _BLEU, _bleu_rows, bleu_value),
    ("rouge1", "ROUGE-1", _ROUGE.format("Unigrams"), _per_pair(lambda p, r: rouge(p, r)[0]), ratio),
    ("rouge2", "ROUGE-2", _ROUGE.format("Bigrams"), _per_pair(lambda p, r: rouge(p, r)[1]), ratio),
    (
        "rougeL",
        "ROUGE-L",
        _ROUGE.format("Longest common subsequence"),
        _per_pair(lambda p, r: rouge(p, r)[2]),
        ratio,
    ),
    ("meteor", "METEOR", _METEOR, _per_pair(_meteor), ratio),
    (
        "exact_match",
        "exact match",
        "Share of answers equal to the reference after stripping and lower-casing.",
        _per_pair(exact_match),
        ratio,
    ),
)


def _metric(
    name: str,
    title: str,
    definition: str,
    rows_of: Callable[[Pairs], npt.NDArray[np.float64]],
    value: Callable[[Sums], Sums],
    explanations: bool,
) -> Metric:
    if explanations:
        info = MetricInfo(
            f"explanation_{name}",
            f"{title} of explanations",
            f"{definition} Against the suite's reference explanations.",
            "gi-bench; the challenge rates explanations by experts and language models",
            group="explanations",
            comparable=False,
        )
    else:
        info = MetricInfo(name, title, definition, _TEMPLATE)
    return Metric(info, lambda run: text_statistics(run, rows_of, value, explanations=explanations))


METRICS: list[Metric] = [_metric(*row, explanations=False) for row in _ROWS] + [
    _metric(*row, explanations=True) for row in _ROWS if row[0] in {"bleu", "rougeL", "meteor"}
]


def bleu(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU-4 in [0, 1] of n predictions with one reference each.

    Raises:
        ValueError: the lists differ in length.
    """
    pairs = list(zip(predictions, references, strict=True))
    if not pairs:
        return math.nan
    return float(bleu_value(_bleu_rows(pairs).sum(axis=0)))
