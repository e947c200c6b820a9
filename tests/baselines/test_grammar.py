"""Decoding held to location tokens: exact, and nothing but regions."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from gi_bench.baselines.florence2 import prompts, vision
from gi_bench.baselines.florence2.adapters import with_adapter
from gi_bench.baselines.florence2.backbone import Backbone, load_backbone
from gi_bench.baselines.florence2.decoder import StepDecoder
from gi_bench.baselines.florence2.decoding import encode_prompts, generate
from gi_bench.baselines.florence2.grammar import RegionGrammar
from gi_bench.baselines.florence2.locations import parse_tokens
from gi_bench.baselines.florence2.search import Rules, search
from gi_bench.baselines.registration import HERE
from gi_bench.harness.errors import CheckpointError
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.florence_layout import random_network

TINY = HERE / "weights" / "tiny-florence2"
FLORENCE: dict[str, Any] = {"forced_bos_token_id": 0, "no_repeat_ngram_size": 3}
REGION = re.compile(r"(?:<loc_\d+>){6,}(?:<sep>(?:<loc_\d+>){6,})*")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone(TINY)


@pytest.fixture(scope="module")
def trained(backbone: Backbone) -> Any:
    """A network that writes regions of its own accord."""
    return with_adapter(backbone, HERE / "weights" / "multitask_r128-tiny").network


@pytest.fixture(scope="module")
def asked() -> tuple[list[Any], list[str]]:
    suite = PhantomSuite("validation", 6)
    rows = [phrase for phrase in suite.phrases if not phrase.is_negative][:14]
    return [suite.load_image(row.img_id) for row in rows], [prompts.ground_prompt(row.phrase) for row in rows]


@pytest.fixture(scope="module")
def grammar(backbone: Backbone) -> RegionGrammar:
    return RegionGrammar.of(backbone.tokenizer)


def _is_region(tokens: tuple[int, ...], grammar: RegionGrammar) -> bool:
    """Read anew, without the grammar's own arithmetic."""
    locations = set(grammar.locations)
    said = "".join(
        "l" if token in locations else {grammar.separator: "s", grammar.end: "e"}.get(token, "x") for token in tokens
    )
    return re.fullmatch(r"(?:ll){3,}(?:s(?:ll){3,})*e", said) is not None


def test_a_network_that_writes_regions_writes_the_same_ones_when_it_is_held_to_them(
    backbone: Backbone, trained: Any, asked: Any, grammar: RegionGrammar
) -> None:
    import torch

    pictures, texts = asked
    with torch.inference_mode():
        features = vision.encode_pixels(trained, backbone.pixels(pictures))
        hidden, mask = encode_prompts(trained, backbone.tokenizer, features, texts)
        decoder = StepDecoder(trained)
        free = search(decoder, decoder.remember(hidden, mask), Rules(1, 120, start=2, end=2))
        held = search(decoder, decoder.remember(hidden, mask), Rules(1, 120, start=2, end=2, grammar=grammar))
    regions = [number for number, one in enumerate(free) if _is_region(one.tokens, grammar)]
    assert len(regions) > len(texts) // 2
    for number in regions:
        assert held[number].tokens == free[number].tokens
        assert held[number].score == free[number].score
        assert torch.equal(held[number].steps, free[number].steps)


