"""Can negatives be told from positives by their words, without a look at the image?

A bag of words is trained on three quarters of the images and scores the rows of the others. Identical texts on both
sides are the X The measure is the share of pairs (a negative, a positive) in which the negative has the
higher score: .5 says that words do not tell, 1 that an image is never needed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gi_bench.harness.schema import Phrase, Question
from gi_bench.harness.statistics import levels

Floats = npt.NDArray[np.float64]

# Above this a rate of false alarms may measure the wording.
SUSPICIOUS = 0.6
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
# Added to each count; large enough that a text which occurs once says little.
_PRIOR = 0.5
# Scores of one group are grouped into so many levels for resampling.
_LEVELS = 8
_FOLDS = 4
# Images that each side of a group needs.
_LEAST = 2


@dataclass(frozen=True)
class WordedRows:
    """Texts that ask about something that is there or absent.

    Attributes:
        texts, images, groups: of each row; a group is a label or a question class.
        negative: (n,) whether the thing is absent.
        findings: finding of each row; empty where it is not about one.
        one_sided: rows left out because fewer than two images of their group have the thing, or lack it.
    """

    texts: tuple[str, ...]
    images: tuple[str, ...]
    groups: tuple[str, ...]
    negative: npt.NDArray[np.bool_]
    findings: tuple[str, ...]
    one_sided: int = 0


def two_sided(rows: Iterable[tuple[str, str, str, bool, str]]) -> WordedRows:
    """Rows (text, image, group, whether absent, finding) of the groups that have both sides."""
    rows = list(rows)
    sides: dict[tuple[str, bool], set[str]] = {}
    for _, img_id, group, negative, _ in rows:
        sides.setdefault((group, negative), set()).add(img_id)
    kept = [row for row in rows if all(len(sides.get((row[2], side), ())) >= _LEAST for side in (True, False))]
    return WordedRows(
        texts=tuple(row[0] for row in kept),
        images=tuple(row[1] for row in kept),
        groups=tuple(row[2] for row in kept),
        negative=np.array([row[3] for row in kept], dtype=bool),
        findings=tuple(row[4] for row in kept),
        one_sided=len(rows) - len(kept),
    )


def phrase_rows(phrases: Iterable[Phrase]) -> WordedRows:
    """Phrases by label."""
    return two_sided((row.phrase, row.img_id, row.label, row.is_negative, "") for row in phrases)


def question_rows(questions: Iterable[Question]) -> WordedRows:
    """Questions about one finding, by question class."""
    return two_sided(
        (row.question, row.img_id, row.question_class[0], row.is_negative, row.finding)
        for row in questions
        if row.complexity == 1 and row.finding is not None and row.question_class
    )


def words(text: str) -> frozenset[str]:
    """The words of a text, lower case; ``z-line`` is one."""
    return frozenset(_WORD.findall(text.lower()))


def word_scores(rows: WordedRows) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Log-odds of being a negative from the words of each text, by naive Bayes trained on other images.

    Returns:
        (n,) scores and (n,) numbers of the bags that gave them: only scores of one bag compare.
    """
    found, bags = np.zeros(len(rows.texts)), np.zeros(len(rows.texts), dtype=np.int64)
    groups = np.array(rows.groups)
    for number, group in enumerate(dict.fromkeys(rows.groups)):
        chosen = np.flatnonzero(groups == group)
        folds = _folds([rows.images[i] for i in chosen], rows.negative[chosen])
        found[chosen] = _scores_of_group([rows.texts[i] for i in chosen], folds, rows.negative[chosen])
        bags[chosen] = number * _FOLDS + folds
    return found, bags


def _folds(images: Sequence[str], negative: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Fold of each row: images in an order of their own, those with and those without the thing dealt out apart."""
    absent = {img_id for img_id, is_negative in zip(images, negative, strict=True) if is_negative}
    order = sorted(set(images), key=lambda img_id: (img_id in absent, hashlib.sha256(img_id.encode()).hexdigest()))
    first = len(order) - len(absent)
    fold = {img_id: (rank - first if img_id in absent else rank) % _FOLDS for rank, img_id in enumerate(order)}
    return np.array([fold[img_id] for img_id in images], dtype=np.int64)


def _scores_of_group(texts: Sequence[str], folds: npt.NDArray[np.int64], negative: npt.NDArray[np.bool_]) -> Floats:
    """Bernoulli naive Bayes without a prior of the two sides, each fold scored by the others."""
    bags = [words(text) for text in texts]
    place = {word: column for column, word in enumerate(sorted(frozenset().union(*bags)))}
    table = np.zeros((len(texts), len(place)))
    for row, bag in enumerate(bags):
        table[row, [place[word] for word in bag]] = 1.0
    found = np.zeros(len(texts))
    for fold in range(_FOLDS):
        scored = np.flatnonzero(folds == fold)
        for side, sign in ((True, 1.0), (False, -1.0)):
            taught = table[(folds != fold) & (negative == side)]
            share = (taught.sum(axis=0) + _PRIOR) / (len(taught) + 2 * _PRIOR)
            found[scored] += sign * (table[scored] @ np.log(share) + (1 - table[scored]) @ np.log(1 - share))
    # Rounding: a product in another order must not part equal texts.
    return np.asarray(np.round(found, 9))


def pair_share(scores: Floats, negative: npt.NDArray[np.bool_], bags: npt.NDArray[np.int64]) -> float:
    """Share of pairs of one bag in which the negative has the higher score, ties half; NaN without any pair."""
    higher = pairs = 0.0
    for bag in np.unique(bags):
        chosen = bags == bag
        distinct, codes = np.unique(scores[chosen], return_inverse=True)
        up = np.bincount(codes, weights=negative[chosen], minlength=len(distinct))
        down = np.bincount(codes, weights=~negative[chosen], minlength=len(distinct))
        higher += float((up * (np.cumsum(down) - down / 2)).sum())
        pairs += float(up.sum() * down.sum())
    return higher / pairs if pairs else float("nan")


def pair_sums(scores: Floats, negative: npt.NDArray[np.bool_], bags: npt.NDArray[np.int64]) -> tuple[Floats, int]:
    """Sufficient statistics of :func:`pair_share` for resampling images.

    Returns:
        (n, bags x levels x 2) negatives and positives by bag and level of score, and the number of bags.
    """
    distinct, codes = np.unique(bags, return_inverse=True)
    sums = np.zeros((len(codes), len(distinct), _LEVELS, 2))
    for bag in range(len(distinct)):
        chosen = np.flatnonzero(codes == bag)
        level, _ = levels(scores[chosen], _LEVELS)
        sums[chosen, bag, level, np.where(negative[chosen], 0, 1)] = 1.0
    return sums.reshape(len(codes), -1), len(distinct)


def share_of_sums(sums: Floats, bags: int) -> Floats:
    """:func:`pair_share` from sums of :func:`pair_sums`: (..., bags x levels x 2) to (...)."""
    table = sums.reshape(*sums.shape[:-1], bags, -1, 2)
    up, down = table[..., 0], table[..., 1]
    higher = (up * (np.cumsum(down, axis=-1) - down / 2)).sum(axis=(-1, -2))
    pairs = (up.sum(axis=-1) * down.sum(axis=-1)).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(higher / pairs)
