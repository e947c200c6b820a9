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
    test_share: Annotated[float, typer.Option("--test-share", help="Share of test images.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides among images that are alike.")] = 42,
) -> None:
    """Divide the images of all sources into train and test, each image on one side whatever asks about it."""
    from gi_bench.harness.outputs import check_output, json_with
    from gi_bench.harness.registry import load_suite
    from gi_bench.harness.suites.splits.making import gather, make_split, read_sources, shares

    check_output(output, json_with("format", "fingerprint", "sides"), inputs=sources)
    rows, used = read_sources(sources, lambda name: load_suite(name, data))
    uses = gather(rows)
    made = make_split(uses, fraction=test_share, seed=seed, sources=used)
    made.write(output)
    for share in shares(made, uses):
        say(f"{share.kind:<6} {share.name:<24} train {share.train:>6}  test {share.test:>6}  {share.test_share:.3f}")
    say(f"split {made.fingerprint[:16]}: {output}")


COMMAND = CommandEntry("split", "Write an image-disjoint split over all tasks.", split)
