"""Models, suites, metrics and sub-commands by name, from entry points and plugin files.

An entry point of one of the four groups refers to an entry, an iterable of entries, or a function without
arguments that returns either. A plugin file (``--plugin path/to/file.py``) has the same things in module
variables ``MODELS``, ``SUITES`` and ``METRICS``. Our own variants, suites, metrics and commands come in the
same way.
"""

from __future__ import annotations

import difflib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gi_bench.harness.errors import GiBenchError, UnknownNameError
from gi_bench.harness.files import file_digest
from gi_bench.harness.model import BuildContext, Model
from gi_bench.harness.schema import Task

if TYPE_CHECKING:
    from gi_bench.harness.standalone import Script, ScriptRequest
    from gi_bench.harness.suites.base import Suite, SuiteEntry
    from gi_bench.harness.suites.specs import SuiteSpec

GROUPS = ("gi_bench.models", "gi_bench.suites", "gi_bench.metrics", "gi_bench.commands")
# What a model may be: one that looks, or a bound that never looks (floor) or knows the references (ceiling).
Role = Literal["model", "floor", "ceiling"]
_PLUGIN_VARIABLES = {"gi_bench.models": "MODELS", "gi_bench.suites": "SUITES", "gi_bench.metrics": "METRICS"}


# Keys that were looked up in ``details`` once -> the field that declares them.
_DECLARED = {
    "role": "role='floor'",
    "needs_image": "needs_image=False",
    "needs_train_suite": "learns_from='rows'",
    "bounds": "bounds=('answer',)",
}


@dataclass(frozen=True)
class ModelEntry:
    """A registered model variant.

    Attributes:
        name: what the user types.
        summary: one line for ``gi-bench models``.
        tasks: what it can do.
        build: makes the model; heavy imports belong in here.
        details: shown by ``gi-bench models --json`` (rank, backbone, ...) and by nothing else.
        files: the files that decide, beside the code of this package, its version and the context, what ``build``
            makes: an unchanged finished run is then found without building the model. It returns None where that
            cannot be said without building; without ``files`` the model is always built.
        role: ``floor`` for a variant that never looks, ``ceiling`` for one that knows the references.
        needs_image: False for a variant that never looks.
        learns_from: what it learns from the suite's training suite: ``rows``, ``masks``, or nothing.
        bounds: tasks that a floor or ceiling bounds; None for all that it has.
        script: how the variant answers without gi-bench, for challenges that run scripts; None if it cannot say.
        check: raises a :class:`GiBenchError` for what ``build`` would refuse, as far as that shows without loading
            much: of several models the last is looked at before the first starts. None where only ``build`` can tell.
        state: whether it can run here and now, for ``gi-bench models``: ``tiny`` (the embedded suite) and ``base``
            (real data) to ``ready``, or to what it needs first, one of ``training``, ``weights``, ``Hub`` and ``data``.
            It looks at files only. None where nobody can say.

    Raises:
        GiBenchError: the details hold what has a field of its own.
    """

    name: str
    summary: str
    tasks: tuple[Task, ...]
    build: Callable[[BuildContext], Model]
    details: Mapping[str, Any] = field(default_factory=dict)
    files: Callable[[BuildContext], Sequence[Path] | None] | None = None
    role: Role = "model"
    needs_image: bool = True
    learns_from: Literal["", "rows", "masks"] = ""
    bounds: tuple[Task, ...] | None = None
    script: Callable[[ScriptRequest], Script] | None = None
    check: Callable[[BuildContext], None] | None = None
    state: Callable[[], Mapping[str, str]] | None = None

    def __post_init__(self) -> None:
        for key, declared in _DECLARED.items():
            if key in self.details:
                raise GiBenchError(
                    f"details of the model {self.name} are shown only, and hold {key!r}",
                    do=f"declare it: ModelEntry(..., {declared})",
                )

    @property
    def bounded_tasks(self) -> tuple[Task, ...]:
        """Tasks that it is a floor or ceiling of; none for a model."""
        if self.role == "model":
            return ()
        return self.tasks if self.bounds is None else self.bounds


