"""``gi-bench plan``: what a run will cost, before anything is downloaded."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gi_bench.harness.commands.options import complete_models, complete_suites
from gi_bench.harness.errors import GiBenchError
from gi_bench.harness.registry import CommandEntry
from gi_bench.harness.terminal import say, say_text

if TYPE_CHECKING:
    from gi_bench.baselines.florence2.cost import Cost, Device, Work

PROMPT_TOKENS = 20


def plan(
    model: Annotated[str, typer.Option("--model", "-m", help="Model variant.", autocompletion=complete_models)],
    suite: Annotated[str, typer.Option("--suite", "-s", help="Suite.", autocompletion=complete_suites)] = "phantom",
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the suite's files.")] = None,
    gpu: Annotated[str, typer.Option("--gpu", help="t4, l4, a100 or cpu (this machine).")] = "t4",
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, float16 or bfloat16.")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Micro-batch.")] = 24,
    beams: Annotated[int, typer.Option("--beams", min=1, help="Beam count; 1 is greedy.")] = 3,
    tasks: Annotated[
        str, typer.Option("--tasks", help="Comma list of answer, ground, explain.")
    ] = "answer,ground,explain",
    answer_tokens: Annotated[int, typer.Option("--answer-tokens", min=1, help="Assumed tokens of an answer.")] = 16,
    ground_tokens: Annotated[int, typer.Option("--ground-tokens", min=1, help="Assumed tokens of a region.")] = 60,
    explain_tokens: Annotated[int, typer.Option("--explain-tokens", min=1, help="Assumed tokens of a text.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Parameters, bytes, FLOPs, memory and a range of time of a run, without its weights."""
    from gi_bench.baselines.florence2 import cost
    from gi_bench.baselines.registration import backbone_source, definitions
    from gi_bench.harness.registry import suite_spec, unknown_name

    known = definitions()
    if model not in known:
        raise unknown_name(model, known, "model")
    variant = known[model]
    if variant.kind != "florence2":
        say(f"{model} is no network: it needs no GPU and takes seconds")
        return
    if gpu != "cpu" and gpu not in cost.GPUS:
        raise GiBenchError(f"unknown device {gpu!r}", where="--gpu", do=f"use {', '.join(cost.GPUS)} or cpu")
    if dtype == "auto":
        dtype = cost.DEFAULT_DTYPE[gpu]
    if dtype not in cost.BYTES or (gpu != "cpu" and dtype not in cost.GPUS[gpu].flops):
        usable = cost.BYTES if gpu == "cpu" else cost.GPUS[gpu].flops
        raise GiBenchError(f"{gpu} does not compute in {dtype}", where="--dtype", do=f"use {', '.join(usable)}")
    suite, (images, questions, explained, phrases, source) = _rows(suite, data)
    lengths = {"answer": answer_tokens, "ground": ground_tokens, "explain": explain_tokens}
    counts = {"answer": questions, "ground": phrases + explained, "explain": explained}
    wanted = [task.strip() for task in tasks.split(",")]
    if not set(wanted) <= lengths.keys():
        raise GiBenchError(f"unknown task in {tasks!r}", where="--tasks", do=f"use any of {', '.join(lengths)}")
    replies = {task: (counts[task], lengths[task]) for task in wanted if counts[task]}
    name, _ = backbone_source(None, suite_spec(suite))
    config, side = _architecture(name)
    work = cost.Work(images, replies, PROMPT_TOKENS, beams, batch_size)
    device = cost.measure_cpu(dtype) if gpu == "cpu" else cost.GPUS[gpu]
    rank = variant.rank_on(name)
    found = cost.plan(config, side, work, device, dtype, rank)
    script = None
    if suite_spec(suite).subtask == "task1" and "answer" in replies:
        # The organisers' loop takes rows in a shuffled order: hardly two that follow each other share a picture.
        alone = replace(work, images=questions, replies={"answer": replies["answer"]})
        script = cost.plan(config, side, alone, device, dtype, rank).seconds
    if as_json:
        say_text(json.dumps({"model": model, "suite": suite, "backbone": name, "dtype": dtype, "rows_from": source,
                               "work": asdict(work), "device": asdict(device), **asdict(found),
                               "script_seconds": script}, indent=1))  # fmt: skip
        return
    for line in [*_lines(model, suite, name, dtype, device, work, found, source), *_script_line(script, questions)]:
        say(line)


