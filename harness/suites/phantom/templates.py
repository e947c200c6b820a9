"""Sentences from templates: ``[a|b|]`` is one of some alternatives, ``{name}`` is filled in.

The first alternative is the most frequent one and the last the rarest, as wordings are in real rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gi_bench.harness.suites.phantom.scene import Draw

_MARK = re.compile(r"([\[\]|])")
_SLOT = re.compile(r"\{\w*\}")
# How fast frequencies fall with rank: so fast that whoever knows all facts, or none, words answers as well as on the
# real rows (BLEU .46 and .28).
_FALL = 1.9
NUMBERS = ("no", "one", "two", "three", "four", "five")


@dataclass(frozen=True, slots=True)
class _Choice:
    """Sequences of fixed texts and choices, one of which is taken, by weight."""

    options: tuple[tuple[tuple[str | _Choice, ...], float], ...]
    total: float


def _choice(options: Sequence[tuple[str | _Choice, ...]]) -> _Choice:
    # Rounded, so that no processor's powers decide which word is drawn.
    weights = [round(1 / (rank + 1) ** _FALL, 6) for rank in range(len(options))]
    return _Choice(tuple(zip(options, weights, strict=True)), sum(weights))


@lru_cache(maxsize=4096)
def _parsed(templates: tuple[str, ...]) -> _Choice:
    return _choice([_sequence(iter(_MARK.split(template)))[-1] for template in templates])


def _sequence(tokens: Iterator[str]) -> list[tuple[str | _Choice, ...]]:
    """The alternatives up to the bracket that closes them, or to the end."""
    found: list[list[str | _Choice]] = [[]]
    for token in tokens:
        if token == "[":
            found[-1].append(_choice(_sequence(tokens)))
        elif token == "]":
            break
        elif token == "|":
            found.append([])
        elif token:
            found[-1].append(token)
    return [tuple(option) for option in found]


def _spoken(draw: Draw, choice: _Choice) -> str:
    parts = choice.options[0][0] if len(choice.options) == 1 else _picked(draw, choice)
    return "".join([part if isinstance(part, str) else _spoken(draw, part) for part in parts])


def _picked(draw: Draw, choice: _Choice) -> tuple[str | _Choice, ...]:
    left = draw.uniform(0, choice.total)
    for option, weight in choice.options:
        left -= weight
        if left < 0:
            return option
    return choice.options[-1][0]


def joint(draw: Draw, template: str) -> str:
    """What stands between two clauses, spaces included."""
    return _spoken(draw, _parsed((template,)))


def say(draw: Draw, templates: tuple[str, ...], **slots: str) -> str:
    """One of the sentences that some templates give, the first template being the most frequent.

    Args:
        draw: where the choices come from.
        templates: at least one; brackets may hold brackets.
        slots: texts for the ``{name}`` of the templates.
    """
    return " ".join(_spoken(draw, _parsed(templates)).format(**slots).split())


def words_of(texts: Iterable[str]) -> set[str]:
    """All single words of templates and texts, in lower case and without the marks around them."""
    found: set[str] = set()
    for text in texts:
        plain = _SLOT.sub(" ", text).replace("[", " ").replace("]", " ").replace("|", " ")
        found.update(word.strip(".,;:?()").lower() for word in plain.split())
    return found - {""}


def listed(items: Sequence[str]) -> str:
    """``a``, ``a and b`` or ``a, b and c``."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def an(noun: str) -> str:
    """The noun with its indefinite article."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
