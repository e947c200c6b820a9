"""The paper's own grounding test sets, from a folder in the layout of its authors' release.

Three sets, as the paper reports them: polyps (Kvasir-SEG masks), instruments (Kvasir-Instrument masks) and pseudo-masks
(CLIPSeg; ulcerative colitis, oesophagitis, z-line and cecum together). A row whose mask file is not in the release has
no reference region: it is run and counted, and scored by nobody. The authors' evaluation skips such rows silently.

Source: github.com/itbaans/multi_task_training_gastrointestinal_vqa, commit a48493a, data/splitted and data/*_masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gi_bench.harness.csv_text import CsvRows, read_csv
from gi_bench.harness.errors import DataError
from gi_bench.harness.schema import Phrase, Region
from gi_bench.harness.suites.base import Suite, SuiteEntry
from gi_bench.harness.suites.image_ids import check_image_id
from gi_bench.harness.suites.masks import read_reference
from gi_bench.harness.suites.pictures import PictureFolder, decode_rgb, read_picture
from gi_bench.harness.suites.specs import SuiteSpec

if TYPE_CHECKING:
    from PIL.Image import Image

LAYOUT = (
    "give --data the authors' data folder: images/, polyp_masks/, instruments_masks/, pseudo_masks/ and "
    "splitted/test/*_mask_phrases.csv"
)
# Set -> (file name of the phrases, label, folder of the masks).
SETS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "polyp": (("polyps", "polyp", "polyp_masks"),),
    "instrument": (("instruments", "instrument", "instruments_masks"),),
    "pseudo": (
        ("ulcerative_colitis", "ulcerative colitis", "pseudo_masks"),
        ("oesophatigis", "oesophagitis", "pseudo_masks"),  # the file name is misspelt in the release
        ("z-line", "z-line", "pseudo_masks"),
        ("cecum", "cecum", "pseudo_masks"),
    ),
}


SPEC = SuiteSpec(family="paper-grounding", split="test")


class PaperGroundingSuite(Suite):
    """Phrases of one of the paper's grounding test sets; it asks no questions."""

    questions = ()

    def __init__(self, name: str, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError("data folder not found", where=folder, do=LAYOUT)
        self.name, self.spec = f"paper-grounding/{name}", SPEC
        self._folder = folder / "data" if (folder / "data" / "images").is_dir() else folder
        self.has_images = (self._folder / "images").is_dir()
        self._images = PictureFolder(self._folder / "images")
        self._paths: dict[str, Path] = {}
        found: list[Phrase] = []
        for file, label, masks in SETS[name]:
            pictures = PictureFolder(self._folder / masks)
            table = self._rows(f"{file}_mask_phrases.csv")
            for line, row in zip(table.lines, table.rows, strict=True):
                found.append(self._phrase(len(found), row, label, pictures, f"{file}_mask_phrases.csv line {line}"))
        self.phrases = tuple(found)
        absent = sum(phrase.region is None for phrase in found)
        self.note = f"{absent} of {len(found)} phrases have no mask file and are not scored" if absent else ""

    def _rows(self, file: str) -> CsvRows:
        for folder in (self._folder / "splitted" / "test", self._folder / "test"):
            path = folder / file
            if path.exists():
                return read_csv(path, needed=("img_id", "mask_id", "answer"))
        raise DataError(f"{file} not found", where=self._folder, do=LAYOUT)

    def _phrase(self, index: int, row: dict[str, str], label: str, masks: PictureFolder, where: str) -> Phrase:
        img_id, mask_id = check_image_id(row["img_id"], where), check_image_id(row["mask_id"], where)
        if not row["answer"].strip():
            raise DataError("an empty phrase", where=where, do="the column answer holds the phrase")
        if self.has_images and img_id not in self._paths:
            found = self._images.find(img_id)
            if found is None:
                raise DataError("image not found", where=self._folder / "images" / img_id, do=LAYOUT)
            self._paths[img_id] = found
        path = masks.find(mask_id)
        region = None
        if path is not None:
            mask, _ = read_reference(path, self.load_image(img_id).size if self.has_images else None)
            region = Region.from_mask(label, mask)
        return Phrase(index, img_id, row["answer"], label, region)

    def load_image(self, img_id: str) -> Image:
        """Decode an image as RGB."""
        return decode_rgb(read_picture(self._paths[img_id]), self._paths[img_id])

    def image_digest(self, img_id: str) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(read_picture(self._paths[img_id])).hexdigest()


def _loader(name: str) -> Callable[[Path | None], PaperGroundingSuite]:
    def load(data: Path | None) -> PaperGroundingSuite:
        """Open the set in a folder."""
        if data is None:
            raise DataError("the paper's grounding sets are not on the Hub", do=LAYOUT)
        return PaperGroundingSuite(name, data)

    return load


def suites() -> list[SuiteEntry]:
    """Entries for the registry."""
    about = {
        "polyp": "the paper's polyp phrases, 316 rows, 212 with a mask",
        "instrument": "the paper's instrument phrases, 236 rows (138 of 197 images are in its training set)",
        "pseudo": "the paper's pseudo-mask phrases (colitis, oesophagitis, z-line, cecum), 414 rows",
    }
    return [
        SuiteEntry(f"paper-grounding/{name}", f"{text} (--data DIR)", _loader(name), needs_data=True, spec=SPEC)
        for name, text in about.items()
    ]
