"""The code behind a run: what the manifest says of it, and what happens where a run is taken up by other code."""

from __future__ import annotations

import hashlib
import site
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gi_bench import __version__
from gi_bench.harness import provenance
from gi_bench.harness.errors import RunError
from gi_bench.harness.files import file_digest
from gi_bench.harness.registry import ModelEntry, plugin_digest
from gi_bench.harness.schema import Code, Manifest
from gi_bench.harness.suites.base import Suite


def code_of(entry: ModelEntry | None, suite: Suite, command: str) -> Code:
    """The code that a model's predictions on a suite are made with, as it is now; no entry for those of a file."""
    return Code(
        version=__version__,
        package=provenance.package_digest(),
        plugins=_plugins(entry, suite),
        commit=provenance.git_commit(),
        command=command,
    )


def with_model(code: Code, entry: ModelEntry, suite: Suite, model: Any) -> Code:
    """The code once the model is built: with its prompts, where it says them, and with what it loaded by then."""
    prompts = getattr(model, "prompts", None)
    return replace(
        code,
        plugins=dict(sorted({**_plugins(entry, suite), **code.plugins}.items())),
        prompts={str(task): str(text) for task, text in prompts.items()} if isinstance(prompts, Mapping) else {},
    )


def _plugins(entry: ModelEntry | None, suite: Suite) -> dict[str, str]:
    """Digests of the files and packages, not ours, that a model and a suite are defined in."""
    found: dict[str, str] = {}
    build = None if entry is None else entry.build
    for name in {getattr(build, "__module__", None) or "", type(suite).__module__}:
        module = sys.modules.get(name)
        path = getattr(module, "__file__", None)
        if not path or provenance.is_ours(type("", (), {"__module__": name})):
            continue
        try:
            found |= _file_plugin(name, Path(path)) if plugin_digest(name) else _package_plugin(name, Path(path))
        except OSError:  # gone since it was loaded: nothing is known of it
            continue
    return dict(sorted(found.items()))


def _file_plugin(name: str, path: Path) -> dict[str, str]:
    """A plugin file as it was when it was loaded, and the modules beside it that are loaded by now."""
    folder = path.resolve().parent
    found = {path.name: plugin_digest(name) or ""}
    for called, other in list(sys.modules.items()):
        if plugin_digest(called):  # another plugin, or this one as it was loaded before
            continue
        place = getattr(other, "__file__", None)
        beside = Path(place).resolve() if isinstance(place, str) and place.endswith(".py") else None
        if beside is not None and beside != path.resolve() and folder in beside.parents and not _is_installed(beside):
            found[beside.relative_to(folder).as_posix()] = file_digest(beside)
    return found


def _package_plugin(name: str, path: Path) -> dict[str, str]:
    """The package that a module belongs to, or the module's own file."""
    top = name.partition(".")[0]
    package = getattr(sys.modules.get(top), "__path__", None)
    if package is None:
        return {path.name: file_digest(path)}
    digests = "".join(provenance.folder_digest(Path(folder), ".py") for folder in sorted(package))
    return {top: hashlib.sha256(digests.encode()).hexdigest()}


def _is_installed(path: Path) -> bool:
    """Whether a file belongs to Python, to an installed package or to gi-bench, and so to nobody's plugin."""
    places = [*site.getsitepackages(), site.getusersitepackages(), *sysconfig.get_paths().values()]
    ours = Path(provenance.__file__).resolve().parents[1]
    return any(Path(place).resolve() in path.parents for place in places) or ours in path.parents


def changes(earlier: Code, now: Code) -> list[str]:
    """What differs between the code of a run and the code of now; nothing where the run does not say."""
    if not earlier.package:
        return []
    found = []
    if earlier.package != now.package:
        versions = f" {earlier.version}, now {now.version}" if earlier.version != now.version else ""
        found.append(f"gi-bench{versions} ({earlier.package[:8]}, now {now.package[:8]})")
    for name in sorted({*earlier.plugins, *now.plugins}):
        before, after = earlier.plugins.get(name), now.plugins.get(name)
        if before != after:
            told = f"{before[:8]}, now {after[:8]}" if before and after else "new" if after else "gone"
            found.append(f"{name} ({told})")
    return found


def taken_up(folder: Path, earlier: Manifest | None, code: Code, *, accept: bool) -> tuple[Code, tuple[str, ...]]:
    """The code and the remarks of a run that begins, goes on, or is finished already.

    Args:
        folder: of the run.
        earlier: its manifest; None for a new run.
        code: of now.
        accept: go on with an unfinished run of other code.

    Raises:
        RunError: the run is unfinished, other code has begun it, and that is not accepted.
    """
    if earlier is None:
        return code, ()
    changed = changes(earlier.code, code)
    if earlier.complete:
        told = tuple(one for one in earlier.remarks if not one.startswith(_FINISHED))
        if not changed:
            return earlier.code if earlier.code.package else replace(code, command=""), told
        return earlier.code, (*told, f"{_FINISHED}: {', '.join(changed)}")
    if not changed:
        return code, earlier.remarks
    if not accept:
        raise RunError(
            f"the run was begun by other code: {', '.join(changed)}",
            where=folder,
            do="choose another --output, delete the folder to begin again, or go on with --accept-changed",
        )
    return code, (*earlier.remarks, f"predictions of this run are of code of several versions: {', '.join(changed)}")


_FINISHED = "predictions were made by other code than is here now"

__all__ = ["changes", "code_of", "taken_up", "with_model"]
