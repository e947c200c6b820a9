"""Masks for a suite's images, one per image and label, with where each came from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gi_bench.baselines.data.masks.clipseg import ClipSeg, TextMaskSettings, cut
from gi_bench.baselines.data.masks.morphology import part_count
from gi_bench.baselines.data.masks.refining import Mask, Picture, Predictor, refine
from gi_bench.harness.errors import DataError, RunError
from gi_bench.harness.files import read_table, write_table
from gi_bench.harness.regions import united
from gi_bench.harness.schema import Phrase, Prediction, Region
from gi_bench.harness.store import Run
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.mask_table import SCHEMA
from gi_bench.harness.suites.negatives import stated

# What a question calls the things whose regions have these labels (harness/suites/negatives.py).
_THING_OF_LABEL = {
    "z-line": "z-line",
    "cecum": "cecum",
    "pylorus": "pylorus",
    "polyp": "polyp",
    "instrument": "instrument",
    "ulcerative colitis": "sign of ulcerative colitis",
    "oesophagitis": "sign of oesophagitis",
}


@dataclass(frozen=True)
class Made:
    """One mask with its provenance.

    Attributes:
        img_id, region: the mask; ``region.label`` names what it shows.
        source: ``mask``, ``box``, ``clipseg``, ``variant``, ``sam`` or ``refine``.
        model: what made it; empty for reference masks.
        details: prompts and thresholds, the run and its phrase, or what the predictor says of itself, as JSON.
        score: quality times agreement where a predictor gave one, a variant's confidence where it gave one, else 1.
        kept_input: the predictor's candidates were refused.
    """

    img_id: str
    region: Region
    source: str
    model: str = ""
    details: str = "{}"
    score: float = 1.0
    kept_input: bool = False


def reference_masks(suite: Suite) -> Iterator[Made]:
    """The suite's own masks: regions of one image and label united."""
    regions: dict[tuple[str, str], list[Region]] = {}
    for phrase in suite.phrases:
        if phrase.region is not None and phrase.region.area and not phrase.is_negative:
            regions.setdefault((phrase.img_id, phrase.label), []).append(phrase.region)
    for (img_id, label), found in regions.items():
        first = found[0]
        mask = united(list(dict.fromkeys(found)), first.height, first.width)
        yield Made(img_id, Region.from_mask(label, mask), "mask")


def box_masks(suite: Suite) -> Iterator[Made]:
    """The filled boxes of the suite's masks: what a box annotation would give."""
    for made in reference_masks(suite):
        box = made.region.box()
        assert box is not None
        mask = np.zeros((made.region.height, made.region.width), dtype=bool)
        mask[box[1] : box[3], box[0] : box[2]] = True
        yield Made(made.img_id, Region.from_mask(made.region.label, mask), "box")


def text_masks(suite: Suite, model: ClipSeg, settings: TextMaskSettings, counts: Counter[str]) -> Iterator[Made]:
    """Masks from text for every image whose facts name a label of the settings; empty ones are counted and left out."""
    by_image = stated(suite.questions)
    for img_id in suite.image_ids:
        there, absent = by_image.get(img_id, (frozenset(), frozenset()))
        labels = [label for label in settings.labels if _THING_OF_LABEL.get(label, label) in there - absent]
        if not labels:
            counts["images without a label of the settings"] += 1
            continue
        picture = _picture(suite, img_id)
        for label in labels:
            wanted = settings.labels[label]
            mask = cut(model.heat(picture, wanted.prompts), picture, settings, wanted.smallest)
            if not mask.any():
                counts["empty after cleaning"] += 1
                continue
            details = {
                "prompts": list(wanted.prompts),
                "percentile": settings.percentile,
                "smallest": wanted.smallest,
                **model.details,
            }
            yield Made(img_id, Region.from_mask(label, mask), "clipseg", model.name, json.dumps(details))


