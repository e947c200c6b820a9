"""Masks from text with CLIPSeg (Lueddecke and Ecker 2022), cut and cleaned by a recipe that a user can edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.baselines.data.masks.loading import load_local
from gi_bench.baselines.data.masks.refining import Mask, Picture
from gi_bench.harness.checking import read_checked
from gi_bench.harness.errors import CheckpointError, GiBenchError

RECIPE = Path(__file__).parent / "recipe.toml"
# CLIP's, as in the checkpoint's preprocessor_config.json.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class _Label:
    """A table under ``[labels]``."""

    prompts: tuple[str, ...]
    smallest: int


@dataclass(frozen=True)
class _File:
    """The keys of a recipe file."""

    model: str
    percentile: float
    opening: int
    closing: int
    dark_below: int
    panel_color: tuple[int, int, int]
    panel_tolerance: int
    labels: Mapping[str, _Label]


@dataclass(frozen=True)
class Recipe:
    """Content of a recipe file; see ``recipe.toml`` for what each value does."""

    model: str
    percentile: float
    opening: int
    closing: int
    dark_below: int
    panel_color: tuple[int, int, int]
    panel_tolerance: int
    prompts: Mapping[str, tuple[str, ...]]
    smallest: Mapping[str, int]

    @staticmethod
    def read(path: Path) -> Recipe:
        """Read a recipe.

        Raises:
            GiBenchError: the file is missing, not TOML, a key is unknown or missing, or a value is out of range.
        """
        found = read_checked(path, _File, do=f"start from a copy of {RECIPE.name}")
        recipe = Recipe(
            model=found.model,
            percentile=found.percentile,
            opening=found.opening,
            closing=found.closing,
            dark_below=found.dark_below,
            panel_color=found.panel_color,
            panel_tolerance=found.panel_tolerance,
            prompts={name: label.prompts for name, label in found.labels.items()},
            smallest={name: label.smallest for name, label in found.labels.items()},
        )
        empty = [name for name, prompts in recipe.prompts.items() if not prompts]
        if not 0 < recipe.percentile < 100 or empty or not recipe.prompts:
            raise GiBenchError(
                "percentile is not between 0 and 100" if not empty else f"label {empty[0]!r} has no prompt", where=path
            )
        return recipe


class ClipSeg:
    """A CLIPSeg checkpoint by Hub id or folder.

    Raises:
        CheckpointError: model or tokenizer cannot be loaded.
    """

    def __init__(self, source: str, device: str = "cpu") -> None:
        from transformers import AutoTokenizer

        self._model = load_local("CLIPSegForImageSegmentation", source, device)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        except Exception as error:
            raise CheckpointError("the checkpoint has no readable tokenizer", where=source) from error
        self._device = device
        self._side = int(self._model.config.vision_config.image_size)
        self.name = f"clipseg {source.rstrip('/').rsplit('/', 1)[-1]}"

    def heat(self, picture: Picture, prompts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The largest probability over prompts, (height, width) in [0, 1], for an RGB picture (height, width, 3)."""
        import cv2
        import torch
        from PIL import Image

        small = Image.fromarray(picture).resize((self._side, self._side), Image.Resampling.BILINEAR)
        values = (np.asarray(small, dtype=np.float32) / 255 - _MEAN) / _STD
        pixels = torch.from_numpy(values.astype(np.float32).transpose(2, 0, 1))[None].to(self._device)
        tokens = self._tokenizer(list(prompts), padding=True, truncation=True, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            logits: Any = self._model(**tokens, pixel_values=pixels.repeat(len(prompts), 1, 1, 1)).logits
        best = torch.sigmoid(logits.float()).reshape(len(prompts), *logits.shape[-2:]).amax(dim=0).cpu().numpy()
        height, width = picture.shape[:2]
        return np.asarray(cv2.resize(best, (width, height), interpolation=cv2.INTER_LINEAR))


def cut(heat: npt.NDArray[np.float32], picture: Picture, recipe: Recipe, smallest: int) -> Mask:
    """The mask of a heat map: above the percentile, smoothed, without the recording's panel, without small parts.

    Args:
        heat: (height, width).
        picture: (height, width, 3) RGB.
        recipe: thresholds.
        smallest: parts with fewer pixels are dropped.
    """
    import cv2

    mask = (heat > np.percentile(heat, recipe.percentile)).astype(np.uint8)
    for operation, radius in ((cv2.MORPH_OPEN, recipe.opening), (cv2.MORPH_CLOSE, recipe.closing)):
        if radius > 0:
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
            mask = cv2.morphologyEx(mask, operation, kernel)
    mask[_panel(picture, recipe)] = 0
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    kept = [i for i in range(1, count) if statistics[i, cv2.CC_STAT_AREA] >= smallest]
    return np.asarray(np.isin(parts, kept))


def _panel(picture: Picture, recipe: Recipe) -> Mask:
    """Pixels of the recording's panel: dark ones in the left quarter, and those of its colour."""
    dark = picture.max(axis=2) < recipe.dark_below
    dark[:, picture.shape[1] // 4 :] = False
    difference = np.abs(picture.astype(np.int16) - np.array(recipe.panel_color, dtype=np.int16)).max(axis=2)
    return np.asarray(dark | (difference <= recipe.panel_tolerance))
