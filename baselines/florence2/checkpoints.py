"""State of an unfinished training, so that a killed one goes on with the same losses.

Trainable weights, optimiser, both random generators and the step are one file, moved into place when it is complete.
It is bound to the recipe: another recipe's state is refused. The file is read as plain tensors, never unpickled.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import CheckpointError, RunError

STATE = "state.pt"


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often the state is kept.

    Attributes:
        folder: folder of the state; removed when training is over.
        recipe: digest of everything that decides the weights.
        every: steps between two states.
    """

    folder: Path
    recipe: str
    every: int = 100

    def save(self, step: int, parameters: Mapping[str, Any], optimiser: Any, random: np.random.Generator) -> None:
        """Keep the state after ``step`` steps.

        Raises:
            RunError: the disk is full or the folder cannot be written; the state before is still there.
        """
        import torch

        state = {
            "recipe": self.recipe,
            "step": step,
            "parameters": {name: value.detach().cpu() for name, value in parameters.items()},
            "optimiser": optimiser.state_dict(),
            "numpy": json.dumps(random.bit_generator.state),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        name = ""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(handle, "wb") as stream:
                torch.save(state, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, self.folder / STATE)
        except (OSError, RuntimeError) as error:
            if name:
                Path(name).unlink(missing_ok=True)
            raise RunError(
                f"cannot keep the state of the training: {str(error)[:120]}",
                where=self.folder,
                do="make room, then give the same command again: it goes on from the last state",
            ) from error

    def load(self, parameters: Mapping[str, Any], optimiser: Any, random: np.random.Generator) -> int:
        """Restore the state.

        Returns:
            The number of steps done; 0 where there is no state.

        Raises:
            CheckpointError: the state is damaged, or belongs to another recipe.
        """
        import torch

        path = self.folder / STATE
        if not path.is_file():
            return 0
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            recipe, step = state["recipe"], int(state["step"])
        except Exception as error:  # whatever a damaged archive raises
            raise CheckpointError(
                f"the state of the training is damaged: {type(error).__name__}",
                where=path,
                do="delete it to start anew",
            ) from error
        if recipe != self.recipe:
            raise CheckpointError(
                "the folder holds the state of another recipe",
                where=self.folder,
                do="give the same command as before, delete the state, or choose another --output",
            )
        if set(state["parameters"]) != set(parameters):
            raise CheckpointError(
                "the state has other weights than the model", where=path, do="delete it to start anew"
            )
        with torch.no_grad():
            for name, value in parameters.items():
                value.copy_(state["parameters"][name])
        optimiser.load_state_dict(state["optimiser"])
        random.bit_generator.state = json.loads(state["numpy"])
        torch.set_rng_state(state["torch"])
        if state["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda"])
        return step

    def clear(self) -> None:
        """Remove the state."""
        import shutil

        shutil.rmtree(self.folder, ignore_errors=True)
