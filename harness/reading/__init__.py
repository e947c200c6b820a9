"""Reads free text: which value it states for a question class, and whether it asserts a finding.

``vocabulary`` holds the words, each list once; ``canonical`` makes one spelling of many; ``clauses`` tells what is
denied and what is left open; ``sizes``, ``places``, ``counts`` and ``removal`` read one kind of value each; ``readers``
and ``assertions`` are the two questions that the harness asks of a text.
"""

from gi_bench.harness.reading.assertions import asserts
from gi_bench.harness.reading.readers import read

__all__ = ["asserts", "read"]
