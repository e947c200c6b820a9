"""Kvasir-VQA-x1 and the official subsets of MediaEval Medico 2025, from a local folder or the Hub's cache.

Rows are keyed by their position: (img_id, question) is not unique in the dataset. The subsets are those of the
organisers' template, ``datasets.shuffle(seed=42)`` and the first 1,500, which equals a permutation by
``numpy.random.default_rng(42)``; their hashes are pinned.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gi_bench.harness.errors import DataError
from gi_bench.harness.hub import hub_failure
from gi_bench.harness.schema import Phrase, Question, Region
from gi_bench.harness.suites import kvasir_rows
from gi_bench.harness.suites.augmented import AugmentedSuite, augmented_spec
from gi_bench.harness.suites.base import Suite, SuiteEntry
from gi_bench.harness.suites.image_ids import check_image_id
from gi_bench.harness.suites.pictures import PictureFolder, decode_rgb, read_picture
from gi_bench.harness.suites.specs import Subset, SuiteSpec
from gi_bench.harness.suites.wordings import pick

if TYPE_CHECKING:
    from PIL.Image import Image

# Of the phrases that have their regions in masks/.
MASKED_LABEL = "polyp"
HUB_ID = "SimulaMet/Kvasir-VQA-x1"
FAMILY = "kvasir-vqa-x1"
TASK1 = Subset(1500, 42, digest="3928bee8db1d8f27f7f2e3ac9a37c8f6e4825d3031240ecec278bddcb7b353c4")
TASK2 = Subset(
    1500,
    42,
    complexity=1,
    digest="2a56f8728b541c10183019cd8f9dfc12ebc852497d1e1012aee1deb40ec3b3cd",
    is_numbered=True,
)


class KvasirSuite(Suite):
    """Questions of one split or subset, with images, masks and phrases where the folder has them."""

    def __init__(self, name: str, folder: Path, questions: Sequence[Question], spec: SuiteSpec) -> None:
        self.name, self.spec = name, spec
        self.questions = tuple(questions)
        self.train_suite = spec.train_suite
        self._folder = folder
        self._images, self._masks = PictureFolder(folder / "images"), PictureFolder(folder / "masks")
        self._paths: dict[str, Path] = {}
        self._missing: list[str] = []
        self._notes: list[str] = []
        self.phrases: Sequence[Phrase] = ()
        self.has_images = (folder / "images").is_dir()
        if self.has_images:
            self._find_images()
            is_test = spec.is_whole and spec.split == "test"
            self.phrases = tuple(self._read_phrases(whole_split=is_test))
            if is_test or (spec.is_whole and not _has_split(folder, "test")):
                self.phrases += tuple(self._negatives(self.phrases))
        self._note_subset()

    @property
    def note(self) -> str:  # type: ignore[override]
        """What must be said beside a score of this suite."""
        return "; ".join(self._notes)

    def _note_subset(self) -> None:
        spec = self.spec
        if spec.is_whole and spec.split == "test" and spec.questions and len(self.questions) != spec.questions:
            self._notes.append(
                f"a subset of {len(self.questions):,} rows of the official {spec.questions:,}: "
                "not comparable with published numbers"
            )
        if spec.subset is not None and spec.subset.digest and not spec.has_all(self.questions):
            self._notes.append("not the official subset (its hash differs): not comparable with published numbers")

    def _find_images(self) -> None:
        """Remember where the images lie. Which are missing is told to whoever asks for one: a prior needs none."""
        ids = dict.fromkeys(question.img_id for question in self.questions)
        self._missing = [img_id for img_id in ids if not self._find_image(img_id)]

    def _find_image(self, img_id: str) -> bool:
        """Remember where an image lies; False if it is not there."""
        path = self._images.find(img_id)
        if path is None:
            return False
        self._paths[img_id] = path
        return True

    def _read_phrases(self, *, whole_split: bool) -> list[Phrase]:
        found: list[Phrase] = []
        path = self._folder / "phrases.csv"
        resized = 0
        regions: dict[str, Region | None] = {}
        rows = kvasir_rows.read_phrases(path) if path.exists() else []
        for img_id, text, label in rows:
            # A whole split also takes phrases of images that no question asks about; a subset does not.
            if img_id not in self._paths and not (whole_split and self._find_image(img_id)):
                continue
            region = None
            if label == MASKED_LABEL:
                if img_id not in regions:
                    regions[img_id], changed = self._region(img_id, label)
                    resized += changed
                region = regions[img_id]
            found.append(Phrase(len(found), img_id, text, label, region))
        if resized:
            self._notes.append(f"{resized} masks have another size than their image and were resized")
        self._note_unused(rows, path)
        return found

    def _note_unused(self, rows: Sequence[tuple[str, str, str]], path: Path) -> None:
        """Say which rows have no image, and which masks no row; a file none of whose rows has one is another set's.

        Raises:
            DataError: no row has an image here.
        """
        lost = [img_id for img_id, _, _ in rows if self._images.find(img_id) is None]
        if rows and len(lost) == len(rows):
            raise DataError(
                f"none of its {len(rows):,} rows is about an image of images/, the first is about {lost[0]}",
                where=path,
                do="is it another set's? Ids are the names of the files without their ending",
            )
        if lost:
            self._notes.append(f"{len(lost):,} rows of phrases.csv are about images that are not in images/")
        asked = {img_id for img_id, _, label in rows if label == MASKED_LABEL}
        unused = [name for name in self._masks.files if name.rpartition(".")[0] not in asked]
        if unused:
            self._notes.append(f"no row uses {len(unused):,} files of masks/, the first is {unused[0][:60]}")

    def _region(self, img_id: str, label: str) -> tuple[Region | None, bool]:
        """The reference region of an image, and whether its mask had to be resized."""
        path = self._masks.find(img_id)
        if path is None:
            return None, False
        from gi_bench.harness.suites.masks import read_reference

        mask, resized = read_reference(path, self.load_image(img_id).size)
        return Region.from_mask(label, mask), resized

    def _negatives(self, phrases: Sequence[Phrase]) -> list[Phrase]:
        """Frames without a polyp (``no_polyp/``): one phrase each, whose right region is empty.

        The phrase is one that a polyp of the folder has, drawn by the image's id, so that no word tells the two apart.
        """
        found: list[Phrase] = []
        folder = PictureFolder(self._folder / "no_polyp")
        texts = Counter(phrase.phrase for phrase in phrases if phrase.label == "polyp") or Counter(["polyp"])
        for name in folder.names:
            img_id = check_image_id(name, f"no_polyp/{name}")
            path = folder.find(name)
            assert path is not None
            if img_id in self._paths:
                raise DataError(f"image {img_id} is also in images/", where=path, do="remove one of the two")
            self._paths[img_id] = path
            width, height = self.load_image(img_id).size
            region = Region.from_mask("polyp", np.zeros((height, width), dtype=bool))
            text = pick(texts, int(hashlib.sha256(img_id.encode()).hexdigest()[:12], 16))
            found.append(Phrase(len(phrases) + len(found), img_id, text, "polyp", region, is_negative=True))
        return found

    def _bytes(self, img_id: str) -> bytes:
        path = self._paths.get(img_id)
        if path is None and self._missing:
            raise DataError(
                f"{len(self._missing):,} images are missing, the first is {self._missing[0]}",
                where=self._folder / "images",
                do="add them, or move the folder images/ away to run blind variants",
            )
        if path is None:
            raise DataError("image not found", where=img_id, do="add it to images/")
        return read_picture(path)

    def load_image(self, img_id: str) -> Image:
        """Decode an image as RGB; pixels stay as stored (no EXIF rotation), as the field's tools keep them."""
        content = self._bytes(img_id)
        return decode_rgb(content, self._paths[img_id])

    def image_digest(self, img_id: str) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self._bytes(img_id)).hexdigest()


