"""CPU seconds of commands where little or nothing is new, as a table.

    python -m tests.benchmarks.commands
    python -m tests.benchmarks.commands --rows test.parquet --runs 8

Seconds are those of the process and what it starts (user and system), so that a busy machine counts little. Every
command is given with an empty cache first and then again. With ``--rows`` (a Parquet file of the official test split)
prediction files with altered references are scored and compared too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

BLIND = ("run", "--model", "blind_constant", "--limit", "10")
MAIN = (
    "run", "--limit", "40", "--model", "blind_constant", "--model", "blind_class_prior", "--model", "blind_explanation",
    "--model", "oracle_facts", "--model", "vqa_only_r128", "--model", "multitask_r128",
)  # fmt: skip


def cpu_seconds(arguments: Sequence[str], cache: Path) -> float:
    """CPU seconds of one command.

    Raises:
        SystemExit: the command fails; its last lines are shown.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "gi_bench.harness.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "GI_BENCH_CACHE": str(cache)})
    if done.returncode != 0:
        sys.exit(f"error: gi-bench {' '.join(arguments)}\n{done.stderr.strip()[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write_predictions(rows: Path, folder: Path, count: int) -> list[Path]:
    """Files of predictions: references of which one in seven is another row's and every second has a word lost."""
    import pyarrow.parquet as pq

    references = pq.read_table(rows, columns=["answer"]).column("answer").to_pylist()
    written = []
    for number in range(count):
        chance = random.Random(number)
        lines = []
        for index, answer in enumerate(references):
            words = (chance.choice(references) if chance.random() < 1 / 7 else answer).split()
            if len(words) > 1 and chance.random() < 0.5:
                words.pop(chance.randrange(len(words)))
            lines.append(json.dumps({"index": index, "answer": " ".join(words)}) + "\n")
        path = folder / f"altered{number}.jsonl"
        path.write_text("".join(lines), encoding="utf-8")
        written.append(path)
    return written


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line a command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, default=None, help="Parquet file of the official test split")
    parser.add_argument("--runs", type=int, default=8, help="files of predictions to score and compare")
    asked = parser.parse_args(argv)
    print(f"{'command':<44} first   again   (CPU seconds)")
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name), Path(name, "cache")

        def line(what: str, first: Sequence[str], again: Sequence[str]) -> None:
            print(f"{what:<44} {cpu_seconds(first, cache):>5.1f}   {cpu_seconds(again, cache):>5.1f}", flush=True)

        line("a blind run of 10 rows, into new folders", [*BLIND, "-o", f"{name}/a"], [*BLIND, "-o", f"{name}/b"])
        line("six models on 40 rows, given again", [*MAIN, "-o", f"{name}/c"], [*MAIN, "-o", f"{name}/c"])
        if asked.rows is None:
            return
        given = [f"--predictions={path}" for path in write_predictions(asked.rows, folder, asked.runs)]
        suite = ["--suite", "kvasir-vqa-x1/test", "--data", str(asked.rows.parent)]
        runs = f"{asked.runs} runs"
        line(
            f"score of {runs}",
            ["score", *given, *suite, "-o", f"{name}/d"],
            ["score", *given, *suite, "-o", f"{name}/d"],
        )
        folders = sorted(str(path.parent) for path in folder.glob("d/*/*/manifest.json"))
        line(f"compare of {runs}", ["compare", *folders], ["compare", *folders])


if __name__ == "__main__":
    main()
