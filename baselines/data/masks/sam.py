"""Segment Anything (Kirillov et al. 2023) through ``transformers``: box, points and mask in, three candidates out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gi_bench.baselines.data.masks.loading import load_image_processor, load_local, picture_details, pil_class, prepared
from gi_bench.baselines.data.masks.refining import Candidate, Picture, Prompt
from gi_bench.harness.errors import CheckpointError

if TYPE_CHECKING:
    import torch

HUB_ID = "facebook/sam-vit-base"
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
        self._pictures = load_image_processor(source, lambda: _published(self._side))
        if self._pictures.size["longest_edge"] != self._side:
            raise CheckpointError(
                f"its image processor makes {self._pictures.size['longest_edge']} pixels, its model takes {self._side}",
                where=source,
            )
        self.name = f"sam {source.rstrip('/').rsplit('/', 1)[-1]}"
        self.details = picture_details(self._pictures)
        self._seen: tuple[bytes, Any] | None = None

    def _pixels(self, picture: Picture) -> tuple[torch.Tensor, int, int]:
        """The picture with its longer side at the model's, padded below and right; and its size before padding."""
        made = prepared(self._pictures, picture)
        height, width = (int(value) for value in made["reshaped_input_sizes"][0])
        return made["pixel_values"].to(self._device), height, width

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
            found = self._pictures.post_process_masks(
                output.pred_masks.float(), [picture.shape[:2]], [(height, width)], binarize=False
            )[0][0]
        masks = (found > 0).cpu().numpy()
        qualities = output.iou_scores[0, 0].clamp(0, 1).float().cpu().tolist()
        return [Candidate(mask, quality) for mask, quality in zip(masks, qualities, strict=True)]


def _published(side: int) -> Any:
    """The image processor that SAM was published with, at the model's size."""
    return pil_class("SamImageProcessor")(size={"longest_edge": side}, pad_size={"height": side, "width": side})
