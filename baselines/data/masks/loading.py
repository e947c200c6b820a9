"""Loading of segmentation checkpoints: safetensors, no remote code, one line where it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gi_bench.harness.devices import use_threads
from gi_bench.harness.errors import CheckpointError


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
