"""What a model has to give so that a script without gi-bench answers as it does: for challenges that run scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gi_bench.harness.schema import Manifest


@dataclass(frozen=True)
class ScriptRequest:
    """What a script is made for.

    Attributes:
        manifest: of the run whose answers it has to give.
        repository: Hub id of the repository that the files will lie in.
        checkpoint, backbone: as they were given to the run; None for what it takes by itself.
    """

    manifest: Manifest
    repository: str
    checkpoint: str | Path | None = None
    backbone: str | Path | None = None


@dataclass(frozen=True)
class Part:
    """A thing that a submission rests on: its name, where it is from, and under which licence ("" if nobody says)."""

    name: str
    source: str
    licence: str = ""


@dataclass(frozen=True)
class Script:
    """A model in one file.

    Attributes:
        code: Python source; it defines ``load_model(device)``, whose result has ``answer(questions, images,
            keys)``: lists of texts, of RGB pictures and of image ids, to a list of answers.
        settings: names that the code reads, with plain values; they are written above it.
        files: what the repository has to hold beside the script, by path in it.
        packages: distributions that the code needs; those of the run are pinned.
        parts: weights that it uses.
        batch_size: questions at once on a GPU; one on a CPU.
    """

    code: str
    settings: Mapping[str, Any]
    files: Mapping[str, Path | bytes]
    packages: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    batch_size: int = 1
    notes: tuple[str, ...] = field(default=())


__all__ = ["Part", "Script", "ScriptRequest"]
