"""LoRA ranks by backbone: the same share of the network as on Florence-2-base."""

from __future__ import annotations

from pathlib import Path

import pytest

from gi_bench.baselines.florence2.cost import count_parameters
from gi_bench.baselines.registration import HERE, definitions
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import registered

# On Florence-2-base, over all linear layers: 50.8 million of 231 million parameters at rank 128.
SHARES = {32: 0.055, 64: 0.11, 128: 0.22}


def test_adapters_of_the_tiny_backbone_have_the_shares_of_florence_2_base() -> None:
    from transformers import Florence2Config

    parameters, by_rank = count_parameters(Florence2Config.from_pretrained(HERE / "weights" / "tiny-florence2"))
    ranks = {one.rank for one in definitions().values() if one.rank}
    assert ranks == SHARES.keys()
    for one in definitions().values():
        if one.rank:
            assert one.rank_on("tiny") * by_rank / parameters == pytest.approx(SHARES[one.rank], rel=0.1), one.name
            assert one.alpha_on("tiny") == 2 * one.rank_on("tiny")


def test_the_built_architecture_is_the_shipped_one_s_size() -> None:
    from transformers import Florence2Config, PreTrainedTokenizerFast

    from gi_bench.baselines.training.tiny.architecture import build_model

    folder = HERE / "weights" / "tiny-florence2"
    network = build_model(PreTrainedTokenizerFast.from_pretrained(folder))
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(
        count_parameters(Florence2Config.from_pretrained(folder))[0], rel=0.01
    )


def test_other_backbones_have_the_paper_s_ranks() -> None:
    variant = definitions()["multitask_r64"]
    assert [variant.rank_on(name) for name in ("base", "custom", "/some/folder")] == [64, 64, 64]
    assert variant.alpha_on("base") == 128
    assert [definitions()["blind_constant"].rank_on(name) for name in ("tiny", "base")] == [0, 0]


def test_lists_say_the_rank_that_is_used() -> None:
    for name, one in definitions().items():
        entry = registered("gi_bench.models")[name]
        if one.kind == "florence2":
            assert entry.details["ranks"] == {"tiny": one.rank_on("tiny"), "base": one.rank}
        assert (f"tiny: rank {one.rank_on('tiny')}" in entry.summary) == bool(one.rank), name


@pytest.mark.parametrize(
    ("ranks", "told"),
    [("{ 32 = 0 }", "a rank below 1"), ("{ 33 = 4 }", "names 33"), ('{ 32 = "6" }', "ranks"), ("6", "ranks")],
)
def test_a_wrong_rank_is_told(ranks: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gi_bench.baselines import registration

    text = (HERE / "variants.toml").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("ranks = ")]
    (tmp_path / "variants.toml").write_text(text.replace(line, f"ranks = {ranks}"), encoding="utf-8")
    monkeypatch.setattr(registration, "HERE", tmp_path)
    registration._content.cache_clear()
    try:
        with pytest.raises(GiBenchError, match=r"variants\.toml") as caught:
            definitions()
    finally:
        registration._content.cache_clear()
    assert told in caught.value.line()
