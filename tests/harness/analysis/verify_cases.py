"""Runs with everything that may happen to a row, and their ``scores.json`` to read and forge."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gi_bench.harness import store
from gi_bench.harness.schema import AtomicPair, Phrase, Prediction, Question, Region, Reply
from tests.run_folders import SIZE, questions, square, write_run

ANSWERS = (
    "one polyp visible in the image", "no polyps visible", "two polyps, red and small", "",
    "I am sorry, I cannot tell", "A polyp of 5-10 mm lies in the upper-left; no text.", "naïve 息肉 &amp; polyp-\n",
    "no instruments visible in the image", "an instrument is visible", "???",
)  # fmt: skip
EXPLANATIONS = (
    "One pink polyp of 5 mm is seen in the upper left, no instrument.",
    "Two small polyps lie on the pale wall; no instrument enters.",
    "No instrument enters the field.",
    None,
    "The metal shaft of an instrument is seen at the right.",
    "No polyp, since the mucosa is smooth and pale everywhere.",
    "No instrument; the dark lumen is empty.",
)


def mixed_rows(count: int = 40) -> list[Question]:
    """Questions of one to three classes, some without facts, some without a single finding."""
    rows = []
    for question in questions(count):
        i = question.index
        if i % 5 == 4:
            question = replace(
                question,
                question_class=("polyp_count", "abnormality_color"),
                original=(AtomicPair("q", "1"), AtomicPair("q", "pink, red")),
                complexity=2,
                finding=None,
                is_negative=False,
            )
        if i % 11 == 10:
            question = replace(question, original=(), explanation=None)
        rows.append(question)
    return rows


def mixed_answers(rows: Iterable[Question]) -> list[Prediction]:
    """Answers, explanations and regions of every kind, to most of the rows."""
    rng = np.random.default_rng(0)
    said = []
    for question in rows:
        i = question.index
        if i % 13 == 12:
            continue
        said.append(
            Prediction(
                "question",
                i,
                question.img_id,
                question.answer if i % 3 == 0 else ANSWERS[(i * 7) % len(ANSWERS)] if i % 17 != 16 else None,
                float(rng.choice([0.0, 0.2, 0.25, 0.6, 0.9, 1.0, 1.5, rng.random()])) if i % 9 != 8 else None,
                EXPLANATIONS[i % len(EXPLANATIONS)],
                None,
                (None, (), (square("polyp", 9, 7, 14), square("polyp", 12, 12, 20)), (square("polyp", 0, 0, 40),))[
                    i % 4
                ],
                warnings=("repaired",) if i % 10 == 0 else (),
                log_prob=-float(rng.random()),
                margin=float(rng.random()),
                entropy=float(rng.random()),
            )
        )
    return said


def mixed_regions(rows: Iterable[Phrase]) -> list[Prediction]:
    """Regions of every kind, to most of the phrases."""
    rng = np.random.default_rng(1)
    half = np.zeros((SIZE // 2, SIZE // 2), dtype=bool)
    half[3:11, 4:13] = True
    given: list[tuple[Region, ...] | None] = [
        (square("polyp", 8, 8, 16),), (square("polyp", 10, 9, 15), square("polyp", 30, 30, 5)),
        (), None, (Region.from_mask("polyp", half),), (square("polyp", 0, 0, SIZE),), (square("polyp", 7, 8, 17),),
    ]  # fmt: skip
    said = []
    for phrase in rows:
        if phrase.index % 9 == 8:
            continue
        regions = given[phrase.index % len(given)]
        state: Any = None if regions is None else "stated" if regions else ("denied", "unreadable")[phrase.index % 2]
        confidence = float(rng.choice([0.1, 0.5, 0.5, 0.9, rng.random()]))
        said.append(
            Prediction(
                "phrase", phrase.index, phrase.img_id, None, confidence, None, phrase.phrase, regions,
                ground_reply=None if state is None else Reply(state=state),
            )
        )  # fmt: skip
    return said


def write_said(folder: Path, rows: list[Question], shown: list[Phrase], said: list[Prediction], **options: Any) -> Path:
    """A run folder with these predictions."""
    write_run(folder, rows=rows, shown=shown, **options)
    store.write_part(folder / "predictions" / "part-00000.parquet", said)
    return folder


def without_nltk_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """NLTK finds nothing on its path; its lazy corpus starts anew."""
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(nltk.corpus, "wordnet", LazyCorpusLoader("wordnet", WordNetCorpusReader, None))


def read_scores(folder: Path) -> dict[str, Any]:
    """What ``scores.json`` of a run holds."""
    return dict(json.loads((folder / "scores.json").read_text(encoding="utf-8")))


def forge(folder: Path, content: dict[str, Any]) -> None:
    """Write ``scores.json`` anew with a digest that fits."""
    content["digest"] = store.content_digest(content)  # whoever forges a number can do that too
    (folder / "scores.json").write_text(json.dumps(content), encoding="utf-8")


def score_of(content: dict[str, Any], metric: str, slice_by: str = "all", slice_value: str = "all") -> dict[str, Any]:
    """The stored score of a metric on a slice."""
    return next(
        score
        for score in content["scores"]
        if (score["metric"], score["slice_by"], score["slice_value"]) == (metric, slice_by, slice_value)
    )
