"""A Florence-2 backbone with its tokenizer and picture preparation, loaded from the ordinary Hub layout.

Nothing here needs torchvision or foreign code: the native ``Florence2ForConditionalGeneration`` is the only
class, and pictures are prepared with Pillow as the checkpoint's ``preprocessor_config.json`` says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


@dataclass(frozen=True)
class PictureSettings:
    """How pictures become pixels: resized, scaled to [0, 1], normalised per channel."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resample: int

    @staticmethod
    def read(folder: Path) -> PictureSettings:
        """Read ``preprocessor_config.json``.

        Raises:
            CheckpointError: the file is missing or lacks a field.
        """
        path = folder / "preprocessor_config.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            size = content["size"]
            return PictureSettings(
                int(size["height"]),
                int(size["width"]),
                tuple(content["image_mean"]),
                tuple(content["image_std"]),
                int(content.get("resample", 3)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"cannot read the picture settings: {type(error).__name__}: {error}",
                where=path,
                do="give a folder in the layout of florence-community/Florence-2-base",
            ) from error

    def resize(self, image: Image) -> npt.NDArray[np.uint8]:
        """The picture at the backbone's size, RGB of shape (height, width, 3)."""
        from PIL.Image import Resampling

        resized = image.convert("RGB").resize((self.width, self.height), Resampling(self.resample))
        return np.asarray(resized)

    def normalise(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Pixels of shape (..., height, width, 3) to normalised (..., 3, height, width)."""
        scaled = pixels.astype(np.float32) / np.float32(255)
        scaled = (scaled - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))


@dataclass
class Backbone:
    """A loaded backbone.

    Attributes:
        network: ``Florence2ForConditionalGeneration`` in evaluation mode.
        tokenizer: with the task tokens added where the checkpoint has them.
        pictures: preparation of pictures.
        digest: SHA-256 over the weight files, short.
    """

    network: Any
    tokenizer: Any
    pictures: PictureSettings
    digest: str
    device: str

    def pixels(self, images: Sequence[Image]) -> torch.Tensor:
        """Pictures as a tensor (n, 3, height, width) on the backbone's device and dtype."""
        import torch

        stacked = np.stack([self.pictures.resize(image) for image in images])
        tensor = torch.from_numpy(self.pictures.normalise(stacked))
        return tensor.to(self.device, dtype=self.network.dtype)


def weights_digest(folder: Path) -> str:
    """SHA-256 over the safetensors files of a folder, the first 16 hex digits.

    Raises:
        CheckpointError: the folder holds no safetensors file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError("no safetensors weights", where=folder, do="only safetensors files are loaded")
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def resolve(source: str | Path) -> Path:
    """The local folder of a checkpoint given as a folder or a Hub id (the Hub's cache is asked first).

    Raises:
        CheckpointError: it is neither there nor to be had.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    text = str(source)
    hint = "give a local folder with --backbone or --checkpoint, or go online once to fill the Hub's cache"
    if text.startswith((".", "/", "~")) or text.count("/") != 1:
        raise CheckpointError("checkpoint folder not found", where=text, do=hint)
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.json", "*.txt"]
    try:
        return Path(snapshot_download(text, local_files_only=True, allow_patterns=patterns))
    except Exception:  # not in the cache: ask the Hub
        pass
    try:
        return Path(snapshot_download(text, allow_patterns=patterns))
    except Exception as error:
        raise CheckpointError(
            f"cannot get the checkpoint from the Hub: {type(error).__name__}", where=text, do=hint
        ) from error


def load_backbone(source: str | Path, *, device: str = "cpu", dtype: str = "float32") -> Backbone:
    """Load a backbone from a folder or Hub id.

    Raises:
        CheckpointError: files are missing, damaged or of another architecture.
    """
    import torch
    from transformers import AutoTokenizer, Florence2ForConditionalGeneration
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = resolve(source)
    pictures = PictureSettings.read(folder)
    digest = weights_digest(folder)
    try:
        network = Florence2ForConditionalGeneration.from_pretrained(
            folder, dtype=getattr(torch, dtype), use_safetensors=True, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise CheckpointError(
            f"cannot load the backbone: {type(error).__name__}: {str(error).splitlines()[0][:200]}",
            where=folder,
            do="give a folder in the layout of florence-community/Florence-2-base",
        ) from error
    return Backbone(network.to(device).eval(), tokenizer, pictures, digest, device)
