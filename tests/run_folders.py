"""Small run folders written with the store's own writers, for tests of what reads them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gi_bench.harness import files, store
from gi_bench.harness.model import Grounding
from gi_bench.harness.schema import SCHEMA_VERSION, AtomicPair, Phrase, Picture, Prediction, Question, Region, Reply
from gi_bench.harness.tables import write_records

SIZE = 48


def square(label: str, left: int, top: int, side: int) -> Region:
    """A square region in an image of SIZE x SIZE."""
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return Region.from_mask(label, mask)


def questions(count: int = 12) -> list[Question]:
    """Alternating questions about polyps (there) and instruments (absent), two an image."""
    rows = []
    for i in range(count):
        polyp = i % 2 == 0
        rows.append(
            Question(
                index=i,
                img_id=f"img{i // 2}",
                question=f"How many {'polyps' if polyp else 'instruments'} are there?",
                answer="one polyp visible in the image" if polyp else "no instruments visible in the image",
                question_class=("polyp_count" if polyp else "instrument_count",),
                complexity=1,
                original=(AtomicPair("q", "1" if polyp else "0"),),
                explanation="A red bump is seen." if polyp else "Nothing enters the field.",
                is_negative=not polyp,
                finding="polyp" if polyp else "instrument",
                wants_explanation=True,
            )
        )
    return rows


def phrases(images: int = 6) -> list[Phrase]:
    """A polyp (there) and an instrument (absent) per image."""
    rows = []
    for i in range(images):
        rows.append(Phrase(2 * i, f"img{i}", "polyp", "polyp", square("polyp", 8, 8, 16)))
        rows.append(Phrase(2 * i + 1, f"img{i}", "forceps", "instrument", square("instrument", 0, 0, 0), True))
    return rows


def write_run(
    folder: Path,
    *,
    answer: Callable[[Question], str | None] = lambda q: q.answer,
    explain: Callable[[Question], str | None] = lambda q: q.explanation,
    ground: Callable[[Phrase], Sequence[Region] | None] = lambda p: (p.region,) if p.region and p.region.area else (),
    rows: list[Question] | None = None,
    shown: list[Phrase] | None = None,
    confidence: float | None = 0.75,
    manifest: dict[str, Any] | None = None,
    **recipe: str,
) -> Path:
    """Write a complete run folder without scores; ``recipe`` holds its variant and its fingerprint."""
    rows = questions() if rows is None else rows
    shown = phrases() if shown is None else shown
    predictions = [
        Prediction(
            "question", q.index, q.img_id, answer(q), confidence, explain(q), q.answer,
            (square("polyp", 8, 8, 12),) if not q.is_negative else (), 7,
        )
        for q in rows
    ]  # fmt: skip
    for p in shown:
        regions = ground(p)
        predictions.append(
            Prediction(
                "phrase",
                p.index,
                p.img_id,
                None,
                0.5,
                None,
                p.phrase,
                None if regions is None else tuple(regions),
                ground_reply=None if regions is None else Reply(state=Grounding(tuple(regions)).reply_state()),
            )
        )
    decided = {
        "variant": "tested", "model": {"rank": 128}, "suite": "made/test", "fingerprint": "f" * 64,
        "tasks": ["answer", "ground", "explain"], "limit": None, "seed": 0, "dtype": "float32", "code_version": "0",
        **recipe,
    }  # fmt: skip
    content = {
        "schema_version": SCHEMA_VERSION, "created": "2026-01-01T00:00:00+00:00", "complete": True,
        "recipe_digest": "d" * 64, "suite_note": "made for tests", "packages": {"torch": "2"}, "seconds": 3.5,
        "counts": {"questions": len(rows), "phrases": len(shown), "images": len({q.img_id for q in rows})},
        "system": {"python": "3", "os": "Linux", "platform": "x", "arch": "y"}, "hardware": {"gpu_name": "cpu"},
        **(manifest or {}), "recipe": {**decided, **(manifest or {}).get("recipe", {})},
    }  # fmt: skip
    files.write_json(folder / "manifest.json", content)
    store.write_references(folder, store.reference_files(rows, shown))
    store.write_part(folder / "predictions" / "part-00000.parquet", predictions)
    files.write_json(folder / "timings" / "part-00000.json", {"seconds": {"encode": 1.0, "answer": 2.0}})
    pictures = [
        Picture(img_id, SIZE, SIZE, _picture(i)) for i, img_id in enumerate(dict.fromkeys(q.img_id for q in rows))
    ]
    write_records(store.pictures_path(folder, recipe.get("fingerprint", "f" * 64)), pictures, Picture)
    return folder


def _picture(seed: int) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (96, 96), (120 + seed % 100, 60, 60)).save(stream, format="WEBP")
    return stream.getvalue()
