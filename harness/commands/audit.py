"""``gi-bench audit`` and ``gi-bench split``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import CommandEntry

if TYPE_CHECKING:
    from gi_bench.harness.suites.audit.images import ImageSet, NearDuplicate, Overlap

DataOption = Annotated[Path | None, typer.Option("--data", help="Folder with the suites' files.")]


def audit(
    sets: Annotated[
        list[str] | None,
        typer.Argument(metavar="SET...", help="Suite, CSV, Parquet, list of ids, or split.json:train; all pairs."),
    ] = None,
    train: Annotated[list[str] | None, typer.Option("--train", help="Training set; repeat to join several.")] = None,
    test: Annotated[list[str] | None, typer.Option("--test", help="Test set; repeat to join several.")] = None,
    data: DataOption = None,
    train_data: Annotated[
        Path | None, typer.Option("--train-data", help="Folder of the --train suites, where it is not --data.")
    ] = None,
    images: Annotated[Path | None, typer.Option("--images", help="Folder with <img_id>.jpg of all sets.")] = None,
    near: Annotated[
        bool | None,
        typer.Option("--near-duplicates/--no-near-duplicates", help="Compare pixels too (default: if there are any)."),
    ] = None,
    distance: Annotated[int, typer.Option("--distance", min=0, max=20, help="Bits of 64 that may differ.")] = 6,
    allow: Annotated[int, typer.Option("--allow", min=0, help="Shared images and near-duplicates that pass.")] = 0,
    disjoint: Annotated[
        Path | None,
        typer.Option("--disjoint", help="Split file to write: its test side is the --test images without a leak."),
    ] = None,
    wording: Annotated[
        bool, typer.Option("--wording", help="How far words alone tell the negatives of each suite given.")
    ] = False,
    negatives: Annotated[
        Path | None, typer.Option("--negatives", help="With --wording: a file of gi-bench data negatives.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Find images that sets share, across tasks, and near-duplicate frames. Exit code 1 if there are any.

    With --wording instead: how far words alone tell negatives from positives; exit code 0 whatever it finds.
    """
    if wording or negatives is not None:
        if not wording or not sets or len(sets) != 1 or train or test:
            raise GiBenchError("--wording audits one suite", do="gi-bench audit SUITE --wording [--negatives FILE]")
        _audit_wording(sets[0], data, negatives, as_json)
        return
    from gi_bench.harness.suites.audit import images as audits

    if disjoint is not None and not train:
        raise GiBenchError(
            "--disjoint needs a training and a test side", where=disjoint, do="give --train SET and --test SET"
        )
    pairs, results = _pairs(sets or [], train or [], test or [], data, train_data)
    duplicates: list[NearDuplicate] = []
    loader = None if near is False else audits.image_loader([s for pair in pairs for s in pair], images)
    if near and loader is None:
        raise GiBenchError("near-duplicates need images", do="give --images DIR, or suites with images")
    if loader is not None:
        hashes = audits.perceptual_hashes(sorted({i for pair in pairs for s in pair for i in s.rows}), loader)
        for first, second in pairs:
            duplicates += audits.near_duplicates(
                {i: hashes[i] for i in first.rows}, {i: hashes[i] for i in second.rows}, distance=distance
            )
    leaks = sum(result.shared_images for result in results) + len(duplicates)
    if disjoint is not None:
        audits.disjoint_split(*pairs[0], duplicates).write(disjoint)
    if as_json:
        content: dict[str, Any] = {
            "overlaps": [asdict(result) for result in results],
            "near_duplicates": None if loader is None else [asdict(pair) for pair in duplicates],
            "distance": distance,
            "clean": leaks <= allow,
        }
        typer.echo(json.dumps(content, indent=1))
    else:
        for line in _lines(results, duplicates if loader is not None else None, distance):
            typer.echo(line)
        if disjoint is not None:
            typer.echo(f"split: {disjoint}")
    if leaks > allow:
        raise typer.Exit(1)


