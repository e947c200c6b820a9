"""Segment Anything (Kirillov et al. 2023) through ``transformers``: box, points and mask in, three candidates out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gi_bench.baselines.data.masks.loading import load_local
from gi_bench.baselines.data.masks.refining import Candidate, Picture, Prompt

if TYPE_CHECKING:
    import torch

HUB_ID = "facebook/sam-vit-base"
# ImageNet's, as in the checkpoint's preprocessor_config.json.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MARGIN_LOGIT = 8.0


class Sam:
    """A SAM checkpoint by Hub id (from the cache or the Hub) or folder.

    Raises:
        CheckpointError: it cannot be loaded.
    """

    def __init__(self, source: str = HUB_ID, device: str = "cpu") -> None:
        self._model = load_local("SamModel", source, device)
        self._device = device
        self._side = int(self._model.config.vision_config.image_size)
        self.name = f"sam {source.rstrip('/').rsplit('/', 1)[-1]}"
        self._seen: tuple[bytes, Any] | None = None

    def _pixels(self, picture: Picture) -> tuple[torch.Tensor, int, int]:
        """The picture with its longer side at the model's, padded below and right; and its size before padding."""
        import torch
        from PIL import Image

        height, width = picture.shape[:2]
        scale = self._side / max(height, width)
        new_height, new_width = int(height * scale + 0.5), int(width * scale + 0.5)
        resized = Image.fromarray(picture).resize((new_width, new_height), Image.Resampling.BILINEAR)
        values = (np.asarray(resized, dtype=np.float32) / 255 - _MEAN) / _STD
        padded = np.zeros((self._side, self._side, 3), dtype=np.float32)
        padded[:new_height, :new_width] = values
        return torch.from_numpy(padded.transpose(2, 0, 1))[None].to(self._device), new_height, new_width

    def _embedding(self, picture: Picture, pixels: Any) -> Any:
        """Image embedding; masks of one picture share it."""
        key = picture.tobytes()
        if self._seen is None or self._seen[0] != key:
            self._seen = key, self._model.get_image_embeddings(pixels)
        return self._seen[1]

    def _low_resolution(self, prompt: Prompt, height: int, width: int) -> Any:
        """The mask as logits of the size that the prompt encoder takes (a quarter of the model's)."""
        import cv2
        import torch

        mask = cv2.resize(prompt.mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        padded = np.zeros((self._side, self._side), dtype=np.uint8)
        padded[:height, :width] = mask
        size = self._model.config.prompt_encoder_config.image_embedding_size * 4
        small = cv2.resize(padded, (size, size), interpolation=cv2.INTER_NEAREST)
        logits = np.where(small > 0, _MARGIN_LOGIT, -_MARGIN_LOGIT).astype(np.float32)
        return torch.from_numpy(logits)[None, None].to(self._device)

    def candidates(self, picture: Picture, prompt: Prompt) -> Sequence[Candidate]:
        """Three masks of the picture's size with the model's own estimate of their IoU."""
        import torch

        with torch.inference_mode():
            pixels, height, width = self._pixels(picture)
            scale = np.array([width / picture.shape[1], height / picture.shape[0]])
            points = torch.tensor(prompt.points * scale, dtype=torch.float32)[None, None].to(self._device)
            box = torch.tensor(np.array(prompt.box) * np.tile(scale, 2), dtype=torch.float32)[None, None]
            output = self._model(
                image_embeddings=self._embedding(picture, pixels),
                input_points=points,
                input_labels=torch.ones(points.shape[:3], dtype=torch.long, device=self._device),
                input_boxes=box.to(self._device),
                input_masks=self._low_resolution(prompt, height, width),
                multimask_output=True,
            )
            large = torch.nn.functional.interpolate(
                output.pred_masks[0].float(), (self._side, self._side), mode="bilinear", align_corners=False
            )
            size = (picture.shape[0], picture.shape[1])
            original = torch.nn.functional.interpolate(
                large[..., :height, :width], size, mode="bilinear", align_corners=False
            )[0]
        masks = (original > 0).cpu().numpy()
        qualities = output.iou_scores[0, 0].clamp(0, 1).float().cpu().tolist()
        return [Candidate(mask, quality) for mask, quality in zip(masks, qualities, strict=True)]
