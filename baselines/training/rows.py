"""Training examples out of a suite: prompts with targets, by image and task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gi_bench.baselines.florence2 import prompts
from gi_bench.baselines.florence2.locations import SEPARATOR, TINY_STYLE, TargetStyle, mask_to_polygons
from gi_bench.baselines.training.extra_rows import ExtraRows
from gi_bench.harness.errors import DataError, GiBenchError
from gi_bench.harness.schema import Region
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.taxonomy import FINDING_LABELS


@dataclass
class Examples:
    """Training examples.

    Attributes:
        by_task: by task, then by image id, (prompt, target) pairs.
        sizes: (height, width) of an image's regions.
        cut: images and labels whose regions have more components than a reply has room for; the smallest are left out.
    """

    by_task: dict[str, dict[str, list[tuple[str, str]]]] = field(default_factory=lambda: defaultdict(dict))
    sizes: dict[str, set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))
    cut: set[tuple[str, str]] = field(default_factory=set)

    def add(self, task: str, img_id: str, prompt: str, target: str) -> None:
        """Add one example."""
        self.by_task[task].setdefault(img_id, []).append((prompt, target))

    def add_region(self, img_id: str, prompt: str, region: Region, style: TargetStyle) -> None:
        """Add a region as a target; one without an outline (a line of one pixel in a coarse style) is left out."""
        target = style.write(mask := region.mask())
        if not target:
            return
        if style.room is not None and target.count(SEPARATOR) + 1 < len(mask_to_polygons(mask, corners=style.corners)):
            self.cut.add((img_id, region.label))
        self.add("ground", img_id, prompt, target)
        self.sizes[img_id].add((region.height, region.width))

    @property
    def image_ids(self) -> list[str]:
        """Ids of all images that any task uses, sorted."""
        return sorted({img_id for images in self.by_task.values() for img_id in images})

    def count(self) -> dict[str, int]:
        """Number of examples by task."""
        return {task: sum(map(len, images.values())) for task, images in self.by_task.items()}


def task_examples(
    suite: Suite,
    tasks: Sequence[str],
    *,
    negatives: bool = False,
    style: TargetStyle = TINY_STYLE,
    extra: ExtraRows | None = None,
) -> Examples:
    """Examples of the three tasks from a suite's rows with references.

    Args:
        suite: training suite; rows without a reference are left out.
        tasks: any of ``answer``, ``explain``, ``ground``.
        negatives: also phrases for absent things, with the target ``none``.
        style: how regions are written.
        extra: rows of files; negatives of it are used where ``negatives`` is set.

    Raises:
        GiBenchError: the suite has no example of one of the tasks.
    """
    found = Examples()
    explained = "explain" in tasks and (extra is None or extra.own_explanations)
    for row in suite.questions:
        if "answer" in tasks and row.answer:
            found.add("answer", row.img_id, prompts.answer_prompt(row.question), row.answer)
        if explained and row.explanation:
            found.add("explain", row.img_id, prompts.explain_prompt(row.question), row.explanation)
    if "ground" in tasks:
        masks = extra.masks if extra is not None else {}
        # Where a file has masks of a label, all of that label are its: the two sources are not mixed.
        replaced = {label for _, label in masks}
        _answers_as_phrases(suite, style, masks, found)
        for phrase in suite.phrases:
            own = None if phrase.label in replaced else phrase.region
            region = masks.get((phrase.img_id, phrase.label), own)
            prompt = prompts.ground_prompt(phrase.phrase)
            if phrase.is_negative:
                if negatives:
                    found.add("negative", phrase.img_id, prompt, prompts.NOTHING_THERE)
            elif region is not None and region.area:
                found.add_region(phrase.img_id, prompt, region, style)
    if extra is not None:
        _add_extra(extra, tasks, negatives, found)
    missing = [task for task in tasks if task not in found.by_task]
    if missing:
        raise GiBenchError(
            f"no training rows for the task {', '.join(missing)}",
            where=suite.name,
            do="train a variant without it, or give a suite that has references for it",
        )
    return found


def _add_extra(extra: ExtraRows, tasks: Sequence[str], negatives: bool, found: Examples) -> None:
    """Rows of files beside those of the suite."""
    if "explain" in tasks:
        for img_id, question, explanation in extra.explanations:
            found.add("explain", img_id, prompts.explain_prompt(question), explanation)
    if not negatives:
        return
    for img_id, question, answer, phrase in extra.negatives:
        if "answer" in tasks and question:
            # A task of its own, so that trainings with and without it see the same answers.
            found.add("denial", img_id, prompts.answer_prompt(question), answer)
        if "ground" in tasks and phrase:
            found.add("negative", img_id, prompts.ground_prompt(phrase), prompts.NOTHING_THERE)


def _answers_as_phrases(
    suite: Suite, style: TargetStyle, masks: Mapping[tuple[str, str], Region], found: Examples
) -> None:
    """Answers that assert a localisable finding also refer to its region, as in the paper's phrases."""
    regions = {
        (phrase.img_id, phrase.label): phrase.region
        for phrase in suite.phrases
        if phrase.region is not None and not phrase.is_negative and phrase.label not in {name for _, name in masks}
    } | dict(masks)
    for row in suite.questions:
        if not row.answer or row.complexity != 1 or row.is_negative or row.finding not in FINDING_LABELS:
            continue
        region = next(
            (regions[row.img_id, label] for label in FINDING_LABELS[row.finding] if (row.img_id, label) in regions),
            None,
        )
        if region is not None and region.area:
            found.add_region(row.img_id, prompts.ground_prompt(row.answer), region, style)


def check_examples(examples: Examples, tokenizer: Any, positions: int, image_tokens: int) -> None:
    """Refuse rows that the network cannot be trained on.

    Args:
        examples: rows by task and image.
        tokenizer: the network's.
        positions: tokens that encoder and decoder take, at most.
        image_tokens: how many of the encoder's are the image's.

    Raises:
        DataError: a text holds a control token (a location outside a region, say), or is too long.
    """
    control = set(tokenizer.get_added_vocab()) | set(tokenizer.all_special_tokens) | set(prompts.TASK_TOKENS)
    for task, images in examples.by_task.items():
        rows = [(img_id, *pair) for img_id, pairs in images.items() for pair in pairs]
        for img_id, prompt, target in rows:
            asked = prompt.removeprefix(prompts.ANSWER_TOKEN).removeprefix(prompts.EXPLAIN_TOKEN)
            for text in (asked, target if task != "ground" else ""):
                if "<" in text and (wrong := sorted(token for token in control if token in text)):
                    raise DataError(
                        f"the control token {wrong[0]} in a text of the task {task}",
                        where=f"{img_id}: {text[:80]}",
                        do="take it out, or leave the row out",
                    )
        for side, room in ((1, positions - image_tokens), (2, positions)):
            lengths = map(len, tokenizer([row[side] for row in rows], add_special_tokens=False)["input_ids"])
            for row, length in zip(rows, lengths, strict=True):
                if length + 2 > room:
                    raise DataError(
                        f"a text of {length:,} tokens in the task {task}, the network takes {room - 2:,}",
                        where=f"{row[0]}: {row[side][:80]}",
                        do="shorten it, or leave the row out",
                    )
