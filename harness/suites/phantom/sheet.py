"""A contact sheet of the test split, to look at what the suite shows.

python -m gi_bench.harness.suites.phantom.sheet docs/phantom.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from gi_bench.harness.suites.phantom.render import render
from gi_bench.harness.suites.phantom.scene import make_scene

COLUMNS, ROWS, SIDE = 8, 4, 180


def contact_sheet(split: str = "test") -> Image.Image:
    """The first 32 pictures of a split, side by side."""
    sheet = Image.new("RGB", (COLUMNS * SIDE, ROWS * SIDE))
    for number in range(COLUMNS * ROWS):
        picture = Image.fromarray(render(make_scene(split, number))).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        sheet.paste(picture, (number % COLUMNS * SIDE, number // COLUMNS * SIDE))
    return sheet


if __name__ == "__main__":
    contact_sheet().save(Path(sys.argv[1] if len(sys.argv) > 1 else "phantom.jpg"), quality=85)
