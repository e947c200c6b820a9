"""The rows of phantom scenes: questions with answers, and phrases with regions; drawn without rendering a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from gi_bench.harness.schema import AtomicPair, Phrase, Question, Region
from gi_bench.harness.suites.phantom import language
from gi_bench.harness.suites.phantom.facts import ABSENT_ANSWERS, Facts
from gi_bench.harness.suites.phantom.render import IMAGE_SIZE
from gi_bench.harness.suites.phantom.scene import Draw, Scene
from gi_bench.harness.suites.phantom.shapes import region_masks
from gi_bench.harness.taxonomy import QUESTION_CLASSES

_ROWS_BY_COMPLEXITY = ((1, 4), (2, 3), (3, 3))
# Share of the classes among the atomic questions of the real rows, of images where they can be asked at all.
_SHARES = {
    "text_presence": 0.078,
    "box_artifact_presence": 0.073,
    "polyp_removal_status": 0.073,
    "procedure_type": 0.073,
    "instrument_count": 0.070,
    "finding_count": 0.067,
    "polyp_type": 0.062,
    "polyp_size": 0.061,
    "instrument_location": 0.060,
    "abnormality_location": 0.060,
    "polyp_count": 0.060,
    "abnormality_color": 0.085,
    "instrument_presence": 0.058,
    "abnormality_presence": 0.058,
    "landmark_presence": 0.040,
    "landmark_location": 0.039,
    "landmark_color": 0.012,
}
# Merged questions mostly ask in one order.
_ANY_ORDER = 0.1
# In the real rows this one is asked alone only, of images without any finding.
_ALONE = {"finding_presence": 0.20}
ROWS_PER_IMAGE = sum(count for _, count in _ROWS_BY_COMPLEXITY)


# Questions and phrases of a split rest on the same facts.
_facts = lru_cache(maxsize=4096)(Facts)


def _classes(facts: Facts, complexity: int) -> dict[str, float]:
    """Question classes that can be asked about a scene, as the real dataset asks them, with how often."""
    scene = facts.seen
    found = _SHARES if complexity > 1 or not scene.is_normal else {**_SHARES, **_ALONE}
    excluded = set()
    if scene.landmark is None:
        excluded.add("landmark_color")
    if scene.abnormality == "none":
        excluded.add("abnormality_color")
    return {slug: share for slug, share in found.items() if slug not in excluded}


def _drawn(pool: Mapping[str, float], count: int, draw: Draw) -> list[str]:
    """Different classes, by share, mostly in the order of the pool."""
    left, chosen = dict(pool), []
    for _ in range(count):
        slug = draw.weighted(tuple(left.items()))
        del left[slug]
        chosen.append(slug)
    return chosen if draw.chance(_ANY_ORDER) else sorted(chosen, key=tuple(pool).index)


def _question(img_id: str, index: int, slugs: list[str], facts: Facts, draw: Draw) -> Question:
    answer = language.answer_text(slugs, facts, draw)
    single = slugs[0] if len(slugs) == 1 else None
    finding = QUESTION_CLASSES[single].finding if single else None
    return Question(
        index=index,
        img_id=img_id,
        question=language.question_text(slugs, draw),
        answer=answer,
        question_class=tuple(slugs),
        complexity=len(slugs),
        original=tuple(AtomicPair(QUESTION_CLASSES[slug].atomic_question, facts.atomic(slug)) for slug in slugs),
        explanation=language.explanation(single, facts, draw) if single else None,
        is_negative=(finding is not None and facts.atomic(slugs[0]) in ABSENT_ANSWERS - {"no"})
        or (
            single in {"text_presence", "box_artifact_presence", "finding_presence"} and facts.atomic(slugs[0]) == "no"
        ),
        finding=finding,
        wants_explanation=single is not None,
    )


def make_questions(scenes: Mapping[str, Scene]) -> tuple[Question, ...]:
    """Ten questions an image: four of complexity 1, three each of 2 and 3.

    Args:
        scenes: by image id, in order.
    """
    rows: list[Question] = []
    for img_id, scene in scenes.items():
        facts, draw = _facts(scene), Draw(f"{scene.key} questions")
        asked: set[frozenset[str]] = set()
        for complexity, count in _ROWS_BY_COMPLEXITY:
            pool, made = _classes(facts, complexity), 0
            while made < count:
                slugs = _drawn(pool, complexity, draw)
                if frozenset(slugs) in asked:
                    continue
                asked.add(frozenset(slugs))
                rows.append(_question(img_id, len(rows), slugs, facts, draw))
                made += 1
    return tuple(rows)


def make_phrases(scenes: Mapping[str, Scene]) -> tuple[Phrase, ...]:
    """Two phrases for everything visible, and two for things that are absent.

    Args:
        scenes: by image id, in order.
    """
    rows: list[Phrase] = []
    empty = Region.from_mask("", np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=bool))
    for img_id, scene in scenes.items():
        facts, draw = _facts(scene), Draw(f"{scene.key} phrases")
        masks = {label: mask for label, mask in region_masks(scene, IMAGE_SIZE).items() if mask.any()}
        for label, mask in masks.items():
            if label not in facts.cells:
                continue
            region = Region.from_mask(label, mask)
            for text in language.referring_phrases(label, facts, draw):
                rows.append(Phrase(len(rows), img_id, text, label, region))
        for label in language.absent_labels(scene, frozenset(masks), 2, draw):
            text = language.absent_phrase(label, draw)
            rows.append(Phrase(len(rows), img_id, text, label, replace(empty, label=label), is_negative=True))
    return tuple(rows)


def questions_digest(rows: Sequence[Question]) -> str:
    """SHA-256 over all that is drawn of questions."""
    return _digest(
        (
            row.img_id,
            row.question,
            row.answer,
            row.explanation,
            row.finding,
            *row.question_class,
            *(pair.answer for pair in row.original),
            row.is_negative,
        )
        for row in rows
    )


def phrases_digest(rows: Sequence[Phrase]) -> str:
    """SHA-256 over all that is drawn of phrases, regions included."""
    return _digest((row.img_id, row.phrase, row.label, row.region and row.region.counts) for row in rows)


def _digest(rows: Iterable[tuple[object, ...]]) -> str:
    text = "\n".join("\t".join(map(str, row)) for row in rows)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
