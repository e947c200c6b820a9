"""Masks from text with CLIPSeg (Lueddecke and Ecker 2022), cut and cleaned by settings that a user can edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.baselines.data.masks.loading import (
    BACKEND,
    load_image_processor,
    load_local,
    picture_details,
    pil_class,
    prepared,
)
from gi_bench.baselines.data.masks.morphology import MORPHOLOGY, closed, opened, without_small_parts
from gi_bench.baselines.data.masks.refining import Mask, Picture
from gi_bench.harness.checking import read_checked
from gi_bench.harness.errors import CheckpointError, GiBenchError

DEFAULTS = Path(__file__).parent / "clipseg.toml"


@dataclass(frozen=True)
class TextMaskLabel:
    """A table under ``[labels]``: what is asked for, and the smallest part that is kept, in pixels."""

    prompts: tuple[str, ...]
    smallest: int


@dataclass(frozen=True)
class TextMaskSettings:
    """The keys of a file of settings; see ``clipseg.toml`` for what each value does."""

    model: str
    percentile: float
    opening: int
    closing: int
    dark_below: int
    panel_color: tuple[int, int, int]
    panel_tolerance: int
    labels: Mapping[str, TextMaskLabel]
    backend: str = BACKEND

    @staticmethod
    def read(path: Path) -> TextMaskSettings:
        """Read settings.

        Raises:
            GiBenchError: the file is missing, not TOML, a key is unknown or missing, or a value is out of range.
        """
        found = read_checked(path, TextMaskSettings, do=f"start from a copy of {DEFAULTS.name}")
        empty = [name for name, label in found.labels.items() if not label.prompts]
        if not 0 < found.percentile < 100 or empty or not found.labels:
            raise GiBenchError(
                "percentile is not between 0 and 100" if not empty else f"label {empty[0]!r} has no prompt", where=path
            )
        if found.backend != BACKEND:
            raise GiBenchError(
                f"unknown backend {found.backend!r}", where=path, do=f"it is {BACKEND}: others give other pixels"
            )
        return found


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
        self._pictures = load_image_processor(source, lambda: _published(self._model))
        self.name = f"clipseg {source.rstrip('/').rsplit('/', 1)[-1]}"
        self.details = {**picture_details(self._pictures), "morphology": MORPHOLOGY}

    def heat(self, picture: Picture, prompts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The largest probability over prompts, (height, width) in [0, 1], for an RGB picture (height, width, 3)."""
        import cv2
        import torch

        pixels = prepared(self._pictures, picture)["pixel_values"].to(self._device)
        tokens = self._tokenizer(list(prompts), padding=True, truncation=True, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            logits: Any = self._model(**tokens, pixel_values=pixels.repeat(len(prompts), 1, 1, 1)).logits
        best = torch.sigmoid(logits.float()).reshape(len(prompts), *logits.shape[-2:]).amax(dim=0).cpu().numpy()
        height, width = picture.shape[:2]
        return np.asarray(cv2.resize(best, (width, height), interpolation=cv2.INTER_LINEAR))


def _published(model: Any) -> Any:
    """The image processor that CLIPSeg was published with, at the model's size."""
    from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    side = int(model.config.vision_config.image_size)
    return pil_class("ViTImageProcessor")(
        size={"height": side, "width": side}, image_mean=IMAGENET_DEFAULT_MEAN, image_std=IMAGENET_DEFAULT_STD
    )


def cut(heat: npt.NDArray[np.float32], picture: Picture, settings: TextMaskSettings, smallest: int) -> Mask:
    """The mask of a heat map: above the percentile, smoothed, without the recording's panel, without small parts.

    Args:
        heat: (height, width).
        picture: (height, width, 3) RGB.
        settings: thresholds.
        smallest: parts with fewer pixels are dropped.
    """
    mask = np.asarray(heat > np.percentile(heat, settings.percentile))
    for smoothed, radius in ((opened, settings.opening), (closed, settings.closing)):
        if radius > 0:
            mask = smoothed(mask, radius)
    return without_small_parts(mask & ~_panel(picture, settings), smallest)


def _panel(picture: Picture, settings: TextMaskSettings) -> Mask:
    """Pixels of the recording's panel: dark ones in the left quarter, and those of its colour."""
    dark = picture.max(axis=2) < settings.dark_below
    dark[:, picture.shape[1] // 4 :] = False
    difference = np.abs(picture.astype(np.int16) - np.array(settings.panel_color, dtype=np.int16)).max(axis=2)
    return np.asarray(dark | (difference <= settings.panel_tolerance))
