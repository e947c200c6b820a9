"""Runs one part: encodes its images once, then answers, grounds and explains in micro-batches."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from gi_bench.harness.engine.outputs import checked_answer, checked_grounding
from gi_bench.harness.engine.plan import Part
from gi_bench.harness.errors import RunError
from gi_bench.harness.model import Answer, Ask, Feature, GroundAsk, Grounding, Model, check_state
from gi_bench.harness.reading import asserts
from gi_bench.harness.reading.replies import answer_state, explanation_state
from gi_bench.harness.schema import Prediction, Question, Reply, ReplyState, Task
from gi_bench.harness.taxonomy import FINDING_LABELS, QUESTION_CLASSES

if TYPE_CHECKING:
    from PIL.Image import Image

    from gi_bench.harness.suites.base import Suite

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class BatchSize:
    """The micro-batch size, found while running.

    Attributes:
        value: rows a batch.
        ceiling: full batches that pass double ``value`` up to here; None keeps it.
        halved_count: how often memory ran out. The first time ends the growth, every time halves ``value``.
    """

    value: int
    ceiling: int | None = None
    halved_count: int = 0

    def passed(self, count: int) -> None:
        """A batch of that many rows went through."""
        if self.ceiling is not None and self.halved_count == 0 and count >= self.value:
            self.value = max(self.value, min(2 * self.value, self.ceiling))

    def ran_out(self) -> None:
        """Memory did not suffice."""
        self.value, self.halved_count = max(1, self.value // 2), self.halved_count + 1


@dataclass
class PartResult:
    """Predictions of a part in the order of its rows, and seconds by stage."""

    predictions: list[Prediction]
    seconds: dict[str, float] = field(default_factory=dict)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that a smaller batch may pass, on a GPU or a CPU.

    torch has a type for a GPU's allocator only (named, so that torch is not loaded for models without it). Its CPU
    allocator and cuBLAS raise a bare RuntimeError: their text alone tells them from a defect.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def in_batches(
    items: Sequence[T], call: Callable[[Sequence[T]], Sequence[R]], size: BatchSize, divisor: int = 1
) -> list[R]:
    """Apply ``call`` to micro-batches; on an out-of-memory error halve the batch and try again.

    Args:
        divisor: images weigh more than questions; their batches are this much smaller.

    Raises:
        RunError: not even a single item fits, or the model returned another number of results.
    """
    results: list[R] = []
    while len(results) < len(items):
        count = max(1, size.value // divisor)
        batch = items[len(results) : len(results) + count]
        try:
            replies = call(batch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if count == 1:
                raise RunError(
                    "out of memory with a single item",
                    do="use a smaller --dtype, another --device or a smaller model; finished parts are kept",
                ) from error
            size.ran_out()
            _free_memory()
            continue
        if len(replies) != len(batch):
            raise RunError(
                f"the model gave {len(replies)} results for {len(batch)} inputs",
                do="repair the model plugin: one result per input, in order",
            )
        results.extend(replies)
        size.passed(len(batch) * divisor)
    return results


def _free_memory() -> None:
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _clocked(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


def _load_images(suite: Suite, img_ids: Iterable[str]) -> dict[str, Image]:
    """Decode images on threads; errors name the image."""
    img_ids = list(img_ids)
    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip(img_ids, pool.map(suite.load_image, img_ids), strict=True))


def _by_length(lengths: Sequence[int]) -> list[int]:
    """Order that puts inputs of similar length together (less padding); ties keep their order."""
    return sorted(range(len(lengths)), key=lambda i: (lengths[i], i))


def _ordered(items: Sequence[T], length: Callable[[T], int], run: Callable[[list[T]], list[R]]) -> list[R]:
    """Run items in the order of their length and give the results back in the items' order."""
    order = _by_length([length(item) for item in items])
    results: list[Any] = [None] * len(items)
    for position, result in zip(order, run([items[i] for i in order]), strict=True):
        results[position] = result
    return results


