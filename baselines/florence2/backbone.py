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

from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.hub import hub_failure

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

HUB_ID = "florence-community/Florence-2-base"
# Of the pictures that a network takes; a larger one is a mistake that would run for ever.
_LARGEST_SIDE = 4096


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
            if not all(1 <= int(size[side]) <= _LARGEST_SIDE for side in ("height", "width")):
                raise ValueError(f"pictures of {size['width']} x {size['height']} pixels")
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
                do=f"give a folder in the layout of {HUB_ID}",
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

    @property
    def image_tokens(self) -> int:
        """Tokens that the encoder reads of a picture."""
        import torch

        blank = torch.zeros(1, 3, self.pictures.height, self.pictures.width, dtype=self.network.dtype)
        with torch.inference_mode():
            return int(self.network.get_image_features(blank.to(self.device)).pooler_output.shape[1])

    def pixels(self, images: Sequence[Image]) -> torch.Tensor:
        """Pictures as a tensor (n, 3, height, width) on the backbone's device and dtype."""
        import torch

        stacked = np.stack([self.pictures.resize(image) for image in images])
        tensor = torch.from_numpy(self.pictures.normalise(stacked))
        return tensor.to(self.device, dtype=self.network.dtype)


def resolve(source: str | Path, *, what: str = "backbone") -> Path:
    """The local folder of a checkpoint given as a folder or a Hub id (``owner/name`` or ``owner/name@revision``).

    The Hub's cache is asked first, so that a machine without network works once the cache is filled.

    Raises:
        CheckpointError: it is neither there nor to be had; the message says why.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    repo, _, revision = str(source).partition("@")
    option = "--checkpoint" if what == "adapter" else "--backbone"
    if repo.startswith((".", "/", "~")) or repo.count("/") != 1:
        raise CheckpointError(
            f"{what} folder not found", where=str(source), do=f"give a folder or Hub id with {option}"
        )
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt"]
    wanted: dict[str, Any] = {"revision": revision or None, "allow_patterns": patterns}
    try:
        return Path(snapshot_download(repo, local_files_only=True, **wanted))
    except Exception:  # not in the cache: ask the Hub
        pass
    try:
        return Path(snapshot_download(repo, **wanted))
    except Exception as error:
        why, do = hub_failure(error, repo)
        raise CheckpointError(f"cannot get the {what}: {why}", where=str(source), do=f"{do}, or give a local folder "
                              f"with {option}") from error  # fmt: skip


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder.

    Raises:
        CheckpointError: there is none, or a shard that the index names is missing.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError("no safetensors weights", where=folder, do="only safetensors files are loaded")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise CheckpointError("damaged index of the weights", where=index, do="download it again") from error
        missing = sorted(shards - {path.name for path in files})
        if missing:
            raise CheckpointError(f"{len(missing)} weight files are missing, first {missing[0]}", where=folder,
                                  do="download the checkpoint again")  # fmt: skip
    return files


def weights_digest(folder: Path) -> str:
    """SHA-256 over the safetensors files of a folder, the first 16 hex digits.

    Raises:
        CheckpointError: the folder holds no safetensors file.
    """
    digest = hashlib.sha256()
    for path in weight_files(folder):
        digest.update(path.name.encode())
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


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
    kind = _architecture(folder)
    if kind != "Florence2ForConditionalGeneration":
        raise CheckpointError(
            f"the checkpoint is of architecture {kind}, Florence2ForConditionalGeneration is needed",
            where=folder,
            do=f"give {HUB_ID} or a folder in its layout; microsoft/Florence-2-base needs foreign code",
        )
    try:
        network = Florence2ForConditionalGeneration.from_pretrained(
            folder, dtype=getattr(torch, dtype), use_safetensors=True, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise CheckpointError(
            f"cannot load the backbone: {type(error).__name__}: {str(error).splitlines()[0][:200]}",
            where=folder,
            do=f"give a folder in the layout of {HUB_ID}",
        ) from error
    _check_tokenizer(tokenizer, network, folder)
    return Backbone(network.to(device).eval(), tokenizer, pictures, digest, device)


def _architecture(folder: Path) -> str:
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if "auto_map" in content:
            return "remote code"
        return str((content.get("architectures") or ["unknown"])[0])
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError("cannot read config.json", where=folder, do=f"give a folder in the layout of {HUB_ID}") \
            from error  # fmt: skip


def _check_tokenizer(tokenizer: Any, network: Any, folder: Path) -> None:
    """Refuse a tokenizer that cannot write regions, or whose ids the network does not have."""
    ids = tokenizer.convert_tokens_to_ids(["<loc_0>", "<loc_999>", "<sep>"])
    known = all(i is not None and i != tokenizer.unk_token_id for i in ids)
    if not known:
        raise CheckpointError(
            "the tokenizer has no location tokens (<loc_0> to <loc_999>)",
            where=folder,
            do=f"use the tokenizer of {HUB_ID}",
        )
    rows = network.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise CheckpointError(
            f"the tokenizer has {len(tokenizer):,} tokens, the network {rows:,}",
            where=folder,
            do="use tokenizer and weights of the same checkpoint",
        )
