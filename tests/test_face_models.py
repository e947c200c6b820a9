"""A model and a suite in place, as a plugin's author writes them, and frames of their run. Checked by mypy too."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typing_extensions import assert_type

from gi_bench import (
    Answer,
    Ask,
    BuildContext,
    Finished,
    GiBenchError,
    GroundAsk,
    Grounding,
    Model,
    ModelEntry,
    Phrase,
    Question,
    Region,
    Run,
    Settings,
    Suite,
    SuiteEntry,
    Task,
    evaluate,
    open_run,
    score,
)
from tests.run_folders import write_run


class Middle:
    """Says how wide the image is and shows its middle."""

    tasks: frozenset[Task] = frozenset({"answer", "ground"})
    needs_image = True
    settings: Mapping[str, Any] = {"kind": "middle"}
    batch_size = 4

    def encode(self, images: Sequence[Any]) -> list[int]:
        return [image.width for image in images]

    def answer(self, features: Sequence[int], asks: Sequence[Ask]) -> list[Answer]:
        return [Answer(f"{ask.question} {width}") for ask, width in zip(asks, features, strict=True)]

    def ground(self, features: Sequence[int], asks: Sequence[GroundAsk]) -> list[Grounding]:
        made = []
        for ask in asks:
            mask = np.zeros((ask.height, ask.width), dtype=bool)
            mask[2:6, 4:8] = True
            made.append(Grounding((Region.from_mask(ask.label, mask),)))
        return made

    def explain(self, features: Sequence[int], asks: Sequence[Ask], answers: Sequence[str]) -> list[Answer]:
        raise AssertionError

    def close(self) -> None:
        pass


class Pair(Suite):
    """Two grey images, three questions, two phrases."""

    name = "pair/test"

    def __init__(self) -> None:
        there = Region.from_mask("polyp", np.eye(8) > 0)
        self.questions: list[Question] = [
            Question(0, "a", "What?", "What? 8", ("polyp_count",), 1),
            Question(1, "b", "Who?", None, ("polyp_count", "polyp_size"), 2),
            Question(2, "a", "Where?", "here", ("polyp_count",), 1, explanation="Seen."),
        ]
        self.phrases: list[Phrase] = [
            Phrase(0, "a", "a polyp", "polyp", there),
            Phrase(1, "b", "a clip", "instrument", None, is_negative=True),
        ]

    def load_image(self, img_id: str) -> Any:
        from PIL import Image

        return Image.new("RGB", (8, 8), (90, 90, 90))

    def image_digest(self, img_id: str) -> str:
        return f"{img_id}-1"


def _build(context: BuildContext) -> Model:
    assert_type(context.suite, Suite)
    return Middle()


MIDDLE = ModelEntry("middle", "shows the middle", ("answer", "ground"), _build)
PAIR = SuiteEntry("pair/test", "two images", lambda folder: Pair())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The middle on the pair."""
    (done,) = evaluate(MIDDLE, PAIR.open(None), output=tmp_path_factory.mktemp("out"), settings=Settings(device="cpu"))
    return done


def test_evaluate_takes_entries_and_a_suite_in_place(finished: Finished) -> None:
    assert finished.path.name.startswith("middle-")
    run = open_run(finished)
    assert_type(run, Run)
    assert run.predictions["question", 2].answer == "Where? 8"
    assert score(finished, resamples=1000) == finished.scores
    with pytest.raises(GiBenchError, match="given twice"):
        evaluate([MIDDLE, MIDDLE], Pair())


