"""Which questions go on a review sheet, and in which order their explanations stand there."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gi_bench.harness.analysis.review.key import run_names
from gi_bench.harness.analysis.review.scoring import strata
from gi_bench.harness.errors import RunError
from gi_bench.harness.schema import Picture, Question
from gi_bench.harness.store import Run

STRATIFY = ("question_class", "complexity", "none")


@dataclass(frozen=True)
class Candidates:
    """Questions that can be shown: every run explains its answer, and there is a picture; what is left out, by why."""

    questions: tuple[Question, ...]
    pictures: Mapping[str, Picture]
    left_out: Mapping[str, int]


def candidates(runs: Sequence[Run]) -> Candidates:
    """The questions of runs on the same rows that can be shown.

    Raises:
        RunError: there is none; the message says why.
    """
    names = run_names(runs)
    pictures: dict[str, Picture] = {}
    for run in reversed(runs):
        pictures.update(run.pictures)
    kept, left_out = [], Counter[str]()
    for question in runs[0].questions:
        reason = next(filter(None, (_missing(run, name, question) for run, name in zip(runs, names, strict=True))), "")
        if not reason and question.img_id not in pictures:
            reason = "without a picture beside the runs"
        if reason:
            left_out[reason] += 1
        else:
            kept.append(question)
    if not kept:
        listed = "; ".join(f"{count:,} {reason}" for reason, count in left_out.items()) or "the run has no questions"
        raise RunError(
            f"no explanation can be shown: {listed}",
            where=", ".join(str(run.path) for run in runs),
            do="a run of a suite with images, with the task explain, has explanations and pictures",
        )
    return Candidates(tuple(kept), pictures, dict(left_out))


def _missing(run: Run, name: str, question: Question) -> str:
    """What a run lacks of a question."""
    said = run.predictions.get(("question", question.index))
    if said is None or not (said.answer or "").strip():
        return f"without an answer of {name}"
    return "" if (said.explanation or "").strip() else f"without an explanation of {name}"


def draw(pool: Candidates, count: int, stratify: str, fingerprint: str, seed: int) -> list[Question]:
    """Questions drawn so that every stratum has about as many, and images repeat as little as possible.

    The draw depends on the suite, the seed and what can be shown, on nothing else of the runs.

    Args:
        pool: what can be shown.
        count: how many at most.
        stratify: one of :data:`STRATIFY`.
        fingerprint: of the suite.
        seed: of the draw.
    """
    shuffled = [pool.questions[i] for i in _random("draw", fingerprint, seed).permutation(len(pool.questions))]
    waiting: dict[str, list[Question]] = {}
    for question in shuffled:
        for name in strata(question, stratify):
            waiting.setdefault(name, []).append(question)
    chosen: dict[int, Question] = {}
    held, images = Counter[str](), Counter[str]()
    while len(chosen) < count and waiting:
        name = min(waiting, key=lambda one: (held[one], one))
        left = [question for question in waiting[name] if question.index not in chosen]
        if not left:
            del waiting[name]
            continue
        waiting[name] = left
        question = min(left, key=lambda one: images[one.img_id])
        chosen[question.index] = question
        images[question.img_id] += 1
        held.update(strata(question, stratify))
    return list(chosen.values())


def mixed(questions: Sequence[Question], runs: Sequence[Run], seed: int) -> list[tuple[int, Question]]:
    """(run, question) in the order of the page: every question once before any is there a second time.

    Which run comes first is drawn anew for each question. The draw rests on the content of the runs as well, so that
    nobody can repeat it who knows the seed and the sheet alone; the order in which the runs were given is no part.
    """
    contents = [run.made_from for run in runs]
    random = _random("order", *sorted(contents), seed)
    by_content = sorted(range(len(runs)), key=lambda number: contents[number])
    rounds: list[list[tuple[int, Question]]] = [[] for _ in runs]
    for question in sorted(questions, key=lambda one: one.index):
        for turn, place in zip(rounds, random.permutation(len(runs)), strict=True):
            turn.append((by_content[int(place)], question))
    return [turn[i] for turn in rounds for i in random.permutation(len(turn))]


def _random(*content: object) -> np.random.Generator:
    digest = hashlib.sha256("\n".join(map(str, content)).encode("utf-8")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


__all__ = ["STRATIFY", "Candidates", "candidates", "draw", "mixed"]
