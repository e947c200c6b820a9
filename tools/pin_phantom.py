"""Makes the table of digests of the embedded splits: draws every row and renders every picture (some minutes).

python -m tools.pin_phantom

Needed after a change of the code that draws. A table whose fingerprints differ from the one before means that the
content changed: then PHANTOM_VERSION has to change too.
"""

from __future__ import annotations

import hashlib
import json
import os

from gi_bench.harness.suites.phantom import pins, rows
from gi_bench.harness.suites.phantom.suite import SPLIT_SIZES, suites


def pin() -> None:
    """Draw everything and write the table; a split that is part of another shares its pictures."""
    os.environ[pins.VARIABLE] = "off"
    pins._table.cache_clear()
    pictures = b""
    entries = {entry.name.removeprefix("phantom/"): entry for entry in suites()}
    table = {}
    for split in sorted(entries, key=lambda name: name not in SPLIT_SIZES):
        suite = entries[split].open(None)
        digests = b"".join(bytes.fromhex(suite.image_digest(img_id)) for img_id in suite.image_ids)
        if digests not in pictures:
            pictures += digests
        table[suite.name] = {
            "fingerprint": suite.fingerprint,
            "questions": rows.questions_digest(suite.questions),
            "phrases": rows.phrases_digest(suite.phrases),
            "first_picture": pictures.index(digests) // pins.DIGEST_BYTES,
            "images": len(suite.image_ids),
        }
        print(f"{suite.name}: {suite.fingerprint}")
    pins.TABLE.parent.mkdir(exist_ok=True)
    pins.PICTURES.write_bytes(pictures)
    content = {
        "sources": pins.sources_digest(),
        "pictures": hashlib.sha256(pictures).hexdigest(),
        "suites": table,
    }
    pins.TABLE.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    pin()