@dataclass(frozen=True)
class CommandEntry:
    """A registered sub-command.

    Attributes:
        name: verb after ``gi-bench``.
        summary: one line for ``gi-bench --help``.
        app: a function with typer annotations, or a ``typer.Typer`` with sub-commands of its own.
        after_run: called with the finished run folders at the end of ``gi-bench run``; returns lines of
            ``(what, path or command)`` to print. None if the command has nothing to add to a run.
        after_study: called with a finished study's folder (it holds ``study.json``) at the end of ``gi-bench study``;
            returns lines as ``after_run`` does.
        after_masks: called by ``gi-bench data masks --sheet`` with a table of masks, their suite and the page to write,
            on which an expert reviews them; returns lines as ``after_run`` does.
        order: place in ``gi-bench --help``, lowest first; commands of one place stand by name.
        examples: what somebody may want, and the command line for it; shown at the end of the command's ``--help``, and
            of those of its sub-commands that they begin with.
    """

    name: str
    summary: str
    app: Any
    after_run: Callable[[list[Path]], Sequence[tuple[str, Path | str]]] | None = None
    after_study: Callable[[Path], list[tuple[str, Path]]] | None = None
    after_masks: Callable[[Path, Suite, Path], list[tuple[str, Path]]] | None = None
    order: int = 100
    examples: Sequence[tuple[str, str]] = ()


_plugin_entries: dict[str, list[Any]] = {group: [] for group in GROUPS}
# Module name of a plugin file -> SHA-256 of the file that was executed, whatever becomes of it on disk.
_plugin_digests: dict[str, str] = {}


def plugin_digest(module: str) -> str | None:
    """SHA-256 of the plugin file that a module was made from; None for a module that is no plugin file."""
    return _plugin_digests.get(module)


def load_plugin(path: Path | str) -> None:
    """Execute a plugin file and register what it declares.

    Raises:
        GiBenchError: the file is missing, fails, or declares nothing.
    """
    path = Path(path)
    if not path.is_file():
        raise GiBenchError("plugin file not found", where=path, do="give the path of a .py file")
    name = f"gi_bench_plugin_{path.stem}_{abs(hash(str(path.resolve())))}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise GiBenchError("plugin is not a Python file", where=path, do="give the path of a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        _plugin_digests[name] = file_digest(path)
        spec.loader.exec_module(module)
    except Exception as error:
        raise GiBenchError(f"plugin failed: {type(error).__name__}: {error}", where=path) from error
    found = 0
    for group, variable in _PLUGIN_VARIABLES.items():
        entries = _entries(getattr(module, variable, ()))
        _plugin_entries[group].extend(entries)
        found += len(entries)
    if not found:
        raise GiBenchError(
            "plugin declares nothing", where=path, do="define MODELS, SUITES or METRICS as a list of entries"
        )


def _entries(value: Any) -> list[Any]:
    """An entry, an iterable of entries, or a function that gives either -> list of entries."""
    if callable(value) and not hasattr(value, "name"):
        value = value()
    if isinstance(value, Iterable) and not hasattr(value, "name"):
        return list(value)
    return [value]


def _load(point: EntryPoint) -> list[Any]:
    try:
        return _entries(point.load())
    except GiBenchError:
        raise
    except Exception as error:
        raise GiBenchError(
            f"plugin failed to load: {type(error).__name__}: {error}",
            where=f"entry point {point.name} = {point.value} of group {point.group}",
            do="repair or uninstall the package that declares it",
        ) from error


@lru_cache(maxsize=len(GROUPS))
def _points(group: str) -> tuple[EntryPoint, ...]:
    """A group's entry points; what is installed does not change while a process runs."""
    # One distribution may be seen twice (an editable install beside a wheel): equal points count once.
    points = {(point.name, point.value): point for point in entry_points(group=group)}
    return tuple(sorted(points.values(), key=lambda point: (point.name, point.value)))


