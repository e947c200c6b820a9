"""What a run will cost, from the architecture alone: parameters, bytes, FLOPs by stage, memory, a range of seconds.

No weights are loaded. A multiply-add counts as two FLOPs. Parameters are counted on the network itself, built on
torch's meta device; FLOPs and memory follow the modules' shapes. Times are estimates: a stage takes the longer of its
arithmetic and its memory traffic, each at a share of the device's peak that is given as a range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
# What a process holds beside weights and activations: Python, torch, tokenizer, decoded images.
OVERHEAD_BYTES = {"cpu": 0.9e9, "gpu": 0.8e9}


@dataclass(frozen=True)
class Device:
    """A device as its data sheet has it.

    Attributes:
        name: what the user types.
        flops: peak FLOP/s by dtype, dense.
        bandwidth: bytes/s of its memory.
        memory_bytes: size of its memory; 0 if not known.
        share: lower and upper share of the peaks that a run like this reaches.
        step_s: least and most seconds that a decoding step takes whatever its size (launching a hundred kernels).
    """

    name: str
    flops: dict[str, float]
    bandwidth: float
    memory_bytes: float
    share: tuple[float, float]
    step_s: tuple[float, float]


_LAUNCH = (0.004, 0.02)
# Peaks: NVIDIA's data sheets (T4: 8.1 / 65 TFLOPS, 320 GB/s, 16 GB; L4: 30.3 / 121, 300, 24; A100 80 GB SXM:
# 19.5 / 312, 2,039, 80). Shares and launch times are assumptions for batches of a few dozen short prompts; no GPU was
# at hand to measure them.
_A100 = {"float32": 19.5e12, "float16": 312e12, "bfloat16": 312e12}
GPUS = {
    "t4": Device("t4", {"float32": 8.1e12, "float16": 65e12}, 320e9, 16e9, (0.12, 0.45), _LAUNCH),
    "l4": Device("l4", {"float32": 30.3e12, "float16": 121e12, "bfloat16": 121e12}, 300e9, 24e9, (0.12, 0.45), _LAUNCH),
    "a100": Device(
        "a100", {"float32": 19.5e12, "float16": 312e12, "bfloat16": 312e12}, 2039e9, 80e9, (0.08, 0.35), _LAUNCH
    ),
}
DEFAULT_DTYPE = {"t4": "float16", "l4": "bfloat16", "a100": "bfloat16", "cpu": "float32"}


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes:
        images: number of images.
        replies: per task, number of replies and tokens of each.
        prompt_tokens: text tokens of a prompt.
        beams, batch: as in the run.
    """

    images: int
    replies: dict[str, tuple[int, int]]
    prompt_tokens: int
    beams: int
    batch: int


@dataclass(frozen=True)
class Stage:
    """FLOPs, bytes of memory traffic and decoding steps (of batches) of one stage over the whole run."""

    name: str
    flops: float
    traffic: float
    steps: int = 0


@dataclass(frozen=True)
class Cost:
    """The plan of a run.

    Attributes:
        parameters: of the backbone; tied weights once.
        adapter_parameters: LoRA parameters, merged before inference.
        weight_bytes: of the merged network.
        stages: work by stage.
        peak_bytes: expected peak memory of the device (CPU: of the process).
        seconds: lower and upper estimate.
    """

    parameters: int
    adapter_parameters: int
    weight_bytes: float
    stages: tuple[Stage, ...]
    peak_bytes: float
    seconds: tuple[float, float]


def count_parameters(config: Any) -> tuple[int, int]:
    """Parameters of the network, and the LoRA parameters that one unit of rank adds over all target modules."""
    import torch
    from transformers import Florence2ForConditionalGeneration

    from gi_bench.baselines.florence2.adapters import TARGET_MODULES

    with torch.device("meta"):
        network = Florence2ForConditionalGeneration(config)
    per_rank = sum(
        module.in_features + module.out_features
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear) and name.rsplit(".", 1)[-1] in TARGET_MODULES
    )
    return sum(p.numel() for p in network.parameters()), per_rank