def _has_split(folder: Path, split: str) -> bool:
    """Whether a folder also holds another split, whose frames without a polyp ``no_polyp/`` then holds."""
    try:
        return bool(kvasir_rows.find_parquet(folder, split))
    except DataError:
        return False


def official_order(rows: int, seed: int = TASK1.seed) -> npt.NDArray[np.int64]:
    """Order of ``datasets.Dataset.shuffle(seed=42)`` over that many rows."""
    return np.random.default_rng(seed).permutation(rows)


def _rows(folder: Path, split: str, hidden: bool) -> list[dict[str, Any]]:
    """The rows of a split, read once as long as its files are the same."""
    paths = kvasir_rows.find_parquet(folder, split)
    stamps = tuple((path, status.st_size, status.st_mtime_ns) for path in paths for status in [path.stat()])
    return _read_once(stamps, hidden)


@lru_cache(maxsize=4)
def _read_once(stamps: tuple[tuple[Path, int, int], ...], hidden: bool) -> list[dict[str, Any]]:
    return kvasir_rows.read_rows([path for path, _, _ in stamps], hidden=hidden)


def hub_folder(repository: str, layout: str) -> Path:
    """A dataset's snapshot in the Hugging Face cache, or from the Hub.

    Args:
        repository: its id.
        layout: what the user can give instead.

    Raises:
        DataError: neither is there; the message says why.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, repo_type="dataset", local_files_only=True))
    except Exception:  # not in the cache: ask the Hub
        pass
    try:
        return Path(snapshot_download(repository, repo_type="dataset"))
    except Exception as error:
        why, do = hub_failure(error, repository)
        raise DataError(f"cannot get the dataset {repository}: {why}", do=f"{do}, or {layout}") from error


def _pick(subset: Subset | None, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a split or subset, in its order."""
    if subset is None:
        return rows
    if subset.complexity is not None:
        rows = [row for row in rows if row["complexity"] == subset.complexity]
    order = official_order(len(rows), subset.seed)
    chosen = np.sort(order[subset.questions :]) if subset.is_rest else order[: subset.questions]
    return [rows[i] for i in chosen]


