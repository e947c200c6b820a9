"""Loading of segmentation checkpoints: safetensors, no remote code, one line where it fails.

Pictures are prepared by the image processor of ``transformers``, always through Pillow: where torchvision is installed
``transformers`` would switch to it by itself, and pixels would move by up to .03.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.devices import use_threads
from gi_bench.harness.errors import CheckpointError

BACKEND = "pil"
_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")


def load_local(kind: str, source: str, device: str) -> Any:
    """A ``transformers`` model in evaluation mode.

    Args:
        kind: name of its class.
        source: folder or Hub id; the Hub is asked only where the cache has nothing.
        device: where it goes.

    Raises:
        CheckpointError: it is missing, damaged, or of another kind.
    """
    use_threads()
    import transformers

    transformers.utils.logging.disable_progress_bar()
    try:
        model, report = getattr(transformers, kind).from_pretrained(
            source, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except Exception as error:  # a foreign checkpoint can fail in any way
        reason = (str(error).strip().splitlines() or [""])[0][:160]
        do = "give a folder with config.json and model.safetensors" if Path(source).exists() else (
            "download it once with network access, or give a folder"
        )  # fmt: skip
        raise CheckpointError(f"{kind} cannot be loaded: {reason}", where=source, do=do) from error
    missing = sorted(key for key in report["missing_keys"] if "position_ids" not in key)
    if missing:
        raise CheckpointError(f"the checkpoint is no {kind}: it lacks {missing[0]}", where=source)
    return model.to(device).eval()


def pil_class(name: str) -> Any:
    """The class of an image processor that uses Pillow, e.g. of ``SamImageProcessor``."""
    import transformers

    # Early releases of version 5 have no such suffix: there the plain name is the class that uses Pillow.
    return getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)


def load_image_processor(source: str, published: Callable[[], Any]) -> Any:
    """The image processor of a checkpoint, through Pillow.

    Args:
        source: folder or Hub id.
        published: makes the processor where the checkpoint has no ``preprocessor_config.json``.

    Raises:
        CheckpointError: its settings cannot be read, or it has no form that uses Pillow.
    """
    from transformers import AutoImageProcessor

    folder = Path(source)
    if folder.is_dir() and not any((folder / name).is_file() for name in _PROCESSOR_FILES):
        return published()
    # Releases before the backends had names call the one with Pillow the slow one.
    named = find_spec("transformers.image_processing_backends") is not None
    choice: dict[str, Any] = {"backend": BACKEND} if named else {"use_fast": False}
    try:
        made = AutoImageProcessor.from_pretrained(source, trust_remote_code=False, **choice)
    except Exception as error:  # a foreign checkpoint can fail in any way
        reason = (str(error).strip().splitlines() or [""])[0][:160]
        raise CheckpointError(f"the image processor cannot be loaded: {reason}", where=source) from error
    if any(base.__name__ in ("TorchvisionBackend", "BaseImageProcessorFast") for base in type(made).__mro__):
        raise CheckpointError(f"{type(made).__name__} cannot prepare pictures with Pillow", where=source)
    return made


def prepared(processor: Any, picture: npt.NDArray[np.uint8]) -> Any:
    """What an image processor makes of an RGB picture (height, width, 3): ``pixel_values`` and more, as tensors."""
    from PIL import Image

    # Said, not guessed: a picture one or three pixels high could be taken for one whose channels come first.
    return processor(Image.fromarray(picture), return_tensors="pt", input_data_format="channels_last")


def picture_details(processor: Any) -> dict[str, str]:
    """What stands of an image processor in the provenance of masks; the same in all releases of version 5."""
    return {"image_processor": type(processor).__name__.removesuffix("Pil"), "backend": BACKEND}
