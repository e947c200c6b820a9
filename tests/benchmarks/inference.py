"""What each part of our inference gains over the organisers' loop: four columns on the same rows and weights.

    python -m tests.benchmarks.inference --size tiny                  # shipped weights on rendered scenes
    python -m tests.benchmarks.inference --size base --data DIR       # Florence-2-base, random weights, real images
    python -m tests.benchmarks.inference --size base --device cuda    # the same on rendered scenes and a GPU

``loop``
    The organisers' loop: one question at a time, the picture encoded anew for each.
``features``
    ``transformers`` alone, used well: a picture is encoded once, its questions are one batch for ``generate``. It
    gives no confidence; asking ``generate`` for scores would cost it more.
``search``
    The same with our decoder and search, which give the confidences in the same pass.
``vision``
    The same with our vision path: what ``gi-bench run`` does.

Replies are compared one by one with those of the loop. A comparison of replies that are all alike proves nothing:
where fewer than half of the replies differ from each other, the benchmark fails. ``DIR`` is a folder in the layout of
the dataset (``images/`` and ``data/test-*.parquet``); without one the images are rendered scenes. ``--per-image N``
asks N questions an image, ``official`` the groups of the official test rows; ``--chain`` asks for answer, region and
explanation of each question. On a CPU seconds are of the process (user and system), so that other work on the machine
does not enter, and ``--threads`` is 1 unless told; on a GPU they are those on the clock, of the faster of two turns,
and memory is the allocator's highest.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gi_bench.baselines.florence2 import base, prompts
from gi_bench.baselines.florence2.backbone import Backbone, load_backbone
from gi_bench.baselines.florence2.decoding import Generated, encode_prompts
from gi_bench.baselines.florence2.model import Decoding, Florence2Model
from gi_bench.baselines.training.tiny import architecture as tiny
from gi_bench.harness.engine.execute import BatchSize, execute_part
from gi_bench.harness.engine.plan import make_plan
from gi_bench.harness.schema import Question, Task
from gi_bench.harness.suites.base import Suite
from tests.florence_layout import base_tokenizer, random_network, write_layout


class Rows(Suite):
    """Some questions of a suite, cycled through its texts where an image has too few."""

    def __init__(self, suite: Suite, images: int, per_image: int | None, explained: bool) -> None:
        self.name, self.phrases, self._suite = suite.name, (), suite
        by_image: dict[str, list[Question]] = {}
        for question in suite.questions:
            by_image.setdefault(question.img_id, []).append(question)
        picked = list(by_image)[:: max(1, len(by_image) // images)][:images]
        texts = list(dict.fromkeys(question.question for question in suite.questions))
        rows: list[Question] = []
        for img_id in picked:
            own = by_image[img_id]
            asked = (
                own
                if per_image is None
                else [
                    replace(own[i % len(own)], question=own[i].question if i < len(own) else texts[i * 7 % len(texts)])
                    for i in range(per_image)
                ]
            )
            rows.extend(asked)
        self.questions = tuple(replace(q, index=i, wants_explanation=explained) for i, q in enumerate(rows))

    def load_image(self, img_id: str) -> Any:
        return self._suite.load_image(img_id)

    def image_digest(self, img_id: str) -> str:
        return self._suite.image_digest(img_id)


@dataclass(frozen=True)
class Setting:
    """What is compared: weights in a folder, rows, decoding."""

    folder: Path
    adapter: Path | None
    rows: Rows
    decoding: Decoding
    chain: bool
    dtype: str
    batch: int | None = None
    device: str = "cpu"

    def load(self) -> tuple[Backbone, Any]:
        """The backbone, and its network with the adapter merged into it."""
        backbone = load_backbone(self.folder, device=self.device, dtype=self.dtype)
        if self.adapter is None:
            return backbone, backbone.network
        from gi_bench.baselines.florence2.adapters import with_adapter

        return backbone, with_adapter(backbone, self.adapter).network


@dataclass
class Measured:
    """Replies by row, seconds of the process, seconds on the clock, seconds by stage."""

    replies: list[list[str]]
    cpu_s: float
    wall_s: float
    stages_s: dict[str, float] = field(default_factory=dict)
    peak_mb: float | None = None

    @property
    def seconds(self) -> float:
        """What columns are compared by: of the process, on a GPU on the clock."""
        return self.cpu_s if self.peak_mb is None else self.wall_s


class _Watch:
    """What was spent since it was made."""

    def __init__(self, device: str) -> None:
        import torch

        self._is_gpu = device != "cpu"
        if self._is_gpu:
            torch.cuda.reset_peak_memory_stats()
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def measured(self, replies: list[list[str]], stages: dict[str, float] | None = None) -> Measured:
        import torch

        cpu_s, wall_s = time.process_time() - self._cpu, time.perf_counter() - self._wall
        peak_mb = torch.cuda.max_memory_allocated() / 1e6 if self._is_gpu else None
        return Measured(replies, cpu_s, wall_s, stages or {}, peak_mb)


def template_loop(setting: Setting) -> Measured:
    """The organisers' loop, restated: processor and ``generate`` for every question, from the pixels on."""
    import torch
    from transformers import AutoImageProcessor
    from transformers.models.florence2.processing_florence2 import Florence2Processor

    backbone, network = setting.load()
    pictures = AutoImageProcessor.from_pretrained(setting.folder, backend="pil")
    pictures.image_seq_length = backbone.image_tokens
    processor = Florence2Processor(image_processor=pictures, tokenizer=backbone.tokenizer)
    decoding = setting.decoding

    def ask(image: Any, prompt: str, limit: int) -> str:
        inputs = processor(images=image, text=prompt, return_tensors="pt").to(setting.device, dtype=network.dtype)
        with torch.inference_mode():
            ids = network.generate(
                **inputs, num_beams=decoding.beams, do_sample=False, max_new_tokens=limit,
                early_stopping=decoding.beams > 1,
            )  # fmt: skip
        return str(processor.tokenizer.decode(ids[0], skip_special_tokens=True)).strip()

    said = []
    watch = _Watch(setting.device)
    for row in setting.rows.questions:
        image = setting.rows.load_image(row.img_id)
        texts = [ask(image, prompts.answer_prompt(row.question), decoding.answer_tokens)]
        if setting.chain:
            ask(image, prompts.ground_prompt(texts[0]), decoding.ground_tokens)
            texts.append(ask(image, prompts.explain_prompt(row.question), decoding.explain_tokens))
        said.append(texts)
    return watch.measured(said)


