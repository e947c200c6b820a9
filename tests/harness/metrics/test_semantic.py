"""The metrics BERTScore and BLEURT with tiny random models: what they say of themselves, and their cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gi_bench.harness import encoders
from gi_bench.harness.cache import Cache
from gi_bench.harness.encoders import Checkpoint, Encoder, PairCache, Regressor
from gi_bench.harness.metric_settings import MetricSettings
from gi_bench.harness.metrics import semantic
from gi_bench.harness.store import Run, open_run
from tests.harness.metrics.tiny_encoders import PAIRS, checkpoint, computed, write_bert
from tests.run_folders import write_run

pytestmark = pytest.mark.usefixtures("no_network")


def test_metric_describes_another_encoder(scored: Callable[..., Run], bert: Path) -> None:
    found = computed(semantic.bertscore(scored(bertscore_model=str(bert))))
    assert found.info is not None
    assert (found.info.name, found.info.title) == ("bertscore", "BERTScore F1 (tiny-bert, layer 3)")
    assert not found.info.comparable
    assert "tiny-bert (layer 3)" in found.info.definition
    assert str(bert.parent) not in found.info.definition
    assert set(found.slices) == {"question_class", "complexity"}
    assert found.sums.shape == (12, 2)
    assert found.sums[0].tolist() == [0.0, 1.0]
    assert 0 < found.sums[1, 0] < 1


def test_only_layer_17_of_the_hubs_roberta_large_is_comparable() -> None:
    real = Checkpoint("roberta-large", Path("x"), f"{semantic.MODEL}@{'a' * 40}", 24)
    info = semantic.bertscore_info(real, 17)
    assert (info.title, info.comparable) == ("BERTScore F1", True)
    assert "aaaaaaaaaaaa." in info.definition
    assert not semantic.bertscore_info(real, 16).comparable
    assert not semantic.bertscore_info(replace(real, identity="sha256:" + "a" * 64), 17).comparable
    assert semantic.METRICS[0].info.comparable


def test_cached_values_need_no_model(
    scored: Callable[..., Run], bert: Path, rater: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scored(bertscore_model=str(bert), bleurt_model=str(rater))
    first = [computed(semantic.bertscore(run)).sums, computed(semantic.bleurt(run)).sums]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(encoders, "_load", refuse)
    second = [computed(semantic.bertscore(run)).sums, computed(semantic.bleurt(run)).sums]
    for before, after in zip(first, second, strict=True):
        np.testing.assert_array_equal(before, after)
    with pytest.raises(AssertionError, match="loaded"):
        semantic.bertscore(scored(bertscore_model=str(bert), bertscore_layer=1))


def test_a_cache_that_cannot_be_written_costs_only_time(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be", encoding="utf-8")
    run = replace(open_run(write_run(tmp_path / "run")), settings=MetricSettings(str(bert), cache=tmp_path / "cache"))
    np.testing.assert_allclose(computed(semantic.bertscore(run)).sums, 1.0, atol=1e-5)


def test_interrupted_scoring_keeps_what_was_done(
    scored: Callable[..., Run], bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scored(bertscore_model=str(bert))
    scores, seen = semantic.bert_scores, []

    def interrupted(pairs: list[tuple[str, str]], encoder: Encoder) -> Any:
        seen.append(len(pairs))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return scores(pairs, encoder)

    monkeypatch.setattr(semantic, "_SAVED_TOGETHER", 2)
    monkeypatch.setattr(semantic, "bert_scores", interrupted)
    with pytest.raises(KeyboardInterrupt):
        semantic.bertscore(run)
    distinct = len({(run.predictions["question", q.index].answer, q.answer) for q in run.questions})
    computed(semantic.bertscore(run))
    assert sum(seen[2:]) == distinct - 2


@pytest.mark.parametrize("layer", [-1, 4])
def test_a_layer_that_is_not_there(layer: int, scored: Callable[..., Run], bert: Path) -> None:
    reason = semantic.bertscore(scored(bertscore_model=str(bert), bertscore_layer=layer))
    assert reason == f"tiny-bert has no layer {layer}: choose 0 to 3"


@pytest.fixture
def cache(tmp_path: Path) -> PairCache:
    return PairCache(tmp_path, "bertscore", Checkpoint("m", tmp_path, "sha256:0", 1), "layer 1")


def test_cache_keeps_exact_values_and_tells_texts_apart(cache: PairCache) -> None:
    values = {("a", "bc"): 0.1, ("ab", "c"): 1 / 3, ("", ""): -0.5, ("é", "息"): 1e-300}
    assert cache.get(values) == {}
    cache.put(values)
    assert cache.get([*values, ("abc", "")]) == values


def test_values_that_are_no_numbers_are_left_out(cache: PairCache) -> None:
    cache.put({("a", "b"): 0.5, ("c", "d"): 0.25, ("e", "f"): float("nan")})
    Cache(cache.path).put(cache.key(("a", "b")), b"text")
    assert cache.get([("a", "b"), ("c", "d"), ("e", "f")]) == {("c", "d"): 0.25}


def test_bleurt_is_left_out_unless_chosen(scored: Callable[..., Run]) -> None:
    reason = semantic.bleurt(scored())
    assert isinstance(reason, str)
    assert "--bleurt-model" in reason


def test_bleurt_rates_reference_then_prediction(rater: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(rater, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(rater, local_files_only=True).eval()
    pairs = [pair for pair in PAIRS if len(pair[0]) < 60]
    wanted = []
    for prediction, reference in pairs:
        with torch.no_grad():
            wanted.append(float(model(**tokenizer([reference], [prediction], return_tensors="pt")).logits[0, 0]))
    ratings = Regressor(checkpoint(rater), "cpu").rate([r for _, r in pairs], [p for p, _ in pairs])
    np.testing.assert_allclose(ratings, wanted, atol=1e-5)
    assert np.isfinite(Regressor(checkpoint(rater), "cpu", 128).rate(["polyp " * 99], ["colon " * 99])).all()


def test_bleurt_metric(scored: Callable[..., Run], rater: Path) -> None:
    found = computed(semantic.bleurt(scored(bleurt_model=str(rater))))
    assert found.info is not None
    assert found.info.title == "BLEURT (tiny-bleurt-base-128)"
    assert found.info.comparable
    assert found.info.low == -2
    assert "not checked against TensorFlow" in found.info.definition
    assert found.sums.shape == (12, 2)


def test_bleurt_refuses_what_is_no_regression_model(scored: Callable[..., Run], bert: Path, tmp_path: Path) -> None:
    told = semantic.bleurt(scored(bleurt_model=str(bert)))
    assert isinstance(told, str)
    assert "is not a regression model" in told
    two = write_bert(tmp_path / "two", "BertForSequenceClassification", num_labels=2)
    told = semantic.bleurt(scored(bleurt_model=str(two)))
    assert isinstance(told, str)
    assert "2 outputs" in told
