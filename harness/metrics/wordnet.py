"""Single-word synonyms from WordNet 3.0, as METEOR asks for them.

The shipped table is derived from Princeton WordNet 3.0 (``data/WORDNET_LICENSE``) by
:mod:`tools.build_wordnet`; neither a download nor NLTK's data folder is needed.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

TABLE = Path(__file__).parent / "data" / "wordnet-3.0.txt.xz"
PARTS_OF_SPEECH = ("n", "v", "a", "r")

# WordNet's detachment rules: endings that a base form may have lost, by part of speech.
_DETACHMENT: dict[str, tuple[tuple[str, str], ...]] = {
    "n": (
        ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
        ("men", "man"), ("ies", "y"),
    ),
    "v": (
        ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""),
    ),
    "a": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "r": (),
}  # fmt: skip


@dataclass(frozen=True)
class _Part:
    """One part of speech: words by synset, synsets by lemma, irregular forms."""

    synsets: list[str]
    index: dict[str, str]
    exceptions: dict[str, list[str]]


@lru_cache(maxsize=1)
def _parts() -> dict[str, _Part]:
    parts = {part: _Part([], {}, {}) for part in PARTS_OF_SPEECH}
    section, current = "", parts["n"]
    for line in lzma.decompress(TABLE.read_bytes()).decode("utf-8").split("\n"):
        if line.startswith("@"):
            part, section = line[1:].split(" ")
            current = parts[part]
        elif section == "synsets":
            current.synsets.append(line)
        elif section == "index":
            lemma, _, numbers = line.partition(" ")
            current.index[lemma] = numbers
        elif line:
            form, *bases = line.split(" ")
            current.exceptions[form] = bases
    return parts


@lru_cache(maxsize=65_536)
def synonyms(word: str) -> frozenset[str]:
    """Single words that share a synset with a word or one of its base forms, over all parts of speech.

    Equal to the names without underscore of all lemmas of ``wordnet.synsets(word)`` in NLTK 3.9 and 3.10. The word
    itself is not in it unless WordNet has it.
    """
    word = word.lower()
    found: set[str] = set()
    for name, part in _parts().items():
        bases = part.exceptions.get(word)
        if bases is None:
            bases = [word[: -len(old)] + new for old, new in _DETACHMENT[name] if word.endswith(old)]
        for form in {word, *bases}:
            for number in part.index.get(form, "").split():
                found.update(part.synsets[int(number)].split(" "))
    return frozenset(found)
