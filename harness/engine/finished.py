"""Finds the finished run that a call would make, without building the model: nothing is loaded where nothing is new.

A run is found only if everything that decides it is known and equal: code, packages, suite, teacher, settings and the
files that the model says it is built from; and if no file of the run has changed since it was finished.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness import provenance
from gi_bench.harness.model import BuildContext
from gi_bench.harness.registry import ModelEntry
from gi_bench.harness.store import made_parts, pictures_path
from gi_bench.harness.suites.base import Suite


@dataclass(frozen=True)
class Request:
    """One model of one call.

    Attributes:
        key: of everything that decides the run; None where that is not known.
        suite: what it runs on.
        output: parent of the run folders.
    """

    key: str | None
    suite: Suite
    output: Path

    def find(self) -> Path | None:
        """The folder of the finished run, untouched; None where there is none, or its suite's pictures are gone."""
        if self.key is None:
            return None
        found = provenance.recall(self.key)
        folder = self.output / found if isinstance(found, str) else None
        if folder is None or not provenance.is_current(made_parts(folder), self.key):
            return None
        pictures = not self.suite.has_images or pictures_path(folder, self.suite.fingerprint).is_file()
        return folder if pictures else None

    def finished(self, folder: Path) -> None:
        """Note the run that was just finished."""
        if self.key is not None:
            # Below the output, as the caller writes it: a run that is found has the path of one that is made.
            provenance.keep(self.key, folder.relative_to(self.output).as_posix())
            provenance.remember(made_parts(folder), self.key)


def request(
    entry: ModelEntry, context: BuildContext, asked: dict[str, Any], files: list[Path], output: Path
) -> Request:
    """What a call asks of one model.

    Args:
        entry: the model.
        context: what it would be built from.
        asked: the call's settings, as plain values.
        files: given by the user, beside those that the model names.
        output: parent of the run folders.
    """
    teacher = context.train_suite
    own = entry.files(context) if entry.files is not None else None
    taught = None if teacher is None else [teacher.name, teacher.known_fingerprint]
    if own is None or not provenance.is_ours(entry.build) or (taught is not None and taught[1] is None):
        return Request(None, context.suite, output)
    try:
        content = provenance.content_of([*own, *files])
    except OSError:
        return Request(None, context.suite, output)
    return Request(
        provenance.digest_of(
            "run",
            entry.name,
            [context.suite.name, context.suite.fingerprint],
            taught,
            [context.device, context.dtype, context.seed, context.checkpoint, context.backbone, context.beams],
            context.ignore_rules,
            asked,
            content,
            str(output.resolve()),
        ),
        context.suite,
        output,
    )


__all__ = ["Request", "request"]
