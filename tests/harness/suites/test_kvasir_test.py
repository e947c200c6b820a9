"""The public set of ImageCLEFmed MEDVQA-GI: atomic questions without class or complexity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gi_bench.harness.analysis.scoring import score_run
from gi_bench.harness.engine.run import Settings, evaluate
from gi_bench.harness.errors import DataError
from gi_bench.harness.registry import load_suite
from tests.command_line import CommandLine

NAME = "kvasir-vqa-test/validation"
ROWS: list[dict[str, Any]] = [
    {"img_id": "a", "question": "How many polyps are in the image?", "answer": "2"},
    {"img_id": "a", "question": "have all polyps been removed?", "answer": "No"},
    {
        "img_id": "b",
        "question": "Are there any instruments in the image? Check all that are present.",
        "answer": "None",
    },
    {"img_id": "b", "question": "Is this finding easy to detect?", "answer": "Yes"},
]


def _folder(place: Path, rows: list[dict[str, Any]]) -> Path:
    (place / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), place / "data" / "validation-00000-of-00001.parquet")
    return place


def test_atomic_questions_get_their_class(tmp_path: Path) -> None:
    suite = load_suite(NAME, _folder(tmp_path, ROWS))
    assert [q.question_class for q in suite.questions] == [
        ("polyp_count",), ("polyp_removal_status",), ("instrument_presence",), (),
    ]  # fmt: skip
    assert [q.is_negative for q in suite.questions] == [False, False, True, False]
    assert suite.questions[0].original[0].answer == "2"
    assert suite.questions[3].original == ()
    assert all(q.wants_explanation and q.complexity == 1 for q in suite.questions)
    assert not suite.has_images
    assert not suite.spec.has_all(suite.questions), "the set is not pinned"


def test_a_floor_runs_and_is_scored(tmp_path: Path) -> None:
    settings = Settings(tasks=("answer",), device="cpu")
    (done,) = evaluate(
        "blind_constant",
        NAME,
        data=_folder(tmp_path / "d", ROWS[:3]),
        train_suite=NAME,
        output=tmp_path,
        settings=settings,
    )
    bleu = score_run(done.path, resamples=10).find("bleu")
    assert bleu is not None
    assert bleu.n == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"answer": None}, "column 'answer' is not text"),
        ({"question": " "}, "empty question"),
        ({"img_id": "../a"}, "unsafe image id"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, gi_bench: CommandLine, change: dict[str, Any], told: str) -> None:
    folder = _folder(tmp_path / "data", [*ROWS[:2], ROWS[2] | change])
    with pytest.raises(DataError, match=told) as caught:
        load_suite(NAME, folder)
    assert "row 2" in caught.value.line()
    assert gi_bench("suites", "export", NAME, "--data", folder, "-o", tmp_path / "x.jsonl").returncode == 2


def test_without_data_the_layout_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match=r"cannot get the dataset SimulaMet/Kvasir-VQA-test.*data/validation-"):
        load_suite(NAME)