def _audit_wording(name: str, data: Path | None, negatives: Path | None, as_json: bool) -> None:
    from gi_bench.harness.registry import load_suite
    from gi_bench.harness.suites.audit.wording import report_lines, wording_report

    suite = load_suite(name, data)
    report = wording_report(suite, negatives)
    if as_json:
        content = {"suite": suite.name, "fingerprint": suite.fingerprint, **asdict(report)}
        typer.echo(json.dumps(content, indent=1))
        return
    for line in report_lines(report):
        typer.echo(line)


def _pairs(
    sets: list[str], train: list[str], test: list[str], data: Path | None, train_data: Path | None = None
) -> tuple[list[tuple[ImageSet, ImageSet]], list[Overlap]]:
    """The pairs to look at: all of ``sets``, or the joined training sets against the joined test sets."""
    from itertools import combinations

    from gi_bench.harness.suites.audit.images import overlap, read_set, union

    if bool(train) != bool(test) or (sets and train) or (not train and len(sets) < 2):
        raise GiBenchError("nothing to compare", do="give two sets or more, or --train SET and --test SET")
    if train_data is not None and not train:
        raise GiBenchError("--train-data is the folder of --train suites", do="give --train SET and --test SET")
    if train:
        joined = (
            union("train", [read_set(name, train_data or data) for name in train]),
            union("test", [read_set(name, data) for name in test]),
        )
        return [joined], [overlap(*joined)]
    found = [read_set(name, data) for name in sets]
    pairs = list(combinations(found, 2))
    return pairs, [overlap(a, b) for a, b in pairs]


def _lines(results: list[Overlap], duplicates: list[NearDuplicate] | None, distance: int) -> list[str]:
    width = max(len(name) for result in results for name in (result.first, result.second))
    lines = [f"{'set':<{width}}  {'set':<{width}}  shared images       rows on them"]
    for result in results:
        share = f"{result.shared_images} of {result.first_images} / {result.second_images}"
        rows = f"{result.first_rows} / {result.second_rows}"
        mark = "  across tasks" if result.across_tasks and result.shared_images else ""
        lines.append(f"{result.first:<{width}}  {result.second:<{width}}  {share:<18}  {rows}{mark}")
        if result.examples:
            lines.append(f"  e.g. {', '.join(result.examples)}")
    if duplicates is None:
        lines.append("near-duplicates: not looked for (no images)")
        return lines
    lines.append(f"near-duplicates within {distance} bits: {len(duplicates)}")
    lines += [f"  {pair.first}  {pair.second}  {pair.distance} bits" for pair in duplicates[:20]]
    return lines


def split(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Suites, CSV or Parquet files to join.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    data: DataOption = None,
    test_share: Annotated[float, typer.Option("--test-share", help="Share of test images.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides among images that are alike.")] = 42,
) -> None:
    """Divide the images of all sources into train and test, each image on one side whatever asks about it."""
    from gi_bench.harness.suites.splits import making as splits
    from gi_bench.harness.suites.splits.making import (
        AskedRow,
        Source,
        file_source,
        gather,
        make_split,
        rows_of_file,
        rows_of_suite,
        shares,
    )

    rows: list[AskedRow] = []
    used: list[Source] = []
    for name in sources:
        path = Path(name)
        if path.suffix.lower() in {".csv", ".parquet"}:
            rows += rows_of_file(path)
            used.append(file_source(path))
        else:
            from gi_bench.harness.registry import load_suite

            suite = load_suite(name, data)
            rows += rows_of_suite(suite)
            used.append(splits.Source(suite.fingerprint, suite.name))
    uses = gather(rows)
    made = make_split(uses, fraction=test_share, seed=seed, sources=used)
    made.write(output)
    for share in shares(made, uses):
        typer.echo(
            f"{share.kind:<6} {share.name:<24} train {share.train:>6}  test {share.test:>6}  {share.test_share:.3f}"
        )
    typer.echo(f"split {made.fingerprint[:16]}: {output}")


COMMANDS = [
    CommandEntry("audit", "Find images that sets share, and near-duplicate frames.", audit),
    CommandEntry("split", "Write an image-disjoint split over all tasks.", split),
]
