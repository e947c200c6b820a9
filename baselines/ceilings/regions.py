"""The ceilings over scores of regions: the reference itself, through what no model of the kind gets around.

``oracle_region_tokens`` writes the reference as the location tokens that the backbone learns to write, and reads them
back; ``oracle_region_pixels`` scales it down to the size in which the backbone sees a picture, and up again;
``oracle_annotators`` gives, where several people drew one thing, the one mask that agrees best with all of them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.baselines.florence2 import locations
from gi_bench.baselines.florence2.locations import TINY_STYLE, TargetStyle
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.model import NOT_COVERED, Answer, Ask, BuildContext, Feature, GroundAsk, Grounding
from gi_bench.harness.schema import Phrase, Region, Task

Mask = npt.NDArray[np.bool_]
# Two masks of one image and label are of one thing if their phrase is the same, or if they overlap by half.
SAME_THING = 0.5


class RegionOracle:
    """Shows what it was given for each phrase; see :class:`gi_bench.harness.model.Model`.

    Args:
        shown: by index of the phrase: a region, whose score is what the oracle knows of its overlap with the
            reference. Phrases without one are not covered.
        settings: what the recipe says.
    """

    tasks: frozenset[Task] = frozenset({"ground"})
    needs_image = False
    batch_size = 256

    def __init__(self, shown: Callable[[int], Region | None], settings: Mapping[str, Any]) -> None:
        self._shown, self.settings = shown, settings

    def encode(self, images: Sequence[Any]) -> Sequence[Feature]:
        """Never called: the oracle does not look."""
        return [None] * len(images)

    def ground(self, features: Sequence[Feature], asks: Sequence[GroundAsk]) -> list[Grounding]:
        """The region of each phrase; nothing for a phrase about something absent."""
        found = []
        for ask in asks:
            region = None if ask.index is None else self._shown(ask.index)
            if region is None:
                found.append(Grounding((), None, warnings=(NOT_COVERED,)))
            else:
                found.append(Grounding((region,) if region.area else (), region.score))
        return found

    def answer(self, features: Sequence[Feature], asks: Sequence[Ask]) -> Sequence[Answer]:
        """Never called: the task is not listed."""
        raise GiBenchError("an oracle of regions answers nothing")

    def explain(self, features: Sequence[Feature], asks: Sequence[Ask], answers: Sequence[str]) -> Sequence[Answer]:
        """Never called: the task is not listed."""
        raise GiBenchError("an oracle of regions explains nothing")

    def close(self) -> None:
        """Nothing to give back."""


def through_tokens(mask: Mask, style: TargetStyle) -> Mask:
    """A mask (height, width) as the location tokens of the style, read back."""
    height, width = mask.shape
    return np.asarray(locations.decode_mask(style.write(mask), width, height)[0], dtype=bool)


def through_pixels(mask: Mask, side: int) -> Mask:
    """A mask (height, width) scaled to ``side`` x ``side`` and back: covered by half is inside, both ways."""
    import cv2

    height, width = mask.shape
    small = cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) >= 0.5
    return np.asarray(cv2.resize(small.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5)


def agreed(masks: Sequence[Mask]) -> Mask:
    """The mask with the best mean intersection over union with several of one size.

    Tried are what at least k of them share, for every k, and each of them.
    """
    votes = np.sum(masks, axis=0)
    candidates = [votes >= k for k in range(1, len(masks) + 1)] + list(masks)
    values = [np.mean([_iou(candidate, mask) for mask in masks]) for candidate in candidates]
    return np.asarray(candidates[int(np.argmax(values))], dtype=bool)


def _iou(first: Mask, second: Mask) -> float:
    union = int((first | second).sum())
    return float((first & second).sum()) / union if union else 0.0


def build_token_oracle(kind: str, context: BuildContext) -> RegionOracle:
    """The reference through location tokens.

    Raises:
        GiBenchError: the suite has no reference region.
    """
    name, _ = _backbone(context)
    style = TINY_STYLE if name == "tiny" else TargetStyle()
    settings = {"backbone": name, "corners": style.corners, "steps": style.steps}
    return _built(kind, context, lambda mask: through_tokens(mask, style), settings)


def build_pixel_oracle(kind: str, context: BuildContext) -> RegionOracle:
    """The reference through the size in which the backbone sees a picture.

    Raises:
        GiBenchError: the suite has no reference region, or the backbone's size is not known.
    """
    name, source = _backbone(context)
    side = _input_side(name, source)
    return _built(kind, context, lambda mask: through_pixels(mask, side), {"backbone": name, "pixels": side})


def _backbone(context: BuildContext) -> tuple[str, str | Path]:
    from gi_bench.baselines.registration import backbone_source

    return backbone_source(context.backbone, context.suite.spec)


def _input_side(name: str, source: str | Path) -> int:
    """Side of the square in which a backbone sees a picture, in pixels."""
    from gi_bench.baselines.registration import backbone_pixels

    known = backbone_pixels(name)
    if known is not None:
        return known
    path = Path(source) / "preprocessor_config.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["size"]["height"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GiBenchError(
            "the backbone does not say in which size it sees pictures",
            where=path,
            do="give --backbone tiny, base or a folder with preprocessor_config.json",
        ) from error


def _built(
    kind: str, context: BuildContext, through: Callable[[Mask], Mask], settings: Mapping[str, Any]
) -> RegionOracle:
    references = {p.index: p.region for p in context.suite.phrases if p.region is not None}
    if not any(region.area for region in references.values()):
        raise GiBenchError(f"{kind} needs reference regions, and no phrase has one", where=context.suite.name)
    made: dict[Region, Region] = {}

    def shown(index: int) -> Region | None:
        region = references.get(index)
        if region is None:
            return None
        if region not in made:
            made[region] = _passed(region, through) if region.area else replace(region, score=1.0)
        return made[region]

    return RegionOracle(shown, _settings(kind, settings))


def _passed(region: Region, through: Callable[[Mask], Mask]) -> Region:
    mask = region.mask()
    passed = through(mask)
    return Region.from_mask(region.label, passed, _iou(passed, mask))


def _settings(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "role": "ceiling", **settings}


def build_annotator_oracle(kind: str, context: BuildContext) -> RegionOracle:
    """The one mask that agrees best with all annotators.

    Raises:
        GiBenchError: no thing has masks of several annotators.
    """
    groups: dict[tuple[str, str], list[Phrase]] = defaultdict(list)
    for phrase in context.suite.phrases:
        if phrase.region is not None and phrase.region.area and not phrase.is_negative:
            groups[phrase.img_id, phrase.label].append(phrase)
    found: dict[int, Region] = {}
    for (_, label), phrases in groups.items():
        for thing in _things(phrases):
            masks = [region.mask() for region in dict.fromkeys(p.region for p in thing if p.region is not None)]
            if len(masks) > 1:
                best = agreed(masks)
                score = float(np.mean([_iou(best, mask) for mask in masks]))
                found.update((phrase.index, Region.from_mask(label, best, score)) for phrase in thing)
    if not found:
        raise GiBenchError(
            f"{kind} needs masks of several annotators, and nothing has more than one mask", where=context.suite.name
        )
    return RegionOracle(found.get, _settings(kind, {}))


def _things(phrases: Sequence[Phrase]) -> list[list[Phrase]]:
    """Phrases of one image and label by the thing that they mean; see :data:`SAME_THING`."""
    things: list[list[Phrase]] = []
    for phrase in phrases:
        same = [thing for thing in things if any(_same(phrase, other) for other in thing)]
        things = [thing for thing in things if thing not in same]
        things.append([*(other for thing in same for other in thing), phrase])
    return things


def _same(first: Phrase, second: Phrase) -> bool:
    if first.region is None or second.region is None:
        return False
    if (first.region.height, first.region.width) != (second.region.height, second.region.width):
        return False
    if first.region == second.region or first.phrase == second.phrase:
        return True
    return _iou(first.region.mask(), second.region.mask()) >= SAME_THING
