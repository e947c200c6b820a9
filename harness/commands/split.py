"""``gi-bench split``: an image-disjoint split over the tasks of several sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gi_bench.harness.commands.options import SuitesDataOption
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say


def split(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Suites, CSV or Parquet files to join.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    data: SuitesDataOption = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder with <img_id>.jpg of all sources, where these have none.")
    ] = None,
    near: Annotated[
        bool,
        typer.Option(
            "--near-duplicates/--no-near-duplicates", help="Keep frames that are nearly the same on one side."
        ),
    ] = True,
    distance: Annotated[
        int, typer.Option("--distance", min=0, max=20, help="Bits of 64 in which near-duplicates may differ.")
    ] = 6,
    test_share: Annotated[float, typer.Option("--test-share", help="Share of test images.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides among images that are alike.")] = 42,
) -> None:
    """Divide the images of all sources into train and test, each image on one side whatever asks about it.

    Frames that are nearly the same, by the distance of gi-bench audit, stay together where there are pictures.
    """
    from gi_bench.harness.audit.images import near_duplicates_within
    from gi_bench.harness.outputs import check_output, json_with
    from gi_bench.harness.registry import load_suite
    from gi_bench.harness.suites.base import Suite
    from gi_bench.harness.suites.splits.making import check_share, gather, linked, make_split, read_sources, shares

    check_share(test_share)
    check_output(output, json_with("format", "fingerprint", "sides"), inputs=sources)
    suites: list[Suite] = []

    def load(name: str) -> Suite:
        suites.append(load_suite(name, data))
        return suites[-1]

    rows, used = read_sources(sources, load)
    uses = gather(rows)
    together: list[tuple[str, str]] = []
    told = "near-duplicates: not looked for"
    if near:
        found = near_duplicates_within([use.img_id for use in uses], suites, images, distance=distance)
        together = [(pair.first, pair.second) for pair in found.pairs]
        groups = linked(together)
        members = sum(map(len, groups))
        told = (
            f"near-duplicates within {distance} bits: {len(together)} pairs, {len(groups)} groups of {members} images "
            f"(the largest {max(map(len, groups), default=0)}), each on one side"
        )
        if found.unseen:
            told += f"; {found.unseen} images without a picture were not compared"
    made = make_split(uses, fraction=test_share, seed=seed, sources=used, together=together)
    made.write(output)
    for share in shares(made, uses):
        say(f"{share.kind:<6} {share.name:<24} train {share.train:>6}  test {share.test:>6}  {share.test_share:.3f}")
    say(told)
    say(f"split {made.fingerprint[:16]}: {output}")


COMMAND = CommandEntry(
    "split",
    "Write an image-disjoint split over all tasks.",
    split,
    examples=[
        (
            "two suites, with no image on both sides",
            "gi-bench split kvasir-vqa-x1/train kvasir-vqa-x1/test --data DIR -o split.json",
        ),
        ("a file of rows of your own", "gi-bench split rows.csv --images FRAMES --test-share 0.1 -o split.json"),
    ],
)
