"""One network asked in five ways: sabotage of one part shows in that part and in no other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gi_bench.baselines.florence2.model import Florence2Model
from gi_bench.baselines.seeing.looking import Sample, Seen, Sight
from gi_bench.harness.analysis.seeing import BACKBONE, BLIND, read_seeing, what_fell
from gi_bench.harness.engine.run import evaluate
from gi_bench.harness.errors import DataError, GiBenchError
from gi_bench.harness.model import BuildContext
from gi_bench.harness.registry import model_entry
from gi_bench.harness.store import open_run
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.baselines.seeing.test_truth import Rows

SAMPLE = Sample(train_images=60, test_images=30, phrases=24, questions=24)


@pytest.fixture(scope="module")
def suite() -> PhantomSuite:
    return PhantomSuite("test", 30)


@pytest.fixture(scope="module")
def sight(suite: PhantomSuite) -> Sight:
    return Sight(suite, PhantomSuite("train", 60), SAMPLE)


def _built(name: str, suite: PhantomSuite) -> Florence2Model:
    model = model_entry(name).build(BuildContext(suite=suite, beams=1))
    assert isinstance(model, Florence2Model)
    return model


@pytest.fixture(scope="module")
def whole(sight: Sight, suite: PhantomSuite) -> Seen:
    return sight.look(_telling(_built("multitask_r128", suite), suite))


def _telling(model: Any, suite: PhantomSuite) -> Any:
    """A network that says what there is: the shipped one is too little trained to know more places than a blind one."""
    model.answer = lambda features, asks: [SimpleNamespace(text=suite.questions[ask.index].answer) for ask in asks]
    return model


def _fell(seen: Seen, whole: Seen, sight: Sight) -> dict[str, str]:
    rows = [*seen.rows("arm", 0), *whole.rows(BACKBONE, None), *sight.floors().rows(BLIND, None)]
    return {one.part: one.state for one in read_seeing(rows, "arm")}


def test_a_network_that_sees_and_says_so_holds_all_three(whole: Seen, sight: Sight) -> None:
    assert _fell(whole, whole, sight) == {"features": "held", "format": "held", "words": "held"}
    for row in whole.rows("arm", 3):
        assert 0 <= row.low <= row.value <= row.high <= 1
        assert (row.arm, row.seed) == ("arm", 3)
        assert row.n > 0
    assert whole.written is not None
    assert whole.written.n == SAMPLE.phrases


def test_blindness_shows_in_the_features(whole: Seen, sight: Sight, suite: PhantomSuite) -> None:
    model = _built("multitask_r128", suite)
    tower = model._network.model.vision_tower
    tower.convs[0].conv.weight.data.zero_()
    found = sight.look(model)
    assert found.presence is not None
    assert found.presence.value == pytest.approx(0.5)
    states = _fell(found, whole, sight)
    assert states["features"] == "fell"
    assert "held" not in (states["format"], states["words"])


def test_a_forgotten_format_shows_in_the_format_alone(
    whole: Seen, sight: Sight, suite: PhantomSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that would rather write a word than any location, and knows the places as before."""
    import torch

    model = _telling(_built("multitask_r128", suite), suite)
    network, answer = model._network, model.answer
    more = torch.zeros(network.get_input_embeddings().weight.shape[0])
    more[model._backbone.tokenizer.convert_tokens_to_ids("<reserved_0>")] = 100.0
    on = [True]
    network.get_output_embeddings().register_forward_hook(lambda module, given, made: made + more * on[0])

    def unharmed(features: Any, asks: Any) -> Any:
        on[0] = False
        try:
            return answer(features, asks)
        finally:
            on[0] = True

    monkeypatch.setattr(model, "answer", unharmed)
    found = sight.look(model)
    assert found.written is not None
    assert found.written.value == 0
    assert found.forced == whole.forced
    assert found.words == whole.words
    assert _fell(found, whole, sight) == {"features": "held", "format": "fell", "words": "held"}
    rows = [*found.rows("arm", 0), *whole.rows("", None), *sight.floors().rows(BLIND, None)]
    assert what_fell(read_seeing(rows, "arm")) == "the format fell, the features and the words held"


def test_lost_words_show_in_the_words_alone(
    whole: Seen, sight: Sight, suite: PhantomSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _built("multitask_r128", suite)
    monkeypatch.setattr(model, "answer", lambda features, asks: [SimpleNamespace(text="somewhere") for _ in asks])
    found = sight.look(model)
    assert found.words is not None
    assert found.words.value == 0
    assert found.words.high > 0
    assert _fell(found, whole, sight) == {"features": "held", "format": "held", "words": "fell"}


def test_a_stored_run_is_taken_at_its_word(
    whole: Seen, sight: Sight, suite: PhantomSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same regions as asked anew, and the places of all its answers; the model is asked for neither."""
    from gi_bench.harness.engine.run import Settings

    (done,) = evaluate(
        "multitask_r128", suite, output=tmp_path, settings=Settings(tasks=("answer", "ground"), device="cpu", beams=1)
    )
    run, model = open_run(done.path), _built("multitask_r128", suite)
    monkeypatch.setattr(model, "answer", None)
    monkeypatch.setattr(model, "ground", None)
    found = sight.look(model, run)
    assert found.written == whole.written
    assert found.forced == whole.forced
    assert (found.presence, found.cells) == (whole.presence, whole.cells)
    assert found.words is not None
    assert whole.words is not None
    assert found.words.n > whole.words.n
    floors = sight.floors(run)
    assert floors.words is not None
    assert floors.words.n == found.words.n
    assert 0 <= floors.words.value < 0.5
    other = Sight(PhantomSuite("test", 29), PhantomSuite("train", 60), SAMPLE)
    with pytest.raises(GiBenchError, match="the run is of other rows"):
        other.look(model, run)


def test_looking_twice_gives_the_same(whole: Seen, suite: PhantomSuite) -> None:
    again = Sight(suite, PhantomSuite("train", 60), SAMPLE)
    assert again.look(_telling(_built("multitask_r128", suite), suite)) == whole


def test_no_image_teaches_that_is_looked_at(suite: PhantomSuite) -> None:
    """A suite may teach about itself: with its other images."""
    sight = Sight(suite, suite, Sample(test_images=18))
    assert not set(sight._train_ids) & set(sight._test_ids)
    assert len(sight._train_ids) == 12
    assert all(row.img_id in sight._test_ids for row in sight._phrases)
    with pytest.raises(GiBenchError, match="0 of the 30 images of phantom/test are none of those looked at"):
        _ = Sight(suite, suite, Sample())._train_ids


def test_suites_that_nothing_can_be_learnt_from_are_refused(suite: PhantomSuite) -> None:
    blank = Rows()
    blank.has_images = False
    with pytest.raises(GiBenchError, match="rows has no images here to look at"):
        Sight(blank, suite)
    nameless: Any = PhantomSuite("validation", 20)
    nameless.phrases, nameless.questions, nameless.is_embedded = (), (), False
    with pytest.raises(DataError, match="nothing tells of one finding in images of both"):
        _ = Sight(suite, nameless)._truths
