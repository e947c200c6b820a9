"""What a run stores of replies: prompts, states, tokens, regions, and the pictures of its suite."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gi_bench.harness import store
from gi_bench.harness.errors import RunError
from gi_bench.harness.model import Answer, Ask, GroundAsk, Grounding
from gi_bench.harness.reading.replies import answer_state
from gi_bench.harness.schema import Region, Reply
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.scripted import ScriptedModel


def test_the_state_of_a_region_is_stored(run_scripted: Any) -> None:
    class Sorry(ScriptedModel):
        def ground(self, features: Sequence[float], asks: Sequence[GroundAsk]) -> list[Grounding]:
            shown = super().ground(features, asks)
            replies = {
                0: Grounding((), state="refused", reply="I am sorry"),
                1: Grounding(()),
                2: Grounding((), state="unreadable", reply="no polyp to measure"),
            }
            return [replies.get(len(ask.phrase) % 4, found) for ask, found in zip(asks, shown, strict=True)]

    finished = run_scripted(Sorry())
    run = store.open_run(finished.path)
    found = [(p.phrase or "", p) for p in run.predictions.values() if p.kind == "phrase"]
    expected = {0: ("refused", "I am sorry"), 1: ("denied", None), 2: ("unreadable", "no polyp to measure"),
                3: ("stated", None)}  # fmt: skip
    assert {len(phrase) % 4 for phrase, _ in found} == set(expected)
    for phrase, p in found:
        assert p.ground_reply is not None
        assert (p.ground_reply.state, p.ground_reply.text) == expected[len(phrase) % 4]
    assert run.scores.states["regions"]["all"]["refused"] == sum(len(phrase) % 4 == 0 for phrase, _ in found)


@pytest.mark.parametrize(("regions", "state"), [(0, "stated"), (1, "denied"), (0, "no idea")])
def test_a_state_that_does_not_fit_its_regions_is_refused(regions: int, state: str) -> None:
    mask = np.ones((4, 4), dtype=bool)
    with pytest.raises(ValueError, match="reply"):
        Grounding((Region.from_mask("polyp", mask),) * regions, state=state).reply_state()  # type: ignore[arg-type]


class Wordy(ScriptedModel):
    """Says all that a model can say of a reply."""

    def answer(self, features: Sequence[float], asks: Sequence[Ask]) -> list[Answer]:
        return [
            Answer(
                "no polyp", 0.5, 3, prompt=f"Q: {ask.question}", reply="<s>no polyp</s>", token_log_probs=(-0.5, -0.25),
                state="refused" if ask.index == 1 else None,
            )
            for ask in asks
        ]  # fmt: skip

    def ground(self, features: Sequence[float], asks: Sequence[GroundAsk]) -> list[Grounding]:
        found = []
        for ask in asks:
            region = Region.from_box(ask.label, (2.5, 4, 60, 70), ask.height, ask.width, 0.5)
            if ask.index == 1:
                region = Region.from_point(ask.label, (3, 7.5), ask.height, ask.width)
            found.append(Grounding((region,), 0.5, 5, reply="box", prompt=f"P: {ask.phrase}", token_log_probs=(-1.0,)))
        return found

    def explain(self, features: Sequence[float], asks: Sequence[Ask], answers: Sequence[str]) -> list[Answer]:
        return [Answer("I am sorry.", None, 4, prompt=f"E: {ask.question}") for ask in asks]


def test_prompt_reply_state_and_tokens_of_every_task_are_stored(run_scripted: Any, suite: PhantomSuite) -> None:
    run = store.open_run(run_scripted(Wordy()).path)
    for question in suite.questions:
        found = run.predictions["question", question.index]
        state = "refused" if question.index == 1 else answer_state("no polyp", question)
        assert found.answer_reply == Reply(
            f"Q: {question.question}", "<s>no polyp</s>", state, 3, (-0.5, -0.25)
        )  # fmt: skip
        wanted = Reply(f"E: {question.question}", "I am sorry.", "refused", 4) if question.wants_explanation else None
        assert found.explain_reply == wanted
    for phrase in suite.phrases:
        found = run.predictions["phrase", phrase.index]
        assert found.ground_reply == Reply(f"P: {phrase.phrase}", "box", "stated", 5, (-1.0,))
        assert found.regions is not None
        (region,) = found.regions
        if phrase.index == 1:
            assert (region.given_point, region.given_box, region.area) == ((3.0, 7.5), None, 1)
        else:
            assert (region.given_box, region.box()) == ((2.5, 4.0, 60.0, 70.0), (2, 4, 60, 70))
    plain = store.open_run(run_scripted(ScriptedModel({"script": 2})).path)
    assert {p.answer_reply.text == p.answer for p in plain.predictions.values() if p.answer_reply} == {True}


def test_a_state_of_an_answer_that_there_is_not_is_told(run_scripted: Any) -> None:
    class Odd(ScriptedModel):
        def answer(self, features: Sequence[float], asks: Sequence[Ask]) -> list[Answer]:
            return [Answer("x", state="perhaps") for _ in asks]  # type: ignore[arg-type]

    with pytest.raises(RunError, match=r"'perhaps' is no state of a reply.*repair the model plugin"):
        run_scripted(Odd())


def test_a_box_and_a_point_are_checked() -> None:
    assert Region.from_box("polyp", (-5, -5, 50, 2), 4, 4).box() == (0, 0, 4, 2)
    assert Region.from_box("polyp", (1, 1, 1, 3), 4, 4).area == 0
    for box in ((3, 0, 1, 2), (0, 0, float("nan"), 2), (0, 0, 1)):
        with pytest.raises(ValueError, match="not a box"):
            Region.from_box("polyp", box, 4, 4)  # type: ignore[arg-type]
    for point in ((4, 0), (-0.5, 0), (0, float("nan")), (1,)):
        with pytest.raises(ValueError, match="not a point"):
            Region.from_point("polyp", point, 4, 4)  # type: ignore[arg-type]


def test_pictures_are_stored_once_a_suite(run_scripted: Any, suite: PhantomSuite) -> None:
    first = run_scripted(ScriptedModel(), limit=5)
    path = store.pictures_path(first.path, suite.fingerprint)
    few = store.open_run(first.path).pictures
    assert list(few) == list(dict.fromkeys(q.img_id for q in suite.questions[:5]))
    whole = run_scripted(ScriptedModel({"script": 2}))
    assert [p.name for p in whole.path.parent.glob("*.parquet")] == [path.name]
    found = store.open_run(first.path).pictures
    assert list(found) == list(suite.image_ids)
    for img_id, picture in found.items():
        with Image.open(io.BytesIO(picture.data)) as opened:
            assert opened.format == "WEBP"
            assert max(opened.size) <= 256
        assert (picture.width, picture.height) == suite.load_image(img_id).size
    before = path.stat().st_mtime_ns
    run_scripted(ScriptedModel({"script": 3}))
    assert path.stat().st_mtime_ns == before
    path.write_bytes(b"damaged")
    run_scripted(ScriptedModel({"script": 4}))
    assert list(store.open_run(first.path).pictures) == list(suite.image_ids)