def variant_masks(suite: Suite, run: Run, counts: Counter[str]) -> Iterator[Made]:
    """What a variant showed in a stored run, one mask per image and label.

    Needs no model, and of the images no more than the suite's fingerprint does.

    Only phrases about things that are there are used. Of several phrases of one image and label the one with the
    highest confidence is taken among those for which something was shown (ties: the lowest index): the confidence of
    an empty reply says how sure the variant is that nothing is there, not how good a region is. Regions of one phrase
    are united. An image and label for which no phrase showed anything is counted and left out.

    Args:
        suite: the suite that the run was made on.
        run: has phrases that were grounded.
        counts: counted into.

    Raises:
        RunError: the run is of another suite, holds no grounded phrase, or has a prediction of another image.
        DataError: nothing was shown at all.
    """
    _check_suite_of_run(suite, run)
    asked: dict[tuple[str, str], list[tuple[Phrase, Prediction]]] = {}
    for phrase in run.phrases:
        if phrase.is_negative:
            continue
        prediction = run.predictions.get(("phrase", phrase.index))
        if prediction is None or prediction.regions is None:
            counts["phrases not grounded"] += 1
            continue
        if prediction.img_id != phrase.img_id:
            raise RunError(
                f"the prediction of phrase {phrase.index} is about {prediction.img_id}, not {phrase.img_id}",
                where=run.path,
                do="delete that part of the predictions and run the same command again",
            )
        asked.setdefault((phrase.img_id, phrase.label), []).append((phrase, prediction))
    if not asked:
        raise RunError(
            "the run has no regions of phrases", where=run.path, do="run a variant with the task ground on this suite"
        )
    model, digest = _model_of_run(run), run.manifest.recipe_digest
    made_count = 0
    for (img_id, label), rows in asked.items():
        shown = [(p, found) for p, found in rows if any(region.area for region in found.regions or ())]
        counts["nothing shown"] += not shown
        if not shown:
            continue
        made_count += 1
        phrase, best = max(shown, key=lambda row: (_confidence(row[1], -1.0), -row[0].index))
        regions = best.regions or ()
        mask = united(regions, regions[0].height, regions[0].width)
        details = json.dumps({"recipe_digest": digest, "phrase": phrase.phrase})
        yield Made(img_id, Region.from_mask(label, mask), "variant", model, details, _confidence(best, 1.0))
    if not made_count:
        raise DataError("the variant showed nothing", where=run.path, do="take the run of another variant")


def _check_suite_of_run(suite: Suite, run: Run) -> None:
    """Refuse a run of another suite.

    Images are part of the fingerprint. Where the suite has none here it cannot equal that of a run that saw them, so
    that the run's rows are compared instead.
    """
    if run.fingerprint == suite.fingerprint or (not suite.has_images and _has_rows_of(suite, run)):
        return
    raise RunError(
        f"the run was made on {run.suite}, and its fingerprint is not that of {suite.name} here",
        where=run.path,
        do="give its own suite with -s, and the same --data",
    )


def _has_rows_of(suite: Suite, run: Run) -> bool:
    """Whether all rows of a run are rows of the suite, reference regions aside: their size can depend on the images."""
    pairs = [(q, suite.questions[q.index]) for q in run.questions if q.index < len(suite.questions)]
    if len(pairs) < len(run.questions) or any(ours != theirs for ours, theirs in pairs):
        return False
    known = {p.index: (p.img_id, p.phrase, p.label) for p in suite.phrases}
    if not known:  # a suite can have its phrases only together with its images
        return bool(run.questions)
    return all(known.get(p.index) == (p.img_id, p.phrase, p.label) for p in run.phrases)


def _model_of_run(run: Run) -> str:
    """Name of the variant and, where it has an adapter, the adapter's digest."""
    digest = run.recipe.model.get("adapter_digest")
    return f"{run.variant} {digest}" if digest else run.variant


def _confidence(prediction: Prediction, default: float) -> float:
    return default if prediction.confidence is None else prediction.confidence


