"""A Florence-2 backbone with its tokenizer and picture preparation, loaded from the ordinary Hub layout.

Nothing here needs torchvision or foreign code: the native ``Florence2ForConditionalGeneration`` is the only
class, and pictures are prepared with Pillow as the checkpoint's ``preprocessor_config.json`` says.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gi_bench.baselines.florence2 import rules
from gi_bench.baselines.florence2.rules import CheckpointRules
from gi_bench.harness.cache import file_digests, kept_digest
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.files import refuse_pipes
from gi_bench.harness.hub import hub_failure

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

HUB_ID = "florence-community/Florence-2-base"
# What may lie in a checkpoint's folder and decides a prediction; and what has the same endings and decides none.
_DECIDING = frozenset({".safetensors", ".json", ".txt", ".model", ".jinja"})
_TOLD = frozenset({"card.json", "training_images.txt"})
# Twice the side of the largest Florence-2: what is far beyond it is damage, and would take hours and all memory.
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
        refuse_pipes(folder, CheckpointError)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            size = content["size"]
            found = PictureSettings(
                int(size["height"]),
                int(size["width"]),
                _three(content["image_mean"]),
                _three(content["image_std"]),
                int(content.get("resample", 3)),
            )
            found._check(content)
            return found
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise CheckpointError(
                f"cannot read the picture settings: {type(error).__name__}: {error}",
                where=path,
                do=f"give a folder in the layout of {HUB_ID}",
            ) from error

    def _check(self, content: Mapping[str, Any]) -> None:
        """Refuse values that make no picture, and steps of preparation that are not ours.

        Raises:
            ValueError: names the key.
        """
        if not (1 <= self.height <= _LARGEST_SIDE and 1 <= self.width <= _LARGEST_SIDE):
            raise ValueError(f"size is {self.height} x {self.width}, sides of 1 to {_LARGEST_SIDE} pixels are read")
        if not all(map(math.isfinite, (*self.mean, *self.std))):
            raise ValueError("image_mean and image_std need numbers")
        if min(self.std) <= 0:
            raise ValueError("image_std has to be above 0")
        if self.resample not in range(6):
            raise ValueError(f"resample is {self.resample}, 0 to 5 are known")
        for key, ours in (("do_resize", True), ("do_rescale", True), ("do_normalize", True), ("do_center_crop", False)):
            if content.get(key) not in (None, ours):
                raise ValueError(f"{key} is {content[key]}, only {ours} is supported")
        factor = content.get("rescale_factor")
        if factor is not None and abs(float(factor) * 255 - 1) > 1e-6:
            raise ValueError(f"rescale_factor is {factor}, only 1/255 is supported")

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


def _three(values: Sequence[Any]) -> tuple[float, float, float]:
    """One number a colour."""
    red, green, blue = (float(value) for value in values)
    return red, green, blue


@dataclass
class Backbone:
    """A loaded backbone.

    Attributes:
        network: ``Florence2ForConditionalGeneration`` in evaluation mode.
        tokenizer: with the task tokens added where the checkpoint has them.
        pictures: preparation of pictures.
        digest: SHA-256 over the weight files, short.
        device: that it is on.
        files: short SHA-256 of every file that decides a prediction, by name.
        rules: decoding rules that it brings along.
    """

    network: Any
    tokenizer: Any
    pictures: PictureSettings
    digest: str
    device: str
    files: Mapping[str, str] = field(default_factory=dict)
    rules: CheckpointRules = field(default_factory=CheckpointRules)

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
    refuse_pipes(folder, CheckpointError)
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
    """SHA-256 over the safetensors files of a folder, the first 16 hex digits; unchanged files are read once.

    Raises:
        CheckpointError: the folder holds no safetensors file, or one that cannot be read.
    """
    files = weight_files(folder)

    def make() -> str:
        digest = hashlib.sha256()
        for path in files:
            digest.update(path.name.encode())
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()

    try:
        return kept_digest("weights", files, make)[:16]
    except OSError as error:
        raise _unreadable(error, folder) from error


def content_digests(folder: Path, names: Iterable[str] | None = None) -> dict[str, str]:
    """The first 16 hex digits of the SHA-256 of every file of a checkpoint that decides a prediction, by name.

    Args:
        folder: of the checkpoint.
        names: of the files that are read of it; None for all that may be.

    Raises:
        CheckpointError: a file cannot be read.
    """
    try:
        if names is None:
            paths = [path for path in folder.iterdir() if path.suffix in _DECIDING and path.name not in _TOLD]
        else:
            paths = [folder / name for name in names]
        paths = sorted(path for path in paths if path.is_file())
        return {path.name: digest[:16] for path, digest in zip(paths, file_digests(paths), strict=True)}
    except OSError as error:
        raise _unreadable(error, folder) from error


def _unreadable(error: OSError, folder: Path) -> CheckpointError:
    return CheckpointError(
        f"cannot read the checkpoint: {error.strerror or error}", where=error.filename or folder, do="check the file"
    )


def check_finite(tensors: Iterable[tuple[str, Any]], what: str, folder: Path, *, do: str = "") -> None:
    """Refuse weights that hold NaN or infinity: whatever they answer is no answer.

    Args:
        tensors: by name.
        what: whose they are, for the message.
        folder: of the checkpoint.
        do: what the user can do.

    Raises:
        CheckpointError: names the first such tensor.
    """
    import torch

    for name, value in tensors:
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"{what} holds NaN or infinity, first in {name}", where=folder, do=do or "train or download it again"
            )


def load_backbone(
    source: str | Path, *, device: str = "cpu", dtype: str = "float32", ignore_rules: bool = False
) -> Backbone:
    """Load a backbone from a folder or Hub id.

    Args:
        source: folder or Hub id.
        device, dtype: where and in which precision it computes.
        ignore_rules: go on without the decoding rules that it brings along.

    Raises:
        CheckpointError: files are missing, damaged or of another architecture; a weight is missing, has no place or
            is no number; a decoding rule is not ours.
    """
    folder = check_backbone(source, ignore_rules=ignore_rules)
    # Before the files are read: what is changed meanwhile is another content the next time.
    digest, files = weights_digest(folder), content_digests(folder)
    network, tokenizer, report = _load(folder, dtype)
    _check_report(report, folder)
    check_finite(
        network.state_dict().items(),
        f"the backbone (as {dtype})",
        folder,
        do="download it again, or use --dtype float32 where the file itself is whole",
    )
    _check_tokenizer(tokenizer, network, folder)
    content = rules.read_file(folder) if not ignore_rules else None
    if content is None:  # then the library reads what config.json says of them
        content = network.generation_config.to_diff_dict()
        content.pop("early_stopping", None)
    if not ignore_rules:
        start = network.config.text_config.decoder_start_token_id
        rules.check_tokens(content, folder, end=tokenizer.eos_token_id, start=start)
    kept = rules.checkpoint_rules(content, folder, ignore=ignore_rules)
    pictures = PictureSettings.read(folder)
    return Backbone(network.to(device).eval(), tokenizer, pictures, digest, device, files, kept)


def check_backbone(source: str | Path, *, ignore_rules: bool = False) -> Path:
    """The folder of a backbone, after everything that can be seen without loading its weights.

    Raises:
        CheckpointError: files are missing, of another architecture, or hold decoding rules that are not ours.
    """
    folder = resolve(source)
    PictureSettings.read(folder)
    weight_files(folder)
    kind = _architecture(folder)
    if kind != "Florence2ForConditionalGeneration":
        raise CheckpointError(
            f"the checkpoint is of architecture {kind}, Florence2ForConditionalGeneration is needed",
            where=folder,
            do=f"give {HUB_ID} or a folder in its layout; microsoft/Florence-2-base needs foreign code",
        )
    if (folder / "adapter_config.json").exists():  # the library would load another backbone, that this file names
        raise CheckpointError(
            "the folder holds an adapter beside the backbone",
            where=folder / "adapter_config.json",
            do="move the adapter into a folder of its own and give it with --checkpoint",
        )
    if not ignore_rules:
        rules.checkpoint_rules(rules.read_file(folder) or {}, folder)
    return folder


def _load(folder: Path, dtype: str) -> tuple[Any, Any, Mapping[str, Any]]:
    """Network, tokenizer and the library's report of what it found in the weights."""
    import torch
    from transformers import AutoTokenizer, Florence2ForConditionalGeneration
    from transformers.utils import logging

    logging.disable_progress_bar()
    told = logging.get_verbosity()
    logging.set_verbosity_error()  # what it warns of is in the report
    try:
        network, report = Florence2ForConditionalGeneration.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise CheckpointError(
            f"cannot load the backbone: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}",
            where=folder,
            do=f"give a folder in the layout of {HUB_ID}",
        ) from error
    finally:
        logging.set_verbosity(told)
    return network, tokenizer, report


def _check_report(report: Mapping[str, Any], folder: Path) -> None:
    """Refuse weights that do not fill the network: the library would put random numbers where one is missing.

    Raises:
        CheckpointError: names the first tensor.
    """
    for key, what in (
        ("missing_keys", "weights are missing"),
        ("mismatched_keys", "weights have another shape than the network's"),
        ("unexpected_keys", "weights have no place in the network"),
        ("error_msgs", "weights cannot be loaded"),
    ):
        found = sorted(one if isinstance(one, str) else str(one[0]) for one in report.get(key) or ())
        if found:
            raise CheckpointError(
                f"the backbone does not fit its config.json: {len(found)} {what}, first {found[0][:200]}",
                where=folder,
                do="download it again, or save it again with the library that made it",
            )


def _architecture(folder: Path) -> str:
    refuse_pipes(folder, CheckpointError)
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
