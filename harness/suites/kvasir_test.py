"""``SimulaMet/Kvasir-VQA-test``: the public set of ImageCLEFmed MEDVQA-GI, with short answers to atomic questions.

Its rows have an image, an id, a question and an answer; no class, no complexity. A question in the words of one of
Kvasir-VQA's atomic questions gets its class, and its answer is the atomic one. What the set holds cannot be pinned
here: one participant counts 1,384 rows of the split ``validation`` (CARES-MedVQA, 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gi_bench.harness.errors import DataError
from gi_bench.harness.reading.questions import finding_asked
from gi_bench.harness.schema import AtomicPair, Question
from gi_bench.harness.suites import kvasir_rows
from gi_bench.harness.suites.base import Suite, SuiteEntry
from gi_bench.harness.suites.image_ids import check_image_id
from gi_bench.harness.suites.kvasir import KvasirSuite, hub_folder
from gi_bench.harness.suites.specs import SuiteSpec
from gi_bench.harness.taxonomy import QUESTION_CLASSES

HUB_ID = "SimulaMet/Kvasir-VQA-test"
NAME = "kvasir-vqa-test/validation"
SPEC = SuiteSpec(family="kvasir-vqa-test", split="validation", asks_explanations=True)
_LAYOUT = f"give --data a folder with data/validation-*.parquet (img_id, question, answer) and images/, from {HUB_ID}"
_BY_WORDING = {" ".join(one.atomic_question.lower().split()): one for one in QUESTION_CLASSES.values()}


def to_question(row: Mapping[str, Any], index: int) -> Question:
    """One row as a question that asks for an explanation too.

    Raises:
        DataError: a value is missing or of another type.
    """
    where = str(row["_where"])
    img_id = check_image_id(row["img_id"], where)
    text, answer = row["question"], row.get("answer")
    if not isinstance(text, str) or not text.strip():
        raise DataError("empty question", where=where, do="every row needs a question")
    if not isinstance(answer, str):
        raise DataError("column 'answer' is not text", where=where, do=_LAYOUT)
    known = _BY_WORDING.get(" ".join(text.lower().split()))
    finding = finding_asked(text) if known is None else known.finding
    classes = () if known is None else (known.slug,)
    return Question(
        index=index,
        img_id=img_id,
        question=text,
        answer=answer,
        question_class=classes,
        complexity=1,
        original=() if known is None else (AtomicPair(known.atomic_question, answer),),
        is_negative=known is not None and finding is not None and kvasir_rows.says_absent(answer, classes),
        finding=finding,
        wants_explanation=True,
    )


def _load(data: Path | None) -> Suite:
    folder = data if data is not None else hub_folder(HUB_ID, _LAYOUT)
    rows = kvasir_rows.read_rows(kvasir_rows.find_parquet(folder, "validation"), hidden=True)
    questions = [to_question(row, index) for index, row in enumerate(rows)]
    if not questions:
        raise DataError("no rows", where=folder, do=_LAYOUT)
    return KvasirSuite(NAME, folder, questions, SPEC)


def suites() -> list[SuiteEntry]:
    """The entry for the registry."""
    summary = "public set of ImageCLEFmed MEDVQA-GI (Kvasir-VQA-test; --data DIR)"
    return [SuiteEntry(NAME, summary, _load, needs_data=True, spec=SPEC)]
