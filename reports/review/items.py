"""The items of a blind sheet: all that is shown of an answer and its explanation, and nothing that names its run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from gi_bench.harness.schema import Picture, Question
from gi_bench.harness.store import Run
from gi_bench.reports.overlays import small_picture
from gi_bench.reports.review.outlines import outline_path, view_box

# Stands for the name of a run in a text.
HIDDEN = "▇▇▇"


@dataclass(frozen=True)
class Item:
    """One item, ready to show: no id, no confidence, nothing that runs could differ in but what they said.

    Attributes:
        number: on the page, from 1.
        question, answer, explanation: texts; names of runs in them are hidden.
        picture: data URI.
        view: of the outlines, as SVG has it.
        outline: of the regions, as the ``d`` of a path; empty where none is shown.
    """

    number: int
    question: str
    answer: str
    explanation: str
    picture: str
    view: str
    outline: str


def make_items(
    order: Sequence[tuple[int, Question]], runs: Sequence[Run], pictures: Mapping[str, Picture]
) -> list[Item]:
    """The items in their order.

    Args:
        order: (run, question), as :func:`gi_bench.reports.review.sampling.mixed` gives it.
        runs: by number.
        pictures: by image id.

    Raises:
        RunError: a picture or a region does not decode.
    """
    names = telling_names(runs)
    shown = {img_id: data_uri(pictures[img_id].data) for img_id in {question.img_id for _, question in order}}
    items = []
    for number, (run, question) in enumerate(order, 1):
        said = runs[run].predictions["question", question.index]
        picture = pictures[question.img_id]
        items.append(
            Item(
                number=number,
                question=hidden(question.question, names),
                answer=hidden(said.answer or "", names),
                explanation=hidden(said.explanation or "", names),
                picture=shown[question.img_id],
                view=view_box(picture.width, picture.height),
                outline=outline_path(said.regions or (), picture.width, picture.height),
            )
        )
    return items


def telling_names(runs: Sequence[Run]) -> list[str]:
    """Names by which a text could give its run away: of variants and folders, if they are no plain words."""
    names = {name for run in runs for name in (run.variant, run.path.resolve().name)}
    return sorted((name for name in names if re.search(r"[^\W\d]", name) and not name.isalpha()), key=len, reverse=True)


def hidden(text: str, names: Sequence[str]) -> str:
    """A text with the names of runs in it hidden, however their parts are joined there.

    >>> hidden("As model_r8, or Model-R8, I see a polyp.", ["model_r8"])
    'As ▇▇▇, or ▇▇▇, I see a polyp.'
    """
    for name in names:
        parts = "[-_ .]?".join(re.escape(part) for part in re.split(r"[-_ .]", name))
        text = re.sub(rf"(?<!\w){parts}(?!\w)", HIDDEN, text, flags=re.IGNORECASE)
    return text


def naming(runs: Sequence[Run], items: Sequence[Item]) -> int:
    """How many items name a run in a plain word, which is not hidden, since an explanation may need the word."""
    words = {run.variant.lower() for run in runs if run.variant.isalpha()}
    return sum(bool(words & set(re.findall(r"\w+", f"{one.answer} {one.explanation}".lower()))) for one in items)


def data_uri(picture: bytes) -> str:
    """A stored picture for an ``<img>``.

    Raises:
        RunError: it is no picture, or no small one.
    """
    with small_picture(picture) as opened:
        kind = str(opened.format).lower()
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def sheet_digest(items: Sequence[Item]) -> str:
    """SHA-256 over everything that a sheet shows, in its order."""
    content = json.dumps([asdict(one) for one in items], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


__all__ = ["HIDDEN", "Item", "data_uri", "hidden", "make_items", "naming", "sheet_digest", "telling_names"]
