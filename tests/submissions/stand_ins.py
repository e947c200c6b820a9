"""Stand-ins for what a submission's script fetches: the Hub, the data, the metrics; all from local folders.

``environment`` gives variables for a process of its own. Nothing there reaches the network.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_DATASETS = """
import io, os
import numpy as np
import pyarrow.parquet as pq


class Image:
    pass


class Rows:
    def __init__(self, table, order):
        self._table, self._order = table, list(order)

    def shuffle(self, seed):
        return Rows(self._table, [self._order[i] for i in np.random.default_rng(seed).permutation(len(self._order))])

    def select(self, indices):
        return Rows(self._table, [self._order[i] for i in indices if i < len(self._order)])

    def cast_column(self, name, kind):
        assert name == "image" and isinstance(kind, Image)
        return self

    def __len__(self):
        return len(self._order)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, wanted):
        if isinstance(wanted, str):
            return [self._table[wanted][i].as_py() for i in self._order]
        from PIL import Image as Pictures

        row = {name: self._table[name][self._order[wanted]].as_py() for name in self._table.column_names}
        path = os.path.join(os.environ["STAND_IN_DATA"], "images", row["img_id"] + ".png")
        return row | {"image": Pictures.open(path)}


def load_dataset(name, split=None):
    found = os.environ["STAND_IN_NAMES"].split(",")
    assert name in found, name
    table = pq.read_table(os.path.join(os.environ["STAND_IN_DATA"], "data", "test-00000-of-00001.parquet"))
    rows = Rows(table, range(len(table)))
    return {"test": rows} if split is None else rows
"""
_EVALUATE = """
class _Metric:
    def compute(self, predictions, references):
        assert len(predictions) == len(references)
        share = sum(p == r[0] for p, r in zip(predictions, references)) / len(predictions)
        return dict.fromkeys(("bleu", "rouge1", "rouge2", "rougeL", "meteor"), share)


def load(name):
    assert name in ("bleu", "rouge", "meteor")
    return _Metric()
"""
_SITE = """
import itertools, os, sys

if not hasattr(itertools, "batched"):
    def batched(rows, size):
        rows = iter(rows)
        while part := tuple(itertools.islice(rows, size)):
            yield part
    itertools.batched = batched

import huggingface_hub


def snapshot_download(repo_id, revision=None, allow_patterns=None, **_):
    assert repo_id == os.environ["STAND_IN_REPOSITORY"], repo_id
    return os.environ["STAND_IN_FOLDER"]


huggingface_hub.snapshot_download = snapshot_download
"""


def environment(place: Path, *, data: Path, repository: str, folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Variables of a process in which the Hub's repository lies in a folder and the data in another.

    Args:
        place: empty folder for the stand-in modules.
        data: layout of Kvasir-VQA-x1, pictures as PNG.
        repository: the only id that may be asked for.
        folder: what is in it.
        names: ids of datasets that may be asked for.
    """
    place.mkdir(parents=True)
    for name, text in (("datasets", _DATASETS), ("evaluate", _EVALUATE), ("sitecustomize", _SITE)):
        (place / f"{name}.py").write_text(text, encoding="utf-8")
    return {
        **os.environ,
        "PYTHONPATH": str(place),
        "STAND_IN_DATA": str(data),
        "STAND_IN_NAMES": ",".join(names),
        "STAND_IN_REPOSITORY": repository,
        "STAND_IN_FOLDER": str(folder),
        "HF_HUB_OFFLINE": "1",
    }


def write_phantom_rows(folder: Path, count: int) -> Path:
    """Rows of ``phantom/validation`` in the layout of Kvasir-VQA-x1."""
    import json

    from gi_bench.harness.suites.phantom.suite import PhantomSuite

    suite = PhantomSuite("validation", 1 + count // 10)
    rows: list[dict[str, Any]] = []
    (folder / "data").mkdir(parents=True)
    (folder / "images").mkdir()
    for question in suite.questions[:count]:
        rows.append(
            {
                "img_id": question.img_id.replace("/", "-"),
                "complexity": question.complexity,
                "question": question.question,
                "answer": question.answer,
                "original": json.dumps([{"q": pair.question, "a": pair.answer} for pair in question.original]),
                "question_class": list(question.question_class),
                "image": "x",
            }
        )
        picture = io.BytesIO()
        suite.load_image(question.img_id).save(picture, format="PNG")
        (folder / "images" / f"{rows[-1]['img_id']}.png").write_bytes(picture.getvalue())
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "test-00000-of-00001.parquet")
    return folder