def registered(group: str) -> dict[str, Any]:
    """All entries of a group by name, sorted by name; plugin files come after packages.

    Raises:
        GiBenchError: an entry fails to load, or two packages claim one name.
    """
    found: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for point in _points(group):
        for entry in _load(point):
            if entry.name in found:
                raise GiBenchError(
                    f"two plugins register the name {entry.name!r}",
                    where=f"{sources[entry.name]} and {point.value}",
                    do="uninstall one of them",
                )
            found[entry.name], sources[entry.name] = entry, point.value
    for entry in _plugin_entries[group]:
        found[entry.name] = entry
    return dict(sorted(found.items()))


def lookup(group: str, name: str, kind: str) -> Any:
    """One entry by name.

    Raises:
        UnknownNameError: nobody registered it; the message names the nearest ones.
    """
    entries = registered(group)
    if name in entries:
        return entries[name]
    raise unknown_name(name, entries, kind)


def unknown_name(name: str, known: Iterable[str], kind: str, listed_by: str = "") -> UnknownNameError:
    """The error for a name that is not among ``known``; ``listed_by`` is the command that lists them.

    Of what plugins bring, it says so: what is unknown may be in one that was not named.
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
    from_plugins = f"gi_bench.{kind}s" in _PLUGIN_VARIABLES
    listed_by = listed_by or (f"gi-bench {kind}s" if from_plugins else "")
    others = "; others come with --plugin FILE" if from_plugins else ""
    listed = f" (list them with: {listed_by}{others})" if listed_by else ""
    if near and not listed_by:  # no command lists them, and they are few
        hint += f" known: {', '.join(known)}"
    return UnknownNameError(f"unknown {kind} {name!r}", do=f"{hint}{listed}")


def model_entry(name: str) -> ModelEntry:
    """The registered model of that name."""
    entry = lookup("gi_bench.models", name, "model")
    assert isinstance(entry, ModelEntry)
    return entry


def load_suite(name: str, data: Path | str | None = None) -> Suite:
    """Load a suite by name.

    Args:
        name: e.g. ``phantom/test`` (``phantom`` means its test split); ``phantom/test@cross-wording`` is its view with
            the wordings of negatives and positives swapped.
        data: folder with the suite's files, for suites that are not embedded.

    Raises:
        UnknownNameError: no such suite.
        DataError: its files are missing or damaged.
    """
    from gi_bench.harness.suites.crossed import SUFFIX, CrossedSuite

    entries = registered("gi_bench.suites")
    if name.endswith(SUFFIX) and name not in entries:
        return CrossedSuite(load_suite(name.removesuffix(SUFFIX), data))
    suite: Suite = _suite_entry(name, entries).open(Path(data) if data is not None else None)
    return suite


def suite_spec(name: str) -> SuiteSpec:
    """What a suite is, without loading it; a view ``NAME@CONDITION`` is what its suite is, under that condition.

    Raises:
        UnknownNameError: no such suite.
    """
    from gi_bench.harness.suites.crossed import SUFFIX, crossed_spec
    from gi_bench.harness.suites.splits.suite import side_spec

    entries = registered("gi_bench.suites")
    whole, at, _ = name.partition("@")
    if not at or name in entries:
        return _suite_entry(name, entries).spec
    entry = _suite_entry(whole, entries)
    return crossed_spec(entry.name, entry.spec) if name.endswith(SUFFIX) else side_spec(entry.name, entry.spec)


def stored_spec(name: str) -> SuiteSpec:
    """What the suite is that a stored run or checkpoint names: a plain spec where nobody registers it here."""
    from gi_bench.harness.suites.specs import SuiteSpec

    try:
        return suite_spec(name)
    except UnknownNameError:
        return SuiteSpec()


def _suite_entry(name: str, entries: Mapping[str, SuiteEntry]) -> SuiteEntry:
    """The entry of a name; without a split it means the test split."""
    full = name if name in entries else f"{name}/test"
    if full not in entries:
        raise unknown_name(name, entries, "suite")
    return entries[full]
