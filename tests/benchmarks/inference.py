"""Our engine against the organisers' loop: one question at a time, the image encoded anew for each.

    python -m tests.benchmarks.inference --data DIR [--images 6] [--per-image official] [--beams 3]

Both sides run the same random-weight Florence-2-base at 768 pixels with the same decoding on the same questions of
real images; answers are compared one by one. ``DIR`` is a folder in the layout of the dataset (``images/`` and
``data/test-*.parquet``). Use ``--per-image N`` for N questions an image, ``official`` for the groups of the official
test rows, and ``--chain`` for answer, region and explanation of each question.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gi_bench.baselines.florence2 import base, prompts
from gi_bench.baselines.florence2.backbone import load_backbone
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


def template_loop(
    folder: Path, rows: Rows, settings: Decoding, chain: bool, dtype: str
) -> tuple[list[list[str]], float]:
    """The organisers' loop, restated: processor and ``generate`` for every question, from the pixels on."""
    import torch
    from transformers import AutoImageProcessor, AutoTokenizer, Florence2ForConditionalGeneration
    from transformers.models.florence2.processing_florence2 import Florence2Processor

    pictures = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pictures.image_seq_length = base.IMAGE_TOKENS
    processor = Florence2Processor(image_processor=pictures, tokenizer=AutoTokenizer.from_pretrained(folder))
    network = Florence2ForConditionalGeneration.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    def ask(image: Any, prompt: str, limit: int) -> str:
        inputs = processor(images=image, text=prompt, return_tensors="pt").to(dtype=network.dtype)
        with torch.inference_mode():
            ids = network.generate(
                **inputs, num_beams=settings.beams, do_sample=False, max_new_tokens=limit,
                early_stopping=settings.beams > 1,
            )  # fmt: skip
        return str(processor.tokenizer.decode(ids[0], skip_special_tokens=True)).strip()

    said = []
    start = time.perf_counter()
    for row in rows.questions:
        image = rows.load_image(row.img_id)
        texts = [ask(image, f"{prompts.ANSWER_TOKEN} {row.question}", settings.answer_tokens)]
        if chain:
            ask(image, f"{prompts.GROUND_TOKEN} {texts[0]}", settings.ground_tokens)
            texts.append(ask(image, prompts.explain_prompt(row.question), settings.explain_tokens))
        said.append(texts)
    return said, time.perf_counter() - start


def our_engine(folder: Path, rows: Rows, settings: Decoding, chain: bool, dtype: str, batch: int | None) -> Any:
    """The same rows through the engine's own parts."""
    backbone = load_backbone(folder, dtype=dtype)
    model = Florence2Model(backbone, backbone.network, {}, settings)
    tasks: tuple[Task, ...] = ("answer", "ground", "explain") if chain else ("answer",)
    found: dict[int, list[str]] = {}
    stages: dict[str, float] = {}
    start = time.perf_counter()
    for part in make_plan(rows, tasks).parts:
        done = execute_part(part, rows, model, tasks, BatchSize(batch or model.batch_size))
        for stage, seconds in done.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + seconds
        for row in done.predictions:
            found[row.index] = [row.answer or ""] + ([row.explanation or ""] if chain else [])
    return [found[i] for i in range(len(found))], time.perf_counter() - start, stages


def compare(ours: list[list[str]], theirs: list[list[str]]) -> int:
    """How many replies are equal, text for text."""
    return sum(a == b for mine, other in zip(ours, theirs, strict=True) for a, b in zip(mine, other, strict=True))


def main(say: Callable[[str], None] = print) -> None:
    """Run the comparison and print one JSON line with its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--per-image", default="official")
    parser.add_argument("--beams", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--their-dtype", default="float32")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--chain", action="store_true")
    parser.add_argument("--ours-only", action="store_true")
    asked = parser.parse_args()
    from gi_bench.harness.registry import load_suite

    per_image = None if asked.per_image == "official" else int(asked.per_image)
    suite = load_suite("kvasir-vqa-x1/test", asked.data)
    rows = Rows(suite, asked.images, per_image, asked.chain)
    settings = Decoding(
        beams=asked.beams, answer_tokens=asked.tokens, ground_tokens=asked.tokens, explain_tokens=asked.tokens
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tokenizer = base_tokenizer(question.question for question in suite.questions)
        write_layout(
            folder,
            random_network(base.base_config()),
            tokenizer,
            tiny.processor_configs(base.IMAGE_SIZE, base.IMAGE_TOKENS),
        )
        ours, our_s, stages = our_engine(folder, rows, settings, asked.chain, asked.dtype, asked.batch_size)
        figures: dict[str, Any] = {
            "images": len(rows.image_ids), "questions": len(rows.questions), "beams": asked.beams, "chain": asked.chain,
            "tokens": asked.tokens, "dtype": asked.dtype, "ours_s": round(our_s, 2),
            "stages_s": {stage: round(seconds, 2) for stage, seconds in stages.items()},
            "different_replies": len({text for texts in ours for text in texts}),
        }  # fmt: skip
        if not asked.ours_only:
            theirs, their_s = template_loop(folder, rows, settings, asked.chain, asked.their_dtype)
            total = sum(len(texts) for texts in ours)
            figures |= {"their_dtype": asked.their_dtype, "template_s": round(their_s, 2),
                        "ratio": round(their_s / our_s, 2), "equal": f"{compare(ours, theirs)}/{total}"}  # fmt: skip
    say(json.dumps(figures))


if __name__ == "__main__":
    main()
