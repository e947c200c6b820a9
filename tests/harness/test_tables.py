"""Records as tables: the schema follows from the types, and every record comes back as it was."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gi_bench.harness import files
from gi_bench.harness.errors import RunError
from gi_bench.harness.schema import (
    REPLY_STATES,
    AtomicPair,
    Phrase,
    Picture,
    Prediction,
    Question,
    Region,
    Reply,
)
from gi_bench.harness.suites.base import canonical_lines
from gi_bench.harness.tables import read_stored, records_of, schema_of, table_of, write_records

_TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=12)
_SINGLE = st.floats(width=32, allow_nan=False, allow_infinity=False)
_COUNT = st.integers(0, 2**31 - 1)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_REGION = st.builds(
    lambda label, height, width, seed, score, box, point: Region(
        label, height, width,
        Region.from_mask(label, np.random.default_rng(seed).random((height, width)) > 0.5).counts, score, box, point,
    ),
    _TEXT, st.integers(1, 5), st.integers(1, 5), st.integers(0, 9), _maybe(_SINGLE),
    _maybe(st.tuples(*[_SINGLE] * 4)), _maybe(st.tuples(_SINGLE, _SINGLE)),
)  # fmt: skip
_REPLY = st.builds(
    Reply, _maybe(_TEXT), _maybe(_TEXT), _maybe(st.sampled_from(REPLY_STATES)), _maybe(_COUNT),
    _maybe(st.lists(_SINGLE, max_size=3).map(tuple)),
)  # fmt: skip
_TEXTS = st.lists(_TEXT, max_size=3).map(tuple)
_RECORDS: dict[type[Any], st.SearchStrategy[Any]] = {
    Prediction: st.builds(
        Prediction, st.sampled_from(("question", "phrase")), _COUNT, _TEXT, _maybe(_TEXT), _maybe(_SINGLE),
        _maybe(_TEXT), _maybe(_TEXT), _maybe(st.lists(_REGION, max_size=2).map(tuple)), _COUNT, _TEXTS,
        _maybe(_SINGLE), _maybe(_SINGLE), _maybe(_SINGLE), _maybe(_REPLY), _maybe(_REPLY), _maybe(_REPLY),
    ),
    Question: st.builds(
        Question, _COUNT, _TEXT, _TEXT, _maybe(_TEXT), _TEXTS, st.integers(1, 3),
        st.lists(st.builds(AtomicPair, _TEXT, _TEXT), max_size=2).map(tuple), _maybe(_TEXT), st.booleans(),
        _maybe(_TEXT), st.booleans(), _TEXTS, _TEXTS,
    ),
    Phrase: st.builds(Phrase, _COUNT, _TEXT, _TEXT, _TEXT, _maybe(_REGION), st.booleans()),
    Picture: st.builds(Picture, _TEXT, _COUNT, _COUNT, st.binary(max_size=9)),
}  # fmt: skip


@pytest.mark.parametrize("record", list(_RECORDS), ids=lambda record: record.__name__)
def test_every_record_comes_back_as_it_was(record: type[Any]) -> None:
    @settings(max_examples=40, deadline=None)
    @given(st.lists(_RECORDS[record], max_size=4))
    def check(rows: list[Any]) -> None:
        table = table_of(rows, record)
        assert table.schema.equals(schema_of(record))
        assert table.schema.names == [one.name for one in fields(record)]
        assert records_of(table, record) == rows

    check()


def test_a_field_without_a_column_is_refused() -> None:
    @dataclass
    class Odd:
        anything: dict[str, int]

    Odd.__annotations__["anything"] = dict[str, int]
    with pytest.raises(TypeError, match="cannot hold"):
        schema_of(Odd)


def test_fields_that_came_later_may_be_missing_and_others_not() -> None:
    row = Prediction("question", 0, "a", "one polyp", regions=(Region("polyp", 2, 2, "04"),))
    table = table_of([row], Prediction)
    assert records_of(table.drop_columns(["entropy", "answer_reply", "ground_reply"]), Prediction) == [row]
    with pytest.raises(RunError, match="another version"):
        records_of(table.drop_columns(["answer"]), Prediction)
    with pytest.raises(RunError, match="another version"):
        records_of(table.append_column("more", pa.array([1])), Prediction)
    old = pa.struct([("label", pa.string()), ("height", pa.int32()), ("width", pa.int32()), ("counts", pa.string())])
    regions = pa.array([[{"label": "polyp", "height": 2, "width": 2, "counts": "04"}]], pa.list_(old))
    place = table.schema.get_field_index("regions")
    assert records_of(table.set_column(place, "regions", regions), Prediction) == [row]


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        (
            "kind",
            ["sentence"],
            "the column kind holds 'sentence'; it holds one of question, phrase|kind holds 'sentence'",
        ),
        ("img_id", [None], "the column img_id is empty in some rows"),
        ("index", ["0"], "the column index holds string, not int32"),
        ("warnings", [1], "the column warnings holds int64"),
    ],
)
def test_values_that_a_record_cannot_hold_are_refused(column: str, values: list[Any], told: str) -> None:
    table = table_of([Prediction("question", 0, "a")], Prediction)
    with pytest.raises(RunError, match=told):
        records_of(table.set_column(table.schema.get_field_index(column), column, pa.array(values)), Prediction, "f")


def test_a_file_that_was_changed_is_told_and_one_without_a_digest_is_not(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    digest = write_records(path, [Prediction("question", 0, "a", "one polyp")], Prediction)
    assert digest == files.file_digest(path)
    assert len(read_stored(path, {path.name: digest})) == 1
    write_records(path, [Prediction("question", 0, "a", "two polyps")], Prediction)
    with pytest.raises(RunError, match=r"changed after the run.*part-00000.*run the same command again"):
        read_stored(path, {path.name: digest})
    assert len(read_stored(path, {"other": digest})) == 1
    path.unlink()
    with pytest.raises(RunError, match="a file of the run is missing"):
        read_stored(path, {path.name: digest})


def test_a_fingerprint_outlives_the_schema_and_tells_what_is_new() -> None:
    """Rows without the later fields are hashed as the rows of version 2 were; what they hold is part of the hash."""
    region = Region("polyp", 2, 2, "04", 0.5)
    question = Question(0, "a", "q?", "yes", ("polyp_count",), 1, (AtomicPair("q", "yes"),))
    first, second = canonical_lines([question], [Phrase(0, "a", "the polyp", "polyp", region)])
    assert first == (
        b'{"answer":"yes","complexity":1,"explanation":null,"finding":null,"img_id":"a","index":0,"is_negative":false,'
        b'"kind":"question","original":[{"answer":"yes","question":"q"}],"question":"q?","question_class":["polyp_count"],'
        b'"wants_explanation":false}\n'
    )
    assert second == (
        b'{"img_id":"a","index":0,"is_negative":false,"kind":"phrase","label":"polyp","phrase":"the polyp",'
        b'"region":{"counts":"04","height":2,"label":"polyp","score":0.5,"width":2}}\n'
    )
    for changed in (replace(question, options=("yes", "no")), replace(question, also_accepted=("1",))):
        assert next(iter(canonical_lines([changed], []))) != first
    boxed = replace(region, given_box=(0.0, 0.0, 1.0, 1.0))
    assert next(iter(canonical_lines([], [Phrase(0, "a", "the polyp", "polyp", boxed)]))) != second
