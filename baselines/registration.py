"""The variants of ``variants.toml`` as registry entries. Heavy imports wait until a variant is built."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gi_bench.harness.checking import checked
from gi_bench.harness.errors import CheckpointError, GiBenchError
from gi_bench.harness.files import read_toml
from gi_bench.harness.hub import cached_snapshot
from gi_bench.harness.registry import ModelEntry, Role
from gi_bench.harness.schema import TASKS, Task

if TYPE_CHECKING:
    from gi_bench.harness.model import BuildContext, Model
    from gi_bench.harness.standalone import Script, ScriptRequest
    from gi_bench.harness.suites.specs import SuiteSpec

HERE = Path(__file__).parent
Kind = Literal[
    "florence2",
    "prior",
    "region prior",
    "explanation prior",
    "template prior",
    "fact oracle",
    "token oracle",
    "pixel oracle",
    "annotator oracle",
]


@dataclass(frozen=True)
class VariantDefinition:
    """One table of ``variants.toml``.

    Attributes:
        name, kind, summary: as listed.
        rank: LoRA rank on Florence-2-base, the paper's; another backbone may have its own (:meth:`rank_on`).
        train: tasks trained on.
        adapter: False for the bare backbone.
        negatives: whether phrases about absent findings are trained on.
        layers: ``all`` linear layers get LoRA weights, or ``language``: the vision tower is frozen.
        task_tokens: ``text`` leaves the task tokens to the tokenizer (plain text for Florence-2-base, as in the
            authors' adapters), ``added`` makes them tokens of their own whose embeddings are trained.
        masks: source of training masks: ``suite``, ``sam`` for masks refined by SAM, which have to be given, or
            ``refined`` for filled boxes refined by GrabCut, which the training makes where none are given.
        shipped: whether the weights for the tiny backbone come with the package.
        published: Hub id of the authors' checkpoint for Florence-2-base; empty if there is none.
        published_note: what must be said beside scores of that checkpoint.
    """

    name: str
    kind: Kind
    summary: str
    rank: int = 0
    train: tuple[Task, ...] = ()
    adapter: bool = True
    negatives: bool = False
    layers: Literal["all", "language"] = "all"
    task_tokens: Literal["text", "added"] = "text"
    masks: Literal["suite", "sam", "refined"] = "suite"
    shipped: bool = False
    published: str = ""
    published_note: str = ""

    def rank_on(self, backbone: str) -> int:
        """LoRA rank on a named backbone: the paper's, or the one that is the same share of a smaller network."""
        table = _content().backbones.get(backbone)
        return self.rank if table is None else table.ranks.get(str(self.rank), self.rank)

    def alpha_on(self, backbone: str) -> int:
        """LoRA alpha on a named backbone: twice the rank, as in the paper."""
        return 2 * self.rank_on(backbone)

    def bundled(self, backbone: str) -> Path:
        """Where the checkpoint for a named backbone lies if it is shipped or was trained here."""
        return HERE / "weights" / f"{self.name}-{backbone}"


@dataclass(frozen=True)
class BackboneTable:
    """A table under ``[backbones]``.

    Attributes:
        summary: one line.
        source: folder beside this file, or Hub id.
        pixels: side of the square in which it sees a picture.
        families: families of suites that it is used for.
        default: whether it is used for all others.
        ranks: LoRA rank on this backbone by the variants' rank; the same where it is not named.
    """

    summary: str
    source: str
    pixels: int
    families: tuple[str, ...] = ()
    default: bool = False
    ranks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _File:
    """The keys of ``variants.toml``; a variant has those of :class:`VariantDefinition`."""

    backbones: Mapping[str, BackboneTable]
    variants: Mapping[str, VariantDefinition]


@lru_cache(maxsize=1)
def _content() -> _File:
    path = HERE / "variants.toml"
    content = read_toml(path)
    tables = content.get("variants")
    if isinstance(tables, dict):  # anything else is told by the check
        tables = {name: {"name": name, **table} if isinstance(table, dict) else table for name, table in tables.items()}
    found = checked({**content, "variants": tables}, _File, path)
    if not any(table.default for table in found.backbones.values()):
        raise GiBenchError("no backbone is the default", where=path, do="set default = true in one [backbones] table")
    for name, variant in found.variants.items():
        if variant.kind == "florence2" and variant.adapter and variant.rank < 1:
            raise GiBenchError(f"variants.{name} has no rank", where=path, do="give it a rank from 1")
        if variant.name != name:
            raise GiBenchError(f"variants.{name} calls itself {variant.name}", where=path, do="take the name out")
        if variant.shipped and not (variant.kind == "florence2" and variant.adapter and variant.masks != "sam"):
            raise GiBenchError(f"variants.{name} cannot be shipped", where=path, do="take shipped out")
    for name, backbone in found.backbones.items():
        if backbone.pixels < 1:
            raise GiBenchError(f"backbones.{name} sees {backbone.pixels} pixels", where=path, do="give a side from 1")
        if any(rank < 1 for rank in backbone.ranks.values()):
            raise GiBenchError(f"backbones.{name} has a rank below 1", where=path, do="give ranks from 1")
        known = {str(variant.rank) for variant in found.variants.values() if variant.rank}
        if unknown := sorted(backbone.ranks.keys() - known):
            raise GiBenchError(
                f"backbones.{name}.ranks names {unknown[0]}, which no variant has", where=path, do="take it out"
            )
    return found


def definitions() -> dict[str, VariantDefinition]:
    """What variants.toml says of every variant, by name."""
    return dict(_content().variants)


def backbone_source(wanted: str | Path | None, suite: SuiteSpec) -> tuple[str, str | Path]:
    """Name and source of the backbone to use.

    Args:
        wanted: a name of ``variants.toml``, a folder, a Hub id, or None for that of the suite's family.
        suite: what the suite is.
    """
    backbones = _content().backbones
    if wanted is None:
        own = (name for name, table in backbones.items() if suite.family in table.families)
        wanted = next(own, next(name for name, table in backbones.items() if table.default))
    if str(wanted) in backbones:
        source = backbones[str(wanted)].source
        local = HERE / source
        return str(wanted), local if local.is_dir() or source.startswith("weights/") else source
    return "custom", str(wanted)


def backbone_pixels(name: str) -> int | None:
    """Side of the square in which a named backbone sees a picture; None for another backbone."""
    table = _content().backbones.get(name)
    return None if table is None else table.pixels


def variants() -> list[ModelEntry]:
    """Entries of all variants, for the registry."""
    return [_entry(variant) for variant in definitions().values()]


def entry_of(variant: VariantDefinition) -> ModelEntry:
    """The entry of a variant that is not in ``variants.toml`` as it is: trained on other tasks, say."""
    return _entry(variant)


def _entry(variant: VariantDefinition) -> ModelEntry:
    if variant.kind in _BOUNDS:
        return _bound_entry(variant)
    details = {
        "kind": "florence2",
        "rank": variant.rank,
        "alpha": 2 * variant.rank,
        "ranks": {name: variant.rank_on(name) for name in _content().backbones},
        "trained_on": list(variant.train),
        "negatives": variant.negatives,
        "layers": variant.layers,
        "task_tokens": variant.task_tokens,
        "masks": variant.masks,
        "bundled": variant.bundled("tiny").is_dir() or not variant.adapter,
    }
    return ModelEntry(
        variant.name,
        _summary(variant),
        TASKS,
        lambda c: _build_florence2(variant, c),
        details,
        partial(_files, variant),
        script=partial(_script, variant),
        check=partial(_check_florence2, variant),
        state=partial(_state, variant),
    )


def _summary(variant: VariantDefinition) -> str:
    """The variant's line, with the rank that it has on backbones that have their own."""
    own = {name: variant.rank_on(name) for name in _content().backbones}
    return variant.summary + "".join(f"; {name}: rank {rank}" for name, rank in own.items() if rank != variant.rank)


def _state(variant: VariantDefinition) -> dict[str, str]:
    """For each named backbone whether the variant can run with it now, or what it needs first."""
    found = {}
    for name, table in _content().backbones.items():
        sources: list[str | Path] = [HERE / table.source if table.source.startswith("weights/") else table.source]
        if variant.adapter:
            adapter = _adapter_source(variant, name, None)
            if adapter is None:
                found[name] = "weights" if variant.masks == "sam" else "training"
                continue
            sources.append(adapter)
        here = all(Path(one).is_dir() or cached_snapshot(str(one)) is not None for one in sources)
        found[name] = "ready" if here else "Hub"
    return found


def _files(variant: VariantDefinition, context: BuildContext) -> list[Path] | None:
    """The checkpoint's folders, on disk or in the Hub's cache; None where one is not there."""
    name, source = backbone_source(context.backbone, context.suite.spec)
    wanted: list[str | Path] = [source]
    if variant.adapter:
        wanted.append(_adapter_source(variant, name, context.checkpoint) or "")
    folders = [Path(one) if Path(one).is_dir() else cached_snapshot(str(one)) for one in wanted if str(one)]
    return [one for one in folders if one is not None] if len(wanted) == len(folders) and all(folders) else None


def _adapter_source(variant: VariantDefinition, backbone: str, checkpoint: str | Path | None) -> str | Path | None:
    """Where a variant's adapter for a backbone is to be had: given by the user, made here, or the authors'."""
    if checkpoint is not None:
        return checkpoint
    folder = variant.bundled(backbone)
    if folder.is_dir():
        return folder
    return variant.published if variant.published and backbone == "base" else None


def _check_florence2(variant: VariantDefinition, context: BuildContext) -> None:
    """Refuse what cannot be built, as far as that shows without loading weights.

    Raises:
        CheckpointError: a folder is not there, or lacks or damages what is needed.
    """
    from gi_bench.baselines.florence2.adapters import check_adapter
    from gi_bench.baselines.florence2.backbone import check_backbone

    name, source = backbone_source(context.backbone, context.suite.spec)
    folder = adapter_folder(variant, name, context.checkpoint)[0] if variant.adapter else None
    check_backbone(source, ignore_rules=context.ignore_rules)
    if folder is not None:
        check_adapter(folder)


# Floors and ceilings: kind -> (role, tasks, what it learns from, module and function that build it).
_BOUNDS: dict[str, tuple[Role, tuple[Task, ...], Literal["", "rows", "masks"], str]] = {
    "prior": ("floor", ("answer",), "rows", "floors.answers:build_prior"),
    "region prior": ("floor", ("ground",), "masks", "floors.regions:build_region_prior"),
    "explanation prior": ("floor", ("answer", "explain"), "rows", "floors.explanations:build_explanation_prior"),
    "template prior": ("floor", ("answer", "explain"), "rows", "floors.explanations:build_template_prior"),
    "fact oracle": ("ceiling", ("answer", "explain"), "rows", "ceilings.facts:build_fact_oracle"),
    "token oracle": ("ceiling", ("ground",), "", "ceilings.regions:build_token_oracle"),
    "pixel oracle": ("ceiling", ("ground",), "", "ceilings.regions:build_pixel_oracle"),
    "annotator oracle": ("ceiling", ("ground",), "", "ceilings.regions:build_annotator_oracle"),
}


def _bound_entry(variant: VariantDefinition) -> ModelEntry:
    role, tasks, learns_from, place = _BOUNDS[variant.kind]

    def build(context: BuildContext) -> Model:
        module, _, function = place.partition(":")
        model: Model = getattr(importlib.import_module(f"gi_bench.baselines.{module}"), function)(variant.name, context)
        return model

    return ModelEntry(
        variant.name,
        variant.summary,
        tasks,
        build,
        {"kind": variant.kind},
        lambda context: [],
        role=role,
        needs_image=False,
        learns_from=learns_from,
        # A floor of explanations answers as the floor of answers does: it bounds explanations alone.
        bounds=tasks[-1:] if role == "floor" else tasks,
        # No weights: what decides is whether the suite has what it learns from, which the embedded one brings along.
        state=partial(_bound_state, variant.kind),
    )


def _bound_state(kind: Kind) -> dict[str, str]:
    """As :func:`_state`: rows and masks of real suites are the user's; no embedded image has several annotators."""
    return {name: "ready" if name == "tiny" and kind != "annotator oracle" else "data" for name in _content().backbones}


def adapter_folder(variant: VariantDefinition, backbone: str, checkpoint: str | Path | None) -> tuple[Path, str]:
    """The folder of a variant's adapter for a backbone, and what must be said beside its scores.

    A checkpoint that the user gives comes first, then one that is shipped or was trained here, then the authors'.

    Raises:
        CheckpointError: it is not there; the message says which command makes it.
    """
    from gi_bench.baselines.florence2.backbone import resolve

    source = _adapter_source(variant, backbone, checkpoint)
    if source is not None:
        note = variant.published_note if str(source) == variant.published else ""
        return resolve(source, what="adapter"), note
    extra = "" if backbone == "tiny" else f" --backbone {backbone} --suite kvasir-vqa-x1/train --data DIR"
    if variant.masks == "sam":
        do = "it needs masks refined by SAM: train it elsewhere and give --checkpoint DIR"
    elif backbone == "custom":
        do = "give --checkpoint DIR"
    else:
        do = f"train it with: gi-bench train --model {variant.name}{extra}, or give --checkpoint DIR"
    raise CheckpointError(f"no checkpoint of {variant.name} for the backbone {backbone!r}", do=do)


def _script(variant: VariantDefinition, request: ScriptRequest) -> Script:
    """The variant in a file of its own, with the weights of a run."""
    from gi_bench.baselines.florence2.script import script
    from gi_bench.harness.registry import stored_spec

    recipe = request.manifest.recipe
    given = recipe.model.get("backbone") if request.backbone is None else request.backbone
    name, source = backbone_source(str(given), stored_spec(recipe.suite))
    folder = adapter_folder(variant, name, request.checkpoint)[0] if variant.adapter else None
    return script(request, source, folder)


def _build_florence2(variant: VariantDefinition, context: BuildContext) -> Model:
    name, source = backbone_source(context.backbone, context.suite.spec)
    folder, note = adapter_folder(variant, name, context.checkpoint) if variant.adapter else (None, "")
    from gi_bench.baselines.florence2.adapters import read_card, read_training_images, with_adapter
    from gi_bench.baselines.florence2.backbone import load_backbone
    from gi_bench.baselines.florence2.model import Decoding, Florence2Model
    from gi_bench.baselines.florence2.rules import DEFAULT_BEAMS

    key = f"florence2 {source} {context.device} {context.dtype} {context.ignore_rules}"
    if key not in context.shared:
        context.shared[key] = load_backbone(
            source, device=context.device, dtype=context.dtype, ignore_rules=context.ignore_rules
        )
    backbone = context.shared[key]
    network, names, told, images = backbone.network, "native", {}, None
    notes = [note] if note else []
    if folder is not None:
        adapted = with_adapter(backbone, folder)
        network, names, told = adapted.network, adapted.names, adapted.describe()
        backbone = replace(backbone, tokenizer=adapted.tokenizer)
        images = read_training_images(folder)
        # A folder has no name: the adapter's card knows which backbone it belongs to.
        own = name if name != "custom" else str(read_card(folder).get("backbone"))
        notes += _other_adapter(variant, own, adapted.rank, adapted.alpha)
    ignored = backbone.rules.ignored
    if ignored is not None:
        notes.append(f"decoding rules of the checkpoint were ignored: {', '.join(ignored) or 'it has none'}")
    beams = context.beams or backbone.rules.beams or DEFAULT_BEAMS
    decoding = Decoding(beams=beams, microsoft_prompts=names == "microsoft")
    settings: dict[str, Any] = {
        "backbone": name if name != "custom" else str(source),
        "backbone_digest": backbone.digest,
        "backbone_files": dict(backbone.files),
        "rank": variant.rank_on(name),
        "alpha": variant.alpha_on(name),
        "trained_on": list(variant.train),
        "negatives": variant.negatives,
        "masks": variant.masks,
        "decoding": decoding.describe() | backbone.rules.describe(),
    } | told
    if notes:
        settings["note"] = "; ".join(notes)
    return Florence2Model(backbone, network, settings, decoding, training_images=images)


def _other_adapter(variant: VariantDefinition, backbone: str, rank: int, alpha: float) -> list[str]:
    """What must be said beside scores of an adapter that is not of the variant's size on that backbone."""
    own = (variant.rank_on(backbone), variant.alpha_on(backbone))
    if (rank, alpha) == own:
        return []
    return [f"the adapter has rank {rank} and alpha {alpha:g}, {variant.name} has {own[0]} and {own[1]}"]
