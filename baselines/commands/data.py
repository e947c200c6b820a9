"""``gi-bench data``: rows to train on that a suite does not have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gi_bench.harness.commands.options import complete_suites
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text

if TYPE_CHECKING:
    from collections import Counter

    from gi_bench.harness.schema import Region
    from gi_bench.harness.suites.base import Suite

app = typer.Typer(no_args_is_help=True, help="Make training rows: negatives, explanations, masks.")

SuiteOption = Annotated[
    str, typer.Option("--suite", "-s", help="Suite whose rows are read.", autocompletion=complete_suites)
]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder with the suite's files.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="JSONL file to write.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of drawing and wording.")]


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    from gi_bench.harness.files import write_bytes

    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_bytes(path, "".join(lines).encode("utf-8"))


def _say(counts: Mapping[str, float]) -> None:
    width = max(map(len, counts))
    for name, value in counts.items():
        say(f"{name:<{width}}  {value:,}" if isinstance(value, int) else f"{name:<{width}}  {value:.3f}")


@app.command()
def negatives(
    output: OutputOption,
    ratio: Annotated[float, typer.Option("--ratio", help="Negatives per question of the suite.")],
    suite: SuiteOption = "phantom/train",
    data: DataOption = None,
    seed: SeedOption = 0,
) -> None:
    """Questions and phrases about what the atomic facts of an image say is not there, balanced over findings."""
    from gi_bench.harness.errors import GiBenchError
    from gi_bench.harness.outputs import check_output, lines_with
    from gi_bench.harness.registry import load_suite
    from gi_bench.harness.suites.negatives import make_negatives

    check_output(output, lines_with("img_id", "thing", "finding", "phrase"))
    if not 0 < ratio <= 100:
        raise GiBenchError(
            f"--ratio {ratio:g} is not above 0 and at most 100", do="0.2 adds one for every five questions"
        )
    made, counts = make_negatives(load_suite(suite, data), ratio, seed)
    if not made:
        raise GiBenchError("no image says of anything that it is not there", where=suite)
    _write(output, (asdict(one) for one in made))
    _say(counts)
    say(f"negatives: {output}")


@app.command()
def explanations(
    output: OutputOption,
    suite: SuiteOption = "phantom/train",
    data: DataOption = None,
    source: Annotated[str, typer.Option("--source", help="template (offline) or model.")] = "template",
    url: Annotated[str | None, typer.Option("--url", help="OpenAI-compatible server.")] = None,
    model: Annotated[str, typer.Option("--model", help="Model that writes.")] = "gemma3:27b",
    vision: Annotated[
        bool, typer.Option("--describe/--no-describe", help="Let the model describe images first.")
    ] = True,
    per_image: Annotated[int, typer.Option("--per-image", min=1, help="Rows of an image at most.")] = 1,
    per_minute: Annotated[
        float | None, typer.Option("--per-minute", min=0.1, help="Requests a minute at most.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder for replies (default: the user's cache).")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Explanations of answers, from templates or by a language model, with a report on how varied they are."""
    from gi_bench.baselines.data import explanations as writing
    from gi_bench.harness.errors import GiBenchError
    from gi_bench.harness.language_model import Endpoint, replies
    from gi_bench.harness.metric_settings import MetricSettings
    from gi_bench.harness.outputs import check_output, lines_with
    from gi_bench.harness.registry import load_suite

    check_output(output, lines_with("img_id", "question", "answer", "explanation"))
    if source not in ("template", "model"):
        raise GiBenchError(f"unknown source {source!r}", do="it is template or model")
    if source == "model" and url is None:
        raise GiBenchError(
            "a model needs a server", do="give --url, e.g. http://localhost:11434/v1, or --source template"
        )
    loaded = load_suite(suite, data)
    counts: dict[str, float] = {}
    if source == "model" and url is not None:
        chat = Endpoint(url, model, json_reply=False)
        kept = replies((cache or MetricSettings().cache_folder()) / "explanations")
        written, found = writing.write_with_model(
            loaded,
            chat,
            kept,
            vision=chat if vision and loaded.has_images else None,
            per_image=per_image,
            per_minute=per_minute,
            say=say,
        )
        counts.update(found)
    else:
        written = writing.write_from_facts(loaded, per_image, seed)
        counts["rows"] = len(written)
    if not written:
        raise GiBenchError(
            "nothing was written", where=suite, do="the suite needs answers, the model acceptable replies"
        )
    _write(output, (asdict(one) for one in written))
    if len(written) > 1:
        counts.update(writing.diversity([one.explanation for one in written], seed=seed))
    _say(counts)
    say(f"explanations: {output}")


