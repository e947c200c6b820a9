"""What every export says of a run: its scores, its notes and its dates, and texts that any format can hold."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness.analysis.definitions import headlines, older_note
from gi_bench.harness.errors import RunError
from gi_bench.harness.schema import MetricInfo, Score
from gi_bench.harness.store import Run, open_run

# What `run --predictions` writes into a recipe.
_IMPORTED = "predictions of a file"
# As pages have them.
_GROUPS = ("answers", "facts", "regions", "negatives", "explanations", "confidence")


@dataclass(frozen=True)
class Source:
    """A finished run, read and checked.

    Attributes:
        run: the run.
        created: when it was started, in UTC.
        notes: what must be said wherever its numbers go, a sentence each without a full stop.
    """

    run: Run
    created: datetime.datetime
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the variant, as text that can be written."""
        return str(writable(self.run.variant))

    @property
    def infos(self) -> dict[str, MetricInfo]:
        """Stored descriptions of the metrics, by name."""
        return {info.name: info for info in self.run.scores.metrics}

    def scores(self, *, headline_only: bool = False) -> list[Score]:
        """Scores over all rows that have a value, headline metrics first, and answers first among them.

        Args:
            headline_only: without the others; all of them where none is a headline.
        """
        first = headlines(self.infos.values())
        whole = [one for one in self.run.scores.scores if one.slice_by == "all"]
        found = [one for one in whole if one.value is not None and math.isfinite(one.value)]
        groups = {name: _GROUPS.index(info.group) for name, info in self.infos.items() if info.group in _GROUPS}
        found.sort(key=lambda one: (one.metric not in first, groups.get(one.metric, len(_GROUPS))))
        chosen = [one for one in found if one.metric in first]
        return chosen if headline_only and chosen else found

    @property
    def finished(self) -> datetime.datetime | None:
        """When the model was done, as far as its seconds tell; None where they are not known."""
        seconds = self.run.manifest.seconds
        try:
            return None if seconds is None else self.created + datetime.timedelta(seconds=seconds)
        except (OverflowError, ValueError):
            return None


def read_source(path: Path) -> Source:
    """Open a run that is going to be exported.

    Raises:
        RunError: it is not a run, has no scores, was changed, or does not say when it was made.
    """
    run = open_run(path)
    _ = run.scores
    notes = [*run.check_files(), run.digest_note, *run.scores.notes, *_own_notes(run), older_note(run.scores)]
    told = tuple(dict.fromkeys(writable(note) for note in notes if note))
    return Source(run, _created(run), told)


def _created(run: Run) -> datetime.datetime:
    told = run.manifest.created
    try:
        # Python 3.10 does not read the Z of ISO 8601.
        found = datetime.datetime.fromisoformat(told.removesuffix("Z") + ("+00:00" if told.endswith("Z") else ""))
        found = found.replace(tzinfo=found.tzinfo or datetime.timezone.utc)
        return found.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError) as error:
        raise RunError(
            f"the run does not say when it was made: {told[:60]!r} is no date",
            where=run.path / "manifest.json",
            do="put the original back",
        ) from error


def _own_notes(run: Run) -> list[str]:
    """What an export has to say of a run, whatever the notes of its scores hold."""
    found = []
    limit, model = run.recipe.limit, run.recipe.model
    if limit is not None:
        found.append(f"partial run: only the first {limit} questions")
    if not run.manifest.complete:
        found.append("the run is not finished: missing predictions count as empty")
    if model.get("kind") == _IMPORTED:
        file = str(model.get("file", ""))[:200]
        digest = str(model.get("sha256", ""))[:64]
        found.append(f"imported predictions: gi-bench read them from the file {file} (SHA-256 {digest}), no model ran")
    hidden = sum(question.answer is None for question in run.questions)
    if hidden:
        found.append(f"the references of {hidden:,} of {len(run.questions):,} questions are hidden: no answer to them "
                     "is scored")  # fmt: skip
    if run.role == "floor":
        found.append(f"{run.variant} is no model: it never looks at an image")
    return found


def writable(value: Any) -> Any:
    """A value that JSON and YAML can hold: halves of surrogate pairs become their codes, what is no number None.

    Args:
        value: text, or objects and lists of what JSON can hold.

    >>> writable({"a": ["\\ud800b"]})
    {'a': ['\\\\ud800b']}
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {writable(str(key)): writable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [writable(one) for one in value]
    return value


__all__ = ["Source", "read_source", "writable"]