def _rows(name: str, data: Path | None) -> tuple[str, tuple[int, int, int, int, str]]:
    """The suite's full name; images, questions, questions with an explanation, phrases, and where these come from."""
    from gi_bench.harness.registry import load_suite, suite_spec

    spec = suite_spec(name)
    published = (spec.images, spec.questions, spec.explanations)
    if data is None and None not in published:
        images, questions, explained = (count or 0 for count in published)
        return name, (images, questions, explained, 0, "published size")
    suite = load_suite(name, data)
    explained = sum(question.wants_explanation for question in suite.questions)
    return suite.name, (len(suite.image_ids), len(suite.questions), explained, len(suite.phrases), "the suite")


def _architecture(backbone: str) -> tuple[Any, int]:
    """Configuration and picture size of a named backbone."""
    if backbone == "tiny":
        from transformers import AutoConfig

        from gi_bench.baselines.registration import HERE

        folder = HERE / "weights" / "tiny-florence2"
        content = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        return AutoConfig.from_pretrained(folder), int(content["size"]["height"])
    from gi_bench.baselines.florence2 import base

    return base.base_config(), base.IMAGE_SIZE


def _lines(
    model: str, suite: str, backbone: str, dtype: str, device: Device, work: Work, found: Cost, source: str
) -> list[str]:
    replies = ", ".join(f"{count:,} {task} of {length} tokens" for task, (count, length) in work.replies.items())
    low, high = found.seconds
    fits = ""
    if device.memory_bytes:
        fits = f", fits {device.name} ({device.memory_bytes / 1e9:.0f} GB)"
        if found.peak_bytes > device.memory_bytes:
            fits = f", DOES NOT FIT {device.name} ({device.memory_bytes / 1e9:.0f} GB): give a smaller --batch-size"
    lines = [
        f"{model} on {suite}: backbone {backbone}, {dtype}, {device.name}, {work.beams} beams, batches of {work.batch}",
        f"rows        {work.images:,} images; {replies} (rows from {source}; tokens assumed)",
        f"parameters  {found.parameters:,}, adapter {found.adapter_parameters:,} (merged before inference)",
        f"weights     {found.weight_bytes / 1e6:,.0f} MB",
        f"peak memory {found.peak_bytes / 1e9:.1f} GB{fits}",
    ]
    total = sum(stage.flops for stage in found.stages)
    for stage in found.stages:
        lines.append(f"  {stage.name:<16} {stage.flops / 1e12:>10,.2f} TFLOP  {stage.flops / total:>5.0%}")
    lines += [
        f"  {'all':<16} {total / 1e12:>10,.2f} TFLOP",
        f"time        {_duration(low)} to {_duration(high)}",
        f"assumed: {device.share[0]:.0%} to {device.share[1]:.0%} of {device.flops[dtype] / 1e12:.2f} TFLOP/s and "
        f"{device.bandwidth / 1e9:.0f} GB/s"
        + (" (measured here)" if device.name == "cpu" else " (data sheet; not measured)")
        + ", images on a local disk. An estimate, not a promise.",
    ]
    return lines


def _script_line(seconds: tuple[float, float] | None, rows: int) -> list[str]:
    if seconds is None:
        return []
    low, high = (_duration(one) for one in seconds)
    return [f"script of gi-bench submit task1, with a picture for each of {rows:,} rows: {low} to {high}"]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


COMMAND = CommandEntry(
    name="plan",
    summary="What a run will cost, without its weights.",
    app=plan,
    examples=[
        ("before a run on a T4", "gi-bench plan -m multitask_r128 -s medico2025-task1 --gpu t4"),
        ("on this machine, greedy", "gi-bench plan -m multitask_r128 -s phantom --gpu cpu --beams 1"),
    ],
)