@app.command()
def masks(
    output: Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.")],
    source: Annotated[str, typer.Option("--source", help="mask, box, clipseg, variant, sam or refine (GrabCut).")],
    suite: SuiteOption = "phantom/train",
    data: DataOption = None,
    given: Annotated[
        Path | None, typer.Option("--masks", help="Masks that sam and refine start from (default: the suite's own).")
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="Run folder whose regions the source variant takes.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="CLIPSeg or SAM: Hub id or folder.")] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", help="TOML with prompts and thresholds of clipseg.")
    ] = None,
    against: Annotated[Path | None, typer.Option("--against", help="Masks of another source, for agreement.")] = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="HTML page to write: a sample for an expert to accept or reject.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")] = "cpu",
) -> None:
    """Masks from references, boxes, text or a run, or refined; with areas, parts and agreement between sources."""
    from collections import Counter

    from gi_bench.baselines.data.masks import making
    from gi_bench.harness.outputs import check_output, is_page, table_with
    from gi_bench.harness.registry import load_suite, registered
    from gi_bench.harness.suites.mask_table import SCHEMA, read_masks

    _check_source(source, given, run)
    check_output(output, table_with(*SCHEMA.names), inputs=[given, settings, against])
    if sheet is not None:
        check_output(sheet, is_page, inputs=[output, given, settings, against])
    loaded = load_suite(suite, data)
    if source in ("clipseg", "sam", "refine"):
        _need_images(loaded, "")
    counts: Counter[str] = Counter()
    found = _masks(loaded, _Source(source, given, run, model, settings, device), counts)
    count = making.write_masks(output, found, say)
    made = read_masks(output)
    report: dict[str, Any] = {"masks": count, **counts, "labels": making.shape_statistics(made)}
    if against is not None:
        other = read_masks(against)
        report["agreement"] = making.agreement(made, other)
        report["score_and_iou"] = making.score_correlation(output, other)
    if sheet is not None:
        _need_images(loaded, ", or leave --sheet out")
        for entry in registered("gi_bench.commands").values():
            for what, path in entry.after_masks(output, loaded, sheet) if entry.after_masks is not None else ():
                say(f"{what}: {path}")
    say_text(json.dumps(report, indent=1))
    say(f"masks: {output}")


@dataclass(frozen=True)
class _Source:
    """Where masks come from: the kind of source, and what the user gave to it."""

    kind: str
    given: Path | None
    run: Path | None
    model: str | None
    settings: Path | None
    device: str


def _check_source(source: str, given: Path | None, run: Path | None) -> None:
    from gi_bench.harness.errors import GiBenchError

    sources = ("mask", "box", "clipseg", "variant", "sam", "refine")
    if source not in sources:
        raise GiBenchError(f"unknown source {source!r}", do=f"it is one of {', '.join(sources)}")
    if given is not None and source not in ("sam", "refine"):
        raise GiBenchError(
            f"--source {source} starts from no mask", do="leave --masks out, or refine them with sam or refine"
        )
    if run is not None and source != "variant":
        raise GiBenchError(f"--source {source} reads no run", do="leave --run out, or use --source variant")
    if run is None and source == "variant":
        raise GiBenchError("--source variant needs a run", do="give --run a folder that gi-bench run wrote")


def _need_images(suite: Suite, otherwise: str) -> None:
    from gi_bench.harness.errors import GiBenchError

    if not suite.has_images:
        raise GiBenchError(f"{suite.name} has no images here", do=f"give --data a folder with images/{otherwise}")


def _masks(suite: Suite, source: _Source, counts: Counter[str]) -> Any:
    """The masks of a source, made one after the other."""
    from gi_bench.baselines.data.masks import making

    if source.kind == "mask":
        return making.reference_masks(suite)
    if source.kind == "box":
        return making.box_masks(suite)
    if source.kind == "clipseg":
        from gi_bench.baselines.data.masks.clipseg import DEFAULTS, ClipSeg, TextMaskSettings

        settings = TextMaskSettings.read(source.settings or DEFAULTS)
        return making.text_masks(suite, ClipSeg(source.model or settings.model, source.device), settings, counts)
    if source.run is not None:
        from gi_bench.harness.store import open_run

        return making.variant_masks(suite, open_run(source.run), counts)
    start = _start(suite, source.given)
    return making.refined_masks(suite, start, _predictor(source.kind, source.model, source.device), source.kind, counts)


def _start(suite: Suite, given: Path | None) -> dict[tuple[str, str], Region]:
    """The masks that refining starts from: a file's, or the suite's own."""
    from gi_bench.baselines.data.masks import making
    from gi_bench.harness.errors import GiBenchError
    from gi_bench.harness.suites.mask_table import check_sizes, read_masks

    if given is None:
        return {(one.img_id, one.region.label): one.region for one in making.reference_masks(suite)}
    found = read_masks(given)
    unknown = sorted({img_id for img_id, _ in found} - set(suite.image_ids))
    if unknown:
        raise GiBenchError(f"image {unknown[0]!r} of the masks is not in {suite.name}", where=given, do="use its suite")
    check_sizes(found, suite, given)
    return found


@app.command()
def review(
    csv: Annotated[Path, typer.Argument(help="CSV saved from a sheet of gi-bench data masks.")],
) -> None:
    """Count an expert's decisions by label, with 95 % intervals of the share accepted."""
    from gi_bench.harness.analysis.review.masks import read_review
    from gi_bench.harness.statistics import wilson

    found = read_review(csv)
    for label, counts in sorted(found.items()):
        decided = counts["accept"] + counts["reject"]
        interval = wilson(counts["accept"], decided)
        share = f"accepted {counts['accept'] / decided:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
        say(f"{label}: {share or 'none decided'}, n {decided}, undecided {counts['undecided']}")


def _predictor(source: str, model: str | None, device: str) -> Any:
    if source == "refine":
        from gi_bench.baselines.data.masks.refining import GrabCut

        return GrabCut()
    from gi_bench.baselines.data.masks.sam import HUB_ID, Sam

    return Sam(model or HUB_ID, device)


COMMAND: Any = CommandEntry(
    name="data",
    summary="Make training rows: negatives, explanations, masks.",
    app=app,
    examples=[
        (
            "questions about what an image does not show",
            "gi-bench data negatives --ratio 0.2 -o negatives.jsonl",
        ),
        ("explanations out of the atomic facts", "gi-bench data explanations -s phantom/train -o explanations.jsonl"),
        (
            "masks out of texts by CLIPSeg, and a sheet for an expert",
            "gi-bench data masks --source clipseg -s kvasir-vqa-x1/train -o masks.parquet",
        ),
        ("what the expert decided", "gi-bench data review decisions.csv"),
    ],
)