def _classes(slugs: tuple[str, ...]) -> Callable[[Pair], None]:
    def change(suite: Pair) -> None:
        suite.questions[1] = dataclasses.replace(suite.questions[1], question_class=slugs)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            _classes(("polyp_count", "polyp_presence")),
            "question 1 has the unknown class .polyp_presence.*polyp_count",
        ),
        (_classes(()), "question 1 has no question class"),
        (lambda suite: suite.questions.reverse(), "question 0 has the index 2"),
        (lambda suite: suite.phrases.pop(0), "phrase 0 has the index 1"),
    ],
)
def test_rows_that_nothing_could_be_made_of_are_refused_first(
    change: Callable[[Pair], object], said: str, tmp_path: Path
) -> None:
    suite = Pair()
    change(suite)
    with pytest.raises(GiBenchError, match=said):
        evaluate(MIDDLE, suite, output=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_the_questions_of_a_run_as_a_frame(finished: Finished) -> None:
    frame = open_run(finished).to_frame()
    assert [*frame.index] == [0, 1, 2]
    assert frame.index.name == "index"
    assert [*frame.variant.unique(), *frame.suite.unique()] == ["middle", "pair/test"]
    assert [*frame.answer] == ["What? 8", "Who? 8", "Where? 8"]
    assert frame.reference_answer[0] == "What? 8"
    assert frame.reference_answer.isna().tolist() == [False, True, False]
    assert frame.reference_explanation.isna().tolist() == [True, True, False]
    assert frame.question_class[1] == ["polyp_count", "polyp_size"]
    assert frame.has_prediction.all()
    dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert dtypes["complexity"] == "int64"
    assert dtypes["is_negative"] == dtypes["has_prediction"] == "bool"
    assert dtypes["confidence"] == "float64"
    assert dtypes["token_count"] == "Int64"
    for name in ("img_id", "question", "answer", "reference_answer", "explanation", "finding", "variant", "suite"):
        assert dtypes[name] == "string", name


def test_the_phrases_of_a_run_as_a_frame(finished: Finished) -> None:
    from pycocotools import mask as coco

    frame = open_run(finished).to_frame("phrases")
    assert [*frame.label] == ["polyp", "instrument"]
    assert "phrase" in frame
    assert "reference_phrase" not in frame
    assert frame.region_count.tolist() == [1, 1]
    assert frame.region_area.tolist() == [16, 16]
    assert frame.region_box[0] == (4, 2, 8, 6)
    assert frame.reference_region_area[0] == 8
    assert frame.reference_region_area.isna().tolist() == [False, True]
    assert frame.reference_region_box[1] is None
    (code,) = frame.regions[0]
    assert coco.decode(code)[2:6, 4:8].all()
    assert coco.iou([code], [frame.reference_region[0]], [False])[0][0] == pytest.approx(2 / 22)


def test_a_frame_of_missing_and_empty_things(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", ground=lambda p: None if p.index else (), confidence=None)
    run = open_run(folder)
    del run.predictions["question", 3]
    frame = run.to_frame()
    assert not frame.has_prediction[3]
    assert frame.answer.isna().sum() == 1
    assert frame.confidence.isna().all()
    assert frame.confidence.dtype == "float64"
    assert frame.token_count.isna().sum() == 1
    assert frame.regions[3] is None
    assert frame.regions[1] == []
    assert frame.region_count[1] == frame.region_area[1] == 0
    phrases = run.to_frame("phrases")
    assert phrases.region_count.isna().tolist() == [False] + [True] * (len(phrases) - 1)
    assert phrases.region_area[0] == 0
    assert phrases.region_box[0] is None
    none = run.restricted(frozenset())
    for kind, whole in (("questions", frame), ("phrases", phrases)):
        empty = none.to_frame(kind)  # type: ignore[arg-type]
        assert len(empty) == 0
        assert empty.dtypes.equals(whole.dtypes)


def test_regions_that_overlap_count_once(tmp_path: Path) -> None:
    from tests.run_folders import square

    folder = write_run(
        tmp_path / "run",
        ground=lambda p: (square("polyp", 0, 0, 4), square("polyp", 2, 2, 4), square("polyp", 0, 0, 0)),
    )
    frame = open_run(folder).to_frame("phrases")
    assert set(frame.region_area) == {28}
    assert set(frame.region_count) == {2}
    assert set(frame.region_box) == {(0, 0, 6, 6)}
    assert len(frame.regions[0]) == 3


def test_a_record_in_a_record_becomes_columns_of_its_own() -> None:
    from gi_bench.harness.frames import _column

    @dataclasses.dataclass
    class Inner:
        text: str
        count: int

    made = _column("reply", [Inner("a", 2), None], Inner | None)
    assert [*made] == ["reply_text", "reply_count"]
    assert [str(column.dtype) for column in made.values()] == ["string", "Int64"]
    assert made["reply_count"].isna().tolist() == [False, True]