def chain_label(question: Question, answer: str) -> str | None:
    """The label under which the answer's finding is shown; None if there is nothing to show.

    A question is grounded if it is about one localisable finding that the answer does not deny.
    """
    if not question.wants_explanation or question.finding is None:
        return None
    if question.finding not in FINDING_LABELS:
        return None
    if not all(QUESTION_CLASSES[slug].localisable for slug in question.question_class):
        return None
    if asserts(answer, question.finding, question.question) is False:
        return None
    return question.finding


def execute_part(part: Part, suite: Suite, model: Model, tasks: Sequence[Task], size: BatchSize) -> PartResult:
    """Run all tasks on one part.

    Args:
        part: whole images with their rows.
        suite: where images come from.
        model: what answers.
        tasks: tasks to run; the model has all of them.
        size: micro-batch size, halved in place when memory runs out.

    Raises:
        DataError: an image is missing or does not decode.
        RunError: out of memory with a single item.
    """
    seconds: dict[str, float] = {}
    features: dict[str, Feature] = dict.fromkeys(part.img_ids)
    sizes: dict[str, tuple[int, int]] = {}
    if model.needs_image:
        with _clocked(seconds, "load"):
            images = _load_images(suite, part.img_ids)
        sizes = {img_id: image.size for img_id, image in images.items()}
        with _clocked(seconds, "encode"):
            encoded = in_batches(list(images.values()), model.encode, size, divisor=4)
        features = dict(zip(images, encoded, strict=True))
    elif "ground" in tasks:
        sizes = _sizes(part, suite)
    rows = [Prediction("question", q.index, q.img_id) for q in part.questions]
    shown = [Prediction("phrase", p.index, p.img_id) for p in part.phrases]
    if "answer" in tasks:
        with _clocked(seconds, "answer"):
            rows = _answer(part, model, features, size, rows)
    if "ground" in tasks:
        with _clocked(seconds, "ground"):
            rows, shown = _ground(part, model, features, sizes, size, rows, shown)
    if "explain" in tasks:
        with _clocked(seconds, "explain"):
            rows = _explain(part, model, features, size, rows)
    return PartResult([*rows, *shown], seconds)


# Of an image that is not here and whose phrases have no reference region: nothing can be scored on it.
_UNKNOWN_SIZE = (256, 256)


def _sizes(part: Part, suite: Suite) -> dict[str, tuple[int, int]]:
    """(width, height) of the part's images for a model that does not look: from reference regions, else images."""
    known = {p.img_id: (p.region.width, p.region.height) for p in part.phrases if p.region is not None}
    for img_id in part.img_ids:
        if img_id not in known:
            known[img_id] = suite.load_image(img_id).size if suite.has_images else _UNKNOWN_SIZE
    return known


def _ask(question: Question) -> Ask:
    return Ask(
        question.index,
        question.img_id,
        question.question,
        question.question_class,
        question.complexity,
        question.options,
    )


def _reply(said: Answer | Grounding, read_as: Callable[[], ReplyState], where: str) -> Reply:
    """What is kept of a task beside what was read from it.

    Args:
        said: by the model.
        read_as: gives the state where the model gives none.
        where: row, for the message.

    Raises:
        RunError: the model gives a state that there is not, or that does not fit.
    """
    try:
        if isinstance(said, Grounding):
            state, text = said.reply_state(), said.reply
        else:
            if said.state is not None:
                check_state(said.state)
            state, text = said.state or read_as(), said.text if said.reply is None else said.reply
    except ValueError as error:
        raise RunError(
            str(error), where=where, do=f"repair the model plugin (gi_bench.harness.model.{type(said).__name__})"
        ) from error
    return Reply(said.prompt, text, state, said.token_count, said.token_log_probs)


