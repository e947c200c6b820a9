"""Makes the synonym table that METEOR needs out of a WordNet 3.0 ``dict`` folder.

    python -m tools.build_wordnet WORDNET_DICT_DIR

METEOR asks WordNet one thing: the single words that share a synset with a given word. The table keeps just that, in
under 2 MB, and is the same byte for byte whatever copy of WordNet 3.0 it is made from.
"""

from __future__ import annotations

import lzma
import sys
from pathlib import Path

from gi_bench.harness.metrics.wordnet import PARTS_OF_SPEECH, TABLE

_FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}


def _synsets(path: Path) -> dict[str, list[str]]:
    """Single words of every synset by its offset, from a ``data.*`` file."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(" ") or not line:
            continue  # the licence at the top
        fields = line.split(" ")
        count = int(fields[3], 16)
        words = [fields[4 + 2 * i].split("(")[0] for i in range(count)]
        found[fields[0]] = [word for word in words if "_" not in word]
    return found


def _index(path: Path) -> list[tuple[str, list[str]]]:
    """Lemmas with the offsets of their synsets, from an ``index.*`` file."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(" ") or not line:
            continue
        fields = line.split()
        count, pointers = int(fields[2]), int(fields[3])
        found.append((fields[0], fields[6 + pointers :][:count]))
    return found


def _exceptions(path: Path) -> list[str]:
    return [" ".join(line.split()) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def build(folder: Path) -> bytes:
    """The table's uncompressed text, UTF-8.

    Args:
        folder: WordNet 3.0's ``dict`` folder (``data.noun``, ``index.noun``, ``noun.exc``, ...).
    """
    lines: list[str] = []
    for part in PARTS_OF_SPEECH:
        name = _FILES[part]
        synsets = {offset: words for offset, words in _synsets(folder / f"data.{name}").items() if words}
        numbers = {offset: number for number, offset in enumerate(sorted(synsets))}
        lines.append(f"@{part} synsets")
        lines.extend(" ".join(synsets[offset]) for offset in sorted(synsets))
        lines.append(f"@{part} index")
        for lemma, offsets in sorted(_index(folder / f"index.{name}")):
            kept = [str(numbers[offset]) for offset in offsets if offset in numbers]
            if kept:
                lines.append(" ".join([lemma, *kept]))
        lines.append(f"@{part} exceptions")
        lines.extend(sorted(_exceptions(folder / f"{name}.exc")))
    return ("\n".join(lines) + "\n").encode("utf-8")


def main() -> None:
    """Write the table into the package."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tools.build_wordnet WORDNET_DICT_DIR")
    TABLE.write_bytes(lzma.compress(build(Path(sys.argv[1])), format=lzma.FORMAT_XZ, preset=9 | lzma.PRESET_EXTREME))
    print(f"{TABLE}: {TABLE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