class LibraryDecoder(Florence2Model):
    """Our engine with ``transformers``' vision tower and ``generate``; a reply has no confidence."""

    def encode(self, images: Sequence[Any]) -> Sequence[Any]:
        import torch

        found: list[Any] = []
        with torch.inference_mode():
            for image in images:
                found.extend(self._network.get_image_features(self._backbone.pixels([image])).pooler_output)
        return found

    def _generate(self, features: Sequence[Any], asked: Sequence[str], limit: int) -> list[Generated]:
        import torch
        from transformers.modeling_outputs import BaseModelOutput

        tokenizer, beams = self._backbone.tokenizer, self._decoding.beams
        with torch.inference_mode():
            hidden, mask = encode_prompts(self._network, tokenizer, torch.stack(list(features)), asked)
            found = self._network.generate(
                encoder_outputs=BaseModelOutput(last_hidden_state=hidden), attention_mask=mask, num_beams=beams,
                do_sample=False, max_new_tokens=limit, early_stopping=beams > 1,
            )  # fmt: skip
        texts = tokenizer.batch_decode(found, skip_special_tokens=True)
        return [
            Generated(text.strip(), 0.0, 0.0, 0.0, 0.0, len(ids), ()) for text, ids in zip(texts, found, strict=True)
        ]


class LibraryVision(LibraryDecoder):
    """Our engine with ``transformers``' vision tower and our decoder and search."""

    _generate = Florence2Model._generate


def our_engine(setting: Setting, kind: type[Florence2Model] = Florence2Model) -> Measured:
    """The same rows through the engine's own parts."""
    model = kind(*setting.load(), {}, setting.decoding)
    tasks: tuple[Task, ...] = ("answer", "ground", "explain") if setting.chain else ("answer",)
    found: dict[int, list[str]] = {}
    stages: dict[str, float] = {}
    watch = _Watch(setting.device)
    for part in make_plan(setting.rows, tasks).parts:
        done = execute_part(part, setting.rows, model, tasks, BatchSize(setting.batch or model.batch_size))
        for stage, seconds in done.seconds.items():
            stages[stage] = round(stages.get(stage, 0.0) + seconds, 2)
        for row in done.predictions:
            found[row.index] = [row.answer or ""] + ([row.explanation or ""] if setting.chain else [])
    return watch.measured([found[i] for i in range(len(found))], stages)


COLUMNS: dict[str, Callable[[Setting], Measured]] = {
    "loop": template_loop,
    "features": lambda setting: our_engine(setting, LibraryDecoder),
    "search": lambda setting: our_engine(setting, LibraryVision),
    "vision": our_engine,
}