def _answer(
    part: Part, model: Model, features: dict[str, Feature], size: BatchSize, rows: list[Prediction]
) -> list[Prediction]:
    def call(batch: Sequence[Ask]) -> Sequence[Answer]:
        return model.answer([features[ask.img_id] for ask in batch], batch)

    asks = [_ask(question) for question in part.questions]
    given = _ordered(asks, lambda ask: len(ask.question), lambda batch: in_batches(batch, call, size))
    answers = [checked_answer(answer, f"row {ask.index}") for ask, answer in zip(asks, given, strict=True)]
    return [
        replace(
            row,
            answer=answer.text,
            confidence=answer.confidence,
            log_prob=answer.log_prob,
            margin=answer.margin,
            entropy=answer.entropy,
            token_count=row.token_count + answer.token_count,
            warnings=row.warnings + answer.warnings,
            answer_reply=_reply(answer, partial(answer_state, answer.text, question), f"row {question.index}"),
        )
        for row, answer, question in zip(rows, answers, part.questions, strict=True)
    ]


def _ground(
    part: Part,
    model: Model,
    features: dict[str, Feature],
    sizes: dict[str, tuple[int, int]],
    size: BatchSize,
    rows: list[Prediction],
    shown: list[Prediction],
) -> tuple[list[Prediction], list[Prediction]]:
    """Ground the suite's phrases and, for rows that want it, the phrase that the answer gives."""
    todo: list[tuple[str, int, GroundAsk]] = []
    for i, phrase in enumerate(part.phrases):
        width, height = sizes[phrase.img_id]
        ask = GroundAsk(phrase.img_id, phrase.phrase, phrase.label, width, height, phrase.index)
        todo.append(("phrase", i, ask))
    for i, (question, row) in enumerate(zip(part.questions, rows, strict=True)):
        if row.answer is None or not question.wants_explanation:
            continue
        label = chain_label(question, row.answer)
        if label is None:
            rows[i] = replace(row, regions=())
        else:
            ask = GroundAsk(question.img_id, row.answer, label, *sizes[question.img_id])
            todo.append(("question", i, ask))

    def call(batch: Sequence[tuple[str, int, GroundAsk]]) -> Sequence[Grounding]:
        asks = [ask for _, _, ask in batch]
        return model.ground([features[ask.img_id] for ask in asks], asks)

    groundings = _ordered(todo, lambda item: len(item[2].phrase), lambda batch: in_batches(batch, call, size))
    for (kind, i, ask), grounding in zip(todo, groundings, strict=True):
        grounding = checked_grounding(grounding, ask)
        target = shown if kind == "phrase" else rows
        row = target[i]
        target[i] = replace(
            row,
            phrase=ask.phrase,
            regions=tuple(grounding.regions),
            confidence=grounding.confidence if kind == "phrase" else row.confidence,
            token_count=row.token_count + grounding.token_count,
            warnings=row.warnings + grounding.warnings,
            ground_reply=_reply(grounding, grounding.reply_state, f"{ask.img_id}: {ask.phrase[:80]}"),
        )
    return rows, shown


def _explain(
    part: Part, model: Model, features: dict[str, Feature], size: BatchSize, rows: list[Prediction]
) -> list[Prediction]:
    wanted = [i for i, question in enumerate(part.questions) if question.wants_explanation]

    def call(batch: Sequence[int]) -> Sequence[Answer]:
        asks = [_ask(part.questions[i]) for i in batch]
        return model.explain([features[ask.img_id] for ask in asks], asks, [rows[i].answer or "" for i in batch])

    explained = _ordered(wanted, lambda i: len(part.questions[i].question), lambda batch: in_batches(batch, call, size))
    for i, explanation in zip(wanted, explained, strict=True):
        question = part.questions[i]
        explanation = checked_answer(explanation, f"row {question.index}")
        read_as = partial(explanation_state, explanation.text, rows[i].answer, question)
        rows[i] = replace(
            rows[i],
            explanation=explanation.text,
            token_count=rows[i].token_count + explanation.token_count,
            warnings=rows[i].warnings + explanation.warnings,
            explain_reply=_reply(explanation, read_as, f"row {question.index}"),
        )
    return rows
