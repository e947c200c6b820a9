"""Training on batches grouped by image against a plain Trainer that encodes the image of every row.

    python -m tests.benchmarks.training [--backbone tiny|base] [--variant multitask_r128] [--rows 12]
                                        [--rows-per-image 4] [--steps 6] [--device cpu|cuda] [--dtype float32]

Both sides train the same LoRA adapter with the same optimiser on the same rows in the same steps: answers,
explanations and regions of phantom scenes. ``plain`` is ``transformers``' Trainer as one would write it: a row is an
item, with pixels, prompt and target, and the network's own loss. ``grouped`` is ours; ``features``, for the variant
with a frozen vision tower, reads features encoded once (encoding them is told apart). ``base`` has the architecture of
Florence-2-base with random weights, on 768 x 768 pixels. Rows a second are those of the median step, without the
first. Losses are compared step by step; dropout draws differently, the rows and their order do not.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from gi_bench.baselines.florence2 import base
from gi_bench.baselines.florence2.adapters import add_adapter
from gi_bench.baselines.florence2.backbone import Backbone, load_backbone
from gi_bench.baselines.florence2.locations import TargetStyle
from gi_bench.baselines.registration import HERE, VariantDefinition, definitions
from gi_bench.baselines.training import fitting, settings
from gi_bench.baselines.training.adapter import BASE_DEFAULTS, TINY_DEFAULTS
from gi_bench.baselines.training.features import Feed, PictureFeed, encode_once
from gi_bench.baselines.training.fitting import Course, train
from gi_bench.baselines.training.mixture import Batch, Mixture, mix
from gi_bench.baselines.training.rows import Examples, task_examples
from gi_bench.baselines.training.settings import Running, TrainingSettings
from gi_bench.baselines.training.tiny import architecture as tiny
from gi_bench.harness.suites.phantom.suite import PhantomSuite
from tests.florence_layout import base_tokenizer, random_network, write_layout

TASKS = ("answer", "explain", "ground")


class Rows(torch.utils.data.Dataset[dict[str, Any]]):
    """Single rows with their pixels, in the order of the batches."""

    def __init__(self, batches: Sequence[Batch], tokenizer: Any, feed: PictureFeed, image_tokens: int) -> None:
        self._rows = [row for batch in batches for row in batch]
        self._tokenizer, self._feed, self._image_tokens = tokenizer, feed, image_tokens

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row = self._rows[number]
        text = tiny.IMAGE_TOKEN * self._image_tokens + "<s>" + row.prompt + "</s>"
        return {
            "pixel_values": self._feed.read([row.img_id])[0],
            "text": text,
            "target": row.target + "</s>",
        }

    def collate(self, items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Pad prompts and targets."""
        text = self._tokenizer([i["text"] for i in items], add_special_tokens=False, padding=True, return_tensors="pt")
        target = self._tokenizer(
            [i["target"] for i in items], add_special_tokens=False, padding=True, return_tensors="pt"
        )
        return {
            "pixel_values": torch.stack([i["pixel_values"] for i in items]),
            "input_ids": text.input_ids,
            "attention_mask": text.attention_mask,
            "labels": target.input_ids.masked_fill(target.attention_mask == 0, -100),
        }


class PlainTrainer(Trainer):  # type: ignore[misc]
    """The Trainer, without shuffling."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)


class Clock(TrainerCallback):  # type: ignore[misc]
    """Seconds of every optimiser step, and the losses."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self._last = 0.0

    def on_step_begin(self, *arguments: Any, **named: Any) -> None:
        self._last = time.perf_counter()

    def on_step_end(self, *arguments: Any, **named: Any) -> None:
        self.seconds.append(time.perf_counter() - self._last)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **named: Any) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])


def few_rows(examples: Examples, per_image: int) -> Examples:
    """The first rows of every image, tasks in turn, so that every step has equally many."""
    found = Examples()
    for img_id in examples.image_ids:
        pools = {task: list(images.get(img_id, ())) for task, images in sorted(examples.by_task.items())}
        if sum(map(len, pools.values())) < per_image:
            continue
        taken = 0
        while taken < per_image:
            for task, pool in pools.items():
                if pool and taken < per_image:
                    found.add(task, img_id, *pool.pop(0))
                    taken += 1
    return found


def _adapted(backbone: Backbone, variant: VariantDefinition) -> Any:
    """The network with the variant's adapter, of the rank that it has on a network of this size."""
    name = "base" if backbone.pictures.width > 128 else "tiny"
    rank, alpha = variant.rank_on(name), variant.alpha_on(name)
    return add_adapter(backbone.network, backbone.tokenizer, rank, alpha, layers=variant.layers)