def vision_flops(config: Any, side: int) -> float:
    """FLOPs of the vision tower and the projector for one image of ``side`` x ``side`` pixels."""
    vision = config.vision_config
    total, size, channels_in = 0.0, side, vision.in_channels
    for stage, width in enumerate(vision.embed_dim):
        kernel, stride, padding = vision.patch_size[stage], vision.patch_stride[stage], vision.patch_padding[stage]
        size = (size + 2 * padding - kernel) // stride + 1
        tokens = size * size
        total += 2 * tokens * width * channels_in * kernel**2
        window = vision.window_size
        padded = (-(-size // window) * window) ** 2
        mlp = 4 * tokens * width * width * vision.mlp_ratio
        depthwise = 2 * 2 * 9 * tokens * width
        spatial = 8 * padded * width * width + 4 * padded * window**2 * width
        channel = 8 * tokens * width * width + 4 * tokens * width * (width // vision.num_groups[stage])
        total += vision.depths[stage] * (spatial + channel + 2 * (mlp + depthwise))
        channels_in = width
    return float(total + 2 * (tokens + 1) * channels_in * vision.projection_dim)


def image_tokens(config: Any, side: int) -> int:
    """Image tokens that the language model sees: one a position of the last feature map, and one for all."""
    vision, size = config.vision_config, side
    for kernel, stride, padding in zip(vision.patch_size, vision.patch_stride, vision.patch_padding, strict=True):
        size = (size + 2 * padding - kernel) // stride + 1
    return int(size * size + 1)


def encoder_flops(config: Any, tokens: int) -> float:
    """FLOPs of the language encoder for one prompt of that many tokens, image tokens included."""
    text = config.text_config
    width = text.d_model
    layer = 8 * tokens * width**2 + 4 * tokens * width * text.encoder_ffn_dim + 4 * tokens**2 * width
    return float(text.encoder_layers * layer)


def memory_flops(config: Any, tokens: int) -> float:
    """FLOPs of projecting the encoder's output to the decoder's keys and values, once a prompt."""
    text = config.text_config
    return float(text.decoder_layers * 4 * tokens * text.d_model**2)


def step_flops(config: Any, tokens: int, length: int) -> float:
    """FLOPs of one decoding step of one hypothesis: own tokens so far ``length``, encoder tokens ``tokens``."""
    text = config.text_config
    width = text.d_model
    layer = 12 * width**2 + 4 * width * text.decoder_ffn_dim + 4 * width * (tokens + length)
    return float(text.decoder_layers * layer + 2 * width * text.vocab_size)


def decoder_parameters(config: Any) -> float:
    """Parameters that a decoding step reads: decoder layers but for the encoder's keys and values, and the head."""
    text = config.text_config
    layer = 6 * text.d_model**2 + 2 * text.d_model * text.decoder_ffn_dim
    return float(text.decoder_layers * layer + text.d_model * text.vocab_size)


def stages(config: Any, side: int, work: Work, dtype: str) -> tuple[Stage, ...]:
    """Work of a whole run by stage."""
    size = BYTES[dtype]
    text = config.text_config
    tokens = image_tokens(config, side) + work.prompt_tokens
    found = [Stage("vision", work.images * vision_flops(config, side), work.images * 30e6 * size)]
    prompts = sum(count for count, _ in work.replies.values())
    found.append(Stage("encoder", prompts * encoder_flops(config, tokens), prompts * tokens * text.d_model * 60 * size))
    key_bytes = 2 * text.decoder_layers * tokens * text.d_model * size
    found.append(Stage("keys and values", prompts * memory_flops(config, tokens), 2 * prompts * key_bytes))
    for task, (count, length) in work.replies.items():
        steps = count * length
        flops = steps * work.beams * step_flops(config, tokens, length // 2)
        batches = -(-count // work.batch)
        # A step reads the weights once a batch, and the keys and values of every prompt.
        traffic = batches * length * decoder_parameters(config) * size + steps * key_bytes
        found.append(Stage(f"decode {task}", flops, traffic, batches * length))
    return tuple(found)


def peak_bytes(config: Any, side: int, work: Work, dtype: str, parameters: int, device: str) -> float:
    """Expected peak memory: weights (twice while an adapter is merged), features of a part, the largest activations."""
    size, text = BYTES[dtype], config.text_config
    tokens = image_tokens(config, side) + work.prompt_tokens
    features = 62 * (tokens - work.prompt_tokens) * text.d_model * size  # images of a part of 240 rows, 3.9 a image
    first = side // config.vision_config.patch_stride[0]
    pictures = 1 if device == "cpu" else max(1, work.batch // 4)
    vision = pictures * first**2 * config.vision_config.embed_dim[0] * 8 * size
    encoder = work.batch * tokens * (text.d_model * 4 + text.encoder_ffn_dim) * size
    keys = 2 * text.decoder_layers * work.batch * tokens * text.d_model * size
    logits = work.batch * work.beams * text.vocab_size * 4 * 3
    overhead = OVERHEAD_BYTES["cpu" if device == "cpu" else "gpu"]
    return float(2 * parameters * size + features + max(vision, encoder, keys + logits) + keys + overhead)


def measure_cpu(dtype: str) -> Device:
    """This machine: FLOP/s of a matrix product and bytes/s of a copy, in less than a second."""
    import time

    import torch

    kind = getattr(torch, dtype)
    left, right = torch.randn(1536, 1536).to(kind), torch.randn(1536, 1536).to(kind)
    block, other = torch.ones(32_000_000), torch.ones(32_000_000)  # written once: fresh pages would be measured else

    def best(call: Any, repeats: int) -> float:
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return min(times)

    left @ right
    flops = 2 * 1536**3 / best(lambda: left @ right, 10)
    bandwidth = 2 * block.numel() * 4 / best(lambda: other.copy_(block), 4)
    # Measured, not peak: a run reaches most of it.
    return Device("cpu", {dtype: flops}, bandwidth, 0.0, (0.4, 0.9), (0.001, 0.005))


def seconds(work_stages: tuple[Stage, ...], device: Device, dtype: str) -> tuple[float, float]:
    """Lower and upper estimate: each stage takes the longer of arithmetic and traffic, and its steps their least."""
    flops = device.flops[dtype]
    ideal = sum(max(stage.flops / flops, stage.traffic / device.bandwidth) for stage in work_stages)
    low, high = device.share
    steps = sum(stage.steps for stage in work_stages)
    return ideal / high + steps * device.step_s[0], ideal / low + steps * device.step_s[1]


def plan(config: Any, side: int, work: Work, device: Device, dtype: str, rank: int) -> Cost:
    """The cost of a run."""
    parameters, per_rank = count_parameters(config)
    work_stages = stages(config, side, work, dtype)
    return Cost(
        parameters,
        rank * per_rank,
        float(parameters * BYTES[dtype]),
        work_stages,
        peak_bytes(config, side, work, dtype, parameters, device.name),
        seconds(work_stages, device, dtype),
    )