def equal(ours: list[list[str]], theirs: list[list[str]]) -> int:
    """How many replies are equal, text for text."""
    return sum(a == b for mine, other in zip(ours, theirs, strict=True) for a, b in zip(mine, other, strict=True))


def distinct_share(setting: Setting, replies: list[list[str]]) -> float:
    """Share of the distinct (image, prompt) pairs that have a reply of their own, in (0, 1]."""
    asked, said = set(), set()
    for row, texts in zip(setting.rows.questions, replies, strict=True):
        for place, text in enumerate(texts):
            asked.add((row.img_id, row.question, place))
            said.add(text)
    return len(said) / len(asked)


def _base(asked: argparse.Namespace, scratch: Path, decoding: Decoding) -> Setting:
    """Florence-2-base with random weights on real images, or on rendered scenes."""
    from gi_bench.harness.registry import load_suite
    from gi_bench.harness.suites.phantom.suite import PhantomSuite

    suite: Suite = PhantomSuite("validation", asked.images)
    if asked.data is not None:
        suite = load_suite("kvasir-vqa-x1/test", asked.data)
    rows = Rows(suite, asked.images, None if asked.per_image == "official" else int(asked.per_image), asked.chain)
    tokenizer = base_tokenizer(question.question for question in suite.questions)
    configs = tiny.processor_configs(base.IMAGE_SIZE, base.IMAGE_TOKENS)
    write_layout(scratch, random_network(base.base_config(), spread=asked.spread), tokenizer, configs)
    return Setting(scratch, None, rows, decoding, asked.chain, asked.dtype, asked.batch_size, asked.device)


def _tiny(asked: argparse.Namespace, decoding: Decoding) -> Setting:
    """The shipped multi-task variant on rendered scenes."""
    from gi_bench.baselines.registration import HERE
    from gi_bench.harness.suites.phantom.suite import PhantomSuite

    per_image = None if asked.per_image == "official" else int(asked.per_image)
    rows = Rows(PhantomSuite("validation", asked.images), asked.images, per_image, asked.chain)
    weights = HERE / "weights"
    adapter = weights / "multitask_r128-tiny"
    return Setting(
        weights / "tiny-florence2", adapter, rows, decoding, asked.chain, asked.dtype, asked.batch_size, asked.device
    )


def measure(setting: Setting, columns: Sequence[str], repeats: int) -> dict[str, Measured]:
    """The fastest of some repeats of each column; the columns take turns."""
    best: dict[str, Measured] = {}
    for _ in range(repeats):
        for name in columns:
            found = COLUMNS[name](setting)
            if name not in best or found.seconds < best[name].seconds:
                best[name] = found
    return best


def main(say: Callable[[str], None] = print) -> None:
    """Run the comparison, print its table as one JSON line a column; exit code 1 if the replies prove nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["tiny", "base"], default="tiny")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--per-image", default="official")
    parser.add_argument("--beams", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--spread", type=float, default=0.12)
    parser.add_argument("--chain", action="store_true")
    parser.add_argument("--columns", nargs="+", choices=list(COLUMNS), default=list(COLUMNS))
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(asked.threads)
    limit = asked.tokens
    decoding = Decoding(beams=asked.beams, answer_tokens=limit, ground_tokens=limit, explain_tokens=limit)
    with tempfile.TemporaryDirectory() as scratch:
        setting = _tiny(asked, decoding) if asked.size == "tiny" else _base(asked, Path(scratch), decoding)
        measured = measure(setting, asked.columns, asked.repeats or (1 if asked.device == "cpu" else 2))
    first = asked.columns[0]
    before: Measured | None = None
    for name, found in measured.items():
        replies = sum(len(texts) for texts in found.replies)
        figures: dict[str, Any] = {
            "column": name, "cpu_s": round(found.cpu_s, 2), "wall_s": round(found.wall_s, 2),
            "gain": None if before is None else round(before.seconds / found.seconds, 2),
            f"against {first}": round(measured[first].seconds / found.seconds, 2),
            "equal": f"{equal(found.replies, measured[first].replies)}/{replies}",
            "distinct": round(distinct_share(setting, found.replies), 2), "stages_s": found.stages_s,
            "peak_mb": found.peak_mb and round(found.peak_mb),
        }  # fmt: skip
        say(json.dumps(figures))
        before = found
    share = min(distinct_share(setting, found.replies) for found in measured.values())
    if share < 0.5:
        sys.exit(f"only {share:.0%} of the replies differ from each other: their equality proves nothing")


if __name__ == "__main__":
    main()
