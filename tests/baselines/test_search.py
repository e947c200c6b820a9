"""Our decoder, search and vision tower against transformers' own."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gi_bench.baselines.florence2 import prompts, vision
from gi_bench.baselines.florence2.backbone import Backbone, load_backbone
from gi_bench.baselines.florence2.decoder import StepDecoder
from gi_bench.baselines.florence2.decoding import encode_prompts, generate
from gi_bench.baselines.florence2.search import Rules, confidences, search
from gi_bench.baselines.registration import HERE
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.florence_layout import random_network

TINY = HERE / "weights" / "tiny-florence2"
RULES: list[dict[str, Any]] = [
    {},
    {"no_repeat_ngram_size": 3},
    {"forced_bos_token_id": 0, "forced_eos_token_id": 2, "no_repeat_ngram_size": 3},
    {"length_penalty": 2.0},
]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone(TINY)


@pytest.fixture(scope="module")
def asked() -> tuple[Any, list[str]]:
    suite = PhantomSuite("validation", 6)
    rows = suite.questions[:20]
    return [suite.load_image(row.img_id) for row in rows], [prompts.answer_prompt(row.question) for row in rows]


def _theirs(network: Any, hidden: Any, mask: Any, beams: int, limit: int, rules: dict[str, Any]) -> Any:
    from transformers.modeling_outputs import BaseModelOutput

    return network.generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=hidden), attention_mask=mask, num_beams=beams,
        do_sample=False, max_new_tokens=limit, early_stopping=beams > 1, return_dict_in_generate=True,
        output_scores=True, **rules,
    )  # fmt: skip


@pytest.mark.parametrize("rules", RULES, ids=["plain", "no repeats", "florence", "long"])
@pytest.mark.parametrize("beams", [1, 3, 4])
@pytest.mark.parametrize("random", [False, True], ids=["trained", "random"])
def test_replies_are_those_of_transformers(
    backbone: Backbone, asked: Any, beams: int, rules: dict[str, Any], random: bool
) -> None:
    """Token for token, prompts of different length in one batch, until the end token or the limit."""
    import torch

    network = random_network(backbone.network.config, seed=3, spread=0.12) if random else backbone.network
    pictures, texts = asked
    limit = 12 if random else 40
    with torch.inference_mode():
        features = vision.encode_pixels(network, backbone.pixels(pictures))
        hidden, mask = encode_prompts(network, backbone.tokenizer, features, texts)
        theirs = _theirs(network, hidden, mask, beams, limit, rules)
        decoder = StepDecoder(network)
        ours = search(
            decoder,
            decoder.remember(hidden, mask),
            Rules(beams, limit, start=2, end=2, forced_first=rules.get("forced_bos_token_id"),
                  forced_last=rules.get("forced_eos_token_id"), no_repeat=rules.get("no_repeat_ngram_size", 0),
                  length_penalty=rules.get("length_penalty", 1.0)),
        )  # fmt: skip
    for row, hypothesis in enumerate(ours):
        tokens = theirs.sequences[row].tolist()[1:]
        tokens = tokens[: tokens.index(2) + 1] if 2 in tokens else tokens
        assert list(hypothesis.tokens) == tokens, row
        if beams > 1:
            assert hypothesis.score == pytest.approx(float(theirs.sequences_scores[row]), abs=1e-4)


def test_confidences_are_those_of_a_second_pass(backbone: Backbone, asked: Any) -> None:
    """Mass, log-probability, margin and entropy of greedy and beam replies, against teacher forcing."""
    import torch

    pictures, texts = asked
    network = backbone.network
    with torch.inference_mode():
        features = vision.encode_pixels(network, backbone.pixels(pictures[:8]))
        hidden, mask = encode_prompts(network, backbone.tokenizer, features, texts[:8])
        for beams in (1, 3):
            decoder = StepDecoder(network)
            found = search(decoder, decoder.remember(hidden, mask), Rules(beams, 40, start=2, end=2))
            for row, hypothesis in enumerate(found):
                ids = torch.tensor([[2, *hypothesis.tokens[:-1]]])
                from transformers.modeling_outputs import BaseModelOutput

                logits = network(
                    encoder_outputs=BaseModelOutput(last_hidden_state=hidden[row : row + 1]),
                    attention_mask=mask[row : row + 1],
                    decoder_input_ids=ids,
                ).logits[0]
                sure = logits.softmax(-1)
                top = sure.topk(5).values
                said = torch.tensor(hypothesis.tokens)
                assert torch.allclose(hypothesis.steps[:, 0], top.sum(-1), atol=1e-4)
                assert torch.allclose(hypothesis.steps[:, 1], sure.log()[range(len(said)), said], atol=1e-3)
                assert torch.allclose(hypothesis.steps[:, 2], top[:, 0] - top[:, 1], atol=1e-4)
                entropy = torch.distributions.Categorical(probs=sure).entropy() / math.log(sure.shape[-1])
                assert torch.allclose(hypothesis.steps[:, 3], entropy, atol=1e-4)
                assert confidences(hypothesis)[3] == pytest.approx(float(entropy.mean()), abs=1e-4)


def test_generate_gives_all_four_confidences(backbone: Backbone, asked: Any) -> None:
    import torch

    pictures, texts = asked
    with torch.inference_mode():
        features = vision.encode_pixels(backbone.network, backbone.pixels(pictures[:4]))
    for reply in generate(backbone.network, backbone.tokenizer, features, texts[:4], max_new_tokens=30, beams=3):
        assert 0 <= reply.confidence <= 1
        assert reply.log_prob <= 0
        assert 0 <= reply.margin <= 1
        assert 0 < reply.entropy <= 1


def test_the_vision_tower_equals_that_of_transformers(backbone: Backbone, asked: Any) -> None:
    """In double precision to the last digits; sizes that do not fill the attention windows are padded the same."""
    import copy

    import torch

    network = copy.deepcopy(backbone.network).double()
    pixels = backbone.pixels(asked[0][:3]).double()
    with torch.inference_mode():
        for side in (96, 80, 112):
            cut = torch.nn.functional.interpolate(pixels, size=(side, side))
            expected = network.get_image_features(cut).pooler_output
            assert torch.allclose(vision.encode_pixels(network, cut), expected, atol=1e-9)
