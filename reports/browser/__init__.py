"""The example browser of a report page: every row of several runs, to filter, search and look at.

What it holds is data for the page's own script (``static/browser.js``), never markup. Where all rows or all pictures
would make the page larger than it may be, a sample is shown that is spread evenly over the suite, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gi_bench.harness.registry import stored_spec
from gi_bench.harness.schema import Phrase, Question
from gi_bench.harness.store import Run
from gi_bench.reports.browser.packing import Packed, pack
from gi_bench.reports.browser.pictures import (
    LEFT_OUT,
    PlacedPictures,
    kept_pictures,
    place_pictures,
    spread_order,
    text_bytes,
)
from gi_bench.reports.browser.rows import RIGHT_FROM, Rows
from gi_bench.reports.pages import data_block, visible

if TYPE_CHECKING:
    from markupsafe import Markup

# Of the page's bytes, what rows may take where pictures need the others.
_ROWS_SHARE = 0.6
# Texts of up to this length are kept whole, unless there are many of them.
_LONGEST, _SHORTENED = 120_000, 2_000
# Of an image, that it has no picture.
_SOURCE_BYTES = 8
# Bytes that a row takes beside its texts: alone, a run, and a region.
_ROW_BYTES, _SAID_BYTES, _REGION_BYTES = 60, 36, 90


@dataclass(frozen=True)
class Browser:
    """What the template of the example browser shows.

    Attributes:
        blocks: data for the script.
        names: of the runs, in their order.
        counts: questions, phrases and images of the runs (``questions_all`` ...) and in the page (``questions``, ...),
            pictures inside the page and beside it, and bytes.
        rules: how to read what is shown, a sentence each.
        notes: what is left out or cut, a sentence each; empty where nothing is.
        warning: what to think of before the page is passed on; empty where its pictures are of nobody.
        links_pictures: whether the page shows files beside it, which its policy has to allow.
    """

    blocks: tuple[Markup, ...]
    names: tuple[str, ...]
    counts: Mapping[str, int]
    rules: tuple[str, ...]
    notes: tuple[str, ...]
    warning: str
    links_pictures: bool


_COUNTED = ("questions", "phrases", "images", "questions_all", "phrases_all", "images_all", "pictures_inside",
            "pictures_beside", "bytes")  # fmt: skip
# A browser of nothing: what a page takes without one.
NO_BROWSER = Browser((), (), dict.fromkeys(_COUNTED, 0), (), (), "", False)


def build_browser(
    runs: Sequence[Run],
    names: Sequence[str],
    *,
    cap_bytes: int,
    pictures_dir: Path | None = None,
    page_dir: Path | None = None,
) -> Browser:
    """Make the example browser of some runs of one suite.

    Args:
        runs: the runs; rows that any of them covers are shown.
        names: one a run.
        cap_bytes: what its data and pictures may take of the page.
        pictures_dir: where pictures that do not fit are written; None leaves them out.
        page_dir: folder of the page; None for the one around ``pictures_dir``.

    Raises:
        GiBenchError: a picture or a part of a run cannot be read, or a picture not be written.
        ValueError: the run-length code of a region does not describe its mask.
    """
    rows = Rows(runs)
    pictures = kept_pictures(runs)
    sizes = {img_id: (picture.width, picture.height) for img_id, picture in pictures.items()}
    by_image = rows.by_image()
    all_pictures = sum(text_bytes(pictures[img_id]) for img_id in by_image if img_id in pictures)
    room = max(int(cap_bytes * _ROWS_SHARE), cap_bytes - all_pictures - _SOURCE_BYTES * len(by_image))
    packed, block = _fitted(rows, names, by_image, sizes, room)
    size = _bytes(block)
    left = cap_bytes - size - _SOURCE_BYTES * len(packed.img_ids)
    placed = place_pictures(packed.img_ids, pictures, left, pictures_dir, page_dir)
    shown = block, data_block("browser-pictures", _picture_data(packed, placed))
    counts = _counts(rows, by_image, packed, placed, sum(map(_bytes, shown)))
    return Browser(
        blocks=shown,
        names=tuple(names),
        counts=counts,
        rules=_rules(counts, runs),
        notes=_notes(counts, packed, placed, cap_bytes),
        warning=_warning(runs[0].suite, placed),
        links_pictures=placed.beside > 0,
    )


def _fitted(
    rows: Rows,
    names: Sequence[str],
    by_image: Mapping[str, Sequence[Question | Phrase]],
    sizes: Mapping[str, tuple[int, int]],
    budget: int,
) -> tuple[Packed, Markup]:
    """All rows, or those of as many images, spread evenly, as a budget of bytes allows."""
    longest = _longest(rows, budget)
    img_ids = _within(rows, by_image, longest, budget)
    while True:
        packed = pack(rows.of_images(img_ids), rows.runs, sizes, longest)
        block = data_block("browser-data", {**packed.data, "names": [visible(name) for name in names]})
        size = _bytes(block)
        if size <= budget or len(img_ids) <= 1:
            return packed, block
        # The estimate was too low: many characters that take several bytes.
        fewer = max(1, min(len(img_ids) - 1, int(len(img_ids) * 0.95 * budget / size)))
        img_ids = [img_ids[number] for number in sorted(spread_order(len(img_ids))[:fewer])]


def _bytes(block: Markup) -> int:
    return len(block.encode("utf-8"))


def _longest(rows: Rows, budget: int) -> int:
    """Characters of the longest text that is kept whole."""
    texts = {text for run in rows.runs for one in run.predictions.values() for text in (one.answer, one.explanation)}
    long = sum(min(len(text), _LONGEST) for text in texts if text is not None and len(text) > _SHORTENED)
    return _LONGEST if 4 * long <= budget else _SHORTENED


def _within(rows: Rows, by_image: Mapping[str, Sequence[Question | Phrase]], longest: int, budget: int) -> list[str]:
    """Images whose rows are likely to fit, in the order of the suite."""
    img_ids = list(by_image)
    texts: set[str] = set()
    chosen: list[int] = []
    used = 0
    for number in spread_order(len(img_ids)):
        cost, new = _cost(rows, by_image[img_ids[number]], longest, texts)
        if used + cost > budget and chosen:
            break
        used += cost
        texts |= new
        chosen.append(number)
    return [img_ids[number] for number in sorted(chosen)]


def _cost(rows: Rows, of_image: Sequence[Question | Phrase], longest: int, known: set[str]) -> tuple[int, set[str]]:
    """Bytes that the rows of an image are likely to take, and the texts that nobody had before."""
    new: set[str] = set()
    regions = set()
    for row in of_image:
        kind = "question" if isinstance(row, Question) else "phrase"
        own = (row.question, row.answer, row.explanation) if isinstance(row, Question) else (row.phrase,)
        new.update(text for text in own if text)
        for run in rows.runs:
            said = run.predictions.get((kind, row.index))
            if said is not None:
                new.update(text for text in (said.answer, said.explanation, said.phrase) if text)
                regions.add(said.regions)
    new -= known
    numbers = len(of_image) * (_ROW_BYTES + _SAID_BYTES * len(rows.runs))
    return numbers + _REGION_BYTES * len(regions) + sum(min(len(text), longest) + 4 for text in new), new


def _picture_data(packed: Packed, placed: PlacedPictures) -> dict[str, list[str] | list[int]]:
    """Sources in the order of the images, and where there is none the number of the reason."""
    reasons = sorted(set(placed.reasons.values()))
    numbers = {reason: number for number, reason in enumerate(reasons)}
    return {
        "source": [placed.sources.get(img_id, "") for img_id in packed.img_ids],
        "reason": [numbers.get(placed.reasons.get(img_id, ""), -1) for img_id in packed.img_ids],
        "reasons": reasons,
    }


def _counts(
    rows: Rows, by_image: Mapping[str, object], packed: Packed, placed: PlacedPictures, size: int
) -> dict[str, int]:
    kinds = packed.data["rows"]["kind"]
    shown = (kinds.count("q"), kinds.count("p"), len(packed.img_ids))
    there = (len(rows.questions), len(rows.phrases), len(by_image))
    return dict(zip(_COUNTED, (*shown, *there, placed.inside, placed.beside, size), strict=True))


def _rules(counts: Mapping[str, int], runs: Sequence[Run]) -> tuple[str, ...]:
    """How to read the browser; of what the runs do not hold nothing is said."""
    told = []
    if counts["questions"]:
        told += [
            "An answer is right if it states every fact that its question asks for, wrong if a value that was read "
            "from it differs, and unread if no value that was read differs but one could not be read; where a suite "
            "has no facts, it is right if it equals the reference.",
            "Runs disagree on a question by the share of pairs of runs whose answers say different things.",
        ]
    if counts["phrases"]:
        told += [
            f"A region is right from an IoU of {RIGHT_FROM} on, or where nothing fits the phrase and the model says "
            "so; a reply that holds no region and denies none is unread.",
            "On a phrase they disagree by the mean of 1 minus the IoU of their regions, over all pairs of runs.",
        ]
    told.append(
        "A false alarm is an answer that asserts an absent finding (rows about one finding), or a region shown for an "
        "absent thing."
    )
    if any(run.seen_images is not None for run in runs):
        told.append("A row counts as seen if a shown run is known to have been trained on its image.")
    return (*told, "Outlines are simplified; a cross marks a point.")


def _notes(counts: Mapping[str, int], packed: Packed, placed: PlacedPictures, cap_bytes: int) -> tuple[str, ...]:
    told = []
    room = f"{cap_bytes / 1e6:.1f} MB"
    if counts["images"] < counts["images_all"]:
        told.append(
            f"Rows of {counts['images']:,} of {counts['images_all']:,} images are here ({counts['questions']:,} of "
            f"{counts['questions_all']:,} questions, {counts['phrases']:,} of {counts['phrases_all']:,} phrases), "
            f"spread evenly over the suite: all of them would take more than {room}."
        )
    reasons = list(placed.reasons.values())
    left_out, missing = reasons.count(LEFT_OUT), len(reasons) - reasons.count(LEFT_OUT)
    if left_out:
        told.append(
            f"Pictures of {counts['pictures_inside']:,} of {counts['images']:,} images are here, spread evenly over "
            "them: all would make the file too large; gi-bench report --pictures DIR keeps the others beside it."
        )
    if missing:
        told.append(
            f"Of {missing:,} of {counts['images']:,} images no picture was kept with the runs; their rows are here."
        )
    if counts["pictures_beside"]:
        told.append(
            f"{counts['pictures_beside']:,} of the pictures are files beside this page: pass the folder on with it."
        )
    if packed.cut_count:
        told.append(f"{packed.cut_count:,} long texts are cut; the run folders have them whole.")
    return tuple(told)


def _warning(suite: str, placed: PlacedPictures) -> str:
    """Pictures of real examinations are somebody's; which suites are made up is declared, not read from a name."""
    if not placed.sources or stored_spec(suite).family == "phantom":
        return ""
    return (
        f"This page holds {len(placed.sources):,} pictures of real examinations (suite {suite}): pass it on only as "
        "the terms of the data set allow."
    )


__all__ = ["NO_BROWSER", "Browser", "build_browser"]
