"""A page on which an expert accepts or rejects a sample of masks; decisions leave it as a CSV file.

One file that opens offline. Pictures are in it; its script is the page's own and sends nothing.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gi_bench.harness.csv_text import read_csv
from gi_bench.harness.errors import DataError
from gi_bench.harness.outputs import PAGE_MARK
from gi_bench.harness.schema import Region
from gi_bench.harness.suites.base import Suite

_EDGE = (255, 230, 0)
_SIDE = 320
_STYLE = """
body{font:15px/1.4 system-ui,sans-serif;margin:1.5rem;color:#1c1c1c;background:#fff}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:1rem}
figure{margin:0;padding:.6rem;border:1px solid #ccc;border-radius:6px;min-width:0}
figure img{width:100%;height:auto;display:block}
figcaption{overflow-wrap:anywhere;margin:.4rem 0}
fieldset{border:0;padding:0;margin:0;display:flex;gap:1rem}
input[type=text]{width:100%;box-sizing:border-box;margin-top:.4rem}
button{font:inherit;padding:.4rem 1rem;position:sticky;top:.5rem}
"""
# As the page's script saves them.
REVIEW_COLUMNS = ("img_id", "label", "decision", "remark")
_SCRIPT = """
const cell = t => /[",\\r\\n]/.test(t) ? '"' + t.replaceAll('"', '""') + '"' : t;
document.getElementById('save').addEventListener('click', () => {
  const lines = ['img_id,label,decision,remark'];
  for (const f of document.querySelectorAll('figure')) {
    const chosen = f.querySelector('input[type=radio]:checked');
    const remark = f.querySelector('input[type=text]').value;
    const safe = /^[=+@\\t-]/.test(remark) ? "'" + remark : remark;
    lines.push([f.dataset.image, f.dataset.label, chosen ? chosen.value : '', safe].map(cell).join(','));
  }
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([lines.join('\\r\\n') + '\\r\\n'], {type: 'text/csv'}));
  link.download = 'mask_review.csv';
  link.click();
});
"""


def sample(masks: Mapping[tuple[str, str], Region], share: float = 0.05, seed: int = 0) -> list[tuple[str, str]]:
    """Keys of masks to be looked at: of every label the same share, at least three, drawn with a fixed seed."""
    by_label: dict[str, list[tuple[str, str]]] = {}
    for key in sorted(masks):
        by_label.setdefault(key[1], []).append(key)
    chosen: list[tuple[str, str]] = []
    for number, label in enumerate(sorted(by_label)):
        keys = by_label[label]
        count = min(len(keys), max(3, round(share * len(keys))))
        drawn = np.random.default_rng([seed, number]).permutation(len(keys))[:count]
        chosen += [keys[i] for i in sorted(drawn)]
    return chosen


def overlay(picture: Any, region: Region) -> bytes:
    """JPEG of at most 320 pixels a side with the outline of the mask; the picture below stays visible."""
    import cv2
    from PIL import Image

    from gi_bench.harness.regions import united

    small = picture.convert("RGB")
    small.thumbnail((_SIDE, _SIDE))
    pixels = np.array(small)
    mask = united([region], pixels.shape[0], pixels.shape[1]).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(pixels, contours, -1, _EDGE, 2)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=85)
    return stream.getvalue()


def render_sheet(
    suite: Suite, masks: Mapping[tuple[str, str], Region], keys: Sequence[tuple[str, str]], source: str
) -> str:
    """The page for some masks.

    Args:
        suite: pictures.
        masks: masks by image id and label.
        keys: which of them, in this order.
        source: where the masks come from, for the heading.
    """
    figures = []
    for number, (img_id, label) in enumerate(keys):
        jpeg = base64.b64encode(overlay(suite.load_image(img_id), masks[img_id, label])).decode("ascii")
        image, name = html.escape(img_id, quote=True), html.escape(label, quote=True)
        choices = "".join(
            f'<label><input type="radio" name="d{number}" value="{value}"> {value}</label>'
            for value in ("accept", "reject")
        )
        figures.append(
            f'<figure data-image="{image}" data-label="{name}">'
            f'<img alt="{name} in {image}, outlined" src="data:image/jpeg;base64,{jpeg}">'
            f"<figcaption>{name}, {image}</figcaption><fieldset><legend hidden>decision</legend>{choices}</fieldset>"
            f'<input type="text" maxlength="200" aria-label="remark" placeholder="remark"></figure>'
        )
    heading = html.escape(f"{len(keys)} of {len(masks)} masks from {source}, {suite.name}")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"{PAGE_MARK}"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Mask review</title><style>{_STYLE}</style></head><body><h1>Mask review</h1><p>{heading}. "
        'Accept or reject each outline, then save.</p><p><button id="save">Save CSV</button></p>'
        f"<main>{''.join(figures)}</main><script>{_SCRIPT}</script></body></html>\n"
    )


def read_review(path: Path, content: bytes | None = None) -> dict[str, dict[str, int]]:
    """Accepted, rejected and undecided masks by label, from a saved CSV.

    Args:
        path: the file.
        content: its bytes, where they are at hand.

    Raises:
        DataError: no CSV, a column is missing or unknown, a row has too many fields, or a decision is none of accept,
            reject and empty.
    """
    do = "save it from the sheet again"
    table = read_csv(path, content, needed=("label", "decision"))
    strange = [name for name in table.columns if name not in REVIEW_COLUMNS]
    if strange:
        raise DataError(
            f"unknown column {json.dumps(strange[0])}: the columns are {', '.join(REVIEW_COLUMNS)}", where=path, do=do
        )
    found: dict[str, dict[str, int]] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        decision = row["decision"] or "undecided"
        if decision not in ("accept", "reject", "undecided"):
            raise DataError(f"unknown decision {json.dumps(decision)}", where=f"{path}, line {line}", do=do)
        counts = found.setdefault(row["label"], {"accept": 0, "reject": 0, "undecided": 0})
        counts[decision] += 1
    return found