def refined_masks(
    suite: Suite, given: Mapping[tuple[str, str], Region], predictor: Predictor, source: str, counts: Counter[str]
) -> Iterator[Made]:
    """Refined masks; where the predictor's candidates are refused the input stays and is counted.

    Args:
        suite: pictures.
        given: masks by image id and label.
        predictor: SAM or GrabCut.
        source: name of the source.
        counts: counted into.
    """
    last: tuple[str, Picture] | None = None
    for (img_id, label), region in sorted(given.items()):
        if last is None or last[0] != img_id:
            last = img_id, _picture(suite, img_id)
        mask = _fitted(region, last[1])
        found = refine(predictor, last[1], mask)
        counts["input kept"] += found.kept_input
        made = Region.from_mask(label, found.mask)
        details = json.dumps(dict(predictor.details))
        yield Made(img_id, made, source, predictor.name, details, found.score, found.kept_input)


def _picture(suite: Suite, img_id: str) -> Picture:
    return np.asarray(suite.load_image(img_id).convert("RGB"))


def _fitted(region: Region, picture: Picture) -> Mask:
    return united([region], picture.shape[0], picture.shape[1])


def write_masks(path: Path, masks: Iterator[Made], say: Callable[[str], None] = lambda line: None) -> int:
    """Write masks as Parquet, whole or not at all.

    Returns:
        Their number.

    Raises:
        DataError: there are none.
    """
    rows: list[dict[str, Any]] = []
    for made in masks:
        region = made.region
        rows.append(
            {
                "img_id": made.img_id, "label": region.label, "height": region.height, "width": region.width,
                "counts": region.counts, "source": made.source, "model": made.model, "details": made.details,
                "score": made.score, "kept_input": made.kept_input,
            }
        )  # fmt: skip
        if len(rows) % 200 == 0:
            say(f"{len(rows)} masks")
    if not rows:
        raise DataError(
            "no mask was made", where=path, do="the suite needs masks, or facts that name a label of the settings"
        )
    write_table(path, pa.Table.from_pylist(rows, schema=SCHEMA))
    return len(rows)


def agreement(first: Mapping[tuple[str, str], Region], second: Mapping[tuple[str, str], Region]) -> dict[str, Any]:
    """How far two sources agree: mean IoU by label and over all, over masks that both have, with n.

    Masks of different sizes are compared at the second's.
    """
    from gi_bench.baselines.data.masks.refining import iou

    values: dict[str, list[float]] = {}
    for key in sorted(first.keys() & second.keys()):
        target = second[key]
        value = iou(united([first[key]], target.height, target.width), target.mask())
        values.setdefault(key[1], []).append(value)
    every = [value for found in values.values() for value in found]
    return {
        "n": len(every),
        "mean_iou": sum(every) / len(every) if every else None,
        "by_label": {label: {"n": len(v), "mean_iou": sum(v) / len(v)} for label, v in values.items()},
        "only_first": len(first.keys() - second.keys()),
        "only_second": len(second.keys() - first.keys()),
    }


def score_correlation(path: Path, truth: Mapping[tuple[str, str], Region]) -> float | None:
    """Pearson's correlation of the masks' scores and their IoU with another source's; None where either is constant.

    Only with expert masks as ``truth`` it says whether a score tells good masks from bad ones.
    """
    from gi_bench.baselines.data.masks.refining import iou

    scores, values = [], []
    for row in read_table(path, SCHEMA).to_pylist():
        target = truth.get((row["img_id"], row["label"]))
        if target is not None:
            region = Region(row["label"], row["height"], row["width"], row["counts"])
            scores.append(row["score"])
            values.append(iou(united([region], target.height, target.width), target.mask()))
    if len(scores) < 3 or np.ptp(scores) == 0 or np.ptp(values) == 0:
        return None
    return float(np.corrcoef(scores, values)[0, 1])


def shape_statistics(masks: Mapping[tuple[str, str], Region]) -> dict[str, dict[str, float]]:
    """By label: n, mean share of the image and mean number of connected parts."""
    found: dict[str, list[tuple[float, int]]] = {}
    for (_, label), region in masks.items():
        parts = part_count(region.mask())
        found.setdefault(label, []).append((region.area / (region.height * region.width), parts))
    return {
        label: {
            "n": len(rows),
            "mean_area": sum(area for area, _ in rows) / len(rows),
            "mean_parts": sum(parts for _, parts in rows) / len(rows),
        }
        for label, rows in sorted(found.items())
    }
