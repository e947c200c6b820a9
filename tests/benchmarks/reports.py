"""Times the report page: how long it takes to build, what it holds, how large it is, and when a browser can use it.

    python -m tests.benchmarks.reports --rows test.parquet                 # 8 runs on all rows: to build
    python -m tests.benchmarks.reports --rows test.parquet --limit 1500    # 8 runs on 1,500 rows: to build and to use

Runs are made of the rows' references: words are lost, answers of other rows stand in, regions move, each run with a
seed of its own. Scoring them comes first and is not timed. The page is built in a process of its own, twice: as the
first page after scoring, and again. ``--keep DIR`` keeps the runs and what was cached for another time.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from gi_bench.harness.schema import AtomicPair, Phrase, Picture, Prediction, Question, Region

_SIDE = 256


def read_questions(rows: Path, limit: int | None) -> list[Question]:
    """Questions of a Parquet file of the official test split."""
    import pyarrow.parquet as pq

    columns = ["img_id", "complexity", "question", "answer", "original", "question_class"]
    found = []
    for index, row in enumerate(pq.read_table(rows, columns=columns).slice(0, limit).to_pylist()):
        original, classes = row["original"], row["question_class"]
        original = json.loads(original) if isinstance(original, str) else original
        classes = json.loads(classes) if isinstance(classes, str) else classes
        pairs = tuple(AtomicPair(pair["q"], pair["a"]) for pair in original)
        found.append(
            Question(
                index, row["img_id"], row["question"], row["answer"], tuple(classes), row["complexity"], pairs,
                wants_explanation=index % 3 == 0,
            )
        )  # fmt: skip
    return found


def made_phrases(questions: Sequence[Question]) -> list[Phrase]:
    """A phrase about a box for every image; every fourth is about something absent."""
    phrases = []
    for index, img_id in enumerate(dict.fromkeys(question.img_id for question in questions)):
        label = ("polyp", "polyp", "polyp", "instrument", "z-line")[index % 5]
        absent = index % 4 == 3
        region = None if absent else _box(label, random.Random(index), 0)
        phrases.append(Phrase(index, img_id, label, label, region, absent))
    return phrases


def _box(label: str, chance: random.Random, shift: int) -> Region:
    left, top = chance.randrange(20, 120) + shift, chance.randrange(20, 120) + shift
    return Region.from_box(label, (left, top, left + 90, top + 80), _SIDE, _SIDE)


def predictions(questions: Sequence[Question], phrases: Sequence[Phrase], seed: int) -> list[Prediction]:
    """What one run says."""
    chance, said = random.Random(seed), []
    for question in questions:
        right = chance.random() > 0.1 + 0.02 * seed
        words = ((question.answer if right else chance.choice(questions).answer) or "").split()
        if len(words) > 1 and chance.random() < 0.5:
            words.pop(chance.randrange(len(words)))
        text = "A smooth red bump of 5 mm lies in the upper left; its surface is shiny." if seed % 2 else "A bump."
        said.append(
            Prediction(
                "question", question.index, question.img_id, answer=" ".join(words),
                confidence=round(min(1.0, max(0.0, chance.gauss(0.8 if right else 0.6, 0.15))), 4),
                explanation=text if question.wants_explanation else None,
            )
        )  # fmt: skip
    for phrase in phrases:
        region = _box(phrase.label, random.Random(phrase.index), chance.randrange(0, 10 + 4 * seed))
        shown = () if phrase.is_negative and chance.random() < 0.7 else (region,)
        said.append(Prediction("phrase", phrase.index, phrase.img_id, phrase=phrase.phrase, regions=shown))
    return said


def write_runs(folder: Path, rows: Path, limit: int | None, count: int) -> list[Path]:
    """Scored run folders, the last of them a floor; what is there already is kept."""
    from gi_bench.harness.analysis.scoring import score_run
    from gi_bench.harness.schema import Counts, Manifest, Recipe
    from gi_bench.harness.store import pictures_path, write_whole
    from gi_bench.harness.tables import write_records

    questions = read_questions(rows, limit)
    phrases = made_phrases(questions)
    images = dict.fromkeys(question.img_id for question in questions)
    counts = Counts(images=len(images), phrases=len(phrases), questions=len(questions))
    paths = []
    for seed in range(count):
        model = {"role": "floor"} if seed == count - 1 else {"trained_on": ["answer"] if seed == 1 else ["all"]}
        tasks = ("answer", "explain", "ground")
        recipe = Recipe(f"made{seed}", model, "made/rows", "b" * 64, tasks, limit, seed, "float32", "0")
        manifest = Manifest(recipe, recipe.digest(), "2026-01-01T00:00:00+00:00", True, counts, seconds=10.0 + seed)
        paths.append(folder / f"made{seed}-{recipe.digest()[:8]}")
        if not (paths[-1] / "scores.json").exists():
            write_whole(paths[-1], manifest, questions, predictions(questions, phrases, seed), phrases)
            score_run(paths[-1], resamples=100)  # the width of their intervals is not what is timed
    if not pictures_path(paths[0], "b" * 64).exists():
        made = [Picture(img_id, _SIDE, _SIDE, _picture(i)) for i, img_id in enumerate(images)]
        write_records(pictures_path(paths[0], "b" * 64), made, Picture)
    return paths


def _picture(seed: int) -> bytes:
    """A small picture of about 10 kB, as real ones are."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(seed).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(stream, "WEBP", quality=80)
    return stream.getvalue()


def _child(paths: Sequence[str], output: str) -> None:
    """Build the page and print wall seconds, CPU seconds and peak memory in MB."""
    from gi_bench.reports.comparison import write_report

    start = time.perf_counter()
    write_report([Path(path) for path in paths], Path(output))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)


def built(paths: Sequence[Path], output: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MB of building a page in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.reports", "--child", str(output), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {done.stderr.strip()[-2000:]}")
    wall, cpu, memory = map(float, done.stdout.split())
    return wall, cpu, memory


def usable(page: Path) -> float | None:
    """Seconds from opening a page until runs can be switched and a chart is drawn; None without a browser."""
    from tests.reports.chromium import found_browser, started

    browser = found_browser()
    if browser is None:
        return None
    with started(browser) as chromium:
        start = time.perf_counter()
        with chromium.page(page) as shown:
            shown.locator("[data-switch]").first.click()
            shown.locator("table.headline button.sort").nth(1).click()
            shown.locator("figure.chart").first.scroll_into_view_if_needed()
            shown.wait_for_selector("figure.chart[data-state=drawn]", state="attached")
            return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, help="Parquet file of the official test split")
    parser.add_argument("--limit", type=int, default=None, help="first rows only")
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--keep", type=Path, default=None, help="folder for the runs and the page")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.child:
        _child(asked.paths, asked.child)
        return
    if asked.rows is None:
        parser.error("--rows is needed")
    with tempfile.TemporaryDirectory() as name:
        folder = asked.keep or Path(name)
        os.environ["GI_BENCH_CACHE"] = str(folder / "cache")
        paths = write_runs(folder, asked.rows, asked.limit, asked.runs)
        page = folder / "page.html"
        for what in ("first", "again"):
            wall, cpu, memory = built(paths, page)
            size = page.stat().st_size / 1e6
            print(f"{what:<6} {wall:6.1f} s  {cpu:6.1f} CPU s  {memory:6.0f} MB  page {size:.2f} MB", flush=True)
        seconds = usable(page)
        print("no browser" if seconds is None else f"usable after {seconds:.2f} s")


if __name__ == "__main__":
    main()