def _loader(name: str, spec: SuiteSpec) -> Callable[[Path | None], Suite]:
    def load(data: Path | None) -> Suite:
        """Open the suite in a folder, or in the Hub's cache."""
        if spec.condition == "augmented":
            return AugmentedSuite(_loader(spec.view_of, _SPECS[spec.view_of])(data), name)
        folder = data if data is not None else hub_folder(HUB_ID, kvasir_rows.LAYOUT)
        hidden, wants = spec.is_hidden, spec.asks_explanations
        questions = [
            kvasir_rows.to_question(row, index, wants_explanation=wants, hidden=hidden)
            for index, row in enumerate(_pick(spec.subset, _rows(folder, spec.split, hidden)))
        ]
        if not questions:
            raise DataError("no rows", where=folder, do=kvasir_rows.LAYOUT)
        return KvasirSuite(name, folder, questions, spec)

    return load


_TRAIN = SuiteSpec(
    family=FAMILY, split="train", asks_explanations=False, images=6212, questions=143_594, explanations=0
)
# Counted on the official test split; the training split's rows are published, its images are those of all 6,449 that
# are not among the 237 images which occur in the test split only.
_TEST = SuiteSpec(
    family=FAMILY,
    split="test",
    images=4058,
    questions=15_955,
    explanations=5496,
    train_suite="kvasir-vqa-x1/train",
)
_MEDICO1 = replace(
    _TEST,
    edition=2025,
    subtask="task1",
    subset=TASK1,
    images=1236,
    questions=1500,
    explanations=521,
    train_suite="medico2025-task1/rest",
)
_MEDICO2 = replace(_TEST, edition=2025, subtask="task2", subset=TASK2, images=1273, questions=1500, explanations=1500)
_UNSIZED = replace(_TEST, images=None, questions=None, explanations=None)
_SPECS: dict[str, SuiteSpec] = {
    "kvasir-vqa-x1/train": _TRAIN,
    "kvasir-vqa-x1/test": _TEST,
    "medico2025-task1": _MEDICO1,
    "medico2025-task1/rest": replace(_UNSIZED, subset=replace(TASK1, is_rest=True, digest=""), train_suite=None),
    "medico2025-task2": _MEDICO2,
    # The 2026 challenge asks the same rows in the same order.
    "medico2026-task1": replace(_MEDICO1, edition=2026),
    "medico2026-task2": replace(_MEDICO2, edition=2026),
    "kvasir-vqa-x1/test-augmented": augmented_spec("kvasir-vqa-x1/test", _TEST),
    "medico2025-task1-augmented": augmented_spec("medico2025-task1", _MEDICO1),
    "hidden/task1": replace(_UNSIZED, is_hidden=True, subtask="task1", asks_explanations=False),
    "hidden/task2": replace(_UNSIZED, is_hidden=True, subtask="task2"),
}
_SUMMARIES = {
    "kvasir-vqa-x1/train": "training split, 143,594 questions",
    "kvasir-vqa-x1/test": "official test split, 15,955 questions on 4,058 images",
    "medico2025-task1": "official 1,500 questions of MediaEval Medico 2025, subtask 1",
    "medico2025-task1/rest": "the other 14,455 rows of the test split, for priors",
    "medico2025-task2": "official 1,500 questions of complexity 1 of MediaEval Medico 2025, subtask 2",
    "medico2026-task1": "the rows of medico2025-task1, as the 2026 challenge asks them",
    "medico2026-task2": "the rows of medico2025-task2, as the 2026 challenge asks them",
    "kvasir-vqa-x1/test-augmented": "test split on weakly augmented images (track 2)",
    "medico2025-task1-augmented": "medico2025-task1 on weakly augmented images",
    "hidden/task1": "any rows without references, answers only",
    "hidden/task2": "any rows without references, with explanations",
}


def suites() -> list[SuiteEntry]:
    """Entries for the registry."""
    return [
        SuiteEntry(
            name, f"{_SUMMARIES[name]} (Kvasir-VQA-x1; --data DIR)", _loader(name, spec), needs_data=True, spec=spec
        )
        for name, spec in _SPECS.items()
    ]