def _with_bias(network: Any, bias: dict[int, float]) -> Any:
    """The network with some tokens made likelier, so that polygons and replies end."""
    import torch

    added = torch.zeros(network.get_input_embeddings().weight.shape[0])
    for token, more in bias.items():
        added[token] = more
    network.get_output_embeddings().register_forward_hook(lambda module, given, made: made + added)
    return network


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(
    "rules", [{}, {"forced_bos_token_id": 0, "no_repeat_ngram_size": 3}], ids=["plain", "florence"]
)
def test_held_replies_are_those_of_transformers_with_the_same_tokens_allowed(
    backbone: Backbone, asked: Any, grammar: RegionGrammar, beams: int, rules: dict[str, Any]
) -> None:
    """On random weights, which know nothing of regions; what may follow is written a second time, token by token."""
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    network = random_network(backbone.network.config, seed=3, spread=0.12)
    pictures, texts = asked
    locations = list(grammar.locations)

    def allowed(_: int, tokens: Any) -> list[int]:
        said = [token for token in tokens.tolist()[1:] if token in grammar.locations or token == grammar.separator]
        if rules and tokens.shape[-1] == 1:
            return [0]
        last = said[len(said) - said[::-1].index(grammar.separator) :] if grammar.separator in said else said
        whole = len(last) >= 6 and len(last) % 2 == 0
        return [*locations, grammar.separator, grammar.end] if whole else locations

    limit = 24
    network = _with_bias(network, {grammar.separator: 3.0, grammar.end: 2.0})
    with torch.inference_mode():
        features = vision.encode_pixels(network, backbone.pixels(pictures[:6]))
        hidden, mask = encode_prompts(network, backbone.tokenizer, features, texts[:6])
        theirs = network.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden), attention_mask=mask, num_beams=beams,
            do_sample=False, max_new_tokens=limit, early_stopping=beams > 1, return_dict_in_generate=True,
            prefix_allowed_tokens_fn=allowed, **rules,
        )  # fmt: skip
        decoder = StepDecoder(network)
        ours = search(
            decoder,
            decoder.remember(hidden, mask),
            Rules(beams, limit, start=2, end=2, forced_first=rules.get("forced_bos_token_id"),
                  no_repeat=rules.get("no_repeat_ngram_size", 0), grammar=grammar),
        )  # fmt: skip
    for row, hypothesis in enumerate(ours):
        tokens = theirs.sequences[row].tolist()[1:]
        tokens = tokens[: tokens.index(2) + 1] if 2 in tokens else tokens
        assert list(hypothesis.tokens) == tokens, row
    assert any(grammar.separator in hypothesis.tokens for hypothesis in ours)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_network_is_the_reply_is_a_region(backbone: Backbone, asked: Any, seed: int) -> None:
    """Networks that know nothing, with the separator and the end made likely in turn."""
    import torch

    network = random_network(backbone.network.config, seed=seed, spread=0.1, talkative=False)
    grammar = RegionGrammar.of(backbone.tokenizer)
    pictures, texts = asked
    with torch.inference_mode():
        network = _with_bias(network, {grammar.separator: 6.0 * (seed % 2), grammar.end: 4.0 * (seed // 2)})
        features = vision.encode_pixels(network, backbone.pixels(pictures[:4]))
        replies = generate(
            network, backbone.tokenizer, features, texts[:4], max_new_tokens=40, beams=1 + 2 * (seed % 2),
            grammar=grammar,
        )  # fmt: skip
    for reply in replies:
        whole = reply.text
        if reply.token_count == 40:  # cut off where it stood: what came before is whole
            whole = whole.rpartition("<sep>")[0] or whole
        assert REGION.fullmatch(whole), whole
        assert "text-in-polygon" not in parse_tokens(reply.text).warnings
        assert parse_tokens(reply.text).polygons


def test_separators_and_the_end_come_after_three_whole_corners_only() -> None:
    import torch

    grammar = RegionGrammar((4, 5, 6), separator=7, end=2)
    for said, may_close in (
        ([2], False),
        ([2, 0], False),  # a forced first token is no location
        ([2, 0, 4, 5, 4, 5], False),
        ([2, 4, 5, 4, 5, 6], False),
        ([2, 4, 5, 4, 5, 6, 6], True),
        ([2, 0, 4, 5, 4, 5, 6, 6], True),
        ([2, 4, 5, 4, 5, 6, 6, 4], False),
        ([2, 4, 5, 4, 5, 6, 6, 7], False),
        ([2, 4, 5, 4, 5, 6, 6, 7, 4, 4], False),
        ([2, 4, 5, 4, 5, 6, 6, 7, 4, 4, 5, 5, 6, 6], True),
    ):
        held = grammar.hold(torch.zeros(1, 1, 9), torch.tensor([[said]]))
        kept = torch.isfinite(held[0, 0]).nonzero()[:, 0].tolist()
        assert kept == ([2, 4, 5, 6, 7] if may_close else [4, 5, 6]), said


def test_a_tokenizer_without_locations_is_refused_by_name() -> None:
    tokenizer = SimpleNamespace(get_vocab=lambda: {f"<loc_{i}>": i for i in range(999)}, eos_token_id=2)
    with pytest.raises(CheckpointError, match=r"lacks 2 of the 1001 tokens of regions, <loc_999> first"):
        RegionGrammar.of(tokenizer)
