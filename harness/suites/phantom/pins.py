"""What the embedded splits are known to hold: digests of rows and pictures, and the fingerprints that they give.

The split is code, so its content is known before it is drawn. A fingerprint is taken from the table as long as the code
that draws is the code that the table was made from; what is drawn then is checked against the table, because another
NumPy or processor could draw otherwise under the same fingerprint. Code that was changed has no pins: everything is
drawn and hashed.

python -m tools.pin_phantom makes the table.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import DataError

HERE = Path(__file__).parent
TABLE = HERE / "data" / "pins.json"
PICTURES = HERE / "data" / "pictures.sha256"
VARIABLE = "GI_BENCH_PINS"
# All that decides what a split holds; what the rows look like in a fingerprint is held by the tests.
SOURCES = (
    "answers.py",
    "explanations.py",
    "facts.py",
    "font.py",
    "language.py",
    "phrases.py",
    "questions.py",
    "render.py",
    "rows.py",
    "scene.py",
    "shapes.py",
    "templates.py",
)
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Pins:
    """The table of one split.

    Attributes:
        fingerprint: of the suite.
        questions, phrases: digests of its rows.
        pictures: SHA-256 of each image's size and pixels, in the order of the scenes.
    """

    fingerprint: str
    questions: str
    phrases: str
    pictures: bytes

    def picture(self, number: int) -> str:
        """Digest of one picture in hexadecimal."""
        return self.pictures[DIGEST_BYTES * number : DIGEST_BYTES * (number + 1)].hex()


def sources_digest() -> str:
    """SHA-256 over the code that draws; line ends do not count, which a checkout may change."""
    digest = hashlib.sha256()
    for name in SOURCES:
        text = (HERE / name).read_text(encoding="utf-8")
        digest.update(f"{name}\0{hashlib.sha256(text.encode()).hexdigest()}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _table() -> tuple[Mapping[str, Any], bytes]:
    """The table; empty where it is missing, was made from other code, or is switched off."""
    if os.environ.get(VARIABLE, "").lower() in ("off", "0", "no"):
        return {}, b""
    try:
        table = json.loads(TABLE.read_text(encoding="utf-8"))
        pictures = PICTURES.read_bytes()
        known = table["sources"] == sources_digest() and table["pictures"] == hashlib.sha256(pictures).hexdigest()
        return (table["suites"], pictures) if known else ({}, b"")
    except (OSError, ValueError, LookupError, TypeError):
        return {}, b""


def pins_of(name: str) -> Pins | None:
    """The pins of a suite; None where there are none for the code as it is."""
    table, pictures = _table()
    found = table.get(name)
    if found is None:
        return None
    start, count = found["first_picture"], found["images"]
    return Pins(
        found["fingerprint"],
        found["questions"],
        found["phrases"],
        pictures[DIGEST_BYTES * start : DIGEST_BYTES * (start + count)],
    )


def check(what: str, found: str, pinned: str) -> None:
    """Refuse what is drawn otherwise than the fingerprint says.

    Raises:
        DataError: the digests differ.
    """
    if found == pinned:
        return
    import numpy as np

    raise DataError(
        f"{what}: drawn otherwise here than the suite's fingerprint says",
        where=f"NumPy {np.__version__}",
        do=f"install another NumPy (pip install 'numpy>=2,<3'), or set {VARIABLE}=off: the suite then gets a "
        "fingerprint of its own, and scores cannot be compared with those of other machines",
    )


__all__ = ["Pins", "check", "pins_of", "sources_digest"]
