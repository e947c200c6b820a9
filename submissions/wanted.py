"""What a submission is made of, beside the run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gi_bench.harness.errors import GiBenchError
from gi_bench.submissions.editions import Edition
from gi_bench.submissions.info import Team

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True)
class Weights:
    """Where the run's weights are, and under which licence.

    Attributes:
        checkpoint, backbone: as they were given to the run.
        licence: of what is submitted; empty for what the weights' own cards say.
    """

    checkpoint: str | None = None
    backbone: str | None = None
    licence: str = ""


@dataclass(frozen=True)
class Wanted:
    """What a submission of either subtask is made of, beside the run.

    Attributes:
        edition: the challenge.
        team: who submits.
        repository: Hub id that it will be pushed to.
        weights: of the run.
    """

    edition: Edition
    team: Team
    repository: str
    weights: Weights = Weights()


def check_repository(repository: str) -> str:
    """The id of a repository of the Hub.

    Raises:
        GiBenchError: it is not ``user/name``.
    """
    if not _REPOSITORY.fullmatch(repository) or "--" in repository or ".." in repository:
        raise GiBenchError("not the id of a repository of the Hub", where=f"--repo {repository}",
                           do="give it as user/name")  # fmt: skip
    return repository


__all__ = ["Wanted", "Weights", "check_repository"]