def plain(
    backbone: Backbone,
    variant: VariantDefinition,
    batches: Sequence[Batch],
    feed: PictureFeed,
    accumulate: int,
    scratch: Path,
    running: Running,
) -> Clock:
    """The plain Trainer on the rows of the batches."""
    torch.manual_seed(0)
    model = _adapted(backbone, variant)
    network, clock = model.base_model.model, Clock()
    image_tokens = base.IMAGE_TOKENS if backbone.pictures.width > 128 else 37
    rows = Rows(batches, backbone.tokenizer, feed, image_tokens)
    trainer = PlainTrainer(
        model=network,
        train_dataset=rows,
        data_collator=rows.collate,
        callbacks=[clock],
        args=TrainingArguments(
            output_dir=str(scratch), max_steps=len(batches), per_device_train_batch_size=len(batches[0]) // accumulate,
            gradient_accumulation_steps=accumulate, learning_rate=5e-5, warmup_steps=0, lr_scheduler_type="constant",
            logging_steps=1, save_strategy="no", report_to=[], disable_tqdm=True, remove_unused_columns=False,
            use_cpu=running.device == "cpu", dataloader_pin_memory=running.device == "cuda", seed=0,
            bf16=running.dtype == "bfloat16", fp16=running.dtype == "float16",
        ),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return clock


def grouped(
    backbone: Backbone,
    variant: VariantDefinition,
    batches: Sequence[Batch],
    feed: Feed,
    accumulate: int,
    scratch: Path,
    running: Running,
) -> Clock:
    """Ours."""
    torch.manual_seed(0)
    model = _adapted(backbone, variant)
    clock = Clock()
    real = fitting._callbacks
    fitting._callbacks = lambda *arguments: [*real(*arguments), clock]  # type: ignore[assignment]
    settings.REPORT_EVERY = 1
    fitting.rate_factor = lambda step, steps, settings: 1.0  # as the plain side: what is compared is the rows
    try:
        train(
            model.base_model.model, backbone.tokenizer, feed,
            Course(batches, TrainingSettings(rate=5e-5), scratch, "benchmark"),
            running=replace(running, accumulate=accumulate, save_every=10**6),
        )  # fmt: skip
    finally:
        fitting._callbacks = real
    return clock


def backbone_folder(name: str, suite: PhantomSuite, scratch: Path) -> Path:
    """The embedded weights, or random ones of Florence-2-base's architecture."""
    if name == "tiny":
        return HERE / "weights" / "tiny-florence2"
    texts = [text for row in suite.questions for text in (row.question, row.answer or "", row.explanation or "")]
    configs = tiny.processor_configs(base.IMAGE_SIZE, base.IMAGE_TOKENS)
    write_layout(scratch, random_network(base.base_config(), spread=0.02), base_tokenizer(texts), configs)
    return scratch


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=("tiny", "base"), default="tiny")
    parser.add_argument("--variant", default="multitask_r128")
    parser.add_argument("--rows", type=int, default=12, help="rows of an optimiser step")
    parser.add_argument("--rows-per-image", type=int, default=4)
    parser.add_argument(
        "--plain-accumulate",
        type=int,
        default=1,
        help="parts of a plain step, where memory is short; as many rows a second",
    )
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    chosen = parser.parse_args()
    variant = definitions()[chosen.variant]
    suite = PhantomSuite("train", max(40, chosen.steps * chosen.rows // chosen.rows_per_image + 10))
    with tempfile.TemporaryDirectory() as scratch:
        source = backbone_folder(chosen.backbone, suite, Path(scratch) / "backbone")
        style = (TINY_DEFAULTS if chosen.backbone == "tiny" else BASE_DEFAULTS).style
        examples = few_rows(task_examples(suite, TASKS, style=TargetStyle(style.corners, style.steps)),
                            chosen.rows_per_image)  # fmt: skip
        batches = mix(examples, Mixture(chosen.rows, chosen.rows_per_image), 0, steps=chosen.steps)
        sides = {"plain": plain, "grouped": grouped} | ({"features": grouped} if variant.layers == "language" else {})
        clocks: dict[str, Clock] = {}
        for name, side in sides.items():
            backbone = load_backbone(source)
            feed: Any = PictureFeed(suite, backbone.pictures)
            if name == "features":
                start = time.perf_counter()
                used = list(dict.fromkeys(row.img_id for batch in batches for row in batch))
                feed = encode_once(backbone, suite, used, Path(scratch) / "features")
                print(f"features of {len(used)} images: {time.perf_counter() - start:.1f} s, once")
            parts = chosen.plain_accumulate if name == "plain" else 1
            running = Running(device=chosen.device, dtype=chosen.dtype)
            clocks[name] = side(backbone, variant, batches, feed, parts, Path(scratch) / name, running)
    report(clocks, chosen.rows)


def report(clocks: dict[str, Clock], rows: int) -> None:
    """Rows a second, their ratio to the plain side, and losses."""
    slow = statistics.median(clocks["plain"].seconds[1:])
    for name, clock in clocks.items():
        step = statistics.median(clock.seconds[1:])
        losses = " ".join(f"{loss:.4f}" for loss in clock.losses)
        print(f"{name:<9} {rows / step:8.2f} rows/s  {slow / step:5.2f}x  losses {losses}")


if __name__ == "__main__":
    main()
