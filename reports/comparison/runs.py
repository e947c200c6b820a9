"""The runs of a page: which may stand beside each other, what they are called, and which one is the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness.analysis.bounds import bounds_beside, labels
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.store import Run, open_run
from gi_bench.reports.bounds import marked
from gi_bench.reports.pages import visible
from gi_bench.reports.palette import run_color, run_shape

_ORDER = ("model", "floor", "ceiling")
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Entry:
    """One run of a page.

    Attributes:
        name: what the page calls it: printable, and no other run's.
        run: the run.
        number: its place on the page, which gives its colour and its mark.
    """

    name: str
    run: Run
    number: int

    @property
    def role(self) -> str:
        """``model``, ``floor`` or ``ceiling``."""
        return self.run.role


@dataclass(frozen=True)
class Given:
    """All runs of a page.

    Attributes:
        entries: models, then floors, then ceilings, each in the order given.
        baseline: what the others are held against; None where there is only one run.
        why: how the baseline was chosen, in words.
        beside: the floors that stand on the page, or else those that lie beside the runs.
    """

    entries: tuple[Entry, ...]
    baseline: Entry | None
    why: str
    beside: tuple[Entry, ...]

    def of_role(self, *roles: str) -> tuple[Entry, ...]:
        """The runs with one of these roles."""
        return tuple(entry for entry in self.entries if entry.role in roles)

    @property
    def models(self) -> tuple[Entry, ...]:
        """The models; where there are none, whatever there is."""
        return self.of_role("model") or self.entries

    @property
    def scored(self) -> tuple[Entry, ...]:
        """Models and floors, which have the same rows: a ceiling has its own. All where there is nothing else."""
        return self.of_role("model", "floor") or self.entries

    def for_scripts(self) -> list[dict[str, Any]]:
        """What the page's scripts know of its runs."""
        return [
            {
                "name": entry.name,
                "color": run_color(entry.number),
                "shape": run_shape(entry.number),
                "role": entry.role,
            }
            for entry in self.entries
        ]


def load_runs(paths: Sequence[Path]) -> list[Run]:
    """Open runs that may stand beside each other.

    Raises:
        GiBenchError: no run given, a folder is not a run or has no scores, or suites or rows differ.
    """
    if not paths:
        raise GiBenchError("no run given", do="give at least one folder that gi-bench run wrote")
    runs = [open_run(path) for path in dict.fromkeys(Path(path) for path in paths)]
    first = runs[0]
    for run in runs:
        _ = run.scores
        if run.fingerprint != first.fingerprint:
            raise GiBenchError(
                f"runs on different suites cannot be compared: {run.suite} {run.fingerprint[:12]} "
                f"and {first.suite} {first.fingerprint[:12]}",
                where=run.path,
                do="make one report a suite",
            )
    _check_rows(runs)
    return runs


def _check_rows(runs: Sequence[Run]) -> None:
    """Refuse runs that were asked other questions: their numbers never share a table. A ceiling has its own rows."""
    first = runs[0]
    for run in runs[1:]:
        if run.recipe.limit != first.recipe.limit:
            what = f"{_limit(run)} and {_limit(first)}"
        elif "ceiling" in (run.role, first.role):
            continue
        elif [q.index for q in run.questions] != [q.index for q in first.questions]:
            what = f"{len(run.questions)} and {len(first.questions)} questions, or others"
        elif run.phrases and first.phrases and [p.index for p in run.phrases] != [p.index for p in first.phrases]:
            what = f"{len(run.phrases)} and {len(first.phrases)} phrases, or others"
        else:
            continue
        raise GiBenchError(
            f"runs over different rows cannot be compared: {what}",
            where=f"{run.path} and {first.path}",
            do="make one report for each --limit",
        )


def _limit(run: Run) -> str:
    limit = run.recipe.limit
    return "all questions" if limit is None else f"the first {limit} questions"


def names_of(runs: Sequence[Run]) -> list[str]:
    """Names of runs: the variant, with the folder's ending where a variant occurs twice; bounds are marked.

    Hidden characters are shown, long names lose their end, and no two are the same.
    """
    names: list[str] = []
    for label, run in zip(labels(runs), runs, strict=True):
        shown = visible(label).replace("\n", "\\n")
        name = first = marked(shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…", run)
        number = 1
        while name in names:
            number += 1
            name = f"{first} [{number}]"
        names.append(name)
    return names


def given_runs(paths: Sequence[Path], baseline: str | None = None) -> Given:
    """The runs of a page, in its order.

    Args:
        paths: folders of finished runs.
        baseline: name, variant or folder of the run that the others are held against; None for the first model that
            learnt to answer only, or else the first run.

    Raises:
        GiBenchError: see :func:`load_runs`; no run, or several, are called like the baseline.
    """
    runs = load_runs(paths)
    order = sorted(range(len(runs)), key=lambda i: (_ORDER.index(runs[i].role), i))
    names = names_of(runs)
    entries = tuple(Entry(names[i], runs[i], number) for number, i in enumerate(order))
    chosen, why = _baseline(entries, baseline)
    floors = tuple(entry for entry in entries if entry.role == "floor")
    return Given(entries, chosen, why, floors or _floors_beside([run.path for run in runs], len(entries)))


def _floors_beside(paths: Sequence[Path], count: int) -> tuple[Entry, ...]:
    found = []
    for run in map(open_run, bounds_beside(paths)):
        if run.role == "floor" and (run.path / "scores.json").is_file():
            found.append(run)
    return tuple(
        Entry(name, run, count + number) for number, (name, run) in enumerate(zip(names_of(found), found, strict=True))
    )


def _baseline(entries: Sequence[Entry], wanted: str | None) -> tuple[Entry | None, str]:
    if wanted is not None:
        found = [entry for entry in entries if wanted in _called(entry)]
        if len(found) == 1:
            return found[0], "chosen with --baseline"
        raise GiBenchError(
            f"{'no run is' if not found else f'{len(found)} runs are'} called {visible(wanted)}",
            where="--baseline",
            do=f"name one of {', '.join(entry.name for entry in entries)}",
        )
    models = [entry for entry in entries if entry.role == "model"]
    if len(entries) < 2 or not models:
        return None, ""
    for entry in models:
        if list(entry.run.recipe.model.get("trained_on") or ()) == ["answer"]:
            return entry, "the first run that learnt to answer only; --baseline NAME chooses another"
    return models[0], "the first run given; --baseline NAME chooses another"


def _called(entry: Entry) -> tuple[str, ...]:
    return entry.name, entry.run.variant, entry.run.path.name, str(entry.run.path)


__all__ = ["Entry", "Given", "given_runs", "load_runs", "names_of"]
