"""The floor under scores of regions: a mean mask of the training images, shown without looking.

For every label the training masks are averaged on a common grid, and the average is cut where it overlaps the training
masks best. Masks of the image that is asked about take no part in either. The mask is shown for every phrase of the
label, also where the thing is absent: whoever does not look cannot know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.baselines.floors.answers import rows_digest
from gi_bench.baselines.floors.teaching import NO_TRAINING_ROW, teacher_of
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.model import Answer, Ask, BuildContext, Feature, GroundAsk, Grounding
from gi_bench.harness.schema import Phrase, Region, Task

GRID = 64
# Where the mean mask is cut, as shares of its highest value.
CUTS = tuple(i / 20 for i in range(1, 20))

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MeanMask:
    """A mean mask with the cut that fits the masks it was made from best.

    Attributes:
        mean: (GRID, GRID) shares of masks that cover each cell.
        cut: value from which on a cell belongs to the region.
        iou: mean intersection over union with those masks, on the grid.
    """

    mean: Plane
    cut: float
    iou: float

    def at(self, height: int, width: int) -> npt.NDArray[np.bool_]:
        """The region in an image of that size; at least one pixel."""
        import cv2

        shrinks = height < GRID or width < GRID
        scaled = cv2.resize(self.mean, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return np.asarray(scaled >= min(self.cut, float(scaled.max())))


def mean_mask(masks: Plane) -> MeanMask:
    """The mean of masks (n, GRID * GRID) with its best cut; the lowest cut among equals."""
    mean = masks.mean(axis=0)
    cuts = np.array(CUTS, dtype=np.float32) * mean.max()
    shown = (mean[None, :] >= cuts[:, None]).astype(np.float32)
    both = masks @ shown.T
    union = masks.sum(axis=1)[:, None] + shown.sum(axis=1)[None, :] - both
    overlap = (both / union).mean(axis=0)
    best = int(overlap.argmax())
    return MeanMask(mean.reshape(GRID, GRID), float(cuts[best]), float(overlap[best]))


def on_grid(region: Region) -> Plane:
    """A region on the common grid as 0 and 1, flat; one that covers half of no cell takes its fullest cell."""
    import cv2

    covered = cv2.resize(region.mask().astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(covered >= min(0.5, float(covered.max())), dtype=np.float32).reshape(-1)


class RegionPrior:
    """Mean masks by label; see :class:`gi_bench.harness.model.Model`.

    Args:
        phrases: training phrases with a region; equal regions of one image and label count once.
        settings: what the recipe says.
        key_of: image id to a key that is equal for two ids of one image.
        training_images: images whose masks may speak about the images asked about.
    """

    tasks: frozenset[Task] = frozenset({"ground"})
    needs_image = False
    batch_size = 4096

    def __init__(
        self,
        phrases: Sequence[Phrase],
        settings: dict[str, Any],
        key_of: Callable[[str], str],
        training_images: frozenset[str],
    ) -> None:
        self.settings, self.training_images, self._image = settings, training_images, key_of
        regions = [phrase.region for phrase in phrases if phrase.region is not None]
        self._masks = np.stack([on_grid(region) for region in regions])
        self._labels = np.array([phrase.label for phrase in phrases])
        self._images = np.array([key_of(phrase.img_id) for phrase in phrases])
        self._known = frozenset(self._images.tolist())
        self._made: dict[tuple[str, str], MeanMask | None] = {}

    def _mean(self, label: str, image: str) -> MeanMask | None:
        """The mean mask of a label without an image's own; of all labels where nothing else is left."""
        own = image if image in self._known else ""
        if (label, own) not in self._made:
            others = self._images != own
            chosen = others & (self._labels == label)
            chosen = chosen if chosen.any() else others
            self._made[label, own] = mean_mask(self._masks[chosen]) if chosen.any() else None
        return self._made[label, own]

    def encode(self, images: Sequence[Any]) -> Sequence[Feature]:
        """Never called: the model does not look."""
        return [None] * len(images)

    def ground(self, features: Sequence[Feature], asks: Sequence[GroundAsk]) -> list[Grounding]:
        """The mean mask of the phrase's label, with its overlap with the training masks as confidence."""
        found = []
        for ask in asks:
            made = self._mean(ask.label, self._image(ask.img_id))
            if made is None:
                found.append(Grounding((), 0.0, warnings=(NO_TRAINING_ROW,)))
            else:
                region = Region.from_mask(ask.label, made.at(ask.height, ask.width), made.iou)
                found.append(Grounding((region,), made.iou))
        return found

    def answer(self, features: Sequence[Feature], asks: Sequence[Ask]) -> Sequence[Answer]:
        """Never called: the task is not listed."""
        raise GiBenchError("a blind prior of regions answers nothing")

    def explain(self, features: Sequence[Feature], asks: Sequence[Ask], answers: Sequence[str]) -> Sequence[Answer]:
        """Never called: the task is not listed."""
        raise GiBenchError("a blind prior of regions explains nothing")

    def close(self) -> None:
        """Nothing to give back."""


def build_region_prior(kind: str, context: BuildContext) -> RegionPrior:
    """Make the prior from the training regions of the context.

    Raises:
        GiBenchError: there are none.
    """
    teacher = teacher_of(kind, context)
    distinct: dict[tuple[str, str, str], Phrase] = {}
    for phrase in teacher.suite.phrases:
        if not phrase.is_negative and phrase.region is not None and phrase.region.area:
            distinct.setdefault((teacher.key(phrase.img_id), phrase.label, phrase.region.counts), phrase)
    phrases = list(distinct.values())
    if not phrases:
        raise GiBenchError(
            f"{kind} found no training region", where=teacher.suite.name, do="give --train-suite with masks"
        )
    digest = rows_digest((p.img_id, p.label, p.region.counts if p.region else "") for p in phrases)
    settings = {"role": "floor", "grid": GRID, **teacher.settings(kind, phrases, "regions", digest)}
    return RegionPrior(phrases, settings, teacher.key, teacher.images(phrases))
