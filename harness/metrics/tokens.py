"""Many texts to tokens at once, and tokens to padded arrays of numbers.

Texts of this field are short, plain and repetitive: each distinct text is cut once, and the plain ones (letters,
spaces, commas, hyphens) are cut together by rules that give what the full tokenizer gives for such texts. All others
go through the full tokenizer one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Tokens = Sequence[str]
Tokenize = Callable[[list[str]], list[Tokens]]

# Padding of predictions and references: never equal to a token nor to each other.
PAD, OTHER_PAD = -1, -2
# Elements of the largest array of a block: about 4 MB as booleans, so that memory does not grow with the rows.
_BLOCK = 4_000_000

# Tokenizer 13a of the mteval script, as in sacreBLEU.
_ENTITIES = (("<skipped>", ""), ("-\n", ""), ("\n", " "))
_UNESCAPED = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_PUNCTUATION = re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])")
_STOP_AFTER_NON_DIGIT = re.compile(r"([^0-9])([\.,])")
_STOP_BEFORE_NON_DIGIT = re.compile(r"([\.,])([^0-9])")
_DASH_AFTER_DIGIT = re.compile(r"([0-9])(-)")
# Texts in which every comma, stop, semicolon and slash is a token and no dash is one.
_NOT_PLAIN_13A = re.compile(r"[^A-Za-z0-9 ,.;/-]|[0-9][.,][0-9]|[0-9]-")
_SPACED_13A = str.maketrans({mark: f" {mark} " for mark in ",.;/"})

_NOT_ROUGE = re.compile(r"[^a-z0-9]+")
_NOT_ROUGE_LINES = re.compile(r"[^a-z0-9\n]+")


def tokenize_13a(text: str) -> list[str]:
    """Tokens of mteval-v13a: punctuation split off except within numbers, case kept.

    Source: the international tokenizer of NIST's mteval-v13a as restated by sacreBLEU and by ``evaluate``'s BLEU.

    >>> tokenize_13a("5-10 mm, red.")
    ['5', '-', '10', 'mm', ',', 'red', '.']
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
    return text.split()


def cut_13a(texts: list[str]) -> list[Tokens]:
    """:func:`tokenize_13a` of every text."""
    odd = _NOT_PLAIN_13A.search
    return [tokenize_13a(t) if odd(t) else t.translate(_SPACED_13A).split() for t in texts]


def tokenize_rouge(text: str) -> list[str]:
    """Lower-cased runs of a-z and 0-9: the default tokenizer of rouge_score, without stemming.

    >>> tokenize_rouge("5-10 mm, Red.")
    ['5', '10', 'mm', 'red']
    """
    return _NOT_ROUGE.sub(" ", text.lower()).split()


def cut_rouge(texts: list[str]) -> list[Tokens]:
    """:func:`tokenize_rouge` of every text."""
    joined = "\n".join(texts)
    if joined.count("\n") != len(texts) - 1:
        return [tokenize_rouge(t) for t in texts]
    return [line.split() for line in _NOT_ROUGE_LINES.sub(" ", joined.lower()).split("\n")]


def cut_characters(texts: list[str]) -> list[Tokens]:
    """Characters of every text without white space, as chrF counts them."""
    return ["".join(text.split()) for text in texts]


@dataclass(frozen=True)
class Block:
    """Some pairs as arrays.

    Attributes:
        pairs: (m,) positions of the pairs in the list that was cut.
        ours, theirs: (m, a) and (m, b) token numbers of predictions and references, padded behind.
        ours_length, theirs_length: (m,) tokens before the padding.
    """

    pairs: npt.NDArray[np.int64]
    ours: Ints
    theirs: Ints
    ours_length: npt.NDArray[np.int64]
    theirs_length: npt.NDArray[np.int64]


def _cut_once(texts: list[str], cut: Tokenize) -> list[Tokens]:
    """Tokens of every text; runs on one suite share its references."""
    known = _CUT.setdefault(cut, {})
    fresh = [text for text in texts if text not in known]
    if len(known) + len(fresh) > _MOST_CUT:
        known.clear()
        fresh = texts
    known.update(zip(fresh, cut(fresh), strict=True))
    return [known[text] for text in texts]


# Tokens of the texts that were cut last, by tokenizer: 30 MB each.
_CUT: dict[Tokenize, dict[str, Tokens]] = {}
_MOST_CUT = 65_536


class Encoded:
    """Pairs of texts, cut and numbered.

    Attributes:
        words: distinct tokens; the number of a token is its position.
        inverse: (n,) for each given pair, the position among the distinct pairs that blocks speak of.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]], cut: Tokenize) -> None:
        numbers: dict[tuple[str, str], int] = {}
        self.inverse = np.fromiter((numbers.setdefault(pair, len(numbers)) for pair in pairs), np.int64, len(pairs))
        distinct = list(numbers)
        texts = {text: i for i, text in enumerate(dict.fromkeys(chain.from_iterable(distinct)))}
        tokens = _cut_once(list(texts), cut)
        self.words = list(dict.fromkeys(chain.from_iterable(tokens)))
        number = {word: i for i, word in enumerate(self.words)}
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        self._flat: Ints = np.fromiter(
            map(number.__getitem__, chain.from_iterable(tokens)), np.int32, int(lengths.sum())
        )
        self._start = np.concatenate([[0], np.cumsum(lengths)])
        self._ours = np.fromiter((texts[p] for p, _ in distinct), np.int64, len(distinct))
        self._theirs = np.fromiter((texts[r] for _, r in distinct), np.int64, len(distinct))
        self._length = lengths
        self.count = len(distinct)

    def blocks(self) -> Iterator[Block]:
        """The distinct pairs in blocks of similar length, each small enough for (m, a, b) arrays."""
        longest = np.maximum(self._length[self._ours], self._length[self._theirs])
        order = np.argsort(longest, kind="stable")
        start = 0
        while start < len(order):
            size = max(1, int(longest[order[start]]))
            stop = start + max(1, _BLOCK // (size * size))
            # The block's last pair is its longest: shrink until the block fits with that length.
            while stop - start > 1 and min(stop, len(order)) - start > 1:
                size = int(longest[order[min(stop, len(order)) - 1]])
                if (min(stop, len(order)) - start) * size * size <= _BLOCK:
                    break
                stop = start + max(1, (min(stop, len(order)) - start) // 2)
            chosen = order[start : min(stop, len(order))]
            yield Block(
                chosen,
                self._padded(self._ours[chosen], PAD),
                self._padded(self._theirs[chosen], OTHER_PAD),
                self._length[self._ours[chosen]],
                self._length[self._theirs[chosen]],
            )
            start += len(chosen)

    def _padded(self, texts: npt.NDArray[np.int64], pad: int) -> Ints:
        lengths = self._length[texts]
        width = max(1, int(lengths.max()))
        columns = np.arange(width)
        inside = columns < lengths[:, None]
        found = np.full((len(texts), width), pad, dtype=np.int32)
        positions = self._start[texts][:, None] + columns
        found[inside] = self._flat[positions[inside]]
        return found
