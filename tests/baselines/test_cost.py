"""The cost model against the networks themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gi_bench.baselines.florence2 import base, cost
from gi_bench.baselines.registration import HERE
from gi_bench.baselines.training.tiny import architecture as tiny
from gi_bench.harness.cli import main
from tests.command_line import CommandLine

TINY = HERE / "weights" / "tiny-florence2"


def _config(name: str) -> Any:
    from transformers import AutoConfig

    return base.base_config() if name == "base" else AutoConfig.from_pretrained(TINY)


@pytest.mark.parametrize("name", ["base", "tiny"])
def test_parameters_are_the_network_s(name: str) -> None:
    parameters, per_rank = cost.count_parameters(_config(name))
    if name == "base":
        assert parameters == pytest.approx(0.2314e9, rel=0.001)
        # 192 modules; with the image projection it would be the 50.8 million of "all linear".
        assert 128 * per_rank == pytest.approx(50.6e6, rel=0.01)
    else:
        card = json.loads((TINY / "card.json").read_text())
        assert parameters == card["parameters"]


@pytest.mark.parametrize(("name", "side"), [("tiny", tiny.IMAGE_SIZE), ("base", base.IMAGE_SIZE)])
def test_flops_by_stage_are_those_that_torch_counts(name: str, side: int) -> None:
    """On the meta device: nothing is computed, and the counter sees every product."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import Florence2ForConditionalGeneration

    config = _config(name)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        network = Florence2ForConditionalGeneration(config).eval()
        pixels = torch.empty(1, 3, side, side)
        text = config.text_config
        tokens = cost.image_tokens(config, side) + 20
        hidden = torch.empty(1, tokens, text.d_model)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            features = network.get_image_features(pixels).pooler_output
        assert features.shape[1] == tokens - 20
        assert counter.get_total_flops() == pytest.approx(cost.vision_flops(config, side), rel=0.05)
        with FlopCounterMode(display=False) as counter:
            network.get_encoder()(inputs_embeds=hidden)
        assert counter.get_total_flops() == pytest.approx(cost.encoder_flops(config, tokens), rel=0.05)
        ids = torch.zeros(1, 1, dtype=torch.long, device="meta")
        with FlopCounterMode(display=False) as counter:
            states = network.model.language_model.decoder(input_ids=ids, encoder_hidden_states=hidden, use_cache=False)
            network.get_output_embeddings()(states.last_hidden_state)
        expected = cost.step_flops(config, tokens, 1) + cost.memory_flops(config, tokens)
        assert counter.get_total_flops() == pytest.approx(expected, rel=0.05)


def test_memory_and_time_grow_with_what_is_asked() -> None:
    config = base.base_config()

    def found(**changes: Any) -> cost.Cost:
        settings = {"images": 100, "replies": {"answer": (390, 16)}, "prompt_tokens": 20, "beams": 3, "batch": 24}
        work = cost.Work(**{**settings, **changes})
        return cost.plan(config, base.IMAGE_SIZE, work, cost.GPUS["t4"], "float16", 128)

    plain = found()
    assert found(batch=96).peak_bytes > plain.peak_bytes
    assert found(beams=6).peak_bytes >= plain.peak_bytes
    assert sum(s.flops for s in found(beams=6).stages) > sum(s.flops for s in plain.stages)
    assert found(replies={"answer": (390, 32)}).seconds[0] > plain.seconds[0]
    assert found(images=200).seconds[0] > plain.seconds[0]
    assert plain.seconds[0] < plain.seconds[1]
    assert plain.weight_bytes == 2 * plain.parameters


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["plan", *arguments])
    return int(left.value.code or 0)


def test_the_command_plans_the_challenge_without_weights_or_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("-m", "multitask_r128", "-s", "medico2025-task2", "--gpu", "t4", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["work"]["images"] == 1273
    assert found["work"]["replies"]["explain"] == [1500, 50]
    assert found["dtype"] == "float16"
    assert found["peak_bytes"] < 16e9
    assert _run("-m", "multitask_r128", "-s", "medico2025-task2") == 0
    text = capsys.readouterr().out
    assert "fits t4" in text
    assert "An estimate" in text
    assert _run("-m", "multitask_r128", "-s", "phantom") == 0
    assert "on phantom/test: backbone tiny" in capsys.readouterr().out
    assert _run("-m", "blind_constant") == 0
    assert "no GPU" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-m", "multitask_r129"), "did you mean"),
        (("-m", "multitask_r128", "--gpu", "h100"), "unknown device 'h100'"),
        (("-m", "multitask_r128", "--dtype", "bfloat16"), "t4 does not compute in bfloat16"),
        (("-m", "multitask_r128", "--tasks", "answer,draw"), "unknown task"),
        (("-m", "multitask_r128", "-s", "nowhere"), "unknown suite"),
    ],
)
def test_wrong_flags_are_one_line(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    assert _run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow(reason="measures a full-size network on a machine that must do nothing else")
def test_the_estimate_holds_for_this_machine(tmp_path: Any) -> None:
    """Within a factor of 2 of a measured run of full-size random weights, on the CPU; memory too."""
    from gi_bench.baselines.florence2.model import Decoding
    from gi_bench.harness.engine.machine import peak_memory_mb
    from gi_bench.harness.suites.phantom.suite import PhantomSuite
    from tests.benchmarks.inference import Rows, Setting, our_engine
    from tests.florence_layout import base_tokenizer, random_network, write_layout

    suite = PhantomSuite("validation", 4)
    rows = Rows(suite, 3, 8, False)
    config = base.base_config()
    write_layout(tmp_path, random_network(config), base_tokenizer(q.question for q in suite.questions),
                 tiny.processor_configs(base.IMAGE_SIZE, base.IMAGE_TOKENS))  # fmt: skip
    settings = Decoding(answer_tokens=20, ground_tokens=20, explain_tokens=20)
    measured_s = our_engine(Setting(tmp_path, None, rows, settings, chain=False, dtype="float32")).wall_s
    work = cost.Work(3, {"answer": (24, 20)}, 20, 3, 24)
    found = cost.plan(config, base.IMAGE_SIZE, work, cost.measure_cpu("float32"), "float32", 128)
    low, high = found.seconds
    assert 0.5 < (low * high) ** 0.5 / measured_s < 2, (low, high, measured_s)
    assert 0.5 < found.peak_bytes / 1e6 / peak_memory_mb("cpu") < 2


def test_the_script_of_subtask_1_sees_a_picture_a_row(gi_bench: CommandLine) -> None:
    def planned(*arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(gi_bench("plan", "--model", "multitask_r128", *arguments, "--json").stdout)
        return found

    whole = planned("--suite", "medico2025-task1")["script_seconds"]
    assert 0 < whole[0] < whole[1]
    answers = planned("--suite", "medico2025-task1", "--tasks", "answer")
    assert whole[1] > answers["seconds"][1], "1,500 pictures instead of 1,236"
    assert planned()["script_seconds"] is None
    assert "script of gi-bench submit task1" in gi_bench("plan", "-m", "vqa_only_r32", "-s", "medico2026-task1").stdout
