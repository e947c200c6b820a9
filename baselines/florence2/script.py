"""A Florence-2 variant as the part of a submission's script that answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.florence2 import prompts, remote_names
from gi_bench.baselines.florence2.adapter_config import CONFIG, WEIGHTS
from gi_bench.baselines.florence2.adapters import CARD, read_card
from gi_bench.baselines.florence2.backbone import HUB_ID, resolve, weights_digest
from gi_bench.harness.errors import CheckpointError, UnfitRunError
from gi_bench.harness.files import file_digest
from gi_bench.harness.standalone import Part, Script

if TYPE_CHECKING:
    from gi_bench.harness.standalone import ScriptRequest

_LINE = "# " + "-" * 118 + "\n"
_PACKAGES = ("torch", "transformers", "tokenizers", "peft", "safetensors", "huggingface_hub", "numpy", "pillow")
# Of a backbone, what transformers reads; a model card or a preview is left where it is.
_BACKBONE_FILES = ("*.json", "*.safetensors", "*.txt")
_BATCH = 24
# As on the page of the model at the Hub.
_LICENCES = {HUB_ID: "mit"}


def script(request: ScriptRequest, backbone: str | Path, adapter: Path | None) -> Script:
    """The script of a run.

    Args:
        request: what it is for.
        backbone: folder or Hub id (``owner/name[@revision]``).
        adapter: its folder; None for the bare backbone.

    Raises:
        CheckpointError: weights are missing, or not those of the run.
        UnfitRunError: the run's manifest does not say how it was decoded.
    """
    settings = request.manifest.recipe.model
    decoding = settings.get("decoding")
    if not isinstance(decoding, Mapping):
        raise UnfitRunError("the run does not say how it was decoded", where=request.manifest.recipe.variant,
                            do="run the variant again")  # fmt: skip
    folder = resolve(backbone)
    _check(folder, settings.get("backbone_digest"), "backbone", "--backbone")
    source, revision, files, digests = _placed(folder, backbone, request.repository)
    parts = [Part("backbone", f"{source}@{revision}" if revision else "backbone/", _licence(folder, source))]
    added: list[str] = []
    if adapter is not None:
        _check(adapter, settings.get("adapter_digest"), "adapter", "--checkpoint")
        own = _adapter_files(adapter, source)
        digests |= {name: _digest(content) for name, content in own.items()}
        files |= own
        added = list(read_card(adapter).get("added_tokens") or [])
        parts.append(Part("adapter", f"{CONFIG}, {WEIGHTS}", _licence(adapter)))
    return Script(
        _code(),
        {
            "REPOSITORY": request.repository,
            "REVISION": "main",
            "BACKBONE": source,
            "BACKBONE_REVISION": revision or "main",
            "FILES": digests,
            "HAS_ADAPTER": adapter is not None,
            "ADDED_TOKENS": added,
            "PROMPT": prompts.answer_prompt("{question}"),
            "GENERATION": _generation(decoding, folder),
            "DTYPE": request.manifest.recipe.dtype,
        },
        files,
        _PACKAGES,
        tuple(parts),
        request.manifest.batch_size or _BATCH,
    )


def _check(folder: Path, expected: object, what: str, option: str) -> None:
    found = weights_digest(folder)
    if found != expected:
        raise CheckpointError(
            f"the run's {what} was {expected}, this is {found}", where=folder, do=f"give the run's own with {option}"
        )


def _placed(
    folder: Path, given: str | Path, repository: str
) -> tuple[str, str, dict[str, Path | bytes], dict[str, str]]:
    """Where the script finds the backbone: repository, its commit (empty if it goes along), files to send, digests."""
    names = sorted({path.name for pattern in _BACKBONE_FILES for path in folder.glob(pattern) if path.name != CARD})
    digests = {f"backbone/{name}": file_digest(folder / name) for name in names}
    if folder.parent.name == "snapshots" and not Path(given).is_dir():
        return str(given).partition("@")[0], folder.name, {}, digests
    return repository, "", {f"backbone/{name}": folder / name for name in names}, digests


def _adapter_files(folder: Path, backbone: str) -> dict[str, Path | bytes]:
    """Weights and configuration under the native names, without a path of this machine."""
    from safetensors.torch import load_file, save

    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = backbone
    weights: Path | bytes = folder / WEIGHTS
    tensors = load_file(folder / WEIGHTS)
    if any(remote_names.is_remote(name) for name in tensors):
        tensors = remote_names.native_tensors(tensors)
        bare = (name.removeprefix(remote_names.PEFT_PREFIX).rsplit(".lora_", 1)[0] for name in tensors)
        config["target_modules"] = sorted(set(bare))
        weights = save(tensors, metadata={"format": "pt"})
    for key in ("auto_mapping", "revision"):
        config.pop(key, None)
    return {CONFIG: json.dumps(config, indent=2, sort_keys=True).encode("utf-8") + b"\n", WEIGHTS: weights}


def _digest(content: Path | bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else file_digest(content)


def _generation(decoding: Mapping[str, Any], backbone: Path) -> dict[str, Any]:
    """Arguments of ``generate`` for the rules that the run's search had."""
    config = json.loads((backbone / "config.json").read_text(encoding="utf-8"))
    room = int(config.get("text_config", {}).get("max_position_embeddings", 1024)) - 1
    beams = int(decoding["beams"])
    return {
        "num_beams": beams,
        "do_sample": False,
        "early_stopping": beams > 1,
        "max_new_tokens": min(int(decoding["answer_tokens"]), room),
        "forced_bos_token_id": decoding.get("forced_first"),
        "forced_eos_token_id": decoding.get("forced_last"),
        "no_repeat_ngram_size": decoding.get("no_repeat") or 0,
        "length_penalty": decoding.get("length_penalty", 1.0),
    }


def _code() -> str:
    """The standalone module without its own settings."""
    from gi_bench.baselines.florence2 import standalone

    text = Path(str(standalone.__file__)).read_text(encoding="utf-8")
    head, body = text.split(_LINE, 1)
    imports = head.split('"""', 2)[2].split("# Settings", 1)[0]
    return imports.strip() + "\n" + body


def _licence(folder: Path, source: str = "") -> str:
    """The licence that a model card's header names, or that of a backbone whose card is not fetched; else empty."""
    if source in _LICENCES:
        return _LICENCES[source]
    try:
        lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    if not lines or lines[0].strip() != "---":
        return ""
    for line in lines[1:60]:
        if line.strip() == "---":
            break
        key, colon, value = line.partition(":")
        if colon and key in ("license", "license_name"):
            return value.strip().strip("'\"")
    return ""
