"""Run folders: written by the engine, read by everything that comes after it.

A run folder holds::

    manifest.json            recipe, suite fingerprint, code version, packages, hardware, seed, dtype, batch, digests
    questions.parquet        the suite's questions with references, so that no later step needs the suite
    phrases.parquet          its phrases with reference regions
    predictions/part-*.parquet
    timings/part-*.json      seconds by stage (kept apart: predictions repeat byte for byte, time does not)
    training.json            images that the model was trained on, where that is known
    scores.json

Beside the run folders of a suite lies ``pictures-<fingerprint>.parquet`` with small pictures of its images. The
records are declared in :mod:`gi_bench.harness.schema`. Every file is written beside its place and moved into it, so
that a reader never meets half a file.

``layout`` says where everything lies, ``contents`` reads and writes one file at a time, ``run`` opens a folder and
refuses what was changed in it. Everybody else imports from here.
"""

from gi_bench.harness.store.contents import (
    content_digest,
    digests_of,
    read_manifest,
    read_predictions,
    read_timing,
    reference_files,
    scores_from_json,
    scores_to_json,
    write_manifest,
    write_part,
    write_references,
    write_whole,
)
from gi_bench.harness.store.layout import MANIFEST, PHRASES, QUESTIONS, made_parts, pictures_path, run_parts
from gi_bench.harness.store.run import Run, accept_changes, accepts_changes, open_run

__all__ = [
    "MANIFEST",
    "PHRASES",
    "QUESTIONS",
    "Run",
    "accept_changes",
    "accepts_changes",
    "content_digest",
    "digests_of",
    "made_parts",
    "open_run",
    "pictures_path",
    "read_manifest",
    "read_predictions",
    "read_timing",
    "reference_files",
    "run_parts",
    "scores_from_json",
    "scores_to_json",
    "write_manifest",
    "write_part",
    "write_references",
    "write_whole",
]
