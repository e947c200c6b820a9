"""States of an unfinished training, so that a killed one goes on with the same losses.

A state is a folder that the Trainer writes: trainable weights, optimiser, schedule, random generators, the log. It
counts once it is sealed with the digests of its files; until then the one before it is kept. Seals are bound to the
training: another training's state is refused. Everything is read as plain tensors or JSON, never unpickled.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.files import refuse_pipes, write_bytes

SEAL = "seal.json"
_WEIGHTS = "trainable.safetensors"
_THREADS = "threads.json"


def write_weights(model: Any, folder: Path) -> None:
    """Write a model's trainable weights, in their own precision."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    save_file(state, folder / _WEIGHTS, metadata={"format": "pt"})


def read_weights(model: Any, folder: Path) -> None:
    """Put the weights of :func:`write_weights` back into a model.

    Raises:
        CheckpointError: the model has other trainable weights.
    """
    import torch
    from safetensors.torch import load_file

    state = load_file(folder / _WEIGHTS)
    places = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if {name: value.shape for name, value in state.items()} != {name: p.shape for name, p in places.items()}:
        raise CheckpointError("the state has other weights than the model", where=folder, do="delete it to start anew")
    with torch.no_grad():
        for name, p in places.items():
            p.copy_(state[name])


def write_threads(folder: Path) -> None:
    """Note the number of torch's threads: sums are split among them, so that losses depend on it in the last digits."""
    import torch

    write_bytes(folder / _THREADS, json.dumps({"threads": torch.get_num_threads()}).encode("utf-8"))


@contextmanager
def threads_of(folder: Path | None) -> Iterator[None]:
    """Compute with as many threads as the training began with; with those of now where no state says so.

    Args:
        folder: of a sealed state; None where the training begins.
    """
    import torch

    own = torch.get_num_threads()
    if folder is not None and (folder / _THREADS).is_file():
        torch.set_num_threads(int(json.loads((folder / _THREADS).read_text(encoding="utf-8"))["threads"]))
    try:
        yield
    finally:
        torch.set_num_threads(own)


def seal(folder: Path, training: str) -> None:
    """Say that a state is whole, with the digests of its files."""
    files = {path.name: _digest(path) for path in sorted(folder.iterdir()) if path.name != SEAL}
    write_bytes(folder / SEAL, json.dumps({"training": training, "files": files}, indent=1).encode("utf-8"))


def last_state(folder: Path, training: str) -> Path | None:
    """The newest sealed state in a folder, or None; states without a seal were cut off and are removed.

    Raises:
        CheckpointError: it is damaged, or belongs to another training.
    """
    found = sorted(folder.glob("checkpoint-*"), key=_step) if folder.is_dir() else []
    for path in reversed(found):
        if not (path / SEAL).is_file():
            shutil.rmtree(path, ignore_errors=True)
            continue
        _check(path, training)
        return path
    return None


def _step(path: Path) -> int:
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def _check(path: Path, training: str) -> None:
    refuse_pipes(path, CheckpointError)
    try:
        content = json.loads((path / SEAL).read_text(encoding="utf-8"))
        bound, files = content["training"], dict(content["files"])
        whole = all(_digest(path / Path(name).name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        whole, bound = False, training
    if not whole:
        raise CheckpointError(
            "the state of the training is damaged", where=path, do="delete it to go on from the one before, or anew"
        )
    if bound != training:
        raise CheckpointError(
            "the folder holds the state of another training",
            where=path.parent,
            do="give the same command as before, delete the folder, or choose another --output",
        )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
