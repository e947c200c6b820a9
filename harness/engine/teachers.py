"""What floors and ceilings learn from."""

from __future__ import annotations

from pathlib import Path

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import ModelEntry, load_suite
from gi_bench.harness.suites.base import Suite


class Teachers:
    """The suites that floors and ceilings learn from; each is loaded once, and only for models that ask for one."""

    def __init__(
        self, suite: Suite, name: str | None, data: Path | str | None, elsewhere: Path | str | None = None
    ) -> None:
        self._suite, self._name, self._data, self._elsewhere = suite, name, data, elsewhere
        self._loaded: dict[str, Suite | None] = {}

    def of(self, entry: ModelEntry) -> Suite | None:
        """The teacher of a model: named by the user, made from the suite (a split's train side), or the suite's own.

        Raises:
            GiBenchError: it cannot be loaded.
        """
        if not entry.learns_from:
            return None
        suite = self._suite
        wanted = self._name
        if wanted is None:
            if "" not in self._loaded and self._elsewhere is None:
                self._loaded[""] = suite.teacher()
            if self._loaded.get("") is not None:
                return self._loaded[""]
            wanted = (suite.mask_suite if entry.learns_from == "masks" else None) or suite.train_suite
        if wanted is None or (wanted == suite.name and self._elsewhere is None):
            return None if wanted is None else suite
        if wanted not in self._loaded:
            self._loaded[wanted] = self._load(entry.name, wanted)
        return self._loaded[wanted]

    def _load(self, model: str, wanted: str) -> Suite:
        try:
            return load_suite(wanted, self._elsewhere or self._data)
        except GiBenchError as error:
            if self._name is not None or self._elsewhere is not None:
                raise
            raise GiBenchError(
                f"{model} learns from {wanted}, which cannot be loaded: {error.what}",
                where=error.where,
                do=f"give its folder with --data, or --train-suite {self._suite.name} to learn from the other images "
                "of this suite",
            ) from error
