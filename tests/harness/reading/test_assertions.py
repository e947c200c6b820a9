from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gi_bench.harness.reading import asserts
from gi_bench.harness.reading.vocabulary import NAMES_FINDING
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from gi_bench.harness.taxonomy import QUESTION_CLASSES
from tests.harness.reading.reading_cases import ASSERTIONS


@pytest.mark.parametrize(
    ("answer", "finding", "question", "expected"),
    [
        ("one polyp visible", "polyp", "", True),
        ("No polyps identified", "polyp", "", False),
        ("no evidence of polypoid lesions", "polyp", "", False),
        ("A single polyp without evidence of a box artefact", "polyp", "", True),
        ("A single polyp without evidence of a box artefact", "box artifact", "", False),
        ("No polyps or instruments detected in the field of view.", "instrument", "", False),
        ("No polyps but a biopsy forceps is visible", "instrument", "", True),
        ("No polyps but a biopsy forceps is visible", "polyp", "", False),
        ("11 to 20 mm", "polyp", "How large is the polyp?", True),
        ("Paris Is", "polyp", "What type of polyp is present?", True),
        ("located in the upper-left", "instrument", "Where is the instrument?", True),
        ("none", "landmark", "Which landmarks are visible?", False),
        ("residual polyps remain", "polyp", "Have all polyps been removed?", True),
        ("polyps have not been removed", "polyp", "Have all polyps been removed?", True),
        ("polyp removal not relevant", "polyp", "Have all polyps been removed?", False),
        ("No residual polyp tissue identified", "polyp", "Is there any residual polyp tissue?", False),
        ("colonoscopy; no text", "text", "", False),
        ("evidence of ulcerative colitis", "polyp", "", None),
        ("cannot be determined", "polyp", "How many polyps?", None),
        ("", "polyp", "How many polyps?", None),
    ],
)
def test_known_answers(answer: str, finding: str, question: str, expected: bool | None) -> None:
    assert asserts(answer, finding, question) is expected


@pytest.mark.parametrize(
    ("finding", "case"), [(finding, case) for finding, cases in ASSERTIONS.items() for case in cases]
)
def test_the_table(finding: str, case: tuple[str, str, bool | None]) -> None:
    answer, question, expected = case
    assert asserts(answer, finding, question) is expected
    assert asserts(answer.upper(), finding, question) is expected
    assert asserts(f" {answer}\n", finding, question.upper()) is expected


@given(st.text(), st.text())
def test_no_text_raises(answer: str, question: str) -> None:
    for finding in NAMES_FINDING:
        assert asserts(answer, finding, question) in (True, False, None)


@given(st.text(alphabet="bdfghjkqvwxz ?!.,", max_size=40))
def test_gibberish_asserts_nothing(answer: str) -> None:
    for finding in NAMES_FINDING:
        assert asserts(answer, finding, "Is it there?") is None


def test_an_unknown_finding_is_an_error() -> None:
    with pytest.raises(KeyError):
        asserts("yes", "weather")


def test_every_phantom_reference_is_read_right() -> None:
    for row in PhantomSuite("validation").questions:
        if row.finding is not None:
            assert asserts(row.answer or "", row.finding, row.question) is not row.is_negative, row.answer


def test_agreement_with_the_atomic_answers_of_the_real_references(shared: Path) -> None:
    rows = pq.read_table(shared / "data/kvasir-vqa-x1/test.parquet").to_pylist()
    agreed: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        finding = QUESTION_CLASSES[row["question_class"][0]].finding
        if row["complexity"] != 1 or finding is None:
            continue
        slug, atomic = row["question_class"][0], json.loads(row["original"])[0]["a"].strip().lower()
        absent = {"not relevant"} if slug == "polyp_removal_status" else {"none", "no", "0", "not relevant"}
        agreed[slug].append(asserts(row["answer"], finding, row["question"]) is (atomic not in absent))
    every = [value for values in agreed.values() for value in values]
    assert len(every) > 5000
    assert sum(every) / len(every) >= 0.999
    for slug, values in agreed.items():
        assert sum(values) / len(values) >= 0.99, slug
