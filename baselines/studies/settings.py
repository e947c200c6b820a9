"""How the arms of studies are trained and run, and where what they make is kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gi_bench.baselines.registration import backbone_source
from gi_bench.harness.registry import suite_spec

# Answer rows of an optimiser step and steps on embedded suites, where a first arm has to be there within minutes.
EMBEDDED_ROWS = 16
EMBEDDED_STEPS = 240


@dataclass(frozen=True)
class Settings:
    """How the arms are trained and run.

    Attributes:
        suite: suite that is run on.
        train_suite: suite that is trained on.
        data: folder with their files; None for embedded ones.
        backbone: as for ``gi-bench run``; None for the suite's own.
        epochs, steps: length of a training; None for the backbone's own, steps instead of epochs. An epoch is one pass
            over the answers.
        rows: answer rows of an optimiser step; None for :data:`EMBEDDED_ROWS`, or the backbone's own.
        device: ``auto``, ``cpu`` or ``cuda``.
        beams: while answering; None for the variant's own.
        explanations: file of ``gi-bench data explanations``: for suites without, and for arms that ask for it.
        limit: images of the suite that are run on; None for all.
        train_limit: images of the training suite; None for all.
        seeing: whether it is measured what the arms still see.
    """

    suite: str
    train_suite: str
    data: Path | None = None
    backbone: str | None = None
    epochs: int | None = 1
    steps: int | None = None
    rows: int | None = None
    device: str = "auto"
    beams: int | None = None
    explanations: Path | None = None
    limit: int | None = None
    train_limit: int | None = None
    seeing: bool = False

    @property
    def answer_rows(self) -> int | None:
        """Answer rows of an optimiser step; None for the backbone's own."""
        if self.rows is None and suite_spec(self.train_suite).is_embedded:
            return EMBEDDED_ROWS
        return self.rows

    def describe(self) -> dict[str, Any]:
        """The settings as plain values, without this machine's paths."""
        plain = asdict(self)
        for name in ("data", "device", "backbone"):
            plain.pop(name)
        plain["rows"] = self.answer_rows
        plain["backbone"] = backbone_source(self.backbone, suite_spec(self.suite))[0]
        plain["explanations"] = self.explanations_digest
        return plain

    @property
    def explanations_digest(self) -> str | None:
        """SHA-256 of the user's explanations, or None."""
        return None if self.explanations is None else hashlib.sha256(self.explanations.read_bytes()).hexdigest()

    def training(self) -> dict[str, Any]:
        """What all arms' weights and answers depend on; explanations matter to those arms only that take the file."""
        return {name: value for name, value in self.describe().items() if name not in ("explanations", "seeing")}

    def folder(self, parent: Path) -> Path:
        """Where runs and adapters with these settings lie."""
        return parent / f"{self.suite.replace('/', '-')}-{digest_of(self.training())}"


def digest_of(what: Any) -> str:
    """Eight hexadecimal digits that tell plain values apart."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode("utf-8")).hexdigest()[:8]


def length(epochs: int | None, steps: int | None, train_suite: str) -> tuple[int | None, int | None]:
    """Epochs and steps of a training, one of them None, from what a user gave of them; steps count where both are."""
    if steps is not None:
        return None, steps
    if epochs is None and suite_spec(train_suite).is_embedded:
        return None, EMBEDDED_STEPS
    return epochs or 1, None
