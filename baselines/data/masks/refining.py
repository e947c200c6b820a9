"""Refinement of a mask by a predictor that takes prompts, and which of its candidates is kept.

A predictor is SAM, or GrabCut (Rother et al. 2004), which needs no weights. Both see the picture, the mask's box, a few
points inside and the mask itself. A candidate is kept for its predicted quality and for its agreement with the mask
that went in; where none agrees the input stays, and that is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gi_bench.baselines.data.masks.morphology import MORPHOLOGY, dilated, eroded

Mask = npt.NDArray[np.bool_]
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Prompt:
    """What a predictor is told of a mask.

    Attributes:
        box: x1, y1, x2, y2 in pixels, x2 and y2 exclusive, a little larger than the mask.
        points: (n, 2) x and y of pixels well inside.
        mask: (height, width) the mask itself.
    """

    box: tuple[int, int, int, int]
    points: npt.NDArray[np.int64]
    mask: Mask


@dataclass(frozen=True)
class Candidate:
    """A mask and how good its predictor thinks it is, in [0, 1]."""

    mask: Mask
    quality: float


class Predictor(Protocol):
    """Gives candidates for a prompt."""

    @property
    def name(self) -> str:
        """Stands in the provenance of every mask."""

    @property
    def details(self) -> Mapping[str, Any]:
        """What else makes a difference to its masks; stands in their provenance, too."""

    def candidates(self, picture: Picture, prompt: Prompt) -> Sequence[Candidate]:
        """Candidates of the picture's size, (height, width, 3) RGB."""


@dataclass(frozen=True)
class Refined:
    """Outcome: the mask, its score (quality times agreement) and whether the input was kept."""

    mask: Mask
    score: float
    kept_input: bool


def iou(first: Mask, second: Mask) -> float:
    """Intersection over union in [0, 1]; 1 for two empty masks."""
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 1.0


def make_prompt(mask: Mask, *, margin: float = 0.1, points: int = 3) -> Prompt:
    """Box, points and mask for a predictor.

    Args:
        mask: not empty.
        margin: how much wider the box is than the mask, on each side, as a share of its size.
        points: places inside, each as far as possible from the edge and from those before it.

    Raises:
        ValueError: an empty mask.
    """
    import cv2

    if not mask.any():
        raise ValueError("an empty mask gives no prompt")
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x1, x2, y1, y2 = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    dx, dy = round(margin * (x2 - x1)), round(margin * (y2 - y1))
    box = (max(0, x1 - dx), max(0, y1 - dy), min(width, x2 + dx), min(height, y2 + dy))
    # scikit-image measures no distances; the exact ones of scipy.ndimage would move prompts, and masks with them.
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1].astype(np.float64)
    found = []
    grid_y, grid_x = np.mgrid[:height, :width]
    for _ in range(points):
        y, x = np.unravel_index(int(np.argmax(distance)), distance.shape)
        if distance[y, x] <= 0:
            break
        found.append((int(x), int(y)))
        distance = np.minimum(distance, np.hypot(grid_x - x, grid_y - y) / 2)
    return Prompt(box, np.array(found, dtype=np.int64).reshape(-1, 2), mask)


def refine(predictor: Predictor, picture: Picture, mask: Mask, *, least: float = 0.5) -> Refined:
    """Refine one mask.

    Args:
        predictor: gives candidates.
        picture: (height, width, 3) RGB.
        mask: (height, width); an empty one stays empty.
        least: a candidate has to overlap the input by this much (IoU).
    """
    if not mask.any():
        return Refined(mask, 0.0, True)
    best: Refined | None = None
    for candidate in predictor.candidates(picture, make_prompt(mask)):
        agreement = iou(candidate.mask, mask)
        score = candidate.quality * agreement
        if agreement >= least and (best is None or score > best.score):
            best = Refined(candidate.mask, score, False)
    return best if best is not None else Refined(mask, 0.0, True)


class GrabCut:
    """Colours inside against colours around, cut along edges; deterministic, without weights."""

    name = "grabcut"
    details: Mapping[str, Any] = MappingProxyType({"morphology": MORPHOLOGY})

    def __init__(self, rounds: int = 4) -> None:
        self._rounds = rounds

    def candidates(self, picture: Picture, prompt: Prompt) -> Sequence[Candidate]:
        """One candidate: the core of the mask is surely inside, what lies far from it surely outside."""
        import cv2

        side = max(3, round(0.12 * float(np.sqrt(prompt.mask.sum()))))
        labels = np.where(prompt.mask, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels[~dilated(prompt.mask, side)] = cv2.GC_BGD
        labels[eroded(prompt.mask, side)] = cv2.GC_FGD
        if not (labels == cv2.GC_BGD).any():
            return []
        cv2.setRNGSeed(0)
        inside, outside = np.zeros((1, 65)), np.zeros((1, 65))
        bgr = np.ascontiguousarray(picture[:, :, ::-1])
        cv2.grabCut(bgr, labels, None, inside, outside, self._rounds, cv2.GC_INIT_WITH_MASK)
        found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
        smooth = cv2.medianBlur(found.astype(np.uint8), 3) > 0
        return [Candidate(smooth, 1.0)] if smooth.any() else []
