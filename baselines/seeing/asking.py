"""Asks listed variants, their backbone and somebody who never looks; what is found of each is kept in a file.

A call that was killed, or one that names a model more, takes what is there. A file is bound to all that decides it:
weights, decoding, rows and images of both suites, sample, precision and version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench import __version__
from gi_bench.baselines.registration import definitions
from gi_bench.baselines.seeing.looking import Sample, Seen, Sight, read_seen, write_seen
from gi_bench.harness.analysis.seeing import BACKBONE, BLIND
from gi_bench.harness.devices import choose_device, choose_dtype, use_threads
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.locks import holding
from gi_bench.harness.model import BuildContext
from gi_bench.harness.provenance import digest_of
from gi_bench.harness.registry import load_suite, model_entry
from gi_bench.harness.schema import Seeing
from gi_bench.harness.suites.base import Suite

if TYPE_CHECKING:
    from gi_bench.baselines.florence2.model import Florence2Model

# The variant that is the backbone alone.
_BARE = "florence2_zero_shot"


@dataclass(frozen=True)
class Request:
    """What is asked for; see ``gi-bench seeing --help``."""

    models: tuple[str, ...]
    suite: str = "phantom"
    data: Path | None = None
    train_suite: str | None = None
    train_data: Path | None = None
    limit: int = 200
    checkpoint: str | None = None
    backbone: str | None = None
    beams: int | None = None
    device: str = "auto"
    dtype: str = "float32"
    threads: int | None = None

    @property
    def sample(self) -> Sample:
        """How much is looked at."""
        return Sample(self.limit + self.limit // 2, self.limit, min(150, self.limit), min(150, self.limit))


@dataclass(frozen=True)
class Asked:
    """What came of it.

    Attributes:
        models: in the order asked for.
        suite, fingerprint, train_suite: what was looked at, and learnt from.
        sample: how much of them.
        rows: of the models, the backbone and the floors.
        by_finding: by model, probe and finding, the area under the ROC curve; the backbone's under ``""``.
        notes: what must be said beside it.
    """

    models: tuple[str, ...]
    suite: str
    fingerprint: str
    train_suite: str
    sample: Sample
    rows: tuple[Seeing, ...]
    by_finding: Mapping[str, Mapping[str, Mapping[str, float]]]
    notes: tuple[str, ...]


def ask_all(request: Request, output: Path, say: Callable[[str], None] = lambda line: None) -> Asked:
    """Look at every model of a request, and at their backbone.

    Args:
        request: what is asked for.
        output: folder for what is found of each.
        say: called with lines for the user.

    Raises:
        GiBenchError: a model is unknown or no Florence-2, a checkpoint or an image is missing, a file that was kept is
            damaged, or somebody else is at it.
    """
    for name in request.models:
        _check_kind(name)
    if request.checkpoint is not None and len(request.models) > 1:
        raise GiBenchError("one checkpoint for several models", where="--checkpoint", do="give one --model")
    suite, train_suite = _suites(request)
    device = choose_device(request.device)
    dtype = choose_dtype(request.dtype, device, exact=True)
    contexts = {name: _context(request, name, suite, device, dtype) for name in (*request.models, _BARE)}
    for name, context in contexts.items():  # the last is looked at before the first starts
        check = model_entry(name).check
        if check is not None:
            check(context)
    use_threads(request.threads)
    sight = Sight(suite, train_suite, request.sample, say)
    bound = digest_of(
        suite.fingerprint, train_suite.fingerprint, asdict(request.sample), device.partition(":")[0], dtype, __version__
    )
    shared: dict[str, Any] = {}
    found: dict[str, Seen] = {}
    notes = [suite.note] if suite.note else []
    with holding(output, what="looks at networks here"):
        for name, context in contexts.items():
            context.shared = shared
            model: Any = model_entry(name).build(context)
            try:
                notes += [f"{name}: {model.settings['note']}"] if model.settings.get("note") else []
                found[name] = _kept(name, model, bound, output, sight, say)
            finally:
                model.close()
    rows = [row for name in request.models for row in found[name].rows(name, None)]
    rows += [*found[_BARE].rows(BACKBONE, None), *sight.floors().rows(BLIND, None)]
    areas = {name: _areas(found[name]) for name in request.models} | {BACKBONE: _areas(found[_BARE])}
    notes += _left_out(found[_BARE])
    return Asked(
        request.models,
        suite.name,
        suite.fingerprint,
        train_suite.name,
        request.sample,
        tuple(rows),
        areas,
        tuple(dict.fromkeys(notes)),
    )


def _check_kind(name: str) -> None:
    model_entry(name)  # an unknown name is told with the nearest known ones
    variant = definitions().get(name)
    if variant is None or variant.kind != "florence2":
        raise GiBenchError(
            f"{name} is no Florence-2: neither its features nor its decoder can be looked into",
            where="--model",
            do="give a variant with an adapter, or florence2_zero_shot",
        )


def _suites(request: Request) -> tuple[Suite, Suite]:
    suite = load_suite(request.suite, request.data)
    wanted = request.train_suite or suite.spec.short_train_suite or suite.train_suite
    if wanted is None:
        raise GiBenchError(
            f"{suite.name} has no training suite",
            do=f"give --train-suite SUITE (--train-suite {suite.name} learns from its other images)",
        )
    if wanted == suite.name and request.train_data is None:
        return suite, suite
    return suite, load_suite(wanted, request.train_data or request.data)


def _context(request: Request, name: str, suite: Suite, device: str, dtype: str) -> BuildContext:
    return BuildContext(
        suite=suite,
        device=device,
        dtype=dtype,
        checkpoint=request.checkpoint if definitions()[name].adapter else None,
        backbone=request.backbone,
        beams=request.beams,
    )


def _kept(name: str, model: Florence2Model, bound: str, output: Path, sight: Sight, say: Callable[[str], None]) -> Seen:
    """What was found of a network before, or is found now."""
    digest = digest_of(bound, {key: value for key, value in model.settings.items() if key != "note"})
    path = output / f"{name}-{digest[:12]}.json"
    kept = read_seen(path)
    if kept is not None:
        say(f"{name}: looked at before, {path}")
        return kept
    say(f"{name}:")
    seen = sight.look(model)
    write_seen(path, seen)
    return seen


def _areas(seen: Seen) -> dict[str, Mapping[str, float]]:
    probes = (("presence", seen.presence), ("cell", seen.cells))
    return {what: one.by_finding for what, one in probes if one is not None}


def _left_out(seen: Seen) -> list[str]:
    """Findings of which there are too few images for a probe."""
    probes = (("presence", seen.presence), ("cell", seen.cells))
    few = {what: "every finding" if one is None else ", ".join(one.left_out) for what, one in probes}
    told = "; ".join(f"{what}: {names}" for what, names in few.items() if names)
    return [f"left out of the probes, with too few images: {told}"] if told else []
