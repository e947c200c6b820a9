"""The rows of phantom scenes: questions with answers, and phrases with regions; drawn without rendering a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gi_bench.harness.schema import AtomicPair, Phrase, Question, Region
from gi_bench.harness.suites.phantom import language
from gi_bench.harness.suites.phantom.facts import ABSENT_ANSWERS, Facts
from gi_bench.harness.suites.phantom.render import IMAGE_SIZE
from gi_bench.harness.suites.phantom.scene import Draw, Scene
from gi_bench.harness.suites.phantom.shapes import region_masks
from gi_bench.harness.taxonomy import QUESTION_CLASSES

_ROWS_BY_COMPLEXITY = ((1, 4), (2, 3), (3, 3))
ROWS_PER_IMAGE = sum(count for _, count in _ROWS_BY_COMPLEXITY)


def _classes(facts: Facts) -> list[str]:
    """Question classes that can be asked about a scene, as the real dataset asks them."""
    scene = facts.scene
    excluded = set()
    if not scene.is_normal:
        excluded.add("finding_presence")
    if scene.landmark is None:
        excluded.add("landmark_color")
    if scene.abnormality == "none":
        excluded.add("abnormality_color")
    return [slug for slug in QUESTION_CLASSES if slug not in excluded]


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
        explanation=language.explanation(single, answer, facts) if single else None,
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
        facts, draw = Facts(scene), Draw(f"{scene.key} questions")
        pool = _classes(facts)
        asked: set[frozenset[str]] = set()
        for complexity, count in _ROWS_BY_COMPLEXITY:
            made = 0
            while made < count:
                slugs = draw.sample(pool, complexity)
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
    for img_id, scene in scenes.items():
        facts, draw = Facts(scene), Draw(f"{scene.key} phrases")
        for label, mask in region_masks(scene, IMAGE_SIZE).items():
            if label not in facts.cells:
                continue
            region = Region.from_mask(label, mask)
            for text in language.referring_phrases(label, facts):
                rows.append(Phrase(len(rows), img_id, text, label, region))
        absent = [label for label in language.ABSENT_PHRASES if label not in facts.cells]
        empty = np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=bool)
        for label in draw.sample(absent, 2):
            text = draw.pick(language.ABSENT_PHRASES[label])
            region = Region.from_mask(label, empty)
            rows.append(Phrase(len(rows), img_id, text, label, region, is_negative=True))
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
