"""The embedded suite: rows and images of the phantom splits."""

from __future__ import annotations

import hashlib
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gi_bench.harness.schema import AtomicPair, Phrase, Question, Region
from gi_bench.harness.suites.base import Suite, SuiteEntry
from gi_bench.harness.suites.phantom import language
from gi_bench.harness.suites.phantom.facts import ABSENT_ANSWERS, Facts
from gi_bench.harness.suites.phantom.scene import PHANTOM_VERSION, Draw, Scene, make_scene
from gi_bench.harness.suites.phantom.shapes import region_masks
from gi_bench.harness.suites.specs import SuiteSpec
from gi_bench.harness.taxonomy import QUESTION_CLASSES

if TYPE_CHECKING:
    from PIL.Image import Image

SPLIT_SIZES = {"train": 3600, "validation": 160, "test": 320}
# The first scenes of train, for trainings that take a minute or two: studies repeat many of them.
SMALL = "train-small"
SMALL_SIZE = 600
_ROWS_BY_COMPLEXITY = ((1, 4), (2, 3), (3, 3))
_NOTE = (
    "phantom is a rendered suite that shows that everything works; "
    "its scores say nothing about real endoscopy and are not comparable with the challenge's"
)


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


class PhantomSuite(Suite):
    """One split of the phantom scenes; rows are drawn without rendering, images when they are asked for."""

    is_embedded = True

    def __init__(self, split: str, image_count: int | None = None) -> None:
        self.split = split
        self.name = f"phantom/{split}"
        self.note = _NOTE
        self.spec = _spec(split)
        self.train_suite, self.mask_suite = self.spec.train_suite, self.spec.mask_suite
        self._count = SPLIT_SIZES[split] if image_count is None else image_count
        self._scenes = {self.image_id(i): make_scene(split, i) for i in range(self._count)}
        self._load = lru_cache(maxsize=512)(self._render)
        self._digests: dict[str, str] = {}

    def image_id(self, number: int) -> str:
        """Id of scene ``number``: names suite and split, so that splits cannot share an id."""
        return f"phantom{PHANTOM_VERSION}-{self.split}-{number:05d}"

    def scene(self, img_id: str) -> Scene:
        """The scene behind an image."""
        return self._scenes[img_id]

    @cached_property
    def questions(self) -> tuple[Question, ...]:  # type: ignore[override]
        """Ten questions an image: four of complexity 1, three each of 2 and 3."""
        rows: list[Question] = []
        for img_id, scene in self._scenes.items():
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

    @cached_property
    def phrases(self) -> tuple[Phrase, ...]:  # type: ignore[override]
        """Two phrases for everything visible, and two for things that are absent."""
        from gi_bench.harness.suites.phantom.render import IMAGE_SIZE

        rows: list[Phrase] = []
        for img_id, scene in self._scenes.items():
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

    def _render(self, img_id: str) -> npt.NDArray[np.uint8]:
        from gi_bench.harness.suites.phantom.render import render

        pixels = render(self._scenes[img_id])
        self._digests[img_id] = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        return pixels

    def load_image(self, img_id: str) -> Image:
        """Render the image (256 x 256, RGB)."""
        from PIL import Image as Pictures

        return Pictures.fromarray(self._load(img_id))

    def image_digest(self, img_id: str) -> str:
        """SHA-256 of size and pixels: what a picture file's compression does cannot change it."""
        if img_id not in self._digests:
            self._load(img_id)
        return self._digests[img_id]


def _spec(split: str) -> SuiteSpec:
    images = {**SPLIT_SIZES, SMALL: SMALL_SIZE}[split]
    return SuiteSpec(
        family="phantom",
        split=split,
        is_embedded=True,
        images=images,
        questions=10 * images,
        train_suite="phantom/train",
        mask_suite=f"phantom/{SMALL}",
        short_train_suite=f"phantom/{SMALL}",
    )


def _opener(split: str) -> object:
    def load(data: Path | None) -> PhantomSuite:
        """The split; there is no data folder to look at."""
        if split == SMALL:
            suite = PhantomSuite("train", SMALL_SIZE)
            suite.name, suite.spec = f"phantom/{SMALL}", _spec(SMALL)
            return suite
        return PhantomSuite(split)

    return load


def suites() -> list[SuiteEntry]:
    """The three splits, which are drawn from different seeds and share no image, and the first part of train."""
    return [
        SuiteEntry(
            f"phantom/{split}",
            f"rendered endoscopy-like scenes with exact masks: {count} images, {10 * count} questions (embedded)",
            _opener(split),
            spec=_spec(split),
        )
        for split, count in {**SPLIT_SIZES, SMALL: SMALL_SIZE}.items()
    ]
