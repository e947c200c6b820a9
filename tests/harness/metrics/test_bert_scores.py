"""BERTScore with tiny random models: equality with bert-score and with the definition, and what tokenizers do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gi_bench.harness.encoders import Encoder
from gi_bench.harness.metrics.semantic import bert_scores
from tests.harness.metrics.tiny_encoders import PAIRS, WORDS, checkpoint

pytestmark = pytest.mark.usefixtures("no_network")


def _as_before_transformers_5(tokenizer: Any, sentence: str) -> list[int]:
    """What bert-score's own encoding gave with transformers 4, which no longer runs on an empty sentence."""
    sentence = sentence.strip()
    space = " " if sentence and "Roberta" in type(tokenizer).__name__ else ""
    ids: list[int] = tokenizer.encode(space + sentence, max_length=tokenizer.model_max_length, truncation=True)
    return ids


@pytest.mark.parametrize("model", ["bert", "roberta"])
@pytest.mark.parametrize("layer", [0, 2, 3])
def test_equals_bert_score(
    model: str, layer: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bert_score = pytest.importorskip("bert_score")
    folder = request.getfixturevalue(model)
    monkeypatch.setattr("bert_score.utils.sent_encode", _as_before_transformers_5)
    predictions, references = (list(texts) for texts in zip(*PAIRS, strict=True))
    wanted = bert_score.score(predictions, references, model_type=str(folder), num_layers=layer, device="cpu")
    ours = bert_scores(PAIRS, Encoder(checkpoint(folder), layer, "cpu"))
    # Precision of "[SEP]", a text of nothing but a closing token, is no number in bert-score; F1 is 0 in both.
    np.testing.assert_allclose(ours[:, 2], wanted[2].numpy(), atol=1e-5)
    defined = np.arange(len(PAIRS)) != 8
    np.testing.assert_allclose(ours[defined], torch.stack(wanted, dim=1).numpy()[defined], atol=1e-5)


def test_equals_the_definition(bert: Path) -> None:
    """Each sentence alone, each token compared in a loop, all layers run."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bert, local_files_only=True)
    model = AutoModel.from_pretrained(bert, local_files_only=True).eval()

    def states(text: str) -> list[torch.Tensor]:
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            return list(model(**inputs, output_hidden_states=True).hidden_states[2][0])

    def mean_best(these: list[torch.Tensor], those: list[torch.Tensor]) -> float:
        best = [max(float(torch.cosine_similarity(a, b, dim=0)) for b in those) for a in these[1:-1]]
        return sum(best) / len(best)

    a, b = states("one polyp in the colon"), states("no red instruments")
    precision, recall = mean_best(a, b), mean_best(b, a)
    wanted = [precision, recall, 2 * precision * recall / (precision + recall)]
    ours = bert_scores([("one polyp in the colon", "no red instruments")], Encoder(checkpoint(bert), 2, "cpu"))
    np.testing.assert_allclose(ours[0], wanted, atol=1e-5)


def test_empty_texts_give_zero_and_equal_ones_one(bert: Path) -> None:
    scores = bert_scores(PAIRS, Encoder(checkpoint(bert), 3, "cpu"))
    assert scores[1:4].tolist() == [[0.0] * 3] * 3
    np.testing.assert_allclose(scores[4:6], 1.0, atol=1e-5)
    assert np.isfinite(scores).all()


def test_order_and_company_do_not_change_values(roberta: Path) -> None:
    encoder = Encoder(checkpoint(roberta), 3, "cpu")
    rng = np.random.default_rng(0)
    pairs = [tuple(" ".join(rng.choice(WORDS, rng.integers(1, 20))) for _ in range(2)) for _ in range(100)]
    together = bert_scores(pairs, encoder)  # type: ignore[arg-type]
    order = rng.permutation(len(pairs))
    shuffled = bert_scores([pairs[i] for i in order], encoder)  # type: ignore[misc]
    np.testing.assert_allclose(shuffled, together[order], atol=1e-5)
    alone = np.concatenate([bert_scores([pair], encoder) for pair in pairs[:10]])  # type: ignore[list-item]
    np.testing.assert_allclose(alone, together[:10], atol=1e-5)


def test_first_word_of_roberta_follows_a_space(roberta: Path, bert: Path) -> None:
    encoder = Encoder(checkpoint(roberta), 1, "cpu")
    first, second = encoder.tokens(["polyp", "polyp polyp"])
    assert first[1:-1] * 2 == second[1:-1]
    assert encoder.tokens(["", " "]) == [[0, 2], [0, 2]]
    assert max(len(row) for row in encoder.tokens(["polyp " * 100])) == 32
    assert len(Encoder(checkpoint(bert), 1, "cpu").tokens(["polyp " * 100])[0]) == 32


def test_positions_limit_the_input_where_the_tokenizer_does_not(roberta: Path, tmp_path: Path) -> None:
    folder = tmp_path / "no-limit"
    shutil.copytree(roberta, folder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer"}', encoding="utf-8")
    encoder = Encoder(checkpoint(folder), 1, "cpu")
    assert len(encoder.tokens(["polyp " * 100])[0]) == 32
    assert np.isfinite(bert_scores([("polyp " * 100, "polyp")], encoder)).all()


def test_no_pairs(bert: Path) -> None:
    assert bert_scores([], Encoder(checkpoint(bert), 1, "cpu")).shape == (0, 3)


def test_each_sentence_is_encoded_once(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, rows = Encoder(checkpoint(bert), 1, "cpu"), []
    states = encoder._states
    monkeypatch.setattr(encoder, "_states", lambda batch: rows.extend(batch) or states(batch))
    bert_scores(PAIRS, encoder)
    bert_scores(PAIRS[::-1], encoder)
    assert len(rows) == len({text for pair in PAIRS for text in pair})
