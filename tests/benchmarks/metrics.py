"""Times the challenge's text metrics: gi-bench against the reference libraries, on the same pairs.

    python -m tests.benchmarks.metrics --rows test.parquet

The rival is what the challenge's template does through ``evaluate``: sacreBLEU's 13a tokenizer with n-gram counting per
row, rouge_score with its bootstrap aggregator, NLTK's METEOR with ``word_tokenize``. Both sides run in a process of
their own, so that no text has been seen; values are compared. ``--workers 2`` also gives the rival two processes.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

Pairs = list[tuple[str, str]]


def pairs_of(rows: Path, kind: str, limit: int | None) -> Pairs:
    """(prediction, reference) pairs from the references of a Parquet file.

    ``shuffled``: another row's reference; ``altered``: the row's own with a word dropped and one doubled, which no
    cache has seen twice.
    """
    import pyarrow.parquet as pq

    references = pq.read_table(rows, columns=["answer"]).column("answer").to_pylist()[:limit]
    random.seed(0)
    if kind == "shuffled":
        return list(zip(random.sample(references, len(references)), references, strict=True))
    altered = []
    for i, text in enumerate(references):
        words = text.split()
        del words[random.randrange(len(words))]
        words.insert(random.randrange(len(words) + 1), f"w{i}")
        altered.append(" ".join(words))
    return list(zip(altered, references, strict=True))


def reference_meteor(pairs: Pairs) -> list[float]:
    """METEOR per pair with NLTK alone."""
    from nltk import word_tokenize
    from nltk.translate import meteor_score

    return [
        meteor_score.single_meteor_score(word_tokenize(r), word_tokenize(p), alpha=0.9, beta=3, gamma=0.5)
        for p, r in pairs
    ]


def reference_rouge(pairs: Pairs) -> list[dict[str, object]]:
    """ROUGE per pair with rouge_score alone; all four types, as ``evaluate`` asks for by default."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=False)
    return [scorer.score(r, p) for p, r in pairs]


def reference_bleu(pairs: Pairs) -> float:
    """Corpus BLEU-4 as ``evaluate`` defines it, counted n-gram by n-gram."""
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokenizer = Tokenizer13a()
    matches, totals = [0] * 4, [0] * 4
    ours_length = theirs_length = 0
    for prediction, reference in pairs:
        ours, theirs = tokenizer(prediction).split(), tokenizer(reference).split()
        ours_length += len(ours)
        theirs_length += len(theirs)
        for order in range(1, 5):
            a = Counter(tuple(ours[i : i + order]) for i in range(len(ours) - order + 1))
            b = Counter(tuple(theirs[i : i + order]) for i in range(len(theirs) - order + 1))
            matches[order - 1] += sum((a & b).values())
            totals[order - 1] += max(0, len(ours) - order + 1)
    if not all(matches):
        return 0.0
    mean = math.exp(sum(math.log(m / t) for m, t in zip(matches, totals, strict=True)) / 4)
    return mean * (1.0 if ours_length > theirs_length else math.exp(1 - theirs_length / ours_length))


def _split(pairs: Pairs, workers: int) -> list[Pairs]:
    size = math.ceil(len(pairs) / workers)
    return [pairs[i : i + size] for i in range(0, len(pairs), size)]


def rival(pairs: Pairs, workers: int, pool: ProcessPoolExecutor) -> dict[str, float]:
    """The five metrics by the reference libraries, ROUGE with the template's aggregation (1,000 resamples)."""
    from rouge_score.scoring import BootstrapAggregator

    if workers == 1:
        rouge, meteor = reference_rouge(pairs), reference_meteor(pairs)
    else:
        parts = _split(pairs, workers)
        rouge = [score for part in pool.map(reference_rouge, parts) for score in part]
        meteor = [score for part in pool.map(reference_meteor, parts) for score in part]
    aggregator = BootstrapAggregator()
    for score in rouge:
        aggregator.add_scores(score)
    aggregator.aggregate()
    found = {
        key: sum(score[key].fmeasure for score in rouge) / len(rouge)  # type: ignore[attr-defined]
        for key in ("rouge1", "rouge2", "rougeL")
    }
    return {"bleu": reference_bleu(pairs), **found, "meteor": sum(meteor) / len(meteor)}


def ours(pairs: Pairs) -> dict[str, float]:
    """The five metrics by gi-bench."""
    from gi_bench.harness.metrics.text import corpus_scores

    return corpus_scores(pairs)


def _child(arguments: argparse.Namespace) -> None:
    pairs = pairs_of(arguments.rows, arguments.kind, arguments.limit)
    # Imports, WordNet and Punkt are read before the clock starts, on both sides.
    with ProcessPoolExecutor(arguments.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        score = ours if arguments.side == "ours" else functools.partial(rival, workers=arguments.workers, pool=pool)
        score(pairs[: 8 * arguments.workers])
        start = time.perf_counter()
        values = score(pairs)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "values": values, "peak_mb": peak, "n": len(pairs)}))


def _run(arguments: argparse.Namespace, side: str, kind: str, workers: int) -> dict[str, object]:
    command = [sys.executable, "-m", "tests.benchmarks.metrics", "--rows", str(arguments.rows), "--side", side]
    command += ["--kind", kind, "--workers", str(workers)]
    if arguments.limit:
        command += ["--limit", str(arguments.limit)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    if done.returncode != 0:
        sys.exit(f"error: {side} ended with {done.returncode}:\n{done.stderr.strip()[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _check_nltk_data() -> None:
    """End with one line where NLTK has not the data that the rival needs."""
    import nltk

    missing = []
    for name in ("tokenizers/punkt_tab/english", "corpora/wordnet"):
        try:
            nltk.data.find(name)
        except LookupError:
            missing.append(name.split("/")[1])
    if missing:
        sys.exit(
            f"error: NLTK's data are not found ({', '.join(missing)}): set NLTK_DATA to a folder that holds them, or "
            f"fetch them with: python -m nltk.downloader {' '.join(missing)}"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line per kind of predictions and worker count; exit with 1 where values differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, required=True, help="Parquet file with a column answer")
    parser.add_argument("--limit", type=int, default=None, help="first rows only")
    parser.add_argument("--workers", type=int, default=1, help="processes of the rival, besides one")
    parser.add_argument("--side", choices=["ours", "rival"], help=argparse.SUPPRESS)
    parser.add_argument("--kind", default="shuffled", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.side:
        _child(arguments)
        return
    _check_nltk_data()
    different = False
    for kind in ("shuffled", "altered"):
        mine = _run(arguments, "ours", kind, 1)
        for workers in sorted({1, arguments.workers}):
            theirs = _run(arguments, "rival", kind, workers)
            gap = max(abs(mine["values"][k] - v) for k, v in theirs["values"].items())  # type: ignore[index,attr-defined]
            different |= gap > 1e-9
            ratio = float(theirs["seconds"]) / float(mine["seconds"])  # type: ignore[arg-type]
            print(
                f"{kind}: {mine['n']} rows, gi-bench {mine['seconds']:.2f} s ({mine['peak_mb']:.0f} MB), "
                f"reference libraries in {workers} process(es) {theirs['seconds']:.1f} s ({theirs['peak_mb']:.0f} MB): "
                f"{ratio:.1f} times; largest difference {gap:.1e}"
            )
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
